//! The child's request body. A short one is read whole and stands in the request's own leaf. A
//! long or slow one is streamed: every piece is on stable storage before it is sent, and the end
//! is held back until the record of the whole body is, so that Datadog can never act on a request
//! that the record does not have.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::Proxy;
use super::body::{Feed, PassBody, discard};
use super::recorder::BodyRecorder;
use super::taps::RequestTap;
use crate::journal::{Journal, Refused, Ticket};
use crate::limits;
use crate::record::event::{CallStream, Side};
use crate::record::{CallNumber, Event};

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
        if body.size_hint().lower() > limits::REQUEST_INLINE_BYTES_MAX as u64 {
            // It will be streamed anyway: nothing to wait for, and no memory to hold it in.
            return Ok(Self::partial(start, body));
        }
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
                    return Err(GatherError::Broken(super::send_error::reasons(&e)));
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
        proxy: &Arc<Proxy>,
        call: CallNumber,
        recorder: Option<BodyRecorder>,
        tap: Option<RequestTap>,
    ) -> PassBody {
        let (Some(rest), Some(recorder)) = (self.rest, recorder) else {
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
            proxy: Arc::clone(proxy),
            journal: Arc::clone(&proxy.journal),
            tap,
            call,
            feed,
            rest,
            recorder,
            fresh: Vec::new(),
            fresh_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            left_bytes: length,
            last: None,
            trailers: None,
            place: Place::take(&proxy.uploads),
        };
        let (stopping, draining) = (proxy.stopping.clone(), proxy.draining.clone());
        proxy.tasks.spawn(pump.run(self.start, stopping, draining));
        body
    }

    /// Reads and forgets what is still to come.
    pub(super) async fn discard(self, draining: &CancellationToken) {
        if let Some(rest) = self.rest {
            discard(rest, draining).await;
        }
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
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum UploadBroke {
    /// The child went away, or broke HTTP's rules.
    #[error("the child broke off its upload: {0}")]
    Child(String),
    /// Nothing came for [`limits::REQUEST_IDLE_TIMEOUT`].
    #[error("the child was silent for too long")]
    Silent,
    /// The connection to Datadog takes no more: it broke, or the answer came early.
    #[error("Datadog stopped reading")]
    Upstream,
    /// The session ends.
    #[error("the session ended")]
    Stopped,
    /// The journal refuses.
    #[error("not sent to its end, because it cannot be recorded: {0}")]
    Record(#[from] Refused),
}

impl UploadBroke {
    /// Whether the child may still be sending.
    const fn leaves_the_child_sending(&self) -> bool {
        matches!(self, Self::Upstream | Self::Record(_))
    }
}

/// Moves a long request body, piece by piece.
struct Pump {
    proxy: Arc<Proxy>,
    journal: Arc<Journal>,
    /// Looks for tool calls.
    tap: Option<RequestTap>,
    call: CallNumber,
    feed: Feed,
    rest: Incoming,
    recorder: BodyRecorder,
    /// Pieces that are taken and not yet on their way to the disk.
    fresh: Vec<Bytes>,
    fresh_bytes: usize,
    /// Pieces whose record is on its way to the disk.
    waiting: VecDeque<(Ticket, Vec<Bytes>)>,
    /// In both.
    waiting_bytes: usize,
    /// Of a body with a known length, what the child has still to send.
    left_bytes: Option<u64>,
    /// The end of the body: waits for the record of the whole.
    last: Option<Bytes>,
    trailers: Option<HeaderMap>,
    place: Place,
}

/// A streamed request among those under way, which share the memory for what waits.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(uploads: &Arc<AtomicUsize>) -> Self {
        uploads.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(uploads))
    }

    /// Bytes that may wait for the disk here.
    fn share(&self) -> usize {
        let sharers = self.0.load(Ordering::Relaxed).max(1);
        limits::REQUEST_BYTES_IN_FLIGHT.min(limits::REQUESTS_BYTES_IN_FLIGHT / sharers)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pump {
    async fn run(mut self, start: Bytes, stopping: CancellationToken, draining: CancellationToken) {
        let moved = tokio::select! {
            biased;
            () = stopping.cancelled() => Err(UploadBroke::Stopped),
            moved = self.move_all(start) => moved,
        };
        let broke = moved.err();
        let recorded = self.record_end(broke.as_ref()).await;
        // What is refused when all is lost anyway is told by the call's own end.
        let broke = broke.or_else(|| recorded.err().map(UploadBroke::Record));
        let Self {
            feed,
            rest,
            last,
            trailers,
            ..
        } = self;
        let Some(broke) = broke else {
            let end = last.map(Frame::data).into_iter();
            for frame in end.chain(trailers.map(Frame::trailers)) {
                // Datadog may have answered and hung up already; the answer then tells.
                let _ = feed.send(Ok(frame)).await;
            }
            return;
        };
        let still_sending = broke.leaves_the_child_sending();
        let _ = feed.send(Err(io::Error::other(broke))).await;
        drop(feed);
        if still_sending {
            discard(rest, &draining).await;
        }
    }

    /// Puts the record of the whole body on stable storage.
    async fn record_end(&mut self, broke: Option<&UploadBroke>) -> Result<(), Refused> {
        let is_whole = !matches!(broke, Some(UploadBroke::Record(_))) && self.kept().await.is_ok();
        let journal = &self.journal;
        let body = self.recorder.finish(journal).await?;
        let event = Event::CallStream(CallStream {
            call: self.call,
            side: Side::Request,
            body: body.commitment,
            end: broke.is_none(),
            unkept: broke.map(ToString::to_string).or(body.unkept),
            redactions: body.redactions,
        });
        // With a piece missing it would look as if somebody had changed it.
        let content = body.attachment.filter(|_| is_whole);
        let attachments = content.into_iter().collect();
        journal.note_durably(event, attachments).await?;
        match &mut self.tap {
            Some(tap) if broke.is_none() => tap.record(&self.proxy).await,
            _ => Ok(()),
        }
    }

    /// Waits until everything that was sent to the disk is there.
    async fn kept(&mut self) -> Result<(), Refused> {
        while !self.waiting.is_empty() {
            front(&mut self.waiting).await?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Moves everything but the end: the caller records first. While the disk is busy, what comes
    /// is gathered: fewer and larger pieces are packed, written and signed for.
    async fn move_all(&mut self, start: Bytes) -> Result<(), UploadBroke> {
        self.take(start).await?;
        loop {
            let full = !self.waiting.is_empty() && self.waiting_bytes >= self.place.share();
            let step = tokio::select! {
                biased;
                durable = front(&mut self.waiting) => Step::Durable(durable),
                () = self.feed.closed() => return Err(UploadBroke::Upstream),
                frame = tokio::time::timeout(limits::REQUEST_IDLE_TIMEOUT, self.rest.frame()),
                    if !full => Step::Frame(frame),
                () = std::future::ready(()), if !self.fresh.is_empty() && self.waiting.is_empty() => Step::NothingMore,
            };
            match step {
                Step::Durable(durable) => {
                    durable?;
                    self.flush().await?;
                    self.release().await?;
                }
                Step::NothingMore => self.flush().await?,
                Step::Frame(Err(_)) => return Err(UploadBroke::Silent),
                Step::Frame(Ok(Some(Err(e)))) => {
                    return Err(UploadBroke::Child(super::send_error::reasons(&e)));
                }
                Step::Frame(Ok(Some(Ok(frame)))) => match frame.into_data() {
                    Ok(data) => self.take(data).await?,
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Step::Frame(Ok(None)) => break,
            }
        }
        self.flush().await?;
        while !self.waiting.is_empty() {
            front(&mut self.waiting).await?;
            self.release().await?;
        }
        Ok(())
    }

    /// Records some bytes. Those that end the body are kept back.
    async fn take(&mut self, mut data: Bytes) -> Result<(), UploadBroke> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(limits::BODY_PIECE_BYTES_MAX));
            if let Some(tap) = &mut self.tap {
                tap.push(&piece);
            }
            self.recorder.push(&self.journal, piece.clone()).await?;
            if let Some(left) = &mut self.left_bytes {
                *left = left.saturating_sub(piece.len() as u64);
                if *left == 0 {
                    self.last = Some(piece);
                    return Ok(());
                }
            }
            self.fresh_bytes += piece.len();
            self.waiting_bytes += piece.len();
            self.fresh.push(piece);
            if self.fresh_bytes >= self.place.share().min(limits::BODY_PIECE_BYTES_MAX) {
                self.flush().await?;
            }
            while self.waiting.len() > 1 && self.waiting_bytes > self.place.share() {
                front(&mut self.waiting).await?;
                self.release().await?;
            }
        }
        Ok(())
    }

    /// Sends what was taken to the disk.
    async fn flush(&mut self) -> Result<(), UploadBroke> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let ticket = self.recorder.flush(&self.journal).await?;
        let pieces = std::mem::take(&mut self.fresh);
        self.fresh_bytes = 0;
        self.waiting.push_back((ticket, pieces));
        Ok(())
    }

    /// Sends the first waiting pieces, whose record is durable.
    async fn release(&mut self) -> Result<(), UploadBroke> {
        let (_, pieces) = self.waiting.pop_front().unzip();
        for piece in pieces.into_iter().flatten() {
            self.waiting_bytes -= piece.len();
            let sent = self.feed.send(Ok(Frame::data(piece))).await;
            sent.map_err(|_| UploadBroke::Upstream)?;
        }
        Ok(())
    }
}

enum Step {
    /// Nothing has come that could join what is fresh, and the disk is free.
    NothingMore,
    Durable(Result<(), Refused>),
    Frame(Result<Option<Result<Frame<Bytes>, hyper::Error>>, tokio::time::error::Elapsed>),
}

/// Resolves when the first waiting piece is durable; never, when none waits.
async fn front(waiting: &mut VecDeque<(Ticket, Vec<Bytes>)>) -> Result<(), Refused> {
    match waiting.front_mut() {
        Some((ticket, _)) => ticket.ready().await,
        None => std::future::pending().await,
    }
}
