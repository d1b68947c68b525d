//! The write-ahead file: what is in it is acknowledged, what is not was never sent.
//!
//! A session has segments `wal-000001.ddw`, `wal-000002.ddw` … Only ever appended; every frame
//! checks itself. A reader needs no lock: it stops at the first frame that is not complete.
//! "Torn" (an unfinished end, expected after a crash) and "damage" (a hole with good frames after
//! it, never expected) are different words here on purpose.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::disk;
use super::frame::{ALIGN, Frame, Kind, MAGIC, PREFIX_BYTES, Prefix};
use super::seal::{CHECKPOINT_FRAME_BYTES, Signed};
use crate::limits;
use crate::record::SessionId;

/// Version of the segment format.
pub(super) const FORMAT: u32 = 1;
/// Read at once while scanning.
const WINDOW_BYTES: usize = 256 << 10;
/// Read at once for a single frame: most fit.
const SINGLE_WINDOW_BYTES: usize = limits::BODY_PIECE_BYTES_MAX + (1 << 10);

/// The same for a leaf: two or three of them.
const SMALL_WINDOW_BYTES: usize = 2 << 10;

/// Where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u32,
    pub(super) offset: u64,
}

impl Position {
    /// The beginning of a session.
    pub(super) const START: Self = Self {
        segment: 1,
        offset: 0,
    };
}

pub(super) fn segment_path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("wal-{segment:06}.ddw"))
}

/// Undoes [`segment_path`], without the directory.
pub(super) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("wal-")?.strip_suffix(".ddw")?;
    digits.parse().ok()
}

/// The writing end. Owned by the writer thread alone.
pub(super) struct WalWriter {
    dir: PathBuf,
    session: SessionId,
    file: File,
    segment: u32,
    /// Bytes written to the file.
    written: u64,
    /// Bytes taken ahead in the file.
    allocated: u64,
    seq: u64,
    buffer: Vec<u8>,
}

impl WalWriter {
    /// Creates the first segment in an existing directory.
    pub(super) fn create(dir: &Path, session: SessionId) -> io::Result<Self> {
        let mut wal = Self {
            dir: dir.to_owned(),
            session,
            file: disk::create_private_file(&segment_path(dir, 1))?,
            segment: 1,
            written: 0,
            allocated: 0,
            seq: 0,
            buffer: Vec::with_capacity(limits::BODY_PIECE_BYTES_MAX),
        };
        wal.put_segment_head();
        disk::sync_dir(dir)?;
        Ok(wal)
    }

    /// The path of the current segment, for messages.
    pub(super) fn path(&self) -> PathBuf {
        segment_path(&self.dir, self.segment)
    }

    /// Takes disk space for `bytes` more, and for the reserve behind them.
    ///
    /// # Errors
    /// The disk is full: nothing was written, and what is already written is intact.
    pub(super) fn admit(&mut self, bytes: u64) -> io::Result<()> {
        let needed = self.end().offset + bytes + limits::JOURNAL_RESERVE_BYTES;
        if needed <= self.allocated {
            return Ok(());
        }
        let ahead = needed + limits::JOURNAL_AHEAD_BYTES;
        let end = match disk::allocate(&self.file, self.allocated, ahead) {
            Ok(()) => ahead,
            Err(_) => {
                disk::allocate(&self.file, self.allocated, needed)?;
                needed
            }
        };
        self.allocated = end;
        Ok(())
    }

    /// Whether `bytes` more fit into space already taken.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.end().offset + bytes <= self.allocated
    }

    /// Where the next frame goes.
    pub(super) const fn end(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.written + self.buffer.len() as u64,
        }
    }

    /// Adds a frame to what the next [`Self::write`] writes.
    pub(super) fn put(&mut self, frame: &Frame) -> Position {
        let at = self.end();
        frame.encode(self.seq, &mut self.buffer);
        self.seq += 1;
        at
    }

    /// Bytes put and not yet written.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Hands what was put to the operating system: it survives the end of this process.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes what was written survive a power cut, as far as the device keeps its word.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Begins the next segment if this one is full. Call with nothing buffered.
    pub(super) fn roll_if_full(&mut self) -> io::Result<()> {
        if self.written < limits::JOURNAL_SEGMENT_BYTES {
            return Ok(());
        }
        self.seal()?;
        self.segment += 1;
        self.file = disk::create_private_file(&self.path())?;
        self.written = 0;
        self.allocated = 0;
        self.put_segment_head();
        self.write()?;
        self.sync()?;
        disk::sync_dir(&self.dir)
    }

    /// Ends the segment and gives back the space taken ahead.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        self.put(&Frame {
            kind: Kind::Seal,
            flags: 0,
            header: Vec::new(),
            payload: Vec::new(),
        });
        self.write()?;
        self.file.set_len(self.written)?;
        self.file.sync_all()
    }

    /// Bytes of the current segment.
    pub(super) const fn written_bytes(&self) -> u64 {
        self.written
    }

    fn put_segment_head(&mut self) {
        let mut header = self.session.to_string().into_bytes();
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&self.segment.to_le_bytes());
        self.put(&Frame {
            kind: Kind::Segment,
            flags: 0,
            header,
            payload: Vec::new(),
        });
    }
}

/// What a scan meets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A good frame.
    Frame(u64, Position, Frame),
    /// Bytes that are no frame, with a good frame after them.
    Damage { from: Position, to: u64 },
    /// The end.
    End(End),
}

/// How the file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Sealed: the session was closed.
    Sealed,
    /// At a frame boundary: still growing, or its process died between two records.
    Open,
    /// In the middle of a frame.
    Torn(Position),
}

/// The reading end.
pub(super) struct Scanner {
    dir: PathBuf,
    at: Position,
    file: File,
    file_bytes: u64,
    window: Vec<u8>,
    window_at: u64,
    window_bytes: usize,
    sealed: bool,
    /// Stays in its segment, and shows the seal too.
    within: bool,
}

impl Scanner {
    /// Opens a session's file for reading, from `at` on.
    pub(super) fn open(dir: &Path, at: Position) -> io::Result<Self> {
        let file = File::open(segment_path(dir, at.segment))?;
        let file_bytes = file.metadata()?.len();
        Ok(Self {
            dir: dir.to_owned(),
            at,
            file,
            file_bytes,
            window: Vec::new(),
            window_at: 0,
            window_bytes: WINDOW_BYTES,
            sealed: false,
            within: false,
        })
    }

    /// Opens one segment, to read all of it and nothing else.
    pub(super) fn within(dir: &Path, segment: u32) -> io::Result<Self> {
        let at = Position { segment, offset: 0 };
        let mut scanner = Self::open(dir, at)?;
        scanner.within = true;
        Ok(scanner)
    }

    /// Where the next frame is expected.
    pub(super) const fn position(&self) -> Position {
        self.at
    }

    /// Steps to the next frame, hole or end.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        loop {
            if self.sealed && (self.within || !self.enter_next_segment()?) {
                return Ok(Step::End(End::Sealed));
            }
            match self.frame_at(self.at.offset)? {
                Some((seq, _, frame)) if frame.kind == Kind::Seal => {
                    // Whoever goes on from here later must meet the seal again.
                    self.sealed = true;
                    if self.within {
                        return Ok(Step::Frame(seq, self.at, frame));
                    }
                }
                Some((seq, bytes, frame)) => {
                    let at = self.at;
                    self.at.offset += bytes as u64;
                    return Ok(Step::Frame(seq, at, frame));
                }
                None => {
                    if let Some(step) = self.gap()? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    /// Reads the one frame at `at`.
    pub(super) fn read(dir: &Path, at: Position) -> io::Result<Option<Frame>> {
        let mut scanner = Self::open(dir, at)?;
        scanner.window_bytes = SINGLE_WINDOW_BYTES;
        Ok(scanner.frame_at(at.offset)?.map(|(_, _, frame)| frame))
    }

    /// The same for a frame that is not large.
    pub(super) fn read_small(dir: &Path, at: Position) -> io::Result<Option<Frame>> {
        let mut scanner = Self::open(dir, at)?;
        scanner.window_bytes = SMALL_WINDOW_BYTES;
        Ok(scanner.frame_at(at.offset)?.map(|(_, _, frame)| frame))
    }

    fn enter_next_segment(&mut self) -> io::Result<bool> {
        let next = Position {
            segment: self.at.segment + 1,
            offset: 0,
        };
        match Self::open(&self.dir, next) {
            Ok(scanner) => {
                *self = scanner;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// What to say of an offset where no frame begins; nothing if a running writer has come there
    /// meanwhile.
    fn gap(&mut self) -> io::Result<Option<Step>> {
        let from = self.at;
        if self.is_frame_now(from.offset)? {
            return Ok(None);
        }
        if let Some(to) = self.next_frame_after(from.offset)? {
            // Looking for it took its time.
            if self.is_frame_now(from.offset)? {
                return Ok(None);
            }
            self.at.offset = to;
            return Ok(Some(Step::Damage { from, to }));
        }
        if self.zeros_from(from.offset)? {
            // A later segment exists only after this one was sealed: then its end is missing.
            let next = segment_path(&self.dir, from.segment + 1);
            if next.exists() {
                if self.is_frame_now(from.offset)? {
                    return Ok(None);
                }
                self.sealed = true;
                return Ok(Some(Step::Damage {
                    from,
                    to: self.file_bytes,
                }));
            }
            return Ok(Some(Step::End(End::Open)));
        }
        Ok(Some(Step::End(End::Torn(from))))
    }

    /// Whether a frame begins at `offset` by now: what was read ahead is old.
    fn is_frame_now(&mut self, offset: u64) -> io::Result<bool> {
        self.window.clear();
        self.file_bytes = self.file.metadata()?.len();
        Ok(self.frame_at(offset)?.is_some())
    }

    fn next_frame_after(&mut self, offset: u64) -> io::Result<Option<u64>> {
        let mut at = offset + ALIGN as u64;
        while at + PREFIX_BYTES as u64 <= self.file_bytes {
            if self.frame_at(at)?.is_some() {
                return Ok(Some(at));
            }
            at += ALIGN as u64;
        }
        Ok(None)
    }

    fn zeros_from(&mut self, offset: u64) -> io::Result<bool> {
        let mut at = offset;
        while at < self.file_bytes {
            let n = (self.file_bytes - at).min(WINDOW_BYTES as u64) as usize;
            let Some(bytes) = self.bytes(at, n)? else {
                return Ok(true);
            };
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += n as u64;
        }
        Ok(true)
    }

    fn frame_at(&mut self, offset: u64) -> io::Result<Option<(u64, usize, Frame)>> {
        let Some(prefix) = self.bytes(offset, PREFIX_BYTES)? else {
            return Ok(None);
        };
        let Some(prefix) = prefix.first_chunk().and_then(Prefix::parse) else {
            return Ok(None);
        };
        let n = prefix.stored_bytes();
        let Some(bytes) = self.bytes(offset, n)? else {
            return Ok(None);
        };
        Ok(prefix.frame(bytes).map(|frame| (prefix.seq, n, frame)))
    }

    /// `n` bytes at `offset`, or `None` past the end of the file.
    fn bytes(&mut self, offset: u64, n: usize) -> io::Result<Option<&[u8]>> {
        let end = offset + n as u64;
        let held = self.window_at + self.window.len() as u64;
        if offset < self.window_at || end > held {
            if end > self.file_bytes {
                return Ok(None);
            }
            let want = (self.file_bytes - offset).min(n.max(self.window_bytes) as u64) as usize;
            self.window.resize(want, 0);
            self.window_at = offset;
            self.file.seek(SeekFrom::Start(offset))?;
            if let Err(e) = self.file.read_exact(&mut self.window) {
                self.window.clear();
                let now = self.file.metadata()?.len();
                if e.kind() != io::ErrorKind::UnexpectedEof || now >= self.file_bytes {
                    return Err(e);
                }
                // The session was closed meanwhile: space taken ahead is given back then.
                self.file_bytes = now;
                return self.bytes(offset, n);
            }
        }
        let start = (offset - self.window_at) as usize;
        Ok(self.window.get(start..start + n))
    }
}

/// The last checkpoint of a session, found from the end: a running session has a long record, and
/// whoever opens the next one does not wait for it. None when none is near the end.
pub(super) fn last_checkpoint(dir: &Path) -> io::Result<Option<Signed>> {
    let mut last = 1;
    while segment_path(dir, last + 1).exists() {
        last += 1;
    }
    // A segment that was just begun has none yet.
    for segment in (1..=last).rev().take(2) {
        let found = last_checkpoint_in(File::open(segment_path(dir, segment))?)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn last_checkpoint_in(mut file: File) -> io::Result<Option<Signed>> {
    let frame_bytes = CHECKPOINT_FRAME_BYTES;
    let mut window = Vec::new();
    let length = file.metadata()?.len();
    // Frames begin at multiples of ALIGN, and so do the windows; they overlap by one frame.
    let mut end = length.next_multiple_of(ALIGN as u64);
    let stop = end.saturating_sub(limits::CHECKPOINT_SEARCH_BYTES);
    while end > stop {
        let from = end.saturating_sub(WINDOW_BYTES as u64);
        window.resize((length.min(end + frame_bytes) - from) as usize, 0);
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut window)?;
        let found = (0..window.len())
            .step_by(ALIGN)
            .rev()
            .filter_map(|at| window.get(at..))
            .filter(|bytes| bytes.starts_with(&MAGIC))
            .find_map(|bytes| {
                let prefix = bytes.first_chunk().and_then(Prefix::parse)?;
                Signed::of(&prefix.frame(bytes)?)
            });
        if found.is_some() {
            return Ok(found);
        }
        end = from;
    }
    Ok(None)
}

/// Session id and format of a segment frame.
pub(super) fn parse_segment_head(frame: &Frame) -> Option<(SessionId, u32)> {
    let (id, rest) = frame.header.split_first_chunk::<32>()?;
    let id = std::str::from_utf8(id).ok()?.parse().ok()?;
    Some((id, u32::from_le_bytes(*rest.first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf(payload: &[u8]) -> Frame {
        Frame {
            kind: Kind::Leaf,
            flags: 0,
            header: Vec::new(),
            payload: payload.to_vec(),
        }
    }

    fn written(dir: &Path, payloads: &[Vec<u8>], seal: bool) -> Vec<u64> {
        let mut wal = WalWriter::create(dir, SessionId::from_bytes([7; 16])).unwrap();
        wal.admit(0).unwrap();
        let ends = payloads
            .iter()
            .map(|payload| {
                wal.put(&leaf(payload));
                wal.end().offset
            })
            .collect();
        wal.write().unwrap();
        wal.sync().unwrap();
        if seal {
            wal.seal().unwrap();
        }
        ends
    }

    fn scan(dir: &Path) -> (Vec<Vec<u8>>, Vec<Step>) {
        let mut scanner = Scanner::open(dir, Position::START).unwrap();
        let (mut leaves, mut rest) = (Vec::new(), Vec::new());
        loop {
            match scanner.step().unwrap() {
                Step::Frame(_, _, frame) if frame.kind == Kind::Leaf => leaves.push(frame.payload),
                Step::Frame(..) => {}
                end @ Step::End(_) => {
                    rest.push(end);
                    return (leaves, rest);
                }
                damage @ Step::Damage { .. } => rest.push(damage),
            }
        }
    }

    #[test]
    fn space_taken_ahead_reads_as_open_and_a_seal_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let payloads = vec![b"one".to_vec(), b"two".to_vec()];
        written(dir.path(), &payloads, false);
        let path = segment_path(dir.path(), 1);
        assert!(std::fs::metadata(&path).unwrap().len() >= limits::JOURNAL_AHEAD_BYTES);
        assert_eq!(
            scan(dir.path()),
            (payloads.clone(), vec![Step::End(End::Open)])
        );

        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), &payloads, true);
        assert!(
            std::fs::metadata(segment_path(dir.path(), 1))
                .unwrap()
                .len()
                < 1024
        );
        assert_eq!(scan(dir.path()), (payloads, vec![Step::End(End::Sealed)]));
    }

    #[test]
    fn a_reader_that_was_there_first_sees_what_came_and_what_went() {
        let dir = tempfile::tempdir().unwrap();
        let mut wal = WalWriter::create(dir.path(), SessionId::from_bytes([7; 16])).unwrap();
        wal.admit(0).unwrap();
        wal.put(&leaf(b"one"));
        wal.write().unwrap();
        let mut early = Scanner::open(dir.path(), Position::START).unwrap();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            kinds.extend(match early.step().unwrap() {
                Step::Frame(_, _, frame) => Some(frame.kind),
                _ => None,
            });
        }
        assert_eq!(kinds, [Kind::Segment, Kind::Leaf]);
        // Behind what it has read ahead, so that only a hole would be left of the first.
        wal.put(&leaf(&[b'x'; 2 * WINDOW_BYTES]));
        wal.put(&leaf(b"three"));
        wal.write().unwrap();
        for bytes in [2 * WINDOW_BYTES, 5] {
            match early.step().unwrap() {
                Step::Frame(_, _, frame) => assert_eq!(frame.payload.len(), bytes),
                other => panic!("{other:?}"),
            }
        }
        wal.seal().unwrap();
        assert_eq!(early.step().unwrap(), Step::End(End::Sealed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is cut off or flipped: no panic, a true beginning, and never silence about it.
        #[test]
        fn cuts_lose_only_the_tail(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..12),
                                   cut: prop::sample::Index) {
            let dir = tempfile::tempdir().unwrap();
            let ends = written(dir.path(), &payloads, true);
            let path = segment_path(dir.path(), 1);
            let whole = std::fs::metadata(&path).unwrap().len();
            let cut = cut.index(whole as usize) as u64;
            File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();
            let (leaves, _) = scan(dir.path());
            let expected = ends.iter().filter(|end| **end <= cut).count();
            prop_assert_eq!(&leaves[..], &payloads[..expected]);
        }

        #[test]
        fn flips_are_found_and_the_rest_is_read(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 2..12),
                                                at: prop::sample::Index, bit in 0u8..8) {
            let dir = tempfile::tempdir().unwrap();
            let ends = written(dir.path(), &payloads, true);
            let path = segment_path(dir.path(), 1);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(*ends.last().unwrap() as usize);
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            let (leaves, rest) = scan(dir.path());
            // A flip in padding harms nothing; any other costs exactly the frame it is in.
            if leaves != payloads {
                let told = rest.iter().any(|step| matches!(step, Step::Damage { .. } | Step::End(End::Torn(_))));
                prop_assert!(told);
                prop_assert!(leaves.len() + 1 >= payloads.len());
            }
        }
    }
}
