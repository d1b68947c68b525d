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
use rustls::server::Acceptor;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::body::{PassBody, discard};
use super::origin::Origin;
use super::streams::{InStream, Streams};
use super::{Proxy, connect, pipeline, respond};
use crate::record::Event;
use crate::{datadog, limits};

/// How a TLS connection begins (RFC 8446, section 5.1).
pub(super) const TLS_HANDSHAKE: u8 = 0x16;
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
/// Inside a command that another ddgate holds to its own port, nobody could connect to a port of
/// ours. But the kernel tells ports apart, not addresses: `held_to`, the port of the other gate, on
/// another loopback address is open to everybody inside.
///
/// # Errors
/// There is none, or the loopback is not to be had; `PermissionDenied`: nobody could connect.
pub async fn bind(held_to: Option<u16>) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let refused = match TcpStream::connect(listener.local_addr()?).await {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        _ => return Ok(listener),
    };
    for last in 2..=u8::MAX {
        let address = (Ipv4Addr::new(127, 0, 0, last), held_to.unwrap_or(0));
        if address.1 != 0
            && let Ok(listener) = TcpListener::bind(SocketAddr::from(address)).await
        {
            return Ok(listener);
        }
    }
    Err(refused)
}

/// Serves until draining begins.
pub async fn serve(proxy: Arc<Proxy>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(proxy.client_limits.connections));
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
            let _ = connection(shared, stream, Origin::new(client, place)).await;
        });
    }
}

async fn connection(proxy: Arc<Proxy>, stream: TcpStream, origin: Origin) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let limit = proxy.client_limits.request_head;
    let mut first = [0; HTTP2_PREFACE.len()];
    let n = tokio::select! {
        () = proxy.draining.cancelled() => return Ok(()),
        peeked = tokio::time::timeout(limit, stream.peek(&mut first)) => peeked??,
    };
    match first[..n] {
        [] => Ok(()),
        [TLS_HANDSHAKE, ..] => tls(proxy, stream, None, origin).await,
        _ if first == *HTTP2_PREFACE => h2(proxy, stream, Way::Open, origin).await,
        _ => h1(proxy, stream, Way::Open, origin).await,
    }
}

/// A connection being served. Boxed, because a connection can hold another one (CONNECT), and a
/// type cannot hold itself.
pub(super) type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Serves what a CONNECT opened: TLS for the Datadog host it named.
pub(super) fn tls_within<S>(
    proxy: Arc<Proxy>,
    stream: S,
    named: Arc<str>,
    origin: Origin,
) -> Serving
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(tls(proxy, stream, Some(named), origin))
}

/// Serves what a CONNECT opened: plain HTTP.
pub(super) fn h1_within<S>(proxy: Arc<Proxy>, stream: S, way: Way, origin: Origin) -> Serving
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(h1(proxy, stream, way, origin))
}

/// Terminates TLS for a Datadog host: the one a CONNECT named, or else the one in the SNI.
async fn tls<S>(
    proxy: Arc<Proxy>,
    stream: S,
    named: Option<Arc<str>>,
    origin: Origin,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Biased: a child that ends right behind its refusal has refused all the same.
    let shaking = handshake(&proxy, stream, named, &origin);
    let (mut stream, host) = tokio::select! {
        biased;
        shaken = tokio::time::timeout(proxy.client_limits.handshake, shaking) => match shaken?? {
            Some(shaken) => shaken,
            None => return Ok(()),
        },
        () = proxy.draining.cancelled() => return Ok(()),
    };
    let limit = proxy.client_limits.request_head;
    tokio::select! {
        biased;
        // Only looks: what came is still there for whoever serves it.
        came = tokio::time::timeout(limit, stream.fill_buf()) => {
            match came? {
                Ok(bytes) if !bytes.is_empty() => proxy.distrust.served(&host),
                Ok(_) | Err(_) => {
                    proxy.distrust.left(&host);
                    return Ok(());
                }
            }
        }
        () = proxy.draining.cancelled() => return Ok(()),
    }
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() == Some(b"h2") {
        h2(proxy, stream, Way::For(host), origin).await
    } else {
        h1(proxy, stream, Way::For(host), origin).await
    }
}

/// Shakes hands as the host a CONNECT named, or else as the one in the SNI; nothing if neither says
/// one. Notes who does not trust the certificate.
async fn handshake<S>(
    proxy: &Proxy,
    stream: S,
    named: Option<Arc<str>>,
    origin: &Origin,
) -> io::Result<Option<(TlsStream<S>, Arc<str>)>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name = hello
        .client_hello()
        .server_name()
        .map(str::to_ascii_lowercase);
    let Some(host) = name.map(Arc::from).or(named) else {
        return Ok(None);
    };
    // Whoever does not trust it is gone right behind it, and then nobody can tell who it was. Calls
    // need to know as well.
    let by = origin.by(proxy).await;
    match hello.into_stream(Arc::clone(&proxy.tls)).await {
        Ok(stream) => Ok(Some((stream, host))),
        Err(error) => {
            if datadog::site::is_datadog_host(&host, &proxy.extra_domains)
                && let Some(stated) = proxy.distrust.failed(&host, &error, by.number())
            {
                // Nothing of it was sent: without its record the session still is whole.
                let _ = proxy
                    .journal
                    .note(Event::Distrusted(stated), Vec::new())
                    .await;
            }
            Err(error)
        }
    }
}

async fn h1<S>(proxy: Arc<Proxy>, stream: S, way: Way, origin: Origin) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (draining, limit) = (proxy.draining.clone(), proxy.client_limits.request_head);
    let service =
        service_fn(move |request| route(Arc::clone(&proxy), way.clone(), origin.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
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

async fn h2<S>(proxy: Arc<Proxy>, stream: S, way: Way, origin: Origin) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (draining, limit) = (proxy.draining.clone(), proxy.client_limits.http2_idle);
    let streams = Arc::new(Streams::default());
    let counted = Arc::clone(&streams);
    let service = service_fn(move |request| {
        let stream = counted.open();
        let origin = origin.within(Arc::clone(&stream));
        let answer = route(Arc::clone(&proxy), way.clone(), origin, request);
        async move {
            let answer = answer.await?;
            Ok::<_, std::convert::Infallible>(answer.map(|body| InStream::new(body, stream)))
        }
    });
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
        () = streams.idle(limit) => connection.as_mut().graceful_shutdown(),
    }
    // Going asks the client for an answer (RFC 9113, 6.8), and it may never give one.
    tokio::select! {
        ended = connection.as_mut() => ended.map_err(io::Error::other),
        () = streams.idle(limit) => Ok(()),
    }
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
    way: Way,
    origin: Origin,
    request: Request<Incoming>,
) -> Result<Response<PassBody>, std::convert::Infallible> {
    if request.method() == Method::CONNECT {
        // Boxed, for what it takes is more than the rest of this, and would be kept and moved about
        // for every call.
        return Ok(Box::pin(connect::connect(proxy, &way, &origin, request)).await);
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
            let call = pipeline::call(Arc::clone(&proxy), origin, host, request, reply);
            proxy.tasks.spawn(Box::pin(call));
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
    let host = authority.host().to_ascii_lowercase();
    authority.port_u16() == Some(proxy.address.port())
        && (host == "localhost" || host == proxy.address.ip().to_string())
}
