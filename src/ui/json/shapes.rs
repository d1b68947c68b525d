//! The shapes behind `--json`: one struct an object, fields in the order they are written. What
//! they mean is documented at the functions of [`super`].

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::record::Enforcement;
use crate::record::event::RedactionCount;
use crate::record::{
    Agent, Contents, HostFacts, Identity, Level, Outcome, PolicyInForce, Resource, ToolCall,
    ToolOutcome, Workload,
};
use crate::replay::{Body, Caller, Counts, Message, Seen, State, ToolDetail};

use super::super::status::{KeyView, SignIn};
use super::super::workload::WorkloadView;
use super::identity::IdentityJson;
use super::outside::{DistrustingJson, TunnelJson};

#[derive(Serialize)]
pub(super) struct SessionJson<'a> {
    pub(super) session: String,
    pub(super) started: String,
    pub(super) ended: Option<String>,
    pub(super) duration_us: u64,
    pub(super) who: Option<WhoJson<'a>>,
    pub(super) command: Option<&'a [String]>,
    pub(super) host: Option<&'a HostFacts>,
    #[serde(flatten)]
    pub(super) contents: ContentsJson<'a>,
    pub(super) site: &'a str,
    pub(super) credential: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credential_name: Option<&'a str>,
    pub(super) ddgate_version: &'a str,
    pub(super) policy: Option<&'a PolicyInForce>,
    pub(super) enforcement: Option<&'a Enforcement>,
    pub(super) egress: &'static str,
    #[serde(flatten)]
    pub(super) state: StateJson<'a>,
    pub(super) counts: CountsJson,
    pub(super) calls: Vec<CallJson<'a>>,
    pub(super) tunnels: Vec<TunnelJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) distrusted: Vec<DistrustingJson<'a>>,
    pub(super) identity: Vec<IdentityJson<'a>>,
    pub(super) contradictions: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct SummaryJson<'a> {
    pub(super) session: String,
    pub(super) started: String,
    pub(super) duration_us: u64,
    pub(super) who: Option<WhoJson<'a>>,
    pub(super) command: Option<&'a [String]>,
    #[serde(flatten)]
    pub(super) contents: ContentsJson<'a>,
    pub(super) site: &'a str,
    #[serde(flatten)]
    pub(super) state: StateJson<'a>,
    pub(super) counts: CountsJson,
}

#[derive(Serialize)]
pub(super) struct StatusJson<'a> {
    pub(super) signed_in: Option<&'a SignIn>,
    pub(super) workload: Option<&'a WorkloadView>,
    pub(super) profile: Option<&'a str>,
    pub(super) identity_mode: &'a str,
    pub(super) issuer: Option<&'a str>,
    pub(super) site: &'a str,
    pub(super) upstream: Option<&'a str>,
    pub(super) keys: &'a [KeyView],
    pub(super) data_dir: &'a str,
    pub(super) config_files: &'a [String],
    pub(super) sessions: u64,
}

#[derive(Serialize)]
pub(super) struct PseudonymJson<'a> {
    pub(super) pseudonym: &'a str,
    pub(super) key: &'a str,
}

#[derive(Serialize)]
pub(super) struct WhoJson<'a> {
    label: &'a str,
    verified: bool,
    via: crate::record::Via,
    issuer: &'a str,
    subject: &'a str,
    name: Option<&'a str>,
    email: Option<&'a str>,
    email_verified: Option<bool>,
    groups: &'a [String],
    groups_incomplete: bool,
    expires: Option<String>,
    /// Only where it is no person.
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<&'a Workload>,
}

impl<'a> WhoJson<'a> {
    pub(super) fn of(who: &'a Identity) -> Self {
        Self {
            label: who.label(),
            verified: who.via.is_verified(),
            via: who.via,
            issuer: &who.issuer,
            subject: &who.subject,
            name: who.name.as_deref(),
            email: who.email.as_deref(),
            email_verified: who.email_verified,
            groups: &who.groups,
            groups_incomplete: who.groups_incomplete,
            expires: who.expires.map(time),
            workload: who.workload.as_ref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ContentsJson<'a> {
    sealed: bool,
    erased: Option<ErasedJson<'a>>,
    /// Only where it is so: an erasure that broke off is rare, and has an end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erasing: bool,
}

#[derive(Serialize)]
struct ErasedJson<'a> {
    at: String,
    by: &'a str,
    contents: u64,
}

impl<'a> ContentsJson<'a> {
    pub(super) fn of(contents: &'a Contents) -> Self {
        Self {
            sealed: *contents == Contents::Sealed,
            erased: match contents {
                Contents::Erased(it) => Some(ErasedJson {
                    at: time(it.at),
                    by: &it.by,
                    contents: it.contents,
                }),
                Contents::Open | Contents::Sealed | Contents::Erasing => None,
            },
            erasing: *contents == Contents::Erasing,
        }
    }
}

#[derive(Serialize)]
pub(super) struct StateJson<'a> {
    state: &'static str,
    reason: Option<&'a str>,
    exit: Option<u8>,
}

impl<'a> StateJson<'a> {
    pub(super) fn of(state: &'a State) -> Self {
        let (state, reason, exit) = match state {
            State::Running => ("running", None, None),
            State::Closed { reason, exit } => ("closed", Some(reason.as_str()), *exit),
            State::EndedWithoutClosing => ("not_closed", None, None),
        };
        Self {
            state,
            reason,
            exit,
        }
    }
}

#[derive(Serialize)]
pub(super) struct CountsJson {
    calls: u64,
    reads: u64,
    writes: u64,
    deletes: u64,
    unclassified: u64,
    denied: u64,
    error_answers: u64,
    failed: u64,
    under_way: u64,
    in_doubt: u64,
}

impl CountsJson {
    pub(super) const fn of(counts: &Counts) -> Self {
        Self {
            calls: counts.calls,
            reads: counts.reads,
            writes: counts.writes,
            deletes: counts.deletes,
            unclassified: counts.unclassified,
            denied: counts.denied,
            error_answers: counts.error_answers,
            failed: counts.failed,
            under_way: counts.under_way,
            in_doubt: counts.in_doubt,
        }
    }
}

#[derive(Serialize)]
pub(super) struct CallJson<'a> {
    number: u64,
    at: String,
    offset_us: u64,
    method: &'a str,
    host: &'a str,
    route: Option<&'a str>,
    target: Option<&'a str>,
    operation: Option<&'a str>,
    label: String,
    effect: &'static str,
    resources: &'a [Resource],
    decision: crate::record::event::Decision,
    rule: &'a str,
    by: Option<CallerJson<'a>>,
    level: &'static str,
    outcome: &'static str,
    status: Option<u16>,
    duration_us: Option<u64>,
    error: Option<&'a str>,
    redactions: &'a [RedactionCount],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolJson<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    not_understood: &'a [String],
}

/// A tool call; only calls of tools have any.
#[derive(Serialize)]
struct ToolJson<'a> {
    tool: Option<&'a str>,
    server: &'a str,
    id: Option<&'a str>,
    effect: &'static str,
    outcome: Option<&'static str>,
    duration_us: Option<u64>,
    result_in: Option<u64>,
}

impl<'a> ToolJson<'a> {
    fn of(tool: &'a ToolCall) -> Self {
        let filled = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Self {
            tool: filled(&tool.tool),
            server: &tool.server,
            id: filled(&tool.id),
            effect: tool.effect.word(),
            outcome: tool.outcome.map(ToolOutcome::word),
            duration_us: tool.duration_us,
            result_in: tool.came_in.map(|call| call.0),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ToolContentsJson<'a> {
    arguments: BodyJson<'a>,
    result: Option<BodyJson<'a>>,
}

impl<'a> ToolContentsJson<'a> {
    pub(super) fn of(tool: &'a ToolDetail, contents: &Contents) -> Self {
        let result = tool.result.as_ref();
        Self {
            arguments: BodyJson::of(&tool.arguments, contents),
            result: result.map(|body| BodyJson::of(body, contents)),
        }
    }
}

impl<'a> CallJson<'a> {
    pub(super) fn of(seen: &'a Seen, live: bool) -> Self {
        let call = &seen.call;
        Self {
            number: call.number.0,
            at: time(call.at),
            offset_us: call.mono_ns / 1_000,
            method: &call.method,
            host: &call.host,
            route: Some(call.route.as_str()).filter(|route| !route.is_empty()),
            target: seen.target.as_deref(),
            operation: call.operation.as_deref(),
            label: seen.label(),
            effect: call.effect.word(),
            resources: &call.resources,
            decision: call.decision,
            rule: &call.rule,
            by: seen.caller.as_deref().map(CallerJson::of),
            level: call.level.unwrap_or(Level::Full).word(),
            outcome: match call.outcome {
                Outcome::Answered => "answered",
                Outcome::Refused => "refused",
                Outcome::Failed => "failed",
                Outcome::InDoubt if live && call.response_leaf.is_none() => "under_way",
                Outcome::InDoubt => "in_doubt",
            },
            status: call.status,
            duration_us: call.duration_us,
            error: call.error.as_deref(),
            redactions: &call.redactions,
            tools: call.tools.iter().map(ToolJson::of).collect(),
            not_understood: &call.unread,
        }
    }
}

#[derive(Serialize)]
pub(super) struct CallerJson<'a> {
    process: u64,
    pid: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    foreign: bool,
    exe: Option<&'a str>,
    command: Option<&'a [String]>,
    agent: Option<&'a Agent>,
    parents: Vec<ParentJson<'a>>,
}

#[derive(Serialize)]
struct ParentJson<'a> {
    process: u64,
    pid: u32,
    exe: Option<&'a str>,
}

impl<'a> CallerJson<'a> {
    pub(super) fn of(caller: &'a Caller) -> Self {
        let program = caller.program.as_ref();
        Self {
            process: caller.process,
            pid: caller.pid,
            foreign: caller.foreign,
            exe: program.map(|it| it.exe.as_str()),
            command: program.map(|it| it.args.as_slice()),
            agent: program.and_then(|it| it.agent.as_ref()),
            parents: caller
                .chain()
                .skip(1)
                .map(|parent| ParentJson {
                    process: parent.process,
                    pid: parent.pid,
                    exe: parent.program.as_ref().map(|it| it.exe.as_str()),
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct DetailJson<'a> {
    pub(super) session: String,
    pub(super) who: Option<WhoJson<'a>>,
    #[serde(flatten)]
    pub(super) contents: ContentsJson<'a>,
    #[serde(flatten)]
    pub(super) call: CallJson<'a>,
    pub(super) wait_us: Option<u64>,
    pub(super) request: MessageJson<'a>,
    pub(super) response: Option<MessageJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_contents: Vec<ToolContentsJson<'a>>,
}

#[derive(Serialize)]
pub(super) struct MessageJson<'a> {
    headers: Option<&'a [(String, String)]>,
    body: BodyJson<'a>,
}

impl<'a> MessageJson<'a> {
    pub(super) fn of(message: &'a Message, contents: &Contents) -> Self {
        Self {
            headers: message.headers.as_deref(),
            body: BodyJson::of(&message.body, contents),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum BodyJson<'a> {
    Empty,
    Kept {
        bytes: usize,
        complete: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'a str>,
        #[serde(flatten)]
        content: ContentJson<'a>,
    },
    NotKept {
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        why: &'a str,
    },
    Erased {
        bytes: u64,
    },
    Sealed {
        bytes: u64,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentJson<'a> {
    Text(&'a str),
    Base64(String),
}

impl<'a> BodyJson<'a> {
    pub(super) fn of(body: &'a Body, contents: &Contents) -> Self {
        match body {
            Body::Empty => Self::Empty,
            Body::Kept {
                content,
                complete,
                why,
            } => Self::Kept {
                bytes: content.len(),
                complete: *complete,
                why: why.as_deref(),
                content: match std::str::from_utf8(content) {
                    Ok(text) => ContentJson::Text(text),
                    Err(_) => ContentJson::Base64(base64(content)),
                },
            },
            Body::NotKept { why, bytes } => Self::NotKept { bytes: *bytes, why },
            Body::Erased { bytes } if *contents == Contents::Sealed => {
                Self::Sealed { bytes: *bytes }
            }
            Body::Erased { bytes } => Self::Erased { bytes: *bytes },
        }
    }
}

fn base64(content: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(content)
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[derive(Serialize)]
pub(super) struct DoctorJson<'a> {
    pub(super) ok: bool,
    pub(super) checks: &'a [crate::ui::doctor::Finding],
}
