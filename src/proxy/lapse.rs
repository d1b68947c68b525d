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
    match (proxy.standing.check().await, proxy.standing.on_lapse()) {
        (Ok(()), _) => Ok(None),
        (Err(_), OnLapse::RecordUnverified) => Ok(Some(LAPSED_RULE)),
        (Err(why), OnLapse::Refuse) => Err(Refusal::forbidden(LAPSED_RULE, message(why))),
    }
}

fn message(why: LapseReason) -> String {
    let remedy = match why {
        LapseReason::MaxSession => "start a new session to go on",
        LapseReason::NotAdmitted => "what is required, and where it stands: ddgate config show",
        LapseReason::Expired | LapseReason::SignedOut | LapseReason::AnotherPerson => {
            "calls pass again when the person has signed in anew (ddgate login, in another terminal)"
        }
    };
    format!("the identity this session runs under has lapsed: {why}; nothing was sent; {remedy}")
}
