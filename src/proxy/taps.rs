//! Bodies of exchanges with an MCP server, looked into while they pass: long requests, and answers
//! in one piece or as a stream of events.
//!
//! Invariant: nothing waits here but for the record. What is too long, or one too many at once, is
//! passed without being looked into, and the record says so.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use super::Proxy;
use super::tools::{Exchange, Held, Said, Waiting, content};
use crate::journal::Refused;
use crate::limits;
use crate::mcp::{self, Kind};
use crate::record::event::Side;
use crate::redact::KnownSecrets;

/// A long request body that is looked into while it passes.
#[derive(Debug)]
pub(super) struct RequestTap {
    exchange: Exchange,
    known: KnownSecrets,
    body: Vec<u8>,
    held: Held,
    is_too_long: bool,
}

impl RequestTap {
    pub(super) fn new(proxy: &Proxy, exchange: Exchange, known: KnownSecrets) -> Self {
        Self {
            exchange,
            known,
            body: Vec::new(),
            held: proxy.tools.holding(),
            is_too_long: false,
        }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        if !self.is_too_long && self.held.set(self.body.len() + piece.len()) {
            self.body.extend_from_slice(piece);
        } else {
            self.is_too_long = true;
            self.body = Vec::new();
            self.held.set(0);
        }
    }

    /// Puts the tool calls of the whole body on stable storage.
    pub(super) async fn record(&mut self, proxy: &Proxy) -> Result<(), Refused> {
        let said = if self.is_too_long {
            let why = "it is too long to be looked into";
            self.exchange.is_endpoint.then(|| Said::unread(why))
        } else {
            self.exchange.said(&std::mem::take(&mut self.body).into())
        };
        let Some(said) = said else {
            return Ok(());
        };
        for (event, attachments) in self.exchange.leaves(proxy, &self.known, &said).await? {
            proxy.journal.note_durably(event, attachments).await?;
        }
        self.exchange.expect(&proxy.tools, &said);
        Ok(())
    }
}

/// An answer that is looked into while it passes.
#[derive(Debug)]
pub(super) struct AnswerTap {
    exchange: Exchange,
    known: KnownSecrets,
    shape: Shape,
    held: Held,
    /// That something was not understood is said once.
    is_unread: bool,
}

#[derive(Debug)]
enum Shape {
    Events(mcp::EventStream),
    Json(Vec<u8>),
    /// It cannot be looked into, or is not to be any more.
    Closed,
}

impl AnswerTap {
    /// Begins an answer; none where it says nothing in the protocol. `is_event_stream` and
    /// `is_coded` as the head says.
    pub(super) fn new(
        proxy: &Proxy,
        exchange: &Exchange,
        known: &KnownSecrets,
        headers: &HeaderMap,
        is_event_stream: bool,
    ) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media = kind.split(';').next().unwrap_or_default().trim();
        let shape = if is_event_stream {
            Shape::Events(mcp::EventStream::new(limits::MCP_MESSAGE_BYTES_MAX))
        } else if media.eq_ignore_ascii_case("application/json") {
            Shape::Json(Vec::new())
        } else {
            return None;
        };
        Some(Self {
            exchange: exchange.clone(),
            known: known.clone(),
            shape,
            held: proxy.tools.holding(),
            is_unread: false,
        })
    }

    /// Takes the next plain bytes of the answer, and records the results that end in them.
    pub(super) async fn push(&mut self, proxy: &Proxy, piece: &[u8]) -> Result<(), Refused> {
        match &mut self.shape {
            Shape::Closed => Ok(()),
            Shape::Json(body) => {
                if self.held.set(body.len() + piece.len()) {
                    body.extend_from_slice(piece);
                    return Ok(());
                }
                self.close(proxy).await
            }
            Shape::Events(stream) => {
                let events = stream.push(piece);
                let fits = self.held.set(stream.held_bytes());
                for event in events {
                    match event.data {
                        // An event that only carries an id, to resume from.
                        Some(data) if data.is_empty() => {}
                        Some(data) => self.message(proxy, data.into(), true).await?,
                        None => self.unread(proxy, "an event is too long").await?,
                    }
                }
                if fits {
                    Ok(())
                } else {
                    self.close(proxy).await
                }
            }
        }
    }

    /// Ends the answer. `is_success` says whether the status promises a message.
    pub(super) async fn finish(&mut self, proxy: &Proxy, is_success: bool) -> Result<(), Refused> {
        match std::mem::replace(&mut self.shape, Shape::Closed) {
            Shape::Json(body) if !body.is_empty() => {
                self.message(proxy, body.into(), is_success).await
            }
            _ => Ok(()),
        }
    }

    async fn close(&mut self, proxy: &Proxy) -> Result<(), Refused> {
        self.shape = Shape::Closed;
        self.held.set(0);
        self.unread(proxy, "it is too long to be looked into").await
    }

    async fn unread(&mut self, proxy: &Proxy, why: &str) -> Result<(), Refused> {
        if self.exchange.is_endpoint && !std::mem::replace(&mut self.is_unread, true) {
            let (event, attachments) = self.exchange.unread(Side::Response, why.to_owned());
            proxy.journal.conclude(event, attachments).await?;
        }
        Ok(())
    }

    async fn message(&mut self, proxy: &Proxy, text: Bytes, is_due: bool) -> Result<(), Refused> {
        let messages = match mcp::parse(&text) {
            Ok(messages) => messages,
            Err(why) if is_due => return self.unread(proxy, &why.to_string()).await,
            Err(_) => return Ok(()),
        };
        for message in messages {
            let (Some(id), Kind::Answer { content, went }) = (message.id, message.kind) else {
                continue;
            };
            let Exchange {
                number,
                server,
                session,
                ..
            } = &self.exchange;
            let book = &proxy.tools;
            if let Some(waiting) = book.answered(Some(*number), server, session.as_deref(), &id) {
                let content = text.slice_ref(content.as_bytes());
                self.result(proxy, &waiting, &content, went).await?;
            }
        }
        Ok(())
    }

    async fn result(
        &self,
        proxy: &Proxy,
        waiting: &Waiting,
        text: &Bytes,
        went: mcp::Went,
    ) -> Result<(), Refused> {
        let Exchange { number, level, .. } = self.exchange;
        let content = content(proxy, &self.known, level, "result", text).await?;
        let (event, attachments) = waiting.result(Some(number), went, level, content);
        proxy.journal.conclude(event, attachments).await
    }
}
