//! A session as a reader sees it: its head, its calls, its tunnels. A view, never stored.
//!
//! Content (identity, command line, host, literal paths) is optional throughout: it may have
//! been erased, while the statements about it still stand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::caller::Caller;
use crate::record::Tunnel;
use crate::record::event::{Decision, Durability};
use crate::record::{
    Call, CallNumber, Effect, EgressRule, Enforcement, HostFacts, Identity, IdentityLapse,
    IdentityRefresh, Level, Outcome, PolicyInForce, Resource, SessionId, ToolCall,
};

/// What the journal found beside leaf 0. Erased content is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadContent {
    /// Who acted.
    pub who: Option<Identity>,
    /// The child's command line.
    pub command: Option<Vec<String>>,
    /// Where it ran.
    pub host: Option<HostFacts>,
}

/// Whether a session is over, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The gate is still writing.
    Running,
    /// It was closed in order.
    Closed {
        /// `exit`, `signal` or `spawn-failed`.
        reason: String,
        /// The child's exit code as the shell saw it.
        exit: Option<u8>,
    },
    /// Nobody writes any more, and nobody closed it: a crash, a kill, a power cut.
    EndedWithoutClosing,
}

/// The opening of a session, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHead {
    /// The session.
    pub id: SessionId,
    /// When it opened.
    pub started: DateTime<Utc>,
    /// Who acted; none when erased.
    pub who: Option<Identity>,
    /// The child's command line; none when erased.
    pub command: Option<Vec<String>>,
    /// Where it ran; none when erased.
    pub host: Option<HostFacts>,
    /// Datadog's site.
    pub site: String,
    /// Where the credential came from, never its value.
    pub credential: String,
    /// Its name in the settings of that day, where they listed several.
    pub credential_name: Option<String>,
    /// The version of ddgate that wrote it.
    pub tool_version: String,
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// What it may do; none when it may do everything.
    pub policy: Option<PolicyInForce>,
    /// What the system held the child to; none in a session older than that.
    pub enforce: Option<Enforcement>,
    /// Whom the child could reach through the gate beside Datadog.
    pub egress: EgressRule,
    /// Whether it is over.
    pub state: State,
}

/// One call and, where its route is unknown, the path it went to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The call.
    pub call: Call,
    /// Path and query as recorded; none when nobody asked for it, or when it was erased.
    pub target: Option<String>,
    /// The process that made it, where that is known.
    pub caller: Option<Arc<Caller>>,
}

impl Seen {
    /// Names what was asked for: the tools that were called, else Datadog's operationId, else the
    /// path template, else the literal path without its query, else the host.
    #[must_use]
    pub fn operation(&self) -> Cow<'_, str> {
        if self.call.tools.is_empty() {
            return self.exchange().into();
        }
        let names: Vec<&str> = self.call.tools.iter().map(tool_name).collect();
        format!("tools/call {}", names.join(", ")).into()
    }

    /// The same without a look at the tools.
    fn exchange(&self) -> &str {
        if let Some(operation) = &self.call.operation {
            return operation;
        }
        if !self.call.route.is_empty() {
            return &self.call.route;
        }
        match &self.target {
            Some(target) => target.split('?').next().unwrap_or(target),
            None => &self.call.host,
        }
    }

    /// Names what was asked for where no method stands beside it: `CreateMonitor`, or
    /// `POST /api/v9/thing`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.call.operation {
            Some(_) => self.operation().into_owned(),
            None => format!("{} {}", self.call.method, self.operation()),
        }
    }

    /// Names the objects the path names: `monitor:123`, or `monitor` for the collection.
    #[must_use]
    pub fn resources(&self) -> String {
        let labels: Vec<String> = self.call.resources.iter().map(resource_label).collect();
        labels.join(", ")
    }
}

/// The name of a tool, or what stands for one.
#[must_use]
pub fn tool_name(tool: &ToolCall) -> &str {
    match tool.tool.as_str() {
        "" => "(not understood)",
        name => name,
    }
}

/// Writes `kind:id`, or `kind` for a collection.
#[must_use]
pub fn resource_label(resource: &Resource) -> String {
    if resource.id.is_empty() {
        return resource.kind.clone();
    }
    format!("{}:{}", resource.kind, resource.id)
}

/// Calls by kind. `reads + writes + deletes + unclassified + denied = calls`; the others say how
/// calls that were let through ended, and overlap with those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All calls.
    pub calls: u64,
    /// Let through, leaving nothing behind.
    pub reads: u64,
    /// Let through, creating or changing something.
    pub writes: u64,
    /// Let through, removing something.
    pub deletes: u64,
    /// Let through, effect unknown: may have changed something.
    pub unclassified: u64,
    /// Refused by the gate.
    pub denied: u64,
    /// Not sent, or the answer did not arrive whole.
    pub failed: u64,
    /// Not answered yet, in a session that still runs.
    pub under_way: u64,
    /// Nobody knows whether they took effect.
    pub in_doubt: u64,
    /// Answered by Datadog with a status of 400 or above.
    pub error_answers: u64,
}

impl Counts {
    /// Counts calls. `live` says whether the gate is still writing.
    #[must_use]
    pub fn of<'a>(calls: impl IntoIterator<Item = &'a Call>, live: bool) -> Self {
        let mut counts = Self::default();
        for call in calls {
            counts.add(call, live);
        }
        counts
    }

    pub(super) fn add(&mut self, call: &Call, live: bool) {
        self.calls += 1;
        match (call.decision, call.effect) {
            (Decision::Deny, _) => self.denied += 1,
            (Decision::Allow, Effect::Read) => self.reads += 1,
            (Decision::Allow, Effect::Write) => self.writes += 1,
            (Decision::Allow, Effect::Destroy) => self.deletes += 1,
            (Decision::Allow, Effect::Unknown) => self.unclassified += 1,
        }
        match call.outcome {
            Outcome::Failed => self.failed += 1,
            Outcome::InDoubt if live && call.response_leaf.is_none() => self.under_way += 1,
            Outcome::InDoubt => self.in_doubt += 1,
            Outcome::Answered if call.status.is_some_and(|status| status >= 400) => {
                self.error_answers += 1;
            }
            Outcome::Answered | Outcome::Refused => {}
        }
    }
}

/// A place where the record contradicts itself. The view goes on, and says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// Leaves are missing, repeated or out of order.
    #[error("leaf {found} stands where leaf {expected} should")]
    OutOfOrder {
        /// The index that should have come.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// A second opening.
    #[error("leaf {leaf} opens the session again")]
    OpenedAgain {
        /// The leaf.
        leaf: u64,
    },
    /// A call number used twice.
    #[error("leaf {leaf} begins call {call} again")]
    CallAgain {
        /// The leaf.
        leaf: u64,
        /// The call.
        call: CallNumber,
    },
    /// The end, or a part, of a call that never began.
    #[error("leaf {leaf} belongs to call {call}, which never began")]
    NoSuchCall {
        /// The leaf.
        leaf: u64,
        /// The call.
        call: CallNumber,
    },
    /// A second end of one call.
    #[error("leaf {leaf} ends call {call} again")]
    EndedAgain {
        /// The leaf.
        leaf: u64,
        /// The call.
        call: CallNumber,
    },
    /// Something after the close.
    #[error("leaf {leaf} stands after the close of the session")]
    AfterClose {
        /// The leaf.
        leaf: u64,
    },
    /// The close counts other calls than the record holds.
    #[error("the close counts {closed} calls, the record holds {held}")]
    Miscounted {
        /// As the close says.
        closed: u64,
        /// As the record holds.
        held: u64,
    },
}

/// Calls that are held no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Their counts.
    pub counts: Counts,
    /// How often each redaction rule fired in them.
    pub redactions: BTreeMap<String, u64>,
    /// How many of them are recorded at each level below the full one.
    pub levels: BTreeMap<Level, u64>,
}

/// A tunnel, with the process it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTunnel {
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// What is on record of it.
    pub tunnel: Tunnel,
    /// Who opened it, where that is known.
    pub caller: Option<Arc<Caller>>,
}

/// A Datadog host for which some program did not trust the session's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrusting {
    /// The host.
    pub host: String,
    /// Connections that ended in the handshake.
    pub refused: u64,
    /// Connections that closed behind it without a word.
    pub left: u64,
    /// The programs, as far as they are known, each once.
    pub callers: Vec<Arc<Caller>>,
}

/// What became of a session's identity while it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// It was verified again.
    Refresh(IdentityRefresh),
    /// It lapsed.
    Lapse(IdentityLapse),
}

/// A session, folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its opening.
    pub head: SessionHead,
    /// Its calls, by number.
    pub calls: Vec<Seen>,
    /// Calls that were given away while the session was read, summed up.
    pub given: Given,
    /// Its tunnels, by time of their end.
    pub tunnels: Vec<SeenTunnel>,
    /// Hosts that some program did not trust the session's certificate for.
    pub distrusted: Vec<Distrusting>,
    /// What became of the identity it opened with, by time.
    pub identity: Vec<(DateTime<Utc>, IdentityChange)>,
    /// When the last leaf was written.
    pub last: DateTime<Utc>,
    /// Nanoseconds from the opening to the last leaf, monotonic.
    pub length_ns: u64,
    /// Leaves read.
    pub leaves: u64,
    /// Where the record contradicts itself.
    pub oddities: Vec<Oddity>,
    /// Contradictions beyond those kept in `oddities`.
    pub more_oddities: u64,
}

impl SessionView {
    /// Counts the calls.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let live = self.head.state == State::Running;
        let mut counts = self.given.counts;
        for seen in &self.calls {
            counts.add(&seen.call, live);
        }
        counts
    }

    /// How many calls are recorded at this level.
    #[must_use]
    pub fn at_level(&self, level: Level) -> u64 {
        let held = self.calls.iter();
        let held = held.filter(|seen| seen.call.level == Some(level)).count();
        self.given.levels.get(&level).copied().unwrap_or(0) + held as u64
    }

    /// Finds a call.
    #[must_use]
    pub fn call(&self, number: CallNumber) -> Option<&Seen> {
        let at = self
            .calls
            .binary_search_by_key(&number, |seen| seen.call.number);
        at.ok().and_then(|at| self.calls.get(at))
    }

    /// Lists the calls whose label needs their literal path, with the leaf that commits to it:
    /// what a reader resolves, and hands back through [`Self::set_target`].
    pub fn without_route(&self) -> impl Iterator<Item = (CallNumber, u64)> {
        self.calls
            .iter()
            .filter(|seen| seen.call.operation.is_none() && seen.call.route.is_empty())
            .map(|seen| (seen.call.number, seen.call.request_leaf))
    }

    /// Adds the path and query of a call. A number without a call is ignored.
    pub fn set_target(&mut self, number: CallNumber, target: String) {
        let at = self
            .calls
            .binary_search_by_key(&number, |seen| seen.call.number);
        if let Some(seen) = at.ok().and_then(|at| self.calls.get_mut(at)) {
            seen.target = Some(target);
        }
    }

    /// When the session ended, by its monotonic clock; none while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<DateTime<Utc>> {
        if self.head.state == State::Running {
            return None;
        }
        let length = TimeDelta::nanoseconds(i64::try_from(self.length_ns).ok()?);
        self.head.started.checked_add_signed(length)
    }

    /// Sums up, for the list of sessions.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            id: self.head.id,
            started: self.head.started,
            who: self.head.who.clone(),
            command: self.head.command.clone(),
            site: self.head.site.clone(),
            counts: self.counts(),
            length_us: self.length_ns / 1_000,
            state: self.head.state.clone(),
        }
    }

    /// How often each redaction rule fired, over all calls.
    #[must_use]
    pub fn redactions(&self) -> BTreeMap<&str, u64> {
        let given = self.given.redactions.iter();
        let mut sums: BTreeMap<&str, u64> =
            given.map(|(rule, count)| (rule.as_str(), *count)).collect();
        for redaction in self.calls.iter().flat_map(|seen| &seen.call.redactions) {
            *sums.entry(redaction.rule.as_str()).or_insert(0) += redaction.count;
        }
        sums
    }
}

/// A session in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The session.
    pub id: SessionId,
    /// When it opened.
    pub started: DateTime<Utc>,
    /// Who acted; none when erased.
    pub who: Option<Identity>,
    /// The child's command line; none when erased.
    pub command: Option<Vec<String>>,
    /// Datadog's site.
    pub site: String,
    /// Its calls.
    pub counts: Counts,
    /// Microseconds from the opening to the last leaf.
    pub length_us: u64,
    /// Whether it is over.
    pub state: State,
}
