//! The fake Datadog: TLS on loopback with a certificate authority of its own, HTTP/2 or 1.1 as
//! ALPN asks, on its own thread. Two ports, one for the gate and one for everybody else, so that
//! the gate's connections can be counted. It opens only with the real keys.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;

use super::Failure;
use super::class::Class;
use super::gate::KEYS;

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";
/// Events of one stream.
pub(crate) const EVENTS: usize = 20;
/// A progress notification of MCP: before and behind the time it was sent.
pub(crate) const EVENT: (&str, &str) = (
    "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":",
    "}}",
);
const EVENT_EVERY: Duration = Duration::from_millis(10);

/// Client and server may be two processes, so it is the system's clock; nobody sets it meanwhile.
pub(crate) fn clock() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// A running fake Datadog; it lives as long as the process.
pub(crate) struct Upstream {
    /// For the client, and for the least proxy.
    pub(crate) direct: SocketAddr,
    /// For the gate.
    pub(crate) gated: SocketAddr,
    pub(crate) ca_pem: String,
    accepted: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) fn start() -> Result<Self, Failure> {
        let (config, ca_pem) = certificates(&[NAME], &["h2", "http/1.1"])?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let (direct, gated) = (bind()?, bind()?);
        let accepted = Arc::new(AtomicUsize::new(0));
        let upstream = Self {
            direct: direct.local_addr()?,
            gated: gated.local_addr()?,
            ca_pem,
            accepted: Arc::clone(&accepted),
        };
        let bodies = Arc::new(Bodies::default());
        std::thread::spawn(move || {
            runtime.block_on(async move {
                tokio::join!(
                    accept(direct, tls.clone(), Arc::default(), Arc::clone(&bodies)),
                    accept(gated, tls, accepted, Arc::clone(&bodies)),
                )
            })
        });
        Ok(upstream)
    }

    /// Connections the gate has opened so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// TLS as these names, and the authority to trust.
/// Authority and leaf differ in name: some verifiers take a leaf of the same name for self-signed.
pub(crate) fn certificates(
    names: &[&str],
    protocols: &[&str],
) -> Result<(ServerConfig, String), Failure> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "ddgate bench authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate()?;
    let mut leaf =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    leaf.distinguished_name
        .push(DnType::CommonName, "ddgate bench leaf");
    let leaf = leaf.signed_by(&key, &issuer)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )?;
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Ok((config, pem))
}

/// The answers, made once.
struct Bodies {
    small: Bytes,
    page: Bytes,
    series: Bytes,
    logs: Bytes,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            small: Class::Small.answer_body(),
            page: Class::Page.answer_body(),
            series: Class::Series.answer_body(),
            logs: Class::Logs.answer_body(),
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    accepted: Arc<AtomicUsize>,
    bodies: Arc<Bodies>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::Relaxed);
        // What goes wrong with a connection shows at the other end.
        tokio::spawn(converse(stream, tls.clone(), Arc::clone(&bodies)));
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, bodies: Arc<Bodies>) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| answer(request, Arc::clone(&bodies)));
    let stream = TokioIo::new(stream);
    if is_h2 {
        http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(256)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .serve_connection(stream, service)
            .await?;
    } else {
        http1::Builder::new()
            .serve_connection(stream, service)
            .await?;
    }
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    bodies: Arc<Bodies>,
) -> Result<Response<BoxBody<Bytes, std::convert::Infallible>>, hyper::Error> {
    let shown = |name: &str| request.headers().get(name).map(|value| value.as_bytes());
    let keys = (shown("dd-api-key"), shown("dd-application-key"));
    let may = keys == (Some(KEYS.0.as_bytes()), Some(KEYS.1.as_bytes()));
    let class = Class::of(request.uri().path()).filter(|_| may);
    let mut body = request.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame?.data_ref().map_or(0, Bytes::len);
    }
    let whole = |bytes: &Bytes| Full::new(bytes.clone()).boxed();
    let (content_type, body) = match class {
        Some(Class::Small | Class::Fresh) => ("application/json", whole(&bodies.small)),
        Some(Class::Page) => ("application/json", whole(&bodies.page)),
        Some(Class::Series) => ("application/json", whole(&bodies.series)),
        Some(Class::Logs) => ("application/json", whole(&bodies.logs)),
        Some(Class::Intake) if received == super::class::INTAKE_BYTES => {
            ("application/json", whole(&Bytes::from_static(b"{}")))
        }
        Some(Class::Events) => ("text/event-stream", Events::new().boxed()),
        Some(Class::Intake) | None => {
            let mut refused = Response::new(Full::default().boxed());
            *refused.status_mut() = StatusCode::FORBIDDEN;
            return Ok(refused);
        }
    };
    let mut answer = Response::new(body);
    answer.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    Ok(answer)
}

/// A stream of events, each of which says when it was sent.
struct Events {
    left: usize,
    next: Pin<Box<Sleep>>,
}

impl Events {
    fn new() -> Self {
        Self {
            left: EVENTS,
            next: Box::pin(sleep(EVENT_EVERY)),
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.next.as_mut().poll(cx));
        self.left -= 1;
        self.next = Box::pin(sleep(EVENT_EVERY));
        let event = format!("{}{}{}\n\n", EVENT.0, clock().as_nanos(), EVENT.1);
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
