//! The loopback is everybody's on this machine: what a web page, a program next door, or a request
//! in two readings can make of the gate. Nothing.

use super::gate::*;
use super::upstream::Upstream;
use super::wire::*;
use ddgate::proxy::Egress;
use ddgate::record::{EgressRule, HostRule};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

async fn well() -> Upstream {
    Upstream::answering(|_| answer(200, "", "well")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_rebound_to_the_loopback_is_not_the_gates() {
    let upstream = well().await;
    let gate = Gate::to(&upstream).await;
    let port = gate.proxy.address.port();
    for host in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.2:{port}"),
        format!("[::1]:{port}"),
        format!("0.0.0.0:{port}"),
        "127.0.0.1".to_owned(),
        "localhost:1".to_owned(),
        String::new(),
    ] {
        let request = format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {host}\r\n{KEYS}\r\n");
        let answer = gate.child().await.ask(request).await;
        assert_eq!(answer.status(), 421, "{host}");
    }
    // The gate's own names are.
    for host in [format!("127.0.0.1:{port}"), format!("LocalHost:{port}")] {
        let request = format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {host}\r\n{KEYS}\r\n");
        assert_eq!(
            gate.child().await.ask(request).await.status(),
            200,
            "{host}"
        );
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_two_readings_is_refused_or_read_one_way() {
    let upstream = well().await;
    let gate = Gate::to(&upstream).await;
    let host = gate.proxy.address;
    let smuggled = format!("GET /api/v1/dashboard HTTP/1.1\r\nhost: {host}\r\n{KEYS}\r\n");
    let chunks = format!("0\r\n\r\n{smuggled}");
    let length = chunks.len();
    for (name, headers, body) in [
        (
            "two lengths",
            "content-length: 2\r\ncontent-length: 3\r\n".to_owned(),
            "{}x",
        ),
        (
            "a list of lengths",
            "content-length: 2, 3\r\n".to_owned(),
            "{}x",
        ),
        ("a signed length", "content-length: +2\r\n".to_owned(), "{}"),
        (
            "not chunked in the end",
            "transfer-encoding: chunked, gzip\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        (
            "an unknown coding",
            "transfer-encoding: xchunked\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        (
            "a folded line",
            "x-a: b\r\n content-length: 2\r\n".to_owned(),
            "{}",
        ),
        (
            "a blank before the colon",
            "content-length : 2\r\n".to_owned(),
            "{}",
        ),
        (
            "a bare carriage return",
            "x-a: b\rcontent-length: 2\r\n".to_owned(),
            "{}",
        ),
        ("a zero byte", "x-a: b\0c\r\n".to_owned(), ""),
        ("two hosts", "host: api.datadoghq.com\r\n".to_owned(), ""),
    ] {
        let mut child = gate.child().await;
        let head = format!("POST /api/v1/monitor HTTP/1.1\r\nhost: {host}\r\n{KEYS}{headers}\r\n");
        child.send(format!("{head}{body}")).await;
        let status = match child.answer_to("POST").await {
            Ok(answer) => answer.status(),
            // Hung up on: as good.
            Err(_) => 400,
        };
        assert!([400, 421].contains(&status), "{name}: {status}");
    }
    assert_eq!(upstream.requests().len(), 0, "{:?}", upstream.requests());

    // Both a length and chunks (RFC 9112, 6.3): chunks count, and no length goes on.
    for order in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
    ] {
        let before = upstream.requests().len();
        let mut child = gate.child().await;
        let head = format!("POST /api/v1/monitor HTTP/1.1\r\nhost: {host}\r\n{KEYS}{order}\r\n");
        child.send(format!("{head}{chunks}")).await;
        let _ = child.answer_to("POST").await;
        let seen = upstream.requests()[before..].to_vec();
        assert!(seen.len() <= 2, "{seen:?}");
        for request in &seen {
            let both = request.head.one("content-length").is_some()
                && request.head.one("transfer-encoding").is_some();
            assert!(!both, "{request:?}");
        }
        // The second is a request of its own, or none at all: never a body.
        assert!(
            seen.iter().all(|request| request.body.is_empty()),
            "{seen:?}"
        );
    }
    let session = gate.finish().await;
    let recorded = session.calls().len();
    assert_eq!(recorded, upstream.requests().len(), "each on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_absolute_form_and_its_host_have_to_agree() {
    let upstream = well().await;
    let gate = Gate::to(&upstream).await;
    let own = gate.proxy.address;
    for (target, host) in [
        (
            format!("http://{own}/api/v1/monitor"),
            "evil.example".to_owned(),
        ),
        (
            "http://evil.example/api/v1/monitor".to_owned(),
            own.to_string(),
        ),
        (
            "http://api.datadoghq.com/api/v1/monitor".to_owned(),
            "evil.example".to_owned(),
        ),
        (
            "http://api.datadoghq.com@evil.example/".to_owned(),
            "api.datadoghq.com".to_owned(),
        ),
        (
            "https://evil.example/api/v1/monitor".to_owned(),
            "evil.example".to_owned(),
        ),
        ("ftp://evil.example/".to_owned(), "evil.example".to_owned()),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{KEYS}\r\n");
        let status = gate.child().await.ask(request).await.status();
        assert!([400, 421].contains(&status), "{target} {host}: {status}");
    }
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(gate.finish().await.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_has_an_end() {
    let upstream = well().await;
    let gate = Gate::to(&upstream).await;
    let long = "x".repeat(64 << 10);
    for line in [
        format!("GET /api/v1/monitor?{long}"),
        "GET /api/v1/monitor".to_owned(),
    ] {
        let header = format!("{KEYS}x-long: {long}\r\n");
        let request = gate.request(&line, &header, "");
        let mut child = gate.child().await;
        // It may hang up before it has read everything.
        let _ = child.write(request).await;
        if let Ok(answer) = child.answer_to("GET").await {
            assert!([414, 431].contains(&answer.status()), "{}", answer.status());
        }
    }
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let request = gate.request("GET /api/v1/monitor", &format!("{KEYS}{many}"), "");
    assert_eq!(gate.child().await.ask(request).await.status(), 431);
    assert_eq!(upstream.requests().len(), 0);
    let fine = gate
        .child()
        .await
        .ask(gate.keyed("GET /api/v1/monitor", ""))
        .await;
    assert_eq!(fine.status(), 200);
}

/// A server next door, which must not be reached; and how many came.
async fn next_door() -> (u16, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = tokio::spawn(async move {
        let mut came = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            came += 1;
            let mut said = [0; 4];
            let _ = stream.read(&mut said).await;
            if &said == b"stop" {
                break;
            }
        }
        came
    });
    (port, came)
}

async fn gate_of(upstream: &Upstream, egress: Egress) -> Gate {
    Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        egress,
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_child_has_no_tunnel_to_this_machine_nor_to_metadata() {
    let upstream = well().await;
    let (port, came) = next_door().await;
    let held = Egress {
        confined: true,
        ..Egress::default()
    };
    let gate = gate_of(&upstream, held.clone()).await;
    let mut asked = 0;
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        let authority = format!("{host}:{port}");
        let request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        let answer = gate.child().await.ask(request).await;
        asked += 1;
        // An older spelling that the resolver does not know is no way, either.
        if answer.status() != 502 {
            assert_eq!(answer.status(), 403, "{host}");
            assert_eq!(
                answer.head.one("ddgate-verdict"),
                Some("egress-local"),
                "{host}"
            );
            assert!(answer.text().contains("--allow-host"), "{}", answer.text());
        }
    }
    let plain = format!("GET http://localhost:{port}/ HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
    assert_eq!(gate.child().await.ask(plain).await.status(), 403);
    let session = gate.finish().await;
    let tunnels = session.tunnels();
    assert_eq!(tunnels.len(), asked + 1, "each attempt is on record");
    let refused = |tunnel: &&ddgate::record::Tunnel| tunnel.rule.is_some();
    assert!(tunnels.iter().filter(refused).count() >= 9, "{tunnels:?}");
    assert_eq!(tunnels[0].rule.as_deref(), Some("egress-local"));
    assert_eq!(tunnels[0].host, format!("127.0.0.1:{port}"));

    // Allowed by name, and for a child that is not held, it is a tunnel like any other.
    let allowed = Egress {
        hosts: vec![HostRule::parse(&format!("localhost:{port}")).unwrap()],
        ..held
    };
    for (egress, host) in [(allowed, "localhost"), (Egress::default(), "127.0.0.1")] {
        let gate = gate_of(&upstream, egress).await;
        let (status, mut wire) = gate.tunnel(&format!("{host}:{port}")).await;
        assert_eq!(status, 200, "{host}");
        wire.send(if host == "localhost" { "more" } else { "stop" })
            .await;
        assert!(wire.is_over().await);
        drop(wire);
        let session = gate.finish().await;
        assert_eq!(
            (session.tunnels()[0].sent, &session.tunnels()[0].rule),
            (4, &None)
        );
    }
    assert_eq!(came.await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_say_whom_a_child_reaches_and_datadog_is_always_reached() {
    let upstream = well().await;
    for (rule, verdict) in [
        (EgressRule::DatadogOnly, "egress-datadog-only"),
        (EgressRule::Listed, "egress-listed"),
    ] {
        let gate = gate_of(
            &upstream,
            Egress {
                rule,
                hosts: vec![HostRule::parse("*.example.com:443").unwrap()],
                confined: false,
            },
        )
        .await;
        for request in [
            "CONNECT api.example.org:443 HTTP/1.1\r\nhost: api.example.org:443\r\n\r\n",
            "CONNECT api.example.com:80 HTTP/1.1\r\nhost: api.example.com:80\r\n\r\n",
            "GET http://api.example.org/ HTTP/1.1\r\nhost: api.example.org\r\n\r\n",
        ] {
            let answer = gate.child().await.ask(request).await;
            assert_eq!(answer.status(), 403, "{request}");
            assert_eq!(answer.head.one("ddgate-verdict"), Some(verdict));
            assert!(
                answer
                    .text()
                    .contains(r#"{"errors":["ddgate: api.example."#)
            );
        }
        let datadog = gate
            .child()
            .await
            .ask(gate.keyed("GET /api/v1/monitor", ""))
            .await;
        assert_eq!(datadog.status(), 200);
        let session = gate.finish().await;
        let rules: Vec<_> = session
            .tunnels()
            .into_iter()
            .map(|it| it.rule.unwrap())
            .collect();
        assert_eq!(rules, [verdict; 3]);
        assert_eq!(session.calls().len(), 1);
    }
}
