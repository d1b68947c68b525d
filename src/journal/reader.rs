//! Reads a session: closed, crashed or still running, through one type.
//!
//! A closed session is read through its sled index (caught up, or rebuilt, if need be); a running
//! one straight from its write-ahead file, without any lock, up to the last complete frame.

use std::fs::{File, TryLockError};
use std::io::{self, Write};

use super::JournalError;
use super::catalog::{Manifest, SessionDir};
use super::content;
use super::index::{self, CallLeaf, Findings, Opened, Place, Rows};
use super::wal::{self, Position, Scanner, Step};
use crate::record::{CallNumber, Commitment, Leaf, SessionId};

/// Whether a session still runs, and how it ended if not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its gate holds the lock.
    Running,
    /// Sealed.
    Closed,
    /// Its gate died: calls without an end are in doubt.
    EndedWithoutClosing,
}

/// One committed field with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, for example `body`.
    pub name: String,
    /// The content.
    pub content: Vec<u8>,
    /// Its commitment recomputed from salt and content.
    pub commitment: Commitment,
}

/// A session, opened for reading.
pub struct SessionReader {
    dir: SessionDir,
    id: SessionId,
    rows: Rows,
    findings: Findings,
    state: State,
}

impl SessionReader {
    /// Opens the session in `dir`.
    ///
    /// # Errors
    /// The directory holds no session this version can read.
    pub fn open(dir: SessionDir) -> Result<Self, JournalError> {
        let id = head(&dir)?;
        let live = is_live(&dir)?;
        let (rows, findings) = if live {
            Rows::of_live(dir.path())?
        } else {
            Rows::of_closed(dir.path())?
        };
        let state = if live {
            State::Running
        } else if findings.sealed {
            State::Closed
        } else {
            State::EndedWithoutClosing
        };
        Ok(Self {
            dir,
            id,
            rows,
            findings,
            state,
        })
    }

    /// The session's id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whether it runs, and how it ended.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// What is wrong with the file, in plain words; empty when nothing is.
    #[must_use]
    pub fn trouble(&self) -> Vec<String> {
        let mut trouble: Vec<String> = self
            .findings
            .damage
            .iter()
            .map(|(from, to)| {
                let bytes = to - from.offset;
                let Position { segment, offset } = from;
                format!("segment {segment} is damaged at byte {offset} ({bytes} bytes unreadable)")
            })
            .collect();
        if self.state != State::Running
            && let Some(Position { segment, offset }) = self.findings.torn
        {
            trouble.push(format!(
                "segment {segment} ends in an unfinished record at byte {offset}"
            ));
        }
        // A file that was cut between two records looks like one that was never closed.
        if self.state != State::Running
            && let Some(Manifest { leaves, .. }) = self.manifest()
            && matches!(self.leaf(leaves.saturating_sub(1)), Ok(None))
        {
            trouble.push(format!(
                "it had {leaves} entries when it was closed, and the last is missing"
            ));
        }
        trouble
    }

    /// The leaves from index `from` on, in order. Those that damage took are passed over.
    pub fn leaves(&self, from: u64) -> impl Iterator<Item = Result<Leaf, JournalError>> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let i = next?;
            let found = match self.leaf(i).transpose() {
                None => {
                    let later = self.rows.leaf_from(i).transpose()?;
                    later.and_then(|i| Ok((i, self.leaf(i)?)))
                }
                Some(leaf) => leaf.map(|leaf| (i, Some(leaf))),
            };
            next = found.as_ref().ok().map(|(i, _)| i + 1);
            found.map(|(_, leaf)| leaf).transpose()
        })
    }

    /// One leaf.
    ///
    /// # Errors
    /// The index cannot be read, or the leaf is of a newer format.
    pub fn leaf(&self, i: u64) -> Result<Option<Leaf>, JournalError> {
        self.rows
            .leaf(i)?
            .map(|bytes| Leaf::from_bytes(&bytes))
            .transpose()
            .map_err(|e| JournalError::NotASession {
                path: self.dir.path().to_owned(),
                why: format!("leaf {i} does not read: {e}"),
            })
    }

    /// The leaves of one call: request, the stream that ends its body, response.
    ///
    /// # Errors
    /// There is no such call, or the index cannot be read.
    pub fn call(&self, number: CallNumber) -> Result<Vec<Leaf>, JournalError> {
        let mut leaves = Vec::new();
        for kind in [
            CallLeaf::Request,
            CallLeaf::RequestStream,
            CallLeaf::Response,
        ] {
            if let Some(i) = self.rows.call_leaf(number, kind)? {
                leaves.extend(self.leaf(i)?);
            }
        }
        if leaves.is_empty() {
            return Err(JournalError::NoSuchCall {
                session: self.id.short(),
                number: number.0,
            });
        }
        Ok(leaves)
    }

    /// Writes the content of one field of a leaf to `out`; false when there is none.
    ///
    /// # Errors
    /// The content cannot be read, or `out` cannot be written.
    pub fn write_content(
        &self,
        leaf: u64,
        field: &str,
        out: &mut impl Write,
    ) -> Result<bool, JournalError> {
        let Some(opened) = self.opened(leaf, field)? else {
            return Ok(false);
        };
        let to = |e: io::Error| JournalError::io("write the content of", self.dir.path())(e);
        match opened.place {
            Place::Inline(bytes) => out.write_all(&bytes).map_err(to)?,
            Place::Frame(at) => out
                .write_all(&index::plain(self.dir.path(), at)?)
                .map_err(to)?,
            Place::Content(number) => {
                for at in self.rows.content(number)? {
                    out.write_all(&index::plain(self.dir.path(), at)?)
                        .map_err(to)?;
                }
            }
        }
        Ok(true)
    }

    /// One field of a leaf with its content, in memory.
    ///
    /// # Errors
    /// The content cannot be read.
    pub fn field(&self, leaf: u64, name: &str) -> Result<Option<Field>, JournalError> {
        let Some(opened) = self.opened(leaf, name)? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        self.write_content(leaf, name, &mut content)?;
        Ok(Some(Field {
            commitment: content::recompute(&opened.salt, name, &content),
            name: opened.field,
            content,
        }))
    }

    fn opened(&self, leaf: u64, field: &str) -> Result<Option<Opened>, JournalError> {
        let openings = self.rows.openings(leaf)?;
        Ok(openings.into_iter().find(|opened| opened.field == field))
    }

    /// The manifest written when the session closed, if it did.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        Manifest::load(self.dir.path())
    }
}

/// Whether a gate holds the session's lock.
pub(super) fn is_live(dir: &SessionDir) -> Result<bool, JournalError> {
    let path = dir.lock_path();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(JournalError::io("open", path)(e)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(JournalError::io("lock", path)(e)),
    }
}

/// Checks the first frame and returns the session it names.
fn head(dir: &SessionDir) -> Result<SessionId, JournalError> {
    let path = dir.path();
    let not = |why: &str| JournalError::NotASession {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let mut scanner = match Scanner::open(path, Position::START) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(not("it has no record")),
        other => other.map_err(JournalError::io("read", path))?,
    };
    match scanner.step().map_err(JournalError::io("read", path))? {
        Step::Frame(_, _, frame) => {
            let (id, found) = wal::parse_segment_head(&frame)
                .ok_or_else(|| not("its first record names no session"))?;
            if found > wal::FORMAT {
                return Err(JournalError::Newer {
                    path: path.to_owned(),
                    found,
                    known: wal::FORMAT,
                });
            }
            Ok(id)
        }
        _ => Err(not("its beginning is missing")),
    }
}

/// When the session opened, read from the first leaf that is there; `None` when it never did.
pub(super) fn started(dir: &SessionDir) -> Option<chrono::DateTime<chrono::Utc>> {
    let mut scanner = Scanner::open(dir.path(), Position::START).ok()?;
    loop {
        match scanner.step().ok()? {
            Step::Frame(_, _, frame) if frame.kind == super::frame::Kind::Leaf => {
                return Leaf::from_bytes(&frame.payload).ok().map(|leaf| leaf.ts);
            }
            // Damage there must not hide the session: the next leaf is later by little.
            Step::Frame(..) | Step::Damage { .. } => {}
            Step::End(_) => return None,
        }
    }
}
