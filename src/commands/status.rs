//! `ddgate status`, `ddgate keys` and `ddgate config show`: what there is, never a secret.

use super::context::{Context, runtime};
use crate::auth::credential::{self, Key, redaction, stored};
use crate::auth::session;
use crate::cli::{GlobalArgs, KeyName, KeysArgs, KeysCommand, StatusArgs};
use crate::config::IdentityMode;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::Catalog;
use crate::ui::status::{ConfigEntry, KeyView, ProfileView, SignIn, StatusView};
use crate::ui::{Printer, json, prompt, status};

pub(super) fn show(args: &StatusArgs, context: &Context) -> Result<Exit, CliError> {
    let runtime = runtime(None)?;
    let config = &context.config;
    let is_oidc = config.identity.mode.value == IdentityMode::Oidc;
    let sign_in = match is_oidc {
        true => sign_in(context, &runtime)?,
        false => None,
    };
    let files = [
        Some(&config.user_file).filter(|f| f.exists()),
        config.project_file.as_ref(),
    ];
    let view = StatusView {
        sign_in,
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
        kept_in: store.describe(),
        renewed: stored.renewed,
        expires: stored.expires,
    }))
}

pub(super) fn keys_verb(args: &KeysArgs, context: &Context) -> Result<Exit, CliError> {
    let runtime = runtime(None)?;
    let store = context.store();
    match &args.command {
        KeysCommand::Set { name } => {
            let value = prompt::secret(word(*name))?;
            match key_of(*name) {
                Some(key) => runtime.block_on(stored::keep(&store, key, value.expose()))?,
                None => runtime.block_on(redaction::keep(&store, value.expose()))?,
            }
            context
                .printer
                .say(&format!("{} kept in {}", word(*name), store.describe()));
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
        KeysCommand::Rm { name } => {
            let key = word(*name);
            let removed = match key_of(*name) {
                Some(key) => runtime.block_on(stored::remove(&store, key))?,
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
    let settings = context.credential_settings();
    let command = settings
        .command
        .map(|line| format!("credential_command ({})", line.program()));
    let store = context.store();
    let kept = match command {
        Some(_) => Vec::new(),
        None => runtime.block_on(stored::list(&store))?,
    };
    let pseudonyms = runtime.block_on(redaction::find(&store, context.redaction_key()))?;
    let pseudonyms = KeyView {
        name: redaction::WORD.to_owned(),
        source: pseudonyms.map(|key| key.source),
    };
    Ok(Key::ALL
        .into_iter()
        .map(|key| {
            let source = if command.is_some() {
                command.clone()
            } else if !kept.is_empty() {
                // As a run sees it: what is stored hides the environment, all of it.
                kept.contains(&key).then(|| store.describe())
            } else {
                credential::variable(key, &context.lookup).map(str::to_owned)
            };
            KeyView {
                name: key.word().to_owned(),
                source,
            }
        })
        .chain([pseudonyms])
        .collect())
}
