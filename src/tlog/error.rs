//! What can be wrong with a tree, a note or a tile. No variant carries content of what was read:
//! it has not been verified, and may be anything.

use thiserror::Error;

/// An error of this room.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlogError {
    /// Not 32 bytes in canonical base64 where a hash should be.
    #[error("not a hash in base64")]
    Hash,
    /// A size beyond the tree, or two sizes in the wrong order.
    #[error("the tree has {have} leaves, asked for {asked}")]
    Size {
        /// Leaves there are.
        have: u64,
        /// Leaves asked for.
        asked: u64,
    },
    /// A leaf beyond the end of the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// The leaf.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The path does not lead from the leaf to the root.
    #[error("the inclusion proof of leaf {index} does not lead to the root of {size} leaves")]
    Inclusion {
        /// The leaf.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is not a beginning of the newer one, or the proof does not show it.
    #[error("the tree of {new} leaves is not shown to continue the one of {old} leaves")]
    Consistency {
        /// Leaves in the older tree.
        old: u64,
        /// Leaves in the newer tree.
        new: u64,
    },
    /// A key name that is empty, or has a space, a plus or a control character.
    #[error("not a key name: empty, or with a space, a plus or a control character")]
    KeyName,
    /// Not `<name>+<8 hex digits>+<base64>` of an Ed25519 key, or a key id that is not that key's.
    #[error("not a verifier key: {0}")]
    VerifierKey(&'static str),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// A note without a signature by the key.
    #[error("the note has no signature by {key}")]
    Unsigned {
        /// Name of the key.
        key: String,
    },
    /// A signature that names the key and is not by it.
    #[error("the note has a false signature by {key}")]
    Signature {
        /// Name of the key.
        key: String,
    },
    /// Not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// A checkpoint of one log under the key of another.
    #[error("the checkpoint's origin is not the key's name, {key}")]
    Origin {
        /// Name of the key.
        key: String,
    },
    /// Not a proof file.
    #[error("not a tlog proof: {0}")]
    Proof(&'static str),
    /// Not the path of a tile or bundle.
    #[error("not the path of a tile: {0}")]
    TilePath(&'static str),
    /// Contents that do not fit the tile.
    #[error("not the contents of a tile of width {width}: {why}")]
    Tile {
        /// Hashes or entries the tile should hold.
        width: u16,
        /// What is wrong.
        why: &'static str,
    },
    /// Entries that no bundle can hold.
    #[error("no entry bundle: {0}")]
    Bundle(&'static str),
}
