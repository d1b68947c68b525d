//! The screens of a sign-in: address, and code (RFC 8628 section 3.3), first and always, before any
//! browser. Text only; waiting is [`super::Progress`], Enter is [`super::enter`], the rest `auth`'s.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::record::Identity;

use super::escape::escape;
use super::people;
use super::qr;
use super::style::{Look, Tone};

/// What the provider wants the person to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeviceCode<'a> {
    /// The code to enter.
    pub user_code: &'a str,
    /// The address to open.
    pub verification_uri: &'a str,
    /// The same with the code in it, if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<&'a str>,
    /// How long the code lives, in whole seconds.
    #[serde(serialize_with = "whole_seconds")]
    pub expires_in: Duration,
}

fn whole_seconds<S: serde::Serializer>(life: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(life.as_secs())
}

impl DeviceCode<'_> {
    /// Renders the screen. `can_open` says whether Enter will open a browser here.
    #[must_use]
    pub fn screen(&self, can_open: bool, look: &Look) -> String {
        let uri = escape(self.verification_uri);
        let code = look.paint(Tone::Strong, &escape(self.user_code));
        let life = format!("(expires in {})", whole(self.expires_in));
        let life = look.paint(Tone::Dim, &life);
        let mut text = format!("to sign in, open    {uri}\nand enter the code  {code}  {life}\n");
        if let Some(complete) = self.verification_uri_complete {
            let check = look.paint(Tone::Dim, "(check that the page shows this code)");
            text.push_str(&format!(
                "or open             {}  {check}\n",
                escape(complete)
            ));
        }
        text.push_str(if can_open {
            "press Enter to open the browser, or use any device; Ctrl-C cancels\n"
        } else {
            "use any device; Ctrl-C cancels\n"
        });
        text
    }

    /// Draws the address with the code in it, else the address alone, for a telephone.
    #[must_use]
    pub fn qr(&self, look: &Look) -> Option<String> {
        let address = self.verification_uri_complete;
        qr::draw(address.unwrap_or(self.verification_uri), look)
    }

    /// Renders the event for programs that drive ddgate:
    /// `{"event": "device_code", "user_code", "verification_uri", "verification_uri_complete"?,
    /// "expires_in"}`, one line.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Event<'a> {
            event: &'static str,
            #[serde(flatten)]
            code: &'a DeviceCode<'a>,
        }
        super::json::line(&Event {
            event: "device_code",
            code: self,
        })
    }
}

/// Where the person goes to sign in with a browser on this machine.
#[derive(Clone, Copy, Debug)]
pub struct BrowserAddress<'a> {
    /// The address to open.
    pub url: &'a str,
    /// The loopback port the browser is sent back to.
    pub port: u16,
    /// Whether the person is on another machine (SSH).
    pub is_remote: bool,
}

impl BrowserAddress<'_> {
    /// Renders the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        let mut text = format!(
            "to sign in, open    {}\nin a browser on this machine; Ctrl-C cancels\n",
            escape(self.url)
        );
        if self.is_remote {
            text.push_str(&format!(
                "this is an SSH session, and the browser comes back to port {port} of the machine \
                 ddgate runs on: connect with `ssh -L {port}:127.0.0.1:{port} …` as well, or sign in \
                 with a code instead: --device\n",
                port = self.port
            ));
        }
        text
    }
}

/// How long a sign-in lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// Until the provider ends it, in this place.
    In(&'a str),
    /// For this run, and why not longer.
    ThisRun(&'a str),
}

/// Renders the good end: who, until when the token is good, and how long the sign-in lasts.
#[must_use]
pub fn signed_in(
    who: &Identity,
    until: Option<DateTime<Utc>>,
    kept: Kept<'_>,
    look: &Look,
) -> String {
    let tick = look.paint(Tone::Good, "✓");
    let name = look.paint(Tone::Strong, &people::short(Some(who), look.missing));
    let mut text = format!("{tick} signed in as {name}");
    if let Some(groups) = people::groups(who) {
        text.push_str(&format!(" (groups: {groups})"));
    }
    text.push_str(&format!(" at {}", escape(&who.issuer)));
    if let Some(until) = until {
        text.push_str(&format!(", until {}", look.moment(until, "%H:%M %:z")));
    }
    match kept {
        Kept::In(place) => text.push_str(&format!("; kept in {}\n", escape(place))),
        Kept::ThisRun(why) => {
            text.push_str("\nthis sign-in is for this run only: ");
            text.push_str(&escape(why));
            text.push('\n');
        }
    }
    text
}

/// `10 min`, `45 s`.
fn whole(life: Duration) -> String {
    match life.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::replay::sample::{alice, os_user};

    const CODE: DeviceCode<'static> = DeviceCode {
        user_code: "ABCD-EFGH",
        verification_uri: "https://idp.example/device",
        verification_uri_complete: None,
        expires_in: Duration::from_secs(600),
    };

    #[test]
    fn address_and_code_come_first() {
        insta::assert_snapshot!(CODE.screen(true, &test_look()), @r"
        to sign in, open    https://idp.example/device
        and enter the code  ABCD-EFGH  (expires in 10 min)
        press Enter to open the browser, or use any device; Ctrl-C cancels
        ");
    }

    #[test]
    fn the_complete_address_is_offered_with_a_warning() {
        let code = DeviceCode {
            verification_uri_complete: Some("https://idp.example/device?user_code=ABCD-EFGH"),
            expires_in: Duration::from_secs(90),
            ..CODE
        };
        insta::assert_snapshot!(code.screen(false, &test_look()), @r"
        to sign in, open    https://idp.example/device
        and enter the code  ABCD-EFGH  (expires in 90 s)
        or open             https://idp.example/device?user_code=ABCD-EFGH  (check that the page shows this code)
        use any device; Ctrl-C cancels
        ");
        insta::assert_snapshot!(code.json(), @r#"{"event":"device_code","user_code":"ABCD-EFGH","verification_uri":"https://idp.example/device","verification_uri_complete":"https://idp.example/device?user_code=ABCD-EFGH","expires_in":90}"#);
    }

    #[test]
    fn a_browser_elsewhere_needs_a_way_back() {
        let mut address = BrowserAddress {
            url: "https://idp.example/auth?x=1",
            port: 4711,
            is_remote: false,
        };
        insta::assert_snapshot!(address.screen(), @r"
        to sign in, open    https://idp.example/auth?x=1
        in a browser on this machine; Ctrl-C cancels
        ");
        address.is_remote = true;
        assert!(address.screen().contains("ssh -L 4711:127.0.0.1:4711"));
    }

    #[test]
    fn a_hostile_provider_cannot_draw() {
        let code = DeviceCode {
            user_code: "A\x1b[2J\nB",
            ..CODE
        };
        let screen = code.screen(false, &test_look());
        assert_eq!(screen.lines().count(), 3);
        assert!(!screen.contains('\x1b'));
        assert!(!code.json().trim_end().contains(['\x1b', '\n']));
    }

    #[test]
    fn the_end_says_who_until_when_and_where() {
        let who = alice();
        insta::assert_snapshot!(signed_in(&who, who.expires, Kept::In("the system keyring"), &test_look()), @"✓ signed in as alice@example.com (groups: eng, oncall) at https://idp.example, until 11:00 +02:00; kept in the system keyring");
        insta::assert_snapshot!(signed_in(&os_user(), None, Kept::ThisRun("no keyring answers"), &test_look()), @r"
        ✓ signed in as alice (unverified) at local:laptop
        this sign-in is for this run only: no keyring answers
        ");
    }
}
