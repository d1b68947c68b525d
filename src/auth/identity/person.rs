//! From what a provider says of a person to what is recorded of them: one reader for ID tokens and
//! for answers of its userinfo endpoint.
//!
//! Invariant: a subject is taken as it came or not at all, and it is the one that is expected; every
//! other text is cleaned. Whether the words are the provider's own was seen to before.

use chrono::{DateTime, Utc};
use openidconnect::{EndUserEmail, EndUserName, EndUserUsername};
use serde_json::{Map, Value};

use super::claims::{clean, groups, is_hidden};
use super::verify::{Rules, Unverified};
use crate::limits::{LABEL_CHARS_MAX, SUBJECT_CHARS_MAX};
use crate::record::Identity;

/// What was said of a person.
pub(super) struct Said<'a> {
    pub(super) subject: &'a str,
    pub(super) name: Option<&'a EndUserName>,
    pub(super) username: Option<&'a EndUserUsername>,
    pub(super) email: Option<&'a EndUserEmail>,
    pub(super) email_verified: Option<bool>,
    /// Claims that the standard does not name.
    pub(super) more: &'a Map<String, Value>,
}

impl Said<'_> {
    /// The person, until then.
    pub(super) fn person(
        &self,
        rules: &Rules<'_>,
        expires: DateTime<Utc>,
    ) -> Result<Identity, Unverified> {
        // Of whoever this is about, nothing else is looked at first (OpenID Connect Core, section 5.3.2).
        let expected = rules.expectation.subject;
        if expected.is_some_and(|old| old != self.subject) {
            return Err(Unverified::SubjectChanged);
        }
        if let Some(expected) = rules.hosted_domain
            && self.more.get("hd").and_then(Value::as_str) != Some(expected)
        {
            // A consumer account has no `hd` at all: that is refused as well.
            return Err(Unverified::HostedDomain {
                expected: expected.to_owned(),
            });
        }
        // Cleaning it would let two people share one key in the record.
        if self.subject.is_empty()
            || self.subject.chars().nth(SUBJECT_CHARS_MAX).is_some()
            || self.subject.chars().any(is_hidden)
        {
            return Err(Unverified::Subject);
        }
        let label = |text: &str| Some(clean(text, LABEL_CHARS_MAX)).filter(|text| !text.is_empty());
        let name = self.name.and_then(|name| label(name.as_str()));
        let (groups, groups_incomplete) = groups(self.more, rules.groups_claims);
        Ok(Identity {
            issuer: rules.issuer.to_string(),
            subject: self.subject.to_owned(),
            name: name.or_else(|| label(self.username?.as_str())),
            email: self.email.and_then(|email| label(email.as_str())),
            email_verified: self.email_verified,
            groups,
            groups_incomplete,
            via: rules.expectation.via,
            expires: Some(expires),
            workload: None,
        })
    }
}
