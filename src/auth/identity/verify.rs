//! Whether an ID token is to be believed (OpenID Connect Core, section 3.1.3.7), and what it says.
//!
//! The openidconnect crate checks signature, algorithm, key, `iss`, `aud`, `exp` and the header;
//! everything else is checked here: `azp`, `nbf`, `iat`, `at_hash`, nonce, subject, hosted domain,
//! and that a refreshed token still means the same person. Only asymmetric signatures count,
//! whatever the provider advertises, and keys named inside a token are never used.

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Alg, CoreTokenType};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl,
    Nonce, OAuth2TokenResponse, SignatureVerificationError, TokenResponse,
};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::binding::{KEY_BOUND, Possession, confirmed_key, is_key_bound, jose_types};
use super::claims::clean;
use super::person::Said;
use super::provider::{OurIdToken, Provider, Tokens};
use crate::auth::AuthError;
use crate::limits::{CLOCK_LEEWAY, PROVIDER_TEXT_CHARS_MAX, TOKEN_AGE_MAX};
use crate::net::HttpsClient;
use crate::record::{Identity, Via};

/// Signatures that only the provider can make.
pub(super) const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];

/// Why an ID token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// Not a token, or without a claim every ID token has.
    #[error("it cannot be read, or lacks one of iss, sub, aud, exp, iat")]
    Malformed,
    /// The access token beside it is of an unknown type.
    #[error("the access token beside it is neither of type Bearer nor bound to our key (DPoP)")]
    TokenType,
    /// `cnf`.
    #[error("it is tied to another key (cnf)")]
    Confirmation,
    /// `alg`.
    #[error("its signature algorithm is not accepted")]
    Algorithm,
    /// Signature.
    #[error("its signature does not hold ({0})")]
    Signature(String),
    /// No published key fits.
    #[error("none of the provider's keys fits its signature")]
    UnknownKey,
    /// `iss`.
    #[error("it comes from another issuer")]
    Issuer,
    /// `aud`.
    #[error("it was made for somebody else ({0})")]
    Audience(String),
    /// `azp`.
    #[error("it was issued to another client (azp)")]
    AuthorizedParty,
    /// `exp`.
    #[error("it has expired")]
    Expired,
    /// `nbf`.
    #[error("it is not valid yet (nbf)")]
    NotYetValid,
    /// `iat` in the future.
    #[error("it was issued in the future (iat)")]
    IssuedInFuture,
    /// `iat` too long ago for a sign-in just done.
    #[error("it was issued long before this sign-in (iat)")]
    IssuedLongAgo,
    /// `nonce`.
    #[error("it is no answer to this sign-in (nonce)")]
    Nonce,
    /// `at_hash`.
    #[error("it does not belong to the access token beside it (at_hash)")]
    AccessTokenHash,
    /// `sub` cannot be recorded as it is.
    #[error("its subject is empty, too long, or holds invisible characters")]
    Subject,
    /// A refreshed token about somebody else.
    #[error("it is about somebody else than before")]
    SubjectChanged,
    /// `hd`.
    #[error("the account is not one of {expected} (hd)")]
    HostedDomain {
        /// The domain that is configured.
        expected: String,
    },
    /// A header or encryption nobody here understands.
    #[error("it is of a kind that is not accepted ({0})")]
    Unsupported(String),
}

impl Unverified {
    /// Whether a wrong clock would explain it.
    #[must_use]
    pub const fn is_about_time(&self) -> bool {
        matches!(
            self,
            Self::Expired | Self::NotYetValid | Self::IssuedInFuture | Self::IssuedLongAgo
        )
    }
}

/// What is known beforehand about the token that comes.
pub(super) struct Expectation<'a> {
    pub(super) via: Via,
    /// The subject it must have, when the sign-in is being refreshed.
    pub(super) subject: Option<&'a str>,
    /// The nonce that was sent, and has to come back; in the device flow a provider need not know it.
    pub(super) nonce: Option<&'a str>,
    /// The key of the sign-in, and whether the token was asked for with a proof of it.
    pub(super) possession: Option<&'a Possession>,
}

impl Expectation<'_> {
    /// The key that tokens may be tied to.
    fn proven(&self) -> Option<&Possession> {
        self.possession
            .filter(|possession| possession.is_demonstrated)
    }
}

/// What is asked of whatever says who somebody is.
pub(super) struct Rules<'a> {
    pub(super) issuer: &'a IssuerUrl,
    pub(super) client_id: &'a str,
    pub(super) hosted_domain: Option<&'a str>,
    pub(super) groups_claims: &'a [String],
    pub(super) expectation: &'a Expectation<'a>,
    pub(super) now: DateTime<Utc>,
}

impl Provider<'_> {
    /// Checks the ID token of an answer and reads the identity from it.
    pub(super) async fn verified(
        &self,
        tokens: &Tokens,
        keys: CoreJsonWebKeySet,
        expectation: &Expectation<'_>,
    ) -> Result<Identity, AuthError> {
        let is_known = match tokens.token_type() {
            CoreTokenType::Bearer => true,
            // RFC 9449, section 5: only an answer to a proof can be bound to our key.
            CoreTokenType::Extension(kind) => {
                kind.eq_ignore_ascii_case("dpop") && expectation.proven().is_some()
            }
            _ => false,
        };
        if !is_known {
            return Err(AuthError::Verify(Unverified::TokenType));
        }
        let Some(token) = tokens.id_token() else {
            return Err(AuthError::NoIdToken {
                issuer: self.settings.issuer.clone(),
            });
        };
        let rules = Rules {
            issuer: &self.issuer,
            client_id: &self.settings.client_id,
            hosted_domain: self.settings.hosted_domain.as_deref(),
            groups_claims: &self.settings.groups_claims,
            expectation,
            now: Utc::now(),
        };
        let access = Some(tokens.access_token());
        let result = match check(token, access, keys, &rules) {
            // The provider may have changed keys since: one more look, then that is the answer.
            Err(Unverified::UnknownKey) => check(token, access, self.keys().await?, &rules),
            other => other,
        };
        result.map_err(|reason| blamed_on_clock(self.http, reason))
    }
}

pub(super) fn leeway() -> TimeDelta {
    TimeDelta::from_std(CLOCK_LEEWAY).unwrap_or_default()
}

fn check(
    token: &OurIdToken,
    access: Option<&AccessToken>,
    keys: CoreJsonWebKeySet,
    rules: &Rules<'_>,
) -> Result<Identity, Unverified> {
    let (now, leeway) = (rules.now, leeway());
    // Of a type of its own, and only where it was asked for with a proof.
    let text = token.to_string();
    let proven = rules.expectation.proven().filter(|_| is_key_bound(&text));
    let client_id = ClientId::new(rules.client_id.to_owned());
    // A public client even if we hold a secret: with one the crate would accept HS256.
    let verifier = IdTokenVerifier::new_public_client(client_id, rules.issuer.clone(), keys)
        .set_allowed_algs(ALGORITHMS)
        .set_other_audience_verifier_fn(|_| false)
        .set_time_fn(move || now - leeway);
    let verifier = match proven {
        None => verifier,
        Some(_) => verifier
            .set_allowed_jose_types(jose_types(&[KEY_BOUND]).map_err(Unverified::Unsupported)?),
    };
    let refreshing = rules.expectation.via == Via::Refresh;
    // A refreshed token may repeat an older one.
    let is_wish = rules.expectation.via == Via::Device;
    let nonce = |nonce: Option<&Nonce>| match (rules.expectation.nonce, nonce) {
        (Some(sent), Some(back)) if bool::from(sent.as_bytes().ct_eq(back.secret().as_bytes())) => {
            Ok(())
        }
        (None, None) => Ok(()),
        (Some(_), None) if is_wish => Ok(()),
        (None, Some(_)) if refreshing => Ok(()),
        _ => Err(String::new()),
    };
    let claims = token.claims(&verifier, nonce).map_err(crate_says)?;
    let more = &claims.additional_claims().0;
    if let Some(possession) = proven
        && confirmed_key(more) != Some(possession.key.public())
    {
        return Err(Unverified::Confirmation);
    }

    // A workload's token names the workload there (Google: the service account).
    let is_workload = rules.expectation.via == Via::Workload;
    if let Some(party) = claims.authorized_party()
        && party.as_str() != rules.client_id
        && !is_workload
    {
        return Err(Unverified::AuthorizedParty);
    }
    if !not_before_passed(more, now + leeway) {
        return Err(Unverified::NotYetValid);
    }
    if claims.issue_time() > now + leeway {
        return Err(Unverified::IssuedInFuture);
    }
    if !refreshing && claims.issue_time() < now - TOKEN_AGE_MAX {
        return Err(Unverified::IssuedLongAgo);
    }
    if let (Some(expected), Some(access)) = (claims.access_token_hash(), access) {
        let alg = token.signing_alg().map_err(signature_says)?;
        let key = token.signing_key(&verifier).map_err(signature_says)?;
        let hash = AccessTokenHash::from_token(access, alg, key);
        if hash.ok().as_ref() != Some(expected) {
            return Err(Unverified::AccessTokenHash);
        }
    }
    let said = Said {
        subject: claims.subject().as_str(),
        name: claims.name().and_then(|names| names.get(None)),
        username: claims.preferred_username(),
        email: claims.email(),
        email_verified: claims.email_verified(),
        more,
    };
    said.person(rules, claims.expiration())
}

/// Checks a token that stands alone, as workloads have them: what a person's must be, with the
/// audience in the place of the client, and neither nonce nor access token beside it.
pub(super) fn check_alone(
    token: &OurIdToken,
    keys: CoreJsonWebKeySet,
    issuer: &IssuerUrl,
    audience: &str,
    groups_claims: &[String],
    subject: Option<&str>,
) -> Result<Identity, Unverified> {
    let via = Via::Workload;
    let rules = Rules {
        issuer,
        client_id: audience,
        hosted_domain: None,
        groups_claims,
        expectation: &Expectation {
            via,
            subject,
            nonce: None,
            possession: None,
        },
        now: Utc::now(),
    };
    check(token, None, keys, &rules)
}

/// Whether the clocks explain that a token is not believed.
pub(super) fn blamed_on_clock(http: &HttpsClient, reason: Unverified) -> AuthError {
    let apart = http.clock_ahead().unwrap_or_default();
    if reason.is_about_time() && apart.abs() > leeway() {
        return AuthError::Clock {
            ahead: apart,
            reason,
        };
    }
    AuthError::Verify(reason)
}

/// `nbf` (RFC 7519, section 4.1.5): absent, or a number that is not after `latest`.
fn not_before_passed(claims: &Map<String, Value>, latest: DateTime<Utc>) -> bool {
    match claims.get("nbf") {
        None => true,
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 fit a double exactly"
        )]
        Some(value) => value
            .as_f64()
            .is_some_and(|seconds| seconds <= latest.timestamp() as f64),
    }
}

pub(super) fn crate_says(error: ClaimsVerificationError) -> Unverified {
    use ClaimsVerificationError as Claims;
    let short = |text: &str| clean(text, PROVIDER_TEXT_CHARS_MAX);
    match error {
        Claims::SignatureVerification(error) => signature_says(error),
        Claims::Expired(_) => Unverified::Expired,
        Claims::InvalidAudience(why) => Unverified::Audience(short(&why)),
        Claims::InvalidIssuer(_) => Unverified::Issuer,
        Claims::InvalidNonce(_) => Unverified::Nonce,
        Claims::InvalidSubject(_) => Unverified::Subject,
        Claims::Unsupported(why) => Unverified::Unsupported(short(&why)),
        other => Unverified::Unsupported(short(&other.to_string())),
    }
}

fn signature_says(error: SignatureVerificationError) -> Unverified {
    use SignatureVerificationError as Signature;
    let why = match error {
        Signature::NoMatchingKey => return Unverified::UnknownKey,
        // The crate's words list all that are, in random order.
        Signature::DisallowedAlg(_) => return Unverified::Algorithm,
        Signature::NoSignature => "there is none".to_owned(),
        Signature::CryptoError(why)
        | Signature::AmbiguousKeyId(why)
        | Signature::InvalidKey(why)
        | Signature::UnsupportedAlg(why) => why,
        other => other.to_string(),
    };
    Unverified::Signature(clean(&why, PROVIDER_TEXT_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SUBJECT_CHARS_MAX;
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use openidconnect::core::CoreEdDsaPrivateSigningKey;
    use openidconnect::{JsonWebKeyId, PrivateSigningKey};
    use serde_json::json;

    const ISSUER: &str = "https://idp.test";
    const NOW: i64 = 1_800_000_000;

    fn key(seed: u8) -> CoreEdDsaPrivateSigningKey {
        // RFC 8410: a fixed header before the 32 bytes of the key.
        let mut der = vec![
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ];
        der.extend([seed; 32]);
        let kind = "PRIVATE KEY";
        let text = BASE64_STANDARD.encode(der);
        let pem = format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
        let id = Some(JsonWebKeyId::new("one".to_owned()));
        CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, id).unwrap()
    }

    fn token(changes: &Value, seed: u8) -> OurIdToken {
        let mut claims = json!({
            "iss": ISSUER, "sub": "u-1", "aud": ["ddgate"], "exp": NOW + 600, "iat": NOW - 5,
            "email": "a@x.test", "email_verified": "true", "preferred_username": "al",
            "groups": ["ops", "eng"],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims = serde_json::from_value(claims).unwrap();
        OurIdToken::new(claims, &key(seed), Alg::EdDsa, Some(&access()), None).unwrap()
    }

    fn access() -> AccessToken {
        AccessToken::new("access".to_owned())
    }

    fn judge(token: &OurIdToken, via: Via, subject: Option<&str>) -> Result<Identity, Unverified> {
        let issuer = IssuerUrl::new(ISSUER.to_owned()).unwrap();
        let rules = Rules {
            issuer: &issuer,
            client_id: "ddgate",
            hosted_domain: None,
            groups_claims: &["groups".to_owned()],
            expectation: &Expectation {
                via,
                subject,
                nonce: (via != Via::Refresh).then_some("n-1"),
                possession: None,
            },
            now: DateTime::from_timestamp(NOW, 0).unwrap(),
        };
        let keys = CoreJsonWebKeySet::new(vec![key(7).as_verification_key()]);
        check(token, Some(&access()), keys, &rules)
    }

    fn fresh(changes: &Value) -> Result<Identity, Unverified> {
        judge(&token(changes, 7), Via::Device, None)
    }

    #[test]
    fn a_good_token_becomes_an_identity() {
        let identity = fresh(&json!({})).unwrap();
        assert_eq!(
            (identity.issuer.as_str(), identity.subject.as_str()),
            (ISSUER, "u-1")
        );
        assert_eq!(identity.groups, ["eng", "ops"]);
        assert_eq!(identity.email.as_deref(), Some("a@x.test"));
        assert_eq!(identity.email_verified, Some(true));
        assert_eq!(identity.name.as_deref(), Some("al"));
        assert_eq!(identity.expires.unwrap().timestamp(), NOW + 600);
    }

    #[test]
    fn the_leeway_is_a_minute_and_no_more() {
        fresh(&json!({"exp": NOW - 59})).unwrap();
        assert_eq!(fresh(&json!({"exp": NOW - 60})), Err(Unverified::Expired));
        fresh(&json!({"nbf": NOW + 60, "iat": NOW + 60})).unwrap();
        assert_eq!(
            fresh(&json!({"nbf": NOW + 61})),
            Err(Unverified::NotYetValid)
        );
        assert_eq!(
            fresh(&json!({"iat": NOW + 61})),
            Err(Unverified::IssuedInFuture)
        );
        assert_eq!(fresh(&json!({"nbf": "soon"})), Err(Unverified::NotYetValid));
    }

    #[test]
    fn what_the_crate_leaves_to_us() {
        let long = "x".repeat(SUBJECT_CHARS_MAX + 1);
        for (changes, reason) in [
            (json!({"azp": "other"}), Unverified::AuthorizedParty),
            (json!({"iat": NOW - 90_000}), Unverified::IssuedLongAgo),
            (json!({"sub": ""}), Unverified::Subject),
            (json!({"sub": long}), Unverified::Subject),
            (json!({"sub": "a\u{202e}b"}), Unverified::Subject),
            (json!({"nonce": "n"}), Unverified::Nonce),
            (json!({"nonce": "n-1 "}), Unverified::Nonce),
            (json!({"iss": "https://idp.test/"}), Unverified::Issuer),
        ] {
            assert_eq!(fresh(&changes), Err(reason), "{changes}");
        }
        for changes in [
            json!({"aud": ["other"]}),
            json!({"aud": ["ddgate", "other"]}),
        ] {
            assert!(
                matches!(fresh(&changes), Err(Unverified::Audience(_))),
                "{changes}"
            );
        }
        let other = AccessToken::new("other".to_owned());
        let claims = json!({
            "iss": ISSUER, "sub": "u-1", "aud": "ddgate", "exp": NOW + 600, "iat": NOW,
        });
        let claims = serde_json::from_value(claims).unwrap();
        let swapped = OurIdToken::new(claims, &key(7), Alg::EdDsa, Some(&other), None).unwrap();
        assert_eq!(
            judge(&swapped, Via::Device, None),
            Err(Unverified::AccessTokenHash)
        );
    }

    #[test]
    fn a_nonce_that_was_sent_has_to_come_back() {
        let browser = |changes| judge(&token(&changes, 7), Via::Browser, None);
        assert!(browser(json!({"nonce": "n-1"})).is_ok());
        for wrong in [json!({}), json!({"nonce": "n-2"}), json!({"nonce": ""})] {
            assert_eq!(browser(wrong.clone()), Err(Unverified::Nonce), "{wrong}");
        }
        // By device code it is a wish, and another one is nobody's.
        fresh(&json!({})).unwrap();
        fresh(&json!({"nonce": "n-1"})).unwrap();
    }

    #[test]
    fn a_foreign_key_under_the_right_name_is_no_key() {
        let forged = token(&json!({}), 8);
        assert!(matches!(
            judge(&forged, Via::Device, None),
            Err(Unverified::Signature(_))
        ));
    }

    #[test]
    fn a_refreshed_token_may_be_old_but_must_mean_the_same_person() {
        let old = token(&json!({"iat": NOW - 90_000, "nonce": "n"}), 7);
        assert_eq!(
            judge(&old, Via::Refresh, Some("u-1")).unwrap().via,
            Via::Refresh
        );
        let changed = judge(&old, Via::Refresh, Some("u-2"));
        assert_eq!(changed, Err(Unverified::SubjectChanged));
    }
}
