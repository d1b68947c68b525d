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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tlog::leaf_hash;
    use crate::tlog::tests::{edited, flipped};

    const TEXT: &str = "example.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn key() -> SigningKey {
        SigningKey::from_seed("example.com/behind-the-sofa", &[5; 32]).unwrap()
    }

    #[test]
    fn the_example_of_the_specification() {
        let checkpoint: Checkpoint = TEXT.parse().unwrap();
        assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size(), 20_852_163);
        assert_eq!(checkpoint.to_text(), TEXT);
        let note = "\n\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let note = SignedNote::parse(format!("{TEXT}{note}").as_bytes()).unwrap();
        assert_eq!(note.text().parse(), Ok(checkpoint));
    }

    #[test]
    fn signed_and_verified() {
        let key = key();
        let checkpoint: Checkpoint = TEXT.parse().unwrap();
        let note = checkpoint.sign(&key).unwrap();
        assert_eq!(
            Checkpoint::verify(&note, key.verifier()),
            Ok(checkpoint.clone())
        );
        let kept = checkpoint.sign_bytes(&key).unwrap();
        assert_eq!(checkpoint.note(key.verifier(), &kept), Ok(note));
    }

    #[test]
    fn one_log_does_not_speak_for_another() {
        let (key, other) = (key(), SigningKey::generate("example.com/other").unwrap());
        let checkpoint: Checkpoint = TEXT.parse().unwrap();
        let origin = TlogError::Origin {
            key: "example.com/other".to_owned(),
        };
        assert_eq!(checkpoint.sign(&other), Err(origin.clone()));
        assert_eq!(checkpoint.sign_bytes(&other), Err(origin.clone()));
        let kept = checkpoint.sign_bytes(&key).unwrap();
        assert_eq!(
            checkpoint.note(other.verifier(), &kept),
            Err(origin.clone())
        );
        let foreign = other.sign(TEXT).unwrap();
        assert_eq!(Checkpoint::verify(&foreign, other.verifier()), Err(origin));
        assert!(Checkpoint::verify(&foreign, key.verifier()).is_err());
        // Signed, and no checkpoint.
        let prose = key.sign("prose\n").unwrap();
        let error = Checkpoint::verify(&prose, key.verifier()).unwrap_err();
        assert_eq!(error, TlogError::Checkpoint("fewer than three lines"));
    }

    #[test]
    fn checkpoints_that_are_none() {
        for (wrong, why) in [
            (String::new(), "the last line does not end"),
            (TEXT.trim_end().to_owned(), "the last line does not end"),
            ("a\n0\n".to_owned(), "fewer than three lines"),
            (format!("{TEXT}extension\n"), "extension lines"),
            (format!("{TEXT}\n"), "extension lines"),
            (format!("\n{TEXT}"), "extension lines"),
            (TEXT.replace("208", "0208"), "the size is not a number"),
            (TEXT.replace("208", "+208"), "the size is not a number"),
            (TEXT.replace("208", "-208"), "the size is not a number"),
            (TEXT.replace("208", " 208"), "the size is not a number"),
            (TEXT.replace("20852163", ""), "the size is not a number"),
            (
                TEXT.replace("20852163", "18446744073709551616"),
                "the size is not a number",
            ),
            (
                TEXT.replace("20852163", "\u{661}"),
                "the size is not a number",
            ),
            (TEXT.replace("q2I=", "q2J="), "the root is not a hash"),
            (TEXT.replace("q2I=", "q2I"), "the root is not a hash"),
            (
                TEXT.replace("example", "exam ple"),
                "the origin is not a key name",
            ),
            (
                TEXT.replace("example.com/behind-the-sofa", ""),
                "the origin is not a key name",
            ),
        ] {
            assert_eq!(
                wrong.parse::<Checkpoint>(),
                Err(TlogError::Checkpoint(why)),
                "{wrong:?}"
            );
        }
        assert_eq!(
            Checkpoint::new("a\nb", 0, leaf_hash(b"")),
            Err(TlogError::KeyName)
        );
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal("00"), None);
    }

    #[test]
    fn no_checkpoint_with_a_flipped_byte_verifies() {
        let key = key();
        let checkpoint: Checkpoint = TEXT.parse().unwrap();
        for bytes in flipped(checkpoint.sign(&key).unwrap().to_string().as_bytes()) {
            if let Ok(note) = SignedNote::parse(&bytes) {
                assert!(Checkpoint::verify(&note, key.verifier()).is_err(), "{note}");
            }
        }
    }

    proptest! {
        #[test]
        fn as_tlog_tiles_writes_and_reads(
            origin in "[a-z./0-9-]{1,30}", size in any::<u64>(), leaf in any::<[u8; 8]>(),
        ) {
            let root = leaf_hash(&leaf);
            let ours = Checkpoint::new(&origin, size, root).unwrap();
            let hash = tlog_tiles::Hash(*root.as_bytes());
            let theirs = tlog_tiles::Checkpoint::new(&origin, size, hash, "").unwrap();
            prop_assert_eq!(ours.to_text().into_bytes(), theirs.to_bytes());
            prop_assert_eq!(tlog_tiles::Checkpoint::from_bytes(ours.to_text().as_bytes()).unwrap(), theirs);
            prop_assert_eq!(ours.to_text().parse(), Ok(ours));
        }

        #[test]
        fn any_text_is_safe(text in prop_oneof![edited(TEXT.as_bytes().to_vec()), any::<Vec<u8>>()]) {
            let text = String::from_utf8_lossy(&text);
            if let Ok(checkpoint) = text.parse::<Checkpoint>() {
                prop_assert_eq!(checkpoint.to_text(), text.as_ref());
                // We are the stricter: they take extension lines and any origin.
                prop_assert!(tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).is_ok());
            }
        }
    }
}
