//! The bodies that pass through: one type for both directions, never more than a piece in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits;

/// What feeds a [`PassBody`].
pub(super) type Feed = mpsc::Sender<io::Result<Frame<Bytes>>>;

/// A body made here: nothing, something whole, or pieces that come as they come.
#[derive(Debug)]
pub(super) struct PassBody(Inner);

#[derive(Debug)]
enum Inner {
    Whole(Option<Bytes>),
    Pieces {
        pieces: mpsc::Receiver<io::Result<Frame<Bytes>>>,
        left_bytes: Option<u64>,
    },
}

impl PassBody {
    /// No body.
    pub(super) const fn empty() -> Self {
        Self(Inner::Whole(None))
    }

    /// A body known in whole.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Inner::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body fed piece by piece; `length` in bytes if it is known. Dropping the feed ends it, and
    /// nothing else does: behind the last byte there may still be trailers.
    pub(super) fn fed(length: Option<u64>) -> (Feed, Self) {
        let (feed, pieces) = mpsc::channel(1);
        let left_bytes = length;
        (feed, Self(Inner::Pieces { pieces, left_bytes }))
    }
}

impl Body for PassBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Inner::Pieces { pieces, left_bytes } => {
                let piece = std::task::ready!(pieces.poll_recv(cx));
                if let (Some(left), Some(Ok(frame))) = (left_bytes, &piece) {
                    let n = frame.data_ref().map_or(0, Bytes::len) as u64;
                    *left = left.saturating_sub(n);
                }
                Poll::Ready(piece)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(bytes) => bytes.is_none(),
            Inner::Pieces { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Inner::Pieces { left_bytes, .. } => {
                left_bytes.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

/// Reads what nobody wants, so that the answer reaches whoever is still sending, and the
/// connection stays good. Gives up on silence, on too much, and when `draining`.
pub(super) async fn discard(mut body: Incoming, draining: &CancellationToken) {
    let mut left = limits::DISCARD_BYTES_MAX;
    while !body.is_end_stream() {
        let frame = tokio::select! {
            () = draining.cancelled() => return,
            frame = tokio::time::timeout(limits::DISCARD_IDLE, body.frame()) => frame,
        };
        let Ok(Some(Ok(frame))) = frame else { return };
        let n = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(n) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// A body that is counted while it passes.
#[derive(Debug)]
pub(super) struct Counted {
    body: Incoming,
    bytes: Arc<AtomicU64>,
}

impl Counted {
    /// Adds the length of every piece to `bytes`.
    pub(super) const fn new(body: Incoming, bytes: Arc<AtomicU64>) -> Self {
        Self { body, bytes }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let n = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.bytes.fetch_add(n, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
