//! The sessions of one installation, one line each, in the order they opened.
//!
//! `chain.jsonl` stands beside the session directories. A session takes its line, under a lock and
//! durably, before its first leaf names the same number and the session before it: deleting a
//! session whole then leaves a number without a session, and a successor that names what is gone.
//! It proves nothing to whoever can rewrite all of it; that takes copies kept elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::catalog::SessionDir;
use super::{JournalError, disk, reader};
use crate::limits;
use crate::record::SessionId;
use crate::record::event::{ChainLink, Prev, PrevState};

/// One session's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The installation.
    pub install: String,
    /// The session's number in it, from 1.
    pub seq: u64,
    /// The session.
    pub session: SessionId,
    /// Origin of its log.
    pub origin: String,
}

/// Where the chain of the sessions below `sessions` is kept.
#[must_use]
pub fn path(sessions: &Path) -> PathBuf {
    sessions.join("chain.jsonl")
}

/// Adds a session to the chain and returns its link.
///
/// # Errors
/// The chain cannot be read, locked or written: the session must not open.
pub(super) fn join(
    sessions: &Path,
    session: SessionId,
    origin: &str,
) -> Result<ChainLink, JournalError> {
    disk::create_private_dir(sessions).map_err(JournalError::io("create", sessions))?;
    let path = path(sessions);
    let mut file = open(&path).map_err(JournalError::io("write", &path))?;
    lock(&file).map_err(JournalError::io("lock", &path))?;
    let (last, end) = last_line(&mut file).map_err(JournalError::io("read", &path))?;
    let (install, seq) = match &last {
        Some(line) => (line.install.clone(), line.seq + 1),
        None => (fresh_install(), 1),
    };
    let line = Line {
        install: install.clone(),
        seq,
        session,
        origin: origin.to_owned(),
    };
    let write = |file: &mut File| -> io::Result<()> {
        let mut text = serde_json::to_vec(&line).map_err(io::Error::other)?;
        text.push(b'\n');
        // What an interrupted write left behind is no line, and its session never opened.
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&text)?;
        file.sync_data()
    };
    write(&mut file).map_err(JournalError::io("write", &path))?;
    let prev = last.map(|line| prev(sessions, line));
    Ok(ChainLink { install, seq, prev })
}

fn prev(sessions: &Path, line: Line) -> Prev {
    let dir = SessionDir::new(sessions, line.session);
    let (size, root, reason) = match reader::last_signed(&dir) {
        Some((signed, reason)) => (signed.size, signed.root.to_string(), reason),
        None => (0, String::new(), PrevState::Missing),
    };
    Prev {
        origin: line.origin,
        size,
        root,
        reason,
    }
}

/// Every line of the chain. A line that does not read is passed over: the sessions say the same.
///
/// # Errors
/// The chain is there and cannot be read.
pub fn lines(sessions: &Path) -> Result<Vec<Line>, JournalError> {
    let path = path(sessions);
    match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(JournalError::io("read", path)(e)),
        Ok(bytes) => Ok(bytes
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    match disk::create_private_file(path) {
        Ok(file) => {
            path.parent().map_or(Ok(()), disk::sync_dir)?;
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path)
        }
        Err(e) => Err(e),
    }
}

fn lock(file: &File) -> io::Result<()> {
    let deadline = std::time::Instant::now() + limits::CHAIN_LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) if std::time::Instant::now() < deadline => {
                std::thread::sleep(limits::CHAIN_LOCK_RETRY);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// The last line that reads, and where the next one goes.
fn last_line(file: &mut File) -> io::Result<(Option<Line>, u64)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(limits::CHAIN_TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(limits::CHAIN_TAIL_BYTES).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n');
    let end = whole.map_or(from, |at| from + at as u64 + 1);
    // A damaged line still is a session's: its number is left out, never given again.
    let last = tail[..whole.unwrap_or(0)]
        .rsplit(|byte| *byte == b'\n')
        .enumerate()
        .find_map(|(after, line)| {
            let mut line: Line = serde_json::from_slice(line).ok()?;
            line.seq = line.seq.checked_add(after as u64)?;
            Some(line)
        });
    if last.is_none() && length > 0 && (whole.is_some() || from > 0) {
        // Numbers must go on where they were: starting again at 1 would hide what is missing.
        let why = "its last lines do not read; move it away to begin a new chain";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok((last, end))
}

fn fresh_install() -> String {
    let mut bytes = [0; 16];
    #[expect(clippy::expect_used, reason = "no way on without randomness")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    SessionId::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    #[test]
    fn numbers_go_on_and_a_torn_line_is_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let first = join(dir.path(), id(1), "h/ddgate/1").unwrap();
        assert_eq!((first.seq, first.prev), (1, None));
        let file = path(dir.path());
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend_from_slice(b"{\"install\":\"");
        fs::write(&file, &bytes).unwrap();
        let second = join(dir.path(), id(2), "h/ddgate/2").unwrap();
        assert_eq!((second.seq, &second.install), (2, &first.install));
        let prev = second.prev.unwrap();
        assert_eq!((prev.reason, prev.size), (PrevState::Missing, 0));
        assert_eq!(prev.origin, "h/ddgate/1");
        let all: Vec<_> = lines(dir.path()).unwrap();
        assert_eq!(
            all.iter().map(|line| line.session).collect::<Vec<_>>(),
            [id(1), id(2)]
        );
    }

    #[test]
    fn a_chain_that_does_not_read_is_not_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "nonsense\n").unwrap();
        let refused = join(dir.path(), id(1), "h/ddgate/1").unwrap_err();
        assert!(matches!(refused, JournalError::Io { .. }));
    }

    #[test]
    fn many_at_once_get_a_number_each() {
        let dir = tempfile::tempdir().unwrap();
        let mut seqs: Vec<u64> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|n| {
                    let dir = dir.path();
                    scope.spawn(move || join(dir, id(n), "h/ddgate/x").unwrap().seq)
                })
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=8).collect::<Vec<_>>());
    }
}
