//! `ddgate status`, `ddgate keys` and `ddgate config show`: what there is, never a secret.

use super::context::{Context, runtime};
use super::sign_in::prompting;
use super::{admit, workload};
use crate::auth::credential::named::{Named, Source};
use crate::auth::credential::{self, Key, redaction, stored};
use crate::auth::session;
use crate::cli::{GlobalArgs, KeyName, KeysArgs, KeysCommand, StatusArgs};
use crate::config::{IdentityMode, is_credential_name};
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::Catalog;
use crate::ui::status::{ConfigEntry, KeyView, ProfileView, SignIn, StatusView};
use crate::ui::workload::WorkloadView;
use crate::ui::{Printer, json, prompt, status};

pub(super) fn show(args: &StatusArgs, context: &Context) -> Result<Exit, CliError> {
    let runtime = runtime(None)?;
    let config = &context.config;
    let is_oidc = config.identity.mode.value == IdentityMode::Oidc;
    let sign_in = match is_oidc {
        true => sign_in(context, &runtime)?,
        false => None,
    };
    let workload = match is_oidc {
        true => workload(context, &runtime)?,
        false => None,
    };
    let files = [
        Some(&config.user_file).filter(|f| f.exists()),
        config.project_file.as_ref(),
    ];
    let view = StatusView {
        sign_in,
        workload,
        profile: config.profile.value.clone(),
        identity_mode: match config.identity.mode.value {
            IdentityMode::Oidc => "oidc".into(),
            IdentityMode::Local => "local".into(),
        },
        issuer: config.identity.issuer.value.clone(),
        keys: keys(context, &runtime)?,
        site: config.datadog.site.value.clone(),
        upstream: config
            .datadog
            .upstream
            .value
            .as_ref()
            .map(ToString::to_string),
        data_dir: config.data_dir.value.display().to_string(),
        config_files: files
            .into_iter()
            .flatten()
            .map(|f| f.display().to_string())
            .collect(),
        sessions: Catalog::new(config.sessions()).list()?.len() as u64,
    };
    let text = match args.json {
        true => json::status(&view),
        false => status::status(&view, context.printer.data_look()),
    };
    context.printer.data(&text)?;
    Ok(Exit::Success)
}

/// Every profile, and who is signed in there.
pub(super) fn profiles(
    as_json: bool,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let runtime = runtime(None)?;
    let mut views = Vec::new();
    for context in Context::of_all_profiles(global, printer)? {
        views.push(ProfileView {
            profile: context.config.profile.value.clone(),
            issuer: context.config.identity.issuer.value.clone(),
            site: context.config.datadog.site.value.clone(),
            signed_in: sign_in(&context, &runtime)?,
        });
    }
    let text = match as_json {
        true => json::profiles(&views),
        false => status::profiles(&views, printer.data_look()),
    };
    printer.data(&text)?;
    Ok(Exit::Success)
}

/// The workload that a run would be here.
fn workload(
    context: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<Option<WorkloadView>, CliError> {
    let http = match context.http() {
        Ok(http) => http,
        Err(error) if context.is_ci() => return Err(error),
        // Where a person signs in, nobody is asked here.
        Err(_) => return Ok(None),
    };
    let looking = workload::view(context, &http, prompting(context, false));
    Ok(runtime.block_on(Box::pin(looking)))
}

/// Who is signed in, without asking the provider.
fn sign_in(
    context: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<Option<SignIn>, CliError> {
    if !context.has_issuer() {
        return Ok(None);
    }
    let (settings, store) = (context.issuer()?, context.store());
    let stored = runtime.block_on(session::stored(&settings, &store))?;
    Ok(stored.map(|stored| SignIn {
        next_refresh: stored.next_refresh(),
        issuer: settings.issuer,
        subject: stored.subject,
        name: stored.name,
        email: stored.email,
        email_verified: stored.email_verified,
        groups: stored.groups,
        groups_incomplete: stored.groups_incomplete,
        by_userinfo: stored.by_userinfo,
        kept_in: store.describe(),
        renewed: stored.renewed,
        expires: stored.expires,
    }))
}

pub(super) fn keys_verb(args: &KeysArgs, context: &Context) -> Result<Exit, CliError> {
    let runtime = runtime(None)?;
    let store = context.store();
    match &args.command {
        KeysCommand::Set { name, credential } => {
            let set = set_of(*name, credential.as_deref())?;
            let value = prompt::secret(word(*name))?;
            match key_of(*name) {
                Some(key) => runtime.block_on(stored::keep(&store, set, key, value.expose()))?,
                None => runtime.block_on(redaction::keep(&store, value.expose()))?,
            }
            let place = store.describe();
            context
                .printer
                .say(&format!("{}{} kept in {place}", word(*name), of(set)));
            Ok(Exit::Success)
        }
        KeysCommand::List { json: as_json } => {
            let views = keys(context, &runtime)?;
            let text = match as_json {
                true => json::keys(&views),
                false => status::keys(&views, context.printer.data_look()),
            };
            context.printer.data(&text)?;
            Ok(Exit::Success)
        }
        KeysCommand::Rm { name, credential } => {
            let set = set_of(*name, credential.as_deref())?;
            let key = format!("{}{}", word(*name), of(set));
            let removed = match key_of(*name) {
                Some(key) => runtime.block_on(stored::remove(&store, set, key))?,
                None => runtime.block_on(redaction::remove(&store))?,
            };
            if removed {
                context
                    .printer
                    .say(&format!("{key} removed from {}", store.describe()));
                return Ok(Exit::Success);
            }
            Err(CliError::new(
                Exit::No,
                format!("no {key} is kept in {}", store.describe()),
            )
            .hint("to see which keys there are: ddgate keys list"))
        }
    }
}

pub(super) fn config(as_json: bool, context: &Context) -> Result<Exit, CliError> {
    let entries: Vec<ConfigEntry> = context
        .config
        .rows()
        .into_iter()
        .map(|row| ConfigEntry {
            key: row.key.to_owned(),
            value: Some(row.value).filter(|value| !value.is_empty()),
            source: row.origin.to_string(),
        })
        .collect();
    let text = match as_json {
        true => json::config(&entries),
        false => status::config(&entries, context.printer.data_look()),
    };
    context.printer.data(&text)?;
    Ok(Exit::Success)
}

/// The name keys are stored under, if it is one.
fn set_of(name: KeyName, credential: Option<&str>) -> Result<Option<&str>, CliError> {
    match credential {
        Some(_) if key_of(name).is_none() => Err(CliError::usage(
            "the redaction key belongs to no credential: leave out --credential",
        )),
        Some(set) if !is_credential_name(set) => Err(CliError::usage(
            "--credential takes the name of a credential: letters, digits, `-`, `_` and `.`",
        )),
        set => Ok(set),
    }
}

fn of(set: Option<&str>) -> String {
    set.map_or_else(String::new, |set| format!(" of {set}"))
}

/// The Datadog key that is meant; none for the key of pseudonyms.
const fn key_of(name: KeyName) -> Option<Key> {
    match name {
        KeyName::ApiKey => Some(Key::Api),
        KeyName::AppKey => Some(Key::App),
        KeyName::Bearer => Some(Key::Bearer),
        KeyName::RedactionKey => None,
    }
}

const fn word(name: KeyName) -> &'static str {
    match key_of(name) {
        Some(key) => key.word(),
        None => redaction::WORD,
    }
}

/// Every key with the place it would be taken from.
fn keys(context: &Context, runtime: &tokio::runtime::Runtime) -> Result<Vec<KeyView>, CliError> {
    let store = context.store();
    let pseudonyms = runtime.block_on(redaction::find(&store, context.redaction_key()))?;
    let pseudonyms = KeyView::of(redaction::WORD, pseudonyms.map(|key| key.source));
    let mut listed = Vec::new();
    for named in admit::credentials(context) {
        listed.extend(keys_of(&named, context, runtime)?);
    }
    if listed.is_empty() {
        listed = keys_for_everybody(context, runtime)?;
    }
    listed.push(pseudonyms);
    Ok(listed)
}

/// The keys that everybody gets, where the settings list no credentials.
fn keys_for_everybody(
    context: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<KeyView>, CliError> {
    let command = admit::credential_settings(context)
        .command
        .map(|line| format!("credential_command ({})", line.program()));
    let store = context.store();
    let kept = match command {
        Some(_) => Vec::new(),
        None => runtime.block_on(stored::list(&store, None))?,
    };
    let view = |key: Key| {
        let source = if command.is_some() {
            command.clone()
        } else if !kept.is_empty() {
            // As a run sees it: what is stored hides the environment, all of it.
            kept.contains(&key).then(|| store.describe())
        } else {
            credential::variable(key, &context.lookup).map(str::to_owned)
        };
        KeyView::of(key.word(), source)
    };
    Ok(Key::ALL.into_iter().map(view).collect())
}

/// The keys of one credential of the list. What a command prints is known when it has run.
fn keys_of(
    named: &Named,
    context: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<KeyView>, CliError> {
    let store = context.store();
    let sources: [Option<String>; 3] = match &named.source {
        Source::Command(_) => [const { None }; 3].map(|_: Option<()>| Some(named.place())),
        Source::Store(set) => {
            let kept = runtime.block_on(stored::list(&store, Some(set)))?;
            Key::ALL.map(|key| kept.contains(&key).then(|| store.describe()))
        }
        Source::Environment(variables) => variables.clone().map(|variable| {
            let is_set =
                |name: &String| (context.lookup)(name).is_some_and(|value| !value.is_empty());
            variable.filter(is_set)
        }),
    };
    let keys = Key::ALL.into_iter().zip(sources);
    let views = keys.map(|(key, source)| KeyView {
        credential: Some(named.name.clone()),
        groups: named.groups.clone(),
        ..KeyView::of(key.word(), source)
    });
    Ok(views.collect())
}
