//! A child on Linux, held by Landlock and seccomp together. Landlock alone would not do: on
//! kernels of 2025 a multipath TCP socket, or data sent along with the opening of a connection
//! (TCP Fast Open), passes its TCP rules by; both were seen to work.

use std::thread;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::NotHeld;
use super::landlock::Domain;
use super::seccomp::Filter;
use crate::record::enforcement::{PROCESSES, SIGNALS, SOCKETS, TCP, UDP};

/// Both restrictions, tried out.
#[derive(Debug)]
pub(super) struct Cage {
    domain: Domain,
    filter: Filter,
}

impl Cage {
    /// Builds both, and tries them on a thread that does nothing else.
    pub(super) fn build(strict: bool, gate: u16, ports: &[u16]) -> Result<Self, NotHeld> {
        let cage = Self {
            domain: Domain::build(gate, ports)?,
            filter: Filter::build(strict)?,
        };
        let tried = thread::scope(|scope| {
            thread::Builder::new()
                .name("ddgate-try".to_owned())
                .spawn_scoped(scope, || cage.confine_thread())
                .map_err(|error| NotHeld(error.to_string()))?
                .join()
                .map_err(|_| NotHeld("the attempt broke off".to_owned()))
        });
        tried??;
        Ok(cage)
    }

    pub(super) fn held(&self) -> Vec<&'static str> {
        let mut held = vec![TCP, SOCKETS];
        if self.filter.is_strict() {
            held.push(UDP);
        }
        held.push(PROCESSES);
        if self.domain.scopes_signals() {
            held.push(SIGNALS);
        }
        held
    }

    pub(super) fn confine_thread(&self) -> Result<(), NotHeld> {
        self.domain.enter()?;
        self.filter.enter()
    }
}

/// Keeps this process's memory, environment and descriptors from other processes of the same user:
/// real keys are in them. Also keeps them out of core dumps.
///
/// A child is not affected: `execve` sets it back.
pub fn shield() {
    // It cannot fail but for a kernel that does not know it, and then nothing is lost.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
