//! The authorization code flow with PKCE: the person signs in with a browser on this machine.
//!
//! RFC 6749 section 4.1, RFC 7636 (S256 only), RFC 8252 (loopback redirect), RFC 9207 (`iss` in the
//! answer), OpenID Connect Core section 3.1. The answer counts if it carries this sign-in's `state`,
//! the code only with our verifier, the ID token only with our nonce. It opens no browser, and it
//! ends at the latest after [`BROWSER_WAIT_MAX`].

use std::sync::Arc;

use openidconnect::core::{CoreAuthenticationFlow, CoreJsonWebKeySet};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};
use tokio::time::Instant;

use super::binding::{BOUND_KEY, SignInKey, TokenClient, possession};
use super::provider::{Provider, Tokens};
use super::redirect::{Answer, Listener, Window};
use super::refresh::Refreshing;
use super::{BrowserPrompt, SignIn, SignInScreen, concluded};
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
    key: Option<Arc<SignInKey>>,
    /// Whether an ID token with that key in it was asked for.
    binds: bool,
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
    let question = ask(provider, &listener, provider.dpop.binds_id_tokens)?;
    screen.address(&question.prompt);
    let end = Instant::now() + BROWSER_WAIT_MAX / provider.settings.time_scale.max(1);
    let (answer, window) = answered(listener, &question, screen, end).await?;
    let (question, answer, window) = match is_too_much(provider, &question, &answer) {
        false => (question, answer, window),
        true => {
            // The browser goes on by itself, with a question that every provider knows.
            let listener = Listener::bind().await.map_err(AuthError::Loopback)?;
            let question = ask(provider, &listener, false)?;
            window.go_on(&question.prompt.url).await;
            let (answer, window) = answered(listener, &question, screen, end).await?;
            (question, answer, window)
        }
    };
    let result = Box::pin(conclude(provider, &question, &answer, keys)).await;
    window.show(result.is_ok()).await;
    result
}

/// Waits for the answer to this question.
async fn answered(
    listener: Listener,
    question: &Question,
    screen: &dyn SignInScreen,
    end: Instant,
) -> Result<(Answer, Window), AuthError> {
    let foreign = || screen.foreign_answer();
    let waiting = listener.answer(question.state.secret(), foreign);
    let answered = tokio::time::timeout_at(end, waiting).await;
    answered.map_err(|_| AuthError::NobodyCame)
}

/// Whether the provider refuses to bind an ID token for this client, which its metadata offered.
fn is_too_much(provider: &Provider<'_>, question: &Question, answer: &Answer) -> bool {
    let refusals = ["invalid_scope", "invalid_request"];
    question.binds
        && matches!(code(provider, answer), Err(AuthError::Refused { code, .. }) if refusals.contains(&code.as_str()))
}

/// Makes the authorization request (OpenID Connect Core, section 3.1.2.1). `binds`: it asks for an ID
/// token with the key in it (Key Binding, section 2.1).
fn ask(provider: &Provider<'_>, listener: &Listener, binds: bool) -> Result<Question, AuthError> {
    let settings = provider.settings;
    let Some(endpoint) = provider.authorization_endpoint.clone() else {
        return Err(AuthError::NoAuthorizationEndpoint {
            issuer: settings.issuer.clone(),
        });
    };
    let redirect_uri = RedirectUrl::new(listener.redirect_uri())
        .map_err(|error| provider.answer(AUTHORIZATION_ANSWER, &error.to_string()))?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let key = provider.dpop.key();
    let nonce = key.as_ref().map(|key| key.nonce());
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
    let bound = key.as_ref().filter(|_| binds);
    if let Some(key) = bound {
        request = request
            .add_scope(Scope::new(BOUND_KEY.to_owned()))
            .add_extra_param("dpop_jkt", key.thumbprint());
    }
    let binds = bound.is_some();
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
        binds,
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
) -> Result<SignIn, AuthError> {
    let code = code(provider, answer)?;
    let prover = provider.dpop.prover(question.key.as_ref(), question.binds);
    let http = TokenClient {
        http: provider.http,
        prover: prover.as_ref(),
    };
    let tokens = exchange(provider, question, code, http).await?;
    let possession = possession(question.key.clone(), prover.as_ref());
    let nonce = Some(question.nonce.secret().as_str());
    concluded(provider, &tokens, keys, Via::Browser, nonce, possession).await
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
    http: TokenClient<'_>,
) -> Result<Tokens, AuthError> {
    let client = provider
        .client()
        .set_redirect_uri(question.redirect_uri.clone());
    client
        .exchange_code(code)
        // The type is not `Clone`, on purpose of its makers; this is its one use.
        .set_pkce_verifier(PkceCodeVerifier::new(question.verifier.secret().clone()))
        .request_async(&Refreshing(http))
        .await
        .map_err(|error| provider.failed(TOKEN_ANSWER, error))
}
