//! What `run` says about an identity that comes to its end, and how it is kept from it.

use std::sync::Arc;

use super::context::Context;
use crate::auth::identity::SignIn;
use crate::auth::renewal::PersonSource;
use crate::auth::secret_store::SecretStore;
use crate::auth::session::Prompting;
use crate::auth::standing::holds_until;
use crate::error::CliError;
use crate::gate::{Keeping, News};
use crate::net::HttpsClient;
use crate::record::{Identity, LapseReason, OnLapse};
use crate::ui::Printer;
use crate::ui::escape::escape;

/// How the identity of a session that opens is kept.
pub(super) fn keeping(
    context: &Context,
    sign_in: &SignIn,
    store: &SecretStore,
    http: &HttpsClient,
) -> Result<Keeping, CliError> {
    let lapse = &context.config.lapse;
    let mut keeping = Keeping {
        source: None,
        is_renewable: sign_in.refresh_token.is_some(),
        requirements: context.config.admission.rules.clone(),
        grant: None,
        on_lapse: lapse.on_lapse.value,
        max_session: lapse.max_session.value.map(|span| span.0),
    };
    if let Some(workload) = &sign_in.identity.workload {
        keeping.is_renewable = workload.renewable;
        let source = super::workload::source(context, http, Prompting::Forbidden);
        keeping.source = source.map(|source| Arc::new(source) as _);
    } else if sign_in.identity.via.is_verified() {
        let source = PersonSource::new(context.issuer()?, store.clone(), http.clone());
        keeping.source = Some(Arc::new(source));
    }
    Ok(keeping)
}

/// Says until when a run can last that nothing renews.
pub(super) fn warn_of_end(identity: &Identity, keeping: &Keeping, printer: Printer) {
    let Some(until) = holds_until(identity) else {
        return;
    };
    if !keeping.is_renewable {
        printer.warn(&format!(
            "this sign-in cannot be renewed: it holds until {}, and after that {}",
            printer.talk_look().moment(until, "%H:%M %:z"),
            fate(keeping.on_lapse)
        ));
    }
}

/// Tells what became of the identity of a session under way.
pub(super) fn tell(news: &News<'_>, printer: Printer) {
    match news {
        News::Lapsed {
            who,
            why,
            trouble,
            calls,
        } => {
            let trouble = trouble.map_or_else(String::new, |it| format!(" ({it})"));
            let remedy = match (why, calls) {
                (LapseReason::MaxSession | LapseReason::CredentialLost, _) => {
                    "to go on, a new `ddgate run`"
                }
                (LapseReason::NotAdmitted, _) => "what is required: ddgate config show",
                (_, OnLapse::Refuse) => "to go on, in another terminal: ddgate login",
                (_, OnLapse::RecordUnverified) => {
                    "to be verified again, in another terminal: ddgate login"
                }
            };
            printer.warn(&format!(
                "the identity {} has lapsed: {why}{}; {}; {remedy}",
                escape(who.label()),
                escape(&trouble),
                fate(*calls),
            ));
        }
        News::Back(who) => {
            let until = holds_until(who).map_or_else(String::new, |until| {
                let until = printer.talk_look().moment(until, "%H:%M %:z");
                format!(", until {until}")
            });
            printer.say(&format!("{} is verified again{until}", escape(who.label())));
        }
        News::Trouble(why) => printer.detail(&format!(
            "the identity could not be verified again, still trying: {}",
            escape(why)
        )),
    }
}

const fn fate(calls: OnLapse) -> &'static str {
    match calls {
        OnLapse::Refuse => "new Datadog calls are refused",
        OnLapse::RecordUnverified => "Datadog calls go on, recorded as unverified",
    }
}
