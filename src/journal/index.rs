//! The index that is queried, made from frames: the same cells feed sled while a session runs, catch
//! it up later, and fill memory when sled cannot be had.
//!
//! It knows places in the file and nothing else ([`super::cells`]); what it points at is one read
//! away. The openings of a leaf have no cells: they stand between the leaf before it and the leaf
//! itself, and are found by reading from there. One row, `a`, says how far the file was applied.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::cells::{self, CallLeaf, Cell, Slot};
use super::content::{self, Opening, Salt};
use super::crypt::Cipher;
use super::db::{self, Db, Row};
use super::erase;
use super::frame::{Frame, Kind};
use super::wal::{Position, Scanner, Step};
use crate::record::CallNumber;

const APPLIED: &[u8] = b"a";
/// Cells applied at once while catching up.
const CATCH_UP_CELLS: usize = 32 << 10;
const PAGE_ROWS: usize = 16;

/// What the index is to learn of a stretch of the file.
#[derive(Default)]
pub(super) struct Stretch {
    cells: Vec<Cell>,
    /// Where the stretch ends; none as long as it has no frame.
    end: Option<Position>,
}

impl Stretch {
    /// Takes note of a frame that ends there, and of what is to be found in it.
    pub(super) fn add(&mut self, end: Position, cells: impl IntoIterator<Item = Cell>) {
        self.cells.extend(cells);
        self.end = Some(end);
    }

    /// Adds the stretch behind this one.
    pub(super) fn append(&mut self, mut next: Self) {
        self.cells.append(&mut next.cells);
        self.end = next.end.or(self.end);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.end.is_none()
    }

    /// Memory it takes, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.cells.len() * size_of::<Cell>()
    }

    /// Gives it to sled.
    pub(super) fn apply_to(self, db: &Db) -> Result<(), JournalError> {
        let mut rows = cells::merge(&self.cells, |key| db.value(key))?;
        rows.extend(self.end.map(applied_row));
        db.apply(rows)
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

fn parse_position(bytes: &[u8]) -> Option<Position> {
    bytes
        .first_chunk()
        .map(|b| cells::position(u64::from_be_bytes(*b)))
}

pub(super) fn applied_row(next: Position) -> Row {
    (APPLIED.to_vec(), cells::place(next).to_be_bytes().to_vec())
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
        let mut stretch = Stretch::default();
        loop {
            match scanner.step().map_err(io)? {
                Step::Frame(_, at, frame) => {
                    stretch.add(findings.applied(&scanner), Cell::of_frame(&frame, at));
                }
                Step::Damage { from, to } => findings.damage.push((from, to)),
                Step::End(end) => {
                    use super::wal::End;
                    match end {
                        End::Sealed => findings.sealed = true,
                        End::Torn(at) => findings.torn = Some(at),
                        End::Open => {}
                    }
                    self.apply(stretch)?;
                    return Ok(findings);
                }
            }
            if stretch.cells.len() >= CATCH_UP_CELLS {
                self.apply(std::mem::take(&mut stretch))?;
            }
        }
    }

    fn apply(&mut self, stretch: Stretch) -> Result<(), JournalError> {
        match self {
            _ if stretch.is_empty() => {}
            Self::Sled(db) => stretch.apply_to(db)?,
            Self::Memory(map) => {
                let known = |key: &[u8]| Ok::<_, JournalError>(map.get(key).cloned());
                let rows = cells::merge(&stretch.cells, known)?;
                map.extend(rows);
            }
        }
        Ok(())
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

    fn cell(&self, slot: &Slot) -> Result<Option<u64>, JournalError> {
        let row = self.value(&slot.row)?;
        Ok(row.and_then(|row| slot.read(&row)))
    }

    fn position(&self, leaf: u64) -> Result<Option<Position>, JournalError> {
        let place = self.cell(&Slot::leaf(leaf))?;
        Ok(place.map(cells::position))
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
        let mut key = Slot::leaf(from).row;
        loop {
            let page = self.page(cells::LEAVES, &key)?;
            let Some((last, _)) = page.last() else {
                return Ok(None);
            };
            let leaves = page
                .iter()
                .flat_map(|(key, row)| cells::leaves_in(key, row));
            if let Some(found) = leaves.into_iter().find(|i| *i >= from) {
                return Ok(Some(found));
            }
            key = behind(last);
        }
    }

    /// The index of one of a call's leaves.
    pub(super) fn call_leaf(
        &self,
        call: CallNumber,
        kind: CallLeaf,
    ) -> Result<Option<u64>, JournalError> {
        let found = self.cell(&Slot::call(call, kind))?;
        Ok(found.map(|leaf| leaf - 1))
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
        let first = self.cell(&Slot::content(content, 0))?;
        let mut places = Vec::from_iter(first);
        let prefix = cells::pieces(content);
        let mut key = prefix.clone();
        loop {
            let page = self.page(&prefix, &key)?;
            let Some((last, _)) = page.last() else {
                return Ok(places.into_iter().map(cells::position).collect());
            };
            key = behind(last);
            places.extend(page.iter().flat_map(|(_, row)| cells::filled(row)));
        }
    }
}

/// The first key behind this one.
fn behind(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
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
