//! Proofs that hold, and every one that was put together from parts.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use chrono::{TimeDelta, Utc};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use serde_json::{Value, json};

use super::key::KeyKind;
use super::{BoundTo, Evidence, NotBound, PublishedKeys, SignInKey, check, check_with, token_kind};
use crate::record::{BindingMethod, Secret};

const VKEY: &str = "host/ddgate/1+00000000+AAAA";
const METHODS: [BindingMethod; 3] = [
    BindingMethod::OidcCnf,
    BindingMethod::DpopJkt,
    BindingMethod::OidcNonce,
];

/// The provider's signing key.
fn provider_key(seed: u8) -> CoreEdDsaPrivateSigningKey {
    // RFC 8410: a fixed header before the 32 bytes of the key.
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend([seed; 32]);
    let text = BASE64_STANDARD.encode(der);
    let kind = "PRIVATE KEY";
    let pem = format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
    let id = Some(JsonWebKeyId::new("one".to_owned()));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, id).unwrap()
}

/// A token of the provider: type, and claims beside the usual ones.
fn token(kind: Option<&str>, claims: &Value, signer: u8) -> String {
    let now = Utc::now().timestamp();
    let mut header = json!({"alg": "EdDSA", "kid": "one"});
    if let Some(kind) = kind {
        header["typ"] = json!(kind);
    }
    let mut all = json!({
        "iss": "https://idp.test", "sub": "u-1", "aud": "ddgate", "exp": now + 600,
        "iat": now, "email": "a@x.test", "email_verified": true,
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let input = format!("{}.{}", encoded(&header), encoded(&all));
    let alg = CoreJwsSigningAlgorithm::EdDsa;
    let signature = provider_key(signer).sign(&alg, input.as_bytes()).unwrap();
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The token that a method goes by, for that key.
fn word(method: BindingMethod, key: &SignInKey, signer: u8) -> String {
    let (kind, claims) = match method {
        BindingMethod::OidcCnf => (
            Some("dpop+id_token"),
            json!({"cnf": {"jwk": key.public().jwk()}}),
        ),
        BindingMethod::DpopJkt => (
            Some("at+jwt"),
            json!({
                "cnf": {"jkt": key.thumbprint()}, "client_id": "ddgate", "aud": "https://api.test",
            }),
        ),
        BindingMethod::OidcNonce | BindingMethod::None => (None, json!({"nonce": key.nonce()})),
    };
    token(kind, &claims, signer)
}

fn evidence(method: BindingMethod, key: SignInKey, token: String) -> Evidence {
    let keys = CoreJsonWebKeySet::new(vec![provider_key(7).as_verification_key()]);
    Evidence {
        method,
        issuer: "https://idp.test".into(),
        client_id: "ddgate".into(),
        token: Secret::new(token),
        jwks: serde_json::to_value(keys).unwrap(),
        key: Arc::new(key),
    }
}

fn good(method: BindingMethod, kind: KeyKind) -> Evidence {
    let key = SignInKey::generate(kind).unwrap();
    let token = word(method, &key, 7);
    evidence(method, key, token)
}

fn judge(proof: &Secret<String>) -> Result<BoundTo, NotBound> {
    check(proof.expose().as_bytes(), VKEY, Utc::now())
}

/// The token does not hold, and why.
#[track_caller]
fn why_not(evidence: &Evidence) -> String {
    match judge(&evidence.proof(VKEY)) {
        Err(NotBound::Token { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_proof_binds_one_session_to_one_person() {
    for method in METHODS {
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let evidence = good(method, kind);
            let proof = evidence.proof(VKEY);
            let to = judge(&proof).unwrap();
            assert_eq!(
                (to.subject.as_str(), to.issuer.as_str(), to.method),
                ("u-1", "https://idp.test", method)
            );
            assert_eq!(to.key_id.as_deref(), Some("one"));
            assert_eq!(to.email.as_deref(), Some("a@x.test"));
            // Taken over into another session's record, whose key is another.
            let another = "host/ddgate/2+00000000+BBBB";
            let taken = check(proof.expose().as_bytes(), another, Utc::now());
            assert_eq!(taken, Err(NotBound::Delegation), "{method:?}");
            // And it does not bind sessions of other days.
            for days in [-1, 1] {
                let then = Utc::now() + TimeDelta::days(days);
                let judged = check(proof.expose().as_bytes(), VKEY, then);
                assert!(
                    matches!(judged, Err(NotBound::Token { .. })),
                    "{method:?} {judged:?}"
                );
            }
        }
    }
}

#[test]
fn what_was_put_together_from_parts_proves_nothing() {
    for method in METHODS {
        let mine = good(method, KeyKind::P256);
        // Somebody's token, with a key of one's own.
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let stolen = Evidence {
                token: good(method, kind).token,
                ..mine.clone()
            };
            let why = why_not(&stolen);
            assert!(why.contains("key"), "{method:?} {why}");
        }
        // A token that the provider did not sign.
        let forged = Evidence {
            token: Secret::new(word(method, &mine.key, 8)),
            ..mine.clone()
        };
        assert!(why_not(&forged).contains("ignature"), "{method:?}");
        // Every part of a proof that is changed.
        let whole: Value = serde_json::from_str(mine.proof(VKEY).expose()).unwrap();
        let another = SignInKey::generate(KeyKind::P256).unwrap().public().jwk();
        let mut parts = vec![
            ("v", json!(1)),
            ("v", json!(3)),
            ("method", Value::Null),
            ("method", json!("none")),
            ("method", json!("other")),
            ("issuer", json!("https://idp.test/")),
            ("client_id", json!("other")),
            ("key", another),
            ("key", json!(BASE64_URL_SAFE_NO_PAD.encode([9; 32]))),
            ("delegation", json!(BASE64_URL_SAFE_NO_PAD.encode([9; 64]))),
            ("delegation", json!("")),
            ("jwks", json!({"keys": []})),
            ("token", json!("a.b.c")),
        ];
        // A token of one kind is not one of another.
        let others = METHODS.into_iter().filter(|other| *other != method);
        parts.extend(others.map(|other| ("method", json!(other))));
        for (part, with) in parts {
            let mut changed = whole.clone();
            changed[part] = with.clone();
            let changed = Secret::new(changed.to_string());
            assert!(judge(&changed).is_err(), "{method:?}: {part} {with}");
        }
    }
}

#[test]
fn a_token_with_the_key_in_it_must_be_of_that_type() {
    let key = || SignInKey::generate(KeyKind::Ed25519).unwrap();
    for (kind, cnf, expected) in [
        // Key Binding, section 9.3: what has another type, or none, was not checked by the provider.
        (None, true, "type"),
        (Some("JWT"), true, "type"),
        (Some("at+jwt"), true, "type"),
        (Some("dpop+id_token"), false, "another"),
    ] {
        let key = key();
        let claims = match cnf {
            true => json!({"cnf": {"jwk": key.public().jwk()}}),
            // RFC 9449's word about access tokens is none here.
            false => json!({"cnf": {"jkt": key.thumbprint()}, "nonce": key.nonce()}),
        };
        let token = token(kind, &claims, 7);
        let why = why_not(&evidence(BindingMethod::OidcCnf, key, token));
        assert!(why.contains(expected), "{kind:?}: {why}");
    }
    // What else stands in the key's JWK changes nothing.
    let key = key();
    let mut jwk = key.public().jwk();
    jwk["alg"] = json!("EdDSA");
    jwk["kid"] = json!("k");
    let kind = Some("application/DPoP+id_token");
    let token = token(kind, &json!({"cnf": {"jwk": jwk}}), 7);
    judge(&evidence(BindingMethod::OidcCnf, key, token).proof(VKEY)).unwrap();
}

#[test]
fn an_access_token_must_be_bound_and_for_this_client() {
    let judged = |kind: Option<&str>, change: Value| {
        let key = SignInKey::generate(KeyKind::P256).unwrap();
        let mut claims = json!({"cnf": {"jkt": key.thumbprint()}, "aud": ["a", "b"]});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = token(kind, &claims, 7);
        let proof = evidence(BindingMethod::DpopJkt, key, token).proof(VKEY);
        judge(&proof).map(|to| to.subject)
    };
    // RFC 9068, and what Keycloak, Auth0 and Okta write.
    for (kind, named) in [
        (Some("at+jwt"), json!({"client_id": "ddgate"})),
        (Some("application/at+jwt"), json!({"client_id": "ddgate"})),
        (Some("JWT"), json!({"azp": "ddgate"})),
        (Some("JWT"), json!({"azp": "ddgate", "client_id": "ddgate"})),
        (None, json!({"cid": "ddgate"})),
    ] {
        assert_eq!(judged(kind, named.clone()).as_deref(), Ok("u-1"), "{named}");
    }
    for (kind, change, expected) in [
        (Some("at+jwt"), json!({}), "client"),
        (Some("at+jwt"), json!({"client_id": "other"}), "client"),
        (Some("at+jwt"), json!({"client_id": ["ddgate"]}), "client"),
        (
            Some("JWT"),
            json!({"client_id": "ddgate", "azp": "other"}),
            "client",
        ),
        (
            Some("at+jwt"),
            json!({"client_id": "ddgate", "cnf": null}),
            "bound",
        ),
        (
            Some("at+jwt"),
            json!({"client_id": "ddgate", "cnf": {"jkt": "x"}}),
            "bound",
        ),
        (
            Some("dpop+id_token"),
            json!({"client_id": "ddgate"}),
            "type",
        ),
        (Some("dpop+jwt"), json!({"client_id": "ddgate"}), "type"),
    ] {
        match judged(kind, change.clone()) {
            Err(NotBound::Token { why, .. }) => assert!(why.contains(expected), "{change}: {why}"),
            other => panic!("{kind:?} {change}: {other:?}"),
        }
    }
}

#[test]
fn proofs_of_the_last_release_hold() {
    // Version 1: an ID token, its nonce, an Ed25519 key.
    let mine = good(BindingMethod::OidcNonce, KeyKind::Ed25519);
    let x = mine.key.public().jwk()["x"].clone();
    let now: Value = serde_json::from_str(mine.proof(VKEY).expose()).unwrap();
    let old = json!({
        "v": 1, "issuer": "https://idp.test", "client_id": "ddgate", "id_token": now["token"],
        "jwks": now["jwks"], "key": x, "delegation": now["delegation"],
    });
    let to = judge(&Secret::new(old.to_string())).unwrap();
    assert_eq!(
        (to.subject.as_str(), to.method),
        ("u-1", BindingMethod::OidcNonce)
    );
    // It knew no other method, and cannot be told one.
    for method in METHODS {
        let mut changed = old.clone();
        changed["method"] = json!(method);
        let judged = judge(&Secret::new(changed.to_string()));
        assert_eq!(judged, Err(NotBound::Unreadable), "{method:?}");
    }
}

#[test]
fn keys_that_were_got_elsewhere_replace_those_of_the_record() {
    for method in METHODS {
        let proof = good(method, KeyKind::P256).proof(VKEY);
        let judge = |seed| {
            let keys = CoreJsonWebKeySet::new(vec![provider_key(seed).as_verification_key()]);
            let keys = PublishedKeys::read(&serde_json::to_vec(&keys).unwrap()).unwrap();
            check_with(proof.expose().as_bytes(), VKEY, Utc::now(), Some(&keys))
        };
        assert!(judge(7).unwrap().is_published, "{method:?}");
        let by_the_record = check(proof.expose().as_bytes(), VKEY, Utc::now());
        assert!(!by_the_record.unwrap().is_published, "{method:?}");
        // A provider of somebody's own making, whose key has the right name.
        let refused = judge(8).unwrap_err();
        let expected = format!(
            "no key of those that were given as the provider's signed the {} (it names `one`)",
            token_kind(method)
        );
        assert_eq!(refused.to_string(), expected);
    }
    assert!(PublishedKeys::read(b"{\"keys\":[]}").is_none());
    assert!(PublishedKeys::read(b"<html>").is_none());
}

#[test]
fn nothing_of_it_is_shown() {
    for method in METHODS {
        let evidence = good(method, KeyKind::P256);
        let shown = format!("{evidence:?} {:?} {:?}", evidence.key, evidence.proof(VKEY));
        for secret in [evidence.token.expose(), evidence.key.text().expose()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
