//! A call as people look at it: a view folded from events, never stored.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{CallRequest, CallResponse, Decision, RedactionCount};
use super::operation::{Effect, Resource};
use super::recording::Level;
use super::session::CallNumber;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Datadog answered, and the answer passed whole.
    Answered,
    /// The gate refused it; nothing was sent.
    Refused,
    /// It was not sent, or the answer did not arrive whole.
    Failed,
    /// It may or may not have taken effect: the record ends before the answer.
    InDoubt,
}

/// One call, folded from its request and, if there is one, its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Number within the session, from 1.
    pub number: CallNumber,
    /// When the child's request head was complete.
    pub at: DateTime<Utc>,
    /// Nanoseconds since the session opened.
    pub mono_ns: u64,
    /// HTTP method.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path template.
    pub route: String,
    /// operationId.
    pub operation: Option<String>,
    /// Effect.
    pub effect: Effect,
    /// Objects named.
    pub resources: Vec<Resource>,
    /// Decision.
    pub decision: Decision,
    /// Rule behind the decision.
    pub rule: String,
    /// Number of the process it came from.
    pub by: Option<u64>,
    /// How much of it is recorded, when that is not all.
    pub level: Option<Level>,
    /// How it ended.
    pub outcome: Outcome,
    /// Status from Datadog.
    pub status: Option<u16>,
    /// Microseconds in all; none while it is under way or in doubt.
    pub duration_us: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// What was redacted, request and response together.
    pub redactions: Vec<RedactionCount>,
    /// Index of the request leaf.
    pub request_leaf: u64,
    /// Index of the `call.stream` leaf that holds the request body, if it was streamed.
    pub request_stream_leaf: Option<u64>,
    /// Index of the response leaf.
    pub response_leaf: Option<u64>,
}

impl Call {
    /// Begins the view with the request leaf. Without an end it is in doubt, or refused.
    #[must_use]
    pub fn begin(request: CallRequest, leaf: u64, at: DateTime<Utc>, mono_ns: u64) -> Self {
        Self {
            number: request.call,
            at,
            mono_ns,
            method: request.method,
            host: request.host,
            route: request.route,
            operation: request.op,
            effect: request.access,
            resources: request.res,
            outcome: match request.decision {
                Decision::Allow => Outcome::InDoubt,
                Decision::Deny => Outcome::Refused,
            },
            decision: request.decision,
            rule: request.rule,
            by: request.by,
            level: request.level,
            status: None,
            duration_us: None,
            error: None,
            redactions: request.redactions,
            request_leaf: leaf,
            request_stream_leaf: None,
            response_leaf: None,
        }
    }

    /// Adds the response leaf.
    pub fn end(&mut self, response: CallResponse, leaf: u64) {
        self.outcome = response.outcome;
        self.status = response.status;
        self.duration_us = Some(response.dur_us);
        self.error = response.error;
        self.redactions.extend(response.redactions);
        self.response_leaf = Some(leaf);
    }
}
