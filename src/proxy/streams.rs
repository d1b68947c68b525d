//! The streams of one HTTP/2 connection, counted, so that it is known when nothing is under way on
//! it. A stream is open from its request until its answer has been taken over whole, and for as long
//! as a tunnel in it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};

/// The streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    begun: AtomicU64,
    open: AtomicU64,
}

impl Streams {
    /// A stream begins. It ends when the last copy of what is returned is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Arc<OpenStream> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Arc::new(OpenStream(Arc::clone(self)))
    }

    /// Ends when none was open and none began for this long, give or take as much again.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(limit).await;
            let is_quiet = self.begun.load(Ordering::Relaxed) == before;
            if is_quiet && self.open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

/// Something holds on to a stream.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that keeps its stream open until it is dropped.
#[derive(Debug)]
pub(super) struct InStream<B> {
    body: B,
    _stream: Arc<OpenStream>,
}

impl<B> InStream<B> {
    pub(super) const fn new(body: B, stream: Arc<OpenStream>) -> Self {
        Self {
            body,
            _stream: stream,
        }
    }
}

impl<B: Body + Unpin> Body for InStream<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
