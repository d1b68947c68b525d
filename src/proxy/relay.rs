//! The answer: to the child and to the record at once, piece by piece, and how the call ended.
//!
//! The child sees what Datadog sent, with two differences: real keys are placeholders again, and a
//! compressed body arrives unpacked (else nothing in it could be found).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, Response, StatusCode, response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::body::{PassBody, discard};
use super::outlet::{ChildGone, Outlet};
use super::pipeline::Reply;
use super::recorder::BodyRecorder;
use super::send_error::SendError;
use super::taps::AnswerTap;
use super::tools::Exchange;
use super::{Proxy, headers, respond};
use crate::content_coding::Decoder;
use crate::journal::{Attachment, Permit, commit};
use crate::limits;
use crate::record::event::CallResponse;
use crate::record::{CallNumber, Event, Level, Operation, Outcome, Secret};
use crate::redact::{self, KnownSecrets, ReplacerStream};

/// A call that is on record and not yet ended.
pub(super) struct Call {
    proxy: Arc<Proxy>,
    number: CallNumber,
    request_leaf: u64,
    started: Instant,
    sent: Instant,
    is_head: bool,
    secret_paths: &'static [&'static str],
    level: Level,
    /// The session's secrets, and those of the request.
    known: KnownSecrets,
    /// Set where it is an exchange with an MCP server.
    exchange: Option<Exchange>,
}

impl Call {
    pub(super) fn new(
        proxy: &Arc<Proxy>,
        permit: &Permit,
        started: Instant,
        method: &Method,
        operation: &Operation,
        level: Level,
    ) -> Self {
        Self {
            proxy: Arc::clone(proxy),
            number: permit.call(),
            request_leaf: permit.request_leaf(),
            started,
            sent: Instant::now(),
            is_head: method == Method::HEAD,
            secret_paths: operation.secret_response,
            level,
            known: proxy.known.clone(),
            exchange: None,
        }
    }

    /// The same, as an exchange with an MCP server if it is one: tools are answered in it.
    pub(super) fn speaking(self, exchange: Option<Exchange>) -> Self {
        Self { exchange, ..self }
    }

    /// The same, when the request held these: the answer may repeat them.
    pub(super) fn knowing(self, gone: &[Secret<String>]) -> Self {
        Self {
            known: self.known.and(gone),
            ..self
        }
    }

    /// Ends a call to which no answer came that could be passed on.
    pub(super) async fn fail(self, error: SendError, reply: Reply) {
        let mut event = self.response(error.outcome());
        event.status = error.status().map(|status| status.as_u16());
        event.error = Some(error.to_string());
        // A poisoned journal refuses the next call; this one can only be answered.
        let _ = self.conclude(event, Vec::new()).await;
        let (status, verdict) = error.verdict();
        // The child may be gone; then nobody needs the answer.
        let _ = reply.send(respond::refusal(
            status,
            verdict,
            &error.to_string(),
            Some(self.number),
        ));
    }

    /// Passes an answer on and records it.
    pub(super) async fn relay(self, response: Response<Incoming>, reply: Reply) {
        let wait_us = micros(self.sent);
        let (head, incoming) = response.into_parts();
        let kept = (self.level >= Level::Headers).then(|| {
            let headers = redact::headers(&self.known, &head.headers);
            commit("headers", headers.json())
        });
        let mut event = self.response(Outcome::Answered);
        event.status = Some(head.status.as_u16());
        event.wait_us = Some(wait_us);
        event.headers = kept.as_ref().map(Attachment::commitment);

        if self.has_no_body(head.status) || incoming.is_end_stream() {
            let head = for_child(&self.proxy, head, false);
            let _ = self.conclude(event, kept.into_iter().collect()).await;
            let _ = reply.send(Response::from_parts(head, PassBody::empty()));
            // Over HTTP/2 the end may come in a frame of its own.
            return discard(incoming, &self.proxy.draining).await;
        }
        let mut passage = Passage::new(&self, &head.headers, head.status);
        let recoded = passage.decoder.is_some() || !self.proxy.swap_keeps_length;
        passage.left_bytes = incoming.size_hint().exact().filter(|_| !recoded);
        let head = for_child(&self.proxy, head, recoded);
        let mut outlet = Outlet::new(head, passage.left_bytes, reply);
        passage.run(incoming, &mut outlet).await;
        if passage.broke.is_none() && outlet.is_abandoned() {
            passage.broke = Some(Broke::Child);
        }
        let end = passage.held_back();
        let attachments = passage.end(&mut event, kept).await;
        let broke = event.error.clone();
        let _ = self.conclude(event, attachments).await;
        if let Some(why) = broke {
            let status = StatusCode::BAD_GATEWAY;
            let instead = || respond::refusal(status, "failed", &why, Some(self.number));
            return outlet.abort(why.clone(), instead).await;
        }
        for frame in end {
            // A child that leaves here has been answered; HTTP/1 has no trailers behind a length.
            let _ = outlet.pass(frame).await;
        }
        let _ = outlet.open();
    }

    /// RFC 9110, 6.4.1.
    fn has_no_body(&self, status: StatusCode) -> bool {
        self.is_head || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
    }

    fn response(&self, outcome: Outcome) -> CallResponse {
        CallResponse {
            call: self.number,
            re: self.request_leaf,
            outcome,
            status: None,
            dur_us: 0,
            wait_us: None,
            headers: None,
            body: None,
            unkept: None,
            error: None,
            redactions: Vec::new(),
        }
    }

    async fn conclude(
        &self,
        mut event: CallResponse,
        attachments: Vec<Attachment>,
    ) -> Result<(), crate::journal::Refused> {
        event.dur_us = micros(self.started);
        // It may quote the host, and a host can be any word.
        event.error = event.error.map(|e| self.proxy.known.text(&e).into_inner());
        self.proxy
            .journal
            .conclude(Event::CallResponse(event), attachments)
            .await
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn for_child(proxy: &Proxy, mut head: response::Parts, recoded: bool) -> response::Parts {
    headers::towards_child(&mut head.headers, recoded, &proxy.swap);
    head.version = http::Version::HTTP_11;
    head
}

/// Why an answer did not pass whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Broke {
    #[error("the child closed the connection before the answer ended")]
    Child,
    #[error("the answer broke off: {0}")]
    Upstream(String),
    #[error("the answer stalled for {} s", limits::RESPONSE_IDLE_TIMEOUT.as_secs())]
    Silent,
    #[error("the answer cannot be unpacked: {0}")]
    Coding(String),
    #[error("the answer cannot be recorded: {0}")]
    Record(String),
    #[error("the session ended before the answer did")]
    Stopped,
}

impl From<ChildGone> for Broke {
    fn from(_: ChildGone) -> Self {
        Self::Child
    }
}

/// One answer on its way.
struct Passage<'a> {
    call: &'a Call,
    decoder: Option<Decoder>,
    swap: ReplacerStream,
    recorder: BodyRecorder,
    /// Looks for the results of tools.
    tap: Option<AnswerTap>,
    is_success: bool,
    /// Events must not wait for more to come.
    is_event_stream: bool,
    /// Of an answer with a known length, what is still to come.
    left_bytes: Option<u64>,
    /// The last piece of such an answer: the call is concluded before the child has all of it, so
    /// that the child's next call stands behind this one in the record.
    last: Option<Bytes>,
    trailers: Option<HeaderMap>,
    broke: Option<Broke>,
}

impl<'a> Passage<'a> {
    fn new(call: &'a Call, headers: &HeaderMap, status: StatusCode) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|v: &HeaderValue| v.to_str().ok())
        };
        let content_type = text(CONTENT_TYPE);
        let coding = text(CONTENT_ENCODING);
        // A coding the gate never asked for passes as it is, and the record says so.
        let decoder = coding.and_then(|c| Decoder::new(c, limits::DECODED_BYTES_MAX).ok()?);
        let left_coded = coding.filter(|_| decoder.is_none());
        let proxy = &call.proxy;
        let is_event_stream = content_type.is_some_and(is_event_stream);
        // What stays packed cannot be looked into.
        let exchange = call.exchange.as_ref().filter(|_| left_coded.is_none());
        Self {
            call,
            is_success: status.is_success(),
            tap: exchange.and_then(|exchange| {
                AnswerTap::new(proxy, exchange, &call.known, headers, is_event_stream)
            }),
            swap: proxy.swap.stream(),
            recorder: BodyRecorder::new(
                proxy,
                &call.known,
                call.level,
                "body",
                content_type,
                left_coded,
                call.secret_paths,
            ),
            is_event_stream,
            left_bytes: None,
            last: None,
            trailers: None,
            decoder,
            broke: None,
        }
    }

    /// Moves frames until the end, or until something breaks.
    async fn run(&mut self, mut incoming: Incoming, outlet: &mut Outlet) {
        let stopping = self.call.proxy.stopping.clone();
        let patience = if self.is_event_stream {
            Duration::ZERO
        } else {
            limits::RESPONSE_HEAD_HOLD
        };
        let mut held_enough = std::pin::pin!(tokio::time::sleep(patience));
        while self.broke.is_none() {
            let frame = tokio::select! {
                biased;
                () = stopping.cancelled() => return self.broke = Some(Broke::Stopped),
                frame = tokio::time::timeout(limits::RESPONSE_IDLE_TIMEOUT, incoming.frame()) => frame,
                () = outlet.closed() => return self.broke = Some(Broke::Child),
                () = held_enough.as_mut(), if outlet.is_unopened() => {
                    self.broke = outlet.open().err().map(Into::into);
                    continue;
                }
            };
            let moved = match frame {
                Err(_) => Err(Broke::Silent),
                Ok(None) => return self.finish(outlet).await,
                Ok(Some(Err(e))) => Err(Broke::Upstream(super::send_error::reasons(&e))),
                Ok(Some(Ok(frame))) => self.frame(frame, outlet).await,
            };
            self.broke = moved.err();
        }
    }

    async fn frame(&mut self, frame: Frame<Bytes>, outlet: &mut Outlet) -> Result<(), Broke> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                // Behind whatever of the body is still held back.
                self.trailers = frame.into_trailers().ok();
                return Ok(());
            }
        };
        if self.decoder.is_none() {
            let swapped = self.swap.push_bytes(data);
            return self.deliver(swapped, outlet).await;
        }
        for piece in data.chunks(limits::CODED_PIECE_BYTES_MAX) {
            let mut plain = Vec::new();
            if let Some(decoder) = &mut self.decoder {
                decoder
                    .push(piece, &mut plain)
                    .map_err(|e| Broke::Coding(e.to_string()))?;
            }
            let swapped = self.swap.push_bytes(plain.into());
            self.deliver(swapped, outlet).await?;
        }
        Ok(())
    }

    /// To the record first, then to the child.
    async fn deliver(&mut self, bytes: Bytes, outlet: &mut Outlet) -> Result<(), Broke> {
        if bytes.is_empty() {
            return Ok(());
        }
        let journal = &self.call.proxy.journal;
        let record = |e: crate::journal::Refused| Broke::Record(e.to_string());
        let recorder = &mut self.recorder;
        recorder
            .push(journal, bytes.clone())
            .await
            .map_err(record)?;
        if self.is_event_stream {
            recorder.settle(journal).await.map_err(record)?;
        }
        if let Some(tap) = &mut self.tap {
            tap.push(&self.call.proxy, &bytes).await.map_err(record)?;
        }
        if let Some(left) = &mut self.left_bytes {
            *left = left.saturating_sub(bytes.len() as u64);
            if *left == 0 {
                self.last = Some(bytes);
                return Ok(());
            }
        }
        Ok(outlet.pass(Frame::data(bytes)).await?)
    }

    async fn finish(&mut self, outlet: &mut Outlet) {
        let mut tail = Vec::new();
        let unpacked = self.decoder.as_mut().map_or(Ok(()), Decoder::finish);
        self.swap.finish(&mut tail);
        let mut delivered = self.deliver(tail.into(), outlet).await;
        if let (Ok(()), Ok(()), Some(tap)) = (&unpacked, &delivered, &mut self.tap) {
            let told = tap.finish(&self.call.proxy, self.is_success).await;
            delivered = told.map_err(|e| Broke::Record(e.to_string()));
        }
        self.broke = match unpacked {
            Err(e) => Some(Broke::Coding(e.to_string())),
            Ok(()) => delivered.err(),
        };
    }

    /// What the child gets only when the call is concluded.
    fn held_back(&mut self) -> impl Iterator<Item = Frame<Bytes>> + use<> {
        let trailers = self.trailers.take().map(|mut trailers| {
            headers::swap_keys(&mut trailers, &self.call.proxy.swap);
            Frame::trailers(trailers)
        });
        self.last
            .take()
            .map(Frame::data)
            .into_iter()
            .chain(trailers)
    }

    /// Closes the record of the body and says in `event` how it went.
    async fn end(
        mut self,
        event: &mut CallResponse,
        headers: Option<Attachment>,
    ) -> Vec<Attachment> {
        let mut attachments: Vec<_> = headers.into_iter().collect();
        match self.recorder.finish(&self.call.proxy.journal).await {
            Ok(body) => {
                event.body = Some(body.commitment);
                event.unkept = body.unkept;
                event.redactions = body.redactions;
                attachments.extend(body.attachment);
            }
            Err(refused) => {
                self.broke.get_or_insert(Broke::Record(refused.to_string()));
                event.unkept = Some(refused.to_string());
            }
        }
        if let Some(broke) = self.broke {
            event.outcome = Outcome::Failed;
            event.error = Some(broke.to_string());
        }
        attachments
    }
}

fn is_event_stream(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("text/event-stream")
}
