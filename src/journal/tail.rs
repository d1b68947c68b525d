//! The end of a record whose gate died: it may be torn in any order, up to what was synced last,
//! and every checkpoint says how far that was.
//!
//! A power cut looks like damage there, and is none: nothing that waited for those records was
//! sent. Whoever edits that part gains nothing over cutting it off, which leaves no trace either.

use super::seal::Signed;
use super::verdict::{Fault, Findings, Gap};

/// Where a record stopped being whole, and what is known to have been synced.
#[derive(Default)]
pub(super) struct Tail {
    /// Leaves under the last good checkpoint before the break, and faults found before it.
    broken_at: Option<(u64, usize)>,
    /// The most leaves that any checkpoint says were synced before it.
    synced: u64,
}

impl Tail {
    /// Hears of a fault before it is added; `agreed` leaves stand under the last good checkpoint.
    pub(super) fn fault(&mut self, fault: &Fault, agreed: u64, findings: &Findings) {
        if is_torn(fault) {
            self.broken_at
                .get_or_insert((agreed, findings.faults.len()));
        }
    }

    /// Hears of a checkpoint, good or not.
    pub(super) fn checkpoint(&mut self, signed: &Signed) {
        self.synced = self.synced.max(signed.synced);
    }

    /// Takes for a torn end what can be one. Not for a session that was closed.
    pub(super) fn forgive(&self, findings: &mut Findings) {
        let Some((from, before)) = self.broken_at else {
            return;
        };
        let since = findings.faults.get(before..).unwrap_or_default();
        let follows = |fault: &Fault| {
            is_torn(fault) || matches!(fault, Fault::Content { .. } | Fault::Leaf { .. })
        };
        if self.synced > from || !since.iter().all(follows) {
            return;
        }
        findings.faults.truncate(before);
        findings.gap(Gap::Unsynced { from });
    }
}

/// Whether blocks that came out of order can look like this.
const fn is_torn(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Damage { .. } | Fault::Frames { .. } | Fault::Root { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::Hash;

    fn found(synced: u64, faults: Vec<Fault>) -> Findings {
        let (mut tail, mut findings) = (Tail::default(), Findings::default());
        for fault in faults {
            tail.fault(&fault, 5, &findings);
            findings.fault(fault);
        }
        tail.checkpoint(&Signed {
            size: 9,
            root: Hash::from_bytes([0; 32]),
            signature: [0; 64],
            synced,
        });
        tail.forgive(&mut findings);
        findings
    }

    #[test]
    fn only_what_was_never_synced_is_forgiven() {
        let damage = || Fault::Damage {
            segment: 1,
            from: 8,
            to: 16,
        };
        let root = || Fault::Root { from: 5, size: 9 };
        let torn = found(5, vec![damage(), root()]);
        assert_eq!(
            (torn.faults.len(), torn.gaps),
            (0, vec![Gap::Unsynced { from: 5 }])
        );
        assert_eq!(found(6, vec![damage(), root()]).faults.len(), 2);
        let forged = found(5, vec![root(), Fault::Signature { size: 9 }]);
        assert_eq!(forged.faults.len(), 2);
        let before = found(5, vec![Fault::Signature { size: 2 }, root()]);
        assert_eq!(before.faults.len(), 1);
    }
}
