//! Signs what the writer has put down: the tree over the leaves, and the key that vouches for it.
//!
//! Invariant: the key is made with the session, is held here and nowhere else, and is zeroised with
//! it. Every batch that adds a leaf ends with a checkpoint of the tree including that leaf, so
//! that whatever a crash leaves behind is signed up to its last whole batch.

use super::frame::{Frame, Kind};
use crate::tlog::{Checkpoint, Frontier, Hash, SigningKey, TlogError, VerifierKey, leaf_hash};

/// Bytes of a checkpoint frame on disk.
pub(super) const CHECKPOINT_FRAME_BYTES: u64 = 136;

/// The key of a session and the tree it signs.
pub(super) struct Sealer {
    key: SigningKey,
    tree: Frontier,
    signed: Signed,
    /// Leaves that are known to be on stable storage.
    synced: u64,
}

impl Sealer {
    /// Makes the key of a session.
    pub(super) fn new(origin: &str) -> Result<Self, TlogError> {
        Ok(Self {
            key: SigningKey::generate(origin)?,
            tree: Frontier::new(),
            signed: Signed::NOTHING,
            synced: 0,
        })
    }

    pub(super) const fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Leaves so far: the index of the next one.
    pub(super) const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Adds a leaf.
    pub(super) fn take(&mut self, leaf: &[u8]) {
        self.tree.push(leaf_hash(leaf));
    }

    /// The checkpoint of all leaves so far; none when the last one still says it all.
    pub(super) fn checkpoint(&mut self) -> Result<Option<Frame>, TlogError> {
        if self.size() == self.signed.size {
            return Ok(None);
        }
        let root = self.tree.root();
        let text = Checkpoint::new(self.key.verifier().name(), self.size(), root)?;
        self.signed = Signed {
            size: self.size(),
            root,
            signature: text.sign_bytes(&self.key)?,
            synced: self.synced,
        };
        Ok(Some(self.signed.frame()))
    }

    /// Everything signed so far is on stable storage.
    pub(super) const fn synced(&mut self) {
        self.synced = self.signed.size;
    }
}

/// A signed checkpoint, as the write-ahead file holds it: origin and key stand in the first leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Leaves under the root.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// Ed25519 over the checkpoint's text (C2SP tlog-checkpoint).
    pub signature: [u8; 64],
    /// Leaves that were on stable storage before it was written. Not signed: it only tells what a
    /// power cut may have left undone at the end of a record from what it cannot have.
    pub synced: u64,
}

impl Signed {
    const NOTHING: Self = Self {
        size: 0,
        root: Hash::from_bytes([0; 32]),
        signature: [0; 64],
        synced: 0,
    };

    fn frame(&self) -> Frame {
        let mut payload = self.root.as_bytes().to_vec();
        payload.extend_from_slice(&self.signature);
        Frame {
            kind: Kind::Checkpoint,
            flags: 0,
            header: [self.size.to_le_bytes(), self.synced.to_le_bytes()].concat(),
            payload,
        }
    }

    /// Reads a checkpoint frame back.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        if frame.kind != Kind::Checkpoint {
            return None;
        }
        let (size, synced) = frame.header.split_first_chunk::<8>()?;
        let (root, signature) = frame.payload.split_first_chunk::<32>()?;
        Some(Self {
            size: u64::from_le_bytes(*size),
            synced: u64::from_le_bytes(synced.try_into().ok()?),
            root: Hash::from_bytes(*root),
            signature: signature.try_into().ok()?,
        })
    }

    /// Whether `key` signed it, and as a checkpoint of its own log.
    #[must_use]
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        Checkpoint::new(key.name(), self.size, self.root)
            .is_ok_and(|it| key.verify_bytes(&it.to_text(), &self.signature).is_ok())
    }

    /// The same as a signed note, for whoever knows nothing of ddgate.
    ///
    /// # Errors
    /// The key's name is no origin.
    pub fn note(&self, key: &VerifierKey) -> Result<String, TlogError> {
        let checkpoint = Checkpoint::new(key.name(), self.size, self.root)?;
        Ok(checkpoint.note(key, &self.signature)?.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_signed_once_and_reads_back() {
        let mut sealer = Sealer::new("host/ddgate/1").unwrap();
        assert_eq!(sealer.checkpoint().unwrap(), None);
        sealer.take(b"one");
        sealer.take(b"two");
        let frame = sealer.checkpoint().unwrap().unwrap();
        assert_eq!(frame.stored_bytes() as u64, CHECKPOINT_FRAME_BYTES);
        assert_eq!(sealer.checkpoint().unwrap(), None);
        let signed = Signed::of(&frame).unwrap();
        assert_eq!((signed.size, signed.is_by(sealer.verifier())), (2, true));
        let other = Sealer::new("host/ddgate/1").unwrap();
        assert!(!signed.is_by(other.verifier()));
        let moved = Signed { size: 3, ..signed };
        assert!(!moved.is_by(sealer.verifier()));
        let note = signed.note(sealer.verifier()).unwrap();
        assert!(note.starts_with("host/ddgate/1\n2\n"), "{note}");
    }
}
