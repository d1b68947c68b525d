//! A checkpoint (C2SP tlog-checkpoint): the note in which a log states its size and root.
//!
//! Ours has three lines and no extension lines, which C2SP does not recommend and which
//! post-quantum cosignatures do not cover; its origin is the name of the key that signs it.

use std::fmt;
use std::str::FromStr;

use super::key::{SIGNATURE_BYTES, check_name};
use super::{Hash, SignedNote, SigningKey, TlogError, VerifierKey};

/// What a log says of itself. Displays as the text of the note, `<origin>\n<size>\n<root>\n`, and
/// parses only from what it would display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// States that the log `origin` has `size` leaves under `root`.
    ///
    /// # Errors
    ///
    /// If the origin cannot be the name of a key.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, TlogError> {
        check_name(origin)?;
        let origin = origin.to_owned();
        Ok(Self { origin, size, root })
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Signs, and gives the bare signature, to be kept where size and root are kept anyway.
    /// [`Checkpoint::note`] makes the note of them.
    ///
    /// # Errors
    ///
    /// If the key is another log's.
    pub fn sign_bytes(&self, key: &SigningKey) -> Result<[u8; SIGNATURE_BYTES], TlogError> {
        self.is_of(key.verifier())?;
        Ok(key.sign_bytes(&self.to_text()))
    }

    /// Signs as a note.
    ///
    /// # Errors
    ///
    /// If the key is another log's.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedNote, TlogError> {
        self.note(key.verifier(), &self.sign_bytes(key)?)
    }

    /// The note that a bare signature belongs to. Does not verify it.
    ///
    /// # Errors
    ///
    /// If the key is another log's.
    pub fn note(
        &self,
        key: &VerifierKey,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<SignedNote, TlogError> {
        self.is_of(key)?;
        key.note(&self.to_text(), signature)
    }

    /// Checks that a note is signed by the key, and reads the checkpoint in it.
    ///
    /// # Errors
    ///
    /// If it is not signed by the key, is not a checkpoint, or is one of another log.
    pub fn verify(note: &SignedNote, key: &VerifierKey) -> Result<Self, TlogError> {
        let checkpoint: Self = note.verify(key)?.parse()?;
        checkpoint.is_of(key)?;
        Ok(checkpoint)
    }

    fn is_of(&self, key: &VerifierKey) -> Result<(), TlogError> {
        if self.origin == key.name() {
            Ok(())
        } else {
            Err(TlogError::Origin {
                key: key.name().to_owned(),
            })
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = TlogError;

    fn from_str(text: &str) -> Result<Self, TlogError> {
        let wrong = TlogError::Checkpoint;
        let lines = text.strip_suffix('\n');
        let lines = lines.ok_or(wrong("the last line does not end"))?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong("fewer than three lines"));
        };
        if lines.next().is_some() {
            return Err(wrong("extension lines"));
        }
        let size = decimal(size).ok_or(wrong("the size is not a number"))?;
        let root = root.parse().map_err(|_| wrong("the root is not a hash"))?;
        Self::new(origin, size, root).map_err(|_| wrong("the origin is not a key name"))
    }
}

/// Reads a number as C2SP writes numbers: ASCII digits, without zeros before others.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    // The standard library takes a plus sign.
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && is_digits).then(|| text.parse().ok())?
}
