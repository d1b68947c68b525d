//! Walks a session's record in the order it was written: what opens the commitments of a leaf, the
//! leaf's exact bytes, the signatures. For whoever carries the record elsewhere.
//!
//! Needs neither lock nor index, so that closed, crashed and running sessions read alike, and holds
//! no content: that is read when it is asked for, a piece at a time. It checks nothing beyond the
//! frames' own checksums and passes over damage; that is the business of [`super::audit()`].

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::catalog::SessionDir;
use super::content::{self, Opening};
use super::frame::{FLAG_ZSTD, Frame, Kind};
use super::seal::Signed;
use super::wal::{Position, Scanner, Step};
use super::{JournalError, erase, index};

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
}

#[derive(Clone, Debug)]
enum Place {
    /// In the opening's own frame.
    Inline(Frame),
    /// In frames of its own.
    Pieces(Vec<Position>),
    /// For the session's recipients: the age header, the opening's own frame, and the pieces.
    Sealed(Arc<[u8]>, Frame, Vec<Position>),
    /// Taken away on purpose.
    Erased,
}

/// What can be had of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Salt and content.
    Open,
    /// Age files that only the session's recipients can read.
    Sealed,
    /// Nothing any more.
    Erased,
}

/// One sealed piece, as a complete age file.
#[derive(Clone, Debug)]
pub struct AgeFile {
    /// Header and payload.
    pub bytes: Vec<u8>,
    /// Whether what is inside (behind the salt, in the first of an opening) is compressed with zstd.
    pub is_zstd: bool,
}

impl FieldOpening {
    /// What can be had of it.
    #[must_use]
    pub const fn held(&self) -> Held {
        match self.place {
            Place::Inline(_) | Place::Pieces(_) => Held::Open,
            Place::Sealed(..) => Held::Sealed,
            Place::Erased => Held::Erased,
        }
    }

    /// The age files of a sealed opening: the first begins with the salt, 32 bytes, behind which the
    /// content begins; the others go on with it.
    ///
    /// # Errors
    /// A piece is damaged or gone.
    pub fn age_files(&self) -> impl Iterator<Item = Result<AgeFile, JournalError>> {
        let (first, rest): (_, &[Position]) = match &self.place {
            Place::Sealed(header, frame, pieces) => (Some((header, frame)), pieces),
            _ => (None, &[]),
        };
        let file = |header: &[u8], frame: &Frame| AgeFile {
            bytes: [header, &frame.payload].concat(),
            is_zstd: frame.flags & FLAG_ZSTD != 0,
        };
        let own = first.map(|(header, frame)| Ok(file(header, frame)));
        let pieces = rest.iter().filter_map(move |at| {
            let (header, _) = first?;
            Some(self.frame(*at).map(|frame| file(header, &frame)))
        });
        own.into_iter().chain(pieces)
    }

    fn frame(&self, at: Position) -> Result<Frame, JournalError> {
        let gone = || io::Error::new(io::ErrorKind::InvalidData, "a frame is damaged");
        Scanner::read(&self.dir, at)
            .and_then(|frame| frame.ok_or_else(gone))
            .map_err(JournalError::io("read", &*self.dir))
    }

    /// The content, piece by piece; nothing where it is sealed or erased.
    ///
    /// # Errors
    /// A piece is damaged or gone: nothing after it is to be used.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Vec<u8>, JournalError>> {
        let (inline, stored): (_, &[Position]) = match &self.place {
            Place::Sealed(..) | Place::Erased => (None, &[]),
            Place::Inline(frame) => (Some(self.unpacked(frame)), &[]),
            Place::Pieces(pieces) if pieces.is_empty() => {
                let gone = io::Error::new(io::ErrorKind::InvalidData, "its content is gone");
                (Some(Err(JournalError::io("read", &*self.dir)(gone))), &[])
            }
            Place::Pieces(pieces) => (None, pieces),
        };
        let stored = stored.iter().map(|at| index::plain(&self.dir, *at, None));
        inline.into_iter().chain(stored)
    }

    fn unpacked(&self, frame: &Frame) -> Result<Vec<u8>, JournalError> {
        content::payload(frame).map_err(JournalError::io("read", &*self.dir))
    }
}

/// Begins a walk.
///
/// # Errors
/// The record cannot be opened.
pub fn walk(dir: &SessionDir) -> Result<Walk, JournalError> {
    let path = dir.path();
    let scanner =
        Scanner::open(path, Position::START).map_err(|e| JournalError::io("read", path)(e))?;
    Ok(Walk {
        dir: path.into(),
        scanner,
        pieces: HashMap::new(),
        header: Arc::new([]),
        is_erasing: erase::is_under_way(path),
        ended: false,
    })
}

/// A walk under way.
pub struct Walk {
    dir: Arc<Path>,
    scanner: Scanner,
    /// Pieces of contents whose opening has not come yet.
    pieces: HashMap<u64, Vec<Position>>,
    /// The age header of a sealed session.
    header: Arc<[u8]>,
    /// An erasure was begun and has to be finished: what is still there is not handed on.
    is_erasing: bool,
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
                self.header = frame.payload.into();
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
                }))
            }
            Kind::Segment | Kind::Seal => None,
        }
    }

    fn opening(&mut self, frame: Frame) -> Option<FieldOpening> {
        let opening = Opening::parse(&frame.header)?;
        let place = match opening.content {
            _ if self.is_erasing => Place::Erased,
            number if frame.is_sealed() => Place::Sealed(
                Arc::clone(&self.header),
                frame,
                self.pieces.remove(&number).unwrap_or_default(),
            ),
            0 => Place::Inline(frame),
            number => Place::Pieces(self.pieces.remove(&number).unwrap_or_default()),
        };
        Some(FieldOpening {
            leaf: opening.leaf,
            field: opening.field,
            salt: opening.salt,
            dir: Arc::clone(&self.dir),
            place,
        })
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
