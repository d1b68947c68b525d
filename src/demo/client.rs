//! The demo's own small HTTP/1.1 client, plain or through a proxy's CONNECT with TLS inside.
//!
//! It plays two parts that are clients in real life: the person's browser and the coding agent.
//! One connection, one request at a time, no redirects, no retries, no other features.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits;

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No TCP connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy answered CONNECT with something else than 2xx.
    #[error("the proxy answered {status} to CONNECT {target}")]
    Tunnel {
        /// Host and port asked for.
        target: String,
        /// Its answer.
        status: StatusCode,
    },
    /// No TLS inside the tunnel.
    #[error("no TLS with {host}")]
    Tls {
        /// The host meant.
        host: String,
        /// What went wrong, such as an untrusted certificate.
        source: io::Error,
    },
    /// The conversation broke.
    #[error("the conversation with {host} broke")]
    Http {
        /// The host meant.
        host: String,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The answer broke off or is larger than the client wants.
    #[error("the answer of {host} is unusable")]
    Answer {
        /// The host meant.
        host: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request that cannot be written as HTTP.
    #[error("the request to {host} cannot be written")]
    Request {
        /// The host meant.
        host: String,
        /// What is wrong with it.
        source: http::Error,
    },
    /// No complete answer in time.
    #[error("no answer from {host} within {} s", limits::DEMO_CALL_TIMEOUT.as_secs())]
    Timeout {
        /// The host meant.
        host: String,
    },
}

/// A complete answer.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// One open connection that requests are sent on, one after the other.
pub(super) struct Connection {
    host: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `address` (`host:port`), without TLS.
    pub(super) async fn plain(address: &str) -> Result<Self, ClientError> {
        in_time(address, async {
            let socket = connect(address).await?;
            let sender = speak(address, socket).await?;
            Ok(Self {
                host: address.to_owned(),
                sender,
            })
        })
        .await
    }

    /// Connects to port 443 of `host` through `proxy` (`host:port`), with TLS inside the tunnel.
    pub(super) async fn tunnelled(
        proxy: &str,
        host: &str,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Self, ClientError> {
        in_time(host, async {
            let tunnel = tunnel(proxy, &format!("{host}:443")).await?;
            let tls_error = |source| ClientError::Tls {
                host: host.to_owned(),
                source,
            };
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| tls_error(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
            let stream = TlsConnector::from(tls)
                .connect(name, TokioIo::new(tunnel))
                .await
                .map_err(tls_error)?;
            let sender = speak(host, stream).await?;
            Ok(Self {
                host: host.to_owned(),
                sender,
            })
        })
        .await
    }

    /// Sends one request and reads its whole answer.
    pub(super) async fn call(
        &mut self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answered, ClientError> {
        let host = self.host.clone();
        in_time(&host, async {
            let http_error = |source| ClientError::Http {
                host: host.clone(),
                source,
            };
            let mut request = Request::builder()
                .method(method)
                .uri(target)
                .header(HOST, &host)
                .body(Full::new(body))
                .map_err(|source| ClientError::Request {
                    host: host.clone(),
                    source,
                })?;
            request.headers_mut().extend(headers);
            self.sender.ready().await.map_err(http_error)?;
            let answer = self
                .sender
                .send_request(request)
                .await
                .map_err(http_error)?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, limits::DEMO_ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|source| ClientError::Answer {
                    host: host.clone(),
                    source,
                })?;
            Ok(Answered {
                status: parts.status,
                body: body.to_bytes(),
            })
        })
        .await
    }
}

/// Makes a header map from pairs that are known to be valid; what is not is left out.
pub(super) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .filter_map(|(name, value)| Some((*name, HeaderValue::from_str(value).ok()?)))
        .map(|(name, value)| (http::HeaderName::from_static(name), value))
        .collect()
}

async fn in_time<T>(
    host: &str,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(limits::DEMO_CALL_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                host: host.to_owned(),
            })
        })
}

async fn connect(address: &str) -> Result<TcpStream, ClientError> {
    let connect = async {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    };
    connect.await.map_err(|source| ClientError::Connect {
        address: address.to_owned(),
        source,
    })
}

async fn speak<S>(host: &str, stream: S) -> Result<SendRequest<Full<Bytes>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|source| ClientError::Http {
            host: host.to_owned(),
            source,
        })?;
    // It ends when the sender is dropped; its errors come back through the sender.
    tokio::spawn(connection);
    Ok(sender)
}

async fn tunnel(proxy: &str, target: &str) -> Result<hyper::upgrade::Upgraded, ClientError> {
    let http_error = |source| ClientError::Http {
        host: proxy.to_owned(),
        source,
    };
    let socket = connect(proxy).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(http_error)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(target)
        .header(HOST, target)
        .body(Empty::<Bytes>::new())
        .map_err(|source| ClientError::Request {
            host: target.to_owned(),
            source,
        })?;
    let answer = sender.send_request(request).await.map_err(http_error)?;
    if !answer.status().is_success() {
        return Err(ClientError::Tunnel {
            target: target.to_owned(),
            status: answer.status(),
        });
    }
    hyper::upgrade::on(answer).await.map_err(http_error)
}
