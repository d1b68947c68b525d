//! A session carried out of ddgate's own files into published formats, and checked there.
//!
//! | file | what |
//! |---|---|
//! | `session` | a whole session as a directory of tiles, checkpoints, openings and blobs |
//! | `prove` | one call of it, with a proof for each of its leaves, and nothing else |
//! | `check` | such a directory against itself, and against what was kept elsewhere |
//! | `proof` | such a proof, likewise |
//! | `line` | one opening as a line of `openings.jsonl`, there and back |
//! | `openings` | the lines of a whole file, compared with the leaves that commit to them |
//! | `says` | what the leaves of a session say, taken together |
//! | `tree` | a directory that appears whole or not at all |
//!
//! Invariants: the same session gives the same bytes; what is written was checked before; memory
//! is bounded by the number of leaves (64 bytes each), never by bodies. `ddgate-log(5)` describes
//! the layout for whoever reads it without ddgate. Nothing here prints.

mod check;
mod line;
mod openings;
pub mod proof;
pub mod prove;
mod says;
pub mod session;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

pub use check::check;

use crate::journal::JournalError;
use crate::tlog::TlogError;

/// What can go wrong when a session is exported, or an export is read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The session cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file or directory could not be used.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried: `create`, `read`, `write` …
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is something where the export should go.
    #[error("{0} exists and is not an empty directory")]
    Occupied(PathBuf),
    /// Nothing, or nothing of what was asked for, is signed.
    #[error("{what} is not signed, so nobody outside could check it")]
    Unsigned {
        /// The session or the call.
        what: String,
    },
    /// The record gave other bytes the second time.
    #[error("the record of session {0} changed while it was read")]
    Changed(String),
    /// The record holds what the published formats cannot.
    #[error("the record cannot be expressed in the published formats")]
    Format(#[from] TlogError),
    /// The directory is nothing that was exported.
    #[error("{path} is no exported record: {why}")]
    NotAnExport {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
}

impl ExportError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Told how far long work is: so many leaves of so many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);
