//! What a call means in Datadog's own terms.

use serde::{Deserialize, Serialize};

/// What a call does to the account. Anything but [`Effect::Read`] counts as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Leaves nothing behind.
    Read,
    /// Creates or changes something.
    Write,
    /// Removes something.
    Destroy,
    /// Not in the catalogue: treated as a change, never as a read.
    Unknown,
}

impl Effect {
    /// The lower-case word used in the record and on screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the call may have changed something.
    #[must_use]
    pub const fn is_change(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// A Datadog object named by a call, for example `monitor:123`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its identifier; empty for a collection.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The type, singular where Datadog's path allows it: `monitor`, `dashboard`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A catalogue entry applied to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Datadog's operationId (`CreateMonitor`), if the catalogue knows the route.
    pub id: Option<&'static str>,
    /// Datadog's tag (`Monitors`), or empty.
    pub group: &'static str,
    /// The path template (`/api/v1/monitor/{monitor_id}`); the literal path if unknown.
    pub route: String,
    /// What it does.
    pub effect: Effect,
    /// The objects the path names.
    pub resources: Vec<Resource>,
    /// JSON paths of secrets in the request body, and `path:<param>` for path parameters.
    pub secret_request: &'static [&'static str],
    /// JSON paths of secrets in the response body.
    pub secret_response: &'static [&'static str],
}
