//! What became of a session's identity, for machines.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::shapes::time;
use crate::record::{LapseReason, OnLapse, Via};
use crate::replay::IdentityChange;

#[derive(Serialize)]
pub(super) struct IdentityJson<'a> {
    at: String,
    verified: bool,
    via: Option<Via>,
    expires: Option<String>,
    changed: &'a [String],
    why: Option<LapseReason>,
    calls: Option<OnLapse>,
}

impl<'a> IdentityJson<'a> {
    pub(super) fn of(at: DateTime<Utc>, change: &'a IdentityChange) -> Self {
        let at = time(at);
        match change {
            IdentityChange::Refresh(refresh) => Self {
                at,
                verified: true,
                via: Some(refresh.via),
                expires: refresh.expires.map(time),
                changed: &refresh.changed,
                why: None,
                calls: None,
            },
            IdentityChange::Lapse(lapse) => Self {
                at,
                verified: false,
                via: None,
                expires: None,
                changed: &[],
                why: Some(lapse.why),
                calls: Some(lapse.calls),
            },
        }
    }
}
