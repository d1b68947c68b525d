//! One leaf's proof as a file (C2SP tlog-proof): where the leaf is, the path from it to the root,
//! and the signed checkpoint with that root. With the leaf and the key it is checked offline.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::checkpoint::decimal;
use super::{Checkpoint, Hash, SignedNote, TlogError, VerifierKey, verify_inclusion};
use crate::limits::PROOF_BYTES_MAX;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Hashes of the longest path: that of a tree of 2^64 leaves.
const PATH_MAX: usize = 64;

/// A proof that a leaf is in a log. Displays as the file it is, and parses only from what it would
/// display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// The leaf's place in the log.
    pub index: u64,
    /// The path from the leaf's sibling to a child of the root.
    pub hashes: Vec<Hash>,
    /// The checkpoint, as signed.
    pub checkpoint: SignedNote,
    /// Whatever an application adds; empty for nothing. Nothing vouches for it.
    pub extra: Vec<u8>,
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    ///
    /// If it is not one, to the byte, or larger than what is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogError> {
        let wrong = TlogError::Proof;
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(wrong("too large"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("not UTF-8"))?;
        // No line before the checkpoint is empty, so the first blank line is where it begins.
        let (head, note) = text.split_once("\n\n").ok_or(wrong("no blank line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(wrong("the first line is not its header"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = match extra.and_then(|line| line.strip_prefix("extra ")) {
            None => Vec::new(),
            Some("") => return Err(wrong("extra data that is empty")),
            Some(data) => {
                let data = BASE64_STANDARD.decode(data);
                data.map_err(|_| wrong("extra data that is not base64"))?
            }
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(decimal).ok_or(wrong("no index"))?;
        // One more than allowed is looked at, to be refused.
        let hashes: Result<Vec<_>, _> = lines.take(PATH_MAX + 1).map(str::parse).collect();
        let hashes = hashes.map_err(|_| wrong("a line of the path is not a hash"))?;
        if hashes.len() > PATH_MAX {
            return Err(wrong("a path longer than any"));
        }
        let checkpoint = SignedNote::parse(note.as_bytes())?;
        Ok(Self {
            index,
            hashes,
            checkpoint,
            extra,
        })
    }

    /// Checks that the leaf with this hash is in the log of this key, at [`TlogProof::index`], and
    /// gives the checkpoint that says so.
    ///
    /// # Errors
    ///
    /// If the checkpoint is not signed by the key, or the path does not lead to its root.
    pub fn verify(&self, leaf: &Hash, key: &VerifierKey) -> Result<Checkpoint, TlogError> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, key)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        verify_inclusion(leaf, self.index, size, &self.hashes, root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
