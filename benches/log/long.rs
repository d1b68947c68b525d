//! A long session: what recording, checking and reading it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddgate::journal::catalog::SessionDir;
use ddgate::journal::{Expected, SessionReader, Verdict, audit};
use ddgate::record::event::Durability;

use super::process::{self, Ran};
use super::record::{Session, id};
use super::traffic::{Exchange, SHOP, Traffic};
use super::{CHILD, Failure};

const SESSION: u8 = 0xee;
/// Calls under way at once while it is recorded.
const TASKS: usize = 64;
/// One call in so many changes something; the others are polls.
const CHANGE_EVERY: usize = 50;
/// Different calls; then they come again.
const EXCHANGES: usize = 1000;

/// What was found.
pub(crate) struct Long {
    pub(crate) recording: Ran,
    /// Opening it for the first time, which catches the index up.
    pub(crate) caught_up: Duration,
    pub(crate) leaves: u64,
    pub(crate) contents: u64,
    pub(crate) audit: Duration,
    /// The same in processor time, which a busy machine leaves as it is.
    pub(crate) audit_cpu: Duration,
    pub(crate) wal_bytes: u64,
    pub(crate) index_bytes: u64,
    /// What is asked for, whether its first line is to come at once, what it took.
    pub(crate) verbs: Vec<(&'static str, bool, Ran)>,
}

/// Bytes of the files below a directory, as far as they are written.
pub(crate) fn bytes_below(path: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            bytes_below(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}

/// Bytes of a session's record, and of its index.
pub(crate) fn session_bytes(dir: &SessionDir) -> Result<(u64, u64), Failure> {
    let index = dir.path().join("index");
    let index = if index.is_dir() {
        bytes_below(&index)?
    } else {
        0
    };
    Ok((bytes_below(dir.path())? - index, index))
}

/// Made before, and few: what is measured is the memory of recording.
fn exchanges() -> Vec<Exchange> {
    let mut traffic = Traffic::new(&SHOP, 21);
    (1..=EXCHANGES)
        .map(|call| match call % CHANGE_EVERY {
            0 => traffic.change(),
            _ => traffic.poll(),
        })
        .collect()
}

/// The child's part: records so many calls below `home`.
pub(crate) fn record(words: &[String]) -> Result<(), Failure> {
    let [home, calls] = words else {
        return Err("record needs a directory and a number".into());
    };
    let (sessions, calls) = (
        PathBuf::from(home).join("sessions"),
        calls.parse::<usize>()?,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    // What a sync costs is measured elsewhere, and a million are not needed to fill a file.
    let session = Arc::new(Session::create(&sessions, SESSION, Durability::Process)?);
    let exchanges: Arc<[Exchange]> = exchanges().into();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (session, exchanges) = (Arc::clone(&session), Arc::clone(&exchanges));
                let mine = calls / TASKS + usize::from(task < calls % TASKS);
                tokio::spawn(async move {
                    for exchange in exchanges.iter().cycle().skip(task * 13).take(mine) {
                        session.record(exchange).await?;
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok::<_, Failure>(())
    })?;
    drop(runtime);
    Arc::into_inner(session)
        .ok_or("the session is still in use")?
        .close()?;
    Ok(())
}

pub(crate) fn measure(home: &Path, calls: usize, audits: usize) -> Result<Long, Failure> {
    let place = home.to_str().ok_or("an unreadable path")?;
    let number = calls.to_string();
    let recording = process::run(process::myself(&[CHILD, "record", place, &number])?)?;
    let dir = SessionDir::new(&home.join("sessions"), id(SESSION));
    let began = Instant::now();
    drop(SessionReader::open(dir.clone())?);
    let caught_up = began.elapsed();
    let (wal_bytes, index_bytes) = session_bytes(&dir)?;
    let mut times = Vec::new();
    let cpu = process::own_cpu()?;
    let (mut leaves, mut contents) = (0, 0);
    for _ in 0..audits {
        let began = Instant::now();
        let found = audit(&dir, &Expected::default())?;
        times.push(began.elapsed());
        if found.verdict() != Verdict::Verified {
            return Err(format!("the long session is {:?}", found.findings).into());
        }
        (leaves, contents) = (found.leaves, found.contents);
    }
    times.sort_unstable();
    let audit_cpu = (process::own_cpu()? - cpu) / u32::try_from(audits)?;
    let session = id(SESSION).to_string();
    let mut verbs = Vec::new();
    for (name, is_prompt, words) in [
        ("replay", true, vec!["replay", &session]),
        ("replay --json", false, vec!["replay", &session, "--json"]),
        (
            "show, the last call",
            false,
            vec!["show", &session, &number],
        ),
        ("verify", false, vec!["verify", &session]),
    ] {
        let mut command = process::ddgate(home);
        command.args(words);
        verbs.push((name, is_prompt, process::run(command)?));
    }
    Ok(Long {
        recording,
        caught_up,
        leaves,
        contents,
        audit: times[times.len() / 2],
        audit_cpu,
        wal_bytes,
        index_bytes,
        verbs,
    })
}
