//! The person: OpenID Connect sign-in, by device code (RFC 8628) or with a browser on this machine
//! (authorization code with PKCE), refresh, revocation, verification. Where there is
//! none: `workload`.
//!
//! An [`Identity`] with an issuer leaves this room only after its ID token passed every check of
//! `verify`, or what replaces one in a refresh those of `userinfo`. Tokens leave it only as what
//! `binding` proves with them. This is the only room that knows the openidconnect crate's protocol
//! types.

pub mod binding;
mod browser;
mod claims;
mod device;
mod person;
mod provider;
mod redirect;
mod refresh;
mod userinfo;
mod verify;
pub mod workload;

use std::time::Duration;

use openidconnect::core::CoreJsonWebKeySet;

use crate::net::HttpsClient;
use crate::record::{Identity, Secret, Via};

use super::AuthError;
pub use binding::{Binding, Possession, Unbound};
pub(super) use claims::chain;
pub use claims::clean;
pub(super) use provider::Provider;
use provider::Tokens;
pub(super) use refresh::Refreshed;
pub use refresh::Revocation;
pub use userinfo::NotConfirmed;
use verify::Expectation;
pub use verify::Unverified;

/// How a person signs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// With a code, on any device (RFC 8628).
    #[default]
    Device,
    /// With a browser on this machine (RFC 8252).
    Browser,
}

/// The provider to ask, and how.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Issuer identifier, compared byte by byte with what the provider says.
    pub issuer: String,
    /// The client ddgate is registered as.
    pub client_id: String,
    /// Its secret, for providers that insist on one.
    pub client_secret: Option<Secret<String>>,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// Where groups are: claim names, or JSON pointers when they begin with `/`.
    pub groups_claims: Vec<String>,
    /// Only accounts of this hosted domain (claim `hd`).
    pub hosted_domain: Option<String>,
    /// How a person is asked.
    pub flow: Flow,
    /// Replaces what discovery says.
    pub device_authorization_endpoint: Option<String>,
    /// Replaces what discovery says.
    pub token_endpoint: Option<String>,
    /// Whether new sign-ins prove that they have their key, where the provider offers that (RFC 9449).
    pub dpop: bool,
    /// Tests divide every wait by this.
    #[doc(hidden)]
    pub time_scale: u32,
}

impl IssuerSettings {
    /// Makes settings with the usual scopes and groups claim.
    #[must_use]
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            client_secret: None,
            // Not `groups`: several providers refuse a scope they do not know.
            scopes: words(&["profile", "email", "offline_access"]),
            groups_claims: words(&["groups"]),
            hosted_domain: None,
            flow: Flow::default(),
            device_authorization_endpoint: None,
            token_endpoint: None,
            dpop: true,
            time_scale: 1,
        }
    }
}

/// What a person has to do to sign in. Every text is fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePrompt {
    /// The code to enter.
    pub user_code: String,
    /// Where to enter it; https, or http on this machine.
    pub verification_uri: String,
    /// The same with the code filled in. Checked like the other; pass it as one argument.
    pub verification_uri_complete: Option<String>,
    /// How long the code lives.
    pub expires_in: Duration,
}

/// Where a person has to go to sign in with a browser on this machine. Fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserPrompt {
    /// The authorization request; https, or http on this machine. Pass it as one argument.
    pub url: String,
    /// The loopback port that the browser is sent back to.
    pub port: u16,
    /// How long the answer is waited for.
    pub expires_in: Duration,
}

/// Where a sign-in shows itself.
pub trait SignInScreen: Send + Sync {
    /// Called once, when there is a code to show. Must return soon: polling waits for it.
    fn code(&self, prompt: &DevicePrompt);
    /// The same for a sign-in with a browser on this machine.
    fn address(&self, prompt: &BrowserPrompt);
    /// Called when the provider has not been reached several times in a row; it is still tried.
    fn trouble(&self, what: &str);
    /// Called when a browser brought an answer that does not belong to this sign-in. It was turned
    /// away, and the right one is still waited for.
    fn foreign_answer(&self);
    /// Called before a person is asked who has signed in already: why that is not enough.
    fn again(&self, why: &AuthError);
}

/// A verified person, and the way to verify them again later.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who it is.
    pub identity: Identity,
    /// Opens the next sign-in without a person. Worth as much as a password.
    pub refresh_token: Option<Secret<String>>,
    /// What ties a session's key to them.
    pub binding: Binding,
    /// What the refresh token may be worth nothing without.
    pub possession: Option<Possession>,
}

/// Signs a person in, the way the settings say.
///
/// # Errors
/// The provider is not reached, refuses, or sends something that cannot be trusted; nobody
/// approved before the code expired; the person said no.
pub async fn sign_in(
    settings: &IssuerSettings,
    http: &HttpsClient,
    screen: &dyn SignInScreen,
) -> Result<SignIn, AuthError> {
    let provider = Provider::discover(settings, http).await?;
    match settings.flow {
        Flow::Device => Box::pin(device::sign_in(&provider, screen)).await,
        Flow::Browser => Box::pin(browser::sign_in(&provider, screen)).await,
    }
}

/// Verifies what a sign-in brought, and sees what of it ties the key to the person.
async fn concluded(
    provider: &Provider<'_>,
    tokens: &Tokens,
    keys: CoreJsonWebKeySet,
    via: Via,
    nonce: Option<&str>,
    possession: Option<Possession>,
) -> Result<SignIn, AuthError> {
    let expectation = Expectation {
        via,
        subject: None,
        nonce,
        possession: possession.as_ref(),
    };
    let identity = Box::pin(provider.verified(tokens, keys.clone(), &expectation)).await?;
    let held = possession.as_ref();
    let binding = binding::binding(provider, tokens, &keys, held, &identity.subject);
    Ok(SignIn {
        identity,
        refresh_token: refresh::refresh_token(tokens),
        binding,
        possession,
    })
}

/// Verifies a person again with their refresh token. `before` is who it was: the subject must not
/// change; a provider that sends no new ID token is asked for its userinfo, and where it has none that
/// identity stays as it was.
///
/// The refresh token in the answer replaces the old one, which may be dead from then on. No key is
/// shown: a provider that has tied the token to one refuses.
///
/// # Errors
/// [`AuthError::SignedOut`] when the provider no longer accepts the token, and as [`sign_in`].
pub async fn refresh(
    settings: &IssuerSettings,
    http: &HttpsClient,
    refresh_token: &Secret<String>,
    before: Option<&Identity>,
) -> Result<SignIn, AuthError> {
    let provider = Provider::discover(settings, http).await?;
    let (keys, refreshed) = tokio::join!(provider.keys(), provider.refresh(refresh_token, None));
    let refreshed = refreshed?;
    let newest = refreshed.refresh_token().unwrap_or(refresh_token.clone());
    let subject = before.map(|identity| identity.subject.as_str());
    Ok(SignIn {
        identity: Box::pin(refreshed.identity(&provider, keys?, subject, before, None)).await?,
        refresh_token: Some(newest),
        binding: Binding::Unbound(Unbound::NoKey),
        possession: None,
    })
}

/// Tells the provider that a refresh token is no longer needed (RFC 7009).
///
/// # Errors
/// The provider is not reached or refuses. The token may then live on until it expires.
pub async fn revoke(
    settings: &IssuerSettings,
    http: &HttpsClient,
    refresh_token: &Secret<String>,
) -> Result<Revocation, AuthError> {
    let provider = Provider::discover(settings, http).await?;
    provider.revoke(refresh_token).await
}

/// Names the operating system's user, whom nobody verified.
#[must_use]
pub fn local_identity(host_name: &str, user_name: &str) -> Identity {
    use crate::limits::{LABEL_CHARS_MAX, SUBJECT_CHARS_MAX};
    Identity {
        issuer: format!("local:{}", clean(host_name, LABEL_CHARS_MAX)),
        subject: clean(user_name, SUBJECT_CHARS_MAX),
        name: None,
        email: None,
        email_verified: None,
        groups: Vec::new(),
        groups_incomplete: false,
        via: Via::Local,
        expires: None,
        workload: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_user_is_marked_as_unverified() {
        let identity = local_identity("build\u{1b}[2J7", "alice");
        assert_eq!(identity.issuer, "local:build\u{fffd}[2J7");
        assert_eq!(identity.label(), "alice");
        assert!(!identity.via.is_verified());
    }

    #[test]
    fn settings_do_not_show_the_secret() {
        let mut settings = IssuerSettings::new("https://idp.test", "ddgate");
        settings.client_secret = Some(Secret::new("hunter2".to_owned()));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
