//! What the operating system holds the child to, so that it cannot go round the gate.
//!
//! On Linux that is a Landlock domain (`landlock`) and a filter of system calls (`seccomp`), put
//! on the thread that starts the child: children inherit both, and nobody can take them off.
//! Invariant: what [`Sandbox::enforcement`] says is held was tried out on this kernel first, and a
//! child that cannot be held to it is not started. Not here: files, and sockets in the file
//! system, which Landlock could only shut by a list of all that stays open.

use crate::record::enforcement::{Enforce, Enforcement};

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod platform;
#[cfg(target_os = "linux")]
mod seccomp;

pub use platform::shield;

/// Why a thread cannot be confined: a fragment, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotHeld(pub(super) String);

/// The restrictions of one child, ready to be put on.
#[derive(Debug)]
pub struct Sandbox {
    cage: Option<platform::Cage>,
    enforcement: Enforcement,
}

impl Sandbox {
    /// Holds nobody to anything.
    #[must_use]
    pub fn off() -> Self {
        Self {
            cage: None,
            enforcement: Enforcement::nothing(Enforce::Off, None),
        }
    }

    /// Finds out what this system can hold a child to: TCP to the port of the `gate`, and `ports`.
    ///
    /// # Errors
    /// It cannot do what was demanded ([`Enforce::is_demand`]).
    pub fn prepare(asked: Enforce, gate: u16, ports: &[u16]) -> Result<Self, NotHeld> {
        if asked == Enforce::Off {
            return Ok(Self::off());
        }
        match platform::Cage::build(asked == Enforce::Strict, gate, ports) {
            Ok(cage) => Ok(Self {
                enforcement: Enforcement::holding(asked, &cage.held(), ports),
                cage: Some(cage),
            }),
            Err(why) if asked.is_demand() => Err(why),
            Err(NotHeld(why)) => Ok(Self {
                cage: None,
                enforcement: Enforcement::nothing(asked, Some(why)),
            }),
        }
    }

    /// What the child will be held to.
    #[must_use]
    pub const fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Whether there is anything to put on.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.cage.is_none()
    }

    /// Puts the restrictions on the calling thread, for good; what it starts inherits them.
    ///
    /// # Errors
    /// The kernel refused, although it could do this a moment ago.
    pub fn confine_thread(&self) -> Result<(), NotHeld> {
        match &self.cage {
            Some(cage) => cage.confine_thread(),
            None => Ok(()),
        }
    }
}
