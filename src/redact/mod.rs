//! What may be recorded: everything that goes into the journal passes here first.
//!
//! Invariant: a [`Redacted`] value holds none of the secrets the session knows, in any of the forms
//! listed in [`known`], none of the headers and parameters that carry credentials, nothing from the
//! places the catalogue names as secret, and no word that looks like a secret (`shapes`,
//! `named`). In place of each stands a marker with a keyed pseudonym ([`pseudonym`]). Only this
//! room can make one, and the journal takes nothing else. What cannot be looked into (an unknown
//! content coding, a body too large to parse) is not kept, and the record says why.
//!
//! It does not guess by entropy: a password in a sentence stays.

use bytes::Bytes;

use crate::record::Secret;

pub mod body;
pub mod headers;
mod json;
pub mod known;
mod named;
mod patterns;
pub mod pseudonym;
pub mod replacer;
mod shapes;
mod sieve;
pub mod target;

pub use body::{BodyRedactor, BodySummary};
pub use headers::headers;
pub use known::{KnownSecrets, swaps};
pub use pseudonym::PseudonymKey;
pub use replacer::{Replacer, ReplacerStream, TooManyNeedles};
pub use target::{Names, gone_from_target, names, target};

/// A value that may be recorded.
///
/// Nobody outside this room can make one:
///
/// ```compile_fail,E0624
/// let raw = ddgate::redact::Redacted::new("DD-API-KEY: 0123".to_owned());
/// ```
///
/// ```compile_fail,E0423
/// let raw = ddgate::redact::Redacted("DD-API-KEY: 0123".to_owned());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Vouches for a value. Every call site is a place to audit.
    pub(in crate::redact) const fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows the value.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// Gives the value away, as something that may be recorded.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Lets the proof of who a session is for into its record as it is: what it proves with is a token,
/// which everything else here would cut out. Only for a record whose contents are sealed.
#[must_use]
pub fn sealed_proof(proof: &Secret<String>) -> Redacted<Bytes> {
    Redacted(Bytes::copy_from_slice(proof.expose().as_bytes()))
}

impl Redacted<Bytes> {
    /// The first bytes, `max` at most.
    #[must_use]
    pub fn first(mut self, max: usize) -> Self {
        self.0.truncate(max);
        self
    }
}

impl From<Redacted<String>> for Redacted<Bytes> {
    fn from(text: Redacted<String>) -> Self {
        Self(text.0.into())
    }
}

impl<T: serde::Serialize> Redacted<T> {
    /// The value as JSON.
    #[must_use]
    pub fn json(&self) -> Redacted<Bytes> {
        // Strings, lists and string-keyed maps always serialise; anything else is kept out.
        Redacted(serde_json::to_vec(&self.0).unwrap_or_default().into())
    }
}
