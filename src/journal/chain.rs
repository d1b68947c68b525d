//! The sessions of one installation, one line each, in the order they opened.
//!
//! `chain.jsonl` stands beside the session directories. A session takes its line, under a lock and
//! durably, before its first leaf names the same number and the session before it: deleting a
//! session whole then leaves a number without a session, and a successor that names what is gone.
//! It proves nothing to whoever can rewrite all of it; that takes copies kept elsewhere.

use std::collections::BTreeMap;
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

/// What the chain of an installation's sessions tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainAudit {
    /// Sessions that are there and in the chain.
    pub sessions: u64,
    /// Installations: more than one when a chain was begun anew.
    pub installs: u64,
    /// What is missing or contradicts itself.
    pub gaps: Vec<ChainGap>,
}

/// A place where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainGap {
    /// A session with this number was there, and is not.
    #[error("session {seq} of installation {install} is missing{}", known_as(.origin))]
    Missing {
        /// The installation, short.
        install: String,
        /// Its number.
        seq: u64,
        /// Origin of its log, where something still names it.
        origin: Option<String>,
    },
    /// Two sessions with one number.
    #[error("two sessions have number {seq} of installation {install}")]
    Twice {
        /// The installation, short.
        install: String,
        /// Their number.
        seq: u64,
    },
    /// A session names another predecessor than the one that has the number before.
    #[error("session {seq} of installation {install} follows {named}, which is not session {}", seq - 1)]
    Follows {
        /// The installation, short.
        install: String,
        /// Its number.
        seq: u64,
        /// The origin it names.
        named: String,
    },
    /// A session that the chain does not list.
    #[error("session {session} stands in no chain")]
    Unchained {
        /// The session, short.
        session: String,
    },
}

fn known_as(origin: &Option<String>) -> String {
    origin
        .as_ref()
        .map_or_else(String::new, |origin| format!(": {origin}"))
}

/// One session as the check of the chain needs it.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The session.
    pub session: SessionId,
    /// Origin of its log.
    pub origin: String,
    /// Its link; none when it has none.
    pub link: Option<ChainLink>,
}

/// Looks for numbers without a session. `opened` are the sessions that are there; a number whose
/// directory is there without a record (`unopened`) never opened, and is no gap.
#[must_use]
pub fn check(lines: &[Line], opened: &[Linked], unopened: &[SessionId]) -> ChainAudit {
    let mut audit = ChainAudit::default();
    let mut places: BTreeMap<(&str, u64), Vec<&Linked>> = BTreeMap::new();
    for linked in opened {
        match &linked.link {
            Some(link) => places
                .entry((&link.install, link.seq))
                .or_default()
                .push(linked),
            None => audit.gaps.push(ChainGap::Unchained {
                session: linked.session.short(),
            }),
        }
    }
    audit.sessions = places.values().map(|held| held.len() as u64).sum();
    // Everything that ever named a number: the chain's lines, and each session's predecessor.
    let mut named: BTreeMap<(&str, u64), Option<&str>> = BTreeMap::new();
    for line in lines
        .iter()
        .filter(|line| !unopened.contains(&line.session))
    {
        named.insert((&line.install, line.seq), Some(&line.origin));
    }
    for link in opened.iter().filter_map(|linked| linked.link.as_ref()) {
        for seq in 1..link.seq {
            named.entry((&link.install, seq)).or_insert(None);
        }
        if let Some(prev) = &link.prev {
            named.insert(
                (&link.install, link.seq.saturating_sub(1)),
                Some(&prev.origin),
            );
        }
    }
    let skipped: Vec<(&str, u64)> = lines
        .iter()
        .filter(|line| unopened.contains(&line.session))
        .map(|line| (line.install.as_str(), line.seq))
        .collect();
    for (&(install, seq), origin) in &named {
        if !places.contains_key(&(install, seq)) && !skipped.contains(&(install, seq)) {
            audit.gaps.push(ChainGap::Missing {
                install: short(install),
                seq,
                origin: origin.map(str::to_owned),
            });
        }
    }
    for (&(install, seq), held) in &places {
        if held.len() > 1 {
            audit.gaps.push(ChainGap::Twice {
                install: short(install),
                seq,
            });
        }
        for link in held.iter().filter_map(|linked| linked.link.as_ref()) {
            let before = places.get(&(install, seq.saturating_sub(1)));
            if let (Some(prev), Some(before)) = (&link.prev, before)
                && before.iter().all(|linked| linked.origin != prev.origin)
            {
                audit.gaps.push(ChainGap::Follows {
                    install: short(install),
                    seq,
                    named: prev.origin.clone(),
                });
            }
        }
    }
    let installs: std::collections::BTreeSet<&str> = places
        .keys()
        .chain(named.keys())
        .map(|(install, _)| *install)
        .collect();
    audit.installs = installs.len() as u64;
    audit
}

fn short(install: &str) -> String {
    install.chars().take(8).collect()
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

    fn linked(n: u8, seq: u64, prev: Option<u8>) -> Linked {
        let prev = prev.map(|n| Prev {
            origin: format!("h/ddgate/{n}"),
            size: 3,
            root: String::new(),
            reason: PrevState::Closed,
        });
        Linked {
            session: id(n),
            origin: format!("h/ddgate/{n}"),
            link: Some(ChainLink {
                install: "aa".repeat(16),
                seq,
                prev,
            }),
        }
    }

    fn line(n: u8, seq: u64) -> Line {
        Line {
            install: "aa".repeat(16),
            seq,
            session: id(n),
            origin: format!("h/ddgate/{n}"),
        }
    }

    #[test]
    fn a_session_deleted_whole_is_found() {
        let lines = [line(1, 1), line(2, 2), line(3, 3)];
        let all = [
            linked(1, 1, None),
            linked(2, 2, Some(1)),
            linked(3, 3, Some(2)),
        ];
        assert!(check(&lines, &all, &[]).gaps.is_empty());
        assert!(check(&[], &all, &[]).gaps.is_empty());
        let missing = |audit: ChainAudit| -> Vec<u64> {
            let gaps = audit.gaps.iter();
            gaps.filter_map(|gap| match gap {
                ChainGap::Missing { seq, .. } => Some(*seq),
                _ => None,
            })
            .collect()
        };
        for gone in 0..3 {
            let mut left = all.to_vec();
            left.remove(gone);
            assert_eq!(missing(check(&lines, &left, &[])), [gone as u64 + 1]);
        }
        // With its line in the chain, too: whoever came after it still tells.
        let left = [all[0].clone(), all[2].clone()];
        assert_eq!(
            missing(check(&[lines[0].clone(), lines[2].clone()], &left, &[])),
            [2]
        );
        // One that never opened is no gap.
        assert_eq!(missing(check(&lines, &left, &[id(2)])), [0_u64; 0]);
    }

    #[test]
    fn a_session_put_in_anothers_place_is_found() {
        let all = [
            linked(1, 1, None),
            linked(9, 2, Some(1)),
            linked(3, 3, Some(2)),
        ];
        let gaps = check(&[], &all, &[]).gaps;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert!(matches!(gaps[0], ChainGap::Follows { seq: 3, .. }));
        let twice = [linked(1, 1, None), linked(2, 1, None)];
        assert!(matches!(
            check(&[], &twice, &[]).gaps[..],
            [ChainGap::Twice { seq: 1, .. }]
        ));
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
