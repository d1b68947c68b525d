//! The device flow (RFC 8628): show a code, wait for a person, verify what comes.
//!
//! Polling never goes faster than the provider asks, survives network trouble, and always ends:
//! at the latest when the code expires.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use openidconnect::core::CoreDeviceAuthorizationResponse;
use openidconnect::{AsyncHttpClient, AuthType, HttpRequest, HttpResponse, Scope};
use url::Url;

use super::binding::{BOUND_KEY, Prover, SignInKey, TokenClient, possession};
use super::claims::{chain, is_hidden};
use super::provider::{Provider, Tokens, available};
use super::{DevicePrompt, SignIn, SignInScreen, concluded};
use crate::auth::AuthError;
use crate::limits::{DEVICE_CODE_WAIT_MAX, USER_CODE_CHARS_MAX};
use crate::net::NetError;
use crate::net::http::is_allowed;
use crate::record::Via;

const DEVICE_ANSWER: &str = "device code";
const TOKEN_ANSWER: &str = "token answer";
/// The shortest pause between two polls, whatever the provider says.
const POLL_PAUSE_MIN: Duration = Duration::from_secs(1);
/// How far back-off may stretch the pause when the network is down.
const POLL_PAUSE_MAX: Duration = Duration::from_secs(60);
/// One or two failed polls are normal life; from here on the person is told.
const FAILURES_TOLD: u32 = 3;

/// Runs the flow at a discovered provider.
pub(super) async fn sign_in(
    provider: &Provider<'_>,
    screen: &dyn SignInScreen,
) -> Result<SignIn, AuthError> {
    // Keys are fetched beside the code: a provider without keys is found out before anybody is
    // sent to a browser.
    let key = provider.dpop.key();
    let nonce = key.as_ref().map(|key| key.nonce());
    let (keys, begun) = tokio::try_join!(provider.keys(), begin(provider, key.as_deref()))?;
    let (details, binds) = begun;
    let prompt = prompt(provider, &details)?;
    let wait = prompt.expires_in;
    screen.code(&prompt);
    let prover = provider.dpop.prover(key.as_ref(), binds);
    let tokens = poll(provider, screen, &details, wait, prover.as_ref()).await?;
    let possession = possession(key, prover.as_ref());
    let (via, nonce) = (Via::Device, nonce.as_deref());
    concluded(provider, &tokens, keys, via, nonce, possession).await
}

/// Asks for a code, and, where that is offered, for an ID token with the key in it (Key Binding,
/// section 3.1); the answer says whether that was asked for. A provider that refuses this client the
/// latter is asked again.
async fn begin(
    provider: &Provider<'_>,
    key: Option<&SignInKey>,
) -> Result<(CoreDeviceAuthorizationResponse, bool), AuthError> {
    let binds = key.is_some() && provider.dpop.binds_id_tokens;
    match ask(provider, key, binds).await {
        Err(AuthError::Refused { code, .. })
            if binds && matches!(code.as_str(), "invalid_scope" | "invalid_request") =>
        {
            Ok((ask(provider, key, false).await?, false))
        }
        asked => Ok((asked?, binds)),
    }
}

async fn ask(
    provider: &Provider<'_>,
    key: Option<&SignInKey>,
    binds: bool,
) -> Result<CoreDeviceAuthorizationResponse, AuthError> {
    let settings = provider.settings;
    let Some(endpoint) = provider.device_endpoint.clone() else {
        return Err(AuthError::NoDeviceEndpoint {
            issuer: settings.issuer.clone(),
        });
    };
    let client = provider.client().set_device_authorization_url(endpoint);
    // The crate adds `openid` by itself.
    let scopes = settings.scopes.iter().filter(|scope| *scope != "openid");
    let mut request = client
        .exchange_device_code()
        .add_scopes(scopes.cloned().map(Scope::new));
    if let Some(key) = key {
        // A provider that does not know it here leaves it out (RFC 6749, section 3.2).
        request = request.add_extra_param("nonce", key.nonce());
        if binds {
            request = request
                .add_scope(Scope::new(BOUND_KEY.to_owned()))
                .add_extra_param("dpop_jkt", key.thumbprint());
        }
    }
    if settings.client_secret.is_some() && matches!(provider.auth_type, AuthType::BasicAuth) {
        // With Basic the crate leaves it out, but some device endpoints look only here.
        request = request.add_extra_param("client_id", &settings.client_id);
    }
    request
        .request_async(provider.http)
        .await
        .map_err(|error| provider.failed(DEVICE_ANSWER, error))
}

/// Checks what a person will see and maybe open.
fn prompt(
    provider: &Provider<'_>,
    details: &CoreDeviceAuthorizationResponse,
) -> Result<DevicePrompt, AuthError> {
    let refused = |why: &str| provider.answer(DEVICE_ANSWER, why);
    let user_code = details.user_code().secret();
    if user_code.trim().is_empty()
        || user_code.chars().nth(USER_CODE_CHARS_MAX).is_some()
        || user_code.chars().any(is_hidden)
    {
        return Err(refused("its user code cannot be typed"));
    }
    let address = |text: &str| {
        // `Url` escapes control characters silently, so look at what was sent.
        let url = Url::parse(text).ok().filter(is_allowed)?;
        let plain = !text.chars().any(|c| is_hidden(c) || c.is_whitespace());
        plain.then(|| url.to_string())
    };
    let not_a_page = || refused("its address is not an https page");
    let verification_uri = address(details.verification_uri()).ok_or_else(not_a_page)?;
    let verification_uri_complete = match details.verification_uri_complete() {
        None => None,
        Some(complete) => Some(address(complete.secret()).ok_or_else(not_a_page)?),
    };
    // Also keeps the crate's arithmetic (interval + 5 s) from overflowing.
    if details.interval() > Duration::from_secs(24 * 60 * 60) {
        return Err(refused("it wants to be asked less than once a day"));
    }
    Ok(DevicePrompt {
        user_code: user_code.clone(),
        verification_uri,
        verification_uri_complete,
        expires_in: details.expires_in().min(DEVICE_CODE_WAIT_MAX),
    })
}

async fn poll(
    provider: &Provider<'_>,
    screen: &dyn SignInScreen,
    details: &CoreDeviceAuthorizationResponse,
    wait: Duration,
    prover: Option<&Prover>,
) -> Result<Tokens, AuthError> {
    let scale = provider.settings.time_scale.max(1);
    let http = Polling {
        http: TokenClient {
            http: provider.http,
            prover,
        },
        screen,
        failures: AtomicU32::new(0),
        end: Mutex::new(None),
    };
    let (began, began_at) = (Instant::now(), Utc::now());
    let client = provider.client();
    let polling = client
        .exchange_device_access_token(details)
        // The default cap of 10 s would make a longer interval shorter.
        .set_max_backoff_interval(details.interval().max(POLL_PAUSE_MAX))
        // Not the wall clock: setting it must neither end nor prolong the wait.
        .set_time_fn(move || began_at + began.elapsed() * scale)
        .request_async(
            &http,
            |pause| tokio::time::sleep(pause.max(POLL_PAUSE_MIN) / scale),
            Some(wait),
        );
    // The crate looks at its deadline only between two polls.
    let deadline = (wait + POLL_PAUSE_MIN) / scale;
    let result = tokio::time::timeout(deadline, polling)
        .await
        .map_err(|_| AuthError::Expired)?;
    let end = http
        .end
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = end {
        return Err(provider.unreachable(TOKEN_ANSWER, error));
    }
    result.map_err(|error| provider.failed(TOKEN_ANSWER, error))
}

/// The client the crate polls with. The crate goes on after every transport error and stops at
/// every answer that is no OAuth error; here overload goes on, and what cannot heal stops.
struct Polling<'a> {
    http: TokenClient<'a>,
    screen: &'a dyn SignInScreen,
    failures: AtomicU32,
    /// The failure that ended it.
    end: Mutex<Option<NetError>>,
}

impl Polling<'_> {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NetError> {
        let url = Url::parse(&request.uri().to_string());
        let result = match (self.http.send(request).await, url) {
            (Ok(response), Ok(url)) => available(response, &url),
            (result, _) => result,
        };
        match result {
            Ok(response) => {
                self.failures.store(0, Ordering::Relaxed);
                Ok(response)
            }
            Err(error) if error.is_transient() => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_TOLD {
                    self.screen.trouble(&chain(&error));
                }
                Err(error)
            }
            Err(error) => {
                let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
                *end = Some(error);
                // An empty refusal is what the crate's loop stops at.
                let mut stop = HttpResponse::new(Vec::new());
                *stop.status_mut() = http::StatusCode::BAD_REQUEST;
                Ok(stop)
            }
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Polling<'_> {
    type Error = NetError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NetError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
