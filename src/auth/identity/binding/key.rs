//! The key of a sign-in: what names it, what it signs, and how it is kept.
//!
//! Ed25519, or ECDSA on P-256 where the provider takes nothing else. The private half leaves this
//! file only as the text that is kept beside the refresh token, which says which of the two it is.
//! What the signatures mean is for `dpop` and `evidence`.

use std::fmt;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::record::Secret;

/// What separates this hash from all others.
const NONCE_DOMAIN: &[u8] = b"ddgate/sign-in-key/v1\0";
/// What is kept begins with one of these; what an older ddgate kept has none, and is Ed25519.
const KINDS: [(&str, KeyKind); 2] = [("Ed25519:", KeyKind::Ed25519), ("ES256:", KeyKind::P256)];

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum KeyKind {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the ES256 of RFC 7518.
    P256,
}

/// The key of one sign-in.
pub struct SignInKey {
    pair: Pair,
    text: Secret<String>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl fmt::Debug for SignInKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInKey([secret])")
    }
}

/// The key of a sign-in as it is kept with the refresh token.
#[derive(Clone, Debug)]
pub struct Possession {
    pub(in crate::auth) key: Arc<SignInKey>,
    /// Whether a proof of it went with the request that brought the tokens (RFC 9449): the refresh
    /// token may then be worth nothing without it.
    pub(in crate::auth) is_demonstrated: bool,
}

impl SignInKey {
    /// Makes a new one; none if the system has no randomness.
    pub(in crate::auth) fn generate(kind: KeyKind) -> Option<Self> {
        let random = SystemRandom::new();
        let pkcs8 = match kind {
            KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
            KeyKind::P256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
        };
        let (mark, _) = KINDS.iter().find(|(_, known)| *known == kind)?;
        let pkcs8 = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(pkcs8.ok()?.as_ref()));
        Self::read(&Zeroizing::new(format!("{mark}{}", *pkcs8)))
    }

    /// Reads one that was kept.
    pub(in crate::auth) fn read(text: &str) -> Option<Self> {
        let marked = KINDS
            .iter()
            .find_map(|(mark, kind)| Some((*kind, text.strip_prefix(mark)?)));
        let (kind, pkcs8) = marked.unwrap_or((KeyKind::Ed25519, text));
        let pkcs8 = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(pkcs8).ok()?);
        let pair = match kind {
            KeyKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?),
            KeyKind::P256 => Pair::P256(
                EcdsaKeyPair::from_pkcs8(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    &pkcs8,
                    &SystemRandom::new(),
                )
                .ok()?,
            ),
        };
        let text = Secret::new(text.to_owned());
        Some(Self { pair, text })
    }

    /// As it is kept.
    pub(in crate::auth) const fn text(&self) -> &Secret<String> {
        &self.text
    }

    pub(in crate::auth) fn public(&self) -> PublicKey {
        let (kind, bytes) = match &self.pair {
            Pair::Ed25519(pair) => (KeyKind::Ed25519, pair.public_key().as_ref()),
            Pair::P256(pair) => (KeyKind::P256, pair.public_key().as_ref()),
        };
        let bytes = bytes.to_vec();
        PublicKey { kind, bytes }
    }

    /// What the ID token has to repeat.
    pub(in crate::auth) fn nonce(&self) -> String {
        self.public().nonce()
    }

    /// What a request names it by ([`PublicKey::thumbprint`]).
    pub(in crate::auth) fn thumbprint(&self) -> String {
        self.public().thumbprint()
    }

    /// Signs, as JWS does (RFC 7518, section 3.4; RFC 8037); none if the system has no randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).ok()?;
                signature.as_ref().to_vec()
            }
        })
    }
}

/// The public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) struct PublicKey {
    kind: KeyKind,
    /// 32 bytes of Ed25519, or an uncompressed point (SEC 1).
    bytes: Vec<u8>,
}

impl PublicKey {
    /// An Ed25519 key.
    pub(super) const fn ed25519(bytes: Vec<u8>) -> Self {
        let kind = KeyKind::Ed25519;
        Self { kind, bytes }
    }

    pub(super) const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Reads a JSON Web Key (RFC 7517); none if it is of another kind.
    pub(in crate::auth) fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name)?.as_str();
        let number = |name: &str| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok()?;
            <[u8; 32]>::try_from(bytes).ok()
        };
        match (text("kty")?, text("crv")?) {
            ("OKP", "Ed25519") => Some(Self::ed25519(number("x")?.to_vec())),
            ("EC", "P-256") => {
                // SEC 1, section 2.3.3: 4 says that both coordinates follow.
                let bytes = [&[4][..], &number("x")?, &number("y")?].concat();
                let kind = KeyKind::P256;
                Some(Self { kind, bytes })
            }
            _ => None,
        }
    }

    /// As a JSON Web Key, with no member but those that make it.
    pub(super) fn jwk(&self) -> Value {
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match (self.kind, self.bytes.as_slice()) {
            (KeyKind::Ed25519, bytes) => {
                json!({"crv": "Ed25519", "kty": "OKP", "x": encoded(bytes)})
            }
            (KeyKind::P256, bytes) => {
                let point = bytes.get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(32).unwrap_or_default();
                json!({"crv": "P-256", "kty": "EC", "x": encoded(x), "y": encoded(y)})
            }
        }
    }

    /// RFC 7638 with SHA-256, in base64url: what `dpop_jkt` and `cnf.jkt` hold.
    pub(in crate::auth) fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        // By hand: the order of the members is what is hashed.
        let members = ["crv", "kty", "x", "y"].into_iter().filter_map(|name| {
            let value = jwk.get(name)?.as_str()?;
            Some(format!("\"{name}\":\"{value}\""))
        });
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// The hash that goes out as `nonce`.
    pub(super) fn nonce(&self) -> String {
        let digest = Sha256::new()
            .chain_update(NONCE_DOMAIN)
            .chain_update(&self.bytes);
        BASE64_URL_SAFE_NO_PAD.encode(digest.finalize())
    }

    /// Whether it signed that.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.kind {
            KeyKind::Ed25519 => &ED25519,
            KeyKind::P256 => &ECDSA_P256_SHA256_FIXED,
        };
        let key = UnparsedPublicKey::new(algorithm, &self.bytes);
        key.verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_kept_is_the_same() {
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let key = SignInKey::generate(kind).unwrap();
            let kept = SignInKey::read(key.text().expose()).unwrap();
            assert_eq!(kept.public(), key.public());
            assert_eq!(kept.public().kind(), kind);
            assert_eq!(kept.nonce(), key.nonce());
            let public = PublicKey::from_jwk(&key.public().jwk()).unwrap();
            assert_eq!(public, key.public());
            let signature = kept.sign(b"that").unwrap();
            assert!(public.has_signed(b"that", &signature));
            assert!(!public.has_signed(b"this", &signature));
            assert_ne!(SignInKey::generate(kind).unwrap().nonce(), key.nonce());
        }
        for text in ["", "AAAA", "ES256:AAAA", "Ed25519:", "RS256:AAAA"] {
            assert!(SignInKey::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_the_last_release_kept_is_an_ed25519_key() {
        // Kept by 0.1: PKCS #8, base64url, no mark.
        let key = SignInKey::generate(KeyKind::Ed25519).unwrap();
        let unmarked = key.text().expose().strip_prefix("Ed25519:").unwrap();
        let kept = SignInKey::read(unmarked).unwrap();
        assert_eq!(kept.public(), key.public());
        // And a kept key is never taken for another kind.
        let other = SignInKey::generate(KeyKind::P256).unwrap();
        let unmarked = other.text().expose().strip_prefix("ES256:").unwrap();
        assert!(SignInKey::read(unmarked).is_none());
    }

    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        // RFC 8037, appendix A.3.
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "x",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(
            key.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        // RFC 9449, sections 4.1 and 6.1.
        let jwk = json!({
            "kty": "EC", "crv": "P-256",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        });
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(
            key.thumbprint(),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
        for jwk in [
            json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
            json!({"kty": "RSA", "n": "AA", "e": "AQAB"}),
            json!("key"),
        ] {
            assert!(PublicKey::from_jwk(&jwk).is_none(), "{jwk}");
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let key = Arc::new(SignInKey::generate(kind).unwrap());
            let possession = Possession {
                key: Arc::clone(&key),
                is_demonstrated: true,
            };
            let shown = format!("{key:?} {possession:?} {:?}", key.text());
            let (_, pkcs8) = key.text().expose().split_once(':').unwrap();
            assert!(!shown.contains(pkcs8), "{shown}");
        }
    }
}
