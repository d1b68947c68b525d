//! Calls of a session whose identity has lapsed: refused, or let through as nobody's, as the
//! settings say. Who is verified, and until when, is `auth::standing`'s to know.
//!
//! Calls under way are not touched, and tunnels to others are not asked: nobody's identity goes
//! there.

use super::Proxy;
use super::pipeline::Refusal;
use crate::record::standing::LAPSED_RULE;
use crate::record::{LapseReason, OnLapse};

/// Asks whether somebody vouches for who makes this call. Gives the rule of a call that goes on
/// although nobody does.
pub(super) async fn standing(proxy: &Proxy) -> Result<Option<&'static str>, Refusal> {
    let standing = judged(proxy).await;
    standing.map_err(|why| Refusal::forbidden(LAPSED_RULE, message(why)))
}

/// The same, with the reason of a refusal alone.
pub(super) async fn judged(proxy: &Proxy) -> Result<Option<&'static str>, LapseReason> {
    let Err(why) = proxy.standing.check().await else {
        return Ok(None);
    };
    match why.calls(proxy.standing.on_lapse()) {
        OnLapse::RecordUnverified => Ok(Some(LAPSED_RULE)),
        OnLapse::Refuse => Err(why),
    }
}

/// What whoever is refused is told.
pub(super) fn message(why: LapseReason) -> String {
    let remedy = match why {
        LapseReason::MaxSession => "start a new session to go on",
        LapseReason::NotAdmitted => "what is required, and where it stands: ddgate config show",
        LapseReason::CredentialLost => {
            "a new session gets the credential of the groups as they are now"
        }
        LapseReason::Expired | LapseReason::SignedOut | LapseReason::AnotherPerson => {
            "calls pass again when the person has signed in anew (ddgate login, in another terminal)"
        }
    };
    format!("the identity this session runs under has lapsed: {why}; nothing was sent; {remedy}")
}
