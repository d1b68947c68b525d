//! The tool calls of a wrapped MCP server, which go over its standard input and not through the
//! gate: each is a call of its own in the record.
//!
//! Invariant: a message that may call a tool is on stable storage before anything of it is passed to
//! the server; while the identity has lapsed, none is. What is not understood, and a method that is not
//! the protocol's, is recorded as a call of which nobody knows what it was. What some readers take for
//! two lines never passes. The protocol's own methods pass unrecorded. The server's own calls to
//! Datadog go through the gate like any other; they are tied to the tool calls by time alone.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Proxy;
use super::lapse;
use super::tools::{Waiting, content, id_text, named};
use crate::journal::Refused;
use crate::limits;
use crate::mcp::{self, Kind, Message, Server};
use crate::record::event::Decision;
use crate::record::standing::LAPSED_RULE;
use crate::record::tool::Via;
use crate::record::{Effect, Event, LapseReason, Level, McpCall, Operation};

/// The rule of a message that is refused because it may be more than one.
const PARTED_RULE: &str = "carriage-return";
/// What whoever wrote it is told.
const PARTED: &str = "there is a carriage return inside this message, where some servers begin another \
    one; nothing was sent; a message is one line, with no carriage return in it";

/// Whether somebody vouches for who acts, and the rule of a call that goes on or not for want of it.
type Standing = Result<Option<&'static str>, LapseReason>;

/// What becomes of something the agent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// The server gets it.
    Passes,
    /// It does not; the agent gets this line, if it wants an answer.
    Refused(Option<String>),
}

impl Spoken {
    fn by(standing: Standing, messages: &[Message<'_>], is_batch: bool) -> Self {
        match standing {
            Ok(_) => Self::Passes,
            Err(why) => Self::Refused(mcp::refusals(messages, is_batch, &lapse::message(why))),
        }
    }
}

/// The two ends of a wrapped server. Cheap to clone: one for each direction.
#[derive(Clone, Debug)]
pub struct Wrapped {
    proxy: Arc<Proxy>,
    server: String,
    level: Level,
}

impl Wrapped {
    /// A server that is called so in the record.
    #[must_use]
    pub fn new(proxy: &Arc<Proxy>, server: &str) -> Self {
        // No catalogue knows the tools of whoever is wrapped here.
        let operation = Operation {
            id: None,
            group: "MCP",
            route: String::new(),
            effect: Effect::Unknown,
            resources: Vec::new(),
            secret_request: &[],
            secret_response: &[],
        };
        Self {
            proxy: Arc::clone(proxy),
            server: proxy.known.text(server).into_inner(),
            level: proxy.recording.level(&operation),
        }
    }

    /// Judges what the agent says, and records what of it calls tools, durably; `line` is none where it
    /// is too long to be looked into. While nobody vouches for whoever acts, no tool is called, as over
    /// HTTP: what could call one stays, and the agent is answered.
    ///
    /// # Errors
    /// It cannot be recorded, and must not reach the server.
    pub async fn said(&self, line: Option<&[u8]>) -> Result<Spoken, Refused> {
        let judged = self.judge(line).await;
        if judged.is_err() {
            self.proxy.count_unrecorded();
        }
        judged
    }

    async fn judge(&self, line: Option<&[u8]>) -> Result<Spoken, Refused> {
        let Some(line) = line else {
            return self.unread("it is too long to be looked into").await;
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Spoken::Passes);
        }
        let line = Bytes::copy_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        if line.contains(&b'\r') {
            return self.parted(&line).await;
        }
        match mcp::parse(&line) {
            Err(why) => self.unread(&why.to_string()).await,
            Ok(messages) => self.messages(&line, &messages).await,
        }
    }

    /// A carriage return may stand between any two tokens of JSON, and is the end of a line to Python's
    /// text files, to Java and to Node: what is one message here is others to the server, and nobody
    /// knows what was recorded of them.
    async fn parted(&self, line: &Bytes) -> Result<Spoken, Refused> {
        let mut event = self.event(Ok(None));
        event.decision = Some(Decision::Deny);
        event.rule = Some(PARTED_RULE.to_owned());
        event.unkept = Some("there is a carriage return inside it".to_owned());
        self.admit(event).await?;
        let messages = mcp::parse(line).unwrap_or_default();
        let answer = mcp::refusals(&messages, is_batch(line), PARTED);
        Ok(Spoken::Refused(answer))
    }

    async fn messages(&self, line: &Bytes, messages: &[Message<'_>]) -> Result<Spoken, Refused> {
        let standing = if messages.iter().any(Message::may_act) {
            let standing = lapse::judged(&self.proxy).await;
            for message in messages {
                self.call(line, message, standing).await?;
            }
            standing
        } else if ends_a_line_elsewhere(line) {
            self.unknown("some readers end a line inside it").await?
        } else {
            return Ok(Spoken::Passes);
        };
        Ok(Spoken::by(standing, messages, is_batch(line)))
    }

    async fn call(
        &self,
        line: &Bytes,
        message: &Message<'_>,
        standing: Standing,
    ) -> Result<(), Refused> {
        if !message.may_act() {
            return Ok(());
        }
        let known = &self.proxy.known;
        let mut event = self.event(standing);
        event.id = id_text(known, message.id.as_ref());
        event.access = mcp::effect(std::slice::from_ref(message), Server::Other);
        let mut attachments = Vec::new();
        match &message.kind {
            Kind::Call { tool, arguments } => {
                event.tool = named(known, tool, limits::MCP_TOOL_CHARS_MAX);
                if let Some(text) = arguments {
                    let text = line.slice_ref(text.as_bytes());
                    let content = content(&self.proxy, known, self.level, "args", &text).await?;
                    event.args = Some(content.commitment);
                    event.unkept = content.unkept;
                    event.redactions = content.redactions;
                    attachments.extend(content.attachment);
                }
            }
            // No tool of this name was called: it stands where it cannot be taken for one.
            Kind::Method(method) => {
                let method = named(known, method, limits::MCP_TOOL_CHARS_MAX);
                event.unkept = Some(format!("its method is not the protocol's: {method}"));
            }
            Kind::Answer { .. } => {}
        }
        let number = event.call;
        self.proxy
            .journal
            .admit(Event::McpCall(event), attachments)
            .await?;
        if let (Some(id), Ok(_)) = (&message.id, standing) {
            self.proxy.tools.expect(Waiting {
                server: self.server.clone(),
                session: None,
                id: id.clone(),
                call: number,
                nth: 0,
                since: Instant::now(),
            });
        }
        Ok(())
    }

    /// What is not understood may call a tool.
    async fn unread(&self, why: &str) -> Result<Spoken, Refused> {
        let standing = self.unknown(why).await?;
        Ok(Spoken::by(standing, &[], false))
    }

    /// Records a call of which nobody knows what it is.
    async fn unknown(&self, why: &str) -> Result<Standing, Refused> {
        let standing = lapse::judged(&self.proxy).await;
        let mut event = self.event(standing);
        event.unkept = Some(why.to_owned());
        self.admit(event).await?;
        Ok(standing)
    }

    async fn admit(&self, event: McpCall) -> Result<(), Refused> {
        let admitted = self.proxy.journal.admit(Event::McpCall(event), Vec::new());
        admitted.await.map(drop)
    }

    fn event(&self, standing: Standing) -> McpCall {
        McpCall {
            call: self.proxy.journal.next_call(),
            nth: 0,
            via: Via::Stdio,
            server: self.server.clone(),
            tool: String::new(),
            id: String::new(),
            access: Effect::Unknown,
            level: Some(self.level).filter(|level| *level < Level::Full),
            args: None,
            unkept: None,
            redactions: Vec::new(),
            decision: standing.is_err().then_some(Decision::Deny),
            rule: standing.unwrap_or(Some(LAPSED_RULE)).map(str::to_owned),
        }
    }

    /// Records what the server answers, before the agent has all of it.
    ///
    /// # Errors
    /// The journal takes no more.
    pub async fn answered(&self, line: Option<&[u8]>) -> Result<(), Refused> {
        let line = Bytes::copy_from_slice(line.unwrap_or_default());
        // Some agents end a line at a carriage return too. Servers print all kinds of things; the call
        // then has no result, which is said.
        let messages = mcp::parse(&line).unwrap_or_else(|_| {
            let parts = line.split(|byte| *byte == b'\r');
            parts
                .flat_map(|part| mcp::parse(part).unwrap_or_default())
                .collect()
        });
        for message in messages {
            let (
                Some(id),
                Kind::Answer {
                    content: text,
                    went,
                },
            ) = (message.id, message.kind)
            else {
                continue;
            };
            let Some(waiting) = self.proxy.tools.answered(None, &self.server, None, &id) else {
                continue;
            };
            let text = line.slice_ref(text.as_bytes());
            let known = &self.proxy.known;
            let content = content(&self.proxy, known, self.level, "result", &text).await?;
            let (event, attachments) = waiting.result(None, went, self.level, content);
            self.proxy.journal.conclude(event, attachments).await?;
        }
        Ok(())
    }
}

fn is_batch(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"[")
}

/// Whether there is the end of a line in it for readers that end it at more than `\n` and `\r`: Node's
/// `readline` at U+2028 and U+2029 (Node 24 does, Node 20 does not), Java's `Scanner` at U+0085 too.
/// These stand inside strings only, and people write them. What follows one is no JSON text then, because
/// inside of a string no other can be quoted; but a reader that takes more than JSON has (`'` for `"`)
/// finds a message there. NUL, form feed and the like stand nowhere in JSON.
fn ends_a_line_elsewhere(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| text.contains(['\u{85}', '\u{2028}', '\u{2029}']))
}
