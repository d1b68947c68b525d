//! Tokens that are tied to a key: what a thief has of them, and what becomes of a sign-in whose key or
//! proof is not taken. By device code; the browser is in `tests/login/key_binding.rs`.

use std::path::Path;

use ddgate::auth::AuthError;
use ddgate::auth::identity::binding::{Binding, Unbound, check};
use ddgate::auth::identity::{self, IssuerSettings, SignIn};
use ddgate::auth::secret_store::{SecretStore, Storage, StoreSettings, refresh_token_name};
use ddgate::auth::session::{self, Prompting};
use ddgate::record::{BindingMethod, Secret, Via};
use serde_json::{Value, json};

use super::provider::TestProvider;
use super::{Person, client, nothing_leaks, settings};

/// A provider, and a machine where somebody signs in at it.
struct Place {
    provider: TestProvider,
    home: tempfile::TempDir,
    settings: IssuerSettings,
}

impl Place {
    fn with(arguments: &[&str]) -> Option<Self> {
        let quick = ["--no-enforce-interval"];
        let provider = TestProvider::start(&[&quick[..], arguments].concat())?;
        let settings = settings(&provider);
        let home = tempfile::tempdir().unwrap();
        Some(Self {
            provider,
            home,
            settings,
        })
    }

    fn store(&self) -> SecretStore {
        store(self.home.path())
    }

    /// What is kept, to read.
    fn kept(&self) -> Option<Value> {
        let name = refresh_token_name(&self.settings.issuer, &self.settings.client_id);
        let kept = self.store().get(&name).unwrap()?;
        Some(serde_json::from_str(kept.expose()).unwrap())
    }

    /// Changes what is kept.
    fn keep(&self, kept: &Value) {
        let name = refresh_token_name(&self.settings.issuer, &self.settings.client_id);
        let kept = Secret::new(kept.to_string());
        self.store().set(&name, &kept).unwrap();
    }

    /// Signs in, with alice if need be.
    async fn sign_in(&self) -> SignIn {
        let person = Person::approving(&self.provider);
        self.establish(&person).await.unwrap()
    }

    /// Signs in with what is kept.
    async fn renew(&self) -> Result<SignIn, AuthError> {
        let (nobody, never) = (Person::nobody(), Prompting::Forbidden);
        let renewed = self.prompting(&nobody, never).await;
        nothing_leaks(&self.provider, &renewed, "");
        renewed
    }

    async fn establish(&self, person: &Person<'_>) -> Result<SignIn, AuthError> {
        self.prompting(person, Prompting::Allowed).await
    }

    async fn prompting(
        &self,
        person: &Person<'_>,
        prompting: Prompting,
    ) -> Result<SignIn, AuthError> {
        let (store, http) = (self.store(), client());
        let established =
            session::establish(&self.settings, &store, &http, person, prompting, &|_| None);
        Ok(Box::pin(established).await?.0)
    }

    /// The proofs that went with requests for this grant; null where there was none.
    fn proofs(&self, grant: &str) -> Vec<Value> {
        let log = self.provider.read("log");
        let entries = log.as_array().unwrap().iter().filter(|entry| {
            let asked = entry["params"]["grant_type"].as_str().unwrap_or_default();
            entry["point"] == "token" && asked.ends_with(grant)
        });
        entries.map(|entry| entry["proof"].clone()).collect()
    }
}

fn store(directory: &Path) -> SecretStore {
    SecretStore::new(StoreSettings {
        storage: Storage::File,
        directory: directory.to_owned(),
        desktop: false,
    })
}

/// By what the sign-in is tied to its key; a proof of it has to hold.
#[track_caller]
fn method(sign_in: &SignIn) -> BindingMethod {
    let Binding::Bound(evidence) = &sign_in.binding else {
        panic!("{:?}", sign_in.binding);
    };
    let proof = evidence.proof("some-key");
    let check = |key| check(proof.expose().as_bytes(), key, chrono::Utc::now());
    let to = check("some-key").unwrap();
    assert_eq!(to.subject, sign_in.identity.subject);
    assert_eq!(to.method, evidence.method());
    assert!(check("another-key").is_err());
    to.method
}

#[tokio::test]
async fn a_stolen_refresh_token_is_worth_nothing() {
    for arguments in [&["--dpop"][..], &["--bound-key", "--dpop-alg", "ES256"]] {
        let Some(place) = Place::with(arguments) else {
            return;
        };
        place.sign_in().await;
        let mine = place.kept().unwrap();
        assert_eq!(mine["dpop"], true, "what is kept says so");
        let token = Secret::new(mine["rt"].as_str().unwrap().to_owned());
        // A thief with the token alone.
        let refused = identity::refresh(&place.settings, &client(), &token, None).await;
        assert!(
            matches!(refused, Err(AuthError::SignedOut { .. })),
            "{refused:?}"
        );
        // One with a key of their own, which this provider knows, too.
        let theirs = tempfile::tempdir().unwrap();
        let thief = Place {
            home: theirs,
            settings: place.settings.clone(),
            provider: place.provider,
        };
        thief.sign_in().await;
        let mut kept = thief.kept().unwrap();
        kept["rt"] = mine["rt"].clone();
        thief.keep(&kept);
        let refused = thief.renew().await;
        assert!(
            matches!(refused, Err(AuthError::SignedOut { .. })),
            "{refused:?}"
        );
        // Whose it is goes on as if nothing had been.
        thief.keep(&mine);
        thief.renew().await.unwrap();
        thief.renew().await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_wants_its_nonce_gets_it() {
    let Some(place) = Place::with(&["--dpop-nonce", "--jwt-access"]) else {
        return;
    };
    assert_eq!(method(&place.sign_in().await), BindingMethod::DpopJkt);
    assert_eq!(
        method(&place.renew().await.unwrap()),
        BindingMethod::DpopJkt
    );
    for grant in ["device_code", "refresh_token"] {
        let proofs = place.proofs(grant);
        let nonces: Vec<bool> = proofs
            .iter()
            .map(|proof| proof["claims"]["nonce"].is_string())
            .collect();
        // Asked for it once, and remembered.
        assert!(!nonces[0], "{grant} {nonces:?}");
        assert!(
            nonces.len() > 1 && nonces[1..].iter().all(|it| *it),
            "{grant} {nonces:?}"
        );
        let ids: std::collections::HashSet<_> = proofs
            .iter()
            .map(|proof| proof["claims"]["jti"].to_string())
            .collect();
        assert_eq!(ids.len(), proofs.len(), "each request has its own");
    }
}

#[tokio::test]
async fn a_client_that_may_not_use_proofs_signs_in_without() {
    for refusal in ["invalid_dpop_proof", "invalid_request", "use_dpop_nonce"] {
        let arguments = ["--dpop", "--device-nonce", "--dpop-refused", refusal];
        let Some(place) = Place::with(&arguments) else {
            return;
        };
        let person = Person::who(|| {
            // Some polls before that, which are refused for the proof, and then because it is early.
            std::thread::sleep(std::time::Duration::from_millis(300));
            place.provider.decide("approve", "alice");
        });
        let sign_in = place.establish(&person).await.unwrap();
        assert_eq!(method(&sign_in), BindingMethod::OidcNonce, "{refusal}");
        let proofs = place.proofs("device_code");
        assert!(proofs[0].is_object(), "{refusal}: it was tried");
        assert!(
            proofs[1..].iter().all(Value::is_null),
            "{refusal}: and not again"
        );
        // The token is tied to nothing, so later runs send no proof.
        assert_eq!(place.kept().unwrap().get("dpop"), None);
        assert_eq!(
            method(&place.renew().await.unwrap()),
            BindingMethod::OidcNonce
        );
        assert_eq!(place.proofs("refresh_token"), [Value::Null]);
    }
    // A scope that the metadata offers, for other clients.
    let arguments = ["--bound-key", "--bound-key-refused", "--jwt-access"];
    let Some(place) = Place::with(&arguments) else {
        return;
    };
    assert_eq!(method(&place.sign_in().await), BindingMethod::DpopJkt);
}

#[tokio::test]
async fn where_it_is_switched_off_nothing_is_proven() {
    let Some(mut place) = Place::with(&["--bound-key", "--jwt-access", "--device-nonce"]) else {
        return;
    };
    place.settings.dpop = false;
    assert_eq!(method(&place.sign_in().await), BindingMethod::OidcNonce);
    assert!(place.proofs("device_code").iter().all(Value::is_null));
    // A sign-in from before is tied to its key all the same, and goes on.
    session::sign_out(&place.settings, &place.store(), &client())
        .await
        .unwrap();
    place.settings.dpop = true;
    assert_eq!(method(&place.sign_in().await), BindingMethod::OidcCnf);
    place.settings.dpop = false;
    assert_eq!(
        method(&place.renew().await.unwrap()),
        BindingMethod::OidcCnf
    );
}

#[tokio::test]
async fn what_nobody_else_can_read_binds_nothing_but_is_kept() {
    // Opaque access tokens, and no nonce in the device flow: the usual provider.
    let Some(place) = Place::with(&["--dpop"]) else {
        return;
    };
    let first = place.sign_in().await;
    for sign_in in [first, place.renew().await.unwrap()] {
        assert!(
            matches!(sign_in.binding, Binding::Unbound(Unbound::Opaque)),
            "{:?}",
            sign_in.binding
        );
    }
    assert!(place.kept().unwrap()["key"].is_string());
}

#[tokio::test]
async fn userinfo_is_asked_with_a_proof_where_the_token_is_tied_to_the_key() {
    for arguments in [&["--dpop"][..], &["--dpop-nonce", "--dpop-alg", "ES256"]] {
        let Some(place) = Place::with(arguments) else {
            return;
        };
        place.sign_in().await;
        place.provider.fault("ref-no-id-token");
        let renewed = place.renew().await.unwrap();
        assert_eq!(renewed.identity.via, Via::Userinfo);
        assert_eq!(renewed.identity.subject, "u-alice");
        assert_eq!(renewed.identity.groups, ["eng", "oncall"]);
        assert!(
            matches!(renewed.binding, Binding::Unbound(Unbound::NotSigned)),
            "{:?}",
            renewed.binding
        );
    }
}

#[tokio::test]
async fn a_lost_key_and_a_refused_proof_are_said() {
    let Some(place) = Place::with(&["--dpop", "--jwt-access"]) else {
        return;
    };
    place.sign_in().await;
    let kept = place.kept().unwrap();
    for fault in [
        "token@refresh_token.error=invalid_dpop_proof",
        "token@refresh_token.error=use_dpop_nonce",
    ] {
        place.provider.fault(fault);
        let error = place.renew().await.unwrap_err();
        assert!(
            matches!(error, AuthError::Possession { .. }),
            "{fault}: {error:?}"
        );
        place.provider.clear("faults");
        // Nothing is lost by that.
        assert_eq!(place.kept(), Some(kept.clone()), "{fault}");
    }
    for damaged in [json!(null), json!("ES256:AAAA"), json!("")] {
        let mut changed = kept.clone();
        changed["key"] = damaged.clone();
        place.keep(&changed);
        let error = place.renew().await.unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, AuthError::Possession { .. }) && text.contains("does not read"),
            "{damaged}: {text}"
        );
    }
    place.keep(&kept);
    assert_eq!(
        method(&place.renew().await.unwrap()),
        BindingMethod::DpopJkt
    );
}

#[tokio::test]
async fn what_the_last_release_kept_goes_on_as_it_was() {
    // It knew the nonce alone, and wrote the key without a mark.
    let Some(mut place) = Place::with(&["--dpop", "--jwt-access", "--device-nonce"]) else {
        return;
    };
    place.settings.dpop = false;
    place.sign_in().await;
    place.settings.dpop = true;
    let mut kept = place.kept().unwrap();
    let key = kept["key"].as_str().unwrap().strip_prefix("Ed25519:");
    kept["key"] = json!(key.unwrap());
    place.keep(&kept);
    for _ in 0..2 {
        let renewed = place.renew().await.unwrap();
        assert_eq!(method(&renewed), BindingMethod::OidcNonce);
    }
    assert_eq!(place.proofs("refresh_token"), [Value::Null, Value::Null]);
}

#[tokio::test]
async fn tokens_that_are_tied_to_another_key_are_not_taken() {
    let Some(place) = Place::with(&["--bound-key"]) else {
        return;
    };
    let person = Person::approving(&place.provider);
    let other = json!({
        "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}},
    });
    for claims in [other.to_string(), r#"{"cnf":null}"#.to_owned()] {
        place.provider.fault(&format!("idtoken.claims={claims}"));
        let refused = place.establish(&person).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("tied to another key"), "{text}");
        place.provider.clear("faults");
    }
    // Without a proof, nobody asked for such a token, or for a bound access token.
    let Some(plain) = Place::with(&[]) else {
        return;
    };
    let person = Person::approving(&plain.provider);
    for (fault, expected) in [
        (r#"idtoken.header={"typ":"dpop+id_token"}"#, "of a kind"),
        (r#"token.patch={"token_type":"DPoP"}"#, "bound to our key"),
    ] {
        plain.provider.fault(fault);
        let text = plain.establish(&person).await.unwrap_err().to_string();
        assert!(text.contains(expected), "{fault}: {text}");
        plain.provider.clear("faults");
    }
}
