//! The rows that are queried, made from frames: the same function feeds sled while a session
//! runs, catches it up later, and fills memory when sled cannot be had.
//!
//! | key (integers big-endian) | value |
//! |---|---|
//! | `P` leaf | position of the leaf's frame |
//! | `C` content, piece | position of a content frame |
//! | `N` call, kind | index of the leaf of that kind (`q` request, `s` its stream, `r` response) |
//! | `A` | how far the file has been applied |
//!
//! Positions only: a row costs sled about a hundred bytes whatever is in it, and what it points at
//! is one read away. The openings of a leaf have no rows: they stand between the leaf before it and
//! the leaf itself, and are found by reading from there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::content::{self, Opening, Salt};
use super::crypt::Cipher;
use super::db::{self, Db, Row};
use super::erase;
use super::frame::{Frame, Kind};
use super::says::Says;
use super::wal::{Position, Scanner, Step};
use crate::record::CallNumber;

const APPLIED: &[u8] = b"A";
/// Rows applied at once while catching up.
pub(super) const CATCH_UP_ROWS: usize = 4096;
const PAGE_ROWS: usize = 512;

/// A frame with its place in the file, without what the index has no use for: many of these can
/// wait for sled at once.
pub(super) struct Indexed {
    pub(super) seq: u64,
    pub(super) at: Position,
    pub(super) end: u64,
    frame: Frame,
}

impl Indexed {
    pub(super) fn new(seq: u64, at: Position, mut frame: Frame) -> Self {
        let end = at.offset + frame.stored_bytes() as u64;
        let kept = match frame.kind {
            Kind::Content | Kind::Checkpoint | Kind::Opening | Kind::Keys | Kind::Erased => 0,
            Kind::Leaf | Kind::Segment | Kind::Seal => frame.payload.len(),
        };
        if frame.payload.len() > kept {
            frame.payload.truncate(kept);
            frame.payload.shrink_to_fit();
        }
        Self {
            seq,
            at,
            end,
            frame,
        }
    }

    /// Memory it takes, about.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.frame.header.len() + self.frame.payload.len()
    }
}

/// Where the content of an opened field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In content frames with this number.
    Content(u64),
    /// In the opening frame at this position.
    Frame(Position),
    /// As the sealed opening frame at this position says.
    Sealed(Position),
    /// Nowhere any more.
    Erased,
}

/// A committed field, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) field: String,
    pub(super) salt: Salt,
    pub(super) place: Place,
}

/// The three leaves a call may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallLeaf {
    Request = b'q' as isize,
    RequestStream = b's' as isize,
    Response = b'r' as isize,
}

fn position_bytes(at: Position) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&at.segment.to_be_bytes());
    bytes[4..].copy_from_slice(&at.offset.to_be_bytes());
    bytes
}

fn parse_position(bytes: &[u8]) -> Option<Position> {
    let (segment, rest) = bytes.split_first_chunk::<4>()?;
    Some(Position {
        segment: u32::from_be_bytes(*segment),
        offset: u64::from_be_bytes(*rest.first_chunk()?),
    })
}

fn leaf_key(i: u64) -> Vec<u8> {
    let mut key = vec![b'P'];
    key.extend_from_slice(&i.to_be_bytes());
    key
}

fn content_key(content: u64, piece: Option<u32>) -> Vec<u8> {
    let mut key = vec![b'C'];
    key.extend_from_slice(&content.to_be_bytes());
    if let Some(piece) = piece {
        key.extend_from_slice(&piece.to_be_bytes());
    }
    key
}

fn call_key(call: CallNumber, kind: CallLeaf) -> Vec<u8> {
    let mut key = vec![b'N'];
    key.extend_from_slice(&call.0.to_be_bytes());
    key.push(kind as u8);
    key
}

/// The rows of one frame.
pub(super) fn rows_of(indexed: &Indexed, rows: &mut Vec<Row>) {
    let Indexed { at, frame, .. } = indexed;
    match frame.kind {
        Kind::Leaf => {
            if let Some(says) = Says::of(&frame.payload)
                && let Some(i) = says.number("i")
            {
                rows.push((leaf_key(i), position_bytes(*at).to_vec()));
                if let Some((call, kind)) = call_leaf(&says) {
                    rows.push((call_key(call, kind), i.to_be_bytes().to_vec()));
                }
            }
        }
        Kind::Content => {
            if let Some((content, piece)) = content::parse_content_header(&frame.header) {
                let key = content_key(content, Some(piece));
                rows.push((key, position_bytes(*at).to_vec()));
            }
        }
        Kind::Opening
        | Kind::Segment
        | Kind::Seal
        | Kind::Checkpoint
        | Kind::Keys
        | Kind::Erased => {}
    }
}

fn call_leaf(says: &Says<'_>) -> Option<(CallNumber, CallLeaf)> {
    let kind = match (says.text("t")?, says.text("side")) {
        ("call.request" | "call.denied", _) => CallLeaf::Request,
        ("call.stream", Some("request")) => CallLeaf::RequestStream,
        ("call.response", _) => CallLeaf::Response,
        // The tools of a wrapped server have no HTTP exchange.
        ("mcp.call", _) if says.text("via") == Some("stdio") => CallLeaf::Request,
        ("mcp.result", _) if says.text("via") == Some("stdio") => CallLeaf::Response,
        _ => return None,
    };
    Some((CallNumber(says.number("call")?), kind))
}

pub(super) fn applied_row(next: Position, seq: u64) -> Row {
    let mut value = position_bytes(next).to_vec();
    value.extend_from_slice(&seq.to_be_bytes());
    (APPLIED.to_vec(), value)
}

pub(super) fn index_path(dir: &Path) -> PathBuf {
    dir.join("index")
}

/// The rows of one session: in sled, or in memory when sled cannot be had.
pub(super) enum Rows {
    Sled(Db),
    Memory(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// What a catch-up met besides good frames.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) sealed: bool,
    pub(super) torn: Option<Position>,
    pub(super) damage: Vec<(Position, u64)>,
}

impl Findings {
    /// How far the file counts as applied: never past damage, so that every later open meets it
    /// again, and says so again.
    fn applied(&self, scanner: &Scanner) -> Position {
        match self.damage.first() {
            Some((from, _)) => *from,
            None => scanner.position(),
        }
    }
}

impl Rows {
    /// The rows of a session nobody writes to: sled, caught up; memory when sled refuses.
    pub(super) fn of_closed(dir: &Path) -> Result<(Self, Findings), JournalError> {
        let path = index_path(dir);
        let opened = match Db::open(&path) {
            // Somebody else is reading: theirs must not be pulled from under them.
            Err(e) if db::is_locked(&e) => return Self::of_live(dir),
            Err(_) => db::discard(&path).and_then(|()| Db::open(&path)),
            // Its gate died: after a power cut it may lack rows, and nothing in it says so. It stays
            // open meanwhile, so that no other reader comes to hold what is thrown away.
            Ok(doubtful) if !doubtful.is_whole() => {
                db::discard(&path).and_then(|()| Db::open(&path))
            }
            whole => whole,
        };
        let Ok(db) = opened else {
            return Self::of_live(dir);
        };
        let mut rows = Self::Sled(db);
        match rows.catch_up(dir) {
            Ok(findings) => {
                if let Self::Sled(db) = &rows {
                    // An index that is not durable is only caught up once more.
                    let _ = db.flush();
                }
                Ok((rows, findings))
            }
            Err(JournalError::Index { .. }) => Self::of_live(dir),
            Err(other) => Err(other),
        }
    }

    /// The rows of a session that may still grow, read without any lock.
    pub(super) fn of_live(dir: &Path) -> Result<(Self, Findings), JournalError> {
        let mut rows = Self::Memory(BTreeMap::new());
        let findings = rows.catch_up(dir)?;
        Ok((rows, findings))
    }

    /// Applies what the file has and the rows do not.
    fn catch_up(&mut self, dir: &Path) -> Result<Findings, JournalError> {
        let from = self
            .value(APPLIED)?
            .and_then(|value| parse_position(&value))
            .unwrap_or(Position::START);
        let io = |e: io::Error| JournalError::io("read", dir)(e);
        let mut scanner = Scanner::open(dir, from).map_err(io)?;
        let mut findings = Findings::default();
        let mut rows = Vec::new();
        let mut seq = 0;
        loop {
            match scanner.step().map_err(io)? {
                Step::Frame(found, at, frame) => {
                    seq = found + 1;
                    rows_of(&Indexed::new(found, at, frame), &mut rows);
                }
                Step::Damage { from, to } => findings.damage.push((from, to)),
                Step::End(end) => {
                    use super::wal::End;
                    match end {
                        End::Sealed => findings.sealed = true,
                        End::Torn(at) => findings.torn = Some(at),
                        End::Open => {}
                    }
                    if !rows.is_empty() {
                        rows.push(applied_row(findings.applied(&scanner), seq));
                        self.apply(rows)?;
                    }
                    return Ok(findings);
                }
            }
            if rows.len() >= CATCH_UP_ROWS {
                rows.push(applied_row(findings.applied(&scanner), seq));
                self.apply(std::mem::take(&mut rows))?;
            }
        }
    }

    fn apply(&mut self, rows: Vec<Row>) -> Result<(), JournalError> {
        match self {
            Self::Sled(db) => db.apply(rows),
            Self::Memory(map) => {
                map.extend(rows);
                Ok(())
            }
        }
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        match self {
            Self::Sled(db) => db.value(key),
            Self::Memory(map) => Ok(map.get(key).cloned()),
        }
    }

    fn page(&self, prefix: &[u8], from: &[u8]) -> Result<Vec<Row>, JournalError> {
        match self {
            Self::Sled(db) => db.page(prefix, from, PAGE_ROWS),
            Self::Memory(map) => Ok(map
                .range(from.to_vec()..)
                .take(PAGE_ROWS)
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()),
        }
    }

    fn position(&self, leaf: u64) -> Result<Option<Position>, JournalError> {
        let value = self.value(&leaf_key(leaf))?;
        Ok(value.and_then(|value| parse_position(&value)))
    }

    /// The bytes of one leaf of the session in `dir`; none when it is not there, or damaged.
    pub(super) fn leaf(&self, dir: &Path, i: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(at) = self.position(i)? else {
            return Ok(None);
        };
        let found = match Scanner::read_small(dir, at) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            found => found.map_err(JournalError::io("read", dir))?,
        };
        let leaf = found.filter(|frame| frame.kind == Kind::Leaf);
        Ok(leaf.map(|frame| frame.payload))
    }

    /// The first leaf from index `from` on; a damaged file lacks some.
    pub(super) fn leaf_from(&self, from: u64) -> Result<Option<u64>, JournalError> {
        let page = self.page(b"P", &leaf_key(from))?;
        let index = |(key, _): &Row| key.get(1..)?.first_chunk().copied();
        Ok(page.first().and_then(index).map(u64::from_be_bytes))
    }

    /// The index of one of a call's leaves.
    pub(super) fn call_leaf(
        &self,
        call: CallNumber,
        kind: CallLeaf,
    ) -> Result<Option<u64>, JournalError> {
        let value = self.value(&call_key(call, kind))?;
        Ok(value
            .and_then(|value| value.first_chunk().copied())
            .map(u64::from_be_bytes))
    }

    /// The opened fields of one leaf of the session in `dir`.
    pub(super) fn openings(&self, dir: &Path, leaf: u64) -> Result<Vec<Opened>, JournalError> {
        let Some(end) = self.position(leaf)? else {
            return Ok(Vec::new());
        };
        // Without the leaf before, which only damage takes away, from the beginning.
        let before = match leaf.checked_sub(1) {
            Some(before) => self.position(before)?,
            None => None,
        };
        let io = |e: io::Error| JournalError::io("read", dir)(e);
        let mut scanner = Scanner::open(dir, before.unwrap_or(Position::START)).map_err(io)?;
        let mut opened = Vec::new();
        loop {
            match scanner.step().map_err(io)? {
                Step::Frame(_, at, _) if at >= end => return Ok(opened),
                Step::Frame(_, at, frame) if frame.kind == Kind::Opening => {
                    let opening = Opening::parse(&frame.header);
                    let own = opening.filter(|it| it.leaf == leaf);
                    opened.extend(own.map(|it| Opened {
                        field: it.field,
                        salt: it.salt,
                        place: match it.content {
                            _ if frame.is_sealed() => Place::Sealed(at),
                            0 => Place::Frame(at),
                            number => Place::Content(number),
                        },
                    }));
                }
                Step::Frame(_, _, frame) if frame.kind == Kind::Erased => {
                    let erased = erase::erased_field(&frame).filter(|(of, _)| *of == leaf);
                    opened.extend(erased.map(|(_, field)| Opened {
                        field,
                        salt: [0; 32],
                        place: Place::Erased,
                    }));
                }
                Step::Frame(..) | Step::Damage { .. } => {}
                Step::End(_) => return Ok(opened),
            }
        }
    }

    /// The positions of the frames of one content, in order.
    pub(super) fn content(&self, content: u64) -> Result<Vec<Position>, JournalError> {
        let prefix = content_key(content, None);
        let mut from = prefix.clone();
        let mut positions = Vec::new();
        loop {
            let page = self.page(&prefix, &from)?;
            let Some((last, _)) = page.last() else {
                return Ok(positions);
            };
            from.clone_from(last);
            from.push(0);
            positions.extend(page.iter().filter_map(|(_, value)| parse_position(value)));
        }
    }
}

/// The plain content of an opening or content frame.
pub(super) fn plain(
    dir: &Path,
    at: Position,
    cipher: Option<&Cipher>,
) -> Result<Vec<u8>, JournalError> {
    content::payload(&frame(dir, at, cipher)?).map_err(JournalError::io("read", dir))
}

/// An opening or content frame, unsealed if there is a key.
pub(super) fn frame(
    dir: &Path,
    at: Position,
    cipher: Option<&Cipher>,
) -> Result<Frame, JournalError> {
    let gone = || io::Error::new(io::ErrorKind::InvalidData, "a frame is damaged");
    Scanner::read(dir, at)
        .and_then(|frame: Option<Frame>| {
            let frame = frame.ok_or_else(gone)?;
            match cipher {
                Some(cipher) => content::unseal(frame, cipher),
                None => Ok(frame),
            }
        })
        .map_err(JournalError::io("read", dir))
}
