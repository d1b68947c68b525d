//! What went by the gate without being a call, for machines.

use serde::Serialize;

use super::shapes::{CallerJson, time};
use crate::replay::{Distrusting, SeenTunnel};

#[derive(Serialize)]
pub(super) struct TunnelJson<'a> {
    ended: String,
    host: &'a str,
    sent: u64,
    received: u64,
    duration_us: u64,
    error: Option<&'a str>,
    /// The rule by which the gate refused it.
    rule: Option<&'a str>,
    by: Option<CallerJson<'a>>,
}

impl<'a> TunnelJson<'a> {
    pub(super) fn of(seen: &'a SeenTunnel) -> Self {
        let tunnel = &seen.tunnel;
        Self {
            ended: time(seen.ended),
            host: &tunnel.host,
            sent: tunnel.sent,
            received: tunnel.received,
            duration_us: tunnel.dur_us,
            error: tunnel.error.as_deref(),
            rule: tunnel.rule.as_deref(),
            by: seen.caller.as_deref().map(CallerJson::of),
        }
    }
}

#[derive(Serialize)]
pub(super) struct DistrustingJson<'a> {
    host: &'a str,
    refused: u64,
    left: u64,
    by: Vec<CallerJson<'a>>,
}

impl<'a> DistrustingJson<'a> {
    pub(super) fn of(distrusting: &'a Distrusting) -> Self {
        Self {
            host: &distrusting.host,
            refused: distrusting.refused,
            left: distrusting.left,
            by: distrusting
                .callers
                .iter()
                .map(|caller| CallerJson::of(caller))
                .collect(),
        }
    }
}
