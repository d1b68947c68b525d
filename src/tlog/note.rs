//! A signed note (C2SP signed-note): a text, a blank line, and lines of signatures.
//!
//! It is believed only after [`SignedNote::verify`]. Signatures by other keys are kept and written
//! again, and say nothing: witnesses may sign a note next to its log.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::TlogError;
use super::key::{VerifierKey, check_name};
use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

/// What a line of signature begins with: em dash, space.
const DASH: &str = "\u{2014} ";
/// Bytes of a key id, which stand before every signature.
const ID_BYTES: usize = 4;

/// One signature line: `— <name> <base64 of id ‖ signature>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; ID_BYTES],
    signature: Vec<u8>,
}

impl NoteSignature {
    /// A signature of any type, by the key with this name and id.
    ///
    /// # Errors
    ///
    /// If the name is not one, or the signature is empty.
    pub fn new(name: &str, id: [u8; ID_BYTES], signature: &[u8]) -> Result<Self, TlogError> {
        check_name(name)?;
        if signature.is_empty() {
            return Err(TlogError::Note("an empty signature"));
        }
        Ok(Self {
            name: name.to_owned(),
            id,
            signature: signature.to_vec(),
        })
    }

    /// Name of the key that is said to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of that key.
    #[must_use]
    pub const fn id(&self) -> [u8; ID_BYTES] {
        self.id
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whether this line claims to be by the key. Name and id both: one of them says nothing.
    #[must_use]
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }

    fn parse(line: &str) -> Result<Self, TlogError> {
        let wrong = TlogError::Note("not a line of signature");
        let signed = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.split_once(' '));
        let (name, signature) = signed.ok_or(wrong.clone())?;
        let bytes = BASE64_STANDARD.decode(signature);
        let bytes = bytes.map_err(|_| TlogError::Note("a signature that is not base64"))?;
        let (id, signature) = bytes.split_first_chunk::<ID_BYTES>().ok_or(wrong)?;
        Self::new(name, *id, signature)
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.signature].concat();
        let encoded = BASE64_STANDARD.encode(bytes);
        write!(f, "{DASH}{} {encoded}", self.name)
    }
}

/// A text and its signatures. Displays as the file it is, and parses only from what it would
/// display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Joins a text and its signatures, unverified.
    ///
    /// # Errors
    ///
    /// If the text does not end in a newline or has other control characters, or there are no
    /// signatures or too many.
    pub fn new(text: &str, signatures: Vec<NoteSignature>) -> Result<Self, TlogError> {
        check_text(text)?;
        if !text.ends_with('\n') {
            return Err(TlogError::Note("the text does not end in a newline"));
        }
        if signatures.is_empty() {
            return Err(TlogError::Note("no signatures"));
        }
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(TlogError::Note("too many signatures"));
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// Reads a note.
    ///
    /// # Errors
    ///
    /// If it is not one, to the byte, or larger than what is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(TlogError::Note("too large"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| TlogError::Note("not UTF-8"))?;
        check_text(note)?;
        // The last blank line: the text may have others.
        let blank = note.rfind("\n\n").ok_or(TlogError::Note("no blank line"))?;
        let (text, rest) = note.split_at(blank + 1);
        let lines = rest[1..].strip_suffix('\n');
        let lines = lines.ok_or(TlogError::Note("the end is missing"))?;
        // One more than allowed is looked at, to be refused.
        let lines = lines.split('\n').take(NOTE_SIGNATURES_MAX + 1);
        let signatures = lines.map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Self::new(text, signatures)
    }

    /// The text. Not to be believed before [`SignedNote::verify`], which gives it too.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks the signature of a key, and gives the text it signed. A line that names the key and
    /// is false spoils the note, also next to a good one.
    ///
    /// # Errors
    ///
    /// If no signature is by the key.
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, TlogError> {
        let mut is_signed = false;
        for line in self.signatures.iter().filter(|line| line.is_of(key)) {
            key.verify_bytes(&self.text, &line.signature)?;
            is_signed = true;
        }
        if is_signed {
            Ok(&self.text)
        } else {
            Err(TlogError::Unsigned {
                key: key.name().to_owned(),
            })
        }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), TlogError> {
    if text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(TlogError::Note("a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use signed_note::{StandardSigner, StandardVerifier, VerifierList};

    use super::*;
    use crate::tlog::SigningKey;
    use crate::tlog::tests::{edited, flipped};

    /// From the documentation of Go's `sumdb/note`.
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    fn key() -> SigningKey {
        SigningKey::from_seed("example.com/ddgate/1", &[5; 32]).unwrap()
    }

    /// The same key in the hands of `signed_note`.
    fn their_key() -> StandardSigner {
        let key = key();
        let id = u32::from_be_bytes(key.verifier().id());
        let seed = BASE64_STANDARD.encode([[1].as_slice(), &[5; 32]].concat());
        let name = key.verifier().name();
        StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id:08x}+{seed}")).unwrap()
    }

    fn their_verifier(vkey: &VerifierKey) -> VerifierList {
        let verifier = StandardVerifier::new(&vkey.to_string()).unwrap();
        VerifierList::new(vec![Box::new(verifier)])
    }

    /// Texts that notes may have, blank lines and signature-like lines among them.
    fn texts() -> impl Strategy<Value = String> {
        "([ -~\u{2014}é\u{7f}\u{2028}]{0,12}\n|\n|\u{2014} a AAAAAAA=\n){1,5}"
    }

    #[test]
    fn a_note_known_from_elsewhere() {
        let note = SignedNote::parse(NOTE.as_bytes()).unwrap();
        assert_eq!(note.to_string(), NOTE);
        let text = note.verify(&VKEY.parse().unwrap()).unwrap();
        assert!(text.starts_with("If you") && text.ends_with("problem is.\n"));
        let stranger = key();
        let unsigned = TlogError::Unsigned {
            key: stranger.verifier().name().to_owned(),
        };
        assert_eq!(note.verify(stranger.verifier()), Err(unsigned));
    }

    #[test]
    fn a_note_is_made_again_from_text_and_signature() {
        let key = key();
        let signature = key.sign_bytes("a\n\nb\n");
        let note = key.verifier().note("a\n\nb\n", &signature).unwrap();
        assert_eq!(note, key.sign("a\n\nb\n").unwrap());
        assert_eq!(note.verify(key.verifier()), Ok("a\n\nb\n"));
    }

    #[test]
    fn strangers_are_ignored_and_liars_are_not() {
        let (key, witness) = (key(), SigningKey::generate("witness").unwrap());
        let text = "text\n";
        let ours = key.sign(text).unwrap().signatures()[0].clone();
        let theirs = witness.sign(text).unwrap().signatures()[0].clone();
        let (name, id) = (key.verifier().name(), key.verifier().id());
        // Name or id alone are somebody else's; both together are a claim.
        let namesake = NoteSignature::new(name, [0; 4], &[1]).unwrap();
        let double = NoteSignature::new("other", id, &[1]).unwrap();
        let liar = NoteSignature::new(name, id, &[1]).unwrap();
        let good = vec![double, theirs, ours.clone(), namesake, ours];
        let note = SignedNote::new(text, good.clone()).unwrap();
        let note = SignedNote::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(note.signatures().len(), 5);
        assert_eq!(note.verify(key.verifier()), Ok(text));
        assert_eq!(note.verify(witness.verifier()), Ok(text));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad.insert(at, liar.clone());
            let note = SignedNote::new(text, bad).unwrap();
            let falsely = TlogError::Signature {
                key: name.to_owned(),
            };
            assert_eq!(note.verify(key.verifier()), Err(falsely));
        }
    }

    #[test]
    fn notes_that_are_none() {
        let line = NOTE.lines().last().unwrap();
        let many = |count| format!("a\n\n{}", format!("{line}\n").repeat(count));
        assert!(SignedNote::parse(many(NOTE_SIGNATURES_MAX).as_bytes()).is_ok());
        assert!(SignedNote::parse(b"\n\n\xe2\x80\x94 a AAAAAAA=\n").is_ok());
        for wrong in [
            String::new(),
            "\n\n".to_owned(),
            "a\n\n".to_owned(),
            format!("a\n{line}\n"),
            format!("a\n\n{line}"),
            format!("a\n\n{line}\n\n"),
            format!("a\n\n {line}\n"),
            format!("a\n\n{line} \n"),
            format!("a\n\n{line}\nb\n"),
            format!("a\r\n\n{line}\n"),
            format!("a\0\n\n{line}\n"),
            format!("a\n\n{}\n", line.replace('\u{2014}', "-")),
            format!("a\n\n{}\n", line.replace("Neumann", "+")),
            format!("a\n\n{}\n", line.replace("AM=", "AN=")),
            "a\n\n\u{2014} a AAAAAA==\n".to_owned(),
            "a\n\n\u{2014}  AAAAAAA=\n".to_owned(),
            many(NOTE_SIGNATURES_MAX + 1),
            format!("{}\n\n{line}\n", "a".repeat(NOTE_BYTES_MAX)),
        ] {
            let shown = &wrong[..wrong.len().min(200)];
            assert!(SignedNote::parse(wrong.as_bytes()).is_err(), "{shown:?}");
        }
        assert!(SignedNote::parse(&[NOTE.as_bytes(), b"\xff"].concat()).is_err());
        let line = vec![NoteSignature::new("a", [0; 4], b"b").unwrap()];
        assert!(SignedNote::new("", line.clone()).is_err());
        assert!(SignedNote::new("a", line.clone()).is_err());
        assert!(SignedNote::new("a\u{1}\n", line).is_err());
        assert!(SignedNote::new("a\n", Vec::new()).is_err());
        assert!(NoteSignature::new("a", [0; 4], b"").is_err());
    }

    #[test]
    fn no_note_with_a_flipped_byte_verifies() {
        let key = VKEY.parse().unwrap();
        for bytes in flipped(NOTE.as_bytes()) {
            if let Ok(note) = SignedNote::parse(&bytes) {
                assert!(note.verify(&key).is_err(), "{note}");
            }
        }
    }

    proptest! {
        #[test]
        fn ours_holds_for_signed_note(text in texts()) {
            let key = key();
            let ours = key.sign(&text).unwrap();
            let theirs = signed_note::Note::from_bytes(ours.to_string().as_bytes()).unwrap();
            let (verified, unverified) = theirs.verify(&their_verifier(key.verifier())).unwrap();
            prop_assert_eq!((verified.len(), unverified.len()), (1, 0));
            prop_assert_eq!(theirs.text(), text.as_bytes());
        }

        #[test]
        fn theirs_holds_for_us(text in texts()) {
            let mut theirs = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
            theirs.add_sigs(&[&their_key()]).unwrap();
            let ours = SignedNote::parse(&theirs.to_bytes()).unwrap();
            prop_assert_eq!(ours.verify(key().verifier()), Ok(text.as_str()));
            // Ed25519 is deterministic: whoever signs, the note is the same.
            prop_assert_eq!(ours, key().sign(&text).unwrap());
        }

        #[test]
        fn any_bytes_are_safe_and_judged_as_by_signed_note(
            bytes in prop_oneof![edited(NOTE.as_bytes().to_vec()), any::<Vec<u8>>()],
        ) {
            let ours = SignedNote::parse(&bytes);
            prop_assert_eq!(ours.is_ok(), signed_note::Note::from_bytes(&bytes).is_ok());
            if let Ok(note) = ours {
                prop_assert_eq!(note.to_string().into_bytes(), bytes);
            }
        }
    }
}
