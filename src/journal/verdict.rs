//! What a check of a record can find, and what follows from it.

use crate::limits;
use crate::record::SessionId;

/// What may be said of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that is there is as it was signed, and the session was closed.
    Verified,
    /// What is there is as it was signed, but something is not there.
    Incomplete,
    /// Something is not as it was signed.
    Tampered,
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Incomplete => "INCOMPLETE",
            Self::Tampered => "TAMPERED",
        }
    }
}

/// Something is not as it was signed. Bit rot looks the same as an editor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no frame, with frames behind them.
    #[error("segment {segment}, bytes {from} to {to}: not what was written")]
    Damage {
        /// Segment of the write-ahead file.
        segment: u32,
        /// First byte.
        from: u64,
        /// First byte behind.
        to: u64,
    },
    /// Frames are missing or repeated.
    #[error("frame {found} stands where frame {expected} should")]
    Frames {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A segment of another session.
    #[error("segment {segment} belongs to another session")]
    Segment {
        /// Segment of the write-ahead file.
        segment: u32,
    },
    /// The first leaf is another session's.
    #[error("the first leaf names session {named}")]
    OtherSession {
        /// The session it names.
        named: SessionId,
    },
    /// A leaf that says what it cannot say.
    #[error("leaf {leaf}: {why}")]
    Leaf {
        /// Index of the leaf.
        leaf: u64,
        /// What is wrong.
        why: String,
    },
    /// Something was added behind the end.
    #[error("leaf {leaf} stands after the close of the session")]
    AfterClose {
        /// Index of the leaf.
        leaf: u64,
    },
    /// A signed root that is not that of the leaves before it.
    #[error("leaves {from} to {size} are not those that were signed")]
    Root {
        /// Leaves up to here agree with the checkpoint before.
        from: u64,
        /// Leaves the checkpoint speaks of.
        size: u64,
    },
    /// A checkpoint that the session's key did not sign.
    #[error("the checkpoint of size {size} is not signed by the session's key")]
    Signature {
        /// Leaves the checkpoint speaks of.
        size: u64,
    },
    /// Content that does not agree with its commitment.
    #[error("leaf {leaf}: its {field} is not what was recorded")]
    Content {
        /// Index of the leaf.
        leaf: u64,
        /// The committed field.
        field: String,
    },
    /// The record names another key than the one it must have.
    #[error("the record is not signed with {expected}")]
    OtherKey {
        /// The key it must have.
        expected: String,
    },
    /// A checkpoint kept elsewhere cannot be one of this session.
    #[error("the trusted checkpoint is not this session's: {why}")]
    Anchor {
        /// What is wrong.
        why: String,
    },
    /// A checkpoint kept elsewhere states another root.
    #[error("FORK: the trusted checkpoint of size {size} has another root")]
    Fork {
        /// Leaves it speaks of.
        size: u64,
    },
    /// A file of an exported record is not what belongs there.
    #[error("{path}: {why}")]
    File {
        /// The file, below the exported directory.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A proof that does not prove its leaf.
    #[error("leaf {leaf} is not proven: {why}")]
    Proof {
        /// Index of the leaf.
        leaf: u64,
        /// What is wrong.
        why: String,
    },
    /// The session after it found another record here.
    #[error("FORK: the session after it found another root over the first {size} leaves")]
    NextDiffers {
        /// Leaves it found.
        size: u64,
    },
    /// The session after it found a longer record here.
    #[error("TRUNCATED: the session after it found {stated} leaves, {here} are here")]
    NextSawMore {
        /// Leaves it found.
        stated: u64,
        /// Leaves here.
        here: u64,
    },
    /// A checkpoint kept elsewhere speaks of more leaves than there are.
    #[error("TRUNCATED: {anchored} leaves in the trusted checkpoint, {here} here")]
    Truncated {
        /// Leaves it speaks of.
        anchored: u64,
        /// Leaves here.
        here: u64,
    },
}

/// Something is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// No leaf at all.
    #[error("the record has no leaf")]
    Empty,
    /// From before sessions were signed.
    #[error("the session has no key: nothing in it is signed")]
    NeverSigned,
    /// Leaves after the last signature.
    #[error("leaves {from} to {to} are not signed")]
    Unsigned {
        /// First leaf.
        from: u64,
        /// First leaf behind.
        to: u64,
    },
    /// There are fewer leaves than there once were.
    #[error("{here} leaves are here, there were {once} once")]
    Shorter {
        /// Leaves here.
        here: u64,
        /// Leaves that its manifest or its index has seen.
        once: u64,
    },
    /// The end of the record of a gate that died is not whole, and nothing says it had been synced.
    #[error(
        "what stands behind leaf {from} is not whole: a power cut leaves it so, and so can whoever edits these files; do not rely on it"
    )]
    Unsynced {
        /// Leaves that are whole.
        from: u64,
    },
    /// The session has no end.
    #[error("{}", if *running { "the session is still running" } else { "the session was never closed: its gate died" })]
    NotClosed {
        /// Whether its gate still writes.
        running: bool,
    },
    /// The file goes on, or stops, behind the close.
    #[error("the file was not sealed behind the close")]
    NotSealed,
    /// The file ends inside a record.
    #[error("segment {segment} ends inside a record, at byte {from}")]
    Torn {
        /// Segment of the write-ahead file.
        segment: u32,
        /// Where that record begins.
        from: u64,
    },
    /// An exported record that stops before the session does.
    #[error("it ends before the close of the session")]
    CutShort,
    /// An exported record that was exported as broken.
    #[error("the record was broken when it was exported: see the file BROKEN")]
    ExportedBroken,
    /// A leaf that another one of the same call names.
    #[error("leaf {leaf} of the call is missing")]
    Leaf {
        /// Index of the leaf.
        leaf: u64,
    },
    /// A content that was committed to is gone, and nobody says why.
    #[error("leaf {leaf}: its {field} is missing")]
    Content {
        /// Index of the leaf.
        leaf: u64,
        /// The committed field.
        field: String,
    },
}

/// Everything that was found, up to a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong, in the order of the record.
    pub faults: Vec<Fault>,
    /// What is missing, in the order of the record.
    pub gaps: Vec<Gap>,
    /// Findings beyond the bound.
    pub more: u64,
}

impl Findings {
    /// What follows.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        if !self.faults.is_empty() {
            Verdict::Tampered
        } else if !self.gaps.is_empty() {
            Verdict::Incomplete
        } else {
            Verdict::Verified
        }
    }

    /// Whether more is wrong or missing than the close of a session that has none yet.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let lesser = |gap: &Gap| matches!(gap, Gap::NotClosed { .. } | Gap::NeverSigned);
        !self.faults.is_empty() || !self.gaps.iter().all(lesser)
    }

    /// Adds something that is wrong.
    pub fn fault(&mut self, fault: Fault) {
        if self.faults.len() < limits::FINDINGS_MAX {
            self.faults.push(fault);
        } else {
            self.more += 1;
        }
    }

    /// Adds something that is missing.
    pub fn gap(&mut self, gap: Gap) {
        if self.gaps.len() < limits::FINDINGS_MAX {
            self.gaps.push(gap);
        } else {
            self.more += 1;
        }
    }
}
