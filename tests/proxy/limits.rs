//! What a client may take of the gate: places, time, and room for a head. The times are short here
//! (see [`ddgate::proxy::ClientLimits`]), and each test sees that they are kept from both sides:
//! what is idle ends, and what is not stays.

use std::time::{Duration, Instant};

use super::gate::*;
use super::upstream::{Talk, Upstream};
use super::ways::{client_hello, echo, h2, h2_request};
use super::wire::*;
use ddgate::proxy::ClientLimits;
use ddgate::record::Outcome;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const HOST: &str = "api.datadoghq.com";
/// A limit that a test can wait for, and that a busy machine does not meet by accident.
const SHORT: Duration = Duration::from_millis(400);
/// Far beyond it.
const SOON: Duration = Duration::from_secs(15);

async fn gate(upstream: &Upstream, client_limits: ClientLimits) -> Gate {
    Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        client_limits,
        ..Setup::default()
    })
    .await
}

async fn well() -> Upstream {
    Upstream::answering(|_| answer(200, "", "well")).await
}

/// Reads until the other side ends; how long that took. Fails when it does not.
async fn end_of<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, what: &str) -> Duration {
    let began = Instant::now();
    let ending = async {
        let mut rest = [0; 1024];
        // A reset is an end as well.
        while let Ok(1..) = wire.stream.read(&mut rest).await {}
    };
    timeout(SOON, ending)
        .await
        .unwrap_or_else(|_| panic!("{what}: it is still open"));
    began.elapsed()
}

/// One more connection than there are places: it asks, and is not answered.
async fn held_back(gate: &Gate) -> Wire<TcpStream> {
    let mut waiting = gate.child().await;
    waiting.send(gate.keyed("GET /api/v1/monitor", "")).await;
    let early = timeout(SHORT, waiting.head()).await;
    assert!(early.is_err(), "answered beyond the places: {early:?}");
    waiting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_places_a_connection_waits_and_a_tunnel_keeps_its_place() {
    let upstream = well().await;
    let connections = 3;
    let gate = gate(
        &upstream,
        ClientLimits {
            connections,
            ..ClientLimits::default()
        },
    )
    .await;
    let silent = gate.child().await;
    let mut kept = gate.child().await;
    assert_eq!(
        kept.ask(gate.keyed("GET /api/v1/monitor", ""))
            .await
            .status(),
        200
    );
    let (status, mut tunnel) = gate.tunnel(&format!("127.0.0.1:{}", echo(b"").await)).await;
    assert_eq!(status, 200);
    tunnel.send("through").await;
    assert_eq!(tunnel.exactly(7).await.unwrap(), b"through");

    let mut first = held_back(&gate).await;
    // The ones that have a place are served meanwhile.
    let answer = kept.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.status(), 200);
    drop(silent);
    assert_eq!(first.answer_to("GET").await.unwrap().status(), 200);

    // It stays in the place of the one that left.
    let mut second = held_back(&gate).await;
    drop(tunnel);
    assert_eq!(second.answer_to("GET").await.unwrap().status(), 200);
    assert_eq!(upstream.requests().len(), 4);
    assert_eq!(gate.finish().await.calls().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_asks_for_nothing_ends() {
    let upstream = well().await;
    let gate = gate(
        &upstream,
        ClientLimits {
            request_head: SHORT,
            handshake: SHORT,
            ..ClientLimits::default()
        },
    )
    .await;
    let whole = gate.keyed("GET /api/v1/monitor", "");
    let mut silent = gate.child().await;
    let mut half = gate.child().await;
    half.send(&whole[..whole.len() / 2]).await;
    let mut served = gate.child().await;
    assert_eq!(served.ask(&whole).await.status(), 200);
    let mut shaking = gate.child().await;
    let hello = client_hello(HOST);
    shaking.send(&hello[..hello.len() / 2]).await;
    let mut shaken = Wire::new(gate.tls(HOST, &[]).await);
    let (_, mut opened) = gate.tunnel(&format!("{HOST}:443")).await;
    for (wire, what) in [
        (&mut silent, "silent from the start"),
        (&mut half, "half a head"),
        (&mut served, "after an answer"),
        (&mut shaking, "half a handshake"),
        (&mut opened, "a tunnel to Datadog, and nothing in it"),
    ] {
        end_of(wire, what).await;
    }
    end_of(&mut shaken, "after the handshake").await;

    // Whoever comes back in time stays.
    let mut steady = gate.child().await;
    for _ in 0..6 {
        sleep(SHORT / 2).await;
        assert_eq!(steady.ask(&whole).await.status(), 200);
    }
    assert_eq!(gate.finish().await.calls().len(), 7);
}

/// One byte at a time would last for ever if each bought more time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_is_not_waited_for() {
    let upstream = well().await;
    let gate = gate(
        &upstream,
        ClientLimits {
            request_head: SHORT,
            handshake: SHORT,
            ..ClientLimits::default()
        },
    )
    .await;
    let endless = [
        gate.keyed("GET /api/v1/monitor", "")[..40].to_vec(),
        client_hello(HOST)[..60].to_vec(),
    ];
    for bytes in endless {
        let mut child = gate.child().await;
        let began = Instant::now();
        let mut sent = 0;
        for byte in bytes.iter().cycle() {
            let came = timeout(SHORT / 10, child.some()).await;
            if came.is_ok_and(|came| came.is_ok_and(|bytes| bytes.is_empty()) || sent > 0) {
                break;
            }
            if child.write([*byte]).await.is_err() {
                break;
            }
            sent += 1;
            assert!(began.elapsed() < SOON, "{sent} bytes, and still open");
        }
        assert!(sent > 3, "it was given some time: {sent}");
    }
    assert_eq!(gate.finish().await.calls().len(), 0);
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_beyond_its_room_is_refused_and_one_within_passes() {
    let upstream = well().await;
    let gate = Gate::to(&upstream).await;
    let long = |n: usize| format!("{KEYS}x-long: {}\r\n", "x".repeat(n));
    let many = |n: usize| -> String {
        let some = (0..n).map(|i| format!("x-{i}: 1\r\n"));
        format!("{KEYS}{}", some.collect::<String>())
    };
    for (headers, status) in [
        (long(12 << 10), 200),
        (long(64 << 10), 431),
        (many(80), 200),
        (many(300), 431),
    ] {
        let mut child = gate.child().await;
        let request = gate.request("GET /api/v1/monitor", &headers, "");
        // It may hang up before it has read all.
        let _ = child.write(request).await;
        let answer = child.answer_to("GET").await;
        assert_eq!(answer.unwrap().status(), status, "{} bytes", headers.len());
        if status == 431 {
            end_of(&mut child, "after the refusal").await;
        }
    }
    let mut target = gate.child().await;
    let line = format!("GET /api/v1/monitor?q={}", "x".repeat(64 << 10));
    let _ = target.write(gate.keyed(&line, "")).await;
    let refused = target.answer_to("GET").await.unwrap().status();
    assert!([414, 431].contains(&refused), "{refused}");

    let url = format!("https://{HOST}/api/v1/monitor");
    for (n, passes) in [(8 << 10, true), (64 << 10, false)] {
        let mut sender = h2(gate.tls(HOST, &["h2"]).await).await;
        let mut request = h2_request("GET", &url, "");
        let value = "x".repeat(n).parse().unwrap();
        request.headers_mut().insert("x-long", value);
        let answer = timeout(SOON, sender.send_request(request)).await.unwrap();
        match answer {
            Ok(answer) if passes => assert_eq!(answer.status(), 200),
            Ok(answer) => assert_eq!(answer.status(), 431),
            Err(error) => assert!(!passes, "{n}: {error}"),
        }
    }
    assert_eq!(upstream.requests().len(), 3);
    assert_eq!(gate.finish().await.calls().len(), 3);
}

/// Answers with events for as long as the child listens.
async fn endless() -> Upstream {
    Upstream::talking(|mut talk: Talk| async move {
        let Some(request) = talk.request().await else {
            return;
        };
        if request.head.target() != "/v1/mcp" {
            talk.wire.send(answer(200, "", "well")).await;
            return;
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        talk.wire.send(head).await;
        while talk.wire.write(chunk("data: on\n\n")).await.is_ok() {
            sleep(SHORT / 2).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h2_connection_ends_when_nothing_is_under_way_on_it() {
    let upstream = endless().await;
    let gate = gate(
        &upstream,
        ClientLimits {
            http2_idle: SHORT,
            ..ClientLimits::default()
        },
    )
    .await;
    let url = format!("https://{HOST}/api/v1/monitor");
    let mut sender = h2(gate.tls(HOST, &["h2"]).await).await;
    let answer = sender.send_request(h2_request("GET", &url, "")).await;
    answer.unwrap().into_body().collect().await.unwrap();
    let began = Instant::now();
    while !sender.is_closed() {
        assert!(began.elapsed() < SOON, "an idle connection is still open");
        sleep(SHORT / 20).await;
    }

    // An answer that goes on keeps its connection, for many times the limit.
    let mut sender = h2(gate.tls(HOST, &["h2"]).await).await;
    let url = format!("https://{HOST}/v1/mcp");
    let answer = sender.send_request(h2_request("GET", &url, "")).await;
    let mut body = answer.unwrap().into_body();
    let began = Instant::now();
    while began.elapsed() < SHORT * 8 {
        let event = timeout(SOON, body.frame()).await.unwrap().unwrap();
        assert!(event.unwrap().into_data().is_ok());
    }
    drop((body, sender));
    let session = gate.finish().await;
    assert_eq!(session.calls().len(), 2);
    assert_eq!(session.calls()[0].end().outcome, Outcome::Answered);
}

/// A tunnel in a stream is under way as well, even when its answer is long over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_in_an_h2_stream_keeps_its_connection() {
    let gate = gate(
        &well().await,
        ClientLimits {
            http2_idle: SHORT,
            ..ClientLimits::default()
        },
    )
    .await;
    let mut sender = h2(gate.socket().await).await;
    let authority = format!("127.0.0.1:{}", echo(b"").await);
    let request = h2_request("CONNECT", &authority, "");
    let mut answer = timeout(SOON, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let upgraded = hyper::upgrade::on(&mut answer).await.unwrap();
    let mut tunnel = Wire::new(hyper_util::rt::TokioIo::new(upgraded));
    let began = Instant::now();
    while began.elapsed() < SHORT * 8 {
        tunnel.send("over and over").await;
        assert_eq!(tunnel.exactly(13).await.unwrap(), b"over and over");
        sleep(SHORT / 2).await;
    }
    drop((tunnel, answer, sender));
    let session = gate.finish().await;
    assert_eq!(session.tunnels().len(), 1);
}

/// Whoever is asked to go has to say something (RFC 9113, 6.8), and may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h2_client_that_never_answers_loses_its_place() {
    let upstream = well().await;
    let gate = gate(
        &upstream,
        ClientLimits {
            http2_idle: SHORT,
            request_head: SHORT,
            ..ClientLimits::default()
        },
    )
    .await;
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // HEADERS of a request that are to be continued, and are not: `:method GET`, no END_HEADERS.
    const HEADERS: &[u8] = &[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (what, bytes) in [
        ("half a preface", preface[..18].to_vec()),
        ("no settings", preface.to_vec()),
        ("settings", [preface, SETTINGS].concat()),
        ("half a head", [preface, SETTINGS, HEADERS].concat()),
    ] {
        let mut child = gate.child().await;
        child.send(&bytes).await;
        end_of(&mut child, what).await;
        let mut child = Wire::new(gate.tls(HOST, &["h2"]).await);
        child.send(&bytes).await;
        end_of(&mut child, what).await;
    }
    assert_eq!(gate.finish().await.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_through_which_nothing_passes_ends() {
    let upstream = well().await;
    let gate = gate(
        &upstream,
        ClientLimits {
            tunnel_idle: SHORT,
            ..ClientLimits::default()
        },
    )
    .await;
    let there = format!("127.0.0.1:{}", echo(b"").await);
    let first = format!("127.0.0.1:{}", echo(b"hello").await);
    let (_, mut silent) = gate.tunnel(&there).await;
    end_of(&mut silent, "silent from the start").await;
    // Half a handshake could become one with Datadog's name: nothing of it has passed.
    let (_, mut half) = gate.tunnel(&there).await;
    half.send(&client_hello("example.com")[..50]).await;
    end_of(&mut half, "half a handshake").await;
    let (_, mut used) = gate.tunnel(&there).await;
    used.send("once").await;
    assert_eq!(used.exactly(4).await.unwrap(), b"once");
    end_of(&mut used, "silent after a word").await;
    let (_, mut greeted) = gate.tunnel(&first).await;
    assert_eq!(greeted.exactly(5).await.unwrap(), b"hello");
    end_of(&mut greeted, "silent after the host's word").await;

    let (_, mut steady) = gate.tunnel(&there).await;
    let began = Instant::now();
    while began.elapsed() < SHORT * 5 {
        steady.send("on").await;
        assert_eq!(steady.exactly(2).await.unwrap(), b"on");
        sleep(SHORT / 3).await;
    }
    drop(steady);
    let session = gate.finish().await;
    let tunnels = session.tunnels();
    let counts: Vec<_> = tunnels.iter().map(|it| (it.sent, it.received)).collect();
    assert_eq!(counts[..4], [(0, 0), (0, 0), (4, 4), (0, 5)]);
    for tunnel in &tunnels[..4] {
        assert_eq!(tunnel.error.as_deref(), Some("nothing passed for too long"));
    }
    assert_eq!(tunnels[4].error, None);
    assert_eq!(tunnels.len(), 5);
}

/// A tunnel that says nothing for a while is still looked into when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_handshake_is_seen_all_the_same() {
    let upstream = well().await;
    let gate = Gate::to(&upstream).await;
    let (_, child) = gate.tunnel(&format!("127.0.0.1:{}", echo(b"").await)).await;
    sleep(SHORT * 2).await;
    let stream = gate.tls_over(child.stream, HOST, &[]).await.unwrap();
    let request = format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {HOST}\r\n{KEYS}\r\n");
    assert_eq!(Wire::new(stream).ask(request).await.status(), 200);

    // A host that hangs up while nobody speaks ends the tunnel, on record.
    let gone = Upstream::talking(|talk: Talk| async move { drop(talk) }).await;
    let (_, mut child) = gate.tunnel(&format!("127.0.0.1:{}", gone.port)).await;
    end_of(&mut child, "the host is gone").await;
    drop(child);
    let session = gate.finish().await;
    assert_eq!(session.call().end().outcome, Outcome::Answered);
    assert_eq!(session.tunnels().len(), 1);
}
