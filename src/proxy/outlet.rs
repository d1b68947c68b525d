//! The way of an answer to the child. Its head waits a moment for the first bytes of its body: both
//! then leave in one write, and an answer that breaks at once can still be told as what it is.

use bytes::Bytes;
use http::Response;
use http_body::Frame;

use super::body::{Feed, PassBody};
use super::pipeline::Reply;

/// The child is gone.
#[derive(Debug)]
pub(super) struct ChildGone;

/// One answer's way to the child.
#[derive(Debug)]
pub(super) struct Outlet {
    feed: Feed,
    /// The head with its body, until the child has it.
    unopened: Option<(Reply, Response<PassBody>)>,
}

impl Outlet {
    /// Begins an answer whose body has `length` bytes, if that is known.
    pub(super) fn new(head: http::response::Parts, length: Option<u64>, reply: Reply) -> Self {
        let (feed, body) = PassBody::fed(length);
        Self {
            feed,
            unopened: Some((reply, Response::from_parts(head, body))),
        }
    }

    /// Whether the child has nothing yet.
    pub(super) const fn is_unopened(&self) -> bool {
        self.unopened.is_some()
    }

    /// Lets the child have the head now.
    pub(super) fn open(&mut self) -> Result<(), ChildGone> {
        match self.unopened.take() {
            Some((reply, response)) => reply.send(response).map_err(|_| ChildGone),
            None => Ok(()),
        }
    }

    /// Passes a piece of the body on, or the trailers.
    pub(super) async fn pass(&mut self, frame: Frame<Bytes>) -> Result<(), ChildGone> {
        // The feed holds one frame, so the first one never waits for the head that follows it.
        self.feed.send(Ok(frame)).await.map_err(|_| ChildGone)?;
        self.open()
    }

    /// Whether the child has hung up.
    pub(super) fn is_abandoned(&self) -> bool {
        let waits = |(reply, _): &(Reply, _)| reply.is_closed();
        self.unopened.as_ref().is_some_and(waits) || self.feed.is_closed()
    }

    /// Resolves when the child has hung up on an answer it has begun to get.
    pub(super) async fn closed(&self) {
        self.feed.closed().await;
    }

    /// Ends an answer that is not whole: by `instead` if the child has nothing yet, and otherwise so
    /// that it cannot take half an answer for a whole one.
    pub(super) async fn abort(mut self, why: String, instead: impl FnOnce() -> Response<PassBody>) {
        // The child may be gone; then nobody needs either.
        match self.unopened.take() {
            Some((reply, _)) => drop(reply.send(instead())),
            None => drop(self.feed.send(Err(std::io::Error::other(why))).await),
        }
    }
}
