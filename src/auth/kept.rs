//! What is kept of a sign-in between runs: one refresh token, the sign-in's key, and what to call its
//! owner.
//!
//! Small, since Windows takes 2,560 bytes a credential: labels that do not fit beside the token are
//! left out, never the token. No ID token and no access token is ever in it. Who may use it when is
//! for `session`.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::identity::Possession;
use super::identity::binding::SignInKey;
use crate::limits::{KEPT_BYTES_MAX, REFRESH_AT_SHARE};
use crate::record::{Identity, Secret, Via};

/// Who a stored sign-in belongs to, as far as can be said without asking the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `sub` of the person who signed in.
    pub subject: String,
    /// Their name, if the provider sent one.
    pub name: Option<String>,
    /// Their e-mail address, if sent.
    pub email: Option<String>,
    /// Whether the provider vouches for that address, if it said so.
    pub email_verified: Option<bool>,
    /// Groups of theirs, as of the last renewal.
    pub groups: Vec<String>,
    /// True when there are more than these.
    pub groups_incomplete: bool,
    /// Whether it was the userinfo endpoint that said so: nobody signed it.
    pub by_userinfo: bool,
    /// When the stored token was last renewed.
    pub renewed: DateTime<Utc>,
    /// When the identity that was verified then expires, to ten seconds. None of a sign-in that an
    /// older ddgate kept.
    pub expires: Option<DateTime<Utc>>,
}

impl Stored {
    /// The short label people know somebody by: e-mail, else name, else subject.
    #[must_use]
    pub fn label(&self) -> &str {
        let label = self.email.as_deref().or(self.name.as_deref());
        label.unwrap_or(&self.subject)
    }

    /// When a run that is under way renews it: after [`REFRESH_AT_SHARE`] of its life. A run that begins
    /// renews it at once.
    #[must_use]
    pub fn next_refresh(&self) -> Option<DateTime<Utc>> {
        let life = (self.expires? - self.renewed).to_std().ok()?;
        let wait = TimeDelta::from_std(life.mul_f64(REFRESH_AT_SHARE)).ok()?;
        Some(self.renewed + wait)
    }
}

/// What is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    v: u32,
    pub(super) rt: String,
    at: i64,
    pub(super) sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more_groups: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_userinfo: bool,
    /// Seconds from `at` to the identity's end. Not the end itself: that changes with every renewal,
    /// and would be a second write to the keyring each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    life: Option<i64>,
    /// The key of the sign-in, where the provider vouches for it, or ties its tokens to it (see
    /// `identity::binding`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The token may be worth nothing without that key (RFC 9449).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dpop: bool,
}

/// The key of a sign-in is not what was kept.
#[derive(Debug)]
pub(super) struct KeyLost;

const VERSION: u32 = 1;
/// Lives are rounded to this, in seconds: a renewal takes a moment more or less.
const LIFE_STEP: i64 = 10;

impl Drop for Kept {
    fn drop(&mut self) {
        self.rt.zeroize();
        self.key.zeroize();
    }
}

impl Kept {
    pub(super) fn of(identity: &Identity, token: &Secret<String>) -> Self {
        let now = Utc::now();
        let life = |end: DateTime<Utc>| {
            let seconds = (end - now).num_seconds() + LIFE_STEP / 2;
            (seconds / LIFE_STEP * LIFE_STEP).max(0)
        };
        let mut kept = Self {
            v: VERSION,
            rt: token.expose().clone(),
            at: now.timestamp(),
            sub: identity.subject.clone(),
            name: identity.name.clone(),
            email: identity.email.clone(),
            email_verified: identity.email_verified,
            groups: identity.groups.clone(),
            more_groups: identity.groups_incomplete,
            by_userinfo: identity.via == Via::Userinfo,
            life: identity.expires.map(life),
            key: None,
            dpop: false,
        };
        kept.fit();
        kept
    }

    /// The same person with a new token.
    pub(super) fn with(&self, token: &Secret<String>) -> Self {
        let mut kept = Self {
            v: VERSION,
            rt: token.expose().clone(),
            at: Utc::now().timestamp(),
            sub: self.sub.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            email_verified: self.email_verified,
            groups: self.groups.clone(),
            more_groups: self.more_groups,
            by_userinfo: self.by_userinfo,
            life: self.life,
            key: self.key.clone(),
            dpop: self.dpop,
        };
        kept.fit();
        kept
    }

    /// The same with the key of the sign-in.
    pub(super) fn keyed(mut self, possession: Option<&Possession>) -> Self {
        self.key = possession.map(|held| held.key.text().expose().clone());
        self.dpop = possession.is_some_and(|held| held.is_demonstrated);
        self.fit();
        self
    }

    /// The key of the sign-in, if one was kept.
    pub(super) fn possession(&self) -> Result<Option<Possession>, KeyLost> {
        let key = self.key.as_deref().and_then(SignInKey::read);
        match key {
            None if self.dpop => Err(KeyLost),
            key => Ok(key.map(|key| Possession {
                key: Arc::new(key),
                is_demonstrated: self.dpop,
            })),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let kept: Self = serde_json::from_str(text).ok()?;
        (kept.v == VERSION && !kept.rt.is_empty()).then_some(kept)
    }

    /// The text to keep.
    pub(super) fn text(&self) -> Option<Secret<String>> {
        serde_json::to_string(self).ok().map(Secret::new)
    }

    /// Whether somebody who looks at the two is told the same about the person.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let labels = |kept: &Self| {
            (
                kept.sub.clone(),
                kept.name.clone(),
                kept.email.clone(),
                kept.email_verified,
                kept.groups.clone(),
                (kept.more_groups, kept.by_userinfo),
                kept.life,
            )
        };
        labels(self) == labels(other)
    }

    pub(super) fn who(&self) -> Stored {
        let renewed = DateTime::from_timestamp(self.at, 0).unwrap_or_default();
        Stored {
            subject: self.sub.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            email_verified: self.email_verified,
            groups: self.groups.clone(),
            groups_incomplete: self.more_groups,
            by_userinfo: self.by_userinfo,
            renewed,
            expires: self
                .life
                .and_then(TimeDelta::try_seconds)
                .and_then(|life| renewed.checked_add_signed(life)),
        }
    }

    /// Leaves out what there is no room for: groups from the end, then the name, the address, and the
    /// key, unless the token is worth nothing without it.
    fn fit(&mut self) {
        let size = |kept: &Self| {
            let text = serde_json::to_vec(kept).map(Zeroizing::new);
            text.map_or(usize::MAX, |text| text.len())
        };
        while size(self) > KEPT_BYTES_MAX {
            if self.groups.pop().is_some() {
                self.more_groups = true;
            } else if self.name.take().is_none() {
                if self.email.take().is_some() {
                    self.email_verified = None;
                } else if self.dpop || self.key.take().is_none() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::binding::KeyKind;
    use super::*;

    fn person(groups: usize) -> Identity {
        Identity {
            issuer: "https://idp.test".to_owned(),
            subject: "u-1".to_owned(),
            name: Some("Alice".to_owned()),
            email: Some("alice@x.test".to_owned()),
            email_verified: Some(true),
            groups: (0..groups).map(|n| format!("group-{n:04}")).collect(),
            groups_incomplete: false,
            via: Via::Device,
            expires: Some(Utc::now() + TimeDelta::seconds(3600)),
            workload: None,
        }
    }

    #[test]
    fn what_is_kept_reads_back() {
        let token = Secret::new("r".repeat(1200));
        let kept = Kept::of(&person(3), &token);
        let text = kept.text().unwrap();
        let read = Kept::read(text.expose()).unwrap();
        assert_eq!(read.rt, *token.expose());
        assert!(read.says_the_same(&kept));
        let who = read.who();
        assert_eq!(who.label(), "alice@x.test");
        assert_eq!(who.groups.len(), 3);
        assert!(!who.groups_incomplete);
        assert_eq!((who.expires.unwrap() - who.renewed).num_seconds(), 3600);
        let refresh = who.next_refresh().unwrap() - who.renewed;
        assert_eq!(refresh.num_seconds(), 2880);
        let renewed = kept.with(&Secret::new("other".to_owned()));
        assert!(renewed.says_the_same(&kept));
    }

    #[test]
    fn labels_make_room_for_the_token() {
        for (bytes, groups) in [(1200, 1000), (2400, 3), (2450, 0)] {
            let token = Secret::new("r".repeat(bytes));
            let kept = Kept::of(&person(groups), &token);
            let text = kept.text().unwrap();
            assert!(
                text.expose().len() <= KEPT_BYTES_MAX,
                "{bytes}: {}",
                text.expose().len()
            );
            let who = Kept::read(text.expose()).unwrap().who();
            assert_eq!(who.groups_incomplete, groups > 0, "{bytes}");
            assert_eq!(who.subject, "u-1");
        }
        // Too much all by itself: nothing of the token is ever cut.
        let token = Secret::new("r".repeat(4000));
        assert_eq!(Kept::of(&person(1), &token).rt.len(), 4000);
    }

    #[test]
    fn a_key_that_the_token_is_tied_to_stays_with_it() {
        let key = Arc::new(SignInKey::generate(KeyKind::P256).unwrap());
        for (is_demonstrated, bytes, stays) in [
            (false, 1200, true),
            (true, 1200, true),
            (false, 2450, false),
            (true, 2450, true),
            (true, 4000, true),
        ] {
            let possession = Possession {
                key: Arc::clone(&key),
                is_demonstrated,
            };
            let kept = Kept::of(&person(3), &Secret::new("r".repeat(bytes)));
            let kept = kept.keyed(Some(&possession));
            for kept in [kept.with(&Secret::new("n".repeat(bytes))), kept] {
                let read = Kept::read(kept.text().unwrap().expose()).unwrap();
                let held = read.possession().unwrap();
                assert_eq!(held.is_some(), stays, "{is_demonstrated} {bytes}");
                if let Some(held) = held {
                    assert_eq!(held.is_demonstrated, is_demonstrated);
                    assert_eq!(held.key.nonce(), key.nonce());
                }
            }
        }
        let lost = r#"{"v":1,"rt":"x","at":0,"sub":"s","dpop":true}"#;
        assert!(Kept::read(lost).unwrap().possession().is_err());
    }

    #[test]
    fn what_an_older_ddgate_kept_is_understood() {
        let kept = Kept::read(r#"{"v":1,"rt":"x","at":0,"sub":"s","email":"a@x"}"#).unwrap();
        assert_eq!(kept.who().expires, None);
        assert_eq!(kept.who().next_refresh(), None);
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        for text in [
            "",
            "plain-token",
            r#"{"v":2,"rt":"x","at":0,"sub":"s"}"#,
            r#"{"v":1,"rt":"","at":0,"sub":"s"}"#,
        ] {
            assert!(Kept::read(text).is_none(), "{text}");
        }
    }
}
