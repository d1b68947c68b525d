//! The operating system's keyring.
//!
//! Every call runs on a thread of its own with a time limit: a D-Bus socket that accepts and
//! never answers hangs its caller for ever. After one such silence the keyring counts as gone.
//! "No entry" is no proof of life either (a locked keyring says it too), hence [`Keyring::probe`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use keyring::v1::{Entry, Error};
use zeroize::Zeroizing;

use super::StoreError;
use crate::auth::identity::clean;
use crate::limits::PROVIDER_TEXT_CHARS_MAX;
use crate::record::Secret;

/// What people know the keyring by.
pub(super) const NAME: &str = if cfg!(target_os = "macos") {
    "OS keyring (macOS Keychain)"
} else if cfg!(windows) {
    "OS keyring (Windows Credential Manager)"
} else {
    "OS keyring (Secret Service)"
};

/// The service all entries are filed under.
const SERVICE: &str = "ddgate";

#[derive(Debug)]
pub(super) struct Keyring {
    limit: Duration,
    silent: AtomicBool,
}

impl Keyring {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            silent: AtomicBool::new(false),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Secret<String>>, StoreError> {
        let name = name.to_owned();
        let bytes = self.ask(move || match Entry::new(SERVICE, &name)?.get_secret() {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })?;
        let Some(bytes) = bytes else { return Ok(None) };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(Secret::new(text.to_owned()))),
            Err(_) => Err(StoreError::Keyring {
                why: "the entry is not text".to_owned(),
            }),
        }
    }

    /// Bytes, not a password: Windows would store the latter as UTF-16 and fit only half.
    pub(super) fn set(&self, name: &str, value: &Secret<String>) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.clone());
        self.ask(move || Entry::new(SERVICE, &name)?.set_secret(value.expose().as_bytes()))
    }

    pub(super) fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.ask(
            move || match Entry::new(SERVICE, &name)?.delete_credential() {
                Ok(()) => Ok(true),
                Err(Error::NoEntry) => Ok(false),
                Err(error) => Err(error),
            },
        )
    }

    /// Keeps, reads and deletes a dummy.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| StoreError::Keyring {
            why: error.to_string(),
        })?;
        // A name of its own: another ddgate may be probing too.
        let name = format!("probe:{:016x}", u64::from_ne_bytes(random));
        let kept = self.ask(move || {
            let entry = Entry::new(SERVICE, &name)?;
            entry.set_secret(name.as_bytes())?;
            let read = entry.get_secret();
            entry.delete_credential()?;
            Ok(read? == name.as_bytes())
        })?;
        if kept {
            return Ok(());
        }
        Err(StoreError::Keyring {
            why: "it returned something else than it was given".to_owned(),
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let silence = || StoreError::KeyringSilent { limit: self.limit };
        if self.silent.load(Ordering::Relaxed) {
            return Err(silence());
        }
        let (give, take) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("keyring".to_owned());
        thread
            .spawn(move || {
                // Nobody waits any more if this fails.
                drop(give.send(work()));
            })
            .map_err(StoreError::Thread)?;
        match take.recv_timeout(self.limit) {
            Ok(result) => result.map_err(|error| StoreError::Keyring { why: words(&error) }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.silent.store(true, Ordering::Relaxed);
                Err(silence())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(StoreError::Keyring {
                why: "its client library crashed".to_owned(),
            }),
        }
    }
}

/// The reason without the data some variants carry; what it means comes first, where that is known.
fn words(error: &Error) -> String {
    let text = match error {
        Error::NoDefaultStore => match Entry::store_status() {
            Err(why) => why.to_string(),
            Ok(()) => "there is none".to_owned(),
        },
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "the entry is damaged".to_owned(),
        Error::Ambiguous(entries) => format!("{} entries have the same name", entries.len()),
        other => other.to_string(),
    };
    let text = match MEANINGS.iter().find(|(part, _)| text.contains(part)) {
        Some((_, meaning)) => format!("{meaning} ({text})"),
        None => text,
    };
    clean(&text, PROVIDER_TEXT_CHARS_MAX)
}

/// What the Secret Service and the way to it say, and what people should hear: `tests/keyring.rs`
/// meets each of them.
const MEANINGS: [(&str, &str); 3] = [
    (
        "zbus error: Failed to connect",
        "there is no session bus to reach it by",
    ),
    ("prompt dismissed", "it is locked, and nobody unlocked it"),
    (
        "result not returned",
        "it was never set up, and here is nobody to do that",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn silence_ends_after_the_limit_and_is_remembered() {
        let keyring = Keyring::new(Duration::from_millis(300));
        let hang = || {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        };
        let error = keyring.ask(hang).unwrap_err();
        assert!(matches!(error, StoreError::KeyringSilent { .. }));
        let began = Instant::now();
        assert!(keyring.get("x").is_err());
        assert!(began.elapsed() < Duration::from_millis(250));
    }

    #[test]
    fn a_crash_is_an_error() {
        let keyring = Keyring::new(Duration::from_secs(5));
        let error = keyring
            .ask::<()>(|| std::panic::resume_unwind(Box::new(())))
            .unwrap_err();
        assert!(error.to_string().contains("crashed"), "{error}");
    }

    #[test]
    fn damaged_entries_are_not_shown() {
        let text = words(&Error::BadEncoding(b"hunter2".to_vec()));
        assert!(!text.contains("hunter2"));
    }
}
