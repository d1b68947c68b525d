//! One call with its content, for `show`. Whoever reads the journal fills it; erased or unkept
//! content is said, never invented.

use crate::record::event::Decision;
use crate::record::{Identity, SessionId};

use super::view::Seen;

/// A call, its session, its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDetail {
    /// The session.
    pub session: SessionId,
    /// Who acted; none when erased.
    pub who: Option<Identity>,
    /// Whether the gate is still writing: then a call without an end is under way.
    pub live: bool,
    /// The call; `target` set unless erased.
    pub seen: Seen,
    /// What the child sent.
    pub request: Message,
    /// What came back; none when nothing did.
    pub response: Option<Message>,
    /// Microseconds from sending to the answer's head.
    pub wait_us: Option<u64>,
    /// The content of its tool calls, in the order of the call's `tools`.
    pub tools: Vec<ToolDetail>,
}

/// What a tool was given, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolDetail {
    /// The arguments, as JSON text.
    pub arguments: Body,
    /// Result or error, as JSON text; none when none is on record.
    pub result: Option<Body>,
}

impl CallDetail {
    /// Whether the gate let it through.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.seen.call.decision == Decision::Allow
    }
}

/// Headers and body of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Allowlisted headers, redacted; none when erased.
    pub headers: Option<Vec<(String, String)>>,
    /// The body.
    pub body: Body,
}

impl Message {
    /// The value of the first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.headers.as_deref().unwrap_or_default();
        let found = headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A body, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// There was none, or it was empty.
    #[default]
    Empty,
    /// Decoded and redacted.
    Kept {
        /// The recorded bytes.
        content: Vec<u8>,
        /// False when the record ends before the body does.
        complete: bool,
        /// Why not, as recorded, when it was not the body that ended early.
        why: Option<String>,
    },
    /// Deliberately not kept.
    NotKept {
        /// Why, as recorded.
        why: String,
        /// Its length in bytes as it passed; none when it was never read to its end.
        bytes: Option<u64>,
    },
    /// Kept once, erased since.
    Erased {
        /// Its length in bytes, which the leaf still states.
        bytes: u64,
    },
}
