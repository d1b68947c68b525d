//! The sessions of a data directory: where one lives, which there are, which one is meant.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reader::{self, SessionReader};
use super::{JournalError, disk};
use crate::record::event::{Decision, SessionClose};
use crate::record::tool::Via;
use crate::record::{Effect, Event, Leaf, Outcome, SessionId};

/// The directory of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDir(PathBuf);

impl SessionDir {
    /// Where the session `id` lives below `sessions`.
    #[must_use]
    pub fn new(sessions: &Path, id: SessionId) -> Self {
        Self(sessions.join(id.to_string()))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Bytes of the record, about: what reading all of it will cost.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return 0;
        };
        let records = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|it| it == "ddw"));
        records
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .sum()
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Creates the directory and takes its lock for as long as the file lives.
    pub(super) fn create_and_lock(&self) -> Result<File, JournalError> {
        disk::create_private_dir(&self.0).map_err(JournalError::io("create", &self.0))?;
        let path = self.lock_path();
        let file = disk::create_private_file(&path).map_err(JournalError::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(JournalError::io("lock", path)(
                io::ErrorKind::WouldBlock.into(),
            )),
            Err(TryLockError::Error(e)) => Err(JournalError::io("lock", path)(e)),
        }
    }
}

/// How many calls a session had, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All calls, denied ones included.
    pub calls: u64,
    /// Calls that may have changed something: write, destroy, unknown.
    pub changes: u64,
    /// Of these, calls that create or change.
    pub writes: u64,
    /// Of these, calls that remove.
    pub deletes: u64,
    /// Refused by the gate.
    pub denied: u64,
    /// Not sent, or the answer did not arrive whole.
    pub failed: u64,
    /// Ended without anybody knowing whether they took effect.
    pub in_doubt: u64,
    /// Answered by Datadog with a status of 400 or above.
    pub error_answers: u64,
    /// Requests that have their end on record.
    pub ended: u64,
}

impl Counts {
    /// One more call.
    fn begun(&mut self, decision: Decision, access: Effect) {
        self.calls += 1;
        if decision == Decision::Deny {
            self.denied += 1;
            self.ended += 1;
        } else {
            self.changes += u64::from(access.is_change());
            self.writes += u64::from(access == Effect::Write);
            self.deletes += u64::from(access == Effect::Destroy);
        }
    }

    /// Takes one more event into account.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::CallRequest(e) | Event::CallDenied(e) => {
                self.begun(e.decision, e.access);
            }
            // A tool of a wrapped server: it has no other leaves.
            Event::McpCall(e) if e.via == Via::Stdio => {
                self.begun(e.decision.unwrap_or(Decision::Allow), e.access);
            }
            Event::McpResult(e) if e.via == Via::Stdio => self.ended += 1,
            Event::CallResponse(e) => {
                self.ended += 1;
                match e.outcome {
                    Outcome::Failed => self.failed += 1,
                    Outcome::InDoubt => self.in_doubt += 1,
                    Outcome::Answered | Outcome::Refused => {
                        self.error_answers += u64::from(e.status.is_some_and(|s| s >= 400));
                    }
                }
            }
            _ => {}
        }
    }
}

/// What `sessions` needs to know without reading a session. Holds nothing about people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file.
    pub format: u32,
    /// The session.
    pub session: SessionId,
    /// When it opened.
    pub started: DateTime<Utc>,
    /// When it closed.
    pub ended: Option<DateTime<Utc>>,
    /// The child's exit code.
    pub exit: Option<u8>,
    /// Why it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Leaves in the log.
    pub leaves: u64,
    /// What became of its calls.
    pub counts: Counts,
    /// Bytes of the last segment.
    pub bytes: u64,
    /// What went wrong with the record, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Manifest {
    pub(super) fn begin(session: SessionId, started: DateTime<Utc>) -> Self {
        Self {
            format: 1,
            session,
            started,
            ended: None,
            exit: None,
            reason: None,
            leaves: 0,
            counts: Counts::default(),
            bytes: 0,
            trouble: None,
        }
    }

    pub(super) fn observe(&mut self, leaf: &Leaf) {
        self.leaves = leaf.i + 1;
        self.counts.observe(&leaf.event);
        if let Event::SessionClose(SessionClose { exit, reason, .. }) = &leaf.event {
            self.ended = Some(leaf.ts);
            self.exit = *exit;
            self.reason = Some(reason.clone());
        }
    }

    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        disk::replace_private_file(&dir.join("manifest.json"), &bytes)
    }

    pub(super) fn load(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join("manifest.json")).ok()?).ok()
    }
}

/// One line of the list of sessions.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it lives.
    pub dir: SessionDir,
    /// The session.
    pub id: SessionId,
    /// When it opened.
    pub started: DateTime<Utc>,
    /// Its manifest, if it was closed.
    pub manifest: Option<Manifest>,
}

/// The sessions below a data directory.
#[derive(Clone, Debug)]
pub struct Catalog {
    sessions: PathBuf,
}

impl Catalog {
    /// Looks below `sessions`; the directory need not exist.
    #[must_use]
    pub fn new(sessions: impl Into<PathBuf>) -> Self {
        Self {
            sessions: sessions.into(),
        }
    }

    /// All sessions, newest first. What is no session is passed over.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::new();
        for id in self.ids()? {
            let dir = SessionDir::new(&self.sessions, id);
            let manifest = Manifest::load(dir.path());
            let started = match &manifest {
                Some(manifest) => manifest.started,
                None => match reader::started(&dir) {
                    Some(started) => started,
                    None => continue,
                },
            };
            entries.push(Entry {
                dir,
                id,
                started,
                manifest,
            });
        }
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.started, entry.id)));
        Ok(entries)
    }

    /// The session meant by `latest`, an id, or an unambiguous beginning of one.
    ///
    /// # Errors
    /// None, or more than one, is meant.
    pub fn find(&self, selector: &str) -> Result<SessionDir, JournalError> {
        if selector == "latest" {
            return match self.list()?.into_iter().next() {
                Some(entry) => Ok(entry.dir),
                None => Err(JournalError::NoSessions(self.sessions.clone())),
            };
        }
        let prefix = selector.to_ascii_lowercase();
        let mut fits: Vec<SessionId> = self.ids()?;
        fits.retain(|id| !prefix.is_empty() && id.to_string().starts_with(&prefix));
        match fits.as_slice() {
            [] => Err(JournalError::NoSuchSession(selector.to_owned())),
            [id] => Ok(SessionDir::new(&self.sessions, *id)),
            many => Err(JournalError::Ambiguous {
                prefix: selector.to_owned(),
                count: many.len(),
            }),
        }
    }

    /// Every session directory, whether or not a session in it ever opened; oldest name first.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub fn dirs(&self) -> Result<Vec<(SessionId, SessionDir)>, JournalError> {
        let mut ids = self.ids()?;
        ids.sort_unstable();
        let with_dir = |id| (id, SessionDir::new(&self.sessions, id));
        Ok(ids.into_iter().map(with_dir).collect())
    }

    /// Where the sessions are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.sessions
    }

    /// Whether a gate holds the session right now; unknown counts as yes.
    #[must_use]
    pub fn is_running(&self, id: SessionId) -> bool {
        reader::is_live(&SessionDir::new(&self.sessions, id)).unwrap_or(true)
    }

    fn ids(&self) -> Result<Vec<SessionId>, JournalError> {
        let entries = match fs::read_dir(&self.sessions) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(JournalError::io("read", &self.sessions))?,
        };
        Ok(entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect())
    }
}

impl Entry {
    /// Opens the session for reading.
    ///
    /// # Errors
    /// As [`SessionReader::open`].
    pub fn open(&self) -> Result<SessionReader, JournalError> {
        SessionReader::open(self.dir.clone())
    }
}
