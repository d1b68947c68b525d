//! Between the child and Datadog, on the loopback.
//!
//! Begin with `pipeline`: a call is one readable function of ten steps. `listener` tells the
//! three ways in apart by their first bytes; `origin` finds the process behind a connection; `connect` tunnels what is not Datadog's, blind.
//! Invariant: nothing reaches Datadog but through [`upstream::Upstream`], which takes a permit.

mod body;
mod ca;
mod client_limits;
mod connect;
mod described;
mod distrust;
mod egress;
mod headers;
mod intake;
mod keys;
mod lapse;
mod listener;
mod origin;
mod outlet;
mod pipeline;
mod recorder;
mod relay;
mod respond;
mod rewind;
mod send_error;
mod stdio;
mod streams;
mod taps;
mod tools;
mod upstream;
mod whereabouts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use ca::{CaError, SessionCa};
pub use client_limits::ClientLimits;
pub use distrust::{Distrust, Tried};
pub use egress::Egress;
pub use keys::{Keys, Slot};
pub use listener::{bind, serve};
pub use origin::Origins;
pub use respond::{CALL_HEADER, VERDICT_HEADER};
pub use stdio::{Spoken, Wrapped};
pub use tools::ToolBook;
pub use upstream::{TlsSource, Upstream};
pub use whereabouts::Whereabouts;

use crate::auth::standing::Standing;
use crate::datadog::Site;
use crate::journal::Journal;
use crate::net::Dialer;
use crate::policy::Policy;
use crate::record::Recording;
use crate::redact::{KnownSecrets, Replacer};

/// What every connection of a session shares.
#[derive(Debug)]
pub struct Proxy {
    /// Where calls are recorded.
    pub journal: Arc<Journal>,
    /// Placeholders and real keys.
    pub keys: Keys,
    /// All secrets of this session: never stored.
    pub known: KnownSecrets,
    /// Who calls.
    pub origins: Origins,
    /// How much of each call is recorded.
    pub recording: Recording,
    /// What the session may do.
    pub policy: Policy,
    /// Whether whoever it is for is still verified.
    pub standing: Arc<Standing>,
    /// Replaces real keys by placeholders in what the child sees.
    pub swap: Replacer,
    /// Whether a swap keeps lengths, so that `Content-Length` stays true.
    pub swap_keeps_length: bool,
    /// The Datadog site of base-URL calls.
    pub site: Site,
    /// Domains treated as Datadog's beside its own.
    pub extra_domains: Vec<String>,
    /// TLS towards the child.
    pub tls: Arc<ServerConfig>,
    /// The way to Datadog.
    pub upstream: Upstream,
    /// The way to everybody else.
    pub dialer: Dialer,
    /// Whether they may be reached.
    pub egress: Egress,
    /// Where Datadog is.
    pub whereabouts: Whereabouts,
    /// Where the listener is bound.
    pub address: SocketAddr,
    /// What a client may take of the gate.
    pub client_limits: ClientLimits,
    /// Calls that were not sent because they could not be recorded: the one thing the record
    /// cannot tell.
    pub unrecorded: AtomicU64,
    /// Clients that did not trust the session's certificate.
    pub distrust: Distrust,
    /// Calls that carried a token of the agent's own.
    pub own_tokens: AtomicU64,
    /// Streamed requests under way.
    pub uploads: Arc<AtomicUsize>,
    /// Tool calls that wait for their results.
    pub tools: ToolBook,
    /// Everything under way.
    pub tasks: TaskTracker,
    /// No new connections; idle ones end.
    pub draining: CancellationToken,
    /// What is still under way ends now, in doubt.
    pub stopping: CancellationToken,
}

impl Proxy {
    /// One more call was not sent because it could not be recorded.
    fn count_unrecorded(&self) {
        self.unrecorded.fetch_add(1, Ordering::Relaxed);
    }
}
