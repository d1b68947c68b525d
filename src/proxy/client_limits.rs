//! What one client may take of the gate: places and time. The numbers are those of `limits`; they
//! stand here once more because a test cannot wait for minutes. No setting leads here.

use std::time::Duration;

use crate::limits;

/// Bounds of connections on the loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections served at once ([`limits::CONNECTIONS_MAX`]).
    pub connections: usize,
    /// For the next request head to be complete ([`limits::REQUEST_HEAD_TIMEOUT`]).
    pub request_head: Duration,
    /// For a TLS handshake ([`limits::HANDSHAKE_TIMEOUT`]).
    pub handshake: Duration,
    /// For a connection with HTTP/2 on which nothing is under way
    /// ([`limits::HTTP2_IDLE_TIMEOUT`]).
    pub http2_idle: Duration,
    /// For a tunnel through which nothing passes ([`limits::TUNNEL_IDLE_TIMEOUT`]).
    pub tunnel_idle: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            request_head: limits::REQUEST_HEAD_TIMEOUT,
            handshake: limits::HANDSHAKE_TIMEOUT,
            http2_idle: limits::HTTP2_IDLE_TIMEOUT,
            tunnel_idle: limits::TUNNEL_IDLE_TIMEOUT,
        }
    }
}
