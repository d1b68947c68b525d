//! What passes is what was said: targets letter for letter, headers and bodies byte for byte, and
//! a request that changes something exactly once, whatever becomes of its answer.

use std::time::Duration;

use super::gate::*;
use super::upstream::{Talk, Upstream};
use super::wire::*;

/// What a target may look like in the wild.
const TARGETS: &[&str] = &[
    "/api/v1/monitor?",
    "/api/v1/monitor?a=1&a=2&b=3&a=4",
    "/api/v1/monitor?a&b=&=c&&;d=e",
    "/api/v1/monitor?q=a+b&r=a%20b&s=a%2Bb&t=+",
    "/api/v1/monitor?q=%7e%7E%2f%2F&case=%aF",
    "/api/v1/monitor?q=%&r=%zz&s=%e4%b8%ad&t=%00%0d%0A",
    "/api/v1/monitor?tags=env:prod,team:a/b|c[d](e)*'!$@",
    "/api/v1/monitor?q={a:[1]}&x=^`\\|~",
    "/api/v1/monitor?next=https://example.com/?x=y#z",
    "/api/v1/monitor/a%2Fb%3Fc%23d/%2e%2e/..;/./x//y/",
    "//api//v1//monitor",
    "/api/v1/monitor/%E2%82%AC",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_pass_letter_for_letter() {
    let upstream = Upstream::saying(answer(200, "", "")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    for target in TARGETS {
        let answer = child.ask(gate.keyed(&format!("GET {target}"), "")).await;
        assert_eq!(answer.status(), 200, "{target}");
        let seen = upstream.requests().pop().unwrap();
        // A fragment is for clients only, and no client sends one (RFC 9110, 4.2.5).
        let sent = target.split('#').next().unwrap();
        assert_eq!(seen.head.target(), sent);
    }
    // What no URI may hold (RFC 3986, 2) and the parser does not take is refused, not mended.
    for target in ["/api/v1/monitor?q=\"a\"", "/api/v1/monitor?q=<a>"] {
        let answer = gate
            .child()
            .await
            .ask(gate.keyed(&format!("GET {target}"), ""))
            .await;
        assert_eq!(answer.status(), 400, "{target}");
    }
    assert_eq!(upstream.requests().len(), TARGETS.len());
    let session = gate.finish().await;
    assert_eq!(session.calls().len(), TARGETS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_pass_in_number_order_and_bytes() {
    let answered = b"HTTP/1.1 200 OK\r\nX-Twice: one\r\nx-other: o\r\nX-TWICE: two\r\n\
        Set-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nx-empty:\r\nx-latin: caf\xe9\r\n\
        X-RateLimit-Remaining: 0\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Upstream::saying(*answered).await;
    let gate = Gate::to(&upstream).await;
    let mut request = gate.request("GET /api/v1/monitor", "", "");
    request.truncate(request.len() - 2);
    request.extend_from_slice(KEYS.as_bytes());
    request.extend_from_slice(
        b"X-Mixed-CASE: Value, With  Blanks\r\nx-twice: one\r\nx-between: b\r\nX-Twice: two, three\r\n\
          x-twice: one\r\nx-empty:\r\nx-latin: caf\xe9\r\nx-quoted: \"a\\\"b\"\r\nCookie: a=1; b=2\r\n\
          accept: */*;q=0.1\r\n\r\n",
    );
    let mut child = gate.child().await;
    child.send(&request).await;
    let answer = child.answer_to("GET").await.unwrap();
    assert_eq!(answer.head.all("x-twice"), ["one", "two"]);
    assert_eq!(answer.head.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(answer.head.one("x-empty"), Some(""));
    assert_eq!(answer.head.one("x-ratelimit-remaining"), Some("0"));
    assert!(answer.head.one("x-latin").unwrap().starts_with("caf"));
    let head = upstream.requests().pop().unwrap().head;
    assert_eq!(head.one("x-mixed-case"), Some("Value, With  Blanks"));
    assert_eq!(head.all("x-twice"), ["one", "two, three", "one"]);
    assert_eq!(head.one("x-empty"), Some(""));
    assert_eq!(head.one("x-quoted"), Some("\"a\\\"b\""));
    assert_eq!(head.one("cookie"), Some("a=1; b=2"));
    assert_eq!(head.one("accept"), Some("*/*;q=0.1"));
    assert!(head.one("x-latin").unwrap().starts_with("caf"));
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_every_coding_and_kind_pass_byte_for_byte() {
    let upstream = Upstream::saying(answer(202, "", "{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\u{e4}.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n\0\u{1}\r\n--b--\r\n";
    // Whether the bytes are what the coding says is not for the gate to judge.
    let bodies: [(&str, &str, Vec<u8>); 7] = [
        (
            "deflate",
            "application/json",
            b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9".to_vec(),
        ),
        (
            "zstd",
            "application/json",
            zstd::bulk::compress(&pattern(4000), 3).unwrap(),
        ),
        ("br", "application/json", b"\x0b\x00\x80{}\x03".to_vec()),
        ("gzip", "application/json", pattern(3000)),
        ("made-up", "application/json", pattern(200_000)),
        (
            "identity",
            "multipart/form-data; boundary=b",
            multipart.into(),
        ),
        (
            "identity",
            "application/x-www-form-urlencoded",
            b"a=b+c&a=%2B&&d".to_vec(),
        ),
    ];
    for (coding, media, body) in bodies {
        let headers = format!(
            "{KEYS}content-encoding: {coding}\r\ncontent-type: {media}\r\ncontent-length: {}\r\n",
            body.len()
        );
        let request = gate.request("POST /api/v2/logs", &headers, &body);
        assert_eq!(child.ask(request).await.status(), 202, "{coding} {media}");
        let seen = upstream.requests().pop().unwrap();
        assert!(seen.body == body, "{coding} {media}");
        assert_eq!(seen.head.one("content-encoding"), Some(coding));
        assert_eq!(seen.head.one("content-type"), Some(media));
        let length = body.len().to_string();
        assert_eq!(seen.head.one("content-length"), Some(length.as_str()));
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_with_its_connection_passes_whole() {
    let body = pattern(300_000);
    let mut bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    bytes.extend_from_slice(&body);
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let bytes = bytes.clone();
        async move {
            talk.request().await;
            talk.wire.send(bytes).await;
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let answer = gate
        .child()
        .await
        .ask(gate.keyed("GET /api/v1/monitor", ""))
        .await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer.body == body,
        "{} of {}",
        answer.body.len(),
        body.len()
    );
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_invite_a_retry_pass_and_are_not_taken_up() {
    for (status, headers) in [
        (408, "connection: close\r\n"),
        (
            429,
            "Retry-After: 7\r\nX-RateLimit-Limit: 10\r\nX-RateLimit-Reset: 3\r\n",
        ),
        (500, ""),
        (502, ""),
        (503, "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n"),
        (504, ""),
        (307, "Location: /api/v1/monitor/elsewhere\r\n"),
        (421, ""),
        (425, ""),
    ] {
        let body = r#"{"errors":["not now"]}"#;
        let upstream = Upstream::saying(answer(status, headers, body)).await;
        let gate = Gate::to(&upstream).await;
        let said = gate
            .child()
            .await
            .ask(gate.keyed("POST /api/v1/monitor", "{}"))
            .await;
        assert_eq!((said.status(), said.text()), (status, body));
        assert_eq!(said.head.one("ddgate-verdict"), None, "not ours");
        for line in headers
            .lines()
            .filter(|line| !line.starts_with("connection"))
        {
            let (name, value) = line.split_once(": ").unwrap();
            assert_eq!(said.head.one(&name.to_ascii_lowercase()), Some(value));
        }
        let session = gate.finish().await;
        assert_eq!(upstream.requests().len(), 1, "{status}");
        assert_eq!(session.call().end().status, Some(status));
    }
}

/// A connection that served a call before is the one on which clients like to try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_kept_connection_too_nothing_is_sent_twice() {
    #[derive(Clone, Copy, Debug)]
    enum End {
        Reset,
        Close,
        HalfAHead,
        Continue,
    }
    for end in [End::Reset, End::Close, End::HalfAHead, End::Continue] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
            let upstream = Upstream::talking(move |mut talk: Talk| async move {
                talk.request().await;
                talk.wire.send(answer(200, "", "well")).await;
                if talk.request().await.is_none() {
                    return;
                }
                match end {
                    End::Reset => talk.reset(),
                    End::Close => {}
                    End::HalfAHead => talk.wire.send("HTTP/1.1 200 OK\r\nx: ").await,
                    End::Continue => talk.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await,
                }
            })
            .await;
            let gate = Gate::to(&upstream).await;
            let mut child = gate.child().await;
            let first = child.ask(gate.keyed("GET /api/v1/monitor?first", "")).await;
            assert_eq!(first.status(), 200);
            let line = format!("{method} /api/v1/monitor/1?once");
            let second = child.ask(gate.keyed(&line, "{}")).await;
            assert_eq!(second.status(), 502, "{method} {end:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let seen = upstream.requests();
            let once = seen.iter().filter(|it| it.head.target().ends_with("?once"));
            assert_eq!(once.count(), 1, "{method} {end:?}");
            let session = gate.finish().await;
            assert_eq!(session.calls().len(), 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_known_from_a_file_is_refused_by_the_name_of_the_file() {
    let upstream = Upstream::saying(answer(200, "", "")).await;
    let gate = Gate::to(&upstream).await;
    let headers = format!("dd-api-key: {FOUND}\r\n");
    let request = gate.request("GET /api/v1/monitor", &headers, "");
    let answer = gate.child().await.ask(request).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.head.one("ddgate-verdict"), Some("foreign-key"));
    assert!(
        answer.text().contains("the key in .env,"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains(FOUND));
    assert_eq!(upstream.requests().len(), 0);
    let session = gate.finish().await;
    assert_eq!(session.call().request.rule, "foreign-key");
}
