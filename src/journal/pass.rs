//! One pass over a session's record, from its first frame to its last: checked on the way, in
//! bounded memory, without the index. Also over a record that still grows.
//!
//! A running session is read from its file, in place: it is append-only, every frame checks
//! itself, and a reader needs no lock. Nothing is asked of the gate that writes it.

use std::ops::ControlFlow;

use super::audit::{Audit, Depth, Expected};
use super::auditor::Auditor;
use super::catalog::{Manifest, SessionDir};
use super::content::{self, Opening};
use super::crypt::Identities;
use super::frame::{Frame, Kind};
use super::reader;
use super::vault::Vault;
use super::wal::{End, Position, Scanner, Step};
use super::{JournalError, index};
use crate::limits;
use crate::record::{Commitment, Contents, Leaf, SessionId};
use crate::tlog::{Hash, leaf_hash};

/// A session, to be read from beginning to end.
#[derive(Clone, Debug)]
pub struct Pass {
    dir: SessionDir,
    id: SessionId,
    vault: Vault,
}

/// What stands beside one leaf.
pub struct Beside<'a> {
    dir: &'a SessionDir,
    vault: &'a Vault,
    frames: Vec<(Opening, Frame)>,
    pieces: Vec<(u64, Position)>,
}

impl Beside<'_> {
    /// The content of a field, if it is there and is what the leaf commits to.
    #[must_use]
    pub fn content(&self, field: &str, committed: &Commitment) -> Option<Vec<u8>> {
        let (opening, frame) = self.frames.iter().find(|(it, _)| it.field == field)?;
        let mut plain = Vec::new();
        if opening.content == 0 {
            plain = content::payload(frame).ok()?;
        }
        let pieces = self.pieces.iter();
        for (_, at) in pieces.filter(|(number, _)| *number == opening.content) {
            plain.extend(index::plain(self.dir.path(), *at, self.vault.cipher()).ok()?);
        }
        let found = content::recompute(&opening.salt, field, &plain);
        (found == *committed).then_some(plain)
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.pieces.clear();
    }
}

impl Pass {
    /// Finds the session in `dir`.
    ///
    /// # Errors
    /// The directory holds no session this version can read.
    pub fn open(dir: SessionDir) -> Result<Self, JournalError> {
        let id = reader::head(&dir)?;
        let vault = Vault::of(&dir, id)?;
        Ok(Self { dir, id, vault })
    }

    /// The same session, its contents as far open as somebody else has them.
    pub(super) const fn with(dir: SessionDir, id: SessionId, vault: Vault) -> Self {
        Self { dir, id, vault }
    }

    /// Opens sealed contents; nothing to do where none are, or without an identity.
    ///
    /// # Errors
    /// None of the identities is a recipient, or the session's key does not read.
    pub fn unlock(&mut self, identities: &Identities) -> Result<(), JournalError> {
        self.vault.unlock(identities)
    }

    /// What can be seen of the contents.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.vault.contents()
    }

    /// The session's id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whether its gate still writes.
    ///
    /// # Errors
    /// Its lock cannot be asked.
    pub fn is_running(&self) -> Result<bool, JournalError> {
        reader::is_live(&self.dir)
    }

    /// Bytes of the record, about.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        self.dir.record_bytes()
    }

    /// The manifest written when the session closed, if it did. Nobody's evidence.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        Manifest::load(self.dir.path())
    }

    /// Reads what is there. `each` gets every leaf that reads, with what stands beside it, and may
    /// end the pass; what is behind is then not checked.
    ///
    /// # Errors
    /// The record cannot be read at all.
    pub fn read(
        &self,
        depth: Depth,
        each: impl FnMut(Leaf, &Beside<'_>) -> ControlFlow<()>,
    ) -> Result<Audit, JournalError> {
        self.go(depth, &|| ControlFlow::Break(()), None, each)
    }

    /// The same, and keeps the hash of every leaf.
    pub(super) fn hash(
        &self,
        hashes: &mut Vec<Hash>,
        each: impl FnMut(Leaf, &Beside<'_>) -> ControlFlow<()>,
    ) -> Result<Audit, JournalError> {
        self.go(
            Depth::Leaves,
            &|| ControlFlow::Break(()),
            Some(hashes),
            each,
        )
    }

    /// The same, and goes on while the session runs: `waits` is called whenever there is nothing
    /// new, and may end the pass.
    ///
    /// # Errors
    /// The record cannot be read at all.
    pub fn follow(
        &self,
        depth: Depth,
        waits: &dyn Fn() -> ControlFlow<()>,
        each: impl FnMut(Leaf, &Beside<'_>) -> ControlFlow<()>,
    ) -> Result<Audit, JournalError> {
        self.go(depth, waits, None, each)
    }

    fn go(
        &self,
        depth: Depth,
        waits: &dyn Fn() -> ControlFlow<()>,
        mut hashes: Option<&mut Vec<Hash>>,
        mut each: impl FnMut(Leaf, &Beside<'_>) -> ControlFlow<()>,
    ) -> Result<Audit, JournalError> {
        let path = self.dir.path();
        let read = |e| JournalError::io("read", path)(e);
        let expected = Expected::default();
        let mut live = self.is_running()?;
        let mut auditor = Auditor::with(&self.dir, &expected, depth, self.vault.clone())?;
        let mut scanner = Scanner::open(path, Position::START).map_err(read)?;
        let mut beside = Beside {
            dir: &self.dir,
            vault: &self.vault,
            frames: Vec::new(),
            pieces: Vec::new(),
        };
        loop {
            match scanner.step().map_err(read)? {
                Step::Frame(seq, at, frame) => {
                    auditor.frame(seq, at, &frame)?;
                    match frame.kind {
                        Kind::Leaf => {
                            if let Some(hashes) = &mut hashes {
                                hashes.push(leaf_hash(&frame.payload));
                            }
                            if let Ok(leaf) = Leaf::from_bytes(&frame.payload)
                                && each(leaf, &beside).is_break()
                            {
                                return Ok(auditor.finish(End::Open));
                            }
                            beside.clear();
                        }
                        Kind::Opening => {
                            let opened = self.vault.opened(frame);
                            let opened =
                                opened.and_then(|it| Some((Opening::parse(&it.header)?, it)));
                            beside.frames.extend(opened);
                        }
                        Kind::Content if beside.pieces.len() < limits::PIECES_BESIDE_MAX => {
                            let number = content::parse_content_header(&frame.header);
                            beside.pieces.extend(number.map(|(number, _)| (number, at)));
                        }
                        _ => {}
                    }
                }
                Step::Damage { from, to } => auditor.damage(from, to),
                Step::End(end) => {
                    // Asked before this round of reading: if it was over then, all has been seen.
                    auditor.running(live);
                    if end == End::Sealed || !live || waits().is_break() {
                        return Ok(auditor.finish(end));
                    }
                    live = self.is_running()?;
                    scanner = Scanner::open(path, scanner.position()).map_err(read)?;
                }
            }
        }
    }
}
