//! What can go wrong between a person and an identity provider.
//!
//! Every text that came from a provider is cleaned and cut before it is put into a variant, and
//! none of it is ever an answer's body: bodies hold tokens.

use chrono::TimeDelta;

use super::identity::workload::WorkloadError;
use super::identity::{NotConfirmed, Unverified, chain};
use super::secret_store::StoreError;
use crate::limits::BROWSER_WAIT_MAX;
use crate::net::NetError;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A workload could not be verified again.
    #[error(transparent)]
    Workload(Box<WorkloadError>),
    /// The settings cannot work.
    #[error("the issuer `{}` cannot be used: {why}", issuer.escape_debug())]
    Config {
        /// The issuer as configured.
        issuer: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The identity provider is not reached, or does not answer for this issuer.
    #[error("the identity provider {issuer} gave no discovery document")]
    Discovery {
        /// The issuer.
        issuer: String,
        /// Why.
        #[source]
        source: NetError,
    },
    /// Something else the identity provider offers is not reached.
    #[error("the identity provider {issuer} gave no {what}")]
    Unreachable {
        /// The issuer.
        issuer: String,
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: NetError,
    },
    /// It answered, but not what the standards say.
    #[error("the identity provider {issuer} sent an unusable {what}: {why}")]
    Answer {
        /// The issuer.
        issuer: String,
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Discovery names another issuer (OpenID Connect Discovery, section 4.3).
    #[error("the configured issuer is `{configured}`, but the provider calls itself `{found}`")]
    IssuerMismatch {
        /// The issuer as configured.
        configured: String,
        /// The issuer as found.
        found: String,
    },
    /// The provider does not offer the device flow (RFC 8628).
    #[error("the identity provider {issuer} offers no device sign-in")]
    NoDeviceEndpoint {
        /// The issuer.
        issuer: String,
    },
    /// The provider does not offer the authorization code flow (RFC 6749).
    #[error("the identity provider {issuer} offers no sign-in with a browser")]
    NoAuthorizationEndpoint {
        /// The issuer.
        issuer: String,
    },
    /// There is no port the browser could be sent back to.
    #[error("no loopback port can be opened for the browser's answer")]
    Loopback(#[source] std::io::Error),
    /// The browser brought no answer.
    #[error(
        "nobody finished the sign-in in the browser within {} min",
        BROWSER_WAIT_MAX.as_secs() / 60
    )]
    NobodyCame,
    /// The provider refused with an OAuth error code.
    #[error("the identity provider {issuer} refused: {code}{}", suffix(description.as_deref()))]
    Refused {
        /// The issuer.
        issuer: String,
        /// The error code, for example `unauthorized_client`.
        code: String,
        /// The provider's own words.
        description: Option<String>,
    },
    /// The person, or a policy, said no.
    #[error("the sign-in was denied{}", suffix(description.as_deref()))]
    Denied {
        /// The provider's own words.
        description: Option<String>,
    },
    /// Nobody approved in time.
    #[error("the sign-in code expired before it was approved")]
    Expired,
    /// The token answer holds no ID token.
    #[error("the identity provider {issuer} sent no ID token")]
    NoIdToken {
        /// The issuer.
        issuer: String,
    },
    /// The refresh token is tied to a key, and that is of no use.
    #[error("the key that the sign-in at {issuer} is tied to is not accepted: {why}")]
    Possession {
        /// The issuer.
        issuer: String,
        /// What is wrong with it, or with its proof.
        why: String,
    },
    /// A refresh without an ID token, and no userinfo in its place.
    #[error(
        "the identity provider {issuer} renewed the sign-in without an ID token, and its userinfo \
         does not say who it is"
    )]
    Unconfirmed {
        /// The issuer.
        issuer: String,
        /// Why.
        #[source]
        why: NotConfirmed,
    },
    /// What is known of the person does not suffice, and a sign-in anew may tell more.
    #[error(
        "the identity provider {issuer} renewed the sign-in without an ID token, and its userinfo \
         does not say enough: {why}"
    )]
    NotEnough {
        /// The issuer.
        issuer: String,
        /// What is missing.
        why: String,
    },
    /// The ID token is not to be trusted.
    #[error("the ID token is refused: {0}")]
    Verify(Unverified),
    /// The ID token cannot be judged, since the clocks disagree.
    #[error("this computer's clock is {} the identity provider's: {reason}", apart(*ahead))]
    Clock {
        /// How far the provider's clock is ahead of ours.
        ahead: TimeDelta,
        /// What failed because of it.
        reason: Unverified,
    },
    /// The provider no longer accepts the stored sign-in.
    #[error("the sign-in at {issuer} has ended")]
    SignedOut {
        /// The issuer.
        issuer: String,
    },
    /// There is no stored sign-in, and asking is not allowed.
    #[error("nobody is signed in at {issuer}")]
    NotSignedIn {
        /// The issuer.
        issuer: String,
    },
    /// The place for secrets failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthError {
    /// The error and its causes, for where there is one line.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        chain(self)
    }

    /// Whether the provider turned the *way* of signing in down, so that another way may work:
    /// many organisations switch the device flow off, and some providers send no ID token there.
    #[must_use]
    pub fn is_about_the_flow(&self) -> bool {
        match self {
            Self::NoDeviceEndpoint { .. }
            | Self::NoAuthorizationEndpoint { .. }
            | Self::NoIdToken { .. } => true,
            Self::Refused {
                code, description, ..
            } => {
                let codes = [
                    "unauthorized_client",
                    "unsupported_grant_type",
                    "unsupported_response_type",
                    "invalid_client",
                ];
                codes.contains(&code.as_str()) || is_entra_policy(description.as_deref())
            }
            Self::Denied { description } => is_entra_policy(description.as_deref()),
            _ => false,
        }
    }
}

/// Entra ID names the policy that blocks a way of signing in by numbers of its own (AADSTS53003 is
/// Conditional Access); there are too many to list.
fn is_entra_policy(description: Option<&str>) -> bool {
    description.is_some_and(|text| text.contains("AADSTS"))
}

fn suffix(description: Option<&str>) -> String {
    description.map_or_else(String::new, |text| format!(" ({text})"))
}

fn apart(ahead: TimeDelta) -> String {
    let minutes = ahead.num_minutes().unsigned_abs();
    let amount = match (minutes / 1440, minutes / 60, minutes) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    };
    let side = if ahead < TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    format!("{amount} {side}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_way_of_signing_in_is_offered_where_it_may_help() {
        let refused = |code: &str, text: Option<&str>| AuthError::Refused {
            issuer: "https://idp.test".to_owned(),
            code: code.to_owned(),
            description: text.map(str::to_owned),
        };
        assert!(refused("unauthorized_client", None).is_about_the_flow());
        assert!(refused("invalid_grant", Some("AADSTS53003: blocked")).is_about_the_flow());
        assert!(!refused("invalid_scope", None).is_about_the_flow());
        assert!(!AuthError::Expired.is_about_the_flow());
    }

    #[test]
    fn clocks_are_described_from_our_side() {
        assert_eq!(apart(TimeDelta::minutes(7)), "7 min behind");
        assert_eq!(apart(TimeDelta::minutes(-150)), "2 h 30 min ahead of");
        assert_eq!(apart(TimeDelta::hours(50)), "2 d 2 h behind");
    }
}
