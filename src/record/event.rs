//! The append-only unit of the journal: one event is one leaf of the session's log.
//!
//! A leaf holds statements and salted commitments, never content (see ARCHITECTURE.md, "Leaf"):
//! bodies, headers, targets, identity and command line stand beside it as openings, so that they
//! can be erased later while every proof still holds. Keys are sorted, numbers are integers.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::binding::SessionBinding;
use super::call::Outcome;
use super::egress::EgressRule;
use super::enforcement::Enforcement;
use super::operation::{Effect, Resource};
use super::outside::{Distrusted, Tunnel};
use super::policy::PolicyInForce;
use super::recording::Level;
use super::session::{CallNumber, SessionId};
use super::standing::{IdentityLapse, IdentityRefresh};
use super::tool::{McpCall, McpResult, McpUnread};

/// Version of the leaf format, field `v`.
pub const LEAF_VERSION: u32 = 1;

/// A salted commitment to content kept outside the leaf:
/// `c = base64url(HMAC-SHA-256(salt, "ddgate/v1/" || field || 0x00 || content))`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Base64url without padding of the 32-byte tag.
    pub c: String,
    /// Length of the content in bytes.
    pub n: u64,
}

/// How often one redaction rule fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactionCount {
    /// Matches removed.
    pub count: u64,
    /// Rule name, for example `dd-api-key`.
    pub rule: String,
}

/// What the gate decided about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Forwarded.
    Allow,
    /// Refused by the gate; nothing was sent.
    Deny,
}

/// `session.open`, always leaf 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpen {
    /// The session.
    pub session: SessionId,
    /// Origin of the log, and name of its key (C2SP tlog-checkpoint).
    pub origin: String,
    /// The session's verifier key (C2SP signed-note); its other half never leaves memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vkey: Option<String>,
    /// Where this session stands among those of its installation.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainLink>,
    /// Commitment to the identity (JSON of [`super::Identity`]).
    pub who: Commitment,
    /// Commitment to the command line (JSON array of strings).
    pub cmd: Commitment,
    /// Commitment to host facts (JSON object: host name, OS, working directory).
    pub host: Commitment,
    /// ddgate itself.
    pub tool: Tool,
    /// The Datadog side.
    pub dd: DatadogSide,
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// What the session may do; none when it may do everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyInForce>,
    /// What the system holds the command to; absent in sessions older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce: Option<Enforcement>,
    /// Whom the command may reach through the gate beside Datadog.
    #[serde(default, skip_serializing_if = "EgressRule::is_any")]
    pub egress: EgressRule,
    /// What ties the session's key to the person; absent in sessions older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<SessionBinding>,
    /// Commitment to what proves it, where that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<Commitment>,
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// A power cut: every batch is synced before it is acknowledged.
    #[default]
    PowerLoss,
    /// The end of ddgate's process, however it comes, but no power cut: for throwaway runs.
    Process,
}

impl Durability {
    /// As settings and leaves spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerLoss => "power-loss",
            Self::Process => "process",
        }
    }
}

/// The sessions of one installation form a chain, so that one deleted whole leaves a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// The installation: 32 hex digits, made with its first session.
    pub install: String,
    /// Number of the session in its installation, from 1.
    pub seq: u64,
    /// The session before; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Prev>,
}

/// The session before, as it was found when this one opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prev {
    /// Origin of its log.
    pub origin: String,
    /// What state it was in.
    pub reason: PrevState,
    /// Their root, in base64.
    pub root: String,
    /// Leaves under its last signed checkpoint.
    pub size: u64,
}

/// The state of the session before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrevState {
    /// Closed in order.
    Closed,
    /// Still running: it may grow beyond what is stated.
    Running,
    /// Its gate died.
    Died,
    /// Not there, or unreadable: nothing is stated but its origin.
    Missing,
}

/// The program that wrote the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Semantic version.
    pub version: String,
}

/// The Datadog account as far as the gate knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatadogSide {
    /// Where the credential came from, never its value.
    pub credential: String,
    /// Its name in the settings, where they list several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_name: Option<String>,
    /// Site, for example `datadoghq.eu`.
    pub site: String,
}

/// `call.request` and `call.denied`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The call.
    pub call: CallNumber,
    /// HTTP method.
    pub method: String,
    /// Host the call is for.
    pub host: String,
    /// Path template, or empty when the path is not in the catalogue (it is in `target`).
    pub route: String,
    /// Datadog's operationId; for a message to an MCP server its JSON-RPC methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// Effect.
    pub access: Effect,
    /// Objects named by the path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub res: Vec<Resource>,
    /// Decision.
    pub decision: Decision,
    /// The rule behind the decision.
    pub rule: String,
    /// The number of the process it came from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<u64>,
    /// How much of the call is recorded, when that is not all: what is missing was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Path and query, redacted.
    pub target: Commitment,
    /// Allowlisted headers (JSON array of pairs), redacted.
    pub headers: Commitment,
    /// Body, decoded and redacted; as it passed, where `unkept` says that nothing of it is kept.
    /// Absent when it follows in [`CallStream`] or was never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Commitment>,
    /// True when the body follows as `call.stream`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub streamed: bool,
    /// Why the body is not kept, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// What was redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<RedactionCount>,
}

/// `call.stream`: a body committed after its head; `end` closes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallStream {
    /// The call.
    pub call: CallNumber,
    /// Which body: `request` or `response`.
    pub side: Side,
    /// What has passed.
    pub body: Commitment,
    /// Whether the body is complete.
    pub end: bool,
    /// Why the body is not kept, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// What was redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<RedactionCount>,
}

/// Direction of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Child to Datadog.
    Request,
    /// Datadog to child.
    Response,
}

/// `call.response`: how a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallResponse {
    /// The call.
    pub call: CallNumber,
    /// Index of the request leaf.
    pub re: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status from Datadog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Microseconds from the child's request head to the end of the answer.
    pub dur_us: u64,
    /// Microseconds from sending to the answer's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_us: Option<u64>,
    /// Allowlisted headers (JSON array of pairs), redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Commitment>,
    /// Body, decoded and redacted; as it passed, where `unkept` says that nothing of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Commitment>,
    /// Why the body is not kept, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// What went wrong, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<RedactionCount>,
}

/// `process`: a process that called, or that stands between the session's child and one that did.
/// Each program a process runs is stated once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number within the session, from 1.
    pub process: u64,
    /// The system's number for it.
    pub pid: u32,
    /// The number of its parent; 0 for the session's child, none for what left the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// Whether it is somebody else's, not of the child's tree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// Commitment to what it runs (JSON of [`super::Program`]), redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Commitment>,
}

/// `session.close`: no leaf may follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClose {
    /// Calls recorded.
    pub calls: u64,
    /// Why it closed: `exit`, `signal` or `spawn-failed`.
    pub reason: String,
    /// The child's exit code as the shell saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}

/// One statement of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t")]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one opens a session, and there is one of it"
)]
pub enum Event {
    /// The session begins.
    #[serde(rename = "session.open")]
    SessionOpen(SessionOpen),
    /// A call is about to be sent.
    #[serde(rename = "call.request")]
    CallRequest(CallRequest),
    /// A call was refused by the gate.
    #[serde(rename = "call.denied")]
    CallDenied(CallRequest),
    /// Part of a body that was too long, or too slow, to stand in one leaf.
    #[serde(rename = "call.stream")]
    CallStream(CallStream),
    /// A call ended.
    #[serde(rename = "call.response")]
    CallResponse(CallResponse),
    /// A process that called.
    #[serde(rename = "process")]
    Process(Process),
    /// A tool is about to be called.
    #[serde(rename = "mcp.call")]
    McpCall(McpCall),
    /// A tool call was answered.
    #[serde(rename = "mcp.result")]
    McpResult(McpResult),
    /// Something an MCP server or its client said was not understood.
    #[serde(rename = "mcp.unread")]
    McpUnread(McpUnread),
    /// A blind tunnel ended.
    #[serde(rename = "tunnel")]
    Tunnel(Tunnel),
    /// A client did not trust the session's certificate.
    #[serde(rename = "distrusted")]
    Distrusted(Distrusted),
    /// Whoever acts was verified again.
    #[serde(rename = "identity.refresh")]
    IdentityRefresh(IdentityRefresh),
    /// Nobody vouches any more for who acts.
    #[serde(rename = "identity.lapse")]
    IdentityLapse(IdentityLapse),
    /// The session ended.
    #[serde(rename = "session.close")]
    SessionClose(SessionClose),
}

impl Event {
    /// The call it is about, if it is about one.
    #[must_use]
    pub const fn call(&self) -> Option<CallNumber> {
        match self {
            Self::CallRequest(e) | Self::CallDenied(e) => Some(e.call),
            Self::CallStream(e) => Some(e.call),
            Self::CallResponse(e) => Some(e.call),
            Self::McpCall(e) => Some(e.call),
            Self::McpResult(e) => Some(e.call),
            Self::McpUnread(e) => Some(e.call),
            Self::SessionOpen(_)
            | Self::Process(_)
            | Self::Tunnel(_)
            | Self::Distrusted(_)
            | Self::IdentityRefresh(_)
            | Self::IdentityLapse(_)
            | Self::SessionClose(_) => None,
        }
    }
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Format version.
    pub v: u32,
    /// Index in the log, from 0.
    pub i: u64,
    /// Wall clock, UTC, microseconds (RFC 3339).
    #[serde(with = "rfc3339")]
    pub ts: DateTime<Utc>,
    /// Nanoseconds since the session opened, monotonic.
    pub mono: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl Leaf {
    /// Writes the authoritative bytes: one line of JSON with sorted keys.
    ///
    /// # Errors
    /// Only if serde_json fails, which these types do not provoke.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(super::sorted::to_vec(self, "")?.0)
    }

    /// The same, as far as it can be said before its place is known: with room for the index.
    ///
    /// # Errors
    /// As for [`Self::to_bytes`].
    pub fn to_line(&self) -> Result<LeafLine, serde_json::Error> {
        use serde::ser::Error;
        let (line, index) = super::sorted::to_vec(self, "i")?;
        let index = index.ok_or_else(|| serde_json::Error::custom("a leaf without an index"))?;
        Ok(LeafLine { line, index })
    }

    /// Reads a leaf back.
    ///
    /// # Errors
    /// The bytes are not a leaf of a known version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// The bytes of a leaf whose index is still to come: whoever has something to record writes them,
/// not the one thread that gives places to all.
#[derive(Clone, Debug, Default)]
pub struct LeafLine {
    line: Vec<u8>,
    index: std::ops::Range<usize>,
}

impl LeafLine {
    /// The bytes of leaf `i`.
    #[must_use]
    pub fn at(mut self, i: u64) -> Vec<u8> {
        self.line.splice(self.index, i.to_string().into_bytes());
        self.line
    }
}

mod rfc3339 {
    use super::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &DateTime<Utc>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(d)?;
        DateTime::parse_from_rfc3339(&text)
            .map(|at| at.with_timezone(&Utc))
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_one_line_with_sorted_keys_and_round_trips() {
        let leaf = Leaf {
            v: LEAF_VERSION,
            i: 7,
            ts: DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap(),
            mono: 42,
            event: Event::Tunnel(Tunnel {
                host: "example.test:443".into(),
                sent: 1,
                received: 2,
                dur_us: 3,
                error: None,
                rule: None,
                by: None,
            }),
        };
        let bytes = leaf.to_bytes().unwrap();
        assert_eq!(
            std::str::from_utf8(&bytes).unwrap(),
            r#"{"dur_us":3,"host":"example.test:443","i":7,"mono":42,"received":2,"sent":1,"t":"tunnel","ts":"2027-01-15T08:00:00.123456Z","v":1}"#
        );
        assert_eq!(Leaf::from_bytes(&bytes).unwrap(), leaf);
        let later = Leaf {
            i: 1_234_567,
            ..leaf.clone()
        };
        assert_eq!(
            leaf.to_line().unwrap().at(later.i),
            later.to_bytes().unwrap()
        );
    }
}
