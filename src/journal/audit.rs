//! Checks a session's record against its own signatures, frame by frame, in one pass.
//!
//! What is proven: that leaves, and every content that is there, are what the session's key signed,
//! and that nothing is missing before the last signature. What is not: that the key is the right
//! one (a key read from the record proves nothing against whoever could write the record), and that
//! the record has not been cut at an earlier signature. That takes a key or a checkpoint kept
//! elsewhere: [`Expected`].
//!
//! Every checkpoint's root is compared. Signatures are checked on the first checkpoint, on the
//! last, and on one in [`SIGNATURE_EVERY`] leaves: a later signature covers all that was before.

use chrono::{DateTime, Utc};

use super::JournalError;
use super::auditor::Auditor;
use super::catalog::SessionDir;
use super::crypt::Identities;
use super::reader::State;
use super::seal::Signed;
use super::verdict::{Findings, Verdict};
use super::wal::{Position, Scanner, Step};
use crate::record::SessionId;
use crate::record::event::ChainLink;
use crate::tlog::{Hash, SignedNote, VerifierKey, empty_root};

/// Leaves between two signatures that are checked.
pub const SIGNATURE_EVERY: u64 = 256;

/// What is known of a session from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The key it must be signed with.
    pub key: Option<VerifierKey>,
    /// Checkpoints it must agree with.
    pub checkpoints: Vec<SignedNote>,
    /// What the session after it found: so many leaves under this root.
    pub stated: Option<(u64, Hash)>,
    /// What opens its contents, where they are sealed; without, they are counted and not checked.
    pub identities: Identities,
}

/// How much of a record is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Leaves and signatures: for readers that check the contents they show by themselves.
    Leaves,
    /// Every content too.
    Contents,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The session.
    pub session: SessionId,
    /// Origin of its log, as its first leaf states it.
    pub origin: Option<String>,
    /// Its key, as its first leaf states it.
    pub key: Option<VerifierKey>,
    /// Its place among the sessions of its installation.
    pub chain: Option<ChainLink>,
    /// Whether it runs, and how it ended.
    pub state: State,
    /// Leaves.
    pub leaves: u64,
    /// Root over all leaves.
    pub root: Hash,
    /// Checkpoints whose roots agree.
    pub checkpoints: u64,
    /// The last checkpoint that agrees and is signed.
    pub signed: Option<Signed>,
    /// Requests, denied ones included.
    pub calls: u64,
    /// Requests the gate refused.
    pub denied: u64,
    /// Requests without an end.
    pub unanswered: u64,
    /// Contents that agree with their commitments.
    pub contents: u64,
    /// Contents erased on purpose: their commitments stand.
    pub erased: u64,
    /// Contents that cannot be read here, because they are encrypted.
    pub sealed: u64,
    /// Contents that were committed to and never kept.
    pub withheld: u64,
    /// Sizes at which a checkpoint kept elsewhere agrees.
    pub anchored: Vec<u64>,
    /// Whether the session after it found what is here.
    pub next_agrees: bool,
    /// When the first leaf was written.
    pub first: Option<DateTime<Utc>>,
    /// When the last leaf was written.
    pub last: Option<DateTime<Utc>>,
    /// Leaves whose clock is before that of the leaf before: a warning, clocks are set.
    pub clock_back: u64,
    /// What is wrong, and what is missing.
    pub findings: Findings,
}

/// Checks a whole session.
///
/// # Errors
/// It cannot be read at all.
pub fn audit(dir: &SessionDir, expected: &Expected) -> Result<Audit, JournalError> {
    let path = dir.path();
    let read = |e| JournalError::io("read", path)(e);
    let mut auditor = Auditor::new(dir, expected, Depth::Contents)?;
    let mut scanner = Scanner::open(path, Position::START).map_err(read)?;
    loop {
        match scanner.step().map_err(read)? {
            Step::Frame(seq, at, frame) => auditor.frame(seq, at, &frame)?,
            Step::Damage { from, to } => auditor.damage(from, to),
            Step::End(end) => return Ok(auditor.finish(end)),
        }
    }
}

impl Audit {
    /// Nothing was found yet.
    #[must_use]
    pub fn begin(session: SessionId) -> Self {
        Self {
            session,
            origin: None,
            key: None,
            chain: None,
            state: State::EndedWithoutClosing,
            leaves: 0,
            root: empty_root(),
            checkpoints: 0,
            signed: None,
            calls: 0,
            denied: 0,
            unanswered: 0,
            contents: 0,
            erased: 0,
            sealed: 0,
            withheld: 0,
            anchored: Vec::new(),
            next_agrees: false,
            first: None,
            last: None,
            clock_back: 0,
            findings: Findings::default(),
        }
    }

    /// What follows from what was found.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.findings.verdict()
    }
}
