//! Who signs in, where that is kept, and with which keys: the provider, the stored sign-in, what is
//! required of people, the credential they get.

use chrono::TimeDelta;

use super::super::context::Context;
use super::super::{admit, sign_in};
use super::{
    CLOCK, CREDENTIAL, DATADOG, PROVIDER, REQUIREMENTS, SECRET_STORE, SIGN_IN, failed, keys,
    limited, silent,
};
use crate::auth::credential::{self, Credential};
use crate::auth::identity::Flow;
use crate::auth::secret_store::SecretStore;
use crate::auth::{probe, session};
use crate::config::IdentityMode;
use crate::error::CliError;
use crate::limits::CLOCK_LEEWAY;
use crate::net::HttpsClient;
use crate::record::{Identity, Via};
use crate::ui::doctor::Finding;

/// All of them.
pub(super) async fn checks(context: &Context) -> Vec<Finding> {
    let (to_provider, to_datadog) = match (context.http(), context.http()) {
        (Ok(provider), Ok(datadog)) => (provider, datadog),
        // The proxy's variable is wrong, which has a line of its own.
        _ => return vec![Finding::not_checked(SIGN_IN, "no way out: see proxy")],
    };
    let store = context.store_asking_nobody();
    let (store_found, provider, chain) = tokio::join!(
        limited(secret_store(&store), silent(SECRET_STORE)),
        limited(provider(context, &to_provider), silent(PROVIDER)),
        Box::pin(chain(context, &store, &to_provider, &to_datadog)),
    );
    let mut findings = vec![store_found, provider];
    findings.extend(chain);
    findings.extend(
        clock(&to_provider, "the identity provider").or_else(|| clock(&to_datadog, "Datadog")),
    );
    findings
}

async fn provider(context: &Context, http: &HttpsClient) -> Finding {
    if context.config.identity.mode.value == IdentityMode::Local {
        return Finding::warn(
            PROVIDER,
            "none is asked: sessions are recorded as the operating system's user, whom nobody has \
             verified",
            "for verified sessions: `identity.mode = \"oidc\"`, an issuer and a client id",
        );
    }
    let settings = match context.issuer() {
        Ok(settings) => settings,
        Err(error) => return failed(PROVIDER, &error),
    };
    match probe::provider(&settings, http).await {
        Err(error) => failed(PROVIDER, &error.into()),
        Ok(offers) if !offers.device && settings.flow == Flow::Device => Finding::fail(
            PROVIDER,
            format!("{} answers, but offers no device sign-in", settings.issuer),
            "ask its administrator to enable the device authorization grant (RFC 8628), or sign in with \
             a browser: `identity.flow = \"browser\"`",
        ),
        Ok(offers) => {
            let revocation = match offers.revocation {
                true => "",
                false => "; it offers no revocation, so signing out only forgets",
            };
            Finding::ok(PROVIDER, format!("{} answers{revocation}", settings.issuer))
        }
    }
}

/// What comes one after the other: the sign-in, what is required, the credential, Datadog.
async fn chain(
    context: &Context,
    store: &SecretStore,
    to_provider: &HttpsClient,
    to_datadog: &HttpsClient,
) -> Vec<Finding> {
    let slow = |limit| (silent(SIGN_IN)(limit), None);
    let (signed_in, identity) =
        limited(Box::pin(stored_sign_in(context, store, to_provider)), slow).await;
    let mut findings = vec![signed_in];
    findings.extend(requirements(context, identity.as_ref()));
    let slow = |limit| (silent(CREDENTIAL)(limit), None);
    let (found, credential) = limited(keys_of(context, store, identity.as_ref()), slow).await;
    findings.push(found);
    findings.push(match credential {
        None => Finding::not_checked(DATADOG, "there is no credential to ask with"),
        Some(credential) => {
            let asking = keys::datadog(context, &credential, to_datadog);
            limited(asking, silent(DATADOG)).await
        }
    });
    findings
}

async fn stored_sign_in(
    context: &Context,
    store: &SecretStore,
    http: &HttpsClient,
) -> (Finding, Option<Identity>) {
    let is_oidc = context.config.identity.mode.value == IdentityMode::Oidc;
    if is_oidc && !context.is_ci() {
        let settings = match context.issuer() {
            Ok(settings) => settings,
            Err(_) => {
                return (
                    Finding::not_checked(SIGN_IN, "there is no provider to ask"),
                    None,
                );
            }
        };
        match session::stored(&settings, store).await {
            Err(error) => return (failed(SIGN_IN, &error.into()), None),
            Ok(None) if context.printer.is_watched() => {
                let next = "ddgate login, or wait until the next run asks";
                return (Finding::warn(SIGN_IN, "nobody is signed in", next), None);
            }
            Ok(None) => {
                let found = "nobody is signed in, and here is nobody who could be asked";
                return (Finding::fail(SIGN_IN, found, "ddgate login"), None);
            }
            Ok(Some(_)) => {}
        }
    }
    match Box::pin(sign_in::identify(context, store, http, false)).await {
        Err(error) => (failed(SIGN_IN, &error), None),
        Ok(sign_in) => (signed_in(&sign_in.identity), Some(sign_in.identity)),
    }
}

fn signed_in(identity: &Identity) -> Finding {
    let groups = match (identity.groups.len(), identity.groups_incomplete) {
        (0, false) => "no groups".to_owned(),
        (_, false) => format!("groups: {}", identity.groups.join(", ")),
        (_, true) => format!(
            "groups, of which some were left out: {}",
            identity.groups.join(", ")
        ),
    };
    let label = identity.label();
    let by = match identity.via {
        Via::Userinfo => "; its userinfo says so, not a signed token",
        _ => "",
    };
    match identity.via.is_verified() {
        true => Finding::ok(
            SIGN_IN,
            format!("{label} at {} ({groups}){by}", identity.issuer),
        ),
        false => Finding::ok(SIGN_IN, format!("{label}, unverified")),
    }
}

/// Nothing where nothing is required.
fn requirements(context: &Context, identity: Option<&Identity>) -> Option<Finding> {
    let rules = &context.config.admission.rules;
    if rules.is_empty() {
        return None;
    }
    let before = admit::before_sign_in(context);
    Some(match (before, identity) {
        (Err(error), _) => failed(REQUIREMENTS, &error),
        (Ok(()), None) => Finding::not_checked(
            REQUIREMENTS,
            format!("{}: nobody is signed in", rules.words()),
        ),
        (Ok(()), Some(identity)) => match admit::check(context, identity) {
            Ok(()) => Finding::ok(REQUIREMENTS, format!("met: {}", rules.words())),
            Err(error) => failed(REQUIREMENTS, &error),
        },
    })
}

async fn secret_store(store: &SecretStore) -> Finding {
    match probe::secret_store(store).await {
        Err(error) => failed(SECRET_STORE, &error.into()),
        Ok(()) => match store.fallback() {
            Some(why) => Finding::warn(
                SECRET_STORE,
                format!("{why}; so a sign-in lasts for one run, and keys are not kept"),
                "`identity.storage = \"file\"` keeps them in a file that only you can read; or unlock \
                 the keyring",
            ),
            None => Finding::ok(SECRET_STORE, store.describe()),
        },
    }
}

/// The credential a run would use, and where it is from.
async fn keys_of(
    context: &Context,
    store: &SecretStore,
    identity: Option<&Identity>,
) -> (Finding, Option<Credential>) {
    let chosen = match identity {
        Some(identity) => admit::credential(context, identity),
        // The first that is for everybody comes before any that is for a group, or cannot be told.
        None => match admit::credentials(context).next() {
            Some(first) if !first.groups.is_empty() => {
                let why = "whose it is depends on groups, and nobody is signed in";
                return (Finding::not_checked(CREDENTIAL, why), None);
            }
            first => Ok(first),
        },
    };
    let read = match chosen {
        Err(error) => Err(error),
        Ok(Some(named)) => named
            .read(store, &context.lookup)
            .await
            .map_err(CliError::from),
        Ok(None) => {
            let settings = admit::credential_settings(context);
            credential::resolve(&settings, store, &context.lookup)
                .await
                .map_err(CliError::from)
        }
    };
    match read {
        Err(error) => (failed(CREDENTIAL, &error), None),
        Ok(credential) => (keys::held(&credential), Some(credential)),
    }
}

/// How far the clocks are apart; nothing where nobody said what time it is.
fn clock(http: &HttpsClient, whose: &str) -> Option<Finding> {
    let ahead = http.clock_ahead()?;
    let leeway = TimeDelta::from_std(CLOCK_LEEWAY).unwrap_or_default();
    let seconds = ahead.num_seconds();
    if ahead.abs() <= leeway {
        return Some(Finding::ok(
            CLOCK,
            format!("within {} s of the clock of {whose}", seconds.abs().max(1)),
        ));
    }
    let side = if seconds > 0 { "behind" } else { "ahead of" };
    Some(Finding::warn(
        CLOCK,
        format!(
            "{} s {side} the clock of {whose}: sign-ins may be refused",
            seconds.abs()
        ),
        "set this computer's clock",
    ))
}
