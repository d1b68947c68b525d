//! The authorization code flow with PKCE: the person signs in with a browser on this machine.
//!
//! RFC 6749 section 4.1, RFC 7636 (S256 only), RFC 8252 (loopback redirect), RFC 9207 (`iss` in the
//! answer), OpenID Connect Core section 3.1. The answer counts if it carries this sign-in's `state`,
//! the code only with our verifier, the ID token only with our nonce. It opens no browser, and it
//! ends at the latest after [`BROWSER_WAIT_MAX`].

use openidconnect::core::{CoreAuthenticationFlow, CoreJsonWebKeySet};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};

use super::binding::{SignInKey, binding};
use super::provider::{Provider, Tokens};
use super::redirect::{Answer, Listener};
use super::refresh::{Refreshing, refresh_token};
use super::verify::Expectation;
use super::{BrowserPrompt, SignIn, SignInScreen};
use crate::auth::AuthError;
use crate::limits::BROWSER_WAIT_MAX;
use crate::record::Via;

const AUTHORIZATION_ANSWER: &str = "authorization answer";
const TOKEN_ANSWER: &str = "token answer";

/// What was asked, and what the answer has to fit.
struct Question {
    prompt: BrowserPrompt,
    redirect_uri: RedirectUrl,
    state: CsrfToken,
    nonce: Nonce,
    /// The key the nonce is of.
    key: Option<SignInKey>,
    verifier: PkceCodeVerifier,
}

/// Runs the flow at a discovered provider.
pub(super) async fn sign_in(
    provider: &Provider<'_>,
    screen: &dyn SignInScreen,
) -> Result<SignIn, AuthError> {
    // A provider without keys is found out before anybody is sent to a browser.
    let keys = provider.keys().await?;
    let listener = Listener::bind().await.map_err(AuthError::Loopback)?;
    let mut question = ask(provider, &listener)?;
    let key = question.key.take();
    screen.address(&question.prompt);
    let foreign = || screen.foreign_answer();
    let waiting = listener.answer(question.state.secret(), foreign);
    let limit = BROWSER_WAIT_MAX / provider.settings.time_scale.max(1);
    let answered = tokio::time::timeout(limit, waiting).await;
    let (answer, window) = answered.map_err(|_| AuthError::NobodyCame)?;
    let result = Box::pin(conclude(provider, &question, &answer, keys, key)).await;
    window.show(result.is_ok()).await;
    result
}

/// Makes the authorization request (OpenID Connect Core, section 3.1.2.1).
fn ask(provider: &Provider<'_>, listener: &Listener) -> Result<Question, AuthError> {
    let settings = provider.settings;
    let Some(endpoint) = provider.authorization_endpoint.clone() else {
        return Err(AuthError::NoAuthorizationEndpoint {
            issuer: settings.issuer.clone(),
        });
    };
    let redirect_uri = RedirectUrl::new(listener.redirect_uri())
        .map_err(|error| provider.answer(AUTHORIZATION_ANSWER, &error.to_string()))?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let key = SignInKey::generate();
    let nonce = key.as_ref().map(SignInKey::nonce);
    let client = provider
        .client()
        .set_auth_uri(endpoint)
        .set_redirect_uri(redirect_uri.clone());
    // The crate adds `openid` by itself.
    let scopes = settings.scopes.iter().filter(|scope| *scope != "openid");
    let mut request = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            || nonce.map_or_else(Nonce::new_random, Nonce::new),
        )
        .add_scopes(scopes.cloned().map(Scope::new))
        .set_pkce_challenge(challenge);
    if wants_consent(provider) {
        request = request.add_extra_param("prompt", "consent");
    }
    let (url, state, nonce) = request.url();
    Ok(Question {
        prompt: BrowserPrompt {
            url: url.into(),
            port: listener.port(),
            expires_in: BROWSER_WAIT_MAX,
        },
        redirect_uri,
        state,
        nonce,
        key,
        verifier,
    })
}

/// OpenID Connect Core, section 11: `offline_access` counts only with `prompt=consent`. Entra ID
/// needs it not, and with it sends people who may not consent themselves to their administrator.
fn wants_consent(provider: &Provider<'_>) -> bool {
    let host = provider.issuer.url().host_str().unwrap_or_default();
    let is_entra = ["login.microsoftonline.com", "login.microsoftonline.us"].contains(&host);
    let scopes = &provider.settings.scopes;
    !is_entra && scopes.iter().any(|scope| scope == "offline_access")
}

/// From the answer to a verified person.
async fn conclude(
    provider: &Provider<'_>,
    question: &Question,
    answer: &Answer,
    keys: CoreJsonWebKeySet,
    key: Option<SignInKey>,
) -> Result<SignIn, AuthError> {
    let code = code(provider, answer)?;
    let tokens = exchange(provider, question, code).await?;
    let expectation = Expectation {
        via: Via::Browser,
        subject: None,
        nonce: Some(question.nonce.secret()),
    };
    let identity = Box::pin(provider.verified(&tokens, keys.clone(), &expectation)).await?;
    Ok(SignIn {
        identity,
        refresh_token: refresh_token(&tokens),
        binding: binding(provider, &tokens, &keys, key),
    })
}

/// Reads the code from an answer. Who sends it is looked at first, also when it is an error
/// (RFC 9207, section 2.4).
fn code(provider: &Provider<'_>, answer: &Answer) -> Result<AuthorizationCode, AuthError> {
    let refused = |why: &str| Err(provider.answer(AUTHORIZATION_ANSWER, why));
    match answer.parameter("iss") {
        Some(issuer) if issuer == provider.settings.issuer => {}
        Some(_) => return refused("it comes from another issuer (iss)"),
        None if provider.answers_name_issuer => {
            return refused("it does not say which issuer it comes from (iss), as it should");
        }
        None => {}
    }
    if let Some(error) = answer.parameter("error") {
        return Err(provider.refused(error, answer.parameter("error_description")));
    }
    match answer.parameter("code") {
        Some(code) if !code.is_empty() => Ok(AuthorizationCode::new(code.to_owned())),
        _ => refused("it holds neither a code nor an error"),
    }
}

/// Exchanges the code. A code works once, so this is tried again only where the provider cannot
/// have seen it.
async fn exchange(
    provider: &Provider<'_>,
    question: &Question,
    code: AuthorizationCode,
) -> Result<Tokens, AuthError> {
    let client = provider
        .client()
        .set_redirect_uri(question.redirect_uri.clone());
    client
        .exchange_code(code)
        // The type is not `Clone`, on purpose of its makers; this is its one use.
        .set_pkce_verifier(PkceCodeVerifier::new(question.verifier.secret().clone()))
        .request_async(&Refreshing(provider.http))
        .await
        .map_err(|error| provider.failed(TOKEN_ANSWER, error))
}
