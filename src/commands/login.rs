//! `ddgate login` and `ddgate logout`.

use super::context::{Context, runtime};
use super::sign_in;
use super::sign_in_screen::Manner;
use crate::auth::identity::Revocation;
use crate::auth::session;
use crate::cli::{GlobalArgs, LoginArgs, LogoutArgs};
use crate::config::{IdentityMode, Overrides};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::escape::escape;
use crate::ui::{Printer, sign_in_events};

pub(super) fn login(
    args: LoginArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let as_json = args.json;
    let signed_in = sign_in_once(args, global, printer);
    if as_json && let Err(error) = &signed_in {
        // The program that drives us reads this one, the person's log the other.
        printer.data(&sign_in_events::failed(error))?;
    }
    signed_in
}

fn sign_in_once(args: LoginArgs, global: &GlobalArgs, printer: &Printer) -> Result<Exit, CliError> {
    let manner = Manner {
        json: args.json,
        ..Manner::of(&args.sign_in)
    };
    let overrides = Overrides {
        issuer: args.provider.issuer,
        client_id: args.provider.client_id,
        flow: args.sign_in.flow(),
        ..Overrides::default()
    };
    let context = Context::new(global, overrides, printer)?.with_manner(manner);
    if context.config.identity.mode.value == IdentityMode::Local {
        return Err(
            CliError::usage("there is nobody to sign in with: `identity.mode` is `local`")
                .hint("set `identity.mode = \"oidc\"`, an issuer and a client id"),
        );
    }
    let http = context.http()?;
    let store = context.store();
    let asked = sign_in::identify(&context, &store, &http, true);
    runtime(None)?.block_on(Box::pin(asked))?;
    Ok(Exit::Success)
}

pub(super) fn logout(
    args: &LogoutArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<Exit, CliError> {
    if !args.all {
        let context = Context::new(global, Overrides::default(), printer)?;
        if !sign_out(&context)? {
            printer.say("nobody was signed in");
        }
        return Ok(Exit::Success);
    }
    let mut was_anybody = false;
    for context in Context::of_all_profiles(global, printer)? {
        if context.has_issuer() {
            was_anybody |= sign_out(&context)?;
        }
    }
    if !was_anybody {
        printer.say("nobody was signed in");
    }
    Ok(Exit::Success)
}

/// Forgets the sign-in here and at the provider; returns whether there was one.
fn sign_out(context: &Context) -> Result<bool, CliError> {
    let settings = context.issuer()?;
    let http = context.http()?;
    let store = context.store();
    let signing_out = session::sign_out(&settings, &store, &http);
    let printer = context.printer;
    let Some(out) = runtime(None)?.block_on(Box::pin(signing_out))? else {
        return Ok(false);
    };
    let profile = match &context.config.profile.value {
        Some(profile) => format!(" of profile {profile}"),
        None => String::new(),
    };
    let revoked = match &out.revocation {
        Ok(Revocation::Done) => format!(", revoked at {}", escape(&settings.issuer)),
        Ok(Revocation::NotOffered) | Err(_) => String::new(),
    };
    printer.say(&format!(
        "signed out {}{profile}: deleted from {}{revoked}",
        escape(out.who.label()),
        escape(&store.describe()),
    ));
    match out.revocation {
        Ok(Revocation::Done) => {}
        Ok(Revocation::NotOffered) => printer.warn(
            "the identity provider offers no revocation: the sign-in there lives on until it \
             expires by itself",
        ),
        Err(error) => printer.error(
            &CliError::new(
                Exit::Remote,
                "the sign-in was forgotten here, but not revoked",
            )
            .caused_by(&error),
        ),
    }
    Ok(true)
}
