//! What opens a session's contents, or says why they stay shut: shared by whoever reads one.

use std::fmt;
use std::sync::Arc;

use super::catalog::SessionDir;
use super::crypt::{Cipher, Identities, Locked};
use super::frame::{Frame, Kind};
use super::wal::{Position, Scanner, Step};
use super::{JournalError, content, erase};
use crate::record::{Contents, SessionId};

/// The key of a session, sealed or open.
#[derive(Clone)]
pub(super) struct Vault {
    session: SessionId,
    /// The age header of a session whose contents are sealed.
    keys: Option<Vec<u8>>,
    cipher: Option<Arc<Cipher>>,
    erasure: Contents,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({:?})", self.contents())
    }
}

impl Vault {
    /// Looks behind the first frame for the header, and beside the file for an erasure.
    pub(super) fn of(dir: &SessionDir, session: SessionId) -> Result<Self, JournalError> {
        let read = |e| JournalError::io("read", dir.path())(e);
        let mut scanner = Scanner::open(dir.path(), Position::START).map_err(read)?;
        scanner.step().map_err(read)?;
        let keys = match scanner.step().map_err(read)? {
            Step::Frame(_, _, frame) if frame.kind == Kind::Keys => Some(frame.payload),
            _ => None,
        };
        Ok(Self {
            session,
            keys,
            cipher: None,
            erasure: erase::state(dir),
        })
    }

    /// Opens it; nothing to do where nothing is sealed, or without an identity.
    pub(super) fn unlock(&mut self, identities: &Identities) -> Result<(), JournalError> {
        let Some(keys) = self.keys.as_ref().filter(|_| !identities.is_empty()) else {
            return Ok(());
        };
        let cipher = Cipher::unlock(keys, identities).map_err(|locked| match locked {
            Locked::NotOurs => JournalError::NotARecipient(self.session.short()),
            Locked::Damaged => JournalError::KeyDamaged(self.session.short()),
        })?;
        self.cipher = Some(Arc::new(cipher));
        Ok(())
    }

    /// What can be seen of the contents.
    pub(super) fn contents(&self) -> Contents {
        match &self.erasure {
            Contents::Open if self.keys.is_some() && self.cipher.is_none() => Contents::Sealed,
            other => other.clone(),
        }
    }

    /// Whether some pieces may be gone and others not.
    pub(super) fn is_erasing(&self) -> bool {
        self.erasure == Contents::Erasing
    }

    pub(super) fn keys(&self) -> Option<&[u8]> {
        self.keys.as_deref()
    }

    pub(super) fn cipher(&self) -> Option<&Cipher> {
        self.cipher.as_deref()
    }

    /// The same, to be kept.
    pub(super) fn shared_cipher(&self) -> Option<Arc<Cipher>> {
        self.cipher.clone()
    }

    /// The frame as it was before it was sealed; none when it cannot be opened.
    pub(super) fn opened(&self, frame: Frame) -> Option<Frame> {
        match self.cipher() {
            _ if self.is_erasing() => None,
            Some(cipher) => content::unseal(frame, cipher).ok(),
            None => Some(frame).filter(|frame| !frame.is_sealed()),
        }
    }
}
