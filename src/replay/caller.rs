//! Which process made a call, and under which parents: a view, folded from `process` leaves.
//!
//! Holds the latest processes only, so that a session of any length is read in bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits::{PROCESS_CHAIN_MAX, REPLAY_PROCESSES_MAX};
use crate::record::event::Process;
use crate::record::process::Program;

/// What stands as parent of the session's own child.
const GATE: u64 = 0;

/// A process, and its parents as far as they are on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its number within the session.
    pub process: u64,
    /// The system's number for it.
    pub pid: u32,
    /// Whether it is the command that `ddgate run` started.
    pub is_child: bool,
    /// Whether it is somebody else's.
    pub foreign: bool,
    /// What it runs; none when erased, or never known.
    pub program: Option<Program>,
    /// Its parent; none for the child, and for what left the tree.
    pub parent: Option<Arc<Self>>,
}

impl Caller {
    /// The process and its parents, itself first.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |caller| caller.parent.as_deref())
    }
}

/// The processes of a session while it is read.
#[derive(Debug, Default)]
pub(super) struct Callers(BTreeMap<u64, Arc<Caller>>);

impl Callers {
    /// Adds a process. The first statement about a number stands.
    pub(super) fn add(&mut self, process: &Process) {
        // A record can claim any depth; what is dropped later is dropped link by link.
        let parent = self
            .find(process.parent)
            .filter(|parent| parent.chain().count() < PROCESS_CHAIN_MAX);
        self.0.entry(process.process).or_insert_with(|| {
            Arc::new(Caller {
                process: process.process,
                pid: process.pid,
                is_child: process.parent == Some(GATE),
                foreign: process.foreign,
                program: None,
                parent,
            })
        });
        if self.0.len() > REPLAY_PROCESSES_MAX {
            self.0.pop_first();
        }
    }

    /// Adds what a process runs.
    pub(super) fn runs(&mut self, process: u64, program: Program) {
        if let Some(caller) = self.0.get_mut(&process) {
            Arc::make_mut(caller).program = Some(program);
        }
    }

    pub(super) fn find(&self, process: Option<u64>) -> Option<Arc<Caller>> {
        self.0.get(&process?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(process: u64, parent: Option<u64>) -> Process {
        Process {
            process,
            pid: 100,
            parent,
            foreign: false,
            program: None,
        }
    }

    #[test]
    fn parents_are_found_and_memory_is_bounded() {
        let mut callers = Callers::default();
        callers.add(&process(1, Some(0)));
        callers.runs(1, Program::default());
        callers.add(&process(2, Some(1)));
        callers.add(&process(2, None));
        let second = callers.find(Some(2)).unwrap();
        let numbers: Vec<_> = second.chain().map(|caller| caller.process).collect();
        assert_eq!(numbers, [2, 1]);
        let first = second.parent.as_ref().unwrap();
        assert!(first.is_child && first.program.is_some() && !second.is_child);
        assert_eq!(callers.find(None), None);
        for number in 3..REPLAY_PROCESSES_MAX as u64 + 10 {
            callers.add(&process(number, Some(number - 1)));
        }
        assert_eq!(callers.0.len(), REPLAY_PROCESSES_MAX);
        let deepest = callers.0.values().map(|caller| caller.chain().count());
        assert_eq!(deepest.max(), Some(PROCESS_CHAIN_MAX));
    }
}
