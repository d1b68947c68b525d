//! The tool calls of a wrapped MCP server, which go over its standard input and not through the
//! gate: each is a call of its own in the record.
//!
//! Invariant: a message is on stable storage before its end is passed to the server. What is not
//! understood is recorded as a call of which nobody knows what it was. The server's own calls to
//! Datadog go through the gate like any other; they are tied to the tool calls by time alone.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Proxy;
use super::tools::{Waiting, content, id_text, named};
use crate::journal::Refused;
use crate::limits;
use crate::mcp::{self, Kind, Message, Server};
use crate::record::tool::Via;
use crate::record::{Effect, Event, Level, McpCall, Operation};

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

    /// Records what the agent says, durably; `line` is none where it is too long to be looked into.
    ///
    /// # Errors
    /// It cannot be recorded, and must not reach the server.
    pub async fn said(&self, line: Option<&[u8]>) -> Result<(), Refused> {
        let recorded = self.record(line).await;
        if recorded.is_err() {
            self.proxy.count_unrecorded();
        }
        recorded
    }

    async fn record(&self, line: Option<&[u8]>) -> Result<(), Refused> {
        let Some(line) = line else {
            return self.unread("it is too long to be looked into").await;
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let line = Bytes::copy_from_slice(line);
        match mcp::parse(&line) {
            Err(why) => self.unread(&why.to_string()).await,
            Ok(messages) => {
                for message in &messages {
                    self.call(&line, message).await?;
                }
                Ok(())
            }
        }
    }

    async fn call(&self, line: &Bytes, message: &Message<'_>) -> Result<(), Refused> {
        let Kind::Call { tool, arguments } = &message.kind else {
            return Ok(());
        };
        let known = &self.proxy.known;
        let mut event = self.event();
        event.tool = named(known, tool, limits::MCP_TOOL_CHARS_MAX);
        event.id = id_text(known, message.id.as_ref());
        event.access = mcp::effect(std::slice::from_ref(message), Server::Other);
        let mut attachments = Vec::new();
        if let Some(text) = arguments {
            let text = line.slice_ref(text.as_bytes());
            let content = content(&self.proxy, known, self.level, "args", &text).await?;
            event.args = Some(content.commitment);
            event.unkept = content.unkept;
            event.redactions = content.redactions;
            attachments.extend(content.attachment);
        }
        let number = event.call;
        self.proxy
            .journal
            .admit(Event::McpCall(event), attachments)
            .await?;
        if let Some(id) = &message.id {
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

    async fn unread(&self, why: &str) -> Result<(), Refused> {
        let mut event = self.event();
        event.unkept = Some(why.to_owned());
        self.proxy
            .journal
            .admit(Event::McpCall(event), Vec::new())
            .await
    }

    fn event(&self) -> McpCall {
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
        }
    }

    /// Records what the server answers, before the agent has all of it.
    ///
    /// # Errors
    /// The journal takes no more.
    pub async fn answered(&self, line: Option<&[u8]>) -> Result<(), Refused> {
        let line = Bytes::copy_from_slice(line.unwrap_or_default());
        // Servers print all kinds of things; the call then has no result, which is said.
        for message in mcp::parse(&line).unwrap_or_default() {
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
