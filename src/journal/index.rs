//! The rows that are queried, made from frames: the same function feeds sled while a session
//! runs, catches it up later, and fills memory when sled cannot be had.
//!
//! | key (integers big-endian) | value |
//! |---|---|
//! | `L` leaf, part | a piece of the leaf's bytes |
//! | `O` leaf, field, 0, part | a piece of: salt, tag, then content, its number or its position; of sealed content the position |
//! | `C` content, piece | position of a content frame |
//! | `N` call, kind | index of the leaf of that kind (`q` request, `s` its stream, `r` response) |
//! | `M` | how far the file has been applied |

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::content::{self, Opening, Salt};
use super::crypt::Cipher;
use super::db::{self, Db, Row};
use super::erase;
use super::frame::{Frame, Kind};
use super::wal::{Position, Scanner, Step};
use crate::limits;
use crate::record::event::Side;
use crate::record::{CallNumber, Event, Leaf};

const APPLIED: &[u8] = b"M";
/// Rows applied at once while catching up.
pub(super) const CATCH_UP_ROWS: usize = 4096;
const PAGE_ROWS: usize = 512;

const TAG_INLINE: u8 = 0;
const TAG_CONTENT: u8 = 1;
const TAG_FRAME: u8 = 2;
const TAG_SEALED: u8 = 3;
const TAG_ERASED: u8 = 4;

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
            Kind::Content | Kind::Checkpoint | Kind::Keys | Kind::Erased => 0,
            Kind::Opening if frame.is_sealed() => 0,
            // Enough to see that it is too large to stand in the index.
            Kind::Opening => limits::INDEX_INLINE_BYTES_MAX + 1,
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
    Inline(Vec<u8>),
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
    let mut key = vec![b'L'];
    key.extend_from_slice(&i.to_be_bytes());
    key
}

fn opening_key(leaf: u64, field: Option<&str>) -> Vec<u8> {
    let mut key = vec![b'O'];
    key.extend_from_slice(&leaf.to_be_bytes());
    if let Some(field) = field {
        key.extend_from_slice(field.as_bytes());
        key.push(0);
    }
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

/// Cuts a value into rows small enough for sled to keep in its synced log.
fn put_parts(rows: &mut Vec<Row>, key: &[u8], value: &[u8]) {
    for (part, piece) in value.chunks(limits::INDEX_ROW_BYTES_MAX).enumerate() {
        let mut key = key.to_vec();
        key.extend_from_slice(&(part as u16).to_be_bytes());
        rows.push((key, piece.to_vec()));
    }
}

/// The rows of one frame.
pub(super) fn rows_of(indexed: &Indexed, rows: &mut Vec<Row>) {
    let Indexed { at, frame, .. } = indexed;
    match frame.kind {
        Kind::Leaf => {
            if let Ok(leaf) = Leaf::from_bytes(&frame.payload) {
                put_parts(rows, &leaf_key(leaf.i), &frame.payload);
                if let Some((call, kind)) = call_leaf(&leaf.event) {
                    rows.push((call_key(call, kind), leaf.i.to_be_bytes().to_vec()));
                }
            }
        }
        Kind::Opening => {
            if let Some(opening) = Opening::parse(&frame.header) {
                let mut value = opening.salt.to_vec();
                if frame.is_sealed() {
                    value.push(TAG_SEALED);
                    value.extend_from_slice(&position_bytes(*at));
                } else if opening.content != 0 {
                    value.push(TAG_CONTENT);
                    value.extend_from_slice(&opening.content.to_be_bytes());
                } else if frame.payload.len() <= limits::INDEX_INLINE_BYTES_MAX
                    && let Ok(payload) = content::payload(frame)
                    && payload.len() <= 4 * limits::INDEX_INLINE_BYTES_MAX
                {
                    value.push(TAG_INLINE);
                    value.extend_from_slice(&payload);
                } else {
                    value.push(TAG_FRAME);
                    value.extend_from_slice(&position_bytes(*at));
                }
                put_parts(
                    rows,
                    &opening_key(opening.leaf, Some(&opening.field)),
                    &value,
                );
            }
        }
        Kind::Content => {
            if let Some((content, piece)) = content::parse_content_header(&frame.header) {
                let key = content_key(content, Some(piece));
                rows.push((key, position_bytes(*at).to_vec()));
            }
        }
        Kind::Erased => {
            if let Some((leaf, field)) = erase::erased_field(frame) {
                let mut value = vec![0; size_of::<Salt>()];
                value.push(TAG_ERASED);
                put_parts(rows, &opening_key(leaf, Some(&field)), &value);
            }
        }
        Kind::Segment | Kind::Seal | Kind::Checkpoint | Kind::Keys => {}
    }
}

fn call_leaf(event: &Event) -> Option<(CallNumber, CallLeaf)> {
    match event {
        Event::CallRequest(e) | Event::CallDenied(e) => Some((e.call, CallLeaf::Request)),
        Event::CallStream(e) if e.side == Side::Request => Some((e.call, CallLeaf::RequestStream)),
        Event::CallResponse(e) => Some((e.call, CallLeaf::Response)),
        _ => None,
    }
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

    /// All rows under a prefix, its parts joined: one value for each key without its part number.
    fn joined(&self, prefix: &[u8]) -> Result<Vec<Row>, JournalError> {
        let mut joined: Vec<Row> = Vec::new();
        let mut from = prefix.to_vec();
        loop {
            let page = self.page(prefix, &from)?;
            let Some((last, _)) = page.last() else {
                return Ok(joined);
            };
            from.clone_from(last);
            from.push(0);
            for (mut key, value) in page {
                key.truncate(key.len().saturating_sub(2));
                match joined.last_mut() {
                    Some((same, whole)) if *same == key => whole.extend(value),
                    _ => joined.push((key, value)),
                }
            }
        }
    }

    /// The bytes of one leaf.
    pub(super) fn leaf(&self, i: u64) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.joined(&leaf_key(i))?.pop().map(|(_, bytes)| bytes))
    }

    /// The first leaf from index `from` on; a damaged file lacks some.
    pub(super) fn leaf_from(&self, from: u64) -> Result<Option<u64>, JournalError> {
        let page = self.page(b"L", &leaf_key(from))?;
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

    /// The opened fields of one leaf.
    pub(super) fn openings(&self, leaf: u64) -> Result<Vec<Opened>, JournalError> {
        let prefix = opening_key(leaf, None);
        let rows = self.joined(&prefix)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| {
                let field = key.get(prefix.len()..)?.strip_suffix(&[0])?;
                let (salt, rest) = value.split_first_chunk::<32>()?;
                let (tag, rest) = rest.split_first()?;
                let place = match *tag {
                    TAG_INLINE => Place::Inline(rest.to_vec()),
                    TAG_CONTENT => Place::Content(u64::from_be_bytes(*rest.first_chunk()?)),
                    TAG_FRAME => Place::Frame(parse_position(rest)?),
                    TAG_SEALED => Place::Sealed(parse_position(rest)?),
                    TAG_ERASED => Place::Erased,
                    _ => return None,
                };
                Some(Opened {
                    field: String::from_utf8(field.to_vec()).ok()?,
                    salt: *salt,
                    place,
                })
            })
            .collect())
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
