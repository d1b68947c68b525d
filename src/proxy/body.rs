//! The bodies that pass through: one type for both directions, never more than a piece in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

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

    /// A body fed piece by piece; `length` in bytes if it is known. Dropping the feed ends it.
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
            Inner::Pieces { left_bytes, .. } => *left_bytes == Some(0),
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
