//! What a leaf of an export says: that it is the one it should be, and whether it opens the session
//! that is meant, under the key that signed. What leaves say together is counted by the journal.

use serde_json::{Map, Value};

use crate::journal::{Audit, Fault, Gap, Statement, Statements};
use crate::record::{Event, Leaf};
use crate::tlog::VerifierKey;

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

/// Takes the next leaf. `key` is the one all checkpoints are held against.
pub(super) fn leaf(
    leaf: u64,
    says: &Map<String, Value>,
    bytes: &[u8],
    key: &VerifierKey,
    statements: &mut Statements,
    audit: &mut Audit,
) {
    let text = |name: &str| says.get(name).and_then(Value::as_str);
    let statement = Statement {
        kind: text("t"),
        call: says.get("call").and_then(Value::as_u64),
        via: text("via"),
        decision: text("decision"),
        at: text("ts"),
    };
    for fault in statements.take(leaf, statement, audit) {
        audit.findings.fault(fault);
    }
    if leaf == 0 && statement.kind == Some("session.open") {
        opens(bytes, key, audit);
    }
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
