//! What opens Datadog: an API key, an application key, a bearer token.
//!
//! They come from the user's `credential_command`, from `ddgate keys set`, or from ddgate's own
//! environment; the first source that has any of them gives them all, so that keys of two
//! organisations never mix. Where the settings list several credentials, each is read from the one
//! place they name (`named`). No value ever appears in an error, nor in [`Credential::source`].

mod command;
mod environment;
pub mod named;
mod output;
pub mod redaction;
pub mod stored;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::secret_store::{SecretStore, StoreError};
use crate::limits::CREDENTIAL_VALUE_BYTES_MAX;
use crate::record::Secret;

pub use command::CommandLine;
pub(super) use command::output;
pub use environment::{Lookup, variable};

/// The kinds of secrets Datadog takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `DD-API-KEY`.
    Api,
    /// `DD-APPLICATION-KEY`.
    App,
    /// `Authorization: Bearer`.
    Bearer,
}

impl Key {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Api, Self::App, Self::Bearer];

    /// The word used on the command line and in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "api-key",
            Self::App => "app-key",
            Self::Bearer => "bearer",
        }
    }

    /// The name the record has for such a value, where one was removed.
    #[must_use]
    pub const fn record_name(self) -> &'static str {
        match self {
            Self::Api => "dd-api-key",
            Self::App => "dd-application-key",
            Self::Bearer => "dd-bearer",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The text names no kind of key.
#[derive(Debug, thiserror::Error)]
#[error("a key is one of api-key, app-key, bearer")]
pub struct NotAKey;

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let same = |key: &Self| key.word() == text;
        Self::ALL.into_iter().find(same).ok_or(NotAKey)
    }
}

/// Where credentials come from, beside the store and the environment.
#[derive(Clone, Debug, Default)]
pub struct CredentialSettings {
    /// A command that prints them.
    pub command: Option<CommandLine>,
}

/// What opens Datadog. At least one value is there.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `DD-API-KEY`.
    pub api_key: Option<Secret<String>>,
    /// `DD-APPLICATION-KEY`.
    pub app_key: Option<Secret<String>>,
    /// `Authorization: Bearer`.
    pub bearer: Option<Secret<String>>,
    /// Where it came from, in words fit for the record: `keyring`, `command op`,
    /// `environment DD_API_KEY`.
    pub source: String,
    /// Its name in the settings, where they list several.
    pub name: Option<String>,
}

/// Why there is no usable credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No source has any.
    #[error(
        "no Datadog keys: none are stored, and none of DD_API_KEY, DD_APP_KEY, DD_ACCESS_TOKEN is \
         set"
    )]
    NotFound,
    /// A credential of the list is to be in the store, and is not.
    #[error("the credential `{credential}` has no keys: none are kept under `{set}` in {place}")]
    NoneStored {
        /// Its name.
        credential: String,
        /// The name its keys are stored under.
        set: String,
        /// The store.
        place: String,
    },
    /// A credential of the list is to be in variables, and is not.
    #[error("the credential `{credential}` has no keys: none of {variables} is set")]
    NoneSet {
        /// Its name.
        credential: String,
        /// The variables.
        variables: String,
    },
    /// Inside a `ddgate run`, without its placeholders.
    #[error(
        "this runs inside `ddgate run`, and the keys it gave out (DD_API_KEY, DD_APP_KEY) did not \
         come through"
    )]
    Filtered,
    /// A value cannot be a key.
    #[error("the {key} from {from} cannot be used: {why}")]
    Unusable {
        /// Which.
        key: &'static str,
        /// Where it came from.
        from: String,
        /// What is wrong, without the value.
        why: &'static str,
    },
    /// The command cannot be run.
    #[error("cannot run the credential command `{program}`")]
    CommandNotRun {
        /// Its name.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The command failed.
    #[error("the credential command `{program}` failed ({status})")]
    CommandFailed {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
    },
    /// The command did not end.
    #[error("the credential command `{program}` did not end within {limit:?}")]
    CommandTooSlow {
        /// Its name.
        program: String,
        /// The time it had.
        limit: Duration,
    },
    /// The command printed something else.
    #[error("the credential command `{program}` printed no keys: {why}")]
    CommandOutput {
        /// Its name.
        program: String,
        /// What is wrong, without the output.
        why: String,
    },
    /// A key would not outlive this run.
    #[error("the key cannot be kept: {why}")]
    NotKept {
        /// Why not.
        why: String,
    },
    /// The place for secrets failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds the credential: command, then store, then environment.
///
/// # Errors
/// No source has one, or the first that has one cannot be used: a broken source is not skipped.
pub async fn resolve(
    settings: &CredentialSettings,
    store: &SecretStore,
    lookup: &Lookup<'_>,
) -> Result<Credential, CredentialError> {
    if let Some(line) = &settings.command {
        return command::read(line).await;
    }
    if let Some(credential) = stored::read(store, None).await? {
        return Ok(credential);
    }
    environment::read(lookup)?.ok_or(CredentialError::NotFound)
}

/// The placeholders that a `ddgate run` around this one gave out.
///
/// # Errors
/// [`CredentialError::Filtered`]: they did not come through.
pub fn placeholders(lookup: &Lookup<'_>) -> Result<Credential, CredentialError> {
    environment::read(lookup)?.ok_or(CredentialError::Filtered)
}

impl Credential {
    const fn empty(source: String) -> Self {
        Self {
            api_key: None,
            app_key: None,
            bearer: None,
            source,
            name: None,
        }
    }

    const fn value(&self, key: Key) -> Option<&Secret<String>> {
        match key {
            Key::Api => self.api_key.as_ref(),
            Key::App => self.app_key.as_ref(),
            Key::Bearer => self.bearer.as_ref(),
        }
    }

    fn put(&mut self, key: Key, value: Secret<String>) {
        let place = match key {
            Key::Api => &mut self.api_key,
            Key::App => &mut self.app_key,
            Key::Bearer => &mut self.bearer,
        };
        *place = Some(value);
    }

    const fn is_empty(&self) -> bool {
        self.api_key.is_none() && self.app_key.is_none() && self.bearer.is_none()
    }
}

/// Trims a value and refuses what cannot travel in a header as one word.
fn usable(key: Key, from: &str, value: &str) -> Result<Secret<String>, CredentialError> {
    let value = value.trim();
    let why = if value.is_empty() {
        "it is empty"
    } else if value.len() > CREDENTIAL_VALUE_BYTES_MAX {
        "it is too long"
    } else if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "it holds a space or a control character"
    } else if !value.is_ascii() {
        "it holds a character outside ASCII"
    } else {
        return Ok(Secret::new(value.to_owned()));
    };
    Err(CredentialError::Unusable {
        key: key.word(),
        from: from.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret_store::{Storage, StoreSettings};

    #[test]
    fn values_are_trimmed_and_checked_without_being_shown() {
        assert_eq!(usable(Key::Api, "x", " abc\n").unwrap().expose(), "abc");
        let long = "a".repeat(CREDENTIAL_VALUE_BYTES_MAX + 1);
        for bad in [
            "",
            " \n",
            "hunter 2",
            "hunter\u{0}2",
            "hunter\u{e9}2",
            &long,
        ] {
            let error = usable(Key::App, "here", bad).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("app-key") && text.contains("here"), "{text}");
            assert!(!text.contains("hunter"), "{text}");
        }
    }

    #[test]
    fn words_round_trip() {
        for key in Key::ALL {
            assert_eq!(key.word().parse::<Key>().unwrap(), key);
        }
        assert!("api_key".parse::<Key>().is_err());
    }

    #[tokio::test]
    async fn command_before_store_before_environment() {
        let home = tempfile::tempdir().unwrap();
        let store = SecretStore::new(StoreSettings {
            storage: Storage::File,
            directory: home.path().to_owned(),
            desktop: false,
        });
        let environment = |name: &str| (name == "DD_API_KEY").then(|| "env".to_owned());
        let nothing = |_: &str| None;
        let mut settings = CredentialSettings::default();
        let error = resolve(&settings, &store, &nothing).await.unwrap_err();
        assert!(matches!(error, CredentialError::NotFound));

        let found = resolve(&settings, &store, &environment).await.unwrap();
        assert_eq!(found.api_key.unwrap().expose(), "env");
        assert_eq!(found.source, "environment DD_API_KEY");

        stored::keep(&store, None, Key::App, "kept").await.unwrap();
        let found = resolve(&settings, &store, &environment).await.unwrap();
        assert!(found.api_key.is_none(), "sources do not mix");
        assert_eq!(found.app_key.unwrap().expose(), "kept");
        assert_eq!(found.source, "file");

        if cfg!(unix) {
            let line = "printf 'DD_API_KEY=cmd\\n'".to_owned();
            settings.command = Some(CommandLine::Shell(line));
            let found = resolve(&settings, &store, &environment).await.unwrap();
            assert_eq!(found.api_key.unwrap().expose(), "cmd");
            assert_eq!(found.source, "command printf");
        }
    }
}
