//! Who is it? Shared by `login`, `run` and `demo`: signs the person in, or takes the operating
//! system's word where the settings say so. What they see meanwhile is `sign_in_screen`.

use super::admit;
use super::context::{Context, host_facts, user_name};
use super::sign_in_screen::Screen;
use crate::auth::AuthError;
use crate::auth::identity::{Binding, Flow, SignIn, Unbound, local_identity};
use crate::auth::secret_store::SecretStore;
use crate::auth::session::{self, HowKept, Prompting};
use crate::config::{IdentityMode, Prompt};
use crate::error::CliError;
use crate::net::HttpsClient;
use crate::record::Identity;
use crate::ui::sign_in::{Kept, signed_in};
use crate::ui::sign_in_events;

/// Whether a person may be asked. `asked_for`: the verb itself is a wish to sign in.
pub(super) fn prompting(context: &Context, asked_for: bool) -> Prompting {
    let somebody = asked_for || context.printer.is_watched();
    match context.config.identity.prompt.value {
        // A job that waits for a person waits for its time-out.
        _ if context.is_ci() => Prompting::Forbidden,
        Prompt::Always => Prompting::Allowed,
        Prompt::Auto if somebody => Prompting::Allowed,
        Prompt::Auto | Prompt::Never => Prompting::Forbidden,
    }
}

/// Signs the person in, or takes the operating system's word where the settings say so.
pub(super) async fn identify(
    context: &Context,
    store: &SecretStore,
    http: &HttpsClient,
    asked_for: bool,
) -> Result<SignIn, CliError> {
    if context.config.identity.mode.value == IdentityMode::Local {
        let host = host_facts().name;
        return Ok(SignIn {
            identity: local_identity(&host, &user_name(&context.lookup)),
            refresh_token: None,
            binding: Binding::Unbound(Unbound::Nobody),
            possession: None,
        });
    }
    let asking = prompting(context, asked_for);
    if let Some(workload) = super::workload::identify(context, http, asking).await? {
        return Ok(SignIn {
            identity: workload,
            refresh_token: None,
            binding: Binding::Unbound(Unbound::Workload),
            possession: None,
        });
    }
    let settings = context.issuer()?;
    let screen = Screen::new(context);
    let (sign_in, how) = loop {
        let missing = |who: &Identity| admit::missing(context, who);
        let established = session::establish(&settings, store, http, &screen, asking, &missing);
        match Box::pin(screen.beside(established)).await {
            Ok(established) => break established,
            Err(AuthError::Expired) if screen.wants_another_code().await => {}
            Err(error) => return Err(told(context, settings.flow, error)),
        }
    };
    let was_asked = screen.end();
    let kept = match &how {
        HowKept::Kept { place } => Kept::In(place),
        HowKept::ThisRun { why } => Kept::ThisRun(why),
    };
    let who = &sign_in.identity;
    if context.manner.json {
        context
            .printer
            .data(&sign_in_events::signed_in(who, kept))?;
        return Ok(sign_in);
    }
    let said = signed_in(who, who.expires, kept, context.printer.talk_look());
    if was_asked || asked_for {
        context.printer.say(&said);
    } else {
        context.printer.detail(&said);
    }
    Ok(sign_in)
}

/// Adds what only this place knows: which flow it was, and which profile.
fn told(context: &Context, flow: Flow, error: AuthError) -> CliError {
    let other_flow = error.is_about_the_flow().then_some(match flow {
        Flow::Device => {
            "many organisations switch the sign-in with a code off: try a browser on this machine, \
             with --browser"
        }
        Flow::Browser => "or try to sign in with a code: --device",
    });
    let is_missing = matches!(
        error,
        AuthError::NotSignedIn { .. } | AuthError::SignedOut { .. }
    );
    let mut told = CliError::from(error);
    if let Some(hint) = other_flow {
        told = told.hint(hint);
    }
    match &context.config.profile.value {
        Some(profile) if is_missing => told.hint(format!(
            "the profile `{profile}` has a sign-in of its own: ddgate login --profile {profile}"
        )),
        _ => told,
    }
}
