//! One identity provider: what discovery says about it, its keys, and the client we are to it.
//!
//! The issuer comes from configuration only and must be repeated exactly (OpenID Connect
//! Discovery, section 4.3). Every endpoint is checked before it is used. The openidconnect
//! crate's own discovery is not used: it hides the issuer found and fetches keys from an address
//! nobody has looked at.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthUrl, Client, ClientId, ClientSecret, DeviceAuthorizationUrl,
    EmptyExtraTokenFields, EndpointNotSet, EndpointSet, ErrorResponseType, HttpRequest,
    HttpResponse, IdToken, IdTokenFields, IssuerUrl, RequestTokenError, StandardErrorResponse,
    StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::binding::{Offer, TokenClient};
use super::claims::{clean, is_hidden};
use super::{IssuerSettings, Unverified};
use crate::auth::AuthError;
use crate::limits::PROVIDER_TEXT_CHARS_MAX;
use crate::net::http::is_allowed;
use crate::net::{HttpsClient, NetError};

/// Claims the standard does not name, as they came: with a typed `groups` one odd claim would
/// make the whole token answer unreadable.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct AnyClaims(pub(super) Map<String, Value>);

impl AdditionalClaims for AnyClaims {}

pub(super) type OurIdToken =
    IdToken<AnyClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

pub(super) type Tokens = StandardTokenResponse<
    IdTokenFields<
        AnyClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// The crate's client; `T` says whether the token endpoint is set, no other endpoint is.
type AnyClient<T> = Client<
    AnyClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    T,
    EndpointNotSet,
>;

pub(super) type OurClient = AnyClient<EndpointSet>;

/// How long to wait before an idempotent request is tried a second time.
const RETRY_PAUSE: Duration = Duration::from_millis(400);

/// A provider that has been discovered.
pub(in crate::auth) struct Provider<'a> {
    pub(super) settings: &'a IssuerSettings,
    pub(super) http: &'a HttpsClient,
    pub(super) issuer: IssuerUrl,
    pub(super) authorization_endpoint: Option<AuthUrl>,
    /// Whether its authorization answers say where they come from (RFC 9207).
    pub(super) answers_name_issuer: bool,
    pub(super) device_endpoint: Option<DeviceAuthorizationUrl>,
    pub(super) revocation_endpoint: Option<Url>,
    /// As it came: looked at when it is needed, so that it costs no other sign-in.
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) auth_type: AuthType,
    /// What it says of proofs of possession.
    pub(super) dpop: Offer,
    token_endpoint: TokenUrl,
    jwks_uri: Url,
}

/// The members of the discovery document that matter here.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    dpop_signing_alg_values_supported: Value,
    #[serde(default)]
    scopes_supported: Value,
}

const DOCUMENT: &str = "discovery document";
const KEYS: &str = "key set";

impl<'a> Provider<'a> {
    /// Fetches and checks the discovery document.
    pub(in crate::auth) async fn discover(
        settings: &'a IssuerSettings,
        http: &'a HttpsClient,
    ) -> Result<Self, AuthError> {
        let issuer = checked_issuer(settings)?;
        let document = document(settings, http, &issuer).await?;
        Self::from_document(settings, http, issuer, document)
    }

    fn from_document(
        settings: &'a IssuerSettings,
        http: &'a HttpsClient,
        issuer: IssuerUrl,
        document: Document,
    ) -> Result<Self, AuthError> {
        check_name(settings, &document)?;
        let endpoint = |name: &str, value: Option<&String>| {
            value
                .map(|text| checked_endpoint(settings, name, text))
                .transpose()
        };
        let missing = |name: &str| answer(settings, DOCUMENT, &format!("it has no `{name}`"));
        let token = settings
            .token_endpoint
            .as_ref()
            .or(document.token_endpoint.as_ref());
        let token = endpoint("token_endpoint", token)?.ok_or_else(|| missing("token_endpoint"))?;
        let device = settings
            .device_authorization_endpoint
            .as_ref()
            .or(document.device_authorization_endpoint.as_ref());
        let jwks = endpoint("jwks_uri", document.jwks_uri.as_ref())?;
        Ok(Self {
            settings,
            http,
            issuer,
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                document.authorization_endpoint.as_ref(),
            )?
            .map(AuthUrl::from_url),
            answers_name_issuer: document.authorization_response_iss_parameter_supported,
            device_endpoint: endpoint("device_authorization_endpoint", device)?
                .map(DeviceAuthorizationUrl::from_url),
            revocation_endpoint: endpoint(
                "revocation_endpoint",
                document.revocation_endpoint.as_ref(),
            )?,
            userinfo_endpoint: document.userinfo_endpoint,
            auth_type: auth_type(&document.token_endpoint_auth_methods_supported),
            dpop: match settings.dpop {
                true => Offer::read(
                    &document.dpop_signing_alg_values_supported,
                    &document.scopes_supported,
                ),
                false => Offer::default(),
            },
            token_endpoint: TokenUrl::from_url(token),
            jwks_uri: jwks.ok_or_else(|| missing("jwks_uri"))?,
        })
    }

    /// Fetches the provider's signing keys. Keys named inside a token are never looked at.
    pub(in crate::auth) async fn keys(&self) -> Result<CoreJsonWebKeySet, AuthError> {
        let (settings, unreachable) = (self.settings, |source| self.unreachable(KEYS, source));
        let body = fetch_json(settings, self.http, &self.jwks_uri, KEYS, unreachable).await?;
        serde_json::from_slice(&body).map_err(|error| self.answer(KEYS, &error.to_string()))
    }

    /// Whether it offers the device flow, and revocation.
    pub(in crate::auth) const fn offers(&self) -> (bool, bool) {
        (
            self.device_endpoint.is_some(),
            self.revocation_endpoint.is_some(),
        )
    }

    /// The settings it was discovered with.
    pub(in crate::auth) fn settings(&self) -> &IssuerSettings {
        self.settings
    }

    /// The crate's client for the token endpoint.
    pub(super) fn client(&self) -> OurClient {
        let client = AnyClient::<EndpointNotSet>::new(
            ClientId::new(self.settings.client_id.clone()),
            self.issuer.clone(),
            // Tokens are verified by `verify`, never by what this client would make of the keys.
            CoreJsonWebKeySet::new(Vec::new()),
        )
        .set_auth_type(self.auth_type.clone())
        .set_token_uri(self.token_endpoint.clone());
        match &self.settings.client_secret {
            None => client,
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().clone())),
        }
    }

    pub(super) fn unreachable(&self, what: &'static str, source: NetError) -> AuthError {
        AuthError::Unreachable {
            issuer: self.settings.issuer.clone(),
            what,
            source,
        }
    }

    pub(super) fn answer(&self, what: &'static str, why: &str) -> AuthError {
        answer(self.settings, what, why)
    }

    /// Translates a failed request of the crate. Its own error types hold the whole body of the
    /// answer, tokens and all, so they end here.
    pub(super) fn failed<E>(
        &self,
        what: &'static str,
        error: RequestTokenError<NetError, StandardErrorResponse<E>>,
    ) -> AuthError
    where
        E: ErrorResponseType + Display + 'static,
    {
        match error {
            RequestTokenError::Request(source) => self.unreachable(what, source),
            RequestTokenError::ServerResponse(refusal) => self.refused(
                &refusal.error().to_string(),
                refusal.error_description().map(String::as_str),
            ),
            RequestTokenError::Parse(error, body) => {
                let members = serde_json::from_slice::<Map<String, Value>>(&body);
                let members = members.unwrap_or_default();
                let text = |name: &str| members.get(name).and_then(Value::as_str);
                // Some providers refuse with status 200.
                if let Some(code) = text("error") {
                    return self.refused(code, text("error_description"));
                }
                if text("id_token").is_some_and(|token| OurIdToken::from_str(token).is_err()) {
                    return AuthError::Verify(Unverified::Malformed);
                }
                self.answer(what, &format!("it cannot be read at `{}`", error.path()))
            }
            RequestTokenError::Other(why) => self.answer(what, &why),
        }
    }

    pub(super) fn refused(&self, code: &str, description: Option<&str>) -> AuthError {
        let description = description.map(|text| clean(text, PROVIDER_TEXT_CHARS_MAX));
        match code {
            "access_denied" => AuthError::Denied { description },
            "expired_token" => AuthError::Expired,
            _ => AuthError::Refused {
                issuer: self.settings.issuer.clone(),
                code: clean(code, PROVIDER_TEXT_CHARS_MAX),
                description,
            },
        }
    }
}

/// Fetches the discovery document.
async fn document(
    settings: &IssuerSettings,
    http: &HttpsClient,
    issuer: &IssuerUrl,
) -> Result<Document, AuthError> {
    let url = issuer.join(".well-known/openid-configuration");
    let url = url.map_err(|_| config(settings, "it is not a URL"))?;
    let unreachable = |source| AuthError::Discovery {
        issuer: settings.issuer.clone(),
        source,
    };
    let body = fetch_json(settings, http, &url, DOCUMENT, unreachable).await?;
    serde_json::from_slice(&body).map_err(|error| answer(settings, DOCUMENT, &error.to_string()))
}

fn check_name(settings: &IssuerSettings, document: &Document) -> Result<(), AuthError> {
    if document.issuer == settings.issuer {
        return Ok(());
    }
    Err(AuthError::IssuerMismatch {
        configured: settings.issuer.clone(),
        found: clean(&document.issuer, PROVIDER_TEXT_CHARS_MAX),
    })
}

/// The keys of an issuer that signs nobody in: CI systems have no other endpoint.
pub(super) async fn published_keys(
    settings: &IssuerSettings,
    http: &HttpsClient,
) -> Result<CoreJsonWebKeySet, AuthError> {
    let issuer = checked_issuer(settings)?;
    let document = document(settings, http, &issuer).await?;
    check_name(settings, &document)?;
    let text = document.jwks_uri.as_deref().unwrap_or_default();
    let url = checked_endpoint(settings, "jwks_uri", text)?;
    let unreachable = |source| AuthError::Unreachable {
        issuer: settings.issuer.clone(),
        what: KEYS,
        source,
    };
    let body = fetch_json(settings, http, &url, KEYS, unreachable).await?;
    serde_json::from_slice(&body).map_err(|error| answer(settings, KEYS, &error.to_string()))
}

fn config(settings: &IssuerSettings, why: &'static str) -> AuthError {
    AuthError::Config {
        issuer: settings.issuer.clone(),
        why,
    }
}

fn answer(settings: &IssuerSettings, what: &'static str, why: &str) -> AuthError {
    AuthError::Answer {
        issuer: settings.issuer.clone(),
        what,
        why: clean(why, PROVIDER_TEXT_CHARS_MAX),
    }
}

pub(super) fn checked_issuer(settings: &IssuerSettings) -> Result<IssuerUrl, AuthError> {
    let issuer =
        IssuerUrl::new(settings.issuer.clone()).map_err(|_| config(settings, "it is not a URL"))?;
    let url = issuer.url();
    if settings.issuer.chars().any(is_hidden) || settings.issuer.contains(char::is_whitespace) {
        return Err(config(
            settings,
            "it holds a space or an invisible character",
        ));
    }
    if !is_allowed(url) {
        return Err(config(
            settings,
            "it must begin with https:// (http:// only on this machine) and name no user",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(config(settings, "it must have neither `?` nor `#`"));
    }
    if settings.client_id.is_empty() {
        return Err(config(settings, "no client id is configured for it"));
    }
    Ok(issuer)
}

pub(super) fn checked_endpoint(
    settings: &IssuerSettings,
    name: &str,
    text: &str,
) -> Result<Url, AuthError> {
    let url = Url::parse(text).ok().filter(is_allowed);
    url.filter(|_| !text.chars().any(is_hidden)).ok_or_else(|| {
        let why = format!("`{name}` is refused, it is not https: {text}");
        answer(settings, DOCUMENT, &why)
    })
}

/// RFC 6749 prefers Basic; the form is used where the provider takes nothing else.
fn auth_type(methods: &[String]) -> AuthType {
    let offers = |method: &str| methods.iter().any(|one| one == method);
    if offers("client_secret_post") && !offers("client_secret_basic") {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

/// Gets a JSON document.
async fn fetch_json(
    settings: &IssuerSettings,
    http: &HttpsClient,
    url: &Url,
    what: &'static str,
    unreachable: impl Fn(NetError) -> AuthError,
) -> Result<Vec<u8>, AuthError> {
    let response = fetch(settings, http, url).await.map_err(unreachable)?;
    let status = response.status();
    if status != http::StatusCode::OK {
        return Err(answer(settings, what, &format!("{url} answered {status}")));
    }
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
    match kind {
        Some(kind) if !kind.contains("json") => {
            Err(answer(settings, what, &format!("{url} answered {kind}")))
        }
        _ => Ok(response.into_body()),
    }
}

async fn fetch(
    settings: &IssuerSettings,
    http: &HttpsClient,
    url: &Url,
) -> Result<HttpResponse, NetError> {
    let mut request = http::Request::new(Vec::new());
    *request.uri_mut() = url.as_str().parse().map_err(|_| NetError::Host {
        host: url.host_str().unwrap_or_default().to_owned(),
    })?;
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, json);
    let http = TokenClient { http, prover: None };
    forgiving(settings, http, url, request).await
}

/// Sends something that may be sent twice; a passing failure is forgiven once.
pub(super) async fn forgiving(
    settings: &IssuerSettings,
    http: TokenClient<'_>,
    url: &Url,
    request: HttpRequest,
) -> Result<HttpResponse, NetError> {
    let once = async |request| available(http.send(request).await?, url);
    match once(request.clone()).await {
        // A second wait of the same length would only annoy.
        Err(error) if error.is_transient() && !matches!(error, NetError::Timeout { .. }) => {
            tokio::time::sleep(RETRY_PAUSE / settings.time_scale.max(1)).await;
            once(request).await
        }
        other => other,
    }
}

/// Turns what a server says when it is overloaded into a failure that may pass.
pub(super) fn available(
    response: http::Response<Vec<u8>>,
    url: &Url,
) -> Result<http::Response<Vec<u8>>, NetError> {
    let status = response.status();
    let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    if passing {
        return Err(NetError::Unavailable {
            host: url.host_str().unwrap_or_default().to_owned(),
            status: status.as_u16(),
        });
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Dialer;

    fn read(issuer: &str, document: Value) -> Result<(), AuthError> {
        let settings = IssuerSettings::new(issuer, "ddgate");
        let http = HttpsClient::new(Dialer::direct());
        let checked = checked_issuer(&settings)?;
        let document = serde_json::from_value(document).unwrap();
        Provider::from_document(&settings, &http, checked, document).map(|_| ())
    }

    fn document() -> Value {
        serde_json::json!({
            "issuer": "https://idp.test", "token_endpoint": "https://idp.test/token",
            "jwks_uri": "https://idp.test/jwks", "unknown": {"a": [1]},
            "device_authorization_endpoint": "https://other.test/device",
        })
    }

    #[test]
    fn issuers_that_cannot_be_used() {
        read("https://idp.test", document()).unwrap();
        for bad in [
            "",
            "idp.test",
            "http://idp.test",
            "https://u@idp.test",
            "https://idp.test?a",
            "https://idp.test#a",
            "https://idp.test/ ",
            "file:///x",
            "https://idp.test/\u{202e}",
        ] {
            let error = read(bad, document()).unwrap_err();
            assert!(matches!(error, AuthError::Config { .. }), "{bad} {error:?}");
        }
    }

    #[test]
    fn the_issuer_is_compared_exactly() {
        for other in ["https://idp.test/", "https://IDP.test", "https://evil.test"] {
            let mut document = document();
            document["issuer"] = other.into();
            match read("https://idp.test", document) {
                Err(AuthError::IssuerMismatch { configured, found }) => {
                    assert_eq!(
                        (configured.as_str(), found.as_str()),
                        ("https://idp.test", other)
                    );
                }
                unexpected => panic!("{unexpected:?}"),
            }
        }
    }

    #[test]
    fn endpoints_are_checked_before_use() {
        for (name, value) in [
            ("token_endpoint", "http://192.0.2.1/token"),
            ("jwks_uri", "file:///etc/passwd"),
            ("jwks_uri", "https://idp.test/\u{1b}[2J"),
            ("device_authorization_endpoint", "javascript:alert(1)"),
            ("revocation_endpoint", "https://user:pw@idp.test/"),
        ] {
            let mut document = document();
            document[name] = value.into();
            let error = read("https://idp.test", document).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains('\u{1b}'), "{text}");
        }
        for name in ["token_endpoint", "jwks_uri"] {
            let mut document = document();
            document[name] = Value::Null;
            let error = read("https://idp.test", document).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_form_is_used_only_where_basic_is_not_offered() {
        let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        assert!(matches!(auth_type(&[]), AuthType::BasicAuth));
        let both = words(&["client_secret_post", "client_secret_basic"]);
        assert!(matches!(auth_type(&both), AuthType::BasicAuth));
        let form = words(&["client_secret_post", "none"]);
        assert!(matches!(auth_type(&form), AuthType::RequestBody));
    }
}
