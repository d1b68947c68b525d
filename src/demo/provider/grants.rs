//! The provider's memory: device codes on their way to approval, and refresh tokens.
//!
//! A pure state machine: time and random codes come from the caller. Bounded: beyond
//! `limits::DEMO_GRANTS_MAX` the oldest are forgotten. It knows nothing of HTTP.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits;

/// How long the provider's promises hold. The defaults suit the demo; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A device code, from issue to expiry.
    pub device_code: Duration,
    /// The least time between two polls; whole seconds (RFC 8628 3.2).
    pub poll_interval: Duration,
    /// An ID token and the access token beside it.
    pub id_token: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            device_code: Duration::from_secs(600),
            poll_interval: Duration::from_secs(1),
            id_token: Duration::from_secs(3600),
        }
    }
}

/// Why a token request is refused; the names are those of RFC 6749 5.2 and RFC 8628 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    AuthorizationPending,
    SlowDown,
    AccessDenied,
    ExpiredToken,
    InvalidGrant,
    InvalidRequest,
    InvalidClient,
    InvalidScope,
    UnsupportedGrantType,
}

impl Refusal {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }
}

/// What a person granted: once, in one sign-in, whose refresh tokens form one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) scope: String,
    pub(super) family: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Pending,
    Approved,
    Denied,
}

struct Device {
    device_code: String,
    user_code: String,
    grant: Grant,
    status: Status,
    interval: Duration,
    polled: Option<Instant>,
    expires: Instant,
}

struct Refresh {
    token: String,
    grant: Grant,
    spent: bool,
}

#[derive(Default)]
pub(super) struct Grants {
    devices: VecDeque<Device>,
    refresh: VecDeque<Refresh>,
    families: u64,
}

impl Grants {
    /// Begins a sign-in.
    pub(super) fn begin(
        &mut self,
        device_code: String,
        user_code: String,
        scope: String,
        lifetimes: &Lifetimes,
        now: Instant,
    ) {
        self.families += 1;
        let device = Device {
            device_code,
            user_code,
            grant: Grant {
                scope,
                family: self.families,
            },
            status: Status::Pending,
            interval: lifetimes.poll_interval,
            polled: None,
            expires: now + lifetimes.device_code,
        };
        push(&mut self.devices, device);
    }

    /// Whether somebody may still decide about `user_code`, however it is typed.
    pub(super) fn awaits(&self, user_code: &str, now: Instant) -> bool {
        let typed = letters(user_code);
        self.devices
            .iter()
            .any(|device| device.may_be_decided(&typed, now))
    }

    /// Records the person's decision; false when there is nothing to decide.
    pub(super) fn decide(&mut self, user_code: &str, approve: bool, now: Instant) -> bool {
        let typed = letters(user_code);
        let mut devices = self.devices.iter_mut();
        let Some(device) = devices.find(|device| device.may_be_decided(&typed, now)) else {
            return false;
        };
        device.status = if approve {
            Status::Approved
        } else {
            Status::Denied
        };
        true
    }

    /// Answers one poll (RFC 8628 3.4, 3.5). A code is redeemed once.
    pub(super) fn poll(&mut self, device_code: &str, now: Instant) -> Result<Grant, Refusal> {
        let mut devices = self.devices.iter_mut().enumerate();
        let Some((index, device)) = devices.find(|(_, d)| d.device_code == device_code) else {
            return Err(Refusal::InvalidGrant);
        };
        if now >= device.expires {
            return Err(Refusal::ExpiredToken);
        }
        let last = device.polled.replace(now);
        match device.status {
            Status::Denied => Err(Refusal::AccessDenied),
            Status::Pending if last.is_some_and(|last| now < last + device.interval) => {
                // RFC 8628 3.5: the interval grows by 5 seconds for this and all later polls.
                device.interval += Duration::from_secs(5);
                Err(Refusal::SlowDown)
            }
            Status::Pending => Err(Refusal::AuthorizationPending),
            Status::Approved => self
                .devices
                .remove(index)
                .map(|device| device.grant)
                .ok_or(Refusal::InvalidGrant),
        }
    }

    /// Keeps a refresh token that was issued for `grant`.
    pub(super) fn keep_refresh(&mut self, token: String, grant: Grant) {
        let refresh = Refresh {
            token,
            grant,
            spent: false,
        };
        push(&mut self.refresh, refresh);
    }

    /// Spends a refresh token. One that was spent before ends its whole family (RFC 9700 4.14).
    pub(super) fn spend_refresh(&mut self, token: &str) -> Result<Grant, Refusal> {
        let mut tokens = self.refresh.iter_mut();
        let Some(refresh) = tokens.find(|refresh| refresh.token == token) else {
            return Err(Refusal::InvalidGrant);
        };
        let grant = refresh.grant.clone();
        if refresh.spent {
            self.end_family(grant.family);
            return Err(Refusal::InvalidGrant);
        }
        refresh.spent = true;
        Ok(grant)
    }

    /// Forgets a refresh token with its family; an unknown one is no error (RFC 7009 2.2).
    pub(super) fn revoke(&mut self, token: &str) {
        let found = self.refresh.iter().find(|refresh| refresh.token == token);
        if let Some(family) = found.map(|refresh| refresh.grant.family) {
            self.end_family(family);
        }
    }

    fn end_family(&mut self, family: u64) {
        self.refresh
            .retain(|refresh| refresh.grant.family != family);
    }
}

impl Device {
    fn may_be_decided(&self, typed: &str, now: Instant) -> bool {
        self.status == Status::Pending && now < self.expires && letters(&self.user_code) == typed
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= limits::DEMO_GRANTS_MAX {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// People type codes in lower case and without the dash (RFC 8628 6.1).
fn letters(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(now: Instant) -> Grants {
        let mut grants = Grants::default();
        grants.begin(
            "d".to_owned(),
            "BCDF-GHJK".to_owned(),
            "openid".to_owned(),
            &Lifetimes::default(),
            now,
        );
        grants
    }

    #[test]
    fn too_fast_a_poll_lengthens_the_interval() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut grants = begun(now);
        assert_eq!(grants.poll("d", at(0)), Err(Refusal::AuthorizationPending));
        assert_eq!(
            grants.poll("d", at(1000)),
            Err(Refusal::AuthorizationPending)
        );
        assert_eq!(grants.poll("d", at(1900)), Err(Refusal::SlowDown));
        assert_eq!(
            grants.poll("d", at(7800)),
            Err(Refusal::SlowDown),
            "6 s now"
        );
        assert_eq!(
            grants.poll("d", at(7800 + 11_000)),
            Err(Refusal::AuthorizationPending)
        );
    }

    #[test]
    fn a_code_is_approved_as_typed_and_redeemed_once() {
        let now = Instant::now();
        let mut grants = begun(now);
        assert!(!grants.decide("", true, now));
        assert!(!grants.decide("BCDF-GHJ", true, now));
        assert!(grants.decide("bcdf ghjk", true, now));
        assert!(!grants.decide("BCDF-GHJK", false, now), "decided already");
        assert!(grants.poll("d", now).is_ok());
        assert_eq!(grants.poll("d", now), Err(Refusal::InvalidGrant));
    }

    #[test]
    fn expired_and_denied_codes_say_so() {
        let now = Instant::now();
        let late = now + Duration::from_secs(600);
        let mut grants = begun(now);
        assert!(!grants.decide("BCDFGHJK", true, late));
        assert_eq!(grants.poll("d", late), Err(Refusal::ExpiredToken));
        assert!(grants.decide("BCDFGHJK", false, now));
        assert_eq!(grants.poll("d", now), Err(Refusal::AccessDenied));
    }

    #[test]
    fn a_spent_refresh_token_ends_its_family() {
        let mut grants = begun(Instant::now());
        let grant = Grant {
            scope: "openid".to_owned(),
            family: 7,
        };
        grants.keep_refresh("r1".to_owned(), grant.clone());
        assert_eq!(grants.spend_refresh("r1"), Ok(grant.clone()));
        grants.keep_refresh("r2".to_owned(), grant);
        assert_eq!(grants.spend_refresh("r1"), Err(Refusal::InvalidGrant));
        assert_eq!(grants.spend_refresh("r2"), Err(Refusal::InvalidGrant));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let now = Instant::now();
        let mut grants = begun(now);
        for n in 0..limits::DEMO_GRANTS_MAX {
            grants.begin(
                n.to_string(),
                String::new(),
                String::new(),
                &Lifetimes::default(),
                now,
            );
        }
        assert_eq!(grants.poll("d", now), Err(Refusal::InvalidGrant));
        assert_eq!(grants.poll("0", now), Err(Refusal::AuthorizationPending));
    }
}
