//! An OpenID provider with the device flow, on loopback, for one demo person.
//!
//! What it says is true to the specifications (OpenID Connect Core and Discovery, RFC 8628, 7009,
//! 7517), so that a strict client signs in here exactly as elsewhere. Everybody is the same person
//! and nobody is asked for a password: it must never listen on anything but loopback. No
//! authorization-code flow, no userinfo.

mod grants;
mod page;
mod token;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::{self, ClientError};
use super::loopback::{self, Answer, Body, BodyEnd, Loopback};
use super::{hex, random};
use grants::{Grant, Grants, Refusal};
use token::Signer;

pub use grants::Lifetimes;

/// The only client the provider knows: public, without a secret.
const CLIENT_ID: &str = "ddgate-demo";
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Whom everybody signs in as.
#[derive(Clone, Debug)]
pub struct Person {
    /// `sub`: stable, and no name.
    pub subject: String,
    /// Full name.
    pub name: String,
    /// E-mail address, given as verified.
    pub email: String,
    /// Group names.
    pub groups: Vec<String>,
}

impl Person {
    /// The person of the demo.
    #[must_use]
    pub fn example() -> Self {
        Self {
            subject: "u-5d1f0c27".to_owned(),
            name: "Sam Rivera".to_owned(),
            email: "sam.rivera@example.com".to_owned(),
            groups: vec!["checkout-team".to_owned(), "oncall".to_owned()],
        }
    }
}

/// A running provider; it stops when this is dropped.
pub struct Provider {
    inner: Arc<Inner>,
    _server: Loopback,
}

struct Inner {
    address: SocketAddr,
    issuer: String,
    person: Person,
    lifetimes: Lifetimes,
    signer: Signer,
    grants: Mutex<Grants>,
    /// One entry for each sign-in the demo's person will approve, with how long they take.
    approvals: Mutex<VecDeque<Duration>>,
    stopped: CancellationToken,
}

/// Starts a provider on a free loopback port.
///
/// # Errors
/// When the system grants no loopback socket or no randomness.
pub async fn start(person: Person) -> io::Result<Provider> {
    start_with(person, Lifetimes::default()).await
}

/// Starts a provider whose codes and tokens live as long as `lifetimes` says.
///
/// # Errors
/// When the system grants no loopback socket or no randomness.
pub async fn start_with(person: Person, lifetimes: Lifetimes) -> io::Result<Provider> {
    let bound = loopback::bind().await?;
    let inner = Arc::new(Inner {
        address: bound.address(),
        issuer: format!("http://{}", bound.address()),
        person,
        lifetimes,
        signer: Signer::generate()?,
        grants: Mutex::default(),
        approvals: Mutex::default(),
        stopped: bound.stopped(),
    });
    let handler = Arc::clone(&inner);
    let server = bound.serve(move |parts, body| handler.answer(parts, body));
    Ok(Provider {
        inner,
        _server: server,
    })
}

impl Provider {
    /// Returns the issuer URL, without a trailing slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// Returns the client id to sign in with.
    #[must_use]
    pub fn client_id(&self) -> &str {
        CLIENT_ID
    }

    /// Plays the person for the next sign-in that begins: `after` its code was issued, opens the
    /// verification page as a browser would and approves. Should the page fail, the code is
    /// denied, so that the sign-in ends instead of waiting for nobody.
    pub fn approve_next(&self, after: Duration) {
        locked(&self.inner.approvals).push_back(after);
    }
}

impl Inner {
    fn answer(self: &Arc<Self>, parts: &Parts, body: &Body) -> Answer {
        match body.end {
            BodyEnd::Whole => {}
            BodyEnd::TooLarge => return refusal(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
            BodyEnd::Broken => return refusal(StatusCode::BAD_REQUEST, "the body broke off"),
        }
        let form = || Form::parse(parts, body);
        let asked = (parts.method.as_str(), parts.uri.path());
        let outcome = match asked {
            ("GET", "/.well-known/openid-configuration") => Ok(self.metadata()),
            ("GET", "/jwks") => Ok(self.signer.key_set()),
            ("POST", "/device_authorization") => form().and_then(|form| self.begin(&form)),
            ("POST", "/token") => form().and_then(|form| self.token(&form)),
            ("POST", "/revoke") => form().and_then(|form| self.revoke(&form)),
            ("GET", "/device") => return self.show_page(parts),
            ("POST", "/device") => return self.take_decision(form()),
            ("GET", "/authorize") => {
                return refusal(
                    StatusCode::BAD_REQUEST,
                    "the demo's provider offers the device flow only",
                );
            }
            ("GET", "/") => {
                return page::result(
                    "Demo identity provider",
                    "Nothing to do here: ddgate shows a code and an address when somebody signs in.",
                );
            }
            _ => return refusal(StatusCode::NOT_FOUND, "no such page"),
        };
        match outcome {
            Ok(value) => loopback::json(StatusCode::OK, &value),
            Err(Failure::Refused(Refusal::InvalidClient)) => {
                oauth_error(StatusCode::UNAUTHORIZED, Refusal::InvalidClient.name())
            }
            Err(Failure::Refused(refusal)) => oauth_error(StatusCode::BAD_REQUEST, refusal.name()),
            // Only the system's randomness can fail here.
            Err(Failure::System) => oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device_authorization"),
            "revocation_endpoint": at("/revoke"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "grant_types_supported": [DEVICE_CODE_GRANT, "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
            "claims_supported": ["iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "at_hash",
                "name", "email", "email_verified", "groups"],
        })
    }

    /// The device authorization endpoint (RFC 8628 3.1, 3.2).
    fn begin(self: &Arc<Self>, form: &Form) -> Result<Value, Failure> {
        form.check_client()?;
        let scope = form.field("scope").unwrap_or_default();
        if !scope.split(' ').any(|scope| scope == "openid") {
            return Err(Refusal::InvalidScope.into());
        }
        let device_code = hex(&random::<32>()?);
        let user_code = user_code(random()?);
        locked(&self.grants).begin(
            device_code.clone(),
            user_code.clone(),
            scope.to_owned(),
            &self.lifetimes,
            Instant::now(),
        );
        if let Some(after) = locked(&self.approvals).pop_front() {
            self.send_person(user_code.clone(), after);
        }
        Ok(json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": format!("{}/device", self.issuer),
            "verification_uri_complete": format!("{}/device?user_code={user_code}", self.issuer),
            "expires_in": self.lifetimes.device_code.as_secs(),
            "interval": self.lifetimes.poll_interval.as_secs(),
        }))
    }

    /// The token endpoint (RFC 6749 3.2).
    fn token(&self, form: &Form) -> Result<Value, Failure> {
        form.check_client()?;
        let grant = match form.required("grant_type")? {
            DEVICE_CODE_GRANT => {
                let code = form.required("device_code")?;
                locked(&self.grants).poll(code, Instant::now())?
            }
            "refresh_token" => {
                locked(&self.grants).spend_refresh(form.required("refresh_token")?)?
            }
            _ => return Err(Refusal::UnsupportedGrantType.into()),
        };
        self.issue(grant)
    }

    fn issue(&self, grant: Grant) -> Result<Value, Failure> {
        let access_token = hex(&random::<32>()?);
        let has = |scope: &str| grant.scope.split(' ').any(|granted| granted == scope);
        let (now, person) = (Utc::now().timestamp(), &self.person);
        let life_s = self.lifetimes.id_token.as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": person.subject,
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "iat": now,
            "exp": now.saturating_add_unsigned(life_s),
            "auth_time": now,
            "at_hash": token::access_token_hash(&access_token),
            "groups": person.groups,
        });
        if has("profile") {
            claims["name"] = json!(person.name);
        }
        if has("email") {
            claims["email"] = json!(person.email);
            claims["email_verified"] = json!(true);
        }
        let mut tokens = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": life_s,
            "scope": grant.scope,
            "id_token": self.signer.sign(&claims)?,
        });
        if has("offline_access") {
            let refresh_token = hex(&random::<32>()?);
            tokens["refresh_token"] = json!(refresh_token);
            locked(&self.grants).keep_refresh(refresh_token, grant);
        }
        Ok(tokens)
    }

    /// The revocation endpoint (RFC 7009). Access tokens open nothing, so there is nothing to do
    /// about them.
    fn revoke(&self, form: &Form) -> Result<Value, Failure> {
        form.check_client()?;
        locked(&self.grants).revoke(form.required("token")?);
        Ok(json!({}))
    }

    fn show_page(&self, parts: &Parts) -> Answer {
        let query = parts.uri.query().unwrap_or_default();
        let typed = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "user_code")
            .map(|(_, value)| value.into_owned());
        let Some(typed) = typed else {
            return page::form(StatusCode::OK, &self.person.email, "", "");
        };
        if locked(&self.grants).awaits(&typed, Instant::now()) {
            page::form(StatusCode::OK, &self.person.email, &typed, "")
        } else {
            self.unknown_code()
        }
    }

    fn take_decision(&self, form: Result<Form, Failure>) -> Answer {
        let Ok(form) = form else {
            return self.unknown_code();
        };
        let approve = match form.field("action") {
            Some("approve") => true,
            Some("deny") => false,
            _ => return self.unknown_code(),
        };
        let code = form.field("user_code").unwrap_or_default();
        if !locked(&self.grants).decide(code, approve, Instant::now()) {
            return self.unknown_code();
        }
        if approve {
            page::result(
                "Signed in",
                "You can close this page and return to your terminal.",
            )
        } else {
            page::result("Refused", "Nobody was signed in. You can close this page.")
        }
    }

    fn unknown_code(&self) -> Answer {
        let note = "This code is not known, was used already, or has expired.";
        page::form(StatusCode::BAD_REQUEST, &self.person.email, "", note)
    }

    fn send_person(self: &Arc<Self>, user_code: String, after: Duration) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let visit = async {
                tokio::time::sleep(after).await;
                if visit(inner.address, &user_code).await.is_err() {
                    locked(&inner.grants).decide(&user_code, false, Instant::now());
                }
            };
            inner.stopped.run_until_cancelled(visit).await;
        });
    }
}

/// Does what a person with a browser does: opens the page, sees the code, presses the button.
async fn visit(address: SocketAddr, user_code: &str) -> Result<(), ClientError> {
    let mut browser = client::Connection::plain(&address.to_string()).await?;
    let page = format!("/device?user_code={user_code}");
    let opened = browser
        .call(Method::GET, &page, HeaderMap::new(), Bytes::new())
        .await?;
    // A person approves only the code that the page shows them.
    let shown = String::from_utf8_lossy(&opened.body).contains(user_code);
    let action = if shown { "approve" } else { "deny" };
    let form = format!("user_code={user_code}&action={action}");
    let headers = client::headers(&[("content-type", "application/x-www-form-urlencoded")]);
    browser
        .call(Method::POST, "/device", headers, Bytes::from(form))
        .await?;
    Ok(())
}

/// Why a request to an OAuth endpoint fails.
enum Failure {
    Refused(Refusal),
    System,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::System
    }
}

/// A form as browsers and OAuth clients post it.
struct Form(BTreeMap<String, String>);

impl Form {
    fn parse(parts: &Parts, body: &Body) -> Result<Self, Failure> {
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let kind = kind.map_or(&b""[..], http::HeaderValue::as_bytes);
        if !kind.starts_with(b"application/x-www-form-urlencoded") {
            return Err(Refusal::InvalidRequest.into());
        }
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&body.bytes) {
            // RFC 6749 3.2: parameters must not be included more than once.
            if fields
                .insert(name.into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Refusal::InvalidRequest.into());
            }
        }
        Ok(Self(fields))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.field(name).ok_or(Refusal::InvalidRequest)
    }

    fn check_client(&self) -> Result<(), Refusal> {
        match self.field("client_id") {
            Some(CLIENT_ID) => Ok(()),
            _ => Err(Refusal::InvalidClient),
        }
    }
}

/// Makes a user code of eight letters without vowels (RFC 8628 6.1), as `BCDF-GHJK`.
fn user_code(random: [u8; 8]) -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut code: String = random
        .iter()
        // 256 is no multiple of 20: some letters come a little more often, which is no matter
        // for a code that lives ten minutes on loopback.
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect();
    code.insert(4, '-');
    code
}

fn oauth_error(status: StatusCode, name: &str) -> Answer {
    loopback::json(status, &json!({ "error": name }))
}

fn refusal(status: StatusCode, text: &'static str) -> Answer {
    loopback::answer(status, "text/plain; charset=utf-8", Bytes::from(text))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // No state here is left half changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openidconnect::core::{CoreGenderClaim, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
    use openidconnect::{
        AccessToken, AccessTokenHash, AdditionalClaims, ClientId, IdToken, IdTokenVerifier,
        IssuerUrl, Nonce,
    };
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    struct Groups {
        groups: Vec<String>,
    }
    impl AdditionalClaims for Groups {}

    type Jwt = IdToken<
        Groups,
        CoreGenderClaim,
        openidconnect::core::CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >;

    async fn ask(
        provider: &Provider,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> (StatusCode, String) {
        let address = provider.inner.address.to_string();
        let mut connection = client::Connection::plain(&address).await.unwrap();
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let headers = client::headers(&[("content-type", "application/x-www-form-urlencoded")]);
        let answered = connection
            .call(method, path, headers, Bytes::from(body))
            .await
            .unwrap();
        let text = String::from_utf8(answered.body.to_vec()).unwrap();
        (answered.status, text)
    }

    async fn post(provider: &Provider, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let (status, text) = ask(provider, Method::POST, path, form).await;
        (
            status.as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::Null),
        )
    }

    async fn begin(provider: &Provider) -> Value {
        let form = [
            ("client_id", CLIENT_ID),
            ("scope", "openid profile email groups offline_access"),
        ];
        let (status, begun) = post(provider, "/device_authorization", &form).await;
        assert_eq!(status, 200, "{begun}");
        begun
    }

    async fn poll(provider: &Provider, begun: &Value) -> (u16, Value) {
        let form = [
            ("client_id", CLIENT_ID),
            ("grant_type", DEVICE_CODE_GRANT),
            ("device_code", begun["device_code"].as_str().unwrap()),
        ];
        post(provider, "/token", &form).await
    }

    async fn press(provider: &Provider, begun: &Value, action: &str) -> StatusCode {
        let code = begun["user_code"].as_str().unwrap();
        let form = [("user_code", code), ("action", action)];
        ask(provider, Method::POST, "/device", &form).await.0
    }

    async fn refresh(provider: &Provider, token: &Value) -> (u16, Value) {
        let form = [
            ("client_id", CLIENT_ID),
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
        ];
        post(provider, "/token", &form).await
    }

    async fn signed_in(provider: &Provider) -> Value {
        let begun = begin(provider).await;
        assert_eq!(press(provider, &begun, "approve").await, StatusCode::OK);
        let (status, tokens) = poll(provider, &begun).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    #[tokio::test]
    async fn a_sign_in_waits_slows_down_and_succeeds() {
        let provider = start(Person::example()).await.unwrap();
        let begun = begin(&provider).await;
        assert_eq!(begun["interval"], 1);
        let pending = poll(&provider, &begun).await;
        assert_eq!(pending, (400, json!({"error": "authorization_pending"})));
        let hasty = poll(&provider, &begun).await;
        assert_eq!(hasty, (400, json!({"error": "slow_down"})));

        let uri = begun["verification_uri_complete"].as_str().unwrap();
        let path = uri.strip_prefix(provider.issuer()).unwrap();
        let (status, page) = ask(&provider, Method::GET, path, &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains(begun["user_code"].as_str().unwrap()));
        assert!(page.contains("sam.rivera@example.com"));

        assert_eq!(press(&provider, &begun, "approve").await, StatusCode::OK);
        let (status, tokens) = poll(&provider, &begun).await;
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(tokens["token_type"], "Bearer");
        let again = poll(&provider, &begun).await;
        assert_eq!(again, (400, json!({"error": "invalid_grant"})));
        assert_eq!(
            press(&provider, &begun, "approve").await,
            StatusCode::BAD_REQUEST
        );
    }

    #[tokio::test]
    async fn a_denied_sign_in_says_so() {
        let provider = start(Person::example()).await.unwrap();
        let begun = begin(&provider).await;
        assert_eq!(press(&provider, &begun, "deny").await, StatusCode::OK);
        let denied = poll(&provider, &begun).await;
        assert_eq!(denied, (400, json!({"error": "access_denied"})));
    }

    #[tokio::test]
    async fn an_expired_code_says_so() {
        let lifetimes = Lifetimes {
            device_code: Duration::from_millis(1),
            ..Lifetimes::default()
        };
        let provider = start_with(Person::example(), lifetimes).await.unwrap();
        let begun = begin(&provider).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(
            press(&provider, &begun, "approve").await,
            StatusCode::BAD_REQUEST
        );
        let expired = poll(&provider, &begun).await;
        assert_eq!(expired, (400, json!({"error": "expired_token"})));
    }

    #[tokio::test]
    async fn the_id_token_satisfies_a_strict_verifier() {
        let provider = start(Person::example()).await.unwrap();
        let tokens = signed_in(&provider).await;
        let (_, keys) = ask(&provider, Method::GET, "/jwks", &[]).await;
        let keys: CoreJsonWebKeySet = serde_json::from_str(&keys).unwrap();
        let issuer = IssuerUrl::new(provider.issuer().to_owned()).unwrap();
        let verifier = |client: &str| {
            IdTokenVerifier::new_public_client(
                ClientId::new(client.to_owned()),
                issuer.clone(),
                keys.clone(),
            )
            .set_allowed_algs([CoreJwsSigningAlgorithm::EcdsaP256Sha256])
            .set_other_audience_verifier_fn(|_| false)
        };
        let no_nonce = |nonce: Option<&Nonce>| match nonce {
            None => Ok(()),
            Some(_) => Err("nobody sent a nonce".to_owned()),
        };
        let text = tokens["id_token"].as_str().unwrap();
        let jwt: Jwt = text.parse().unwrap();
        let ours = verifier(CLIENT_ID);
        let claims = jwt.claims(&ours, no_nonce).unwrap();
        assert_eq!(claims.subject().as_str(), "u-5d1f0c27");
        assert_eq!(claims.email().unwrap().as_str(), "sam.rivera@example.com");
        assert_eq!(claims.email_verified(), Some(true));
        assert_eq!(
            claims.additional_claims().groups,
            ["checkout-team", "oncall"]
        );
        assert_eq!(
            claims.authorized_party().map(|azp| azp.as_str()),
            Some(CLIENT_ID)
        );
        let access = AccessToken::new(tokens["access_token"].as_str().unwrap().to_owned());
        let hash = AccessTokenHash::from_token(
            &access,
            jwt.signing_alg().unwrap(),
            jwt.signing_key(&ours).unwrap(),
        );
        assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));

        // The verifier must be able to say no.
        assert!(jwt.claims(&verifier("somebody-else"), no_nonce).is_err());
        let last = if text.ends_with('A') { 'Q' } else { 'A' };
        let forged = format!("{}{last}", &text[..text.len() - 1]);
        assert!(
            forged
                .parse::<Jwt>()
                .unwrap()
                .claims(&ours, no_nonce)
                .is_err()
        );
    }

    #[tokio::test]
    async fn discovery_satisfies_the_crate() {
        let provider = start(Person::example()).await.unwrap();
        let path = "/.well-known/openid-configuration";
        let (_, text) = ask(&provider, Method::GET, path, &[]).await;
        let metadata: openidconnect::core::CoreProviderMetadata =
            serde_json::from_str(&text).unwrap();
        assert_eq!(metadata.issuer().as_str(), provider.issuer());
        assert!(metadata.token_endpoint().is_some());
    }

    #[tokio::test]
    async fn refresh_tokens_rotate_and_are_revoked() {
        let provider = start(Person::example()).await.unwrap();
        let first = signed_in(&provider).await;
        let (status, second) = refresh(&provider, &first["refresh_token"]).await;
        assert_eq!(status, 200, "{second}");
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        assert!(second["id_token"].is_string());

        let form = [
            ("client_id", CLIENT_ID),
            ("token", second["refresh_token"].as_str().unwrap()),
        ];
        assert_eq!(post(&provider, "/revoke", &form).await.0, 200);
        assert_eq!(
            post(&provider, "/revoke", &form).await.0,
            200,
            "unknown now"
        );
        let refused = refresh(&provider, &second["refresh_token"]).await;
        assert_eq!(refused, (400, json!({"error": "invalid_grant"})));
    }

    #[tokio::test]
    async fn a_stolen_refresh_token_ends_the_grant() {
        let provider = start(Person::example()).await.unwrap();
        let first = signed_in(&provider).await;
        let (_, second) = refresh(&provider, &first["refresh_token"]).await;
        assert_eq!(refresh(&provider, &first["refresh_token"]).await.0, 400);
        assert_eq!(refresh(&provider, &second["refresh_token"]).await.0, 400);
    }

    #[tokio::test]
    async fn the_demo_plays_the_person_through_the_page() {
        let provider = start(Person::example()).await.unwrap();
        provider.approve_next(Duration::from_millis(20));
        let begun = begin(&provider).await;
        let unattended = begin(&provider).await;
        let pending = poll(&provider, &begun).await;
        assert_eq!(pending.1["error"], "authorization_pending");
        let approved = async {
            // `slow_down` does not matter here: an approved code is granted at any pace.
            while poll(&provider, &begun).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), approved)
            .await
            .expect("approved");
        let pending = poll(&provider, &unattended).await;
        assert_eq!(pending.1["error"], "authorization_pending", "only the next");
    }

    #[tokio::test]
    async fn strangers_and_nonsense_are_refused() {
        let provider = start(Person::example()).await.unwrap();
        let refused = |error: &str, status| (status, json!({ "error": error }));
        let asked = [
            (
                "/device_authorization",
                vec![("client_id", "other"), ("scope", "openid")],
                refused("invalid_client", 401),
            ),
            (
                "/device_authorization",
                vec![("client_id", CLIENT_ID), ("scope", "email")],
                refused("invalid_scope", 400),
            ),
            (
                "/token",
                vec![("client_id", CLIENT_ID)],
                refused("invalid_request", 400),
            ),
            (
                "/token",
                vec![("client_id", CLIENT_ID), ("grant_type", "password")],
                refused("unsupported_grant_type", 400),
            ),
            (
                "/token",
                vec![("client_id", CLIENT_ID), ("client_id", CLIENT_ID)],
                refused("invalid_request", 400),
            ),
        ];
        for (path, form, expected) in asked {
            assert_eq!(post(&provider, path, &form).await, expected, "{form:?}");
        }
        let (status, page) = ask(
            &provider,
            Method::GET,
            "/device?user_code=%3Cscript%3E",
            &[],
        )
        .await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(!page.contains("<script"));
        assert_eq!(
            ask(&provider, Method::GET, "/nothing", &[]).await.0,
            StatusCode::NOT_FOUND
        );
    }
}
