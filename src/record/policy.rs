//! What a session may do, as its first leaf says it. Words only: who decides is `policy`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The policy in force. A session without one has none of this in its first leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// Lists of patterns: a call must be matched by one of each list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Vec<String>>,
    /// A call that one of these patterns matches is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Whether everything but reads is denied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// `read-only; only ListMonitors, tag:Dashboards; never Delete*`.
impl fmt::Display for PolicyInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.read_only {
            parts.push("read-only".to_owned());
        }
        parts.extend(
            self.allow
                .iter()
                .map(|list| format!("only {}", list.join(", "))),
        );
        if !self.deny.is_empty() {
            parts.push(format!("never {}", self.deny.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_a_line_and_stays_small() {
        let policy = PolicyInForce {
            read_only: true,
            allow: vec![vec!["tag:Monitors".into(), "List*".into()]],
            deny: vec!["GetMonitor".into()],
        };
        assert_eq!(
            policy.to_string(),
            "read-only; only tag:Monitors, List*; never GetMonitor"
        );
        let alone = PolicyInForce {
            read_only: true,
            ..PolicyInForce::default()
        };
        let json = serde_json::to_string(&alone).unwrap();
        assert_eq!(json, r#"{"read_only":true}"#);
        assert_eq!(serde_json::from_str::<PolicyInForce>(&json).unwrap(), alone);
    }
}
