//! Walks a session's record in the order it was written: what opens the commitments of a leaf, the
//! leaf's exact bytes, the signatures. For whoever carries the record elsewhere.
//!
//! Needs neither lock nor index, so that closed, crashed and running sessions read alike, and holds
//! no content: that is read when it is asked for, a piece at a time. It checks nothing beyond the
//! frames' own checksums and passes over damage; that is the business of [`super::audit()`].

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::catalog::SessionDir;
use super::content::{self, Opening};
use super::crypt::{Cipher, Identities};
use super::frame::{Frame, Kind};
use super::pack::{self, Coding};
use super::seal::Signed;
use super::vault::Vault;
use super::wal::{Position, Scanner, Step};
use super::{JournalError, erase, index};
use crate::record::SessionId;

/// What is carried elsewhere only as it is sealed: what binds a session's key to a person holds
/// their ID token, which opens whatever takes it until it expires.
const STAYS_SEALED: [&str; 1] = ["bind"];

/// What a walk meets. A leaf's openings come before it, a checkpoint after the leaves it covers.
#[derive(Clone, Debug)]
pub enum Found {
    /// Salt and content of one committed field of a leaf that follows.
    Opening(FieldOpening),
    /// The exact bytes of the next leaf.
    Leaf(Vec<u8>),
    /// A checkpoint, unchecked.
    Checkpoint(Signed),
}

/// Salt and content of one committed field.
#[derive(Clone, Debug)]
pub struct FieldOpening {
    /// Index of the leaf.
    pub leaf: u64,
    /// Name of the field.
    pub field: String,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    dir: Arc<Path>,
    place: Place,
    /// The age header of the session, if it has one.
    keys: Arc<[u8]>,
    /// What opens its pieces.
    cipher: Option<Opener>,
}

/// The key of a session that was opened. Shows nothing of it.
#[derive(Clone)]
struct Opener(Arc<Cipher>);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener([secret])")
    }
}

#[derive(Clone, Debug)]
enum Place {
    /// In the opening's own frame.
    Inline(Frame),
    /// In frames of its own.
    Pieces(Vec<Position>),
    /// In this frame, sealed, and in others.
    Sealed(Frame, Vec<Position>),
    /// Nowhere any more.
    Erased,
}

/// Why the content of an opening cannot be read here.
pub enum Shut<I> {
    /// It was erased on purpose.
    Erased,
    /// It is sealed: in age files, the first of which holds the salt before the content.
    Sealed(I),
}

/// An age file that holds a piece of content.
pub struct AgeFile {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// How the content in it is packed.
    pub coding: Coding,
}

impl FieldOpening {
    /// Why there is no content to read, where there is none.
    #[must_use]
    pub fn shut(&self) -> Option<Shut<impl Iterator<Item = Result<AgeFile, JournalError>>>> {
        let (first, pieces) = match &self.place {
            Place::Inline(_) | Place::Pieces(_) => return None,
            Place::Erased => return Some(Shut::Erased),
            Place::Sealed(first, pieces) => (first, pieces),
        };
        let first = std::iter::once(Ok(self.age_file(first)));
        let rest = pieces
            .iter()
            .map(|at| Ok(self.age_file(&index::frame(&self.dir, *at, None)?)));
        Some(Shut::Sealed(first.chain(rest)))
    }

    fn age_file(&self, frame: &Frame) -> AgeFile {
        AgeFile {
            bytes: [&self.keys[..], &frame.payload].concat(),
            coding: pack::coding(frame.flags),
        }
    }

    /// The content, piece by piece.
    ///
    /// # Errors
    /// A piece is damaged or gone: nothing after it is to be used.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Vec<u8>, JournalError>> {
        let (inline, stored): (_, &[Position]) = match &self.place {
            Place::Inline(frame) => (Some(self.unpacked(frame)), &[]),
            Place::Pieces(pieces) if !pieces.is_empty() => (None, pieces),
            Place::Pieces(_) | Place::Sealed(..) | Place::Erased => {
                let gone = io::Error::new(io::ErrorKind::InvalidData, "its content is gone");
                (Some(Err(JournalError::io("read", &*self.dir)(gone))), &[])
            }
        };
        let cipher = self.cipher.as_ref().map(|it| &*it.0);
        let stored = stored
            .iter()
            .map(move |at| index::plain(&self.dir, *at, cipher));
        inline.into_iter().chain(stored)
    }

    fn unpacked(&self, frame: &Frame) -> Result<Vec<u8>, JournalError> {
        content::payload(frame).map_err(JournalError::io("read", &*self.dir))
    }
}

/// Begins a walk. Of a session that `identities` open, what is sealed is met as if it were not.
///
/// # Errors
/// The record cannot be opened, or not by any of the identities.
pub fn walk(
    dir: &SessionDir,
    session: SessionId,
    identities: &Identities,
) -> Result<Walk, JournalError> {
    let path = dir.path();
    let mut vault = Vault::of(dir, session)?;
    vault.unlock(identities)?;
    let scanner =
        Scanner::open(path, Position::START).map_err(|e| JournalError::io("read", path)(e))?;
    Ok(Walk {
        dir: path.into(),
        scanner,
        pieces: HashMap::new(),
        keys: Arc::default(),
        cipher: vault.shared_cipher().map(Opener),
        ended: false,
    })
}

/// A walk under way.
pub struct Walk {
    dir: Arc<Path>,
    scanner: Scanner,
    /// Pieces of contents whose opening has not come yet.
    pieces: HashMap<u64, Vec<Position>>,
    /// The age header of the session.
    keys: Arc<[u8]>,
    cipher: Option<Opener>,
    ended: bool,
}

impl Walk {
    fn found(&mut self, at: Position, frame: Frame) -> Option<Found> {
        match frame.kind {
            Kind::Leaf => Some(Found::Leaf(frame.payload)),
            Kind::Checkpoint => Signed::of(&frame).map(Found::Checkpoint),
            Kind::Opening => self.opening(frame).map(Found::Opening),
            Kind::Content => {
                let (number, _) = content::parse_content_header(&frame.header)?;
                self.pieces.entry(number).or_default().push(at);
                None
            }
            Kind::Keys => {
                self.keys = frame.payload.into();
                None
            }
            Kind::Erased => {
                let (leaf, field) = erase::erased_field(&frame)?;
                Some(Found::Opening(FieldOpening {
                    leaf,
                    field,
                    salt: [0; 32],
                    dir: Arc::clone(&self.dir),
                    place: Place::Erased,
                    keys: Arc::clone(&self.keys),
                    cipher: None,
                }))
            }
            Kind::Segment | Kind::Seal => None,
        }
    }

    fn opening(&mut self, frame: Frame) -> Option<FieldOpening> {
        let frame = self.opened(frame);
        let opening = Opening::parse(&frame.header)?;
        // Of a sealed one the pieces are known too: their number is not sealed.
        let pieces = self.pieces.remove(&opening.content).unwrap_or_default();
        let place = match opening.content {
            _ if frame.is_sealed() => Place::Sealed(frame, pieces),
            0 => Place::Inline(frame),
            _ => Place::Pieces(pieces),
        };
        Some(FieldOpening {
            leaf: opening.leaf,
            field: opening.field,
            salt: opening.salt,
            dir: Arc::clone(&self.dir),
            place,
            keys: Arc::clone(&self.keys),
            cipher: self.cipher.clone(),
        })
    }

    /// An opening as it was before it was sealed, where that can and may be.
    fn opened(&self, frame: Frame) -> Frame {
        let Some(Opener(cipher)) = &self.cipher else {
            return frame;
        };
        if Opening::parse(&frame.header).is_some_and(|it| STAYS_SEALED.contains(&&*it.field)) {
            return frame;
        }
        // What is damaged stays as it is; that is for the check to say.
        content::unseal(frame.clone(), cipher).unwrap_or(frame)
    }
}

impl Iterator for Walk {
    type Item = Result<Found, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.scanner.step() {
                Ok(Step::Frame(_, at, frame)) => {
                    if let Some(found) = self.found(at, frame) {
                        return Some(Ok(found));
                    }
                }
                Ok(Step::Damage { .. }) => {}
                Ok(Step::End(_)) => self.ended = true,
                Err(e) => {
                    self.ended = true;
                    return Some(Err(JournalError::io("read", &*self.dir)(e)));
                }
            }
        }
        None
    }
}
