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
    fn is_of(&self, key: &VerifierKey) -> bool {
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
