//! Where secrets stay between two runs: the OS keyring, a file if asked for, or nowhere.
//!
//! A plain file is never chosen silently. Without a usable keyring [`Storage::Auto`] keeps secrets
//! in memory for this run and remembers why, so that the caller can say it. All calls block, the
//! keyring's at most for its time limit; async callers run them on a thread of their own.

mod file;
mod keyring;
mod memory;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::file::FileStore;
use self::keyring::Keyring;
use self::memory::Memory;
use super::lock::Lock;
use crate::limits::{KEYRING_PROMPT_TIMEOUT, KEYRING_TIMEOUT, LOCK_TIMEOUT};
use crate::record::Secret;

/// The kinds of storage a user can choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// The OS keyring if it works, else memory.
    #[default]
    Auto,
    /// The OS keyring, or an error.
    Keyring,
    /// A file only the user can read.
    File,
    /// This run only.
    Memory,
}

/// The text names no kind of storage.
#[derive(Debug, thiserror::Error)]
#[error("storage is one of auto, keyring, file, memory")]
pub struct NotAStorage;

impl FromStr for Storage {
    type Err = NotAStorage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "keyring" => Ok(Self::Keyring),
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            _ => Err(NotAStorage),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Memory => "memory",
        })
    }
}

/// Why a secret is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The OS keyring said no.
    #[error("the OS keyring does not work: {why}")]
    Keyring {
        /// What it said.
        why: String,
    },
    /// The OS keyring said nothing.
    #[error("the OS keyring did not answer within {limit:?}")]
    KeyringSilent {
        /// The time it was given.
        limit: Duration,
    },
    /// The file of secrets, or something around it, failed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others could read the file of secrets, or put another in its place.
    #[error("{} is not private: {why}", path.display())]
    Exposed {
        /// The file or its directory.
        path: PathBuf,
        /// Who could do what.
        why: String,
    },
    /// The file of secrets is not what ddgate writes.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without content.
        why: &'static str,
    },
    /// Another ddgate is at it.
    #[error("cannot take the lock {}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No thread could be started.
    #[error("the keyring cannot be asked")]
    Thread(#[source] io::Error),
}

/// Where and how to keep secrets.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The user's choice.
    pub storage: Storage,
    /// ddgate's private directory: holds the file of secrets, and the locks.
    pub directory: PathBuf,
    /// Whether a desktop could be showing its user a prompt to unlock the keyring, which takes
    /// longer than any machine would.
    pub desktop: bool,
}

/// A place for secrets. Clones are the same place.
#[derive(Clone, Debug)]
pub struct SecretStore {
    shared: Arc<Shared>,
    profile: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    storage: Storage,
    directory: PathBuf,
    keyring: Keyring,
    file: FileStore,
    memory: Memory,
    auto: Mutex<Auto>,
}

/// What [`Storage::Auto`] has found out.
#[derive(Clone, Debug)]
enum Auto {
    /// Nothing written yet: reading is tried, but "nothing there" proves nothing.
    Unproven,
    /// The keyring keeps what it is given.
    Proven,
    /// It does not, for this reason.
    Fallen(String),
}

/// The one place a call goes to.
enum Place {
    Keyring,
    File,
    Memory,
}

/// Secrets that are the same in every profile. A value keeps its pseudonym, whoever records it.
const SHARED: &[&str] = &["datadog:redaction-key"];

/// The name of the refresh token of a client at an issuer.
#[must_use]
pub fn refresh_token_name(issuer: &str, client_id: &str) -> String {
    format!("refresh-token:{issuer}|{client_id}")
}

/// The name of a Datadog key.
#[must_use]
pub fn datadog_name(name: &str) -> String {
    format!("datadog:{name}")
}

impl SecretStore {
    /// Makes the store. Touches nothing yet.
    #[must_use]
    pub fn new(settings: StoreSettings) -> Self {
        let limit = if settings.desktop {
            KEYRING_PROMPT_TIMEOUT
        } else {
            KEYRING_TIMEOUT
        };
        let shared = Arc::new(Shared {
            storage: settings.storage,
            keyring: Keyring::new(limit),
            file: FileStore::new(&settings.directory),
            memory: Memory::default(),
            auto: Mutex::new(Auto::Unproven),
            directory: settings.directory,
        });
        Self {
            shared,
            profile: None,
        }
    }

    /// The same place, as a profile sees it: sign-ins and Datadog keys are its own, even where two
    /// profiles have the same provider and client.
    #[must_use]
    pub fn for_profile(mut self, profile: Option<&str>) -> Self {
        self.profile = profile.map(Arc::from);
        self
    }

    /// The name under which the profile keeps what others call `name`. A profile's name holds no
    /// `:`, so that no two are the same. Secrets of no profile have the names they always had.
    fn name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match (&self.profile, name.split_once(':')) {
            (Some(profile), Some((kind, rest))) if !SHARED.contains(&name) => {
                format!("{kind}@{profile}:{rest}").into()
            }
            _ => name.into(),
        }
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// The chosen storage fails; [`Storage::Auto`] falls back to memory instead.
    pub fn get(&self, name: &str) -> Result<Option<Secret<String>>, StoreError> {
        let name = &*self.name(name);
        match self.place() {
            Place::File => self.shared.file.get(name),
            Place::Memory => Ok(self.shared.memory.get(name)),
            Place::Keyring => match self.shared.keyring.get(name) {
                Err(error) if self.falls(&error) => Ok(self.shared.memory.get(name)),
                result => result,
            },
        }
    }

    /// Keeps a secret, replacing an older one of that name.
    ///
    /// # Errors
    /// As [`SecretStore::get`].
    pub fn set(&self, name: &str, value: &Secret<String>) -> Result<(), StoreError> {
        self.prove()?;
        let name = &*self.name(name);
        match self.place() {
            Place::File => self.shared.file.set(name, value),
            Place::Memory => {
                self.shared.memory.set(name, value);
                Ok(())
            }
            Place::Keyring => match self.shared.keyring.set(name, value) {
                Err(error) if self.falls(&error) => {
                    self.shared.memory.set(name, value);
                    Ok(())
                }
                result => result,
            },
        }
    }

    /// Forgets a secret; returns whether there was one.
    ///
    /// # Errors
    /// As [`SecretStore::get`].
    pub fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let name = &*self.name(name);
        match self.place() {
            Place::File => self.shared.file.delete(name),
            Place::Memory => Ok(self.shared.memory.delete(name)),
            Place::Keyring => match self.shared.keyring.delete(name) {
                Err(error) if self.falls(&error) => Ok(self.shared.memory.delete(name)),
                result => result,
            },
        }
    }

    /// Makes sure that what is set now will be found later, before a person is bothered for it.
    /// For the keyring that means keeping, reading and deleting a dummy: nothing less is honest.
    ///
    /// # Errors
    /// The storage chosen explicitly does not work. [`Storage::Auto`] falls back to memory.
    pub fn prove(&self) -> Result<(), StoreError> {
        match self.place() {
            Place::Memory => Ok(()),
            Place::File => self.shared.file.prove(),
            Place::Keyring => {
                if matches!(*self.auto(), Auto::Proven) {
                    return Ok(());
                }
                match self.shared.keyring.probe() {
                    Ok(()) => {
                        *self.auto() = Auto::Proven;
                        Ok(())
                    }
                    Err(error) if self.falls(&error) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Says in words where secrets are.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.place() {
            Place::Keyring => keyring::NAME.to_owned(),
            Place::Memory => "memory, this run only".to_owned(),
            Place::File => format!(
                "file {}, readable by you alone",
                self.shared.file.path().display()
            ),
        }
    }

    /// The same in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.place() {
            Place::Keyring => "keyring",
            Place::File => "file",
            Place::Memory => "memory",
        }
    }

    /// Whether secrets outlive this run.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        !matches!(self.place(), Place::Memory)
    }

    /// Why [`Storage::Auto`] does not use the keyring, if so.
    #[must_use]
    pub fn fallback(&self) -> Option<String> {
        match &*self.auto() {
            Auto::Fallen(why) => Some(why.clone()),
            Auto::Unproven | Auto::Proven => None,
        }
    }

    /// Takes a lock between processes. Memory needs none, and where a keyring is used but the
    /// directory cannot be, going on without is better than not at all.
    pub(super) fn lock(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        if !self.is_durable() {
            return Ok(None);
        }
        if let Err(error) = file::private_directory(&self.shared.directory) {
            return match self.place() {
                Place::File => Err(error),
                Place::Keyring | Place::Memory => Ok(None),
            };
        }
        take_lock(&self.shared.directory.join(format!("{name}.lock"))).map(Some)
    }

    fn place(&self) -> Place {
        match self.shared.storage {
            Storage::Keyring => Place::Keyring,
            Storage::File => Place::File,
            Storage::Memory => Place::Memory,
            Storage::Auto => match *self.auto() {
                Auto::Fallen(_) => Place::Memory,
                Auto::Unproven | Auto::Proven => Place::Keyring,
            },
        }
    }

    /// Notes that the keyring failed; returns whether memory may take its place.
    fn falls(&self, error: &StoreError) -> bool {
        let may = self.shared.storage == Storage::Auto;
        if may {
            *self.auto() = Auto::Fallen(error.to_string());
        }
        may
    }

    fn auto(&self) -> std::sync::MutexGuard<'_, Auto> {
        self.shared
            .auto
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_lock(path: &Path) -> Result<Lock, StoreError> {
    Lock::take(path, LOCK_TIMEOUT).map_err(|source| StoreError::Locked {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(storage: Storage, directory: &Path) -> SecretStore {
        SecretStore::new(StoreSettings {
            storage,
            directory: directory.to_owned(),
            desktop: false,
        })
    }

    #[test]
    fn words_round_trip() {
        for word in ["auto", "keyring", "file", "memory"] {
            assert_eq!(word.parse::<Storage>().unwrap().to_string(), word);
        }
        assert!("Plain".parse::<Storage>().is_err());
    }

    #[test]
    fn file_and_memory_keep_what_they_are_given() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("private");
        for storage in [Storage::File, Storage::Memory] {
            let store = store(storage, &directory);
            assert!(store.get("a").unwrap().is_none());
            store.set("a", &Secret::new("one".to_owned())).unwrap();
            store.set("a", &Secret::new("two".to_owned())).unwrap();
            store.set("b", &Secret::new("three".to_owned())).unwrap();
            assert_eq!(store.get("a").unwrap().unwrap().expose(), "two");
            assert!(store.delete("a").unwrap());
            assert!(!store.delete("a").unwrap());
            assert!(store.get("a").unwrap().is_none());
            assert_eq!(store.get("b").unwrap().unwrap().expose(), "three");
            assert!(!format!("{store:?}").contains("three"));
        }
        assert!(store(Storage::File, &directory).get("b").unwrap().is_some());
        assert!(
            store(Storage::Memory, &directory)
                .get("b")
                .unwrap()
                .is_none()
        );
        assert!(
            store(Storage::File, &directory)
                .describe()
                .starts_with("file ")
        );
    }

    #[test]
    fn profiles_keep_apart_what_has_the_same_name() {
        let home = tempfile::tempdir().unwrap();
        let plain = store(Storage::File, home.path());
        let of = |profile| plain.clone().for_profile(Some(profile));
        let name = refresh_token_name("https://idp.test", "c");
        let pseudonyms = datadog_name("redaction-key");
        for (store, value) in [(&plain, "none"), (&of("work"), "w"), (&of("home"), "h")] {
            store.set(&name, &Secret::new(value.to_owned())).unwrap();
            store
                .set(&pseudonyms, &Secret::new(value.to_owned()))
                .unwrap();
        }
        assert_eq!(of("work").get(&name).unwrap().unwrap().expose(), "w");
        assert_eq!(plain.get(&name).unwrap().unwrap().expose(), "none");
        assert!(of("home").delete(&name).unwrap());
        assert_eq!(of("work").get(&name).unwrap().unwrap().expose(), "w");
        assert!(of("other").get(&name).unwrap().is_none());
        assert_eq!(of("work").get(&pseudonyms).unwrap().unwrap().expose(), "h");
    }

    #[test]
    fn a_fallen_keyring_is_told_apart_from_a_chosen_one() {
        let home = tempfile::tempdir().unwrap();
        let error = || StoreError::Keyring { why: "gone".into() };
        let auto = store(Storage::Auto, home.path());
        assert!(auto.is_durable() && auto.fallback().is_none());
        assert!(auto.falls(&error()));
        assert!(!auto.is_durable());
        assert!(auto.fallback().unwrap().contains("gone"));
        auto.set("a", &Secret::new("x".to_owned())).unwrap();
        assert_eq!(auto.get("a").unwrap().unwrap().expose(), "x");
        assert_eq!(auto.describe(), "memory, this run only");

        let chosen = store(Storage::Keyring, home.path());
        assert!(!chosen.falls(&error()));
        assert!(chosen.is_durable());
    }
}
