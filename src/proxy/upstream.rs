//! The only way to Datadog. [`Upstream::send`] takes a [`Permit`], and only the journal can make
//! one, after the request is on stable storage.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::body::PassBody;
use super::send_error::SendError;
use crate::journal::Permit;
use crate::limits;
use crate::net::{Dialer, NetError};

/// A warm connection is thrown away when nobody took it by then: servers close idle ones.
const WARM_FOR: Duration = Duration::from_secs(20);

/// Connections to Datadog, kept and re-used.
pub struct Upstream {
    client: Client<Connector, PassBody>,
    connector: Connector,
    scheme: &'static str,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}

impl Upstream {
    /// Reaches Datadog's hosts themselves, or, with `elsewhere`, that address for all of them.
    #[must_use]
    pub fn new(dialer: Dialer, tls: TlsSource, elsewhere: Option<Uri>) -> Self {
        let scheme = match elsewhere.as_ref().and_then(Uri::scheme_str) {
            Some("http") => "http",
            _ => "https",
        };
        let connector = Connector {
            dialer,
            tls,
            elsewhere,
            warm: Arc::default(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(limits::UPSTREAM_IDLE_KEEP)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_max_buf_size(limits::HTTP1_BUFFER_BYTES)
            .http2_max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
            .http2_initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
            .build(connector.clone());
        Self {
            client,
            connector,
            scheme,
        }
    }

    /// `http` or `https`: what request URIs must begin with.
    pub(super) const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Dials and shakes hands before the first call needs it. Failure shows at that call.
    pub async fn warm(&self, host: &str) {
        let Ok(uri) = format!("{}://{host}/", self.scheme).parse::<Uri>() else {
            return;
        };
        if let Ok(stream) = self.connector.dial(&uri).await {
            self.connector.keep_warm(&uri, stream);
        }
    }

    /// Sends one request. Spends its permit.
    pub(super) async fn send(
        &self,
        permit: Permit,
        mut request: Request<PassBody>,
    ) -> Result<Response<Incoming>, SendError> {
        drop(permit);
        let host = request.uri().host().unwrap_or_default().to_owned();
        // Each version of HTTP has its own place for the host; the client puts it there.
        request.headers_mut().remove(HOST);
        if request.body().size_hint().exact().is_none() {
            // Otherwise the client takes it that a GET has no body (and HTTP/2 drops this).
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        let answer = self.client.request(request);
        match tokio::time::timeout(limits::RESPONSE_HEAD_TIMEOUT, answer).await {
            Ok(Ok(response)) if response.status().is_informational() => Err(SendError::Switched {
                host,
                status: response.status(),
            }),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(SendError::of(host, &e)),
            Err(_) => Err(SendError::Silent {
                host,
                after: limits::RESPONSE_HEAD_TIMEOUT,
            }),
        }
    }
}

/// TLS settings, made when first needed: reading the system's roots takes milliseconds that a
/// plain upstream never has to spend.
#[derive(Clone)]
pub struct TlsSource(Arc<dyn Fn() -> Result<Arc<ClientConfig>, NetError> + Send + Sync>);

impl TlsSource {
    /// Wraps whatever makes, and caches, the settings.
    pub fn new(
        make: impl Fn() -> Result<Arc<ClientConfig>, NetError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(make))
    }
}

/// Opens connections for the pool.
#[derive(Clone)]
struct Connector {
    dialer: Dialer,
    tls: TlsSource,
    elsewhere: Option<Uri>,
    warm: Arc<Mutex<HashMap<String, (Instant, UpstreamStream)>>>,
}

impl Connector {
    async fn dial(&self, uri: &Uri) -> Result<UpstreamStream, io::Error> {
        let goal = self.elsewhere.as_ref().unwrap_or(uri);
        let host = goal.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let secure = goal.scheme_str() != Some("http");
        let port = goal.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = self.dialer.tcp(host, port).await.map_err(other)?;
        if !secure {
            return Ok(UpstreamStream::Plain(TokioIo::new(tcp)));
        }
        let config = (self.tls.0)().map_err(other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(other)?;
        let shaken = TlsConnector::from(config).connect(name, tcp);
        let stream = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, shaken)
            .await
            .map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
            })??;
        Ok(UpstreamStream::Tls(Box::new(TokioIo::new(stream))))
    }

    fn keep_warm(&self, uri: &Uri, stream: UpstreamStream) {
        if let Some(host) = uri.host() {
            let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
            warm.insert(host.to_owned(), (Instant::now(), stream));
        }
    }

    async fn take_warm(&self, uri: &Uri) -> Option<UpstreamStream> {
        let taken = {
            let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
            warm.remove(uri.host()?)
        };
        let (since, mut stream) = taken?;
        let is_open = std::future::poll_fn(|cx| Poll::Ready(stream.is_open(cx))).await;
        (is_open && since.elapsed() < WARM_FOR).then_some(stream)
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

impl Service<Uri> for Connector {
    type Response = UpstreamStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<UpstreamStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            match connector.take_warm(&uri).await {
                Some(stream) => Ok(stream),
                None => connector.dial(&uri).await,
            }
        })
    }
}

/// A connection to Datadog.
enum UpstreamStream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl UpstreamStream {
    /// Whether the other side has not closed, as far as is known. Takes nothing from the stream.
    fn is_open(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Plain(stream) => {
                let mut byte = [0];
                let mut byte = ReadBuf::new(&mut byte);
                match stream.inner().poll_peek(cx, &mut byte) {
                    Poll::Ready(Ok(n)) => n > 0,
                    Poll::Ready(Err(_)) => false,
                    Poll::Pending => true,
                }
            }
            Self::Tls(stream) => match Pin::new(stream.inner_mut()).poll_fill_buf(cx) {
                Poll::Ready(Ok(bytes)) => !bytes.is_empty(),
                Poll::Ready(Err(_)) => false,
                Poll::Pending => true,
            },
        }
    }
}

impl Connection for UpstreamStream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl hyper::rt::Read for UpstreamStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => hyper::rt::Read::poll_read(Pin::new(stream), cx, buf),
            Self::Tls(stream) => hyper::rt::Read::poll_read(Pin::new(&mut **stream), cx, buf),
        }
    }
}

impl hyper::rt::Write for UpstreamStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream.inner_mut()).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.inner_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream.inner_mut()).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.inner_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream.inner_mut()).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.inner_mut()).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.inner().is_write_vectored(),
            Self::Tls(stream) => stream.inner().is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream.inner_mut()).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.inner_mut()).poll_write_vectored(cx, bufs),
        }
    }
}
