//! A call as people look at it: a view folded from events, never stored.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{CallRequest, CallResponse, Decision, RedactionCount};
use super::operation::{Effect, Resource};
use super::recording::Level;
use super::session::CallNumber;
use super::tool::{McpCall, McpResult, ToolOutcome, Via};

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

impl Outcome {
    /// What is to be said of a call that has no end on record.
    const fn before_its_end(decision: Decision) -> Self {
        match decision {
            Decision::Allow => Self::InDoubt,
            Decision::Deny => Self::Refused,
        }
    }
}

/// One tool call, folded from its call and, if there is one, its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Which of its exchange's it is.
    pub nth: u32,
    /// The server.
    pub server: String,
    /// The tool; empty where the message was not understood.
    pub tool: String,
    /// The message's id, as JSON text; empty for none.
    pub id: String,
    /// What the tool does.
    pub effect: Effect,
    /// Index of the leaf that holds the arguments.
    pub call_leaf: u64,
    /// How it went; none while there is no result.
    pub outcome: Option<ToolOutcome>,
    /// Microseconds in all.
    pub duration_us: Option<u64>,
    /// The exchange that brought the result, when it was another one.
    pub came_in: Option<CallNumber>,
    /// Index of the leaf that holds the result.
    pub result_leaf: Option<u64>,
}

impl ToolCall {
    fn begin(call: McpCall, leaf: u64) -> Self {
        Self {
            nth: call.nth,
            server: call.server,
            tool: call.tool,
            id: call.id,
            effect: call.access,
            call_leaf: leaf,
            outcome: None,
            duration_us: None,
            came_in: None,
            result_leaf: None,
        }
    }

    fn end(&mut self, result: McpResult, leaf: u64) {
        self.outcome = Some(result.outcome);
        self.duration_us = Some(result.dur_us);
        self.came_in = result.came_in;
        self.result_leaf = Some(leaf);
    }
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
    /// Whether it is the call of a tool of a wrapped server, and no HTTP exchange.
    pub is_stdio: bool,
    /// The tools it called.
    pub tools: Vec<ToolCall>,
    /// What of it was not understood as MCP, though it should have been.
    pub unread: Vec<String>,
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
            outcome: Outcome::before_its_end(request.decision),
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
            is_stdio: false,
            tools: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Begins the view of a call that has no HTTP exchange: a tool of a wrapped server.
    #[must_use]
    pub fn begin_stdio(call: McpCall, leaf: u64, at: DateTime<Utc>, mono_ns: u64) -> Self {
        let decision = call.decision.unwrap_or(Decision::Allow);
        Self {
            number: call.call,
            at,
            mono_ns,
            method: "MCP".into(),
            host: call.server.clone(),
            route: String::new(),
            operation: Some("tools/call".into()),
            effect: call.access,
            resources: Vec::new(),
            decision,
            rule: call.rule.clone().unwrap_or_else(|| "default".into()),
            by: None,
            level: call.level,
            outcome: Outcome::before_its_end(decision),
            status: None,
            duration_us: None,
            error: None,
            redactions: call.redactions.clone(),
            request_leaf: leaf,
            request_stream_leaf: None,
            response_leaf: None,
            is_stdio: call.via == Via::Stdio,
            unread: call
                .unkept
                .clone()
                .filter(|_| call.tool.is_empty())
                .into_iter()
                .collect(),
            tools: vec![ToolCall::begin(call, leaf)],
        }
    }

    /// Adds a tool call of this exchange; false when it has that one already.
    #[must_use]
    pub fn begin_tool(&mut self, call: McpCall, leaf: u64) -> bool {
        if self.tools.iter().any(|tool| tool.nth == call.nth) {
            return false;
        }
        self.redactions.extend(call.redactions.iter().cloned());
        self.tools.push(ToolCall::begin(call, leaf));
        true
    }

    /// Adds the result of a tool call; false when there is no such call, or it has one.
    #[must_use]
    pub fn end_tool(&mut self, result: McpResult, leaf: u64) -> bool {
        let fits = |tool: &&mut ToolCall| tool.nth == result.nth && tool.result_leaf.is_none();
        let Some(tool) = self.tools.iter_mut().find(fits) else {
            return false;
        };
        if self.is_stdio {
            self.outcome = Outcome::Answered;
            self.duration_us = Some(result.dur_us);
            self.response_leaf = Some(leaf);
        }
        self.redactions.extend(result.redactions.iter().cloned());
        tool.end(result, leaf);
        true
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
