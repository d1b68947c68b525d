//! One port, three ways in, told apart by the first bytes: base URL and HTTP proxy (HTTP/1.1, or
//! HTTP/2 with prior knowledge), and TLS straight away. Decides for whom a request is; what then
//! happens to it is the business of [`super::pipeline`] and [`super::connect`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

use super::body::{PassBody, discard};
use super::origin::Origin;
use super::{Proxy, connect, pipeline, respond};
use crate::{datadog, limits};

const TLS_HANDSHAKE: u8 = 0x16;
/// How HTTP/2 with prior knowledge begins (RFC 9113, 3.4); no HTTP/1 method looks like it.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// How a request came in, and so for whom it may be.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// On the open port: base URL or proxy.
    Open,
    /// On a connection that is for one Datadog host, by CONNECT or SNI.
    For(Arc<str>),
}

/// Takes a free loopback port.
///
/// # Errors
/// There is none, or the loopback is not to be had.
pub async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

/// Serves until draining begins.
pub async fn serve(proxy: Arc<Proxy>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (stream, client) = tokio::select! {
            biased;
            () = proxy.draining.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors: what is open will close, so wait a moment and go on.
                Err(_) => {
                    tokio::time::sleep(limits::ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        let shared = Arc::clone(&proxy);
        proxy.tasks.spawn(async move {
            // What goes wrong with one connection is its own child's affair.
            let _ = connection(shared, stream, Origin::new(client)).await;
            drop(place);
        });
    }
}

async fn connection(proxy: Arc<Proxy>, stream: TcpStream, origin: Origin) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0; HTTP2_PREFACE.len()];
    let n = tokio::select! {
        () = proxy.draining.cancelled() => return Ok(()),
        peeked = tokio::time::timeout(limits::REQUEST_HEAD_TIMEOUT, stream.peek(&mut first)) => {
            peeked??
        }
    };
    match first[..n] {
        [] => Ok(()),
        [TLS_HANDSHAKE, ..] => tls(proxy, stream, origin, None).await,
        _ if first == *HTTP2_PREFACE => h2(proxy, stream, origin, Way::Open).await,
        _ => h1(proxy, stream, origin, Way::Open).await,
    }
}

/// A connection being served. Boxed, because a connection can hold another one (CONNECT), and a
/// type cannot hold itself.
pub(super) type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Serves what a CONNECT opened: TLS for the Datadog host it named.
pub(super) fn tls_within<S>(
    proxy: Arc<Proxy>,
    stream: S,
    origin: Origin,
    named: Arc<str>,
) -> Serving
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(tls(proxy, stream, origin, Some(named)))
}

/// Serves what a CONNECT opened: plain HTTP.
pub(super) fn h1_within<S>(proxy: Arc<Proxy>, stream: S, origin: Origin, way: Way) -> Serving
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(h1(proxy, stream, origin, way))
}

/// Terminates TLS for a Datadog host: the one a CONNECT named, or else the one in the SNI.
async fn tls<S>(
    proxy: Arc<Proxy>,
    stream: S,
    origin: Origin,
    named: Option<Arc<str>>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::clone(&proxy.tls));
    let stream = tokio::select! {
        () = proxy.draining.cancelled() => return Ok(()),
        accepted = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => {
            accepted??
        }
    };
    let (_, session) = stream.get_ref();
    let h2_asked = session.alpn_protocol() == Some(b"h2");
    let host: Arc<str> = match (session.server_name(), named) {
        (Some(name), _) => name.to_ascii_lowercase().into(),
        (None, Some(named)) => named,
        (None, None) => return Ok(()),
    };
    if h2_asked {
        h2(proxy, stream, origin, Way::For(host)).await
    } else {
        h1(proxy, stream, origin, Way::For(host)).await
    }
}

async fn h1<S>(proxy: Arc<Proxy>, stream: S, origin: Origin, way: Way) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let draining = proxy.draining.clone();
    let service =
        service_fn(move |request| route(Arc::clone(&proxy), origin.clone(), way.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD_TIMEOUT)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        () = draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(io::Error::other)
}

async fn h2<S>(proxy: Arc<Proxy>, stream: S, origin: Origin, way: Way) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let draining = proxy.draining.clone();
    let service =
        service_fn(move |request| route(Arc::clone(&proxy), origin.clone(), way.clone(), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        () = draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(io::Error::other)
}

/// For whom a request is.
#[derive(Debug, PartialEq, Eq)]
enum Goal {
    /// A Datadog host.
    Datadog(String),
    /// Somebody else, by plain HTTP through the proxy.
    Elsewhere,
    /// Nobody this gate speaks for.
    Nobody,
}

async fn route(
    proxy: Arc<Proxy>,
    origin: Origin,
    way: Way,
    request: Request<Incoming>,
) -> Result<Response<PassBody>, std::convert::Infallible> {
    if request.method() == Method::CONNECT {
        return Ok(connect::connect(proxy, origin, &way, request).await);
    }
    let answer = match goal(
        &proxy,
        &way,
        request.method(),
        request.uri(),
        request.headers(),
    ) {
        Goal::Datadog(host) => {
            // On a task of its own: a child that hangs up must not take the record with it.
            let (reply, answer) = oneshot::channel();
            let shared = Arc::clone(&proxy);
            proxy
                .tasks
                .spawn(pipeline::call(shared, origin, host, request, reply));
            answer.await.unwrap_or_else(|_| {
                let message = "the session ended before this call was answered";
                respond::refusal(StatusCode::SERVICE_UNAVAILABLE, "closed", message, None)
            })
        }
        Goal::Elsewhere => connect::forward_plain(&proxy, &origin, request).await,
        Goal::Nobody => {
            // Whoever asked first (RFC 9110, 10.1.1) has its answer and sends nothing.
            if !request.headers().contains_key(http::header::EXPECT) {
                let draining = proxy.draining.clone();
                let body = request.into_body();
                proxy
                    .tasks
                    .spawn(async move { discard(body, &draining).await });
            }
            let message = "this gate does not speak for the host this request names";
            respond::refusal(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                message,
                None,
            )
        }
    };
    Ok(answer)
}

fn goal(proxy: &Proxy, way: &Way, method: &Method, uri: &Uri, headers: &HeaderMap) -> Goal {
    let Ok(named) = authority(uri, headers) else {
        return Goal::Nobody;
    };
    match (way, named) {
        (Way::For(host), None) => Goal::Datadog(host.to_string()),
        (Way::For(host), Some(named)) if same_host(named.host(), host) => {
            Goal::Datadog(host.to_string())
        }
        (Way::For(_), Some(_)) | (Way::Open, None) => Goal::Nobody,
        (Way::Open, Some(named)) if is_gate(proxy, &named) => {
            Goal::Datadog(datadog::site::base_host(&proxy.site, method, uri.path()))
        }
        (Way::Open, Some(named))
            if datadog::site::is_datadog_host(named.host(), &proxy.extra_domains) =>
        {
            Goal::Datadog(named.host().trim_end_matches('.').to_ascii_lowercase())
        }
        (Way::Open, Some(_)) if uri.scheme_str() == Some("http") && uri.authority().is_some() => {
            Goal::Elsewhere
        }
        (Way::Open, Some(_)) => Goal::Nobody,
    }
}

/// The host a request names, by absolute form, `:authority` or `Host`; an error when they differ
/// or one does not parse (request smuggling begins with such pairs).
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ()> {
    let mut hosts = headers.get_all(http::header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(()),
        (Some(value), None) => Some(Authority::try_from(value.as_bytes()).map_err(drop)?),
        (None, None) => None,
    };
    match (uri.authority(), host) {
        // RFC 9112, 3.2.2: the absolute form wins; a different `Host` beside it is refused here.
        (Some(uri), Some(host)) if !same_host(uri.host(), host.host()) => Err(()),
        (Some(uri), _) => Ok(Some(uri.clone())),
        (None, host) => Ok(host),
    }
}

fn same_host(one: &str, other: &str) -> bool {
    one.trim_end_matches('.')
        .eq_ignore_ascii_case(other.trim_end_matches('.'))
}

/// Whether an authority is the gate's own: nothing else may be, or a web page could rebind a name
/// of its own to the loopback.
pub(super) fn is_gate(proxy: &Proxy, authority: &Authority) -> bool {
    authority.port_u16() == Some(proxy.address.port())
        && ["127.0.0.1", "localhost"].contains(&authority.host().to_ascii_lowercase().as_str())
}
