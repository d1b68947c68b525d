//! The proof that a request is on stable storage. Made only here, spent by one send.

use crate::record::CallNumber;

/// Allows one request to be sent upstream. Only the journal makes permits, and only after the
/// request's record is on stable storage:
///
/// ```compile_fail
/// let forged = ddgate::journal::Permit { call: todo!(), request_leaf: 0 };
/// ```
#[derive(Debug)]
#[must_use = "a permit is there to be spent by one send"]
pub struct Permit {
    call: CallNumber,
    request_leaf: u64,
}

impl Permit {
    pub(super) const fn new(call: CallNumber, request_leaf: u64) -> Self {
        Self { call, request_leaf }
    }

    /// The call this permit is for.
    #[must_use]
    pub const fn call(&self) -> CallNumber {
        self.call
    }

    /// Index of the request's leaf.
    #[must_use]
    pub const fn request_leaf(&self) -> u64 {
        self.request_leaf
    }
}
