//! Tool calls on their way through (Model Context Protocol, streamable HTTP): each gets leaves of
//! its own in the record, tied to the exchange it travels in.
//!
//! Invariant: a `mcp.call` is on stable storage before Datadog can act on it (a short body before
//! it is sent, a long one before its end is), and what is not understood here is passed on as it
//! is and said to be so. No stream waits for being understood.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{Method, request};

use super::Proxy;
use super::recorder::{BodyRecorder, Recorded};
use crate::content_coding::Decoder;
use crate::datadog;
use crate::journal::{Attachment, Refused};
use crate::limits;
use crate::mcp::{self, Id, Kind, Server};
use crate::policy::Asked;
use crate::record::event::Side;
use crate::record::tool::Via;
use crate::record::{CallNumber, Effect, Event, Level, McpCall, McpResult, McpUnread, ToolOutcome};
use crate::redact::KnownSecrets;

/// Where a session of the protocol is named (MCP 2025-03-26, "Session Management").
const SESSION_HEADER: &str = "mcp-session-id";

/// A leaf and what stands beside it.
pub(super) type Record = (Event, Vec<Attachment>);

/// The tool calls of a session that wait for their results, and the memory of what is looked into.
#[derive(Debug, Default)]
pub struct ToolBook {
    waiting: Mutex<VecDeque<Waiting>>,
    held_bytes: Arc<AtomicUsize>,
}

/// A tool call without a result so far.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) server: String,
    pub(super) session: Option<String>,
    pub(super) id: Id,
    pub(super) call: CallNumber,
    pub(super) nth: u32,
    pub(super) since: Instant,
}

impl Waiting {
    /// The leaf of its result. `came_in` is the HTTP exchange that brought it; none for a wrapped
    /// server's, which come over a pipe.
    pub(super) fn result(
        &self,
        came_in: Option<CallNumber>,
        went: mcp::Went,
        level: Level,
        content: Recorded,
    ) -> Record {
        let event = McpResult {
            call: self.call,
            nth: self.nth,
            via: came_in.map_or(Via::Stdio, |_| Via::Http),
            came_in: came_in.filter(|here| *here != self.call),
            outcome: match went {
                mcp::Went::Well => ToolOutcome::Ok,
                mcp::Went::ToolError => ToolOutcome::ToolError,
                mcp::Went::RpcError => ToolOutcome::RpcError,
            },
            result: content.commitment,
            dur_us: u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX),
            level: Some(level).filter(|level| *level < Level::Full),
            unkept: content.unkept,
            redactions: content.redactions,
        };
        let attachments = content.attachment.into_iter().collect();
        (Event::McpResult(event), attachments)
    }
}

impl ToolBook {
    /// From now on a result of this call is expected.
    pub(super) fn expect(&self, waiting: Waiting) {
        if waiting.id.as_str().len() > limits::MCP_ID_CHARS_MAX {
            return;
        }
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= limits::MCP_WAITING_MAX {
            all.pop_front();
        }
        all.push_back(waiting);
    }

    /// The call an answer belongs to: of the same exchange, or else of the same session.
    pub(super) fn answered(
        &self,
        exchange: Option<CallNumber>,
        server: &str,
        session: Option<&str>,
        id: &Id,
    ) -> Option<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |it: &Waiting| Some(it.call) == exchange && it.id == *id;
        let same =
            |it: &Waiting| it.id == *id && it.server == server && it.session.as_deref() == session;
        let at = all
            .iter()
            .position(own)
            .or_else(|| all.iter().position(same))?;
        all.remove(at)
    }

    pub(super) fn holding(&self) -> Held {
        Held {
            all: Arc::clone(&self.held_bytes),
            own: 0,
        }
    }
}

/// Memory of one body that is looked into, counted among that of all.
#[derive(Debug)]
pub(super) struct Held {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Held {
    /// Takes note of how much is held now; false when it is too much.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
        self.own = bytes;
        let all = self.all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        bytes <= limits::MCP_MESSAGE_BYTES_MAX && all <= limits::MCP_HELD_BYTES_MAX
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// One HTTP exchange with an MCP server.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) number: CallNumber,
    pub(super) server: String,
    pub(super) session: Option<String>,
    pub(super) level: Level,
    /// Whether the path is that of the protocol's one endpoint; else it may be anything.
    pub(super) is_endpoint: bool,
    method: Method,
    coding: Option<String>,
}

/// What a request says, as far as it is understood.
#[derive(Debug)]
pub(super) struct Said {
    /// Its methods.
    pub(super) methods: Option<String>,
    /// What it does at most.
    pub(super) effect: Effect,
    calls: Vec<Called>,
    pub(super) unread: Option<String>,
}

#[derive(Debug)]
struct Called {
    nth: u32,
    id: Option<Id>,
    tool: String,
    arguments: Option<Bytes>,
    effect: Effect,
}

impl Said {
    /// Nothing that has leaves of its own.
    const fn nothing(effect: Effect) -> Self {
        Self {
            methods: None,
            effect,
            calls: Vec::new(),
            unread: None,
        }
    }

    /// Nothing that is understood.
    pub(super) fn unread(why: &str) -> Self {
        Self {
            unread: Some(why.to_owned()),
            ..Self::nothing(Effect::Unknown)
        }
    }

    /// What it asks of the account: nothing, where it only keeps the protocol going.
    pub(super) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.calls.iter().map(|called| Asked {
            id: Some(&called.tool),
            tag: mcp::TAG,
            effect: called.effect,
            kind: "tool call",
        })
    }
}

impl Exchange {
    /// The exchange that begins with this head, if it is one with an MCP server.
    pub(super) fn of(number: CallNumber, host: &str, head: &request::Parts) -> Option<Self> {
        let path = head.uri.path();
        let is_read = [Method::GET, Method::HEAD].contains(&head.method);
        if !datadog::is_mcp_host(host) || is_read && path.starts_with("/.well-known/") {
            return None;
        }
        let text = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        Some(Self {
            number,
            server: host.to_owned(),
            session: text(SESSION_HEADER),
            level: Level::Full,
            is_endpoint: is_endpoint(path),
            method: head.method.clone(),
            coding: text(CONTENT_ENCODING.as_str()),
        })
    }

    /// The same, recorded at this level.
    pub(super) fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// What a request with this body says.
    pub(super) fn said(&self, body: &Bytes) -> Option<Said> {
        if body.is_empty() {
            // Opens a stream, or ends a session: neither leaves anything in the account.
            let is_protocol = [Method::GET, Method::DELETE].contains(&self.method);
            return (self.is_endpoint && is_protocol).then(|| Said::nothing(Effect::Read));
        }
        let plain = unpacked(body, self.coding.as_deref());
        let read = plain.as_ref().map_err(Clone::clone).and_then(|plain| {
            let messages = mcp::parse(plain).map_err(|why| why.to_string())?;
            Ok(understood(plain, &messages))
        });
        match read {
            Ok(said) => Some(said),
            Err(_) if !self.is_endpoint => None,
            Err(why) => Some(Said::unread(&why)),
        }
    }

    /// The leaves of what a request says.
    pub(super) async fn leaves(
        &self,
        proxy: &Proxy,
        known: &KnownSecrets,
        said: &Said,
    ) -> Result<Vec<Record>, Refused> {
        let mut leaves = Vec::new();
        for called in &said.calls {
            leaves.push(self.call_leaf(proxy, known, called).await?);
        }
        leaves.extend(
            said.unread
                .clone()
                .map(|why| self.unread(Side::Request, why)),
        );
        Ok(leaves)
    }

    async fn call_leaf(
        &self,
        proxy: &Proxy,
        known: &KnownSecrets,
        called: &Called,
    ) -> Result<Record, Refused> {
        let mut event = McpCall {
            call: self.number,
            nth: called.nth,
            via: Via::Http,
            server: known.text(&self.server).into_inner(),
            tool: named(known, &called.tool, limits::MCP_TOOL_CHARS_MAX),
            id: id_text(known, called.id.as_ref()),
            access: called.effect,
            level: Some(self.level).filter(|level| *level < Level::Full),
            args: None,
            unkept: None,
            redactions: Vec::new(),
            decision: None,
            rule: None,
        };
        let mut attachments = Vec::new();
        if let Some(arguments) = &called.arguments {
            let content = content(proxy, known, self.level, "args", arguments).await?;
            event.args = Some(content.commitment);
            event.unkept = content.unkept;
            event.redactions = content.redactions;
            attachments.extend(content.attachment);
        }
        Ok((Event::McpCall(event), attachments))
    }

    /// The leaf that says so.
    pub(super) fn unread(&self, side: Side, why: String) -> Record {
        let call = self.number;
        (Event::McpUnread(McpUnread { call, side, why }), Vec::new())
    }

    /// From now on results of these calls are expected.
    pub(super) fn expect(&self, book: &ToolBook, said: &Said) {
        for called in &said.calls {
            if let Some(id) = &called.id {
                book.expect(Waiting {
                    server: self.server.clone(),
                    session: self.session.clone(),
                    id: id.clone(),
                    call: self.number,
                    nth: called.nth,
                    since: Instant::now(),
                });
            }
        }
    }
}

/// Whether a path of an MCP host is that of the protocol.
pub(super) fn is_endpoint(path: &str) -> bool {
    path.trim_end_matches('/').ends_with("/mcp")
}

fn understood(plain: &Bytes, messages: &[mcp::Message<'_>]) -> Said {
    let mut calls = Vec::new();
    for message in messages {
        if let Kind::Call { tool, arguments } = &message.kind {
            calls.push(Called {
                // A batch is bounded far below.
                nth: u32::try_from(calls.len()).unwrap_or(u32::MAX),
                id: message.id.clone(),
                tool: tool.clone(),
                arguments: arguments.map(|text| plain.slice_ref(text.as_bytes())),
                effect: mcp::effect(std::slice::from_ref(message), Server::Datadog),
            });
        }
    }
    Said {
        methods: mcp::summary(messages),
        effect: mcp::effect(messages, Server::Datadog),
        calls,
        unread: None,
    }
}

/// A body without its content coding.
fn unpacked(body: &Bytes, coding: Option<&str>) -> Result<Bytes, String> {
    let max = limits::MCP_MESSAGE_BYTES_MAX as u64;
    let decoder = Decoder::new(coding.unwrap_or_default(), max).map_err(|e| e.to_string())?;
    let Some(mut decoder) = decoder else {
        return Ok(body.clone());
    };
    let mut plain = Vec::new();
    for piece in body.chunks(limits::CODED_PIECE_BYTES_MAX) {
        decoder.push(piece, &mut plain).map_err(|e| e.to_string())?;
    }
    decoder.finish().map_err(|e| e.to_string())?;
    Ok(plain.into())
}

pub(super) fn named(known: &KnownSecrets, text: &str, chars_max: usize) -> String {
    let text = known.text(text).into_inner();
    text.chars().take(chars_max).collect()
}

pub(super) fn id_text(known: &KnownSecrets, id: Option<&Id>) -> String {
    id.map_or_else(String::new, |id| {
        named(known, id.as_str(), limits::MCP_ID_CHARS_MAX)
    })
}

/// Arguments or a result, ready to stand beside a leaf.
pub(super) async fn content(
    proxy: &Proxy,
    known: &KnownSecrets,
    level: Level,
    field: &'static str,
    text: &Bytes,
) -> Result<Recorded, Refused> {
    let json = Some("application/json");
    let mut recorder = BodyRecorder::new(proxy, known, level, field, json, None, &[]);
    recorder.push(&proxy.journal, text.clone()).await?;
    recorder.finish(&proxy.journal).await
}
