//! Erases what a session holds, and leaves what it states: leaves, checkpoints, every proof.
//!
//! Each segment is written anew beside the old one, with a tombstone of the same number in the
//! place of every opening, every piece of content and the header of the session's key, and then
//! takes its place in one step. Invariants: whatever a kill or a power cut leaves behind is, for
//! every segment, the whole old one or the whole new one; while the marker `erasing` is there
//! nobody reads contents or feeds the index; and running it again finishes it.
//!
//! What it cannot reach: copies made before, snapshots of the file system, and what a disk keeps
//! of blocks it was told to overwrite.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::catalog::SessionDir;
use super::content::Opening;
use super::db::{self, Db};
use super::frame::{Frame, Kind};
use super::index::{self, Rows};
use super::reader;
use super::wal::{self, End, Scanner, Step};
use super::{JournalError, disk};
use crate::limits;
use crate::record::{Contents, Erasure};

/// In the place of a torn end: no frame, and not the zeros that space taken ahead reads as.
const TORN: [u8; 8] = *b"erased\xff\xff";
/// How long readers may hold what is to be erased.
const PATIENCE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(20);

/// Whether the contents of a session were erased, or are being; [`Contents::Open`] says neither.
#[must_use]
pub fn state(dir: &SessionDir) -> Contents {
    if is_under_way(dir.path()) {
        return Contents::Erasing;
    }
    match note(&note_path(dir.path())) {
        Some(erasure) => Contents::Erased(erasure),
        None => Contents::Open,
    }
}

/// Whether an erasure began and did not end.
pub(super) fn is_under_way(dir: &Path) -> bool {
    marker_path(dir).exists()
}

/// Erases the contents of a session that nobody writes to. `by` is for the note left behind. What
/// an earlier erasure began is finished, in its name.
///
/// # Errors
/// The session runs, or is being read, or its files cannot be written anew. Whatever was erased by
/// then is erased; running it again does the rest.
pub fn erase(dir: &SessionDir, by: &str) -> Result<Erasure, JournalError> {
    erase_watched(dir, by, &mut |_| Ok(()))
}

/// The same, telling `step` what comes next, so that a test can stop it anywhere.
pub(super) fn erase_watched(
    dir: &SessionDir,
    by: &str,
    step: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<Erasure, JournalError> {
    let path = dir.path();
    let session = reader::head(dir)?;
    let _lock = lock(dir).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => JournalError::Running(session.short()),
        _ => JournalError::io("lock", dir.lock_path())(e),
    })?;
    if let (false, Some(done)) = (is_under_way(path), note(&note_path(path))) {
        return Ok(done);
    }
    let mut io_step = |what: &str| step(what).map_err(JournalError::io("erase", path));
    io_step("marker")?;
    let begun = note(&marker_path(path)).unwrap_or_else(|| Erasure {
        at: Utc::now(),
        by: by.to_owned(),
        contents: 0,
    });
    save(&marker_path(path), &begun)?;
    let mut contents = 0;
    for segment in segments(path)? {
        let file = wal::segment_path(path, segment);
        contents += rewrite(path, segment, &file, &mut io_step)?;
    }
    io_step("index")?;
    discard_index(path, &session.short())?;
    // Whoever reads next would build it too.
    let _ = Rows::of_closed(path);
    let done = Erasure { contents, ..begun };
    io_step("note")?;
    save(&note_path(path), &done)?;
    io_step("unmark")?;
    fs::remove_file(marker_path(path))
        .and_then(|()| disk::sync_dir(path))
        .map_err(JournalError::io("remove", marker_path(path)))?;
    Ok(done)
}

/// What stands in the place of a frame once its content is erased; none for frames that stay.
pub(super) fn tombstone(frame: &Frame) -> Option<Frame> {
    let mut header = vec![frame.kind as u8];
    match frame.kind {
        Kind::Opening => {
            // An opening that does not read says nothing that could be kept.
            if let Some(opening) = Opening::parse(&frame.header) {
                header.extend_from_slice(&opening.leaf.to_le_bytes());
                header.extend_from_slice(opening.field.as_bytes());
            }
        }
        Kind::Content | Kind::Keys => {}
        Kind::Erased => return Some(frame.clone()),
        Kind::Segment | Kind::Leaf | Kind::Seal | Kind::Checkpoint => return None,
    }
    Some(Frame {
        kind: Kind::Erased,
        flags: 0,
        header,
        payload: Vec::new(),
    })
}

/// Leaf and field of an erased opening; none for other tombstones.
pub(super) fn erased_field(frame: &Frame) -> Option<(u64, String)> {
    let (kind, rest) = frame.header.split_first()?;
    if frame.kind != Kind::Erased || *kind != Kind::Opening as u8 {
        return None;
    }
    let (leaf, field) = rest.split_first_chunk::<8>()?;
    let field = std::str::from_utf8(field).ok()?;
    Some((u64::from_le_bytes(*leaf), field.to_owned()))
}

fn marker_path(dir: &Path) -> PathBuf {
    dir.join("erasing")
}

fn note_path(dir: &Path) -> PathBuf {
    dir.join("erased.json")
}

fn note(path: &Path) -> Option<Erasure> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn save(path: &Path, erasure: &Erasure) -> Result<(), JournalError> {
    serde_json::to_vec_pretty(erasure)
        .map_err(io::Error::other)
        .and_then(|bytes| disk::replace_private_file(path, &bytes))
        .map_err(JournalError::io("write", path))
}

/// Takes the session's lock. A reader asks for a shared one for an instant, so once is not enough.
fn lock(dir: &SessionDir) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.lock_path())?;
    let deadline = Instant::now() + RETRY * 10;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(RETRY);
            }
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

fn segments(dir: &Path) -> Result<Vec<u32>, JournalError> {
    let entries = fs::read_dir(dir).map_err(JournalError::io("read", dir))?;
    let mut segments: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| wal::segment_number(entry.file_name().to_str()?))
        .collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Writes one segment anew; says how many openings it has that are erased.
fn rewrite(
    dir: &Path,
    segment: u32,
    path: &Path,
    step: &mut impl FnMut(&str) -> Result<(), JournalError>,
) -> Result<u64, JournalError> {
    let fresh = path.with_extension("erase");
    let write = || JournalError::io("write", &fresh);
    step("write")?;
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(write()(e)),
        _ => {}
    }
    let file = disk::create_private_file(&fresh).map_err(write())?;
    let scanner = Scanner::within(dir, segment).map_err(JournalError::io("read", path))?;
    let contents = copy(scanner, &file).map_err(write())?;
    step("sync")?;
    file.sync_all().map_err(write())?;
    let old = File::options().write(true).open(path);
    step("rename")?;
    fs::rename(&fresh, path)
        .and_then(|()| disk::sync_dir(dir))
        .map_err(JournalError::io("replace", path))?;
    step("overwrite")?;
    if let Ok(old) = old {
        // The new file stands. What the old one leaves on the disk is overwritten where the file
        // system does so in place; where it does not, nothing is lost by trying.
        let _ = overwrite(&old);
    }
    Ok(contents)
}

fn copy(mut scanner: Scanner, file: &File) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(limits::BODY_PIECE_BYTES_MAX, file);
    let (mut bytes, mut contents) = (Vec::new(), 0);
    loop {
        match scanner.step()? {
            Step::Frame(seq, _, frame) => {
                let stays = tombstone(&frame).unwrap_or(frame);
                contents += u64::from(erased_field(&stays).is_some());
                bytes.clear();
                stays.encode(seq, &mut bytes);
                out.write_all(&bytes)?;
            }
            Step::Damage { from, to } => {
                // A hole stays a hole, of the same size, but what may be left in it goes.
                io::copy(
                    &mut io::Read::take(io::repeat(0), to.saturating_sub(from.offset)),
                    &mut out,
                )?;
            }
            Step::End(end) => {
                if matches!(end, End::Torn(_)) {
                    out.write_all(&TORN)?;
                }
                out.flush()?;
                return Ok(contents);
            }
        }
    }
}

/// Overwrites a file that has no name any more; one that has another name is somebody's copy.
fn overwrite(old: &File) -> io::Result<()> {
    let about = old.metadata()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if about.nlink() > 0 {
            return Ok(());
        }
    }
    let mut old = old;
    io::copy(&mut io::Read::take(io::repeat(0), about.len()), &mut old)?;
    old.sync_data()
}

/// Throws the index away once nobody has it open: whoever has could still write old rows into it.
fn discard_index(dir: &Path, session: &str) -> Result<(), JournalError> {
    let path = index::index_path(dir);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Db::open(&path) {
            Err(e) if db::is_locked(&e) && Instant::now() >= deadline => {
                return Err(JournalError::BeingRead(session.to_owned()));
            }
            Err(e) if db::is_locked(&e) => std::thread::sleep(RETRY),
            // Good or damaged: it goes.
            _ => return db::discard(&path),
        }
    }
}
