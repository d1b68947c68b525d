//! What becomes of a session's identity while the session runs: verified again, or lapsed.
//!
//! Pure words, shared by the leaves, the settings and the gate. Who decides is `auth::standing`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::actor::{Identity, Via};
use super::event::Commitment;

/// The rule of calls that come while the identity has lapsed, refused or not.
pub const LAPSED_RULE: &str = "identity-lapsed";

/// What becomes of calls while the identity has lapsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLapse {
    /// They are refused.
    #[default]
    Refuse,
    /// They go on, and the record says that nobody vouched for who made them.
    RecordUnverified,
}

impl OnLapse {
    /// As settings and leaves spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::RecordUnverified => "record-unverified",
        }
    }
}

/// Why an identity no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LapseReason {
    /// Its token has expired and there was no newer one.
    Expired,
    /// The sign-in was ended, here or at the identity provider.
    SignedOut,
    /// Somebody else is signed in now.
    AnotherPerson,
    /// Whoever it is no longer meets what the settings require.
    NotAdmitted,
    /// Whoever it is left the groups that the session's credential is for.
    CredentialLost,
    /// The session has had it for as long as the settings let it.
    MaxSession,
}

impl LapseReason {
    /// Whether it is known who it is, and that they may not go on.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::NotAdmitted | Self::CredentialLost)
    }

    /// What becomes of calls, where the settings say this: an identity that nobody vouches for may be
    /// let go on, one that is known to have lost its right is not.
    #[must_use]
    pub const fn calls(self, settings: OnLapse) -> OnLapse {
        match self.is_refusal() {
            true => OnLapse::Refuse,
            false => settings,
        }
    }
}

impl fmt::Display for LapseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it expired and could not be verified again",
            Self::SignedOut => "the sign-in was ended",
            Self::AnotherPerson => "somebody else is signed in now",
            Self::NotAdmitted => "it no longer meets what the settings require",
            Self::CredentialLost => {
                "it is in no group any more that this session's credential is for"
            }
            Self::MaxSession => "it was held for as long as identity.max_session lets it",
        })
    }
}

/// `identity.refresh`: the person was verified again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRefresh {
    /// Commitment to the identity as it is now (JSON of [`Identity`]).
    pub who: Commitment,
    /// How it was verified.
    pub via: Via,
    /// When it was verified, by this machine's clock.
    pub verified_at: DateTime<Utc>,
    /// `exp` of the token that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
    /// What is not as it was before: `name`, `email`, `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Whether it had lapsed before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

/// `identity.lapse`: from here to the next `identity.refresh` nobody vouches for who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityLapse {
    /// Why.
    pub why: LapseReason,
    /// What becomes of calls.
    pub calls: OnLapse,
}

/// Names what a newer identity says otherwise about the same person.
#[must_use]
pub fn changes(before: &Identity, now: &Identity) -> Vec<String> {
    let email = |who: &Identity| (who.email.clone(), who.email_verified);
    let groups = |who: &Identity| (who.groups.clone(), who.groups_incomplete);
    let differs = [
        ("email", email(before) != email(now)),
        ("groups", groups(before) != groups(now)),
        ("name", before.name != now.name),
    ];
    let changed = differs.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_a_change() {
        let before = Identity {
            workload: None,
            issuer: "https://idp.test".into(),
            subject: "u-1".into(),
            name: None,
            email: Some("a@x.test".into()),
            email_verified: Some(true),
            groups: vec!["eng".into()],
            groups_incomplete: false,
            via: Via::Device,
            expires: None,
        };
        let renewed = Identity {
            via: Via::Refresh,
            expires: Some(Utc::now()),
            ..before.clone()
        };
        assert!(changes(&before, &renewed).is_empty());
        let other = Identity {
            email_verified: Some(false),
            groups_incomplete: true,
            name: Some("A".into()),
            ..before.clone()
        };
        assert_eq!(changes(&before, &other), ["email", "groups", "name"]);
    }
}
