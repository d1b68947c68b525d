//! The settings as everybody else sees them: typed, and each with its origin.
//!
//! Pure data. Invariant: nothing here shows a secret.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::lapse::{LapseSettings, Span};
use super::value::{Choice, Dpop, Flow, IdentityMode, Prompt, Storage};
use super::workload::AcceptedWorkload;
use crate::journal::Recipients;
use crate::policy::{Policy, Requirements};
use crate::record::event::Durability;
use crate::record::{EgressRule, Enforce, HostRule, Level, Recording, Secret};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The user's file, at this line.
    UserFile(PathBuf, usize),
    /// The profile of this name in the user's file, at this line.
    Profile(String, PathBuf, usize),
    /// The project's file, at this line.
    ProjectFile(PathBuf, usize),
    /// This environment variable.
    Environment(&'static str),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::UserFile(path, line) => write!(f, "user file {}:{line}", path.display()),
            Self::Profile(name, path, line) => {
                write!(f, "profile {name} {}:{line}", path.display())
            }
            Self::ProjectFile(path, line) => write!(f, "project file {}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// What is meant.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub(super) const fn default(value: T) -> Self {
        Self {
            value,
            origin: Origin::Default,
        }
    }
}

/// How Datadog's credential is fetched from a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialCommand {
    /// One string: for the shell.
    Shell(String),
    /// An array: program and arguments, no shell.
    Program(Vec<String>),
}

/// One `[[credential]]`: what opens Datadog for some groups, or for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialEntry {
    /// What it is called in the record.
    pub name: String,
    /// Any of these groups gets it; none named: everybody does.
    pub groups: Vec<String>,
    /// Where it is.
    pub from: CredentialFrom,
}

/// Where a credential of the list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialFrom {
    /// A program prints it: program and arguments, no shell.
    Command(Vec<String>),
    /// `ddgate keys set … --credential NAME` has put it away under this name.
    Store(String),
    /// These variables hold it: API key, application key, access token.
    Env([Option<String>; 3]),
}

/// Settings about who may open a session. They add up: every place only asks for more.
#[derive(Clone, Debug)]
pub struct AdmissionSettings {
    /// `identity.require_groups`: a list a place; one of each is needed.
    pub groups: Setting<Vec<Vec<String>>>,
    /// `identity.require_issuer`: one a place.
    pub issuers: Setting<Vec<String>>,
    /// `identity.require_verified_email`
    pub verified_email: Setting<bool>,
    /// The same, as it is checked.
    pub rules: Requirements,
}

/// Settings about who opens a session.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// `identity.mode`
    pub mode: Setting<IdentityMode>,
    /// `identity.issuer`, letter for letter.
    pub issuer: Setting<Option<String>>,
    /// `identity.client_id`
    pub client_id: Setting<Option<String>>,
    /// `identity.client_secret`
    pub client_secret: Setting<Option<Secret<String>>>,
    /// `identity.scopes`
    pub scopes: Setting<Vec<String>>,
    /// `identity.groups_claims`: claims that may hold group names, in order.
    pub groups_claims: Setting<Vec<String>>,
    /// `identity.storage`
    pub storage: Setting<Storage>,
    /// `identity.prompt`
    pub prompt: Setting<Prompt>,
    /// `identity.flow`
    pub flow: Setting<Flow>,
    /// `identity.dpop`
    pub dpop: Setting<Dpop>,
}

/// Settings about the Datadog side.
#[derive(Clone, Debug)]
pub struct DatadogSettings {
    /// `datadog.site`, lower case.
    pub site: Setting<String>,
    /// `datadog.upstream`: scheme, host and port.
    pub upstream: Setting<Option<Url>>,
    /// `datadog.credential_command`
    pub credential_command: Setting<Option<CredentialCommand>>,
}

/// Settings about how much of a call is recorded: what counts, of what user and project say.
#[derive(Clone, Debug)]
pub struct RecordingSettings {
    /// `recording.level`
    pub level: Setting<Option<Level>>,
    /// `recording.read`
    pub read: Setting<Option<Level>>,
    /// `recording.write`
    pub write: Setting<Option<Level>>,
    /// `recording.destroy`
    pub destroy: Setting<Option<Level>>,
    /// `recording.unknown`
    pub unknown: Setting<Option<Level>>,
    /// `recording.body_bytes_max`
    pub body_bytes_max: Setting<u64>,
    /// `recording.operations`
    pub operations: Setting<Vec<(String, Level)>>,
    /// The same, as the gate uses it.
    pub rules: Recording,
}

/// Settings about what a session may do. They add up: no place takes back what another one denies.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// `policy.read_only`
    pub read_only: Setting<bool>,
    /// `policy.allow`: a list a place.
    pub allow: Setting<Vec<Vec<String>>>,
    /// `policy.deny`
    pub deny: Setting<Vec<String>>,
    /// The same, as the gate uses it.
    pub rules: Policy,
}

/// Settings about how the record is kept.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// `journal.durability`
    pub durability: Setting<Durability>,
    /// `journal.recipients`: who can read contents. Nobody: they are not encrypted.
    pub recipients: Setting<Recipients>,
    /// `journal.age_identities`: files that open sealed contents.
    pub age_identities: Setting<Vec<PathBuf>>,
}

/// Settings about what the system holds the command to.
#[derive(Clone, Debug)]
pub struct EnforceSettings {
    /// `enforce.mode`
    pub mode: Setting<Enforce>,
    /// `enforce.allow_ports`: TCP ports the command may connect to itself, on any host.
    pub allow_ports: Setting<Vec<u16>>,
}

/// Settings about whom the command may reach through the gate beside Datadog.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    /// `egress.rule`
    pub rule: Setting<EgressRule>,
    /// `egress.allow_hosts`
    pub allow_hosts: Setting<Vec<HostRule>>,
}

/// Every setting, as meant.
#[derive(Clone, Debug)]
pub struct Config {
    /// `data_dir`, absolute.
    pub data_dir: Setting<PathBuf>,
    /// `[identity]`
    pub identity: IdentitySettings,
    /// `identity.require_*`
    pub admission: AdmissionSettings,
    /// `[[credential]]`, in the order of the file: least privilege first.
    pub credentials: Setting<Vec<CredentialEntry>>,
    /// `[[workload]]`: whose tokens are believed where no person signs in.
    pub workloads: Setting<Vec<AcceptedWorkload>>,
    /// Of `[identity]`, what is about a session under way.
    pub lapse: LapseSettings,
    /// `[datadog]`
    pub datadog: DatadogSettings,
    /// `redaction.key`: the key of pseudonyms, where the store has none.
    pub redaction_key: Setting<Option<Secret<String>>>,
    /// `[recording]`
    pub recording: RecordingSettings,
    /// `[policy]`
    pub policy: PolicySettings,
    /// `[journal]`
    pub journal: JournalSettings,
    /// `[enforce]`
    pub enforce: EnforceSettings,
    /// `[egress]`
    pub egress: EgressSettings,
    /// The profile that is in force, if one was chosen.
    pub profile: Setting<Option<String>>,
    /// The names of all profiles, in the order of the user's file.
    pub profiles: Vec<String>,
    /// The user's file, whether or not it exists: where a hint sends people.
    pub user_file: PathBuf,
    /// The project's file, if there is one.
    pub project_file: Option<PathBuf>,
}

/// One line of `ddgate config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, for example `datadog.site`.
    pub key: &'static str,
    /// The value as text; `[set]` for a secret, empty when there is none.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl fmt::Display for CredentialEntry {
    /// Name and groups, and nothing of where it is: arguments may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.groups.is_empty() {
            true => write!(f, "{} for everybody", self.name),
            false => write!(f, "{} for {}", self.name, self.groups.join(", ")),
        }
    }
}

impl Config {
    /// Where sessions are kept, a directory each.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.data_dir.value.join("sessions")
    }

    /// Every key with its value and origin, in the order of the manual. Shows no secret.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        fn row<T>(key: &'static str, setting: &Setting<T>, show: impl Fn(&T) -> String) -> Row {
            Row {
                key,
                value: show(&setting.value),
                origin: setting.origin.clone(),
            }
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let list = |words: &Vec<String>| words.join(" ");
        let hidden =
            |secret: &Option<Secret<String>>| secret.as_ref().map_or("", |_| "[set]").to_owned();
        let level = |level: &Option<Level>| level.map_or("", Level::word).to_owned();
        let (who, datadog, recording) = (&self.identity, &self.datadog, &self.recording);
        vec![
            row("data_dir", &self.data_dir, |path| {
                path.display().to_string()
            }),
            row("identity.mode", &who.mode, |mode| mode.word().to_owned()),
            row("identity.issuer", &who.issuer, text),
            row("identity.client_id", &who.client_id, text),
            row("identity.client_secret", &who.client_secret, hidden),
            row("identity.scopes", &who.scopes, list),
            row("identity.groups_claims", &who.groups_claims, list),
            row("identity.storage", &who.storage, |s| s.word().to_owned()),
            row("identity.prompt", &who.prompt, |p| p.word().to_owned()),
            row("identity.on_lapse", &self.lapse.on_lapse, |it| {
                it.word().to_owned()
            }),
            row("identity.max_session", &self.lapse.max_session, |span| {
                span.as_ref().map_or_else(String::new, Span::to_string)
            }),
            row("identity.flow", &who.flow, |flow| flow.word().to_owned()),
            row("identity.dpop", &who.dpop, |dpop| dpop.word().to_owned()),
            row("identity.require_groups", &self.admission.groups, |lists| {
                let lists: Vec<_> = lists.iter().map(|list| list.join(" or ")).collect();
                lists.join("; and ")
            }),
            row("identity.require_issuer", &self.admission.issuers, |all| {
                all.join("; and ")
            }),
            row(
                "identity.require_verified_email",
                &self.admission.verified_email,
                bool::to_string,
            ),
            row("workload", &self.workloads, |workloads| {
                let texts = workloads.iter().map(ToString::to_string);
                texts.collect::<Vec<_>>().join("; ")
            }),
            row("datadog.site", &datadog.site, Clone::clone),
            row("datadog.upstream", &datadog.upstream, |url| {
                url.as_ref()
                    .map_or_else(String::new, |url| url.as_str().trim_end_matches('/').into())
            }),
            row(
                "datadog.credential_command",
                &datadog.credential_command,
                |command| match command {
                    None => String::new(),
                    Some(CredentialCommand::Shell(line)) => line.clone(),
                    Some(CredentialCommand::Program(words)) => format!("{words:?}"),
                },
            ),
            row("credential", &self.credentials, |entries| {
                let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
                entries.join("; ")
            }),
            row("journal.durability", &self.journal.durability, |it| {
                it.word().to_owned()
            }),
            row(
                "journal.recipients",
                &self.journal.recipients,
                Recipients::to_string,
            ),
            row(
                "journal.age_identities",
                &self.journal.age_identities,
                |paths| {
                    let paths = paths.iter().map(|path| path.display().to_string());
                    paths.collect::<Vec<_>>().join(" ")
                },
            ),
            row("enforce.mode", &self.enforce.mode, |it| {
                it.word().to_owned()
            }),
            row("enforce.allow_ports", &self.enforce.allow_ports, |ports| {
                spaced(ports)
            }),
            row("egress.rule", &self.egress.rule, |it| it.word().to_owned()),
            row("egress.allow_hosts", &self.egress.allow_hosts, |hosts| {
                spaced(hosts)
            }),
            row("redaction.key", &self.redaction_key, hidden),
            row("recording.level", &recording.level, level),
            row("recording.read", &recording.read, level),
            row("recording.write", &recording.write, level),
            row("recording.destroy", &recording.destroy, level),
            row("recording.unknown", &recording.unknown, level),
            row(
                "recording.body_bytes_max",
                &recording.body_bytes_max,
                u64::to_string,
            ),
            row("recording.operations", &recording.operations, |pairs| {
                let pairs = pairs.iter();
                let shown = pairs.map(|(name, level)| format!("{name:?} = {}", level.word()));
                shown.collect::<Vec<_>>().join(", ")
            }),
            row("policy.read_only", &self.policy.read_only, bool::to_string),
            row("policy.allow", &self.policy.allow, |lists| {
                let lists: Vec<_> = lists.iter().map(|list| list.join(", ")).collect();
                lists.join("; and of these, ")
            }),
            row("policy.deny", &self.policy.deny, |list| list.join(", ")),
        ]
    }
}

fn spaced(items: &[impl fmt::Display]) -> String {
    let words = items.iter().map(ToString::to_string);
    words.collect::<Vec<_>>().join(" ")
}
