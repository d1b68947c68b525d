//! What stands in place of something removed: which rule removed it, and a keyed pseudonym.
//!
//! The pseudonym is the first half of HMAC-SHA-256 under a key K that is never in the record. Who
//! has only the record sees that two removed values are equal, and cannot guess a short one; who
//! has K can test a suspect. Invariant: one value has one pseudonym, whatever rule removed it and
//! however it was spelled. Where K comes from is for `commands`.

use std::fmt::Write;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::record::Secret;

const PSEUDONYM: &[u8] = b"ddgate/pseudonym/v1\0";
const WITHHELD: &[u8] = b"ddgate/withheld/v1\0";
const DERIVED: &[u8] = b"ddgate/redaction-key/v1";
/// 64 bits: two values of one session share a pseudonym by chance once in billions of sessions.
const PSEUDONYM_BYTES: usize = 8;

/// The key K of pseudonyms. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PseudonymKey(Arc<Secret<[u8; 32]>>);

impl PseudonymKey {
    /// Derives the key from any text: HKDF-Extract (RFC 5869, 2.2) with SHA-256. A short text makes
    /// a key that can be guessed by whoever knows one removed value.
    #[must_use]
    pub fn derived(text: &Secret<String>) -> Self {
        Self::of(mac(DERIVED, &[text.expose().as_bytes()]))
    }

    /// A key that nobody has: pseudonyms are equal within one session only.
    #[must_use]
    pub fn fresh() -> Self {
        let mut key = [0; 32];
        #[expect(clippy::expect_used, reason = "no way on without randomness")]
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self::of(key)
    }

    fn of(key: [u8; 32]) -> Self {
        Self(Arc::new(Secret::new(key)))
    }

    /// The pseudonym of a value: 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn pseudonym(&self, value: &[u8]) -> String {
        let mut digits = String::with_capacity(2 * PSEUDONYM_BYTES);
        for byte in &mac(self.0.expose(), &[PSEUDONYM, value])[..PSEUDONYM_BYTES] {
            // Writing to a string does not fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }

    /// The salt under which content is committed to that is not kept. It follows from K and is
    /// stored nowhere: whoever has K can test a suspect, whoever has only the record learns nothing
    /// from a commitment to something short, but that two equal contents are equal. A random salt thrown away would make a commitment
    /// that nobody can ever open.
    #[must_use]
    pub fn withheld_salt(&self) -> [u8; 32] {
        mac(self.0.expose(), &[WITHHELD])
    }

    /// What stands in place of `value`.
    pub(super) fn marker(&self, rule: &str, value: &[u8]) -> String {
        format!("[REDACTED:{rule}:{}]", self.pseudonym(value))
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A text with its markers as `[REDACTED:<rule>]`: which rule removed what, whatever the key.
#[cfg(test)]
pub(super) fn without_pseudonyms(text: &str) -> String {
    let mut parts = text.split(']');
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = bare.rsplit(':').next().unwrap_or_default();
        if digits.len() == 2 * PSEUDONYM_BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            bare.truncate(bare.len() - digits.len() - 1);
        }
        bare.push(']');
        bare.push_str(part);
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> PseudonymKey {
        PseudonymKey::derived(&Secret::new(text.to_owned()))
    }

    #[test]
    fn a_pseudonym_is_what_the_manual_says() {
        // Made with Python's hmac and hashlib, by the formula above.
        assert_eq!(key("k").pseudonym(b"hunter2"), "739b9845e265ba5e");
    }

    #[test]
    fn it_depends_on_key_and_value_alone() {
        assert_eq!(key("k").pseudonym(b"v"), key("k").pseudonym(b"v"));
        assert_ne!(key("k").pseudonym(b"v"), key("k").pseudonym(b"w"));
        assert_ne!(key("k").pseudonym(b"v"), key("l").pseudonym(b"v"));
        let fresh = || PseudonymKey::fresh().pseudonym(b"v");
        assert_ne!(fresh(), fresh());
        assert_ne!(key("k").withheld_salt(), key("l").withheld_salt());
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", key("k")), "PseudonymKey([secret])");
    }
}
