//! `ddgate status`, `ddgate keys` and `ddgate config show`: what there is, never a secret.

use super::context::{Context, runtime};
use crate::auth::credential::{self, Key, redaction, stored};
use crate::auth::session;
use crate::cli::{KeyName, KeysArgs, KeysCommand, StatusArgs};
use crate::config::IdentityMode;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::Catalog;
use crate::ui::status::{ConfigEntry, KeyView, SignIn, StatusView};
use crate::ui::{json, prompt, status};

pub(super) fn show(args: &StatusArgs, context: &Context) -> Result<Exit, CliError> {
    let runtime = runtime(None)?;
    let store = context.store();
    let config = &context.config;
    let is_oidc = config.identity.mode.value == IdentityMode::Oidc;
    let mut sign_in = None;
    if is_oidc && let Ok(settings) = context.issuer() {
        let stored = runtime.block_on(session::stored(&settings, &store))?;
        sign_in = stored.map(|stored| SignIn {
            issuer: settings.issuer.clone(),
            subject: stored.subject,
            name: stored.name,
            email: stored.email,
            kept_in: store.describe(),
            renewed: stored.renewed,
        });
    }
    let files = [
        Some(&config.user_file).filter(|f| f.exists()),
        config.project_file.as_ref(),
    ];
    let view = StatusView {
        sign_in,
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
