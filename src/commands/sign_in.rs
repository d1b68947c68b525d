//! Who is it? Shared by `login`, `run` and `demo`: the sign-in screen, and whether to show one.

use std::sync::{Mutex, PoisonError};

use super::context::{Context, host_facts, user_name};
use crate::auth::identity::{Binding, DevicePrompt, SignIn, SignInScreen, Unbound, local_identity};
use crate::auth::secret_store::SecretStore;
use crate::auth::session::{self, HowKept, Prompting};
use crate::config::{IdentityMode, Prompt};
use crate::error::CliError;
use crate::net::HttpsClient;
use crate::ui::sign_in::{DeviceCode, Kept, signed_in};
use crate::ui::{Printer, Progress};

/// Shows the code, and that somebody is waited for.
struct Screen {
    printer: Printer,
    waiting: Mutex<Option<Progress>>,
}

impl Screen {
    fn new(printer: Printer) -> Self {
        Self {
            printer,
            waiting: Mutex::new(None),
        }
    }
}

impl SignInScreen for Screen {
    fn code(&self, prompt: &DevicePrompt) {
        let code = DeviceCode {
            user_code: &prompt.user_code,
            verification_uri: &prompt.verification_uri,
            verification_uri_complete: prompt.verification_uri_complete.as_deref(),
            expires_in: prompt.expires_in,
        };
        // Without it nobody could sign in: said even by a quiet run.
        let printer = self
            .printer
            .talking(self.printer.talk().max(crate::ui::Talk::Normal));
        printer.say(&code.screen(false, printer.talk_look()));
        let waiting = Progress::begin(&printer, "waiting for approval…");
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
    }

    fn trouble(&self, what: &str) {
        if let Some(waiting) = &*self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            waiting.say(&format!(
                "network trouble, still trying: {}",
                crate::ui::escape::escape(what)
            ));
        }
    }
}

/// Whether a person may be asked. `asked_for`: the verb itself is a wish to sign in.
pub(super) fn prompting(context: &Context, asked_for: bool) -> Prompting {
    let somebody = (asked_for || context.printer.is_watched()) && !context.is_ci();
    match context.config.identity.prompt.value {
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
        });
    }
    let settings = context.issuer()?;
    let screen = Screen::new(context.printer);
    let established = session::establish(
        &settings,
        store,
        http,
        &screen,
        prompting(context, asked_for),
    );
    let (sign_in, how) = Box::pin(established).await?;
    let was_asked = screen
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .is_some();
    let kept = match &how {
        HowKept::Kept { place } => Kept::In(place),
        HowKept::ThisRun { why } => Kept::ThisRun(why),
    };
    let who = &sign_in.identity;
    let said = signed_in(who, who.expires, kept, context.printer.talk_look());
    if was_asked || asked_for {
        context.printer.say(&said);
    } else {
        context.printer.detail(&said);
    }
    Ok(sign_in)
}
