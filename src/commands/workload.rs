//! Who is it, where nobody can be asked: a job of a CI system, or a service account.

use super::context::Context;
use crate::auth::identity::workload::{Otherwise, WorkloadSettings, WorkloadSource};
use crate::auth::session::Prompting;
use crate::error::CliError;
use crate::net::HttpsClient;
use crate::record::Identity;
use crate::ui::sign_in::verified_workload;
use crate::ui::workload::{KnownWorkload, UnknownWorkload, WorkloadView};

/// The workload that this is; none where a person signs in.
pub(super) async fn identify(
    context: &Context,
    http: &HttpsClient,
    prompting: Prompting,
) -> Result<Option<Identity>, CliError> {
    let Some(source) = source(context, http, prompting) else {
        return Ok(None);
    };
    let identity = Box::pin(source.verify(None)).await?;
    let said = verified_workload(&identity, context.printer.talk_look());
    context.printer.say(&said);
    Ok(Some(identity))
}

/// The workload that a run would be, or why it would be refused; none where a person signs in. A token
/// is fetched or read as a run does it; none is used up.
pub(super) async fn view(
    context: &Context,
    http: &HttpsClient,
    prompting: Prompting,
) -> Option<WorkloadView> {
    let source = source(context, http, prompting)?;
    let mut view = WorkloadView {
        system: source.system().to_owned(),
        known: None,
        unknown: None,
    };
    match Box::pin(source.known(None)).await {
        Ok((identity, settings)) => view.known = Some(known(&identity, settings)),
        Err(error) => {
            let told = CliError::from(error);
            view.unknown = Some(UnknownWorkload {
                message: told.message,
                causes: told.causes,
                hints: told.hints,
            });
        }
    }
    Some(view)
}

fn known(identity: &Identity, settings: &WorkloadSettings) -> KnownWorkload {
    KnownWorkload {
        label: identity.label().to_owned(),
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        workload: settings.name.clone(),
        audience: settings.audience.clone(),
        pins: settings.pins.clone(),
        groups: identity.groups.clone(),
        expires: identity.expires,
        renewable: identity.workload.as_ref().is_some_and(|it| it.renewable),
    }
}

/// Where the identity comes from, if this is a workload.
pub(super) fn source(
    context: &Context,
    http: &HttpsClient,
    prompting: Prompting,
) -> Option<WorkloadSource> {
    let otherwise = match (&context.config.identity.issuer.value, prompting) {
        (None, _) => Otherwise::Nobody,
        (Some(_), Prompting::Allowed) => Otherwise::Person,
        (Some(_), Prompting::Forbidden) => Otherwise::StoredSignIn,
    };
    let accepted = accepted(context);
    WorkloadSource::find(&context.lookup, accepted, otherwise, http.clone())
}

/// Whose tokens are believed, as configured.
fn accepted(context: &Context) -> Vec<WorkloadSettings> {
    let configured = context.config.workloads.value.iter().enumerate();
    configured
        .map(|(at, one)| WorkloadSettings {
            name: match &one.name {
                Some(name) => name.clone(),
                None => format!("workload {}", at + 1),
            },
            system: one.system,
            issuer: one.issuer.clone(),
            audience: one.audience.clone(),
            pins: one.pins.clone(),
            groups_claims: one.groups_claims.clone(),
            jwks_file: one.jwks_file.clone(),
        })
        .collect()
}
