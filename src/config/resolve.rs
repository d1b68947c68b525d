//! From what is written to what is meant: picks each value's winner and remembers its origin.
//!
//! Precedence: flag, environment, profile, project file, user file, default. Invariant: the process
//! environment is seen only through the lookup that is handed in, and every value a file
//! holds is checked even when another layer wins. It creates nothing.

use std::path::Path;

use super::admission;
use super::confine;
use super::credentials;
use super::env;
use super::error::ConfigError;
use super::file::Value;
use super::lapse;
use super::layers::Layers;
use super::overrides::Overrides;
use super::paths::Paths;
use super::policy;
use super::profile::{self, Profile};
use super::recording;
use super::settings::{
    Config, CredentialCommand, DatadogSettings, IdentitySettings, JournalSettings, Setting,
};
use super::value::{self, Choice, Dpop, Flow, IdentityMode, Prompt, Storage};
use super::workload;
use crate::journal::Recipients;
use crate::record::Secret;
use crate::record::event::Durability;

/// Looks up one environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads every layer and says what is meant.
///
/// `directory` is the working directory, absolute: project files are looked for from there.
///
/// # Errors
/// A file cannot be read or holds something wrong, or a variable or flag does; the error
/// names the place.
pub fn load(
    overrides: &Overrides,
    lookup: Lookup<'_>,
    paths: &Paths,
    directory: &Path,
) -> Result<Config, ConfigError> {
    let mut layers = Layers::read(lookup, paths, directory)?;
    let variable = layers.variable(env::DDGATE_PROFILE)?;
    let chosen = profile::choose(
        &layers.profiles,
        overrides.profile.clone(),
        variable.map(|name| (env::DDGATE_PROFILE, name)),
        &layers.user_file,
    )?;
    // Those that were not chosen as well: a mistake there would wait for the day they are.
    for profile in layers.profiles.clone() {
        layers.profile = Some(profile);
        meant(&layers, &chosen, overrides, paths, directory)?;
    }
    let is_chosen = |profile: &&Profile| Some(&profile.name) == chosen.value.as_ref();
    layers.profile = layers.profiles.iter().find(is_chosen).cloned();
    meant(&layers, &chosen, overrides, paths, directory)
}

/// Says what the layers mean, with the profile that is in them.
fn meant(
    layers: &Layers<'_>,
    chosen: &Setting<Option<String>>,
    overrides: &Overrides,
    paths: &Paths,
    directory: &Path,
) -> Result<Config, ConfigError> {
    let flag = |name, value: &Option<String>| value.clone().map(|value| (name, value));
    let identity = IdentitySettings {
        mode: layers
            .pick(
                "identity.mode",
                flag("--identity", &overrides.identity),
                &[env::DDGATE_IDENTITY],
                |value| IdentityMode::parse(value.text()),
            )?
            .unwrap_or(Setting::default(IdentityMode::Oidc)),
        issuer: optional(layers.pick(
            "identity.issuer",
            flag("--issuer", &overrides.issuer),
            &[env::DDGATE_ISSUER],
            |value| value::issuer(value.text()),
        )?),
        client_id: optional(layers.pick(
            "identity.client_id",
            flag("--client-id", &overrides.client_id),
            &[env::DDGATE_CLIENT_ID],
            |value| value::text(value.text()),
        )?),
        client_secret: optional(layers.pick(
            "identity.client_secret",
            None,
            &[env::DDGATE_CLIENT_SECRET],
            |value| value::text(value.text()).map(Secret::new),
        )?),
        scopes: layers
            .pick("identity.scopes", None, &[], |value| {
                value::words(value.list())
            })?
            .unwrap_or_else(|| {
                Setting::default(owned(&["openid", "profile", "email", "offline_access"]))
            }),
        groups_claims: layers
            .pick("identity.groups_claims", None, &[], |value| {
                value::words(value.list())
            })?
            .unwrap_or_else(|| Setting::default(owned(&["groups"]))),
        storage: layers
            .pick(
                "identity.storage",
                flag("--storage", &overrides.storage),
                &[env::DDGATE_STORAGE],
                |value| Storage::parse(value.text()),
            )?
            .unwrap_or(Setting::default(Storage::Auto)),
        prompt: layers
            .pick(
                "identity.prompt",
                flag("--prompt", &overrides.prompt),
                &[env::DDGATE_PROMPT],
                |value| Prompt::parse(value.text()),
            )?
            .unwrap_or(Setting::default(Prompt::Auto)),
        flow: layers
            .pick(
                "identity.flow",
                overrides.flow.clone(),
                &[env::DDGATE_FLOW],
                |value| Flow::parse(value.text()),
            )?
            .unwrap_or(Setting::default(Flow::Device)),
        dpop: layers
            .pick("identity.dpop", None, &[], |value| {
                Dpop::parse(value.text())
            })?
            .unwrap_or(Setting::default(Dpop::Auto)),
    };
    let datadog = DatadogSettings {
        site: layers.site(flag("--site", &overrides.site))?,
        upstream: optional(layers.pick(
            "datadog.upstream",
            flag("--upstream", &overrides.upstream),
            &[env::DDGATE_UPSTREAM],
            |value| value::upstream(value.text()),
        )?),
        credential_command: optional(layers.pick(
            "datadog.credential_command",
            None,
            &[],
            credential_command,
        )?),
    };
    let redaction_key = optional(layers.pick(
        "redaction.key",
        None,
        &[env::DDGATE_REDACTION_KEY],
        |value| value::text(value.text()).map(Secret::new),
    )?);
    let journal = JournalSettings {
        durability: layers
            .pick(
                "journal.durability",
                flag("--durability", &overrides.durability),
                &[env::DDGATE_DURABILITY],
                |value| Durability::parse(value.text()),
            )?
            .unwrap_or(Setting::default(Durability::default())),
        recipients: layers
            .pick(
                "journal.recipients",
                None,
                &[env::DDGATE_RECIPIENTS],
                |value| {
                    let words = value.text().split_whitespace();
                    Recipients::parse(words.chain(value.list().iter().map(String::as_str)))
                },
            )?
            .unwrap_or(Setting::default(Recipients::default())),
        age_identities: layers.age_identities(&overrides.age_identities, paths, directory)?,
    };
    Ok(Config {
        admission: admission::settings(layers)?,
        credentials: credentials::settings(&layers.user, &datadog)?,
        workloads: workload::settings(layers, paths, directory)?,
        journal,
        enforce: confine::enforce(layers, overrides)?,
        egress: confine::egress(layers, overrides)?,
        recording: recording::settings(&layers.user, &layers.project)?,
        policy: policy::settings(&layers.user, &layers.project, overrides)?,
        redaction_key,
        data_dir: layers.data_dir(overrides.data_dir.as_deref(), paths, directory)?,
        identity,
        lapse: lapse::settings(layers)?,
        datadog,
        profile: chosen.clone(),
        profiles: layers.profiles.iter().map(|it| it.name.clone()).collect(),
        user_file: layers.user_file.clone(),
        project_file: layers.project_file.clone(),
    })
}

impl Value {
    /// The text. `file` made sure that a key of one string holds one.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text.expose(),
            Self::Texts(_)
            | Self::Number(_)
            | Self::Numbers(_)
            | Self::Flag(_)
            | Self::Pairs(_)
            | Self::Credentials(_)
            | Self::Workloads(_) => "",
        }
    }

    /// The list. `file` made sure that a key of many strings holds them.
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::Texts(list) => list,
            Self::Text(_)
            | Self::Number(_)
            | Self::Numbers(_)
            | Self::Flag(_)
            | Self::Pairs(_)
            | Self::Credentials(_)
            | Self::Workloads(_) => &[],
        }
    }
}

fn optional<T>(setting: Option<Setting<T>>) -> Setting<Option<T>> {
    match setting {
        Some(Setting { value, origin }) => Setting {
            value: Some(value),
            origin,
        },
        None => Setting::default(None),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn credential_command(value: &Value) -> Result<CredentialCommand, String> {
    match value {
        Value::Text(line) if line.expose().trim().is_empty() => Err("must not be empty".to_owned()),
        Value::Text(line) => Ok(CredentialCommand::Shell(line.expose().clone())),
        Value::Texts(words) if words.first().is_none_or(String::is_empty) => {
            Err("must begin with a program".to_owned())
        }
        Value::Texts(words) => Ok(CredentialCommand::Program(words.clone())),
        // `file` lets neither through.
        Value::Number(_)
        | Value::Numbers(_)
        | Value::Flag(_)
        | Value::Pairs(_)
        | Value::Credentials(_)
        | Value::Workloads(_) => Err("must be words".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::super::settings::Origin;
    use super::*;
    use std::collections::HashMap;
    use std::path::PathBuf;

    /// A home with a user file, a project below it, and a made-up environment.
    struct World {
        root: tempfile::TempDir,
        paths: Paths,
        variables: HashMap<&'static str, String>,
        flags: Overrides,
    }

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let home = root.path().join("home");
            std::fs::create_dir_all(home.join("project")).unwrap();
            std::fs::create_dir_all(home.join(".config")).unwrap();
            let paths = Paths {
                config: home.join(".config"),
                data: home.join(".data"),
                runtime: home.join(".run"),
                home,
            };
            Self {
                root,
                paths,
                variables: HashMap::new(),
                flags: Overrides::default(),
            }
        }

        fn user(self, text: &str) -> Self {
            std::fs::write(self.paths.user_file(), text).unwrap();
            self
        }

        fn project(self, text: &str) -> Self {
            std::fs::write(self.project_file(), text).unwrap();
            self
        }

        fn project_file(&self) -> PathBuf {
            self.paths.home.join("project").join(file::FILE_NAME)
        }

        fn set(mut self, name: &'static str, value: &str) -> Self {
            self.variables.insert(name, value.to_owned());
            self
        }

        fn load(&self) -> Result<Config, ConfigError> {
            load(
                &self.flags,
                &|name| self.variables.get(name).cloned(),
                &self.paths,
                &self.paths.home.join("project"),
            )
        }

        fn site(&self) -> (String, String) {
            let site = self.load().unwrap().datadog.site;
            (site.value, self.shown(&site.origin.to_string()))
        }

        fn refusal(&self) -> String {
            self.shown(&self.load().unwrap_err().to_string())
        }

        fn shown(&self, text: &str) -> String {
            text.replace(&self.root.path().display().to_string(), "")
        }
    }

    fn pair(site: &str, origin: &str) -> (String, String) {
        (site.to_owned(), origin.to_owned())
    }

    #[test]
    fn the_site_is_looked_for_in_order() {
        let mut world = World::new();
        assert_eq!(world.site(), pair("datadoghq.com", "default"));
        world = world.set("DATADOG_HOST", "https://api.us3.datadoghq.com");
        assert_eq!(
            world.site(),
            pair("us3.datadoghq.com", "environment DATADOG_HOST")
        );
        world = world.set("DD_HOST", "http://127.0.0.1:1234");
        assert_eq!(world.site().0, "us3.datadoghq.com", "not a Datadog host");
        world = world.set("DD_HOST", "https://app.datadoghq.eu");
        assert_eq!(world.site(), pair("datadoghq.eu", "environment DD_HOST"));
        world = world.user("[datadog]\nsite = \"dd.corp.example\"");
        assert_eq!(
            world.site(),
            pair("dd.corp.example", "user file /home/.config/ddgate.toml:2")
        );
        world = world.project("\n[datadog]\nsite = \"ap1.datadoghq.com\"");
        assert_eq!(
            world.site(),
            pair(
                "ap1.datadoghq.com",
                "project file /home/project/ddgate.toml:3"
            )
        );
        for (name, site) in [
            ("DATADOG_SITE", "ap2.datadoghq.com"),
            ("DD_SITE", "us5.datadoghq.com"),
            ("DDGATE_SITE", "uk1.datadoghq.com"),
        ] {
            world = world.set(name, site);
            assert_eq!(world.site(), pair(site, &format!("environment {name}")));
        }
        world.flags.site = Some("ddog-gov.com".to_owned());
        assert_eq!(world.site(), pair("ddog-gov.com", "flag --site"));
    }

    #[test]
    fn a_project_may_choose_a_datadog_site_and_nothing_else() {
        for (text, expected) in [
            (
                "[identity]\nmode = \"local\"",
                "/home/project/ddgate.toml:2:8: `identity.mode` cannot be set by a project: \
                 move it to /home/.config/ddgate.toml",
            ),
            (
                "[datadog]\nsite = \"datadoghq.com\"\nupstream = \"https://evil.example\"",
                "/home/project/ddgate.toml:3:12: `datadog.upstream` cannot be set by a project: \
                 move it to /home/.config/ddgate.toml",
            ),
            (
                "[datadog]\nsite = \"evil.example\"",
                "/home/project/ddgate.toml:2:8: `datadog.site`: a project may only choose one of \
                 Datadog's own sites, not `evil.example`: move it to /home/.config/ddgate.toml",
            ),
        ] {
            assert_eq!(World::new().project(text).refusal(), expected);
        }
        for (key, kind) in file::KEYS {
            if *key == "datadog.site"
                || recording::is_open_to_projects(key)
                || policy::is_open_to_projects(key)
                || admission::is_open_to_projects(key)
            {
                continue;
            }
            let value = match kind {
                file::Kind::Texts => "[\"x\"]",
                file::Kind::Numbers => "[1]",
                file::Kind::Workloads => "[{}]",
                file::Kind::Credentials => "[{ name = \"x\", store = \"x\" }]",
                _ => "\"x\"",
            };
            let refused = World::new().project(&format!("{key} = {value}")).refusal();
            assert!(refused.contains("cannot be set by a project"), "{refused}");
        }
        let mut world = World::new().project("datadog.site = \"evil.example\"");
        world.flags.site = Some("datadoghq.com".to_owned());
        assert!(
            world.load().is_err(),
            "a project that asks for it is refused even when a flag wins"
        );
    }

    #[test]
    fn a_profile_overrides_the_file_it_stands_in() {
        let file = "[identity]\nissuer = \"https://home.example\"\nclient_id = \"c\"\n\
                    [datadog]\nsite = \"datadoghq.eu\"\n\
                    [profile.work.identity]\nissuer = \"https://work.example\"\nflow = \"browser\"\n\
                    [profile.work.datadog]\nsite = \"us5.datadoghq.com\"\n\
                    [profile.other.datadog]\ncredential_command = \"get-keys\"\n";
        let mut world = World::new().user(file);
        let config = world.load().unwrap();
        assert_eq!(config.profiles, ["work", "other"]);
        assert_eq!(config.profile.value, None);
        assert_eq!(
            config.identity.issuer.value.unwrap(),
            "https://home.example"
        );
        assert_eq!(world.site().0, "datadoghq.eu");

        world = world
            .set("DDGATE_PROFILE", "work")
            .project("[datadog]\nsite = \"ap1.datadoghq.com\"");
        let config = world.load().unwrap();
        assert_eq!(config.profile.value.as_deref(), Some("work"));
        assert_eq!(
            config.identity.issuer.value.unwrap(),
            "https://work.example"
        );
        assert_eq!(config.identity.client_id.value.unwrap(), "c");
        assert_eq!(config.identity.flow.value, Flow::Browser);
        let place = "profile work /home/.config/ddgate.toml:10";
        assert_eq!(world.site(), pair("us5.datadoghq.com", place));

        world.flags.profile = Some("other".to_owned());
        let config = world.load().unwrap();
        assert_eq!(
            config.identity.issuer.value.unwrap(),
            "https://home.example"
        );
        assert!(config.datadog.credential_command.value.is_some());
        assert_eq!(world.site().0, "ap1.datadoghq.com");
        world = world.set("DDGATE_SITE", "datadoghq.com");
        world.flags.profile = Some("work".to_owned());
        assert_eq!(world.site().0, "datadoghq.com", "the environment wins");
    }

    #[test]
    fn a_profile_that_is_not_there_or_wrong_is_refused() {
        let two = "[profile.work.identity]\nissuer = \"https://w\"\n[profile.home.identity]\n";
        let mut world = World::new().user(two);
        world.flags.profile = Some("wrok".to_owned());
        assert_eq!(
            world.refusal(),
            "--profile: there is no profile `wrok`, only work, home (did you mean `work`?)"
        );
        let world = World::new().set("DDGATE_PROFILE", "x");
        assert_eq!(
            world.refusal(),
            "DDGATE_PROFILE: there is no profile `x`: a `[profile.NAME.identity]` table in \
             /home/.config/ddgate.toml makes one"
        );
        // Checked although nobody chose it.
        let world = World::new().user("[profile.work.identity]\nflow = \"brwser\"");
        assert_eq!(
            world.refusal(),
            "/home/.config/ddgate.toml:2:8: `identity.flow`: `brwser` is not one of device, \
             browser (did you mean `browser`?)"
        );
        let world = World::new().project("[profile.work.identity]\nissuer = \"https://evil\"");
        assert_eq!(
            world.refusal(),
            "/home/project/ddgate.toml:1:10: `profile` cannot be set by a project: move it to \
             /home/.config/ddgate.toml"
        );
    }

    #[test]
    fn a_project_has_more_recorded_and_never_less() {
        let shown = |world: World, key| {
            let config = world.load().unwrap();
            let row = config
                .rows()
                .into_iter()
                .find(|row| row.key == key)
                .unwrap();
            (row.value, world.shown(&row.origin.to_string()))
        };
        let user = "[recording]\nlevel = \"metadata\"\nbody_bytes_max = 100\n";
        let project = "[recording]\nlevel = \"headers\"\nread = \"metadata\"\nbody_bytes_max = 7\n";
        let world = || World::new().user(user).project(project);
        assert_eq!(
            shown(world(), "recording.level"),
            pair("headers", "project file /home/project/ddgate.toml:2")
        );
        assert_eq!(
            shown(world(), "recording.body_bytes_max"),
            pair("100", "user file /home/.config/ddgate.toml:3")
        );
        assert_eq!(
            shown(World::new().project(project), "recording.level"),
            pair("full", "default")
        );
        assert_eq!(
            World::new()
                .user("[recording.operations]\n\"Logs*\" = \"ful\"")
                .refusal(),
            "/home/.config/ddgate.toml:1:1: `recording.operations`: `Logs*`: `ful` is not one of \
             full, headers, metadata (did you mean `full`?)"
        );
        assert_eq!(
            World::new()
                .project("recording.body_bytes_max = 0")
                .refusal(),
            "/home/project/ddgate.toml:1:28: `recording.body_bytes_max`: must be at least 1"
        );
    }

    #[test]
    fn a_named_file_replaces_the_users_and_must_exist() {
        let world = World::new()
            .user("[datadog]\nsite = \"datadoghq.eu\"")
            .set("DDGATE_CONFIG", "mine.toml");
        assert_eq!(world.refusal(), "cannot read /home/project/mine.toml");
        std::fs::write(world.paths.home.join("project/mine.toml"), "").unwrap();
        assert_eq!(world.site().0, "datadoghq.com");
        // A user's file that happens to lie in the project is still the user's.
        let world = World::new()
            .project("[identity]\nclient_id = \"c\"")
            .set("DDGATE_CONFIG", "ddgate.toml");
        let config = world.load().unwrap();
        assert_eq!(config.identity.client_id.value.as_deref(), Some("c"));
        assert_eq!(config.project_file, None);
    }

    #[test]
    fn wrong_values_name_where_they_stand() {
        let toml = "[identity]\nissuer = \"http://idp.example\"";
        assert_eq!(
            World::new().user(toml).refusal(),
            "/home/.config/ddgate.toml:2:10: `identity.issuer`: must be https: \
             http is for loopback addresses only"
        );
        assert!(
            World::new()
                .user(toml)
                .set("DDGATE_ISSUER", "https://idp.example")
                .load()
                .is_err(),
            "a file is checked even when it loses"
        );
        assert_eq!(
            World::new().set("DDGATE_STORAGE", "keyrnig").refusal(),
            "DDGATE_STORAGE: `keyrnig` is not one of auto, keyring, file, memory \
             (did you mean `keyring`?)"
        );
        assert_eq!(
            World::new().set("DD_SITE", "caf\u{fffd}").refusal(),
            "DD_SITE: not valid Unicode"
        );
        let mut world = World::new();
        world.flags.upstream = Some("https://h/path".to_owned());
        assert_eq!(
            world.refusal(),
            "--upstream: must have no path: only scheme, host and port"
        );
        let world = World::new().set("DD_SITE", "").set("DDGATE_ISSUER", "");
        assert!(world.load().is_ok(), "empty is as good as unset");
    }

    #[test]
    fn data_directories_are_made_absolute() {
        let at = |world: World| {
            let path = world.load().unwrap().data_dir.value;
            world.shown(&path.display().to_string())
        };
        assert_eq!(at(World::new()), "/home/.data");
        assert_eq!(at(World::new().user("data_dir = \"d\"")), "/home/.config/d");
        assert_eq!(at(World::new().user("data_dir = \"~/d\"")), "/home/d");
        assert_eq!(at(World::new().user("data_dir = \"/d\"")), "/d");
        assert_eq!(
            at(World::new().set("DDGATE_DATA_DIR", "d")),
            "/home/project/d"
        );
        let mut world = World::new().set("DDGATE_DATA_DIR", "d");
        world.flags.data_dir = Some("f".into());
        assert_eq!(
            world.load().unwrap().sessions(),
            world.paths.home.join("project/f/sessions")
        );
        assert_eq!(at(world), "/home/project/f");
    }

    #[test]
    fn recipients_are_read_at_once_and_the_wrong_one_is_named() {
        const ALICE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let toml = |who: &str| format!("[journal]\nrecipients = [\"{ALICE}\", \"{who}\"]");
        let at = |world: World| world.load().unwrap().journal.recipients;
        assert!(at(World::new()).value.is_empty());
        assert_eq!(at(World::new().user(&toml(ALICE))).value.to_string(), ALICE);
        let both = format!(" {ALICE}  {ALICE} ");
        let set = at(World::new().set("DDGATE_RECIPIENTS", &both));
        assert_eq!(set.value.to_string(), ALICE);
        assert_eq!(set.origin, Origin::Environment("DDGATE_RECIPIENTS"));
        assert_eq!(
            World::new().user(&toml("ssh-ed25519 AAAA")).refusal(),
            "/home/.config/ddgate.toml:2:14: `journal.recipients`: `ssh-ed25519 AAAA` is no age \
             recipient: those begin with `age1`"
        );
        assert_eq!(
            World::new().set("DDGATE_RECIPIENTS", "bob").refusal(),
            "DDGATE_RECIPIENTS: `bob` is no age recipient: those begin with `age1`"
        );
        assert!(World::new().project(&toml(ALICE)).load().is_err());
    }

    #[test]
    fn identity_files_are_found_from_where_they_are_named() {
        let at = |world: &World| -> Vec<String> {
            let files = world.load().unwrap().journal.age_identities.value;
            let files = files.iter().map(|file| file.display().to_string());
            files.map(|file| world.shown(&file)).collect()
        };
        let mut world = World::new().user("journal.age_identities = [\"~/a\", \"b\", \"/c\"]");
        assert_eq!(at(&world), ["/home/a", "/home/.config/b", "/c"]);
        world = world.set("DDGATE_AGE_IDENTITY", "/d:e");
        assert_eq!(at(&world), ["/d", "/home/project/e"]);
        world.flags.age_identities = vec!["f".into(), "/g".into()];
        assert_eq!(at(&world), ["/home/project/f", "/g"]);
    }

    #[test]
    fn rows_show_every_key_and_no_secret() {
        let world = World::new()
            .user(
                "[identity]\nclient_secret = \"hunter2\"\nscopes = [\"openid\", \"x\"]\n\
                 [datadog]\ncredential_command = [\"op\", \"read\", \"op://a b\"]",
            )
            .set("DDGATE_UPSTREAM", "http://127.0.0.1:9");
        let config = world.load().unwrap();
        let rows = config.rows();
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        let known: Vec<_> = file::KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, known);
        let shown = |key| {
            let row = rows.iter().find(|row| row.key == key).unwrap();
            (row.value.clone(), world.shown(&row.origin.to_string()))
        };
        assert_eq!(
            shown("identity.client_secret"),
            pair("[set]", "user file /home/.config/ddgate.toml:2")
        );
        assert_eq!(shown("identity.scopes").0, "openid x");
        assert_eq!(
            shown("datadog.upstream"),
            pair("http://127.0.0.1:9", "environment DDGATE_UPSTREAM")
        );
        assert_eq!(
            shown("datadog.credential_command").0,
            r#"["op", "read", "op://a b"]"#
        );
        assert_eq!(shown("identity.mode"), pair("oidc", "default"));
        let debug = format!("{config:?}");
        assert!(!debug.contains("hunter2"), "{debug}");
    }
}
