//! The record: durable before it is acknowledged, append-only, one directory a session.
//!
//! Read in this order: `handle` (what everybody holds), `writer` (the one thread that writes), `wal` (the file that
//! acknowledges), `index` and `db` (the sled log that is queried), `reader`.
//! Invariant: whoever holds a [`Permit`] has a request on stable storage, and only this room can
//! make one. Nothing here knows HTTP, and nothing raw comes in: content arrives as
//! [`crate::redact::Redacted`].

mod append;
mod audit;
mod auditor;
pub mod catalog;
mod cells;
pub mod chain;
mod content;
mod crypt;
mod db;
mod disk;
mod erase;
mod feeder;
mod frame;
mod handle;
mod index;
mod pack;
mod pass;
mod permit;
pub mod reader;
mod says;
mod seal;
mod statements;
mod stream;
mod tail;
#[cfg(test)]
mod tests;
mod vault;
mod verdict;
mod wal;
pub mod walk;
mod writer;

use std::io;
use std::path::PathBuf;

pub use audit::{Audit, Depth, Expected, SIGNATURE_EVERY, audit};
pub use content::{Attachment, Recommit, Withheld, commit};
pub use crypt::{Identities, Recipients};
pub use disk::{create_private_dir, create_private_file, sync_dir};
pub use erase::{erase, state as erasure_state};
pub use handle::{Journal, Refused, Ticket};
pub use pack::{Coding, DICTIONARY};
pub use pass::{Beside, Pass};
pub use permit::Permit;
pub use reader::SessionReader;
pub use seal::Signed;
pub use statements::{Statement, Statements};
pub use stream::ContentStream;
pub use verdict::{Fault, Findings, Gap, Verdict};

/// What can go wrong when a session's record is created, listed or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file or directory could not be used.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried: `create`, `read`, `lock` …
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No session has this id.
    #[error("no session `{0}`")]
    NoSuchSession(String),
    /// There are no sessions at all.
    #[error("no session is recorded in {0}")]
    NoSessions(PathBuf),
    /// A prefix fits more than one session.
    #[error("`{prefix}` fits {count} sessions")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many fit.
        count: usize,
    },
    /// The directory holds no session that can be read.
    #[error("{path} is not a session: {why}")]
    NotASession {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Written by a newer ddgate.
    #[error("{path} has format {found}, this ddgate reads up to {known}")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// The index failed; the write-ahead file is still good.
    #[error("the index of {path} cannot be used: {why}")]
    Index {
        /// The index directory.
        path: PathBuf,
        /// What sled said.
        why: String,
    },
    /// A file that should hold age identities does not.
    #[error("{path} is no identity file: {why}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody who was named can open the session.
    #[error("the contents of session {0} are sealed for others: no identity given opens them")]
    NotARecipient(String),
    /// The header that holds the session's key does not read.
    #[error("the key of session {0} was changed or damaged: its contents cannot be opened")]
    KeyDamaged(String),
    /// The session's gate still writes.
    #[error("session {0} is running")]
    Running(String),
    /// Somebody reads the session, so that its index cannot be thrown away.
    #[error("session {0} is being read: what is left of its contents is not erased yet")]
    BeingRead(String),
    /// The session has no such call.
    #[error("session {session} has no call {number}")]
    NoSuchCall {
        /// The session, short.
        session: String,
        /// The number asked for.
        number: u64,
    },
}

impl JournalError {
    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
