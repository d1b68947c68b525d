//! What ties the key that signs a session to the person it is for, as the first leaf states it.
//!
//! Pure words. What proves it is content behind the same leaf (`bind`), and only where contents are
//! sealed; `auth::identity::binding` makes and checks it.

use serde::{Deserialize, Serialize};

/// How a session's key is tied to the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingMethod {
    /// The provider signed an ID token that holds a key (OpenID Connect Key Binding 1.0), and that key
    /// signed the session's.
    OidcCnf,
    /// The provider signed an access token that is bound to a key (RFC 9449), and that key signed the
    /// session's.
    DpopJkt,
    /// The provider signed an ID token whose `nonce` is the hash of a key, and that key signed the
    /// session's.
    OidcNonce,
    /// Nothing ties it.
    None,
}

/// The binding of a session, in its first leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBinding {
    /// How.
    pub method: BindingMethod,
    /// SHA-256 of that token, base64url: whoever has the token can show that it was this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why not, or why it cannot be proven from the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
