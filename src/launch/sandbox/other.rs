//! Systems on which ddgate can hold a child to nothing: said, not passed over.

use super::NotHeld;

/// Never built here.
#[derive(Debug)]
pub(super) enum Cage {}

impl Cage {
    pub(super) fn build(_strict: bool, _gate: u16, _ports: &[u16]) -> Result<Self, NotHeld> {
        Err(NotHeld("ddgate can do that on Linux only".to_owned()))
    }

    pub(super) fn held(&self) -> Vec<&'static str> {
        match *self {}
    }

    pub(super) fn confine_thread(&self) -> Result<(), NotHeld> {
        match *self {}
    }
}

/// Does nothing here.
pub const fn shield() {}
