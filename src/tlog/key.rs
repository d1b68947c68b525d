//! Keys that sign notes: Ed25519 (RFC 8032) under a name, as C2SP signed-note has them. The name
//! of a log's key is the log's origin.
//!
//! A signing key can be made and used, never read, written or shown; its bytes are overwritten
//! when it is dropped.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signature, Signer as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::TlogError;
use super::note::{NoteSignature, SignedNote};

/// Bytes of an Ed25519 signature, without the key id that a note puts before it.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of an Ed25519 public key and of the seed of a secret one.
const KEY_BYTES: usize = 32;
/// The signature type of plain Ed25519 (C2SP signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// A public key and its name: `<name>+<8 hex digits of the id>+<base64 of 0x01 ‖ key>`.
/// Parses only from what it would display.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id, `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)[..4]`: says which key, proves nothing.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Checks a bare signature over a text.
    ///
    /// # Errors
    ///
    /// If it is not by this key.
    pub fn verify_bytes(&self, text: &str, signature: &[u8]) -> Result<(), TlogError> {
        // Strict: without signatures that hold for many texts, which RFC 8032 leaves open.
        Signature::from_slice(signature)
            .and_then(|signature| self.key.verify_strict(text.as_bytes(), &signature))
            .map_err(|_| TlogError::Signature {
                key: self.name.clone(),
            })
    }

    /// Puts a bare signature that was kept without its text below that text again. Does not
    /// verify it.
    ///
    /// # Errors
    ///
    /// If the text cannot be that of a note.
    pub fn note(
        &self,
        text: &str,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<SignedNote, TlogError> {
        let signature = NoteSignature::new(&self.name, self.id, signature)?;
        SignedNote::new(text, vec![signature])
    }

    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Result<Self, TlogError> {
        check_name(name)?;
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest.finalize());
        Ok(Self {
            name: name.to_owned(),
            id: [a, b, c, d],
            key,
        })
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519];
        typed.extend_from_slice(self.key.as_bytes());
        let id = u32::from_be_bytes(self.id);
        let key = BASE64_STANDARD.encode(typed);
        write!(f, "{}+{id:08x}+{key}", self.name)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = TlogError;

    fn from_str(text: &str) -> Result<Self, TlogError> {
        let wrong = TlogError::VerifierKey;
        // Base64 has plus signs of its own; names and ids have none.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(typed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("not three parts"));
        };
        if id.len() != 8 {
            return Err(wrong("the id has not 8 digits"));
        }
        // Longer than any Ed25519 key: another type, and not worth decoding.
        if typed.len() > 64 {
            return Err(wrong("not an Ed25519 key"));
        }
        let typed = BASE64_STANDARD.decode(typed);
        let typed = typed.map_err(|_| wrong("not base64"))?;
        let bytes = match typed.split_first() {
            Some((&ED25519, bytes)) => <&[u8; KEY_BYTES]>::try_from(bytes).ok(),
            _ => None,
        };
        let bytes = bytes.ok_or(wrong("not an Ed25519 key"))?;
        let point = ed25519_dalek::VerifyingKey::from_bytes(bytes);
        let point = point.map_err(|_| wrong("not a point of the curve"))?;
        // Of these anybody can make signatures that hold for some texts.
        if point.is_weak() {
            return Err(wrong("a weak key"));
        }
        let key = Self::new(name, point)?;
        if format!("{:08x}", u32::from_be_bytes(key.id)) != id {
            return Err(wrong("the id is not this key's"));
        }
        Ok(key)
    }
}

/// A key that signs. Debug shows its public half.
pub struct SigningKey {
    verifier: VerifierKey,
    // Boxed, so that moving the owner does not leave copies behind that nobody overwrites.
    secret: Box<ed25519_dalek::SigningKey>,
}

impl SigningKey {
    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// If the name cannot be one, or the system has no random bytes.
    pub fn generate(name: &str) -> Result<Self, TlogError> {
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(seed.as_mut_slice()).map_err(|_| TlogError::Random)?;
        Self::from_seed(name, &seed)
    }

    pub(super) fn from_seed(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, TlogError> {
        let secret = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        let verifier = VerifierKey::new(name, secret.verifying_key())?;
        Ok(Self { verifier, secret })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text, and gives the bare signature: all that must be kept where the text can be
    /// made again. [`VerifierKey::note`] joins the two.
    #[must_use]
    pub fn sign_bytes(&self, text: &str) -> [u8; SIGNATURE_BYTES] {
        self.secret.sign(text.as_bytes()).to_bytes()
    }

    /// Signs a text as a note.
    ///
    /// # Errors
    ///
    /// If the text cannot be that of a note.
    pub fn sign(&self, text: &str) -> Result<SignedNote, TlogError> {
        self.verifier.note(text, &self.sign_bytes(text))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [secret])", self.verifier)
    }
}

/// Refuses names that C2SP signed-note refuses: empty, with a Unicode space, a plus, or a control
/// character (which no note may have).
pub(super) fn check_name(name: &str) -> Result<(), TlogError> {
    let is_wrong = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    if name.is_empty() || name.contains(is_wrong) {
        return Err(TlogError::KeyName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tlog::tests::edited;

    /// The key that the documentation of Go's `sumdb/note` shows, both halves.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";

    #[test]
    fn a_key_known_from_elsewhere() {
        let key: VerifierKey = VKEY.parse().unwrap();
        assert_eq!(
            (key.name(), key.id()),
            ("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3])
        );
        assert_eq!(key.to_string(), VKEY);
        let seed = BASE64_STANDARD.decode(SEED).unwrap().try_into().unwrap();
        let signing = SigningKey::from_seed("PeterNeumann", &seed).unwrap();
        assert_eq!(signing.verifier(), &key);
        // Another log's, with a plus sign inside its base64.
        let other = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        assert_eq!(other.parse::<VerifierKey>().unwrap().to_string(), other);
    }

    #[test]
    fn debug_shows_no_secret() {
        let seed = BASE64_STANDARD.decode(SEED).unwrap();
        let key = SigningKey::from_seed("a/b", &seed.clone().try_into().unwrap()).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.ends_with(", [secret])"), "{shown}");
        assert!(
            !shown.contains(&SEED[..8]) && !shown.contains("129, 10"),
            "{shown}"
        );
    }

    #[test]
    fn keys_differ_and_sign_for_themselves() {
        let (one, two) = (
            SigningKey::generate("a").unwrap(),
            SigningKey::generate("a").unwrap(),
        );
        let signature = one.sign_bytes("text\n");
        assert_eq!(one.verifier().verify_bytes("text\n", &signature), Ok(()));
        assert!(one.verifier().verify_bytes("texT\n", &signature).is_err());
        assert!(two.verifier().verify_bytes("text\n", &signature).is_err());
        assert!(
            one.verifier()
                .verify_bytes("text\n", &signature[..63])
                .is_err()
        );
        assert!(one.verifier().verify_bytes("text\n", &[]).is_err());
    }

    #[test]
    fn names_that_are_none() {
        for name in [
            "",
            "a b",
            "a+b",
            "a\nb",
            "a\u{a0}b",
            "a\u{2003}",
            "\u{1}",
            "a\tb",
        ] {
            assert_eq!(
                SigningKey::generate(name).unwrap_err(),
                TlogError::KeyName,
                "{name:?}"
            );
        }
    }

    #[test]
    fn keys_that_are_none() {
        let typed = |tag: u8, bytes: [u8; 32]| {
            let typed = [&[tag], bytes.as_slice()].concat();
            let id = Sha256::new()
                .chain_update("a\n")
                .chain_update(&typed)
                .finalize();
            let id = u32::from_be_bytes([id[0], id[1], id[2], id[3]]);
            format!("a+{id:08x}+{}", BASE64_STANDARD.encode(typed))
        };
        let (weak, mut off) = (typed(1, [0; 32]), [2; 32]);
        off[31] = 0;
        for (text, why) in [
            (weak, "a weak key"),
            (typed(1, off), "not a point of the curve"),
            (typed(4, [9; 32]), "not an Ed25519 key"),
            (
                VKEY.replace("c74f20a3", "c74f20a4"),
                "the id is not this key's",
            ),
            (
                VKEY.replace("c74f20a3", "C74F20A3"),
                "the id is not this key's",
            ),
            (
                VKEY.replace("c74f20a3", "74f20a3"),
                "the id has not 8 digits",
            ),
            (VKEY.replace("TW", "TX"), "not a point of the curve"),
            (VKEY.replacen('+', "-", 2), "not three parts"),
            (format!("{VKEY}\n"), "not base64"),
            (format!("{VKEY}{VKEY}"), "not an Ed25519 key"),
        ] {
            let error = text.parse::<VerifierKey>().unwrap_err();
            assert!(error.to_string().ends_with(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in prop_oneof![edited(VKEY.as_bytes().to_vec()), any::<Vec<u8>>()]) {
            let text = String::from_utf8_lossy(&text);
            if let Ok(key) = text.parse::<VerifierKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn a_changed_signature_or_text_is_false(at in 0..96_usize, change in 1..=255_u8) {
            let key = SigningKey::from_seed("a", &[3; 32]).unwrap();
            let mut text = "0123456789abcdef0123456789abcde\n".to_owned();
            let mut signature = key.sign_bytes(&text);
            match signature.get_mut(at) {
                Some(byte) => *byte ^= change,
                None => text.replace_range(at - 64..at - 63, &char::from(change).to_string()),
            }
            let is_same = text == "0123456789abcdef0123456789abcde\n" && at >= 64;
            prop_assert_eq!(key.verifier().verify_bytes(&text, &signature).is_ok(), is_same);
        }
    }
}
