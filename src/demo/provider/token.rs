//! Signs the provider's ID tokens: JWS ES256 (RFC 7518 3.4) with a key made at start.
//!
//! The key lives as long as the provider and never leaves this struct; only its public half does.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(super) struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

impl Signer {
    /// Makes a new key.
    pub(super) fn generate() -> io::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .map_err(|_| io::Error::other("no randomness for a signing key"))?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let key_id = URL_SAFE_NO_PAD.encode(&Sha256::digest(key.public_key().as_ref())[..12]);
        Ok(Self {
            key,
            key_id,
            random,
        })
    }

    /// Returns the key set (RFC 7517) that verifies what [`Self::sign`] signs.
    pub(super) fn key_set(&self) -> Value {
        // An uncompressed point (SEC 1, 2.3.3): 0x04, then x and y of 32 bytes each.
        let point = self.key.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }

    /// Returns `claims` as a signed compact JWT.
    pub(super) fn sign(&self, claims: &Value) -> io::Result<String> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.key_id});
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self
            .key
            .sign(&self.random, token.as_bytes())
            .map_err(|_| io::Error::other("no randomness for a signature"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// Returns `at_hash` (OpenID Connect Core 3.1.3.6): the left half of the access token's SHA-256.
pub(super) fn access_token_hash(access_token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16])
}
