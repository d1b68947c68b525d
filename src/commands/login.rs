//! `ddgate login` and `ddgate logout`.

use super::context::{Context, runtime};
use super::sign_in;
use crate::auth::identity::Revocation;
use crate::auth::session;
use crate::config::IdentityMode;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::escape::escape;

pub(super) fn login(context: &Context) -> Result<Exit, CliError> {
    if context.config.identity.mode.value == IdentityMode::Local {
        return Err(
            CliError::usage("there is nobody to sign in with: `identity.mode` is `local`")
                .hint("set `identity.mode = \"oidc\"`, an issuer and a client id"),
        );
    }
    let http = context.http()?;
    let store = context.store();
    let asked = sign_in::identify(context, &store, &http, true);
    runtime(None)?.block_on(Box::pin(asked))?;
    Ok(Exit::Success)
}

pub(super) fn logout(context: &Context) -> Result<Exit, CliError> {
    let settings = context.issuer()?;
    let http = context.http()?;
    let store = context.store();
    let signing_out = session::sign_out(&settings, &store, &http);
    let printer = context.printer;
    let Some(out) = runtime(None)?.block_on(Box::pin(signing_out))? else {
        printer.say("nobody was signed in");
        return Ok(Exit::Success);
    };
    printer.say(&format!("signed out {}", escape(out.who.label())));
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
    Ok(Exit::Success)
}
