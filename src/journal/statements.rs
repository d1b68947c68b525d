//! What the leaves of a session say, taken together: how many calls, which of them have no end, whether
//! it was closed, and what none of them may say. The same for a check of the record and of an export.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::audit::Audit;
use super::verdict::Fault;

/// What one leaf says, as far as it counts here; none where it does not say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statement<'a> {
    /// Its type.
    pub kind: Option<&'a str>,
    /// The call it is about.
    pub call: Option<u64>,
    /// How a tool was called.
    pub via: Option<&'a str>,
    /// What was decided about it.
    pub decision: Option<&'a str>,
    /// When it was written (RFC 3339).
    pub at: Option<&'a str>,
}

/// The leaves so far.
#[derive(Debug, Default)]
pub struct Statements {
    unended: BTreeSet<u64>,
    closed: bool,
}

impl Statements {
    /// Takes the next leaf, counts it, and says what is wrong with it. An opening in its place is for
    /// the caller to look into.
    #[must_use]
    pub fn take(&mut self, leaf: u64, says: Statement<'_>, audit: &mut Audit) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.closed {
            faults.push(Fault::AfterClose { leaf });
        }
        time(says.at, audit);
        let mut wrong = |why: &str| {
            faults.push(Fault::Leaf {
                leaf,
                why: why.into(),
            });
        };
        let is_stdio = says.via == Some("stdio");
        match says.kind {
            Some("session.open") if leaf == 0 => {}
            Some("session.open") => wrong("it opens the session again"),
            _ if leaf == 0 => wrong("it does not open the session"),
            Some("call.request") => {
                audit.calls += 1;
                self.unended.extend(says.call);
            }
            Some("call.denied") => {
                audit.calls += 1;
                audit.denied += 1;
            }
            // A tool of a wrapped server: a call without any HTTP exchange.
            Some("mcp.call") if is_stdio && says.decision == Some("deny") => {
                audit.calls += 1;
                audit.denied += 1;
            }
            Some("mcp.call") if is_stdio => {
                audit.calls += 1;
                self.unended.extend(says.call);
            }
            Some("mcp.result") if !is_stdio => {}
            Some("call.response" | "mcp.result") => {
                if let Some(call) = says.call {
                    self.unended.remove(&call);
                }
            }
            Some("session.close") => self.closed = true,
            _ => {}
        }
        faults
    }

    /// Whether the session was closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Requests without an end.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unended.len() as u64
    }
}

fn time(text: Option<&str>, audit: &mut Audit) {
    let at = text
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .map(|at| at.with_timezone(&Utc));
    if let (Some(before), Some(now)) = (audit.last, at) {
        audit.clock_back += u64::from(now < before);
    }
    audit.first = audit.first.or(at);
    audit.last = at.or(audit.last);
}
