//! What the leaves of a session say, taken together: which session, how many calls, whether it
//! was closed, and what none of them may say.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::journal::{Audit, Fault, Gap};
use crate::record::{Event, Leaf};
use crate::tlog::VerifierKey;

/// The leaves so far.
#[derive(Debug, Default)]
pub(super) struct Says {
    unended: BTreeSet<u64>,
    /// Whether the last leaf closed the session.
    pub(super) closed: bool,
}

/// A leaf as an object, if it is one and says that it is number `leaf`.
pub(super) fn object(leaf: u64, bytes: &[u8], audit: &mut Audit) -> Option<Map<String, Value>> {
    let why = match serde_json::from_slice(bytes) {
        Ok(Value::Object(says)) => {
            let index = says.get("i").and_then(Value::as_u64);
            if index == Some(leaf) {
                return Some(says);
            }
            "it says it is another one"
        }
        _ => "it is no JSON object",
    };
    audit.findings.fault(Fault::Leaf {
        leaf,
        why: why.into(),
    });
    None
}

impl Says {
    /// Takes the next leaf. `key` is the one all checkpoints are held against.
    pub(super) fn leaf(
        &mut self,
        leaf: u64,
        says: &Map<String, Value>,
        bytes: &[u8],
        key: &VerifierKey,
        audit: &mut Audit,
    ) {
        if self.closed {
            audit.findings.fault(Fault::AfterClose { leaf });
        }
        time(says, audit);
        let call = says.get("call").and_then(Value::as_u64);
        let wrong = |why: &str| Fault::Leaf {
            leaf,
            why: why.into(),
        };
        let is_stdio = says.get("via").and_then(Value::as_str) == Some("stdio");
        match says.get("t").and_then(Value::as_str) {
            Some("session.open") if leaf == 0 => opens(bytes, key, audit),
            Some("session.open") => audit.findings.fault(wrong("it opens the session again")),
            _ if leaf == 0 => audit.findings.fault(wrong("it does not open the session")),
            Some("call.request") => {
                audit.calls += 1;
                self.unended.extend(call);
            }
            Some("call.denied") => {
                audit.calls += 1;
                audit.denied += 1;
            }
            // A tool of a wrapped server: a call without any HTTP exchange.
            Some("mcp.call") if is_stdio => {
                audit.calls += 1;
                self.unended.extend(call);
            }
            Some("mcp.result") if !is_stdio => {}
            Some("call.response" | "mcp.result") => {
                if let Some(call) = call {
                    self.unended.remove(&call);
                }
            }
            Some("session.close") => self.closed = true,
            _ => {}
        }
    }

    /// Requests without an end.
    pub(super) fn unanswered(&self) -> u64 {
        self.unended.len() as u64
    }
}

fn time(says: &Map<String, Value>, audit: &mut Audit) {
    let at = says
        .get("ts")
        .and_then(Value::as_str)
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .map(|at| at.with_timezone(&Utc));
    if let (Some(before), Some(now)) = (audit.last, at) {
        audit.clock_back += u64::from(now < before);
    }
    audit.first = audit.first.or(at);
    audit.last = at.or(audit.last);
}

fn opens(bytes: &[u8], key: &VerifierKey, audit: &mut Audit) {
    let Ok(Event::SessionOpen(open)) = Leaf::from_bytes(bytes).map(|leaf| leaf.event) else {
        return audit.findings.fault(Fault::Leaf {
            leaf: 0,
            why: "it does not read as the opening of a session".into(),
        });
    };
    if open.session != audit.session {
        audit.findings.fault(Fault::OtherSession {
            named: open.session,
        });
    }
    match open.vkey {
        Some(named) if named == key.to_string() && open.origin == key.name() => {}
        Some(_) => audit.findings.fault(Fault::Leaf {
            leaf: 0,
            why: "it names another key than the one that signed".into(),
        }),
        None => audit.findings.gap(Gap::NeverSigned),
    }
    audit.chain = open.chain;
    audit.origin = Some(open.origin);
}
