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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tlog::tests::{edited, flipped, tree};
    use crate::tlog::{SigningKey, leaf_hash};

    fn key() -> SigningKey {
        SigningKey::from_seed("example.com/log", &[5; 32]).unwrap()
    }

    fn proof(index: u64, size: u64, extra: &[u8]) -> TlogProof {
        let tree = tree(size);
        let checkpoint = Checkpoint::new("example.com/log", size, tree.root_at(size).unwrap());
        TlogProof {
            index,
            hashes: tree.inclusion(index, size).unwrap(),
            checkpoint: checkpoint.unwrap().sign(&key()).unwrap(),
            extra: extra.to_vec(),
        }
    }

    fn leaf(index: u64) -> Hash {
        leaf_hash(&index.to_be_bytes())
    }

    #[test]
    fn its_lines() {
        let proof = proof(5, 11, b"why");
        let text = proof.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..3],
            ["c2sp.org/tlog-proof@v1", "extra d2h5", "index 5"]
        );
        // The sibling, as the specification has it, comes first.
        assert_eq!(lines[3], leaf(4).to_string());
        assert_eq!(lines[7..10], ["", "example.com/log", "11"]);
        assert_eq!(lines.len(), 13);
        let parsed = TlogProof::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed, proof);
        let checkpoint = parsed.verify(&leaf(5), key().verifier()).unwrap();
        assert_eq!(checkpoint.size(), 11);
    }

    /// Without its extra line and with another signature: both are cut short there.
    #[test]
    fn the_example_of_the_specification() {
        let text = "c2sp.org/tlog-proof@v1\n\
            index 73894\n\
            gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
            B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\
            EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\n\
            RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n\
            AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n\n\
            example.com/fancylog\n109482\n\
            sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n\
            \u{2014} example.com/fancylog hI2DJwAA\n";
        let proof = TlogProof::parse(text.as_bytes()).unwrap();
        assert_eq!((proof.index, proof.hashes.len()), (73_894, 5));
        assert_eq!(proof.to_string(), text);
    }

    #[test]
    fn every_leaf_of_small_trees() {
        let key = key();
        for size in 1..=20 {
            for index in 0..size {
                let proof = proof(index, size, b"");
                let proof = TlogProof::parse(proof.to_string().as_bytes()).unwrap();
                for other in 0..size {
                    let verdict = proof.verify(&leaf(other), key.verifier());
                    assert_eq!(verdict.is_ok(), other == index, "{index} {other} {size}");
                }
            }
        }
    }

    #[test]
    fn proofs_that_are_none() {
        let good = proof(5, 11, b"why").to_string();
        let path = leaf(4).to_string();
        for wrong in [
            String::new(),
            good.replace("@v1", "@v2"),
            good.replacen("extra d2h5\n", "extra \n", 1),
            good.replacen("extra d2h5\n", "extra\n", 1),
            good.replacen("extra d2h5\n", "extra d2h5\nextra d2h5\n", 1),
            good.replacen("extra d2h5\nindex 5\n", "index 5\nextra d2h5\n", 1),
            good.replacen("index 5\n", "", 1),
            good.replacen("index 5\n", "index 05\n", 1),
            good.replacen("index 5\n", "index +5\n", 1),
            good.replacen("index 5\n", "index 5 \n", 1),
            good.replacen("index 5\n", "index 5\r\n", 1),
            good.replacen(
                "index 5\n",
                &format!("index 5\n{}", format!("{path}\n").repeat(65)),
                1,
            ),
            good.replace("\n\nexample", "\nexample"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("\n{good}"),
        ] {
            assert!(TlogProof::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let huge = "A".repeat(PROOF_BYTES_MAX);
        let huge = good.replacen("d2h5", &huge, 1);
        assert_eq!(
            TlogProof::parse(huge.as_bytes()),
            Err(TlogError::Proof("too large"))
        );
    }

    /// A blank line too early makes the path a part of the note's text, which then is no longer
    /// what was signed.
    #[test]
    fn a_path_inside_the_note_is_no_path() {
        let good = proof(5, 11, b"").to_string();
        let moved = good.replacen("index 5\n", "index 5\n\n", 1);
        let parsed = TlogProof::parse(moved.as_bytes()).unwrap();
        assert!(parsed.hashes.is_empty());
        assert!(parsed.verify(&leaf(5), key().verifier()).is_err());
    }

    #[test]
    fn no_proof_with_a_flipped_byte_verifies() {
        let key = key();
        for bytes in flipped(proof(5, 11, b"").to_string().as_bytes()) {
            if let Ok(proof) = TlogProof::parse(&bytes) {
                assert!(proof.verify(&leaf(5), key.verifier()).is_err(), "{proof}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(
            bytes in prop_oneof![edited(proof(5, 11, b"why").to_string().into_bytes()), any::<Vec<u8>>()],
        ) {
            if let Ok(proof) = TlogProof::parse(&bytes) {
                prop_assert_eq!(proof.to_string().into_bytes(), bytes);
            }
        }
    }
}
