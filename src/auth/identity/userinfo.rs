//! Who an access token is about, asked at the provider's userinfo endpoint (OpenID Connect Core,
//! section 5.3): for sign-ins that are renewed without an ID token, as section 12.2 allows.
//!
//! Invariant: nothing of an answer is used unless its `sub` is that of the sign-in (section 5.3.2).
//! An answer is as good as TLS to the address that discovery names: nobody signs it, or not about
//! any key of ours, so it binds none. Groups that it leaves out are unknown, not none: many providers
//! put them into ID tokens alone.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use openidconnect::core::{
    CoreGenderClaim, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreTokenType,
};
use openidconnect::{
    ClientId, HttpRequest, HttpResponse, OAuth2TokenResponse as _, UserInfoClaims,
    UserInfoJsonWebToken, UserInfoVerifier,
};
use serde::Deserialize as _;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::binding::{Possession, TokenClient};
use super::claims::{clean, look_up};
use super::person::Said;
use super::provider::{AnyClaims, Provider, Tokens, checked_endpoint, forgiving};
use super::verify::{Expectation, Rules, Unverified, crate_says, leeway};
use crate::auth::AuthError;
use crate::limits::{PROVIDER_TEXT_CHARS_MAX, USERINFO_HOLDS_MAX};
use crate::net::NetError;
use crate::record::{Identity, Via};

type Claims = UserInfoClaims<AnyClaims, CoreGenderClaim>;
type Signed = UserInfoJsonWebToken<
    AnyClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// Why an answer of the userinfo endpoint confirms nobody.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// It is not reached, or breaks a limit.
    #[error("it gives no answer")]
    Unreachable(#[source] NetError),
    /// It answers, but not what the standard says.
    #[error("it answers {0}")]
    Answer(String),
    /// What it says is not to be used.
    #[error("of what it says, {0}")]
    Refused(Unverified),
}

impl NotConfirmed {
    /// Whether it is about somebody else than the sign-in.
    #[must_use]
    pub const fn is_somebody_else(&self) -> bool {
        matches!(self, Self::Refused(Unverified::SubjectChanged))
    }
}

impl Provider<'_> {
    /// Asks who the access token of a refresh is about, and takes the answer if it is `subject`.
    pub(super) async fn confirmed(
        &self,
        endpoint: &str,
        tokens: &Tokens,
        keys: CoreJsonWebKeySet,
        subject: &str,
        possession: Option<&Possession>,
    ) -> Result<Identity, AuthError> {
        // Its life began when it was issued, which is before anybody was asked about it.
        let expires = expires(tokens, Utc::now());
        let asked = Box::pin(self.ask(endpoint, tokens, possession)).await;
        let said = asked.and_then(|answer| self.read(&answer, keys, subject, expires));
        said.map_err(|why| AuthError::Unconfirmed {
            issuer: self.settings.issuer.clone(),
            why,
        })
    }

    async fn ask(
        &self,
        endpoint: &str,
        tokens: &Tokens,
        possession: Option<&Possession>,
    ) -> Result<HttpResponse, NotConfirmed> {
        // A token that is tied to our key is shown with a proof of it (RFC 9449, section 7.1).
        let prover = self.dpop.renewing_prover(possession);
        let (scheme, prover) = match (tokens.token_type(), prover) {
            (CoreTokenType::Bearer, _) => ("Bearer", None),
            (CoreTokenType::Extension(kind), Some(prover)) if kind.eq_ignore_ascii_case("dpop") => {
                ("DPoP", Some(prover))
            }
            _ => return Err(NotConfirmed::Refused(Unverified::TokenType)),
        };
        let http = TokenClient {
            http: self.http,
            prover: prover.as_ref(),
        };
        let url = checked_endpoint(self.settings, "userinfo_endpoint", endpoint);
        let url =
            url.map_err(|_| NotConfirmed::Answer("at an address that is not https".into()))?;
        let request = request(&url, scheme, tokens.access_token().secret())?;
        let answer = forgiving(self.settings, http, &url, request).await;
        let answer = answer.map_err(NotConfirmed::Unreachable)?;
        match answer.status() {
            http::StatusCode::OK => Ok(answer),
            status => Err(NotConfirmed::Answer(status.to_string())),
        }
    }

    fn read(
        &self,
        answer: &HttpResponse,
        keys: CoreJsonWebKeySet,
        subject: &str,
        expires: DateTime<Utc>,
    ) -> Result<Identity, NotConfirmed> {
        let claims = self.claims(answer, keys)?;
        let more = &claims.additional_claims().0;
        let expectation = Expectation {
            via: Via::Userinfo,
            subject: Some(subject),
            nonce: None,
            possession: None,
        };
        let rules = Rules {
            issuer: &self.issuer,
            client_id: &self.settings.client_id,
            hosted_domain: self.settings.hosted_domain.as_deref(),
            groups_claims: &self.settings.groups_claims,
            expectation: &expectation,
            now: Utc::now(),
        };
        let said = Said {
            subject: claims.subject().as_str(),
            name: claims.name().and_then(|names| names.get(None)),
            username: claims.preferred_username(),
            email: claims.email(),
            email_verified: claims.email_verified(),
            more,
        };
        let mut person = said
            .person(&rules, expires)
            .map_err(NotConfirmed::Refused)?;
        let is_left_out = |source: &String| look_up(more, source).is_none_or(Value::is_null);
        person.groups_incomplete |= self.settings.groups_claims.iter().any(is_left_out);
        Ok(person)
    }

    /// What an answer says: JSON as it is, a JWT with its signature checked. What the answer was is
    /// part of no error.
    fn claims(
        &self,
        answer: &HttpResponse,
        keys: CoreJsonWebKeySet,
    ) -> Result<Claims, NotConfirmed> {
        let malformed = || NotConfirmed::Refused(Unverified::Malformed);
        let kind = answer.headers().get(CONTENT_TYPE);
        let kind = kind.map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
        let essence = kind.as_deref().unwrap_or("application/json");
        let essence = essence.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/jwt" => {
                let text = std::str::from_utf8(answer.body()).map_err(|_| malformed())?;
                let signed = Signed::deserialize(Value::String(text.trim().to_owned()));
                let client_id = ClientId::new(self.settings.client_id.clone());
                // RS256 alone, as the crate has it.
                let verifier = UserInfoVerifier::new(client_id, self.issuer.clone(), keys, None);
                let claims = signed.map_err(|_| malformed())?.claims(&verifier);
                let claims = claims.map_err(|error| NotConfirmed::Refused(crate_says(error)))?;
                let end = claims
                    .additional_claims()
                    .0
                    .get("exp")
                    .and_then(Value::as_i64);
                match end {
                    Some(end) if end <= (Utc::now() - leeway()).timestamp() => {
                        Err(NotConfirmed::Refused(Unverified::Expired))
                    }
                    _ => Ok(claims),
                }
            }
            json if json.contains("json") => {
                Claims::from_json::<NetError>(answer.body(), None).map_err(|_| malformed())
            }
            other => Err(NotConfirmed::Answer(clean(other, PROVIDER_TEXT_CHARS_MAX))),
        }
    }
}

/// What is confirmed by an access token holds for its life (RFC 6749, `expires_in`), within a bound
/// that also stands in where the provider does not say.
fn expires(tokens: &Tokens, now: DateTime<Utc>) -> DateTime<Utc> {
    let life = tokens.expires_in().unwrap_or(USERINFO_HOLDS_MAX);
    let life = TimeDelta::from_std(life.min(USERINFO_HOLDS_MAX)).unwrap_or_default();
    now.trunc_subsecs(0) + life
}

fn request(url: &Url, scheme: &str, token: &str) -> Result<HttpRequest, NotConfirmed> {
    let shown = Zeroizing::new(format!("{scheme} {token}"));
    let mut shown =
        HeaderValue::from_str(&shown).map_err(|_| NotConfirmed::Refused(Unverified::TokenType))?;
    shown.set_sensitive(true);
    let mut request = HttpRequest::new(Vec::new());
    // An address that is no `Uri` stays `/`, which the client refuses.
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, json);
    request.headers_mut().insert(AUTHORIZATION, shown);
    Ok(request)
}
