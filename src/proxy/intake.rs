//! The child's request body. A short one is read whole and stands in the request's own leaf. A
//! long or slow one is streamed: every piece is on stable storage before it is sent, and the end
//! is held back until the record of the whole body is, so that Datadog can never act on a request
//! that the record does not have.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::Proxy;
use super::body::{Feed, PassBody};
use crate::journal::{ContentStream, Journal, Refused, Ticket};
use crate::limits;
use crate::record::event::{CallStream, Side};
use crate::record::{CallNumber, Event};
use crate::redact::BodyRedactor;

/// Why a request body never became whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum GatherError {
    /// The child went away, or broke HTTP's rules.
    #[error("the request broke off: {0}")]
    Broken(String),
    /// The session ends.
    #[error("the session ended before the request was complete")]
    Stopped,
}

/// A request body, read as far as it had come.
pub(super) struct Intake {
    start: Bytes,
    trailers: Option<HeaderMap>,
    rest: Option<Incoming>,
}

impl Intake {
    /// Reads until the end, the size limit or the time limit, whichever comes first.
    pub(super) async fn gather(
        mut body: Incoming,
        stopping: &CancellationToken,
    ) -> Result<Self, GatherError> {
        let mut start = BytesMut::new();
        let mut trailers = None;
        let deadline = tokio::time::sleep(limits::REQUEST_GATHER);
        let mut deadline = std::pin::pin!(deadline);
        while !body.is_end_stream() {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = stopping.cancelled() => return Err(GatherError::Stopped),
                () = deadline.as_mut() => return Ok(Self::partial(start, body)),
            };
            match frame {
                None => break,
                Some(Err(e)) => {
                    return Err(GatherError::Broken(super::upstream::reasons(&e)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if start.is_empty() && body.is_end_stream() => {
                        return Ok(Self::complete(data, trailers));
                    }
                    Ok(data) => start.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
            if start.len() > limits::REQUEST_INLINE_BYTES_MAX {
                return Ok(Self::partial(start, body));
            }
        }
        Ok(Self::complete(start.freeze(), trailers))
    }

    const fn complete(start: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self {
            start,
            trailers,
            rest: None,
        }
    }

    fn partial(start: BytesMut, rest: Incoming) -> Self {
        Self {
            start: start.freeze(),
            trailers: None,
            rest: Some(rest),
        }
    }

    /// The body, if it is whole.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.start)
    }

    /// The body towards Datadog. What is still to come is recorded and sent by a task.
    pub(super) fn send(
        self,
        proxy: &std::sync::Arc<Proxy>,
        call: CallNumber,
        redactor: Option<BodyRedactor>,
    ) -> PassBody {
        let (Some(rest), Some(redactor)) = (self.rest, redactor) else {
            return match self.trailers {
                None => PassBody::whole(self.start),
                Some(trailers) => with_trailers(proxy, self.start, trailers),
            };
        };
        let length = rest
            .size_hint()
            .exact()
            .map(|left| left + self.start.len() as u64);
        let (feed, body) = PassBody::fed(length);
        let pump = Pump {
            journal: std::sync::Arc::clone(&proxy.journal),
            call,
            feed,
            redactor,
            content: ContentStream::new("body"),
            waiting: VecDeque::new(),
            left_bytes: length,
        };
        let stopping = proxy.stopping.clone();
        proxy.tasks.spawn(pump.run(self.start, rest, stopping));
        body
    }
}

fn with_trailers(proxy: &Proxy, start: Bytes, trailers: HeaderMap) -> PassBody {
    let (feed, body) = PassBody::fed(None);
    proxy.tasks.spawn(async move {
        for frame in [Frame::data(start), Frame::trailers(trailers)] {
            if feed.send(Ok(frame)).await.is_err() {
                return;
            }
        }
    });
    body
}

/// Why a streamed body ended early.
#[derive(Debug, thiserror::Error)]
enum Broke {
    #[error("the child broke off its upload: {0}")]
    Child(String),
    #[error("the child was silent for too long")]
    Silent,
    #[error("Datadog stopped reading")]
    Upstream,
    #[error("the session ended")]
    Stopped,
    #[error(transparent)]
    Record(#[from] Refused),
}

/// Moves a long request body, piece by piece.
struct Pump {
    journal: std::sync::Arc<Journal>,
    call: CallNumber,
    feed: Feed,
    redactor: BodyRedactor,
    content: ContentStream,
    /// Pieces whose record is on its way to the disk.
    waiting: VecDeque<(Ticket, Frame<Bytes>)>,
    /// Of a body with a known length, what the child has still to send.
    left_bytes: Option<u64>,
}

impl Pump {
    async fn run(mut self, start: Bytes, rest: Incoming, stopping: CancellationToken) {
        let moved = tokio::select! {
            moved = self.move_all(start, rest) => moved,
            () = stopping.cancelled() => Err(Broke::Stopped),
        };
        let Self {
            journal,
            call,
            feed,
            mut redactor,
            mut content,
            ..
        } = self;
        let broke = moved.as_ref().err().map(ToString::to_string);
        let ended = async {
            content.push(&journal, redactor.finish()).await?;
            let body = content.finish(&journal).await?;
            let summary = redactor.summary();
            let event = Event::CallStream(CallStream {
                call,
                side: Side::Request,
                body: body.commitment(),
                end: true,
                unkept: broke.or(summary.unkept),
                redactions: summary.redactions,
            });
            journal.note_durably(event, vec![body]).await
        };
        let ended: Result<(), Refused> = ended.await;
        let end = match (moved, ended) {
            (Ok(held), Ok(())) => held.map(Ok),
            (Err(broke), _) => Some(Err(io::Error::other(broke))),
            (Ok(_), Err(refused)) => Some(Err(io::Error::other(refused))),
        };
        if let Some(frame) = end {
            // Datadog may have answered and hung up already; the answer then tells.
            let _ = feed.send(frame).await;
        }
    }

    /// Moves everything but the end, which is returned: the caller records first.
    async fn move_all(
        &mut self,
        start: Bytes,
        mut rest: Incoming,
    ) -> Result<Option<Frame<Bytes>>, Broke> {
        let mut held = self.take(Frame::data(start)).await?;
        loop {
            let full = self.waiting.len() >= limits::REQUEST_PIECES_IN_FLIGHT;
            let Self { waiting, .. } = &mut *self;
            let durable = front(waiting);
            let step = tokio::select! {
                biased;
                durable = durable => Step::Durable(durable),
                frame = tokio::time::timeout(limits::REQUEST_IDLE_TIMEOUT, rest.frame()),
                    if !full => Step::Frame(frame),
            };
            match step {
                Step::Durable(durable) => {
                    durable?;
                    self.release().await?;
                }
                Step::Frame(Err(_)) => return Err(Broke::Silent),
                Step::Frame(Ok(Some(Err(e)))) => {
                    return Err(Broke::Child(super::upstream::reasons(&e)));
                }
                Step::Frame(Ok(Some(Ok(frame)))) => held = self.take(frame).await?,
                Step::Frame(Ok(None)) => break,
            }
        }
        while !self.waiting.is_empty() {
            front(&mut self.waiting).await?;
            self.release().await?;
        }
        Ok(held)
    }

    /// Records one frame. Returns it when it ends the body, and so must wait.
    async fn take(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, Broke> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Ok(Some(trailers)),
        };
        let mut rest = data;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(limits::BODY_PIECE_BYTES_MAX));
            for slice in piece.chunks(limits::CODED_PIECE_BYTES_MAX) {
                let clean = self.redactor.push(slice);
                self.content.push(&self.journal, clean).await?;
            }
            if let Some(left) = &mut self.left_bytes {
                *left = left.saturating_sub(piece.len() as u64);
                if *left == 0 {
                    return Ok(Some(Frame::data(piece)));
                }
            }
            let ticket = self.content.flush(&self.journal).await?;
            self.waiting.push_back((ticket, Frame::data(piece)));
            while self.waiting.len() > limits::REQUEST_PIECES_IN_FLIGHT {
                front(&mut self.waiting).await?;
                self.release().await?;
            }
        }
        Ok(None)
    }

    /// Sends the first waiting piece, whose record is durable.
    async fn release(&mut self) -> Result<(), Broke> {
        match self.waiting.pop_front() {
            Some((_, frame)) => self.feed.send(Ok(frame)).await.map_err(|_| Broke::Upstream),
            None => Ok(()),
        }
    }
}

enum Step {
    Durable(Result<(), Refused>),
    Frame(Result<Option<Result<Frame<Bytes>, hyper::Error>>, tokio::time::error::Elapsed>),
}

/// Resolves when the first waiting piece is durable; never, when none waits.
fn front(
    waiting: &mut VecDeque<(Ticket, Frame<Bytes>)>,
) -> Pin<Box<dyn Future<Output = Result<(), Refused>> + Send + '_>> {
    match waiting.front_mut() {
        Some((ticket, _)) => Box::pin(ticket.ready()),
        None => Box::pin(std::future::pending()),
    }
}
