//! Reads a session: closed, crashed or still running, through one type.
//!
//! A closed session is read through its sled index (caught up, or rebuilt, if need be); a running
//! one straight from its write-ahead file, without any lock, up to the last complete frame.

use std::fs::{File, TryLockError};
use std::io::{self, Write};

use super::catalog::{Manifest, SessionDir};
use super::content::{self, Opening};
use super::crypt::{Cipher, Identities, Locked};
use super::frame::Kind;
use super::index::{self, CallLeaf, Findings, Opened, Place, Rows};
use super::seal::Signed;
use super::wal::{self, Position, Scanner, Step};
use super::{JournalError, erase};
use crate::record::event::PrevState;
use crate::record::{CallNumber, Commitment, Contents, Leaf, SessionId};

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
    /// The age header of a session whose contents are sealed.
    keys: Option<Vec<u8>>,
    cipher: Option<Cipher>,
    erasure: Contents,
}

impl SessionReader {
    /// Opens the session in `dir`.
    ///
    /// # Errors
    /// The directory holds no session this version can read.
    pub fn open(dir: SessionDir) -> Result<Self, JournalError> {
        let id = head(&dir)?;
        let live = is_live(&dir)?;
        let erasure = erase::state(&dir);
        // While contents are erased the index is not touched: it goes too.
        let (rows, findings) = if live || erasure == Contents::Erasing {
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
            keys: keys(&dir)?,
            cipher: None,
            erasure,
            dir,
            id,
            rows,
            findings,
            state,
        })
    }

    /// Opens sealed contents; nothing to do where none are, or without an identity.
    ///
    /// # Errors
    /// None of the identities is a recipient, or the session's key does not read.
    pub fn unlock(&mut self, identities: &Identities) -> Result<(), JournalError> {
        if !identities.is_empty()
            && let Some(keys) = &self.keys
        {
            self.cipher = Some(unlock(keys, identities, self.id)?);
        }
        Ok(())
    }

    /// What can be seen of the contents.
    #[must_use]
    pub fn contents(&self) -> Contents {
        match &self.erasure {
            Contents::Open if self.keys.is_some() && self.cipher.is_none() => Contents::Sealed,
            other => other.clone(),
        }
    }

    /// The age header of a session whose contents are sealed. With a sealed frame's payload behind
    /// it, it is an age file.
    #[must_use]
    pub fn keys(&self) -> Option<&[u8]> {
        self.keys.as_deref()
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
        trouble
    }

    /// The leaves from index `from` on, in order.
    pub fn leaves(&self, from: u64) -> impl Iterator<Item = Result<Leaf, JournalError>> {
        (from..).map_while(|i| self.leaf(i).transpose())
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
            Place::Inline(bytes) => out.write_all(&bytes).map_err(to)?,
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
        index::plain(self.dir.path(), at, self.cipher.as_ref())
    }

    /// One field of a leaf with its content, in memory; none as for [`Self::write_content`].
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

    /// A field whose content can be read.
    fn opened(&self, leaf: u64, field: &str) -> Result<Option<Opened>, JournalError> {
        if self.erasure == Contents::Erasing {
            // Some pieces may be gone and others not.
            return Ok(None);
        }
        let openings = self.rows.openings(leaf)?;
        let found = openings.into_iter().find(|opened| opened.field == field);
        match (found, &self.cipher) {
            (Some(opened), Some(cipher)) => self.unsealed(opened, cipher).map(Some),
            (found, _) => {
                Ok(found.filter(|it| !matches!(it.place, Place::Sealed(_) | Place::Erased)))
            }
        }
    }

    /// What a sealed opening says, once it is open.
    fn unsealed(&self, opened: Opened, cipher: &Cipher) -> Result<Opened, JournalError> {
        let Place::Sealed(at) = opened.place else {
            return Ok(opened);
        };
        let path = self.dir.path();
        let frame = index::frame(path, at, Some(cipher))?;
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "an opening does not read");
        let opening = Opening::parse(&frame.header)
            .ok_or_else(bad)
            .map_err(JournalError::io("read", path))?;
        Ok(Opened {
            field: opened.field,
            salt: opening.salt,
            place: match opening.content {
                0 => {
                    Place::Inline(content::payload(&frame).map_err(JournalError::io("read", path))?)
                }
                number => Place::Content(number),
            },
        })
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

/// The age header behind the first frame, where contents are sealed.
pub(super) fn keys(dir: &SessionDir) -> Result<Option<Vec<u8>>, JournalError> {
    let read = |e| JournalError::io("read", dir.path())(e);
    let mut scanner = Scanner::open(dir.path(), Position::START).map_err(read)?;
    scanner.step().map_err(read)?;
    Ok(match scanner.step().map_err(read)? {
        Step::Frame(_, _, frame) if frame.kind == Kind::Keys => Some(frame.payload),
        _ => None,
    })
}

/// Opens the header of a session.
pub(super) fn unlock(
    keys: &[u8],
    identities: &Identities,
    session: SessionId,
) -> Result<Cipher, JournalError> {
    Cipher::unlock(keys, identities).map_err(|locked| match locked {
        Locked::NotOurs => JournalError::NotARecipient(session.short()),
        Locked::Damaged => JournalError::KeyDamaged(session.short()),
    })
}

/// When the session opened, read from its first leaf alone; `None` when it never did.
pub(super) fn started(dir: &SessionDir) -> Option<chrono::DateTime<chrono::Utc>> {
    let mut scanner = Scanner::open(dir.path(), Position::START).ok()?;
    loop {
        match scanner.step().ok()? {
            Step::Frame(_, _, frame) if frame.kind == Kind::Leaf => {
                return Leaf::from_bytes(&frame.payload).ok().map(|leaf| leaf.ts);
            }
            Step::Frame(..) => {}
            Step::Damage { .. } | Step::End(_) => return None,
        }
    }
}
