//! The two hashes of the tree (RFC 6962 section 2.1, RFC 9162 section 2.1.1), over SHA-256. The
//! first byte tells a leaf from a node, so that no leaf can pass for a subtree.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use super::TlogError;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;
/// Characters of a hash in base64, padding included.
const BASE64_CHARS: usize = 44;

/// The hash of a leaf, a subtree or a whole tree. Displays as base64 (RFC 4648 section 4), and
/// parses only from what it would display.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// Takes bytes for a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Shows the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; BASE64_CHARS];
        // Neither can fail: the length is fixed and base64 is ASCII.
        let _ = BASE64_STANDARD.encode_slice(self.0, &mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = TlogError;

    fn from_str(text: &str) -> Result<Self, TlogError> {
        // The length first: a long line of someone else's is not decoded only to be thrown away.
        if text.len() != BASE64_CHARS {
            return Err(TlogError::Hash);
        }
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| TlogError::Hash)?;
        bytes.try_into().map(Self).map_err(|_| TlogError::Hash)
    }
}

/// Hashes a leaf: `SHA-256(0x00 ‖ leaf)`.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let digest = Sha256::new().chain_update([0]).chain_update(leaf);
    Hash(digest.finalize().into())
}

/// Hashes two subtrees into their parent: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let digest = Sha256::new().chain_update([1]);
    let digest = digest.chain_update(left.0).chain_update(right.0);
    Hash(digest.finalize().into())
}

/// The root of a tree without leaves: `SHA-256()`.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_is_canonical() {
        let hash = leaf_hash(b"x");
        let text = hash.to_string();
        assert_eq!(text.parse(), Ok(hash));
        // The last character before the padding carries two unused bits, which must be zero.
        let (body, last) = (&text[..42], text.as_bytes()[42]);
        let twin = format!("{body}{}=", char::from(last + 1));
        assert_eq!(twin.parse::<Hash>(), Err(TlogError::Hash));
        for wrong in [
            "",
            text.trim_end_matches('='),
            &format!("{text}\n"),
            &format!(" {}", &text[1..]),
        ] {
            assert_eq!(wrong.parse::<Hash>(), Err(TlogError::Hash));
        }
    }

    proptest! {
        #[test]
        fn what_parses_displays_the_same(text in "[A-Za-z0-9+/=]{43,44}|.{0,50}") {
            if let Ok(hash) = text.parse::<Hash>() {
                prop_assert_eq!(hash.to_string(), text);
            }
        }
    }
}
