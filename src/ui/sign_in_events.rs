//! A sign-in as events, for editors and other programs that drive `ddgate login --json`: one JSON
//! object a line on standard output, each with its `event`. The device code's own is in `sign_in`.
//!
//! No event holds a token. What a provider says was cleaned before; [`super::json`] escapes the rest.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::sign_in::Kept;
use crate::error::CliError;
use crate::record::Identity;

/// `{"event": "authorization_url", "url", "expires_in"}`: open this on the machine ddgate runs on.
#[must_use]
pub fn authorization_url(url: &str, expires_in: Duration) -> String {
    #[derive(Serialize)]
    struct Event<'a> {
        event: &'static str,
        url: &'a str,
        expires_in: u64,
    }
    super::json::line(&Event {
        event: "authorization_url",
        url,
        expires_in: expires_in.as_secs(),
    })
}

/// `{"event": "trouble", "message"}`: it goes on all the same.
#[must_use]
pub fn trouble(message: &str) -> String {
    #[derive(Serialize)]
    struct Event<'a> {
        event: &'static str,
        message: &'a str,
    }
    super::json::line(&Event {
        event: "trouble",
        message,
    })
}

/// `{"event": "signed_in", "issuer", "subject", "name", "email", "email_verified", "groups",
/// "groups_incomplete", "expires", "kept_in", "this_run_only"}`: the good end. Of the last two, one
/// is null: the place the sign-in is kept in, or why it is not kept.
#[must_use]
pub fn signed_in(who: &Identity, kept: Kept<'_>) -> String {
    #[derive(Serialize)]
    struct Event<'a> {
        event: &'static str,
        issuer: &'a str,
        subject: &'a str,
        name: Option<&'a str>,
        email: Option<&'a str>,
        email_verified: Option<bool>,
        groups: &'a [String],
        groups_incomplete: bool,
        #[serde(serialize_with = "super::json::serialize_optional_time")]
        expires: Option<DateTime<Utc>>,
        kept_in: Option<&'a str>,
        this_run_only: Option<&'a str>,
    }
    let (kept_in, this_run_only) = match kept {
        Kept::In(place) => (Some(place), None),
        Kept::ThisRun(why) => (None, Some(why)),
    };
    super::json::line(&Event {
        event: "signed_in",
        issuer: &who.issuer,
        subject: &who.subject,
        name: who.name.as_deref(),
        email: who.email.as_deref(),
        email_verified: who.email_verified,
        groups: &who.groups,
        groups_incomplete: who.groups_incomplete,
        expires: who.expires,
        kept_in,
        this_run_only,
    })
}

/// `{"event": "failed", "message", "causes": [], "hints": [], "exit"}`: the bad end; `exit` is the
/// exit status that follows.
#[must_use]
pub fn failed(error: &CliError) -> String {
    #[derive(Serialize)]
    struct Event<'a> {
        event: &'static str,
        message: &'a str,
        causes: &'a [String],
        hints: &'a [String],
        exit: u8,
    }
    super::json::line(&Event {
        event: "failed",
        message: &error.message,
        causes: &error.causes,
        hints: &error.hints,
        exit: error.exit.code(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::replay::sample::alice;

    #[test]
    fn each_event_is_one_line() {
        insta::assert_snapshot!(authorization_url("https://idp.example/auth", Duration::from_secs(600)), @r#"{"event":"authorization_url","url":"https://idp.example/auth","expires_in":600}"#);
        insta::assert_snapshot!(trouble("no route"), @r#"{"event":"trouble","message":"no route"}"#);
        insta::assert_snapshot!(signed_in(&alice(), Kept::In("the system keyring")), @r#"{"event":"signed_in","issuer":"https://idp.example","subject":"u-1","name":"Alice","email":"alice@example.com","email_verified":true,"groups":["eng","oncall"],"groups_incomplete":false,"expires":"2027-01-15T09:00:00.000000Z","kept_in":"the system keyring","this_run_only":null}"#);
        let error =
            CliError::new(Exit::NotSignedIn, "the sign-in was denied\x1b[2J").hint("try again");
        insta::assert_snapshot!(failed(&error), @r#"{"event":"failed","message":"the sign-in was denied\u001b[2J","causes":[],"hints":["try again"],"exit":3}"#);
    }
}
