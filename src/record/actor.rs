//! Who acts: the identity that opened the session, and how it was established.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::workload::Workload;

/// How an identity came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// OAuth 2.0 Device Authorization Grant (RFC 8628) with a verified ID token.
    Device,
    /// OAuth 2.0 authorization code with PKCE and a loopback redirect (RFC 7636, 8252), with a
    /// verified ID token.
    Browser,
    /// A refreshed sign-in (OpenID Connect Core 12) with a verified ID token.
    Refresh,
    /// A refreshed sign-in without an ID token: the provider's userinfo endpoint (OpenID Connect Core
    /// 5.3) said that it is the same subject. Nobody signed that.
    Userinfo,
    /// A verified token that a CI system or a cloud gave to a workload: no person.
    Workload,
    /// The operating system's user name: nobody verified it.
    Local,
}

impl Via {
    /// Whether an identity provider vouched for the identity.
    #[must_use]
    pub const fn is_verified(self) -> bool {
        !matches!(self, Self::Local)
    }
}

/// A person (or workload). The key is (`issuer`, `subject`); everything else is a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `iss` of the ID token, or `local:<host name>` for [`Via::Local`].
    pub issuer: String,
    /// `sub` of the ID token, or the OS user name.
    pub subject: String,
    /// Display name, if the provider sent one; of a workload, what it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address, if sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `email_verified`, if sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Group names, sorted.
    #[serde(default)]
    pub groups: Vec<String>,
    /// True when the provider holds more groups than the token shows.
    #[serde(default)]
    pub groups_incomplete: bool,
    /// How it was established.
    pub via: Via,
    /// `exp` of the ID token; where there is none, when the access token ends, and at most an hour
    /// after it was confirmed; none for [`Via::Local`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
    /// What it is, where it is no person: for [`Via::Workload`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

impl Identity {
    /// The short label people know somebody by: e-mail, else name, else subject.
    #[must_use]
    pub fn label(&self) -> &str {
        self.email
            .as_deref()
            .or(self.name.as_deref())
            .unwrap_or(&self.subject)
    }
}
