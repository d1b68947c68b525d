//! The least proxy: hyper and rustls, and each request on stable storage before its last byte goes
//! out, each answer before its last byte comes back. No policy, no redaction, no hashing, no
//! compression. What it takes is what nobody who keeps that promise can undercut by much, on this
//! machine and in this hour. Buffers, windows, workers and connections are the gate's.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::{future, mem};

use bytes::{Bytes, BytesMut};
use ddgate::limits;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Failure;
use super::client::{API, MCP, trusting};
use super::gate::{KEYS, ROOTS};
use super::least_disk::{Record, Tag};
use super::upstream::{self, certificates};

/// In the directory it is started in: the authority that clients must trust, and the record.
pub(crate) const AUTHORITY: &str = "least-authority.pem";
const RECORD: &str = "least-record";
/// As many as `ddgate run` has.
const WORKERS: usize = 2;

/// Serves on a port of its own, which it says, until its standard input ends.
pub(crate) fn run(datadog: SocketAddr) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?;
    let (tls, authority) = certificates(&[API, MCP], &["http/1.1"])?;
    std::fs::write(AUTHORITY, authority)?;
    let (listener, upstream) = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok::<_, Failure>((listener, reach(datadog).await?))
    })?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let proxy = Arc::new(Proxy {
        record: Record::create(RECORD.as_ref())?,
        upstream,
        tls: TlsAcceptor::from(Arc::new(tls)),
        calls: AtomicU64::new(0),
    });
    runtime.spawn(accept(proxy, listener));
    io::stdin().read_to_end(&mut Vec::new())?;
    runtime.shutdown_background();
    Ok(())
}

type ToDatadog = SendRequest<Recorded>;

/// Opens the one connection there is; over HTTP/2 the gate too needs no second for a host.
async fn reach(datadog: SocketAddr) -> Result<ToDatadog, Failure> {
    let tcp = TcpStream::connect(datadog).await?;
    tcp.set_nodelay(true)?;
    let tls = trusting(&std::fs::read(ROOTS)?, "h2")?;
    let stream = tls
        .connect(ServerName::try_from(upstream::NAME)?, tcp)
        .await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    // Whatever ends it shows at the next call.
    tokio::spawn(connection);
    Ok(sender)
}

struct Proxy {
    record: Arc<Record>,
    upstream: ToDatadog,
    tls: TlsAcceptor,
    calls: AtomicU64,
}

type Answer = Response<Either<Recorded, Empty<Bytes>>>;

async fn accept(proxy: Arc<Proxy>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // What goes wrong with a connection shows at the other end.
        tokio::spawn(serve(Arc::clone(&proxy), stream));
    }
}

async fn serve(proxy: Arc<Proxy>, stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |request| route(Arc::clone(&proxy), request));
    http1::Builder::new()
        .max_buf_size(limits::HTTP1_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await?;
    Ok(())
}

async fn route(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Answer, Failure> {
    if request.method() != Method::CONNECT {
        return forward(proxy, request).await;
    }
    tokio::spawn(intercept(proxy, hyper::upgrade::on(request)));
    Ok(Response::new(Either::Right(Empty::new())))
}

/// Speaks as the host that a CONNECT asked for.
async fn intercept(proxy: Arc<Proxy>, upgrade: OnUpgrade) -> Result<(), Failure> {
    let stream: TlsStream<TokioIo<Upgraded>> =
        proxy.tls.accept(TokioIo::new(upgrade.await?)).await?;
    let service = service_fn(move |request| forward(Arc::clone(&proxy), request));
    http1::Builder::new()
        .max_buf_size(limits::HTTP1_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn forward(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Answer, Failure> {
    let call = proxy.calls.fetch_add(1, Ordering::Relaxed);
    let (mut head, body) = request.into_parts();
    let tag = Tag {
        call,
        is_answer: false,
    };
    let text = written(format_args!("{} {}", head.method, head.uri), &head.headers);
    let body = Recorded::begin(&proxy.record, tag, text, body).await?;
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = Uri::try_from(format!("https://{}{path}", upstream::NAME))?;
    head.version = Version::HTTP_2;
    head.headers.remove(HOST);
    for (name, key) in [("dd-api-key", KEYS.0), ("dd-application-key", KEYS.1)] {
        head.headers.insert(name, HeaderValue::from_static(key));
    }
    let mut upstream = proxy.upstream.clone();
    let answer = upstream.send_request(Request::from_parts(head, body));
    let (mut head, body) = answer.await?.into_parts();
    head.version = Version::HTTP_11;
    let tag = Tag {
        call,
        is_answer: true,
    };
    let text = written(head.status, &head.headers);
    let mut body = Recorded::begin(&proxy.record, tag, text, body).await?;
    if body.size_hint().exact().is_some() {
        body.hold_first().await?;
    }
    Ok(Response::from_parts(head, Either::Left(body)))
}

/// A head, as it is recorded.
fn written(first: impl Display, headers: &HeaderMap) -> Bytes {
    use std::fmt::Write;
    let mut text = BytesMut::with_capacity(512);
    // Writing to memory cannot fail.
    let _ = write!(text, "{first}\r\n");
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.freeze()
}

/// A body that is recorded piece by piece as it passes; its last piece waits for the record.
struct Recorded {
    body: Incoming,
    record: Arc<Record>,
    tag: Tag,
    /// It is recorded with the first piece, or that one would wait for a second sync.
    head: Option<Bytes>,
    /// The number of what was put last.
    put: u64,
    held: Held,
}

/// A piece that was read and has not been passed on.
enum Held {
    Nothing,
    /// It waits for room.
    Unput(Bytes),
    /// It is the last, and waits until it is on stable storage.
    Unsynced(Bytes),
    /// It waits for whoever reads.
    Ready(Bytes),
}

impl Recorded {
    /// Records the head, now or with the first piece. Where no body follows the head is all there
    /// is, and is waited for; where nobody knows how long the first piece takes it does not wait.
    async fn begin(
        record: &Arc<Record>,
        tag: Tag,
        head: Bytes,
        body: Incoming,
    ) -> io::Result<Self> {
        let mut recorded = Self {
            body,
            record: Arc::clone(record),
            tag,
            head: None,
            put: 0,
            held: Held::Nothing,
        };
        let is_all = recorded.body.is_end_stream();
        if !is_all && recorded.body.size_hint().exact().is_some() {
            recorded.head = Some(head);
            return Ok(recorded);
        }
        recorded.put = future::poll_fn(|cx| record.poll_put(cx, tag, &[&head])).await?;
        if is_all {
            future::poll_fn(|cx| record.poll_synced(cx, recorded.put)).await?;
        }
        Ok(recorded)
    }

    /// Reads the first piece, so that it and the head leave in one write.
    async fn hold_first(&mut self) -> Result<(), Failure> {
        if let Some(frame) = self.frame().await
            && let Ok(piece) = frame?.into_data()
        {
            self.held = Held::Ready(piece);
        }
        Ok(())
    }

    fn poll_put(&self, cx: &Context<'_>, piece: &Bytes) -> Poll<io::Result<u64>> {
        match &self.head {
            Some(head) => self.record.poll_put(cx, self.tag, &[head, piece]),
            None => self.record.poll_put(cx, self.tag, &[piece]),
        }
    }

    fn is_last_read(&self) -> bool {
        self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            match mem::replace(&mut self.held, Held::Nothing) {
                Held::Nothing => match ready!(Pin::new(&mut self.body).poll_frame(cx)?) {
                    // Nothing here has trailers.
                    Some(frame) => self.held = frame.into_data().map_or(Held::Nothing, Held::Unput),
                    None => {
                        // Where no length was known, the end is what says that this was all.
                        ready!(self.record.poll_synced(cx, self.put))?;
                        return Poll::Ready(None);
                    }
                },
                Held::Unput(piece) => match self.poll_put(cx, &piece)? {
                    Poll::Pending => {
                        self.held = Held::Unput(piece);
                        return Poll::Pending;
                    }
                    Poll::Ready(put) => {
                        self.put = put;
                        self.head = None;
                        self.held = if self.is_last_read() {
                            Held::Unsynced(piece)
                        } else {
                            Held::Ready(piece)
                        };
                    }
                },
                Held::Unsynced(piece) => match self.record.poll_synced(cx, self.put)? {
                    Poll::Pending => {
                        self.held = Held::Unsynced(piece);
                        return Poll::Pending;
                    }
                    Poll::Ready(()) => self.held = Held::Ready(piece),
                },
                Held::Ready(piece) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.held, Held::Nothing) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = match &self.held {
            Held::Nothing => 0,
            Held::Unput(piece) | Held::Unsynced(piece) | Held::Ready(piece) => piece.len() as u64,
        };
        let left = self.body.size_hint().exact();
        left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + held))
    }
}
