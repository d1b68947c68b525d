//! Proxying for hosts that are not the gate's business: blind tunnels, and plain HTTP passed on.
//! Only host, bytes and time are recorded. Datadog's hosts never go this way: their connections
//! are handed back to [`super::listener`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{HOST, HeaderValue};
use http::uri::Authority;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::body::{Counted, PassBody};
use super::egress::{Admission, Closed};
use super::listener::{self, TLS_HANDSHAKE, Way};
use super::origin::{self, By, Origin};
use super::rewind::Rewind;
use super::whereabouts::{UNSEEN, UNSEEN_MESSAGE};
use super::{Proxy, headers, respond};
use crate::record::Event;
use crate::record::Tunnel;
use crate::{datadog, limits};

/// Answers CONNECT (RFC 9110, 9.3.6).
pub(super) async fn connect(
    proxy: Arc<Proxy>,
    way: &Way,
    origin: &Origin,
    request: Request<Incoming>,
) -> Response<PassBody> {
    let (Way::Open, Some(authority)) = (way, request.uri().authority().cloned()) else {
        return respond::empty(StatusCode::BAD_REQUEST);
    };
    let Some(port) = authority.port_u16() else {
        return respond::empty(StatusCode::BAD_REQUEST);
    };
    let upgrade = hyper::upgrade::on(request);
    if listener::is_gate(&proxy, &authority) {
        // Some clients tunnel even to a plain base URL.
        let (shared, origin) = (Arc::clone(&proxy), origin.clone());
        proxy.tasks.spawn(async move {
            let stream = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
            listener::h1_within(shared, stream, Way::Open, origin).await
        });
        return respond::empty(StatusCode::OK);
    }
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    if [443, 80].contains(&port) && datadog::site::is_datadog_host(&host, &proxy.extra_domains) {
        proxy.tasks.spawn(intercept(
            Arc::clone(&proxy),
            upgrade,
            host.into(),
            origin.clone(),
        ));
        return respond::empty(StatusCode::OK);
    }
    let note = Note::of(&proxy, &authority, origin).await;
    if let By::Foreign(_) = note.by {
        return note.refused(&proxy).await;
    }
    match dial(&proxy, &authority, port).await {
        Ok(upstream) => {
            let (shared, origin) = (Arc::clone(&proxy), origin.clone());
            proxy
                .tasks
                .spawn(opened(shared, upgrade, upstream, note, origin));
            respond::empty(StatusCode::OK)
        }
        Err(unreached) => unreached.answer(&proxy, note).await,
    }
}

/// Connects, if the session's rules allow it.
async fn dial(proxy: &Proxy, authority: &Authority, port: u16) -> Result<TcpStream, Unreached> {
    let host = bare_host(authority);
    let admission = proxy.egress.admit(host, port).map_err(Unreached::Closed)?;
    let dialled = proxy
        .dialer
        .tcp_where(host, port, |address| admission.covers(address));
    dialled
        .await
        .map_err(|error| match Admission::closed(&error, port) {
            Some(closed) => Unreached::Closed(closed),
            None => Unreached::Failed(super::send_error::reasons(&error)),
        })
}

/// Why somebody else was not reached.
enum Unreached {
    /// A rule says no.
    Closed(Closed),
    /// It did not work.
    Failed(String),
}

impl Unreached {
    /// Records it and tells the child.
    async fn answer(self, proxy: &Proxy, mut note: Note) -> Response<PassBody> {
        match self {
            Self::Closed(closed) => {
                note.rule = Some(closed.rule);
                note.down(proxy, Some(closed.message.clone())).await;
                respond::refusal(StatusCode::FORBIDDEN, closed.rule, &closed.message, None)
            }
            Self::Failed(why) => {
                note.down(proxy, Some(why.clone())).await;
                respond::refusal(StatusCode::BAD_GATEWAY, "unreachable", &why, None)
            }
        }
    }
}

/// An authority without the credentials that may stand before it.
fn host_and_port(authority: &Authority) -> &str {
    let whole = authority.as_str();
    whole.rsplit_once('@').map_or(whole, |(_, host)| host)
}

fn bare_host(authority: &Authority) -> &str {
    authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

async fn intercept(
    proxy: Arc<Proxy>,
    upgrade: OnUpgrade,
    host: Arc<str>,
    origin: Origin,
) -> io::Result<()> {
    let stream = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
    let limit = proxy.client_limits.request_head;
    let looked = tokio::select! {
        () = proxy.draining.cancelled() => return Ok(()),
        looked = tokio::time::timeout(limit, Rewind::look(stream)) => looked,
    };
    match looked?? {
        (Some(TLS_HANDSHAKE), stream) => listener::tls_within(proxy, stream, host, origin).await,
        // A CONNECT to port 80 carries plain HTTP.
        (Some(_), stream) => listener::h1_within(proxy, stream, Way::For(host), origin).await,
        (None, _) => Ok(()),
    }
}

/// Bytes that passed, whatever became of their connection.
#[derive(Debug, Default)]
struct Counts {
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

/// Serves a tunnel to somebody who was named by address, or by another name: in the end it may be
/// Datadog after all.
async fn opened(
    proxy: Arc<Proxy>,
    upgrade: OnUpgrade,
    upstream: TcpStream,
    mut note: Note,
    origin: Origin,
) -> io::Result<()> {
    let mut child = match upgrade.await {
        Ok(child) => Rewind::new(TokioIo::new(child)),
        Err(e) => {
            note.down(&proxy, Some(e.to_string())).await;
            return Ok(());
        }
    };
    let mut first = [0];
    let name = tokio::select! {
        biased;
        () = proxy.draining.cancelled() => {
            note.down(&proxy, Some("the session ended".into())).await;
            return Ok(());
        }
        name = child.server_name() => name,
        // Whoever speaks first is no TLS server. Looked at, not taken.
        _ = upstream.peek(&mut first) => None,
        // Not passed on unread: the handshake may come late on purpose.
        () = tokio::time::sleep(proxy.client_limits.tunnel_idle) => {
            note.down(&proxy, Some("nothing passed for too long".into())).await;
            return Ok(());
        }
    };
    match name {
        Some(name) if datadog::site::is_datadog_host(&name, &proxy.extra_domains) => {
            drop(upstream);
            listener::tls_within(proxy, child, name.into(), origin).await
        }
        name => {
            if is_unseen(&proxy, &upstream, &note, name.as_deref()).await {
                proxy.whereabouts.count();
                note.rule = Some(UNSEEN);
                note.down(&proxy, Some(UNSEEN_MESSAGE.into())).await;
            } else {
                tunnel(&proxy, child, upstream, note).await;
            }
            Ok(())
        }
    }
}

/// Whether a tunnel leads to Datadog, unseen. One whose handshake names the host that was asked for
/// says what it is; without a name, or with a cover name (Encrypted Client Hello), it could be for
/// anybody who answers at that address.
async fn is_unseen(proxy: &Proxy, upstream: &TcpStream, note: &Note, name: Option<&str>) -> bool {
    if !proxy.egress.is_only_way() || name.is_some_and(|name| name == note.asked_for) {
        return false;
    }
    match note.literal.map_or_else(|| upstream.peer_addr(), Ok) {
        Ok(address) => proxy.whereabouts.include(address).await,
        // It is gone.
        Err(_) => false,
    }
}

async fn tunnel(proxy: &Proxy, child: Rewind<TokioIo<Upgraded>>, upstream: TcpStream, note: Note) {
    let (mut from_child, mut to_child) = tokio::io::split(child);
    let (mut from_host, mut to_host) = upstream.into_split();
    let child_ended = CancellationToken::new();
    let up = async {
        copy(&mut from_child, &mut to_host, &note.counts.sent).await?;
        child_ended.cancel();
        Ok::<_, io::Error>(())
    };
    let down = copy(&mut from_host, &mut to_child, &note.counts.received);
    // When the session ends, nobody is left to read what a host still might say.
    let abandoned = async {
        child_ended.cancelled().await;
        proxy.draining.cancelled().await;
    };
    let error = tokio::select! {
        both = async { tokio::try_join!(up, down) } => both.err().map(|e| e.to_string()),
        () = abandoned => None,
        () = silence(&note.counts, proxy.client_limits.tunnel_idle) => Some("nothing passed for too long".into()),
        () = proxy.stopping.cancelled() => Some("the session ended".into()),
    };
    note.down(proxy, error).await;
}

/// Ends when nothing has passed either way for this long, give or take as much again.
async fn silence(counts: &Counts, limit: Duration) {
    let passed = || {
        let (sent, received) = (&counts.sent, &counts.received);
        sent.load(Ordering::Relaxed) + received.load(Ordering::Relaxed)
    };
    loop {
        let before = passed();
        tokio::time::sleep(limit).await;
        if passed() == before {
            return;
        }
    }
}

/// Copies until the end, passes the end on, and counts what was taken over.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; limits::TUNNEL_BUFFER_BYTES];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..n]).await?;
        to.flush().await?;
        count.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// What will be recorded of a connection to somebody else.
struct Note {
    host: String,
    /// The host alone, in lower case.
    asked_for: String,
    /// Where that is, if it is an address: whose proxy stands in between does not matter.
    literal: Option<SocketAddr>,
    opened: Instant,
    counts: Counts,
    /// The rule that refused it.
    rule: Option<&'static str>,
    by: By,
}

impl Note {
    async fn of(proxy: &Proxy, authority: &Authority, origin: &Origin) -> Self {
        let host = bare_host(authority);
        Self {
            host: proxy.known.text(host_and_port(authority)).into_inner(),
            asked_for: host.trim_end_matches('.').to_ascii_lowercase(),
            literal: (host.parse::<IpAddr>().ok())
                .zip(authority.port_u16())
                .map(SocketAddr::from),
            opened: Instant::now(),
            counts: Counts::default(),
            rule: None,
            by: origin.by(proxy).await,
        }
    }

    /// Records that somebody else's process asked for it, and refuses.
    async fn refused(mut self, proxy: &Proxy) -> Response<PassBody> {
        self.rule = Some(origin::FOREIGN);
        let why = format!("refused: {}", origin::FOREIGN);
        self.down(proxy, Some(why)).await;
        let status = StatusCode::FORBIDDEN;
        respond::refusal(status, origin::FOREIGN, origin::FOREIGN_MESSAGE, None)
    }

    /// Records it.
    async fn down(self, proxy: &Proxy, error: Option<String>) {
        let tunnel = Event::Tunnel(Tunnel {
            host: self.host,
            sent: self.counts.sent.load(Ordering::Relaxed),
            received: self.counts.received.load(Ordering::Relaxed),
            dur_us: u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX),
            // It may quote the host, and a host can be any word.
            error: error.map(|e| proxy.known.text(&e).into_inner()),
            rule: self.rule.map(str::to_owned),
            by: self.by.number(),
        });
        // A tunnel carries nothing of Datadog's: without its record the session still is whole.
        let _ = proxy.journal.note(tunnel, Vec::new()).await;
    }
}

/// Passes a plain `http://` request of the child on to a host that is not Datadog's.
pub(super) async fn forward_plain(
    proxy: &Arc<Proxy>,
    origin: &Origin,
    request: Request<Incoming>,
) -> Response<PassBody> {
    let Some(authority) = request.uri().authority().cloned() else {
        return respond::empty(StatusCode::BAD_REQUEST);
    };
    let note = Note::of(proxy, &authority, origin).await;
    if let By::Foreign(_) = note.by {
        return note.refused(proxy).await;
    }
    let upstream = match dial(proxy, &authority, authority.port_u16().unwrap_or(80)).await {
        Ok(upstream) => upstream,
        Err(unreached) => return unreached.answer(proxy, note).await,
    };
    match send_plain(proxy, upstream, &authority, request, &note.counts).await {
        Ok(response) => {
            let (mut parts, incoming) = response.into_parts();
            headers::strip_hop_by_hop(&mut parts.headers);
            Response::from_parts(parts, pass_through(proxy, incoming, note))
        }
        Err(e) => {
            let why = super::send_error::reasons(&e);
            Unreached::Failed(why).answer(proxy, note).await
        }
    }
}

async fn send_plain(
    proxy: &Proxy,
    upstream: TcpStream,
    authority: &Authority,
    request: Request<Incoming>,
    counts: &Counts,
) -> io::Result<Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(upstream))
        .await
        .map_err(io::Error::other)?;
    proxy.tasks.spawn(connection);
    let (mut head, body) = request.into_parts();
    headers::strip_hop_by_hop(&mut head.headers);
    // RFC 9112, 3.2.2: the absolute form says which host is meant.
    let host = HeaderValue::from_str(host_and_port(authority)).map_err(io::Error::other)?;
    head.headers.insert(HOST, host);
    head.uri = head
        .uri
        .path_and_query()
        .cloned()
        .map_or(head.uri, Uri::from);
    let body = Counted::new(body, Arc::clone(&counts.sent));
    let sent = sender.send_request(Request::from_parts(head, body));
    tokio::time::timeout(limits::RESPONSE_HEAD_TIMEOUT, sent)
        .await?
        .map_err(io::Error::other)
}

fn pass_through(proxy: &Arc<Proxy>, incoming: Incoming, note: Note) -> PassBody {
    let (feed, body) = PassBody::fed(incoming.size_hint().exact());
    let mut incoming = Counted::new(incoming, Arc::clone(&note.counts.received));
    let shared = Arc::clone(proxy);
    proxy.tasks.spawn(async move {
        let mut error = None;
        loop {
            let frame = tokio::select! {
                frame = incoming.frame() => frame,
                () = feed.closed() => break,
                () = tokio::time::sleep(shared.client_limits.tunnel_idle) => {
                    Some(Err(io::Error::other("nothing passed for too long")))
                }
                () = shared.stopping.cancelled() => {
                    Some(Err(io::Error::other("the session ended")))
                }
            };
            let Some(frame) = frame else { break };
            error = frame.as_ref().err().map(ToString::to_string);
            if feed.send(frame).await.is_err() || error.is_some() {
                break;
            }
        }
        note.down(&shared, error).await;
    });
    body
}
