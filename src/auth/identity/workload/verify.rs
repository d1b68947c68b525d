//! Whether a workload's token is believed: the same checks as for a person, and the pinned claims.
//!
//! Invariant: what is plainly not acceptable is refused before anything is asked for over the
//! network, and what passes that is believed only once its signature holds.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use openidconnect::core::CoreJsonWebKeySet;
use serde_json::{Map, Value};

use super::super::claims::{clean, look_up};
use super::super::provider::{OurIdToken, checked_issuer, published_keys};
use super::super::verify::{blamed_on_clock, check_alone};
use super::super::{IssuerSettings, Unverified};
use super::error::WorkloadError;
use super::{WorkloadSettings, circleci};
use crate::auth::AuthError;
use crate::limits::{PROVIDER_BYTES_MAX, PROVIDER_TEXT_CHARS_MAX};
use crate::net::HttpsClient;
use crate::record::{Identity, Secret};

/// A token that is believed.
pub(super) struct Verified {
    pub(super) identity: Identity,
    /// Everything it says.
    pub(super) claims: Map<String, Value>,
}

/// Verifies a token.
pub(super) async fn verify(
    settings: &WorkloadSettings,
    token: &Secret<String>,
    http: &HttpsClient,
    before: Option<&Identity>,
) -> Result<Verified, WorkloadError> {
    let malformed = || WorkloadError::Auth(AuthError::Verify(Unverified::Malformed));
    let claims = claims_of(token.expose()).ok_or_else(malformed)?;
    plausible(settings, &claims)?;
    let parsed: OurIdToken = token.expose().parse().map_err(|_| malformed())?;
    // The audience stands where a person's sign-in has the client.
    let provider = IssuerSettings::new(&settings.issuer, &settings.audience);
    let issuer = checked_issuer(&provider)?;
    let judge = |keys| {
        let subject = before.map(|identity| identity.subject.as_str());
        let groups = &settings.groups_claims;
        check_alone(&parsed, keys, &issuer, &settings.audience, groups, subject)
    };
    let result = match judge(keys(settings, &provider, http).await?) {
        // The issuer may have changed keys just now: one more look, then that is the answer.
        Err(Unverified::UnknownKey) => judge(keys(settings, &provider, http).await?),
        other => other,
    };
    let identity = result.map_err(|reason| blamed_on_clock(http, reason))?;
    // The claims are those of the very text whose signature was checked.
    Ok(Verified { identity, claims })
}

async fn keys(
    settings: &WorkloadSettings,
    provider: &IssuerSettings,
    http: &HttpsClient,
) -> Result<CoreJsonWebKeySet, WorkloadError> {
    match &settings.jwks_file {
        Some(path) => keys_of_file(path),
        None => Ok(Box::pin(published_keys(provider, http)).await?),
    }
}

fn keys_of_file(path: &Path) -> Result<CoreJsonWebKeySet, WorkloadError> {
    let failed = |source| WorkloadError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(PROVIDER_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|_| WorkloadError::Answer {
        from: format!("the file {}", path.display()),
        why: "it is no JSON Web Key Set (RFC 7517)",
    })
}

/// What a token says, whoever made it.
fn claims_of(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Refuses a token that says itself that it is not the one: for that nobody has to be asked.
fn plausible(
    settings: &WorkloadSettings,
    claims: &Map<String, Value>,
) -> Result<(), WorkloadError> {
    let issuer = claims.get("iss").map(shown).unwrap_or_default();
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err(WorkloadError::Issuer {
            found: issuer,
            accepted: settings.issuer.clone(),
        });
    }
    let audience = claims.get("aud").unwrap_or(&Value::Null);
    let is_for_us = match audience {
        Value::Array(list) => {
            matches!(&list[..], [Value::String(one)] if *one == settings.audience)
        }
        other => other.as_str() == Some(&settings.audience),
    };
    if !is_for_us {
        return Err(WorkloadError::Audience {
            found: shown(audience),
            accepted: settings.audience.clone(),
        });
    }
    for (claim, pinned) in &settings.pins {
        let found = look_up(claims, claim);
        if !found.is_some_and(|found| says(found, pinned)) {
            return Err(WorkloadError::Pin {
                claim: claim.clone(),
                pinned: pinned.clone(),
                found: found.map(shown),
            });
        }
    }
    if circleci::is_ssh_rerun(claims) {
        return Err(WorkloadError::SshRerun);
    }
    Ok(())
}

/// Whether a claim has a value; a list has each of its own.
fn says(found: &Value, pinned: &str) -> bool {
    match found {
        Value::String(text) => text == pinned,
        Value::Number(number) => number.to_string() == pinned,
        Value::Bool(flag) => flag.to_string() == pinned,
        Value::Array(list) => list.iter().any(|one| !one.is_array() && says(one, pinned)),
        Value::Null | Value::Object(_) => false,
    }
}

/// A claim as a message shows it.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    clean(&text, PROVIDER_TEXT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(pins: &[(&str, &str)]) -> WorkloadSettings {
        WorkloadSettings {
            name: "w".into(),
            system: None,
            issuer: "https://i.test".into(),
            audience: "ddgate".into(),
            pins: pins
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
            groups_claims: Vec::new(),
            jwks_file: None,
        }
    }

    fn judged(pins: &[(&str, &str)], more: Value) -> Result<(), String> {
        let mut claims = json!({"iss": "https://i.test", "aud": "ddgate"});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        plausible(&settings(pins), claims.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn pinned_claims_are_found_by_name_or_pointer() {
        let claims = json!({
            "oidc.circleci.com/project-id": "p", "a:b": "c", "/odd": "o", "n": 7, "yes": true,
            "kubernetes.io": {"namespace": "ci", "serviceaccount": {"uid": "u"}},
            "contexts": ["one", "two"],
        });
        for (claim, value) in [
            ("oidc.circleci.com/project-id", "p"),
            ("a:b", "c"),
            ("/odd", "o"),
            ("n", "7"),
            ("yes", "true"),
            ("/kubernetes.io/serviceaccount/uid", "u"),
            ("contexts", "two"),
        ] {
            judged(&[(claim, value)], claims.clone()).unwrap();
            let refused = judged(&[(claim, "x")], claims.clone()).unwrap_err();
            assert!(refused.contains(claim), "{refused}");
        }
        // A table is nothing to compare with, nor is what is not there.
        assert!(judged(&[("kubernetes.io", "")], claims.clone()).is_err());
        let refused = judged(&[("n", "7"), ("absent", "x")], claims).unwrap_err();
        assert_eq!(
            refused,
            "the token does not say `absent`, which must be `x`"
        );
    }

    #[test]
    fn what_is_for_somebody_else_is_refused_with_both_names() {
        assert_eq!(
            judged(&[("n", "7")], json!({"iss": "https://i.test/", "n": 7})).unwrap_err(),
            "the token is signed by `https://i.test/`, and `https://i.test` is accepted"
        );
        for audience in [
            json!("other"),
            json!(["ddgate", "other"]),
            json!([]),
            json!(7),
        ] {
            let refused = judged(&[("n", "7")], json!({"aud": audience, "n": 7})).unwrap_err();
            assert!(refused.contains("and `ddgate` is accepted"), "{refused}");
        }
        judged(&[("n", "7")], json!({"aud": ["ddgate"], "n": 7})).unwrap();
        let rerun = json!({"n": 7, "oidc.circleci.com/ssh-rerun": true});
        assert!(judged(&[("n", "7")], rerun).unwrap_err().contains("SSH"));
    }
}
