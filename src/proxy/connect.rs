//! Proxying for hosts that are not the gate's business: blind tunnels, and plain HTTP passed on.
//! Only host, bytes and time are recorded. Datadog's hosts never go this way: their connections
//! are handed back to [`super::listener`].

use std::io;
use std::sync::Arc;
use std::time::Instant;

use http::uri::Authority;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::PassBody;
use super::listener::{self, Way};
use super::rewind::Rewind;
use super::{Proxy, headers, respond};
use crate::record::Event;
use crate::record::event::Tunnel;
use crate::{datadog, limits};

const TLS_HANDSHAKE: u8 = 0x16;

/// Answers CONNECT (RFC 9110, 9.3.6).
pub(super) async fn connect(
    proxy: Arc<Proxy>,
    way: &Way,
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
        let shared = Arc::clone(&proxy);
        proxy.tasks.spawn(async move {
            let stream = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
            listener::h1_within(shared, stream, Way::Open).await
        });
        return respond::empty(StatusCode::OK);
    }
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    if [443, 80].contains(&port) && datadog::site::is_datadog_host(&host, &proxy.extra_domains) {
        proxy
            .tasks
            .spawn(intercept(Arc::clone(&proxy), upgrade, host.into()));
        return respond::empty(StatusCode::OK);
    }
    let opened = Instant::now();
    match proxy.dialer.tcp(bare_host(&authority), port).await {
        Ok(upstream) => {
            let shared = Arc::clone(&proxy);
            proxy.tasks.spawn(async move {
                tunnel(&shared, upgrade, upstream, authority.to_string(), opened).await;
            });
            respond::empty(StatusCode::OK)
        }
        Err(e) => {
            let why = super::upstream::reasons(&e);
            note(
                &proxy,
                authority.to_string(),
                (0, 0),
                opened,
                Some(why.clone()),
            )
            .await;
            respond::refusal(StatusCode::BAD_GATEWAY, "unreachable", &why, None)
        }
    }
}

fn bare_host(authority: &Authority) -> &str {
    authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

async fn intercept(proxy: Arc<Proxy>, upgrade: OnUpgrade, host: Arc<str>) -> io::Result<()> {
    let stream = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
    let looked = tokio::time::timeout(limits::REQUEST_HEAD_TIMEOUT, Rewind::look(stream));
    match looked.await?? {
        (Some(TLS_HANDSHAKE), stream) => listener::tls_within(proxy, stream, host).await,
        // A CONNECT to port 80 carries plain HTTP.
        (Some(_), stream) => listener::h1_within(proxy, stream, Way::For(host)).await,
        (None, _) => Ok(()),
    }
}

async fn tunnel(
    proxy: &Proxy,
    upgrade: OnUpgrade,
    mut upstream: TcpStream,
    host: String,
    opened: Instant,
) {
    let mut bytes = (0, 0);
    let mut error = None;
    match upgrade.await {
        Ok(child) => {
            let mut child: TokioIo<Upgraded> = TokioIo::new(child);
            let copied = tokio::io::copy_bidirectional(&mut child, &mut upstream);
            tokio::select! {
                copied = copied => match copied {
                    Ok(both) => bytes = both,
                    Err(e) => error = Some(e.to_string()),
                },
                () = proxy.stopping.cancelled() => error = Some("the session ended".into()),
            }
        }
        Err(e) => error = Some(e.to_string()),
    }
    note(proxy, host, bytes, opened, error).await;
}

async fn note(
    proxy: &Proxy,
    host: String,
    (sent, received): (u64, u64),
    opened: Instant,
    error: Option<String>,
) {
    let dur_us = u64::try_from(opened.elapsed().as_micros()).unwrap_or(u64::MAX);
    let tunnel = Event::Tunnel(Tunnel {
        host,
        sent,
        received,
        dur_us,
        error,
    });
    // A tunnel carries nothing of Datadog's: without its record the session still is whole.
    let _ = proxy.journal.conclude(tunnel, Vec::new()).await;
}

/// Passes a plain `http://` request of the child on to a host that is not Datadog's.
pub(super) async fn forward_plain(
    proxy: &Proxy,
    mut request: Request<Incoming>,
) -> Response<PassBody> {
    let Some(authority) = request.uri().authority().cloned() else {
        return respond::empty(StatusCode::BAD_REQUEST);
    };
    let opened = Instant::now();
    headers::strip_hop_by_hop(request.headers_mut());
    let answer = async {
        let port = authority.port_u16().unwrap_or(80);
        let stream = proxy.dialer.tcp(bare_host(&authority), port).await;
        let stream = TokioIo::new(stream.map_err(io::Error::other)?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(io::Error::other)?;
        proxy.tasks.spawn(connection);
        if let Some(target) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = target.into();
        }
        let sent = sender.send_request(request);
        tokio::time::timeout(limits::RESPONSE_HEAD_TIMEOUT, sent)
            .await?
            .map_err(io::Error::other)
    };
    match answer.await {
        Ok(response) => {
            note(proxy, authority.to_string(), (0, 0), opened, None).await;
            let (mut parts, incoming) = response.into_parts();
            headers::strip_hop_by_hop(&mut parts.headers);
            Response::from_parts(parts, pass_through(proxy, incoming))
        }
        Err(e) => {
            let why = super::upstream::reasons(&e);
            note(
                proxy,
                authority.to_string(),
                (0, 0),
                opened,
                Some(why.clone()),
            )
            .await;
            respond::refusal(StatusCode::BAD_GATEWAY, "unreachable", &why, None)
        }
    }
}

fn pass_through(proxy: &Proxy, mut incoming: Incoming) -> PassBody {
    use http_body::Body;
    use http_body_util::BodyExt;
    let (feed, body) = PassBody::fed(incoming.size_hint().exact());
    proxy.tasks.spawn(async move {
        while let Some(frame) = incoming.frame().await {
            let ended = frame.is_err();
            if feed.send(frame.map_err(io::Error::other)).await.is_err() || ended {
                return;
            }
        }
    });
    body
}
