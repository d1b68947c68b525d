//! Ties a session's signing key to the person: the provider's word about a key of the sign-in, and
//! that key's word about the session's.
//!
//! A sign-in makes a key. The best word that the provider gives about it counts: an ID token with the
//! key in it, an access token bound to it, an ID token that repeats its hash as `nonce`. The nonce is
//! sent in any case, in the device flow too (RFC 8628 leaves unknown parameters to the provider; those
//! that know it repeat it). The key is kept beside the refresh token, for as long as that lives, and
//! signs the key of each session. What is claimed here was judged by the check that a reader of the
//! record will use.

mod dpop;
mod evidence;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use openidconnect::core::CoreJsonWebKeySet;
use openidconnect::{OAuth2TokenResponse as _, TokenResponse as _};

use super::provider::{Provider, Tokens};
use crate::record::{BindingMethod, Secret};

pub(super) use dpop::{BOUND_KEY, Offer, Prover, TokenClient, possession};
pub use evidence::{BoundTo, Evidence, NotBound, PublishedKeys, check, check_with, token_kind};
pub(super) use evidence::{KEY_BOUND, confirmed_key, is_key_bound, jose_types};
#[cfg(test)]
pub(in crate::auth) use key::KeyKind;
pub use key::{Possession, SignInKey};

/// What ties a person to the sessions of a sign-in, or why nothing does.
#[derive(Clone, Debug)]
pub enum Binding {
    /// The provider's word about a key.
    Bound(Evidence),
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
    /// It bound its tokens to the key, in a way that only it can read.
    #[error(
        "the identity provider bound its tokens to the key of the sign-in, but nobody else can see \
         that: its access tokens are no JWTs about this person and key, and the ID token names none"
    )]
    Opaque,
}

/// What an answer's tokens tie to the key of the sign-in, for the person `subject`.
pub(super) fn binding(
    provider: &Provider<'_>,
    tokens: &Tokens,
    keys: &CoreJsonWebKeySet,
    possession: Option<&Possession>,
    subject: &str,
) -> Binding {
    let is_signed = tokens.id_token().is_some();
    let Some(possession) = possession else {
        return Binding::Unbound(match is_signed {
            true => Unbound::NoKey,
            false => Unbound::NotSigned,
        });
    };
    let id_token = tokens.id_token().map(ToString::to_string);
    let access_token = possession
        .is_demonstrated
        .then(|| tokens.access_token().secret().clone());
    let words = [
        (BindingMethod::OidcCnf, id_token.clone()),
        (BindingMethod::DpopJkt, access_token),
        (BindingMethod::OidcNonce, id_token),
    ];
    let jwks = serde_json::to_value(keys).unwrap_or_default();
    let evidence = words.into_iter().filter_map(|(method, token)| {
        let evidence = Evidence {
            method,
            issuer: provider.settings.issuer.clone(),
            client_id: provider.settings.client_id.clone(),
            token: Secret::new(token?),
            jwks: jwks.clone(),
            key: Arc::clone(&possession.key),
        };
        // Judged as it will be later: what would not convince then is not claimed now.
        let proof = evidence.proof("");
        let judged = check(proof.expose().as_bytes(), "", chrono::Utc::now()).ok()?;
        (judged.subject == subject).then_some(evidence)
    });
    match evidence.into_iter().next() {
        Some(evidence) => Binding::Bound(evidence),
        None if !is_signed => Binding::Unbound(Unbound::NotSigned),
        None if possession.is_demonstrated => Binding::Unbound(Unbound::Opaque),
        None => Binding::Unbound(Unbound::NoNonce),
    }
}
