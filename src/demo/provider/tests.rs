//! The provider over real HTTP: the device flow by hand, and its tokens before a strict verifier.

use super::*;
use openidconnect::core::{CoreGenderClaim, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, ClientId, IdToken, IdTokenVerifier, IssuerUrl,
    Nonce,
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
    let metadata: openidconnect::core::CoreProviderMetadata = serde_json::from_str(&text).unwrap();
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
