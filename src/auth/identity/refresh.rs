//! Refresh (OpenID Connect Core, section 12) and revocation (RFC 7009). Where no ID token comes with
//! it, `userinfo` is asked.
//!
//! A refresh token may work only once: the answer is handed over before its ID token is looked
//! at, so that the caller can put the new token away first.

use std::pin::Pin;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::Utc;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use openidconnect::core::CoreJsonWebKeySet;
use openidconnect::{
    AsyncHttpClient, AuthType, HttpRequest, HttpResponse, OAuth2TokenResponse, RefreshToken,
    TokenResponse,
};
use url::{Url, form_urlencoded};

use super::binding::{Binding, Possession, TokenClient, binding};
use super::provider::{Provider, Tokens, available};
use super::verify::Expectation;
use crate::auth::AuthError;
use crate::net::NetError;
use crate::record::{Identity, Secret, Via};

const REFRESH_ANSWER: &str = "refreshed token";
const REVOCATION_ANSWER: &str = "revocation";

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider has forgotten the token.
    Done,
    /// The provider offers no revocation: the token lives on until it expires by itself.
    NotOffered,
}

/// A refresh answer nobody has looked into yet.
pub(in crate::auth) struct Refreshed(Tokens);

/// The refresh token of an answer.
pub(super) fn refresh_token(tokens: &Tokens) -> Option<Secret<String>> {
    tokens
        .refresh_token()
        .map(|token| Secret::new(token.secret().clone()))
}

impl Refreshed {
    /// The refresh token that replaces the one used, if it was replaced.
    pub(in crate::auth) fn refresh_token(&self) -> Option<Secret<String>> {
        refresh_token(&self.0)
    }

    /// What its tokens tie to the key of the sign-in, for the person `subject`.
    pub(in crate::auth) fn binding(
        &self,
        provider: &Provider<'_>,
        keys: &CoreJsonWebKeySet,
        possession: Option<&Possession>,
        subject: &str,
    ) -> Binding {
        binding(provider, &self.0, keys, possession, subject)
    }

    /// Verifies who this is. Without a new ID token the userinfo endpoint has to say that it is
    /// `subject`; where there is none, `before` stands in until it expires.
    pub(in crate::auth) async fn identity(
        &self,
        provider: &Provider<'_>,
        keys: CoreJsonWebKeySet,
        subject: Option<&str>,
        before: Option<&Identity>,
        possession: Option<&Possession>,
    ) -> Result<Identity, AuthError> {
        if self.0.id_token().is_none() {
            if let (Some(endpoint), Some(subject)) = (&provider.userinfo_endpoint, subject) {
                let confirmed = provider.confirmed(endpoint, &self.0, keys, subject, possession);
                return Box::pin(confirmed).await;
            }
            let still = before.filter(|identity| identity.expires > Some(Utc::now()));
            return still.cloned().ok_or_else(|| AuthError::NoIdToken {
                issuer: provider.settings.issuer.clone(),
            });
        }
        let expectation = Expectation {
            via: Via::Refresh,
            subject,
            nonce: None,
            possession,
        };
        provider.verified(&self.0, keys, &expectation).await
    }
}

impl Provider<'_> {
    /// Exchanges a refresh token, with a proof of the key it may be tied to. Tried again only where
    /// the provider cannot have taken the first one: a token used twice ends the whole sign-in.
    pub(in crate::auth) async fn refresh(
        &self,
        token: &Secret<String>,
        possession: Option<&Possession>,
    ) -> Result<Refreshed, AuthError> {
        let client = self.client();
        let prover = self.dpop.renewing_prover(possession);
        let token = RefreshToken::new(token.expose().clone());
        let result = client
            .exchange_refresh_token(&token)
            .request_async(&Refreshing(TokenClient {
                http: self.http,
                prover: prover.as_ref(),
            }))
            .await;
        match result {
            Ok(tokens) => Ok(Refreshed(tokens)),
            Err(error) => Err(match self.failed(REFRESH_ANSWER, error) {
                AuthError::Refused { issuer, code, .. } if code == "invalid_grant" => {
                    AuthError::SignedOut { issuer }
                }
                AuthError::Refused {
                    issuer,
                    code,
                    description,
                } if matches!(code.as_str(), "invalid_dpop_proof" | "use_dpop_nonce") => {
                    AuthError::Possession {
                        issuer,
                        why: description.unwrap_or(code),
                    }
                }
                other => other,
            }),
        }
    }

    /// Revokes a refresh token.
    pub(in crate::auth) async fn revoke(
        &self,
        token: &Secret<String>,
    ) -> Result<Revocation, AuthError> {
        let Some(url) = &self.revocation_endpoint else {
            return Ok(Revocation::NotOffered);
        };
        let unreachable = |source| self.unreachable(REVOCATION_ANSWER, source);
        let response = self.http.send(self.revocation(url, token)).await;
        let response = response
            .and_then(|response| available(response, url))
            .map_err(unreachable)?;
        match response.status() {
            http::StatusCode::OK => Ok(Revocation::Done),
            status => Err(self.answer(REVOCATION_ANSWER, &format!("status {status}"))),
        }
    }

    /// The crate refuses to revoke over http even on loopback, hence by hand.
    fn revocation(&self, url: &Url, token: &Secret<String>) -> HttpRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token.expose());
        form.append_pair("token_type_hint", "refresh_token");
        let id = &self.settings.client_id;
        let secret = self.settings.client_secret.as_ref();
        let mut basic = None;
        match (secret, &self.auth_type) {
            (Some(secret), AuthType::BasicAuth) => {
                // RFC 6749, section 2.3.1: both halves are form-encoded first.
                let half = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", half(id), half(secret.expose()));
                let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
                basic = HeaderValue::from_str(&value).ok();
            }
            (secret, _) => {
                form.append_pair("client_id", id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose());
                }
            }
        }
        let mut request = HttpRequest::new(form.finish().into_bytes());
        *request.method_mut() = http::Method::POST;
        // An address that is no `Uri` stays `/`, which the client refuses.
        *request.uri_mut() = url.as_str().parse().unwrap_or_default();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        request
            .headers_mut()
            .extend(basic.into_iter().map(|value| (AUTHORIZATION, value)));
        request
    }
}

/// Tries once more when the first request certainly did nothing. For tokens and codes that work once.
pub(super) struct Refreshing<'a>(pub(super) TokenClient<'a>);

impl Refreshing<'_> {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NetError> {
        match self.once(request.clone()).await {
            Err(
                NetError::Unavailable { .. }
                | NetError::Resolve { .. }
                | NetError::Connect { .. }
                | NetError::Proxy { .. },
            ) => self.once(request).await,
            other => other,
        }
    }

    async fn once(&self, request: HttpRequest) -> Result<HttpResponse, NetError> {
        let url = Url::parse(&request.uri().to_string());
        let response = self.0.send(request).await?;
        match url {
            Ok(url) => available(response, &url),
            Err(_) => Ok(response),
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Refreshing<'_> {
    type Error = NetError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NetError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
