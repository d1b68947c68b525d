//! Ties a session's signing key to the person: the provider's word about a key of the sign-in, and
//! that key's word about the session's.
//!
//! A sign-in makes an Ed25519 key and sends its hash as the `nonce`, in the device flow too (RFC 8628
//! leaves unknown parameters to the provider; those that know it repeat it). An ID token with that
//! nonce says: who signed in held this key. The key is kept beside the refresh token, for as long as
//! that lives, and signs the key of each session. Providers that repeat the nonce in refreshed tokens
//! (OpenID Connect Core, section 12.2, lets them) bind sessions of later days too.
//!
//! What proves it holds an ID token, which opens whatever takes it until it expires. It leaves this
//! room only as a secret text for a record that is sealed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, Nonce, TokenResponse as _,
};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::claims::clean;
use super::provider::{OurIdToken, Provider, Tokens};
use super::verify::{ALGORITHMS, leeway};
use crate::limits::{LABEL_CHARS_MAX, SUBJECT_CHARS_MAX};
use crate::record::Secret;

/// What separates this hash, and this signature, from all others.
const NONCE_DOMAIN: &[u8] = b"ddgate/sign-in-key/v1\0";
const DELEGATION_DOMAIN: &str = "ddgate/delegation/v1\n";

/// The key of one sign-in.
pub struct SignInKey {
    pair: Ed25519KeyPair,
    pkcs8: Secret<String>,
}

impl fmt::Debug for SignInKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInKey([secret])")
    }
}

impl SignInKey {
    /// Makes a new one; none if the system has no randomness.
    pub(in crate::auth) fn generate() -> Option<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        Self::read(&BASE64_URL_SAFE_NO_PAD.encode(pkcs8.as_ref()))
    }

    /// Reads one that was kept.
    pub(in crate::auth) fn read(text: &str) -> Option<Self> {
        let pkcs8 = zeroize::Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?);
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let pkcs8 = Secret::new(text.to_owned());
        Some(Self { pair, pkcs8 })
    }

    /// As it is kept.
    pub(in crate::auth) const fn text(&self) -> &Secret<String> {
        &self.pkcs8
    }

    /// What the ID token has to repeat.
    pub(in crate::auth) fn nonce(&self) -> String {
        nonce_of(self.pair.public_key().as_ref())
    }

    fn delegate(&self, vkey: &str) -> String {
        let signature = self.pair.sign(delegation(vkey).as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref())
    }
}

fn nonce_of(public: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(NONCE_DOMAIN)
        .chain_update(public);
    BASE64_URL_SAFE_NO_PAD.encode(digest.finalize())
}

fn delegation(vkey: &str) -> String {
    format!("{DELEGATION_DOMAIN}{vkey}\n")
}

/// What ties a person to the sessions of a sign-in, or why nothing does.
#[derive(Clone, Debug)]
pub enum Binding {
    /// The provider's word about a key.
    Nonce(Evidence),
    /// Nothing.
    Unbound(Unbound),
}

/// Why nothing ties a session's key to the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbound {
    /// Nobody was verified.
    #[error("nobody was verified")]
    Nobody,
    /// A workload's token is asked for by its system, and names no key of ours.
    #[error("the token of a workload names no key")]
    Workload,
    /// The sign-in has no key.
    #[error(
        "this sign-in has no key that the identity provider vouched for: it is an old one, or the \
         provider does not repeat nonces"
    )]
    NoKey,
    /// The provider left the nonce out, or did not repeat it.
    #[error("the identity provider does not put the nonce of a sign-in into this ID token")]
    NoNonce,
    /// A refresh without an ID token.
    #[error(
        "the identity provider renewed this sign-in without an ID token: its userinfo says who it \
         is, and nobody signs that"
    )]
    NotSigned,
}

/// An ID token about whoever holds a key, and what it can be checked with.
#[derive(Clone)]
pub struct Evidence {
    issuer: String,
    client_id: String,
    id_token: Secret<String>,
    jwks: serde_json::Value,
    key: Arc<SignInKey>,
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Evidence([secret])")
    }
}

/// What is kept of it.
#[derive(Deserialize, Serialize)]
struct Proof {
    v: u32,
    issuer: String,
    client_id: String,
    id_token: String,
    /// The provider's keys as they were then: it changes them.
    jwks: serde_json::Value,
    /// The public half of the sign-in's key.
    key: String,
    /// Its signature over the session's key.
    delegation: String,
}

const VERSION: u32 = 1;

impl Evidence {
    /// SHA-256 of the ID token, in base64url.
    #[must_use]
    pub fn token_hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.id_token.expose()))
    }

    /// Ties the key `vkey` of a session (C2SP signed-note) to the person. The text holds the ID
    /// token: it may be recorded only where it is sealed.
    #[must_use]
    pub fn proof(&self, vkey: &str) -> Secret<String> {
        let proof = Proof {
            v: VERSION,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            id_token: self.id_token.expose().clone(),
            jwks: self.jwks.clone(),
            key: BASE64_URL_SAFE_NO_PAD.encode(self.key.pair.public_key()),
            delegation: self.key.delegate(vkey),
        };
        // Texts and JSON that was read as such: this cannot fail.
        Secret::new(serde_json::to_string(&proof).unwrap_or_default())
    }

    pub(in crate::auth) fn key(&self) -> &SignInKey {
        &self.key
    }
}

/// What an answer's ID token ties to the key of the sign-in.
pub(super) fn binding(
    provider: &Provider<'_>,
    tokens: &Tokens,
    keys: &CoreJsonWebKeySet,
    key: Option<SignInKey>,
) -> Binding {
    let Some(key) = key else {
        return Binding::Unbound(Unbound::NoKey);
    };
    let (Some(token), Ok(jwks)) = (tokens.id_token(), serde_json::to_value(keys)) else {
        return Binding::Unbound(Unbound::NoNonce);
    };
    let evidence = Evidence {
        issuer: provider.settings.issuer.clone(),
        client_id: provider.settings.client_id.clone(),
        id_token: Secret::new(token.to_string()),
        jwks,
        key: Arc::new(key),
    };
    // Judged as it will be later: what would not convince then is not claimed now.
    let proof = evidence.proof("");
    match check(proof.expose().as_bytes(), "", Utc::now()) {
        Ok(_) => Binding::Nonce(evidence),
        Err(_) => Binding::Unbound(Unbound::NoNonce),
    }
}

/// Whom a session's key is tied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundTo {
    /// Who says so.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// E-mail address, if the token has one; cleaned.
    pub email: Option<String>,
    /// When the provider signed it.
    pub issued: DateTime<Utc>,
    /// The provider's key, by the name the token gives it; whether it is the provider's own, only
    /// the provider can say.
    pub key_id: Option<String>,
    /// Whether that key was found among those that were given as the provider's.
    pub is_published: bool,
}

/// The keys of a provider as somebody got them from the provider itself, not from a record.
#[derive(Clone, Debug)]
pub struct PublishedKeys(CoreJsonWebKeySet);

impl PublishedKeys {
    /// Reads a JSON Web Key Set (RFC 7517); none if it is none, or an empty one.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let keys: CoreJsonWebKeySet = serde_json::from_slice(text).ok()?;
        (!keys.keys().is_empty()).then_some(Self(keys))
    }
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBound {
    /// Another format, or none.
    #[error("the proof does not read")]
    Unreadable,
    /// The delegation.
    #[error("the key of the sign-in did not sign this session's key")]
    Delegation,
    /// The token.
    #[error("the ID token does not hold: {0}")]
    Token(String),
    /// The key.
    #[error(
        "no key of those that were given as the provider's signed the ID token{}",
        key_id.as_ref().map_or_else(String::new, |id| format!(" (it names `{id}`)"))
    )]
    NotPublished {
        /// The key's name, as the token gives it; cleaned.
        key_id: Option<String>,
    },
}

/// Checks what [`Evidence::proof`] made, for a session with the key `vkey` that opened then, with the
/// provider's keys that it brings along.
///
/// # Errors
/// It does not tie that key to anybody.
pub fn check(proof: &[u8], vkey: &str, opened: DateTime<Utc>) -> Result<BoundTo, NotBound> {
    check_with(proof, vkey, opened, None)
}

/// The same with the provider's keys as they were got elsewhere.
///
/// # Errors
/// As [`check`], and [`NotBound::NotPublished`].
pub fn check_with(
    proof: &[u8],
    vkey: &str,
    opened: DateTime<Utc>,
    published: Option<&PublishedKeys>,
) -> Result<BoundTo, NotBound> {
    let proof: Proof = serde_json::from_slice(proof).map_err(|_| NotBound::Unreadable)?;
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text);
    let (Ok(public), Ok(signature)) = (decoded(&proof.key), decoded(&proof.delegation)) else {
        return Err(NotBound::Unreadable);
    };
    let issuer = IssuerUrl::new(proof.issuer).map_err(|_| NotBound::Unreadable)?;
    let keys = serde_json::from_value::<CoreJsonWebKeySet>(proof.jwks);
    let token = OurIdToken::from_str(&proof.id_token);
    let (Ok(keys), Ok(token), VERSION) = (keys, token, proof.v) else {
        return Err(NotBound::Unreadable);
    };
    let keys = published.map_or(keys, |published| published.0.clone());
    UnparsedPublicKey::new(&ED25519, &public)
        .verify(delegation(vkey).as_bytes(), &signature)
        .map_err(|_| NotBound::Delegation)?;

    let expected = nonce_of(&public);
    let verifier =
        IdTokenVerifier::new_public_client(ClientId::new(proof.client_id), issuer.clone(), keys)
            .set_allowed_algs::<Vec<CoreJwsSigningAlgorithm>>(ALGORITHMS.to_vec())
            .set_other_audience_verifier_fn(|_| false)
            .set_time_fn(move || opened - leeway());
    let nonce = |nonce: Option<&Nonce>| match nonce {
        Some(nonce) if nonce.secret() == &expected => Ok(()),
        _ => Err("its nonce is not the hash of that key".to_owned()),
    };
    let claims = token.claims(&verifier, nonce);
    let claims = claims.map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(_) if published.is_some() => {
            NotBound::NotPublished {
                key_id: key_id(&proof.id_token),
            }
        }
        error => NotBound::Token(super::chain(&error)),
    })?;
    if claims.issue_time() > opened + leeway() {
        return Err(NotBound::Token("it is younger than the session".into()));
    }
    let email = claims.email().map(|email| clean(email, LABEL_CHARS_MAX));
    Ok(BoundTo {
        issuer: clean(&issuer, LABEL_CHARS_MAX),
        subject: clean(claims.subject(), SUBJECT_CHARS_MAX),
        email,
        issued: claims.issue_time(),
        key_id: key_id(&proof.id_token),
        is_published: published.is_some(),
    })
}

/// `kid` of a token's header.
fn key_id(token: &str) -> Option<String> {
    let header = BASE64_URL_SAFE_NO_PAD
        .decode(token.split('.').next()?)
        .ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    Some(clean(header.get("kid")?.as_str()?, LABEL_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::BASE64_STANDARD;
    use chrono::TimeDelta;
    use openidconnect::core::CoreEdDsaPrivateSigningKey;
    use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
    use serde_json::{Value, json};

    const VKEY: &str = "host/ddgate/1+00000000+AAAA";

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

    fn evidence(key: SignInKey, nonce: &str, signer: u8) -> Evidence {
        let now = Utc::now().timestamp();
        let claims = json!({
            "iss": "https://idp.test", "sub": "u-1", "aud": "ddgate", "exp": now + 600,
            "iat": now, "email": "a@x.test", "nonce": nonce,
        });
        let claims = serde_json::from_value(claims).unwrap();
        let alg = CoreJwsSigningAlgorithm::EdDsa;
        let token = OurIdToken::new(claims, &provider_key(signer), alg, None, None).unwrap();
        let keys = CoreJsonWebKeySet::new(vec![provider_key(7).as_verification_key()]);
        Evidence {
            issuer: "https://idp.test".into(),
            client_id: "ddgate".into(),
            id_token: Secret::new(token.to_string()),
            jwks: serde_json::to_value(keys).unwrap(),
            key: Arc::new(key),
        }
    }

    fn good() -> Evidence {
        let key = SignInKey::generate().unwrap();
        let nonce = key.nonce();
        evidence(key, &nonce, 7)
    }

    fn judge(proof: &Secret<String>) -> Result<BoundTo, NotBound> {
        check(proof.expose().as_bytes(), VKEY, Utc::now())
    }

    #[test]
    fn a_proof_binds_one_session_to_one_person() {
        let evidence = good();
        let proof = evidence.proof(VKEY);
        let to = judge(&proof).unwrap();
        assert_eq!(
            (to.subject.as_str(), to.issuer.as_str()),
            ("u-1", "https://idp.test")
        );
        assert_eq!(to.key_id.as_deref(), Some("one"));
        // Taken over into another session's record, whose key is another.
        let taken = check(
            proof.expose().as_bytes(),
            "host/ddgate/2+00000000+BBBB",
            Utc::now(),
        );
        assert_eq!(taken, Err(NotBound::Delegation));
        // And it does not bind sessions of other days.
        for days in [-1, 1] {
            let then = Utc::now() + TimeDelta::days(days);
            let judged = check(proof.expose().as_bytes(), VKEY, then);
            assert!(matches!(judged, Err(NotBound::Token(_))), "{judged:?}");
        }
    }

    #[test]
    fn what_was_put_together_from_parts_proves_nothing() {
        let (mine, theirs) = (good(), good());
        // Somebody's token, with a key of one's own.
        let stolen = Evidence {
            id_token: theirs.id_token.clone(),
            ..mine.clone()
        };
        let judged = judge(&stolen.proof(VKEY));
        assert!(matches!(judged, Err(NotBound::Token(_))), "{judged:?}");
        // A token that the provider did not sign.
        let key = SignInKey::generate().unwrap();
        let nonce = key.nonce();
        let judged = judge(&evidence(key, &nonce, 8).proof(VKEY));
        assert!(matches!(judged, Err(NotBound::Token(_))), "{judged:?}");
        // Every part of a proof that is changed.
        let whole: Value = serde_json::from_str(mine.proof(VKEY).expose()).unwrap();
        for (part, with) in [
            ("v", json!(2)),
            ("issuer", json!("https://idp.test/")),
            ("client_id", json!("other")),
            ("key", json!(BASE64_URL_SAFE_NO_PAD.encode([9; 32]))),
            ("delegation", json!(BASE64_URL_SAFE_NO_PAD.encode([9; 64]))),
            ("jwks", json!({"keys": []})),
            ("id_token", json!("a.b.c")),
        ] {
            let mut changed = whole.clone();
            changed[part] = with;
            let changed = Secret::new(changed.to_string());
            assert!(judge(&changed).is_err(), "{part}");
        }
    }

    #[test]
    fn keys_that_were_got_elsewhere_replace_those_of_the_record() {
        let proof = good().proof(VKEY);
        let judge = |seed| {
            let keys = CoreJsonWebKeySet::new(vec![provider_key(seed).as_verification_key()]);
            let keys = PublishedKeys::read(&serde_json::to_vec(&keys).unwrap()).unwrap();
            check_with(proof.expose().as_bytes(), VKEY, Utc::now(), Some(&keys))
        };
        assert!(judge(7).unwrap().is_published);
        assert!(
            !check(proof.expose().as_bytes(), VKEY, Utc::now())
                .unwrap()
                .is_published
        );
        // A provider of somebody's own making, whose key has the right name.
        let refused = judge(8).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no key of those that were given as the provider's signed the ID token (it names `one`)"
        );
        assert!(PublishedKeys::read(b"{\"keys\":[]}").is_none());
        assert!(PublishedKeys::read(b"<html>").is_none());
    }

    #[test]
    fn a_key_that_was_kept_is_the_same() {
        let key = SignInKey::generate().unwrap();
        let kept = SignInKey::read(key.text().expose()).unwrap();
        assert_eq!(kept.nonce(), key.nonce());
        assert_ne!(SignInKey::generate().unwrap().nonce(), key.nonce());
        assert!(SignInKey::read("").is_none() && SignInKey::read("AAAA").is_none());
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let evidence = good();
        let shown = format!("{evidence:?} {:?} {:?}", evidence.key, evidence.proof(VKEY));
        for secret in [evidence.id_token.expose(), evidence.key.text().expose()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
