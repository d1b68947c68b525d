//! What travels to the one thread that writes, and back: records in the spelling they will have,
//! but for their place.

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::content::Attachment;
use super::frame::Frame;
use super::handle::Refused;
use crate::record::event::{CallResponse, LEAF_VERSION, LeafLine};
use crate::record::{CallNumber, Event, Leaf, Outcome};

pub(super) type Answer = Result<Option<u64>, Refused>;

/// What the writer sends back.
pub(super) struct Done {
    pub(super) answer: Answer,
    /// What was written, to be thrown away by whoever made it: memory that one thread takes and
    /// another gives back is dear, and the writer is one for all.
    _remains: Option<Box<Append>>,
}

impl Done {
    pub(super) const fn new(answer: Answer, remains: Option<Box<Append>>) -> Self {
        Self {
            answer,
            _remains: remains,
        }
    }
}

/// When an append is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// After the sync.
    Durable,
    /// After the write: it survives this process, not a power cut.
    Written,
}

/// Whether an append may be refused for want of space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Must leave the reserve untouched.
    Refusable,
    /// The end of something already admitted: lives off the reserve. When that too is used up,
    /// the end is left out, and its beginning is in doubt.
    Conclusion,
    /// The end of the session, which always has its place.
    Close,
}

pub(super) struct Append {
    /// Content; and of a leaf what stands before it.
    pub(super) frames: Vec<Frame>,
    pub(super) leaf: Option<Draft>,
    pub(super) admission: Admission,
    pub(super) reply: Option<(When, oneshot::Sender<Done>)>,
    /// Its share of the queue.
    pub(super) budget: Option<OwnedSemaphorePermit>,
}

impl Append {
    pub(super) fn new(frames: Vec<Frame>, leaf: Option<Draft>, admission: Admission) -> Self {
        Self {
            frames,
            leaf,
            admission,
            reply: None,
            budget: None,
        }
    }
}

/// A leaf that has no place yet.
pub(super) struct Draft {
    pub(super) leaf: Leaf,
    pub(super) line: LeafLine,
}

impl Draft {
    pub(super) fn new(event: Event, ts: DateTime<Utc>, mono: u64) -> Result<Self, Refused> {
        let leaf = Leaf {
            v: LEAF_VERSION,
            i: 0,
            ts,
            mono,
            event,
        };
        let line = leaf.to_line();
        Ok(Self {
            line: line.map_err(|e| Refused::Poisoned(e.to_string()))?,
            leaf,
        })
    }
}

/// The openings of a leaf, which stand before it: a leaf that is there has everything that
/// belongs to it.
pub(super) fn openings(mut before: Vec<Frame>, mut attachments: Vec<Attachment>) -> Vec<Frame> {
    // Nothing stands between openings, and the leaf itself comes behind them.
    before.reserve(attachments.len() + 2);
    before.extend(attachments.iter_mut().filter_map(Attachment::last_piece));
    before.extend(attachments.into_iter().map(Attachment::opening));
    before
}

/// How a call ends that is on record and was not sent after all.
pub(super) fn unsent(call: CallNumber, re: u64, why: &Refused) -> Event {
    Event::CallResponse(CallResponse {
        call,
        re,
        outcome: Outcome::Failed,
        status: None,
        dur_us: 0,
        wait_us: None,
        headers: None,
        body: None,
        unkept: None,
        error: Some(format!(
            "not sent, because its tool calls cannot be recorded: {why}"
        )),
        redactions: Vec::new(),
    })
}

pub(super) enum Message {
    Append(Box<Append>),
    Close(Box<Append>),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}
