//! The device flow: approved, pending, denied, expired, slow, troubled; keys, certificates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ddgate::auth::AuthError;
use ddgate::auth::identity::{self, Revocation};
use ddgate::net::tls::client_config_trusting;
use ddgate::net::{Dialer, HttpsClient, NetError};
use ddgate::record::{Secret, Via};
use rustls::RootCertStore;
use serde_json::Value;

use super::provider::TestProvider;
use super::{LIMIT, Person, client, nothing_leaks, settings};

fn polls(provider: &TestProvider) -> Vec<i64> {
    let log = provider.read("log");
    let entries = log.as_array().unwrap().iter();
    entries
        .filter(|entry| entry["point"] == "token")
        .map(|entry| entry["t"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_person_approves() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    let (settings, http) = (settings(&provider), client());
    let person = Person::approving(&provider);
    let sign_in = identity::sign_in(&settings, &http, &person).await.unwrap();
    let identity = &sign_in.identity;
    assert_eq!(identity.issuer, provider.issuer);
    assert_eq!(identity.subject, "u-alice");
    assert_eq!(identity.name.as_deref(), Some("Alice Example"));
    assert_eq!(identity.label(), "alice@example.test");
    assert_eq!(identity.email_verified, Some(true));
    assert_eq!(identity.groups, ["eng", "oncall"]);
    assert_eq!(identity.via, Via::Device);
    assert!(identity.expires.is_some() && sign_in.refresh_token.is_some());
    nothing_leaks(&provider, &sign_in, "");

    let prompts = person.prompts.lock().unwrap();
    let [prompt] = prompts.as_slice() else {
        panic!("one code is shown: {prompts:?}");
    };
    assert_eq!(
        prompt.verification_uri,
        format!("{}/device", provider.issuer)
    );
    let complete = prompt.verification_uri_complete.as_ref().unwrap();
    assert!(complete.contains(&prompt.user_code), "{complete}");
    assert_eq!(prompt.expires_in, Duration::from_secs(600));

    let log = provider.read("log");
    for entry in log.as_array().unwrap() {
        assert_eq!(entry["accept_encoding"], Value::Null, "{entry}");
        assert!(
            entry["agent"].as_str().unwrap().starts_with("ddgate/"),
            "{entry}"
        );
        if entry["point"] == "device" {
            let scope = "openid profile email offline_access groups";
            assert_eq!(entry["params"]["scope"], scope, "{entry}");
        }
    }
}

#[tokio::test]
async fn pending_denied_expired() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "2"]) else {
        return;
    };
    let provider = Arc::new(provider);
    let (settings, http) = (settings(&provider), client());
    let later = Person::who(|| {
        let provider = Arc::clone(&provider);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(450));
            provider.decide("approve", "zoe");
        });
    });
    let sign_in = identity::sign_in(&settings, &http, &later).await.unwrap();
    assert_eq!(sign_in.identity.groups, ["dév", "équipe"]);
    assert!(polls(&provider).len() >= 4, "{:?}", polls(&provider));

    for (verb, expected) in [("deny", "denied"), ("expire", "expired")] {
        let person = Person::who(|| provider.decide(verb, ""));
        let error = identity::sign_in(&settings, &http, &person)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{verb}: {error:?}");
        nothing_leaks(&provider, &error, &error.to_string());
    }

    // Nobody does anything, and the provider never says that it is over.
    provider.fault(r#"device.patch={"expires_in":10}"#);
    let began = Instant::now();
    let person = Person::who(|| {});
    let error = identity::sign_in(&settings, &http, &person)
        .await
        .unwrap_err();
    assert!(matches!(error, AuthError::Expired), "{error:?}");
    assert!(began.elapsed() >= Duration::from_millis(480));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn polling_keeps_the_pace_it_is_told() {
    // In real time, with a provider that punishes haste.
    let Some(provider) = TestProvider::start(&["--interval", "1"]) else {
        return;
    };
    let mut settings = settings(&provider);
    settings.time_scale = 1;
    let provider = Arc::new(provider);
    let later = Person::who(|| {
        let provider = Arc::clone(&provider);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            provider.decide("approve", "alice");
        });
    });
    identity::sign_in(&settings, &client(), &later)
        .await
        .unwrap();
    let times = polls(&provider);
    assert!(times.len() >= 3, "{times:?}");
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= 990),
        "{times:?}"
    );
}

#[tokio::test]
async fn slow_down_adds_five_seconds_and_they_stay() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "1"]) else {
        return;
    };
    provider.fault("token@device_code.error:1=slow_down");
    provider.fault("token@device_code.error:1=authorization_pending");
    provider.fault("token@device_code.error:1=slow_down");
    let person = Person::approving(&provider);
    let signed_in = identity::sign_in(&settings(&provider), &client(), &person).await;
    signed_in.unwrap();
    // A twentieth of 6, 6 and 11 seconds.
    let times = polls(&provider);
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    assert!(
        gaps[0] >= 295 && gaps[1] >= 295 && gaps[2] >= 545,
        "{gaps:?}"
    );
}

#[tokio::test]
async fn trouble_is_told_and_outlasted() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "1"]) else {
        return;
    };
    provider.fault("token@device_code.drop:2");
    provider.fault("token@device_code.status:2=503");
    let person = Person::approving(&provider);
    identity::sign_in(&settings(&provider), &client(), &person)
        .await
        .unwrap();
    let troubles = person.troubles.lock().unwrap();
    assert_eq!(troubles.len(), 2, "{troubles:?}");
    assert!(troubles[1].contains("503"), "{troubles:?}");
}

#[tokio::test]
async fn keys_change_between_discovery_and_token() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    for body in [r#"{"keep_old":true}"#, r#"{"keep_old":false}"#] {
        let body: Value = serde_json::from_str(body).unwrap();
        let person = Person::who(|| {
            provider.write("rotate", &body);
            provider.decide("approve", "alice");
        });
        identity::sign_in(&settings(&provider), &client(), &person)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn other_algorithms_shapes_and_a_client_secret() {
    for (alg, style, sources) in [
        ("ES256", "keycloak", "/realm_access/roles"),
        ("EdDSA", "auth0", "https://example.test/groups"),
        ("PS256", "cognito", "cognito:groups"),
    ] {
        let args = [
            "--no-enforce-interval",
            "--prefix",
            "/realms/dev",
            "--alg",
            alg,
        ];
        let args = [&args[..], &["--style", style]].concat();
        let Some(provider) = TestProvider::start(&args) else {
            return;
        };
        let mut settings = settings(&provider);
        settings.groups_claims = vec![sources.to_owned()];
        settings.client_id = "ddgate-conf".to_owned();
        let secret = "conf-secret-0123456789-0123456789";
        settings.client_secret = Some(Secret::new(secret.to_owned()));
        let http = client();
        let person = Person::approving(&provider);
        let sign_in = identity::sign_in(&settings, &http, &person).await.unwrap();
        assert_eq!(sign_in.identity.groups, ["eng", "oncall"], "{alg} {style}");
        let token = sign_in.refresh_token.unwrap();
        let revoked = identity::revoke(&settings, &http, &token).await.unwrap();
        assert_eq!(revoked, Revocation::Done);
        let log = provider.read("log");
        let posts = log.as_array().unwrap().iter();
        assert!(
            posts
                .filter(|entry| entry["method"] == "POST")
                .all(|entry| entry["basic_auth"] == true),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let args = [
        "--tls-cert",
        cert,
        "--tls-key",
        key,
        "--auto-approve",
        "bob",
    ];
    let args = [&args[..], &["--no-enforce-interval", "--interval", "1"]].concat();
    let Some(provider) = TestProvider::start(&args) else {
        return;
    };
    let trusting = |roots| {
        let config = client_config_trusting(Arc::new(roots)).unwrap();
        HttpsClient::for_tests(Dialer::direct(), Some(Arc::new(config)), LIMIT)
    };
    let settings = settings(&provider);
    let http = trusting(RootCertStore::empty());
    let error = identity::sign_in(&settings, &http, &Person::nobody())
        .await
        .unwrap_err();
    let AuthError::Discovery { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(source, NetError::Handshake { .. }), "{error:?}");
    let reason = std::error::Error::source(source).unwrap().to_string();
    assert!(reason.contains("UnknownIssuer"), "{reason}");

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let http = trusting(roots);
    let person = Person::who(|| {});
    let sign_in = identity::sign_in(&settings, &http, &person).await.unwrap();
    assert_eq!(sign_in.identity.subject, "u-bob");
    assert!(sign_in.identity.groups.is_empty() && !sign_in.identity.groups_incomplete);
    let token = sign_in.refresh_token.unwrap();
    let revoked = identity::revoke(&settings, &http, &token).await.unwrap();
    assert_eq!(revoked, Revocation::Done);
    let error = identity::refresh(&settings, &http, &token, None).await;
    assert!(
        matches!(error, Err(AuthError::SignedOut { .. })),
        "{error:?}"
    );
}
