//! Whether whoever has signed in may open a session, and which credential they get.
//!
//! What the settings say is put to `policy`, which decides. Nothing is asked and nothing is read
//! here but settings, and the variables they name.

use super::context::Context;
use crate::auth::credential::named::{Named, Source};
use crate::auth::credential::{CommandLine, CredentialSettings};
use crate::config::{CredentialEntry, CredentialFrom, IdentityMode, Origin};
use crate::error::CliError;
use crate::policy::{self, NotAdmitted};
use crate::record::{Identity, Secret};

/// Refuses what no sign-in could mend, before anybody goes to the trouble of one.
pub(super) fn before_sign_in(context: &Context) -> Result<(), CliError> {
    let rules = &context.config.admission.rules;
    let who = &context.config.identity;
    match (who.mode.value, &who.issuer.value) {
        (IdentityMode::Oidc, Some(issuer)) => rules
            .check_issuer(issuer)
            .map_err(|refused| required(context, refused.into())),
        _ => Ok(()),
    }
}

/// Refuses whoever does not meet the requirements.
pub(super) fn check(context: &Context, identity: &Identity) -> Result<(), CliError> {
    let rules = &context.config.admission.rules;
    let checked = rules.check(identity);
    checked.map_err(|refused| required(context, refused.into()))
}

/// What of the settings cannot be told of somebody, because the provider left it out.
pub(super) fn missing(context: &Context, identity: &Identity) -> Option<String> {
    let required = context.config.admission.rules.check(identity).err();
    let refused = required.or_else(|| chosen(context, identity)?.err());
    let unclear = refused.filter(NotAdmitted::is_unclear);
    unclear.map(|refused| refused.to_string())
}

/// The credential of the list that somebody gets; none where there is no list.
pub(super) fn credential(
    context: &Context,
    identity: &Identity,
) -> Result<Option<Named>, CliError> {
    let entry = chosen(context, identity).transpose()?;
    Ok(entry.map(named))
}

fn chosen<'a>(
    context: &'a Context,
    identity: &Identity,
) -> Option<Result<&'a CredentialEntry, NotAdmitted>> {
    let entries = &context.config.credentials.value;
    let list = entries
        .iter()
        .map(|entry| (entry.name.as_str(), &*entry.groups, entry));
    (!entries.is_empty()).then(|| policy::choose(identity, list))
}

/// Every credential of the list.
pub(super) fn credentials(context: &Context) -> impl Iterator<Item = Named> {
    context.config.credentials.value.iter().map(named)
}

/// What the variables of all credentials hold: the command is to see none of it.
pub(super) fn withheld(context: &Context) -> Vec<(&'static str, Secret<String>)> {
    credentials(context)
        .flat_map(|one| one.in_environment(&context.lookup).collect::<Vec<_>>())
        .collect()
}

/// Where Datadog's credential comes from where there is no list, beside the store and the
/// environment.
pub(super) fn credential_settings(context: &Context) -> CredentialSettings {
    use crate::config::CredentialCommand;
    let command = context.config.datadog.credential_command.value.as_ref();
    CredentialSettings {
        command: command.map(|command| match command {
            CredentialCommand::Shell(line) => CommandLine::Shell(line.clone()),
            CredentialCommand::Program(words) => CommandLine::Argv(words.clone()),
        }),
    }
}

fn named(entry: &CredentialEntry) -> Named {
    Named {
        name: entry.name.clone(),
        groups: entry.groups.clone(),
        source: match &entry.from {
            CredentialFrom::Command(words) => Source::Command(CommandLine::Argv(words.clone())),
            CredentialFrom::Store(set) => Source::Store(set.clone()),
            CredentialFrom::Env(variables) => Source::Environment(variables.clone()),
        },
    }
}

/// Adds who asks for it: a project may have.
fn required(context: &Context, refused: CliError) -> CliError {
    let said = &context.config.admission;
    let origins = [
        &said.groups.origin,
        &said.issuers.origin,
        &said.verified_email.origin,
    ];
    let mut places: Vec<String> = origins
        .into_iter()
        .filter(|origin| **origin != Origin::Default)
        .map(ToString::to_string)
        .collect();
    places.dedup();
    refused.hint(format!("what is required stands in: {}", places.join("; ")))
}
