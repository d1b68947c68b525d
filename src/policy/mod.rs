//! What a session may do: read-only, and which operations.
//!
//! Pure: [`decide()`] takes a policy and what is asked for, and gives a verdict. Invariant: more
//! rules never allow more, and what nobody knows is never taken for a read. It reads no files,
//! asks nobody, and does not look at who asks. Who may open a session at all is in `admission`.

mod admission;
mod decide;
mod pattern;

pub use admission::{Grant, NotAdmitted, Requirements, choose};
pub use decide::{Asked, DEFAULT, Policy, Verdict, decide};
pub use pattern::{Pattern, PatternError, known};
