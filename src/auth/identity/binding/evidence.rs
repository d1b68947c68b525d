//! The provider's word about a key, that key's word about a session's, and the check of both.
//!
//! Three kinds of word: an ID token with the key in it (OpenID Connect Key Binding 1.0, draft 03), an
//! access token with the key's thumbprint (RFC 9449, section 6.1) where it is a JWT of the provider,
//! and an ID token whose nonce is the key's hash. What proves it holds that token, which says things
//! about the person, and may open whatever takes it until it expires: it leaves this room only as a
//! secret text for a record that is sealed. A check needs nothing but the text: no network, no clock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, JsonWebTokenType, Nonce,
    NormalizedJsonWebTokenType,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::key::{PublicKey, SignInKey};
use crate::auth::identity::chain;
use crate::auth::identity::claims::clean;
use crate::auth::identity::provider::OurIdToken;
use crate::auth::identity::verify::{ALGORITHMS, leeway};
use crate::limits::{LABEL_CHARS_MAX, SUBJECT_CHARS_MAX};
use crate::record::{BindingMethod, Secret};

/// What separates this signature from all others; no JWS begins like that.
const DELEGATION_DOMAIN: &str = "ddgate/delegation/v1\n";
/// `typ` of an ID token with a key in it, in lower case.
pub(in crate::auth::identity) const KEY_BOUND: &str = "dpop+id_token";

/// A token about whoever holds a key, and what it can be checked with.
#[derive(Clone)]
pub struct Evidence {
    pub(super) method: BindingMethod,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) token: Secret<String>,
    pub(super) jwks: Value,
    pub(super) key: Arc<SignInKey>,
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence({:?}, [secret])", self.method)
    }
}

/// What is kept of it.
#[derive(Deserialize, Serialize)]
struct Proof {
    v: u32,
    /// Absent in version 1, which knew one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<BindingMethod>,
    issuer: String,
    client_id: String,
    /// Version 1 knew ID tokens alone.
    #[serde(alias = "id_token")]
    token: String,
    /// The provider's keys as they were then: it changes them.
    jwks: Value,
    /// The public half of the sign-in's key: a JSON Web Key; in version 1 the bytes of Ed25519.
    key: Value,
    /// Its signature over the session's key.
    delegation: String,
}

const VERSION: u32 = 2;

fn delegation(vkey: &str) -> String {
    format!("{DELEGATION_DOMAIN}{vkey}\n")
}

impl Evidence {
    /// How the provider ties the person to the key.
    #[must_use]
    pub const fn method(&self) -> BindingMethod {
        self.method
    }

    /// SHA-256 of the token, in base64url.
    #[must_use]
    pub fn token_hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.token.expose()))
    }

    /// Ties the key `vkey` of a session (C2SP signed-note) to the person. The text holds the
    /// token: it may be recorded only where it is sealed.
    #[must_use]
    pub fn proof(&self, vkey: &str) -> Secret<String> {
        // Without randomness there is no signature, and the check says so.
        let signature = self.key.sign(delegation(vkey).as_bytes());
        let proof = Proof {
            v: VERSION,
            method: Some(self.method),
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            token: self.token.expose().clone(),
            jwks: self.jwks.clone(),
            key: self.key.public().jwk(),
            delegation: BASE64_URL_SAFE_NO_PAD.encode(signature.unwrap_or_default()),
        };
        // Texts and JSON that was read as such: this cannot fail.
        Secret::new(serde_json::to_string(&proof).unwrap_or_default())
    }
}

/// Whom a session's key is tied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundTo {
    /// By what kind of word.
    pub method: BindingMethod,
    /// Who says so.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// The client that the token was made for; whether it is ddgate's, only the provider can say.
    pub client_id: String,
    /// E-mail address, if the token has one that the provider verified; cleaned.
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
    #[error("the {} does not hold: {why}", token_kind(*method))]
    Token {
        /// What kind of token it is to be.
        method: BindingMethod,
        /// What is wrong with it.
        why: String,
    },
    /// The key.
    #[error(
        "no key of those that were given as the provider's signed the {}{}",
        token_kind(*method),
        key_id.as_ref().map_or_else(String::new, |id| format!(" (it names `{id}`)"))
    )]
    NotPublished {
        /// What kind of token it is.
        method: BindingMethod,
        /// The key's name, as the token gives it; cleaned.
        key_id: Option<String>,
    },
}

/// What people call the token that a method goes by.
#[must_use]
pub const fn token_kind(method: BindingMethod) -> &'static str {
    match method {
        BindingMethod::DpopJkt => "access token",
        BindingMethod::OidcCnf | BindingMethod::OidcNonce | BindingMethod::None => "ID token",
    }
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
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let (method, key) = match (proof.v, proof.method, &proof.key) {
        (1, None, Value::String(key)) => (
            BindingMethod::OidcNonce,
            decoded(key).map(PublicKey::ed25519),
        ),
        (VERSION, Some(method), key) => (method, PublicKey::from_jwk(key)),
        _ => return Err(NotBound::Unreadable),
    };
    let issuer = IssuerUrl::new(proof.issuer).ok();
    let keys = serde_json::from_value::<CoreJsonWebKeySet>(proof.jwks).ok();
    let (Some(key), Some(signature), Some(issuer), Some(keys)) =
        (key, decoded(&proof.delegation), issuer, keys)
    else {
        return Err(NotBound::Unreadable);
    };
    if !key.has_signed(delegation(vkey).as_bytes(), &signature) {
        return Err(NotBound::Delegation);
    }
    let word = Word {
        method,
        issuer,
        client_id: proof.client_id,
        token: proof.token,
    };
    let keys = published.map_or(keys, |published| published.0.clone());
    match word.about(&key, keys, opened) {
        Ok(to) => Ok(BoundTo {
            is_published: published.is_some(),
            ..to
        }),
        Err(Doubt::Signature(_)) if published.is_some() => Err(NotBound::NotPublished {
            method,
            key_id: key_id(&word.token),
        }),
        Err(Doubt::Signature(why) | Doubt::Other(why)) => Err(NotBound::Token { method, why }),
    }
}

/// What is wrong with a token.
enum Doubt {
    /// Who signed it.
    Signature(String),
    Other(String),
}

impl From<&str> for Doubt {
    fn from(why: &str) -> Self {
        Self::Other(why.to_owned())
    }
}

/// A token, and what it is to be.
struct Word {
    method: BindingMethod,
    issuer: IssuerUrl,
    client_id: String,
    token: String,
}

impl Word {
    /// Whom it is about, if it is about whoever holds `key`.
    fn about(
        &self,
        key: &PublicKey,
        keys: CoreJsonWebKeySet,
        opened: DateTime<Utc>,
    ) -> Result<BoundTo, Doubt> {
        let token = OurIdToken::from_str(&self.token).map_err(|_| "it does not read")?;
        let expected = key.nonce();
        let is_by_nonce = self.method == BindingMethod::OidcNonce;
        let nonce = |nonce: Option<&Nonce>| match nonce {
            Some(nonce) if nonce.secret() == &expected => Ok(()),
            _ if !is_by_nonce => Ok(()),
            _ => Err("its nonce is not the hash of that key".to_owned()),
        };
        let verifier = self.verifier(keys, opened).map_err(Doubt::Other)?;
        let claims = token.claims(&verifier, nonce).map_err(|error| {
            let why = chain(&error);
            match error {
                ClaimsVerificationError::SignatureVerification(_) => Doubt::Signature(why),
                _ => Doubt::Other(why),
            }
        })?;
        if claims.issue_time() > opened + leeway() {
            return Err("it is younger than the session".into());
        }
        let more = &claims.additional_claims().0;
        match self.method {
            BindingMethod::OidcNonce => {}
            BindingMethod::OidcCnf => {
                if !is_key_bound(&self.token) {
                    return Err("it is not of the type of those with a key in them".into());
                }
                if confirmed_key(more).as_ref() != Some(key) {
                    return Err("the key in it is another (cnf)".into());
                }
            }
            BindingMethod::DpopJkt => {
                let thumbprint = more.get("cnf").and_then(|cnf| cnf.get("jkt")?.as_str());
                if thumbprint != Some(key.thumbprint().as_str()) {
                    return Err("it is not bound to that key (cnf)".into());
                }
                let party = claims.authorized_party().map(|party| party.as_str());
                self.is_for_us(more, party)?;
            }
            BindingMethod::None => return Err("nothing ties it to a key".into()),
        }
        let email = claims
            .email()
            .filter(|_| claims.email_verified() == Some(true));
        let email = email.map(|email| clean(email, LABEL_CHARS_MAX));
        Ok(BoundTo {
            method: self.method,
            issuer: clean(&self.issuer, LABEL_CHARS_MAX),
            subject: clean(claims.subject(), SUBJECT_CHARS_MAX),
            client_id: clean(&self.client_id, LABEL_CHARS_MAX),
            email,
            issued: claims.issue_time(),
            key_id: key_id(&self.token),
            is_published: false,
        })
    }

    fn verifier(
        &self,
        keys: CoreJsonWebKeySet,
        opened: DateTime<Utc>,
    ) -> Result<IdTokenVerifier<'static, CoreJsonWebKey>, String> {
        // A token of one type must not pass for another: their claims mean different things.
        let types: &[&str] = match self.method {
            BindingMethod::OidcCnf => &[KEY_BOUND],
            BindingMethod::DpopJkt => &["JWT", "at+jwt"],
            BindingMethod::OidcNonce | BindingMethod::None => &["JWT"],
        };
        let types = jose_types(types)?;
        let client_id = ClientId::new(self.client_id.clone());
        let verifier = IdTokenVerifier::new_public_client(client_id, self.issuer.clone(), keys)
            .set_allowed_algs::<Vec<CoreJwsSigningAlgorithm>>(ALGORITHMS.to_vec())
            .set_allowed_jose_types(types)
            .set_time_fn(move || opened - leeway());
        Ok(match self.method {
            // The audience of an access token is whoever takes it.
            BindingMethod::DpopJkt => verifier.require_audience_match(false),
            _ => verifier.set_other_audience_verifier_fn(|_| false),
        })
    }

    /// Whether an access token was made for this client: RFC 9068, section 2.2, and what others call it.
    fn is_for_us(&self, claims: &Map<String, Value>, party: Option<&str>) -> Result<(), Doubt> {
        let other = ["client_id", "cid"];
        let named = other.into_iter().filter_map(|name| claims.get(name));
        let named: Vec<_> = named.map(Value::as_str).chain(party.map(Some)).collect();
        match named.iter().all(|name| *name == Some(&*self.client_id)) {
            true if !named.is_empty() => Ok(()),
            _ => Err("it was not made for this client (client_id)".into()),
        }
    }
}

/// Values of `typ` as the crate compares them.
pub(in crate::auth::identity) fn jose_types(
    names: &[&str],
) -> Result<Vec<NormalizedJsonWebTokenType>, String> {
    let types = names
        .iter()
        .map(|name| JsonWebTokenType::new((*name).to_owned()).normalize());
    let types: Result<_, _> = types.collect();
    types.map_err(|error| error.to_string())
}

/// Whether its header says that there is a key in it (Key Binding, section 4).
pub(in crate::auth::identity) fn is_key_bound(token: &str) -> bool {
    let header = header(token).unwrap_or_default();
    let kind = header.get("typ").and_then(Value::as_str);
    let kind = kind.unwrap_or_default().to_lowercase();
    kind.strip_prefix("application/").unwrap_or(&kind) == KEY_BOUND
}

/// The key in an ID token.
pub(in crate::auth::identity) fn confirmed_key(claims: &Map<String, Value>) -> Option<PublicKey> {
    PublicKey::from_jwk(claims.get("cnf")?.get("jwk")?)
}

/// `kid` of a token's header.
fn key_id(token: &str) -> Option<String> {
    Some(clean(header(token)?.get("kid")?.as_str()?, LABEL_CHARS_MAX))
}

fn header(token: &str) -> Option<Map<String, Value>> {
    let header = token.split('.').next()?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}
