//! Reaching other machines: TLS settings, dialling (through the user's own proxy where there is
//! one), and a small HTTPS client for identity providers.
//!
//! Knows nothing of Datadog, sessions or tokens. `auth` and `proxy` stand on it.

pub mod dial;
pub mod http;
mod link;
mod no_proxy;
mod proxy_tunnel;
pub mod tls;

use std::io;
use std::time::Duration;

pub use dial::Dialer;
pub use http::HttpsClient;

/// Why another machine was not reached, or its answer not taken.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The platform offered no root certificate.
    #[error("no trusted root certificate could be loaded: {why}")]
    Roots {
        /// What the platform said.
        why: String,
    },
    /// rustls refused its own settings.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// A proxy variable is malformed. Its value is not shown: it may hold a password.
    #[error("{variable} is not a usable proxy address: {why}")]
    ProxyVariable {
        /// Name of the variable.
        variable: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host name holds characters no host name has.
    #[error("`{}` is not a usable host name", host.escape_debug())]
    Host {
        /// The name as given.
        host: String,
    },
    /// The name does not resolve.
    #[error("the name {host} cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// Every address of the host is one that the caller does not want dialled.
    #[error("{host} leads to no address that may be dialled")]
    NotAdmitted {
        /// Host as given.
        host: String,
    },
    /// No address of the host took the connection.
    #[error("cannot connect to {host} port {port}")]
    Connect {
        /// Host as given.
        host: String,
        /// Port.
        port: u16,
        /// How the last attempt failed.
        #[source]
        source: io::Error,
    },
    /// The user's proxy did not open a tunnel.
    #[error("the proxy {proxy} opened no tunnel to {host} port {port}: {why}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host asked for.
        host: String,
        /// Port asked for.
        port: u16,
        /// What it answered.
        why: String,
    },
    /// The TLS handshake failed, for example because the certificate is not trusted.
    #[error("no TLS connection to {host}")]
    Handshake {
        /// Host.
        host: String,
        /// What rustls said.
        #[source]
        source: io::Error,
    },
    /// Neither https, nor http to this machine.
    #[error("refusing {url}: only https is used, or http to a loopback address")]
    Scheme {
        /// Scheme and host of the address.
        url: String,
    },
    /// The server answered with a redirect; they are not followed.
    #[error("{host} answered with a redirect ({status}), which is not followed")]
    Redirect {
        /// Host.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The answer is compressed although that was not offered.
    #[error("{host} sent a compressed answer, which was not asked for")]
    Encoding {
        /// Host.
        host: String,
    },
    /// The answer is too large.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// Host.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// No complete answer in time.
    #[error("no complete answer from {host} within {limit:?}")]
    Timeout {
        /// Host.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// The server is overloaded or broken at the moment.
    #[error("{host} answered {status}")]
    Unavailable {
        /// Host.
        host: String,
        /// HTTP status: 408, 429 or 5xx.
        status: u16,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the exchange with {host} failed")]
    Http {
        /// Host.
        host: String,
        /// What hyper said.
        #[source]
        source: hyper::Error,
    },
}

impl NetError {
    /// Whether the same request may well succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::Handshake { .. }
            | Self::Timeout { .. }
            | Self::Unavailable { .. } => true,
            Self::Http { source, .. } => !source.is_parse(),
            Self::Roots { .. }
            | Self::Tls(_)
            | Self::ProxyVariable { .. }
            | Self::Host { .. }
            | Self::NotAdmitted { .. }
            | Self::Scheme { .. }
            | Self::Redirect { .. }
            | Self::Encoding { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}
