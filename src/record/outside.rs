//! What went by the gate without being a call: tunnels to other hosts, and programs that did not
//! trust the session's certificate. No content of either is seen, so none is here.

use serde::{Deserialize, Serialize};

/// `tunnel`: opaque bytes to a host that is not Datadog's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Host and port.
    pub host: String,
    /// Bytes from the child.
    pub sent: u64,
    /// Bytes to the child.
    pub received: u64,
    /// Microseconds open.
    pub dur_us: u64,
    /// Why it could not be opened, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The rule by which the gate refused it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The number of the process it came from, where that is known; sessions older than this say
    /// nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<u64>,
}

/// `distrusted`: a program came for a Datadog host and did not trust the session's certificate.
/// Nothing of it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distrusted {
    /// The host it came for.
    pub host: String,
    /// Connections this is about: one, or those beyond what is stated one by one.
    pub connections: u64,
    /// Whether they closed without a word, before any request, and nobody else made one to this
    /// host: so some programs refuse a certificate. Otherwise they ended the handshake.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// The number of the process it came from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<u64>,
}
