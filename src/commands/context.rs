//! What every verb stands on: settings, directories, the streams, a runtime.

use std::path::PathBuf;

use super::sign_in_screen::Manner;
use crate::auth::credential::redaction::RedactionKey;
use crate::auth::identity::workload::is_ci_job;
use crate::auth::identity::{Flow, IssuerSettings};
use crate::auth::secret_store::{SecretStore, Storage, StoreSettings};
use crate::cli::GlobalArgs;
use crate::config::{self, Config, Origin, Overrides, Paths, Setting, env};
use crate::error::CliError;
use crate::exit::Exit;
use crate::net::{Dialer, HttpsClient};
use crate::record::HostFacts;
use crate::ui::Printer;
use crate::ui::escape::escape;
use crate::ui::words::command_line;

/// Looks up one environment variable.
pub(super) type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Settings, directories, streams.
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) paths: Paths,
    pub(super) lookup: Lookup,
    pub(super) printer: Printer,
    /// How a sign-in is shown, should there be one.
    pub(super) manner: Manner,
}

impl Context {
    /// Reads the settings the way the flags say.
    pub(super) fn new(
        global: &GlobalArgs,
        overrides: Overrides,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        Self::looking_at(global, overrides, printer, Self::lookup(global))
    }

    /// One for every profile of the user's file; the first is without any.
    pub(super) fn of_all_profiles(
        global: &GlobalArgs,
        printer: &Printer,
    ) -> Result<Vec<Self>, CliError> {
        let with = |profile: Option<String>| {
            let global = GlobalArgs {
                profile,
                ..global.clone()
            };
            let said = Self::lookup(&global);
            let lookup: Lookup = Box::new(move |name| match name {
                env::DDGATE_PROFILE => None,
                _ => said(name),
            });
            Self::looking_at(&global, Overrides::default(), printer, lookup)
        };
        let without = with(None)?;
        let profiles = without.config.profiles.clone();
        let rest = profiles.into_iter().map(|name| with(Some(name)));
        std::iter::once(Ok(without)).chain(rest).collect()
    }

    fn looking_at(
        global: &GlobalArgs,
        overrides: Overrides,
        printer: &Printer,
        lookup: Lookup,
    ) -> Result<Self, CliError> {
        let overrides = Overrides {
            data_dir: global.data_dir.clone(),
            profile: global.profile.clone(),
            ..overrides
        };
        Self::with(
            Paths::platform()?,
            &working_directory()?,
            lookup,
            &overrides,
            printer,
        )
    }

    /// The environment, as the flags complete it.
    pub(super) fn lookup(global: &GlobalArgs) -> Lookup {
        let file = global.config.clone();
        Box::new(move |name| match &file {
            Some(path) if name == env::DDGATE_CONFIG => Some(path.to_string_lossy().into_owned()),
            _ => env::process(name),
        })
    }

    /// The same with other directories and another environment: for the demo.
    pub(super) fn with(
        paths: Paths,
        directory: &std::path::Path,
        lookup: Lookup,
        overrides: &Overrides,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        Ok(Self {
            config: config::load(overrides, &lookup, &paths, directory)?,
            paths,
            lookup,
            printer: *printer,
            manner: Manner::default(),
        })
    }

    /// The same, with sign-ins shown in another manner.
    pub(super) fn with_manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// Whether an identity provider is configured.
    pub(super) fn has_issuer(&self) -> bool {
        let who = &self.config.identity;
        who.issuer.value.is_some() && who.client_id.value.is_some()
    }

    /// The identity provider, as configured.
    ///
    /// # Errors
    /// None is configured: exit 3 with the two ways out.
    pub(super) fn issuer(&self) -> Result<IssuerSettings, CliError> {
        let who = &self.config.identity;
        let (Some(issuer), Some(client_id)) = (&who.issuer.value, &who.client_id.value) else {
            return Err(self.no_issuer());
        };
        Ok(IssuerSettings {
            client_secret: who.client_secret.value.clone(),
            // The protocol adds `openid` by itself; twice would be one too many.
            scopes: who
                .scopes
                .value
                .iter()
                .filter(|scope| *scope != "openid")
                .cloned()
                .collect(),
            groups_claims: who.groups_claims.value.clone(),
            flow: match who.flow.value {
                config::Flow::Device => Flow::Device,
                config::Flow::Browser => Flow::Browser,
            },
            dpop: who.dpop.value == config::Dpop::Auto,
            ..IssuerSettings::new(issuer, client_id)
        })
    }

    fn no_issuer(&self) -> CliError {
        let missing = match self.config.identity.issuer.value {
            None => "no identity provider is configured",
            Some(_) => "no client id is configured for the identity provider",
        };
        CliError::new(Exit::NotSignedIn, missing)
            .hint(format!(
                "configure one: put `[identity]`, `issuer = \"https://…\"` and `client_id = \"…\"` \
                 into {}, or set {} and {}",
                self.config.user_file.display(),
                env::DDGATE_ISSUER,
                env::DDGATE_CLIENT_ID,
            ))
            .hint(
                "or do without: `ddgate run --identity local -- …` records the operating system's \
                 user name, which nobody has verified",
            )
    }

    /// Where secrets are kept.
    pub(super) fn store(&self) -> SecretStore {
        self.store_with(self.printer.is_watched() && self.has_display())
    }

    /// The same, but a keyring that asks somebody to unlock it is not waited for.
    pub(super) fn store_asking_nobody(&self) -> SecretStore {
        self.store_with(false)
    }

    fn store_with(&self, desktop: bool) -> SecretStore {
        SecretStore::new(StoreSettings {
            storage: match self.config.identity.storage.value {
                // A CI job has no keyring worth the name, and nobody to unlock it.
                config::Storage::Auto if self.is_ci() => Storage::Memory,
                config::Storage::Auto => Storage::Auto,
                config::Storage::Keyring => Storage::Keyring,
                config::Storage::File => Storage::File,
                config::Storage::Memory => Storage::Memory,
            },
            directory: self.config.data_dir.value.clone(),
            desktop,
        })
        .for_profile(self.config.profile.value.as_deref())
    }

    /// The key of pseudonyms as configured; the store's own hides it.
    pub(super) fn redaction_key(&self) -> Option<RedactionKey> {
        let Setting { value, origin } = &self.config.redaction_key;
        Some(RedactionKey {
            text: value.clone()?,
            source: origin.to_string(),
        })
    }

    /// What a later ddgate must be told to find this one's sessions: nothing, unless the data
    /// directory was named by a flag. Begins with a blank.
    pub(super) fn data_dir_flag(&self) -> String {
        let chosen = &self.config.data_dir;
        if !matches!(chosen.origin, Origin::Flag(_)) {
            return String::new();
        }
        let path = chosen.value.to_string_lossy().into_owned();
        let line = command_line(&["--data-dir".to_owned(), path]);
        format!(" {}", escape(&line))
    }

    /// The way out of this machine, through the user's proxy if there is one.
    pub(super) fn dialer(&self) -> Result<Dialer, CliError> {
        Ok(Dialer::from_environment(&self.lookup)?)
    }

    /// Speaks with the identity provider.
    pub(super) fn http(&self) -> Result<HttpsClient, CliError> {
        Ok(HttpsClient::new(self.dialer()?))
    }

    /// Whether the environment names a display server.
    pub(super) fn has_display(&self) -> bool {
        let set = |name| (self.lookup)(name).is_some_and(|value| !value.is_empty());
        set(env::DISPLAY) || set(env::WAYLAND_DISPLAY)
    }

    /// Whether this runs where nobody can answer.
    pub(super) fn is_ci(&self) -> bool {
        (self.lookup)(env::CI).is_some_and(|value| !value.is_empty() && value != "false")
            || is_ci_job(&self.lookup)
    }
}

/// A runtime for one verb: `threads` workers, or this thread alone.
pub(super) fn runtime(threads: Option<usize>) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = match threads {
        Some(threads) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
        None => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build().map_err(|e| {
        CliError::new(
            Exit::GateFailed,
            "cannot start: the system grants no threads or descriptors",
        )
        .caused_by(&e)
    })
}

/// Where relative paths begin.
pub(super) fn working_directory() -> Result<PathBuf, CliError> {
    Ok(std::env::current_dir().map_err(config::ConfigError::WorkingDirectory)?)
}

/// Where this runs, for the record.
pub(super) fn host_facts() -> HostFacts {
    let cwd = std::env::current_dir().unwrap_or_default();
    HostFacts {
        name: host_name(),
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cwd: cwd.to_string_lossy().into_owned(),
    }
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    env::process("COMPUTERNAME").unwrap_or_else(|| "localhost".into())
}

/// The operating system's user, as the system knows it: nobody verified it.
pub(super) fn user_name(lookup: &Lookup) -> String {
    account_name()
        .or_else(|| {
            ["USER", "LOGNAME", "USERNAME"]
                .into_iter()
                .find_map(|name| lookup(name).filter(|value| !value.is_empty()))
        })
        .unwrap_or_else(|| "unknown".into())
}

/// The name of the account this process runs under: not what a variable claims it is.
#[cfg(unix)]
fn account_name() -> Option<String> {
    let own = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        // passwd(5): name:password:uid:…
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        (uid == own && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(not(unix))]
fn account_name() -> Option<String> {
    None
}
