//! The ways in: base URL, HTTP proxy (absolute form, CONNECT), TLS by SNI; HTTP/1.1 and HTTP/2.
//! And what does not come in, or passes by.

use super::gate::*;
use super::upstream::{Secure, Talk, Upstream};
use super::wire::*;
use bytes::Bytes;
use ddgate::record::Outcome;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HOST: &str = "api.datadoghq.com";

/// An upstream that says which host it was asked for.
async fn mirror() -> Upstream {
    Upstream::answering(|request| answer(200, "", request.head.one("host").unwrap())).await
}

/// A request as a child sends it when it believes to speak to Datadog itself.
fn direct(host: &str) -> String {
    format!("GET /api/v1/monitor HTTP/1.1\r\nhost: {host}\r\n{KEYS}\r\n")
}

pub(crate) async fn h2<S>(stream: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// A request as an HTTP/2 child sends it.
pub(crate) fn h2_request(method: &str, url: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(url)
        .header("dd-api-key", API_PLACEHOLDER)
        .header("dd-application-key", APP_PLACEHOLDER)
        .body(Full::new(body.into()))
        .unwrap()
}

async fn text(response: Response<hyper::body::Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_by_sni_and_by_connect_in_both_versions_of_http() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    for by_connect in [false, true] {
        for alpn in [&["http/1.1"][..], &[], &["h2"], &["h2", "http/1.1"]] {
            let stream = if by_connect {
                let (status, wire) = gate.tunnel(&format!("{HOST}:443")).await;
                assert_eq!(status, 200);
                wire.stream
            } else {
                gate.socket().await
            };
            let tls = gate.tls_over(stream, HOST, alpn).await.unwrap();
            let chosen = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            assert_eq!(chosen.as_deref(), alpn.first().map(|name| name.as_bytes()));
            let body = if alpn.first() == Some(&"h2") {
                let url = format!("https://{HOST}/api/v1/monitor");
                let answer = h2(tls)
                    .await
                    .send_request(h2_request("GET", &url, ""))
                    .await;
                text(answer.unwrap()).await
            } else {
                let mut wire = Wire::new(tls);
                assert_eq!(wire.ask(direct(HOST)).await.status(), 200);
                // And once more on the same connection.
                wire.ask(direct("API.datadoghq.com.:443"))
                    .await
                    .text()
                    .to_owned()
            };
            assert_eq!(body, HOST);
        }
    }
    for request in upstream.requests() {
        assert_eq!(request.head.one("dd-api-key"), Some(API));
    }
    let session = gate.finish().await;
    assert_eq!(session.calls().len(), upstream.requests().len());
    assert_eq!(session.tunnels().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_for_other_hosts_is_refused() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    for host in [
        "example.com",
        "datadoghq.com.example.com",
        "evil-datadoghq.com",
    ] {
        let refused = gate.tls_over(gate.socket().await, host, &[]).await;
        assert!(refused.is_err(), "{host}");
    }
    // Without SNI there is no telling for whom it is.
    let refused = gate.tls_over(gate.socket().await, "127.0.0.1", &[]).await;
    assert!(refused.is_err());
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gate.finish().await.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2_with_prior_knowledge_is_served_too() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    let mut sender = h2(gate.socket().await).await;
    let url = format!("http://127.0.0.1:{}/api/v1/monitor", gate.port);
    let answer = sender.send_request(h2_request("GET", &url, "")).await;
    assert_eq!(text(answer.unwrap()).await, HOST);
    drop(sender);
    assert_eq!(gate.finish().await.call().end().outcome, Outcome::Answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_speaks_tls_and_h2_gets_one_host_and_all_of_the_body() {
    let upstream = Secure::answering(|request| {
        let body = request.body().clone();
        Response::new(Full::new(body))
    })
    .await;
    let gate = upstream.gate().await;
    let url = format!("https://{HOST}/api/v1/monitor");
    for n in [0, 1, 65_535, 65_536, 65_537, 300_000] {
        let body: Bytes = pattern(n).into();
        let mut sender = h2(gate.tls(HOST, &["h2"]).await).await;
        let answer = sender
            .send_request(h2_request("POST", &url, body.clone()))
            .await
            .unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
        let answer = gate
            .child()
            .await
            .ask(gate.keyed("POST /api/v1/monitor", &body))
            .await;
        assert_eq!(answer.body, body);
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 12);
    for request in &seen {
        assert_eq!(request.version(), http::Version::HTTP_2);
        // RFC 9113, 8.3.1: `:authority`, and no `Host` beside it.
        assert_eq!(request.uri().authority().unwrap(), HOST);
        assert!(!request.headers().contains_key("host"));
        assert_eq!(request.headers()["dd-api-key"], API);
    }
    // One connection carries them all.
    assert_eq!(upstream.connections(), 1);
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), 12);
    for (call, request) in calls.iter().zip(&seen) {
        assert_eq!(call.end().outcome, Outcome::Answered);
        assert_eq!(session.request_body(call), request.body()[..]);
        assert_eq!(session.answer_body(call), request.body()[..]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absolute_form_is_a_base_url_call_a_datadog_call_or_passed_on() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    let port = gate.port;
    let mut child = gate.child().await;
    for (target, host) in [
        (format!("http://127.0.0.1:{port}/api/v1/monitor"), HOST),
        (
            format!("http://localhost:{port}/api/v2/logs"),
            "http-intake.logs.datadoghq.com",
        ),
        (
            "http://api.datadoghq.eu/api/v1/monitor".into(),
            "api.datadoghq.eu",
        ),
        (
            "http://API.us5.Datadoghq.com.:80/api/v1/monitor".into(),
            "api.us5.datadoghq.com",
        ),
    ] {
        let authority = target.split('/').nth(2).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\n{KEYS}\r\n");
        let answer = child.ask(request).await;
        assert_eq!((answer.status(), answer.text()), (200, host));
    }
    let head = &upstream.requests()[0].head;
    assert_eq!(head.target(), "/api/v1/monitor");

    // Somebody else's: untouched, but for what belongs to the hop.
    let other = Upstream::answering(|request| answer(200, "x-a: b\r\n", &request.body)).await;
    let there = format!("127.0.0.1:{}", other.port);
    let answer = child
        .ask(format!(
            "POST http://{there}/some/path?q HTTP/1.1\r\nhost: ignored.test\r\n\
             proxy-connection: keep-alive\r\nproxy-authorization: Basic eA==\r\n\
             content-length: 5\r\n\r\nhello"
        ))
        .await;
    assert_eq!(answer.status(), 421, "two hosts are one too many");
    let answer = child
        .ask(format!(
            "POST http://{there}/some/path?q HTTP/1.1\r\nhost: {there}\r\n\
             proxy-connection: keep-alive\r\nproxy-authorization: Basic eA==\r\n\
             content-length: 5\r\n\r\nhello"
        ))
        .await;
    assert_eq!((answer.status(), answer.text()), (200, "hello"));
    assert_eq!(answer.head.one("x-a"), Some("b"));
    let seen = other.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].head.line, "POST /some/path?q HTTP/1.1");
    assert_eq!(seen[0].head.one("host"), Some(there.as_str()));
    assert_eq!(seen[0].head.one("proxy-authorization"), None);
    assert_eq!(seen[0].body, b"hello");
    let session = gate.finish().await;
    assert_eq!(session.calls().len(), 4);
    let tunnels = session.tunnels();
    assert_eq!(tunnels.len(), 1);
    assert_eq!(tunnels[0].host, there);
    assert_eq!((tunnels[0].sent, tunnels[0].received), (5, 5));
    assert_eq!(tunnels[0].error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_hosts_are_tunnelled_blind_and_counted() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    let other = Upstream::talking(|mut talk: Talk| async move {
        talk.wire.send(b"\x00hello first").await;
        let mut all = Vec::new();
        talk.wire.stream.read_to_end(&mut all).await.unwrap();
        talk.wire.send(sha256(&all)).await;
    })
    .await;
    let authority = format!("127.0.0.1:{}", other.port);
    let (status, mut wire) = gate.tunnel(&authority).await;
    assert_eq!(status, 200);
    let bytes = pattern(300_000);
    let mut received = wire.some().await.unwrap();
    wire.send(&bytes).await;
    wire.stream.shutdown().await.unwrap();
    while let Ok(more) = wire.some().await
        && !more.is_empty()
    {
        received.extend(more);
    }
    assert_eq!(received[..12], *b"\x00hello first");
    assert_eq!(received[12..], sha256(&bytes));

    // One that is not there, and one that ends with a reset.
    let (status, _) = gate.tunnel("127.0.0.1:1").await;
    assert_eq!(status, 502);
    let rude = Upstream::talking(|mut talk: Talk| async move {
        talk.wire.send(b"1234").await;
        talk.wire.some().await.unwrap();
        talk.reset();
    })
    .await;
    let (_, mut wire) = gate.tunnel(&format!("127.0.0.1:{}", rude.port)).await;
    assert_eq!(wire.some().await.unwrap(), b"1234");
    wire.send(b"123").await;
    assert!(wire.is_over().await);

    let session = gate.finish().await;
    assert_eq!(session.calls().len(), 0);
    let tunnels = session.tunnels();
    assert_eq!(tunnels.len(), 3);
    assert_eq!(tunnels[0].host, authority);
    assert_eq!((tunnels[0].sent, tunnels[0].received), (300_000, 44));
    assert_eq!(tunnels[0].error, None);
    assert!(tunnels[1].error.is_some());
    assert_eq!((tunnels[2].sent, tunnels[2].received), (3, 4));
    assert!(tunnels[2].error.is_some(), "{:?}", tunnels[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_to_port_80_and_to_the_gate_itself() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    let (status, mut wire) = gate.tunnel("api.datadoghq.eu:80").await;
    assert_eq!(status, 200);
    let answer = wire.ask(direct("api.datadoghq.eu")).await;
    assert_eq!(answer.text(), "api.datadoghq.eu");

    let (status, mut wire) = gate.tunnel(&format!("127.0.0.1:{}", gate.port)).await;
    assert_eq!(status, 200);
    let answer = wire.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.text(), HOST);

    let (status, _) = gate.tunnel("api.datadoghq.com").await;
    assert_eq!(status, 400, "no port");
    assert_eq!(gate.finish().await.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_another_host_than_its_connection_is_misdirected() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    let port = gate.port;
    // On a connection for one host, another one.
    for host in ["api.datadoghq.eu", "example.com", "127.0.0.1"] {
        let mut wire = Wire::new(gate.tls(HOST, &[]).await);
        let answer = wire.ask(direct(host)).await;
        assert_eq!(answer.status(), 421, "{host}");
        assert_eq!(answer.head.one("ddgate-verdict"), Some("misdirected"));
    }
    let mut sender = h2(gate.tls(HOST, &["h2"]).await).await;
    let strange = h2_request("GET", "https://api.datadoghq.eu/api/v1/monitor", "");
    assert_eq!(sender.send_request(strange).await.unwrap().status(), 421);
    // On the open port: a name somebody bound to the loopback, an old port, nothing, too much.
    for headers in [
        format!("host: rebound.example.com:{port}\r\n"),
        "host: 127.0.0.1\r\n".to_owned(),
        "host: 127.0.0.1:1\r\n".to_owned(),
        format!("host: 127.0.0.1:{port}\r\nhost: api.datadoghq.com\r\n"),
        "host: \r\n".to_owned(),
        "host: a b\r\n".to_owned(),
        String::new(),
    ] {
        let request = format!("GET /api/v1/monitor HTTP/1.1\r\n{headers}{KEYS}\r\n");
        let answer = gate.child().await.ask(request).await;
        assert_eq!(answer.status(), 421, "{headers}");
    }
    let request =
        format!("GET http://api.datadoghq.com/ HTTP/1.1\r\nhost: api.datadoghq.eu\r\n{KEYS}\r\n");
    assert_eq!(gate.child().await.ask(request).await.status(), 421);
    drop(sender);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gate.finish().await.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    for bytes in [
        &b"\x00\x01\x02\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"PRI\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nho st: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, but long enough for one",
    ] {
        let mut child = gate.child().await;
        child.send(bytes).await;
        let mut all = Vec::new();
        while let Ok(more) = child.some().await
            && !more.is_empty()
        {
            all.extend(more);
        }
        assert!(!all.starts_with(b"HTTP/1.1 200"), "{bytes:?}");
    }
    let answer = gate
        .child()
        .await
        .ask(gate.keyed("GET /api/v1/monitor", ""))
        .await;
    assert_eq!(answer.text(), HOST);
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(gate.finish().await.calls().len(), 1);
}

/// HTTP/1.0 children exist: a length or the end of the connection, never chunks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_gets_no_chunks() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    .await;
    let gate = Gate::to(&upstream).await;
    let port = gate.port;
    let request = format!("GET /api/v1/monitor HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\n{KEYS}\r\n");
    let answer = gate.child().await.ask(request).await;
    assert_eq!(answer.head.one("transfer-encoding"), None);
    assert_eq!(answer.text(), "abcde");
    assert_eq!(gate.finish().await.call().end().outcome, Outcome::Answered);
}

/// RFC 5280, 4.2.1.10: critical, and only Datadog's names. That TLS libraries then refuse other
/// names is tested beside the authority, which alone could sign one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_constrained_to_datadogs_names() {
    let gate = Gate::with(Setup::default()).await;
    let path = gate.dir.path().join("ca.pem");
    std::fs::write(&path, gate.ca.pem()).unwrap();
    let shown = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(&path)
        .output();
    match shown {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains("Name Constraints: critical"), "{text}");
            assert!(text.contains("DNS:datadoghq.com"), "{text}");
            assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
            assert!(!gate.ca.pem().contains("PRIVATE"));
        }
        Err(e) => crate::absent::absent(&format!("openssl cannot be run: {e}")),
    }
    std::fs::remove_file(path).unwrap();
    gate.finish().await;
}

/// Somebody who is not Datadog: greets, if told to, and gives back what it gets.
pub(crate) async fn echo(greeting: &'static [u8]) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_to_an_address_is_datadogs_if_the_handshake_says_so() {
    let upstream = mirror().await;
    let gate = Gate::to(&upstream).await;
    let port = echo(b"").await;
    let (status, child) = gate.tunnel(&format!("127.0.0.1:{port}")).await;
    assert_eq!(status, 200);
    let stream = gate.tls_over(child.stream, HOST, &[]).await.unwrap();
    let answer = Wire::new(stream).ask(direct(HOST)).await;
    assert_eq!(answer.text(), HOST);

    // Others pass as they are, whoever speaks first, whole or in pieces.
    let hello = client_hello("example.com");
    for (port, greeting) in [
        (port, &b""[..]),
        (echo(b"SSH-2.0-x\r\n").await, b"SSH-2.0-x\r\n"),
    ] {
        for sent in [&hello[..], b"\x16\x03", b"GET / HTTP/1.0\r\n\r\n"] {
            let (_, mut child) = gate.tunnel(&format!("127.0.0.1:{port}")).await;
            if !greeting.is_empty() {
                assert_eq!(child.exactly(greeting.len()).await.unwrap(), greeting);
            }
            for byte in sent {
                child.stream.write_all(&[*byte]).await.unwrap();
            }
            if sent.len() > 2 || !greeting.is_empty() {
                assert_eq!(child.exactly(sent.len()).await.unwrap(), sent);
            }
        }
    }
    let session = gate.finish().await;
    assert_eq!(session.call().end().outcome, Outcome::Answered);
    assert_eq!(session.tunnels().len(), 6);
}

/// The first flight of a TLS client.
pub(crate) fn client_hello(host: &str) -> Vec<u8> {
    let config = client_config(&[], &[]);
    let name = host.to_owned().try_into().unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
