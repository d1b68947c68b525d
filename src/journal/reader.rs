//! Reads a session: closed, crashed or still running, through one type.
//!
//! A closed session is read through its sled index (caught up, or rebuilt, if need be); a running
//! one straight from its write-ahead file, without any lock, up to the last complete frame.

use std::cell::{OnceCell, RefCell};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::ops::ControlFlow;

use super::audit::Audit;
use super::catalog::{Manifest, SessionDir};
use super::cells::CallLeaf;
use super::content::{self, Opening};
use super::crypt::{Cipher, Identities};
use super::index::{self, Findings, Opened, Place, Rows};
use super::pass::{Beside, Pass};
use super::seal::Signed;
use super::vault::Vault;
use super::verdict::{Fault, Gap};
use super::wal::{self, Position, Scanner, Step};
use super::{JournalError, erase};
use crate::record::event::{PrevState, SessionOpen};
use crate::record::{CallNumber, Commitment, Contents, Event, Leaf, SessionId};
use crate::tlog::{Hash, leaf_hash};

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
    vault: Vault,
    /// The leaves that a walk found in the record: what the index says of one must agree.
    walked: OnceCell<Vec<Hash>>,
    /// Contents that were asked for and are not what was recorded.
    wrong: RefCell<Vec<Fault>>,
}

impl SessionReader {
    /// Opens the session in `dir`.
    ///
    /// # Errors
    /// The directory holds no session this version can read.
    pub fn open(dir: SessionDir) -> Result<Self, JournalError> {
        let id = head(&dir)?;
        let live = is_live(&dir)?;
        let vault = Vault::of(&dir, id)?;
        // While contents are erased the index is not touched: it goes too.
        let (rows, findings) = if live || vault.is_erasing() {
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
            vault,
            walked: OnceCell::new(),
            wrong: RefCell::default(),
        })
    }

    /// The session's id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Opens sealed contents; nothing to do where none are, or without an identity.
    ///
    /// # Errors
    /// None of the identities is a recipient, or the session's key does not read.
    pub fn unlock(&mut self, identities: &Identities) -> Result<(), JournalError> {
        self.vault.unlock(identities)
    }

    /// What can be seen of the contents.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.vault.contents()
    }

    /// The age header of a session whose contents are sealed. With a sealed frame's payload behind
    /// it, it is an age file.
    #[must_use]
    pub fn keys(&self) -> Option<&[u8]> {
        self.vault.keys()
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

    /// Checks the whole record; from then on what the index says of a leaf must agree with it.
    ///
    /// # Errors
    /// The record cannot be read at all.
    pub fn check(&self, mut each: impl FnMut(Leaf, &Beside<'_>)) -> Result<Audit, JournalError> {
        let mut hashes = Vec::new();
        let pass = Pass::with(self.dir.clone(), self.id, self.vault.clone());
        let mut audit = pass.hash(&mut hashes, |leaf, beside| {
            each(leaf, beside);
            ControlFlow::Continue(())
        })?;
        let here = audit.leaves;
        if self.state != State::Running
            && let Some(later) = self.rows.leaf_from(here)?
        {
            let once = later + 1;
            audit.findings.gap(Gap::Shorter { here, once });
        }
        // A running session has grown at the second check; the first one's leaves stand.
        let _ = self.walked.set(hashes);
        Ok(audit)
    }

    /// Contents that were asked for since and are not what was recorded: they were given as absent.
    #[must_use]
    pub fn wrong(&self) -> Vec<Fault> {
        self.wrong.borrow().clone()
    }

    /// The leaves from index `from` on, in order. Those that damage took are passed over.
    pub fn leaves(&self, from: u64) -> impl Iterator<Item = Result<Leaf, JournalError>> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            loop {
                let i = next?;
                next = i.checked_add(1);
                match self.leaf(i).transpose() {
                    None => match self.rows.leaf_from(i) {
                        Ok(Some(later)) if later > i => next = Some(later),
                        // It has a place, and is not there.
                        Ok(Some(_)) => {}
                        Ok(None) => next = None,
                        Err(e) => {
                            next = None;
                            return Some(Err(e));
                        }
                    },
                    Some(found) => {
                        next = next.filter(|_| found.is_ok());
                        return Some(found);
                    }
                }
            }
        })
    }

    /// One leaf.
    ///
    /// # Errors
    /// The index cannot be read, or the leaf is of a newer format.
    pub fn leaf(&self, i: u64) -> Result<Option<Leaf>, JournalError> {
        self.leaf_bytes(i)?
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

    /// Writes the content of one field of a leaf to `out`; false when there is none, or none that
    /// can be read: see [`Self::contents`].
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
            Place::Frame(at) => out.write_all(&self.plain(at)?).map_err(to)?,
            Place::Content(number) => {
                for at in self.rows.content(number)? {
                    out.write_all(&self.plain(at)?).map_err(to)?;
                }
            }
            Place::Sealed(_) | Place::Erased => return Ok(false),
        }
        Ok(true)
    }

    fn plain(&self, at: Position) -> Result<Vec<u8>, JournalError> {
        index::plain(self.dir.path(), at, self.vault.cipher())
    }

    /// The bytes of a leaf, which must be among those a walk found.
    fn leaf_bytes(&self, i: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(bytes) = self.rows.leaf(self.dir.path(), i)? else {
            return Ok(None);
        };
        if let Some(walked) = self.walked.get()
            && !self.has_damage()
            && walked.get(i as usize) != Some(&leaf_hash(&bytes))
        {
            return Err(JournalError::Index {
                path: index::index_path(self.dir.path()),
                why: format!(
                    "leaf {i} is not the one on record; remove the index, it is made anew"
                ),
            });
        }
        Ok(Some(bytes))
    }

    /// Damage takes leaves away, so that the others have other places.
    fn has_damage(&self) -> bool {
        !self.findings.damage.is_empty()
    }

    /// One field of a leaf with its content, in memory; none when there is none, or when it is not
    /// what the leaf commits to (see [`Self::wrong`]).
    ///
    /// # Errors
    /// The content cannot be read.
    pub fn field(&self, leaf: u64, name: &str) -> Result<Option<Field>, JournalError> {
        let wrong = || {
            self.wrong.borrow_mut().push(Fault::Content {
                leaf,
                field: name.to_owned(),
            });
            Ok(None)
        };
        let opened = match self.opened(leaf, name) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(None),
            // It does not open with the session's key.
            Err(_) if self.vault.cipher().is_some() => return wrong(),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        let read = self.write_content(leaf, name, &mut content);
        let commitment = content::recompute(&opened.salt, name, &content);
        if read.is_err() || self.commits_to(leaf, name)?.as_ref() != Some(&commitment) {
            return wrong();
        }
        Ok(Some(Field {
            commitment,
            name: opened.field,
            content,
        }))
    }

    /// What a leaf commits to under this name.
    fn commits_to(&self, leaf: u64, name: &str) -> Result<Option<Commitment>, JournalError> {
        let Some(bytes) = self.leaf_bytes(leaf)? else {
            return Ok(None);
        };
        let says: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let committed = says.get(name).cloned().unwrap_or_default();
        Ok(serde_json::from_value(committed).ok())
    }

    /// A field whose content can be read.
    fn opened(&self, leaf: u64, field: &str) -> Result<Option<Opened>, JournalError> {
        if self.vault.is_erasing() {
            return Ok(None);
        }
        let openings = self.rows.openings(self.dir.path(), leaf)?;
        let found = openings.into_iter().find(|opened| opened.field == field);
        Ok(match (found, self.vault.cipher()) {
            (Some(opened), Some(cipher)) => self.unsealed(opened, cipher)?,
            (found, _) => found.filter(|it| !matches!(it.place, Place::Sealed(_) | Place::Erased)),
        })
    }

    /// What a sealed opening says, once it is open; none when it is not what was sealed.
    fn unsealed(&self, opened: Opened, cipher: &Cipher) -> Result<Option<Opened>, JournalError> {
        let Place::Sealed(at) = opened.place else {
            return Ok(Some(opened));
        };
        let path = self.dir.path();
        let frame = index::frame(path, at, Some(cipher))?;
        let Some(opening) = Opening::parse(&frame.header) else {
            return Ok(None);
        };
        Ok(Some(Opened {
            field: opened.field,
            salt: opening.salt,
            place: match opening.content {
                0 => Place::Frame(at),
                number => Place::Content(number),
            },
        }))
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
        // Whoever erases holds the lock too.
        Err(TryLockError::WouldBlock) => Ok(!erase::is_under_way(dir.path())),
        Err(TryLockError::Error(e)) => Err(JournalError::io("lock", path)(e)),
    }
}

/// The last signed checkpoint of a session and the state it is in; none when it cannot be read.
pub(super) fn last_signed(dir: &SessionDir) -> Option<(Signed, PrevState)> {
    let state = match is_live(dir) {
        Ok(true) | Err(_) => PrevState::Running,
        Ok(false) if Manifest::load(dir.path()).is_some_and(|it| it.ended.is_some()) => {
            PrevState::Closed
        }
        Ok(false) => PrevState::Died,
    };
    Some((wal::last_checkpoint(dir.path()).ok()??, state))
}

/// Checks the first frame and returns the session it names.
pub(super) fn head(dir: &SessionDir) -> Result<SessionId, JournalError> {
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

/// What a session's first leaf states, read from it alone; `None` when it never opened.
pub fn opening(dir: &SessionDir) -> Option<SessionOpen> {
    match first_leaf(dir)?.event {
        Event::SessionOpen(open) => Some(open),
        _ => None,
    }
}

/// Whether a directory was made for a session that then never opened: it holds no leaf, and no
/// trace of one.
#[must_use]
pub fn never_opened(dir: &SessionDir) -> bool {
    let Ok(mut scanner) = Scanner::open(dir.path(), Position::START) else {
        return !dir.path().join("manifest.json").exists();
    };
    loop {
        match scanner.step() {
            Ok(Step::Frame(_, _, frame)) if frame.kind == super::frame::Kind::Leaf => return false,
            Ok(Step::Frame(..)) => {}
            Ok(Step::End(end)) => return end != wal::End::Sealed,
            Ok(Step::Damage { .. }) | Err(_) => return false,
        }
    }
}

/// When the session opened, read from the first leaf that is there; `None` when it never did.
pub(super) fn started(dir: &SessionDir) -> Option<chrono::DateTime<chrono::Utc>> {
    Some(first_leaf(dir)?.ts)
}

fn first_leaf(dir: &SessionDir) -> Option<Leaf> {
    let mut scanner = Scanner::open(dir.path(), Position::START).ok()?;
    loop {
        match scanner.step().ok()? {
            Step::Frame(_, _, frame) if frame.kind == super::frame::Kind::Leaf => {
                return Leaf::from_bytes(&frame.payload).ok();
            }
            // Damage there must not hide the session: the next leaf is later by little.
            Step::Frame(..) | Step::Damage { .. } => {}
            Step::End(_) => return None,
        }
    }
}
