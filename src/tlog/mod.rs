//! The arithmetic of a tamper-evident log: a Merkle tree over leaves, signed statements about it,
//! and the files it is published in. Pure: no I/O, no clock, and randomness only for a new key.
//!
//! Nothing here is a format of our own, so that a session can be checked without ddgate:
//!
//! | file | what | after |
//! |---|---|---|
//! | `hash` | leaf and node hashes | RFC 6962 section 2.1, RFC 9162 section 2.1.1 |
//! | `frontier` | the tree as its writer needs it: size and root in logarithmic memory | the same |
//! | `levels` | the tree as its reader needs it: every proof, every tile | RFC 9162 sections 2.1.3.1, 2.1.4.1 |
//! | `verify` | checking proofs without the tree | RFC 9162 sections 2.1.3.2, 2.1.4.2 |
//! | `key` | Ed25519 keys and their names | RFC 8032, C2SP signed-note |
//! | `note` | a text and the signatures below it | C2SP signed-note |
//! | `checkpoint` | the note that states size and root | C2SP tlog-checkpoint |
//! | `proof` | one leaf, its path and a checkpoint in one file | C2SP tlog-proof |
//! | `tile` | where hashes and leaves stand in a published directory | C2SP tlog-tiles |
//!
//! Invariants: no input makes anything here panic; every parser accepts only what its writer
//! would write, so that parsing and writing again gives the same bytes; a function that verifies
//! returns what it verified. It does not know what a leaf says, which key to trust, or which
//! checkpoints were kept elsewhere.

mod checkpoint;
mod error;
mod frontier;
mod hash;
mod key;
mod levels;
mod note;
mod proof;
#[cfg(test)]
mod tests;
mod tile;
mod verify;

pub use checkpoint::Checkpoint;
pub use error::TlogError;
pub use frontier::Frontier;
pub use hash::{HASH_BYTES, Hash, empty_root, leaf_hash, node_hash};
pub use key::{SIGNATURE_BYTES, SigningKey, VerifierKey};
pub use levels::Levels;
pub use note::{NoteSignature, SignedNote};
pub use proof::TlogProof;
pub use tile::{TILE_WIDTH, Tile, TileKind, bundles_of, decode_bundle, encode_bundle, tiles_of};
pub use verify::{verify_consistency, verify_inclusion};
