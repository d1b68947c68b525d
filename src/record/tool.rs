//! What the record says of calls of tools (Model Context Protocol): leaves of their own, beside
//! those of the HTTP exchange they travelled in, or alone where they went over a wrapped server's
//! standard input.
//!
//! Tool names are statements; arguments and results are content, and stand as commitments.

use serde::{Deserialize, Serialize};

use super::event::{Commitment, Decision, RedactionCount, Side};
use super::operation::Effect;
use super::recording::Level;
use super::session::CallNumber;

/// How a tool was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Inside an HTTP exchange, which has leaves of its own.
    Http,
    /// Over a wrapped server's standard input: the call has a number and no other leaf.
    Stdio,
}

/// `mcp.call`: a tool is about to be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpCall {
    /// The HTTP exchange it travels in, or its own number.
    pub call: CallNumber,
    /// Which of the tool calls of that exchange it is, from 0: more than one in a batch only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nth: u32,
    /// How.
    pub via: Via,
    /// The server: a host, or the program that was wrapped.
    pub server: String,
    /// The tool, cut to 128 characters; empty where the message was not understood.
    pub tool: String,
    /// The message's id, as JSON text; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What the tool does, where it is Datadog's own; else unknown.
    pub access: Effect,
    /// How much of it is recorded, when that is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The arguments (JSON), redacted; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Commitment>,
    /// Why the arguments are not kept, or not understood, when that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// What was redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<RedactionCount>,
    /// The decision, where it was none of an HTTP exchange's and not the usual one: what was refused did
    /// not reach the wrapped server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The rule behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// How a tool call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// There is a result.
    Ok,
    /// There is a result that says it is an error.
    ToolError,
    /// The server answered with a JSON-RPC error.
    RpcError,
}

impl ToolOutcome {
    /// The word used in the record and in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
        }
    }
}

/// `mcp.result`: the answer to a tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpResult {
    /// As in the `mcp.call` it answers.
    pub call: CallNumber,
    /// As in the `mcp.call` it answers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nth: u32,
    /// As in the `mcp.call` it answers.
    pub via: Via,
    /// The HTTP exchange that brought it, when it was another one: a stream that was opened for
    /// that, or taken up again.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub came_in: Option<CallNumber>,
    /// How it went.
    pub outcome: ToolOutcome,
    /// Result or error (JSON), redacted.
    pub result: Commitment,
    /// Microseconds from the call to here.
    pub dur_us: u64,
    /// As in [`McpCall`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Why the result is not kept, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// What was redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<RedactionCount>,
}

/// `mcp.unread`: part of an exchange with an MCP server was not understood. It may hold tool calls
/// that have no leaf; the exchange itself is on record like any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpUnread {
    /// The exchange.
    pub call: CallNumber,
    /// Which body.
    pub side: Side,
    /// Why not, in plain words.
    pub why: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this shape"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
