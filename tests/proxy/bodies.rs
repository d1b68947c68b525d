//! Bodies of every size and framing, both ways, in bounded memory.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::gate::*;
use super::upstream::{Secure, Talk, Upstream};
use super::ways::{h2, h2_request};
use super::wire::*;
use bytes::Bytes;
use ddgate::record::Outcome;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

const K: usize = 1 << 10;
const M: usize = 1 << 20;

fn chunked(body: &[u8], piece: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(piece) {
        bytes.extend(chunk(piece));
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_size_passes_whole_in_both_framings_and_directions() {
    let upstream = Upstream::answering(|request| {
        if request.head.target().ends_with("chunked") {
            let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            bytes.extend(chunked(&request.body, 10_007));
            bytes
        } else {
            answer(200, "", &request.body)
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let sizes = [0, 1, 64 * K - 1, 64 * K, 64 * K + 1, 128 * K, M];
    let mut sent = Vec::new();
    for size in sizes {
        let body = pattern(size);
        let headers = format!("{KEYS}content-length: {size}\r\n");
        let request = gate.request("POST /api/v1/series?length", &headers, &body);
        let answer = child.ask(request).await;
        assert!(answer.body == body, "{size} with a length");
        assert_eq!(
            answer.head.one("content-length"),
            Some(size.to_string().as_str())
        );
        let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
        let framed = chunked(&body, 9_999);
        let request = gate.request("POST /api/v1/series?chunked", &headers, framed);
        let answer = child.ask(request).await;
        assert!(answer.body == body, "{size} in chunks");
        sent.extend([body.clone(), body]);
    }
    let seen = upstream.requests();
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), sent.len());
    for ((call, body), request) in calls.iter().zip(&sent).zip(&seen) {
        assert!(request.body == *body);
        assert!(session.request_body(call) == *body);
        assert!(session.answer_body(call) == *body);
        assert_eq!(call.end().outcome, Outcome::Answered);
        // What is long is streamed; what is short stands in the request's own leaf.
        assert_eq!(call.stream.is_some(), body.len() > 64 * K);
    }
}

/// A method that usually has no body may have one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_get_and_delete_pass_too() {
    let upstream = Upstream::answering(|request| answer(200, "", &request.body)).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    for method in ["GET", "DELETE"] {
        for size in [10, 200 * K] {
            let body = pattern(size);
            let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
            let line = format!("{method} /api/v1/monitor");
            let request = gate.request(&line, &headers, chunked(&body, 5000));
            assert!(child.ask(request).await.body == body, "{method} {size}");
        }
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_upload_passes_as_it_is_and_is_recorded_unpacked() {
    let upstream = Upstream::saying(answer(202, "", "{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    for lines in [3, 30_000] {
        let plain: String = (0..lines)
            .map(|i| format!("{{\"message\":\"line {} of noise {}\"}}\n", i, i * 7919))
            .collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain.as_bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        let headers = format!(
            "{KEYS}content-encoding: gzip\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            packed.len()
        );
        let request = gate.request("POST /api/v2/logs", &headers, &packed);
        assert_eq!(child.ask(request).await.status(), 202);
        let seen = upstream.requests().pop().unwrap();
        assert!(seen.body == packed);
        assert_eq!(seen.head.one("content-encoding"), Some("gzip"));
        let session = gate.session_now();
        let call = session.calls().pop().unwrap();
        assert!(session.request_body(&call) == plain.as_bytes());
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_trickles_reaches_datadog_while_it_trickles() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let heard = heard.clone();
        async move {
            talk.head().await.unwrap();
            let mut trailers = Vec::new();
            while let Some(piece) = talk.wire.chunk(&mut trailers).await.unwrap() {
                heard.send(piece).unwrap();
            }
            talk.wire.send(answer(200, "", "done")).await;
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
    child
        .send(gate.request("POST /api/v2/logs", &headers, ""))
        .await;
    for i in 0..5 {
        let piece = format!("piece {i}");
        child.send(chunk(&piece)).await;
        // The next one is not sent before this one is there.
        let came = tokio::time::timeout(PATIENCE, hears.recv()).await;
        assert_eq!(came.unwrap().unwrap(), piece.as_bytes());
    }
    child.send("0\r\n\r\n").await;
    assert_eq!(child.answer_to("POST").await.unwrap().text(), "done");
    let session = gate.finish().await;
    let call = session.call();
    assert_eq!(
        session.request_body(&call),
        b"piece 0piece 1piece 2piece 3piece 4"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_waits_for_100_continue_gets_one() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let headers = format!("{KEYS}content-length: 4\r\nexpect: 100-continue\r\n");
    child
        .send(gate.request("POST /api/v2/logs", &headers, ""))
        .await;
    let head = child.head().await.unwrap().unwrap();
    assert_eq!(head.status(), 100);
    child.send("[{}]").await;
    assert_eq!(child.answer_to("POST").await.unwrap().status(), 200);
    let seen = upstream.requests();
    assert_eq!(seen[0].body, b"[{}]");
    assert_eq!(seen[0].head.one("expect"), None);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways_over_http_1() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nx-sum: 42\r\n\r\n",
    )
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    for size in [5, 100 * K] {
        let body = pattern(size);
        let headers =
            format!("{KEYS}te: trailers\r\ntrailer: x-up\r\ntransfer-encoding: chunked\r\n");
        let mut framed = chunk(&body);
        framed.extend_from_slice(b"0\r\nx-up: 7\r\n\r\n");
        let answer = child
            .ask(gate.request("POST /api/v2/logs", &headers, framed))
            .await;
        assert_eq!(answer.trailers, [("x-sum".into(), "42".into())]);
        let seen = upstream.requests().pop().unwrap();
        assert!(seen.body == body);
        assert_eq!(seen.trailers, [("x-up".to_owned(), "7".to_owned())]);
    }
    gate.finish().await;
}

/// HTTP/2 may have a length and trailers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_behind_a_known_length_lose_nothing_over_http_2() {
    let frames = |body: &Bytes| {
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-sum"),
            http::HeaderValue::from_static("42"),
        )]);
        let frames = [Frame::data(body.clone()), Frame::trailers(trailers)];
        Frames(frames.into_iter().collect())
    };
    let upstream = Secure::answering(move |request| {
        let n = request.body().len();
        Response::builder()
            .header("content-length", n)
            .body(frames(request.body()))
            .unwrap()
    })
    .await;
    let gate = upstream.gate().await;
    for n in [10, 200_000] {
        let body = Bytes::from(pattern(n));
        let (sender, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(gate.tls("api.datadoghq.com", &["h2"]).await),
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        let mut sender = sender;
        let (mut head, _) =
            h2_request("POST", "https://api.datadoghq.com/api/v2/logs", "").into_parts();
        head.headers.insert("content-length", n.into());
        let request = http::Request::from_parts(head, frames(&body));
        let answer = sender.send_request(request).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap();
        assert_eq!(answer.trailers().unwrap()["x-sum"], "42");
        assert_eq!(answer.to_bytes(), body);
        // And a child of the other version, which gets the length and so no trailers.
        let answer = gate
            .child()
            .await
            .ask(gate.keyed("POST /api/v2/logs", &body))
            .await;
        assert!(answer.body == body);
    }
    let session = gate.finish().await;
    for call in session.calls() {
        assert_eq!(call.end().outcome, Outcome::Answered, "{}", call.error());
    }
}

/// A body whose frames, and whose late end, are as written.
struct Frames(std::collections::VecDeque<Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_keep_their_heads() {
    let upstream = Upstream::answering(|request| {
        match request.head.target() {
            "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 12345\r\netag: \"a\"\r\n\r\n",
            "/none" => "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n",
            "/same" => "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
            "/hints" => {
                "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                 HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            }
            other => panic!("{other}"),
        }
        .into()
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let answer = child.ask(gate.keyed("HEAD /head", "")).await;
    assert_eq!(answer.head.one("content-length"), Some("12345"));
    let answer = child.ask(gate.keyed("GET /none", "")).await;
    assert_eq!((answer.status(), answer.head.one("x-a")), (204, Some("b")));
    assert_eq!(answer.head.one("transfer-encoding"), None);
    let answer = child.ask(gate.keyed("GET /same", "")).await;
    assert_eq!(
        (answer.status(), answer.head.one("etag")),
        (304, Some("\"a\""))
    );
    let answer = child.ask(gate.keyed("GET /hints", "")).await;
    assert_eq!(answer.text(), "ok");
    let session = gate.finish().await;
    for call in session.calls() {
        assert_eq!(call.end().outcome, Outcome::Answered);
        assert_eq!(call.error(), "");
    }
}

/// Over HTTP/2 such an answer may end only with a later, empty frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_may_end_late() {
    let upstream = Secure::answering(|request| {
        let late = Frames([Frame::data(Bytes::new())].into());
        let status = if request.uri().path() == "/none" {
            204
        } else {
            200
        };
        let mut answer = Response::builder().status(status);
        if request.method() == http::Method::HEAD {
            answer = answer.header("content-length", 777);
        }
        answer.body(late).unwrap()
    })
    .await;
    let gate = upstream.gate().await;
    let mut child = gate.child().await;
    for _ in 0..20 {
        let answer = child.ask(gate.keyed("HEAD /api/v1/monitor", "")).await;
        assert_eq!(answer.head.one("content-length"), Some("777"));
        assert_eq!(child.ask(gate.keyed("GET /none", "")).await.status(), 204);
        let mut sender = h2(gate.tls("api.datadoghq.com", &["h2"]).await).await;
        let url = "https://api.datadoghq.com/api/v1/monitor";
        let answer = sender
            .send_request(h2_request("HEAD", url, ""))
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-length"], "777");
    }
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), 60);
    for call in calls {
        assert_eq!(call.end().outcome, Outcome::Answered, "{}", call.error());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_to_leave_http_are_declined_or_ignored() {
    let upstream = Upstream::answering(|request| {
        if request.head.target() == "/switch" {
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n"
                .to_vec()
        } else {
            answer(200, "", "{}")
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let headers = format!(
        "{KEYS}connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    );
    let answer = child
        .ask(gate.request("GET /api/v1/monitor", &headers, ""))
        .await;
    assert_eq!(answer.status(), 200);
    let head = &upstream.requests()[0].head;
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(head.one(name), None);
    }
    let headers = format!("{KEYS}connection: upgrade\r\nupgrade: WebSocket\r\n");
    let answer = child
        .ask(gate.request("GET /api/v1/monitor", &headers, ""))
        .await;
    assert_eq!(
        (answer.status(), answer.head.one("ddgate-verdict")),
        (501, Some("no-upgrade"))
    );
    // One nobody asked for.
    let answer = child.ask(gate.keyed("GET /switch", "")).await;
    assert_eq!(answer.status(), 502);
    let answer = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.status(), 200);
    let session = gate.finish().await;
    let calls = session.calls();
    assert!(calls[1].denied);
    assert_eq!(calls[2].end().status, Some(101));
    assert_eq!(calls[2].end().outcome, Outcome::InDoubt);
}

/// In a process of its own, so that nothing else of this suite counts.
#[test]
fn a_hundred_mebibytes_each_way_fit_into_little_memory() {
    if std::env::var_os("DDGATE_TEST_ALONE").is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("bodies::a_hundred_mebibytes_each_way_fit_into_little_memory")
            .env("DDGATE_TEST_ALONE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let (said, err) = (said.trim(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}\n{err}");
        print!("{said}");
        return;
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(a_hundred_mebibytes());
}

/// The peak of this process's resident memory, since it was last reset, in KiB.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

async fn a_hundred_mebibytes() {
    const TOTAL: usize = 100 * M;
    let block = Arc::new(pattern(M));
    let digests = Arc::new(Mutex::new(Vec::new()));
    let (blocks, noted) = (Arc::clone(&block), Arc::clone(&digests));
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let (block, noted) = (Arc::clone(&blocks), Arc::clone(&noted));
        async move {
            let head = talk.head().await.unwrap();
            let mut sha = Sha256::new();
            let framing = Framing::of_request(&head);
            talk.wire
                .body(framing, |data| sha.update(data))
                .await
                .unwrap();
            noted.lock().unwrap().push(sha.finalize());
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n");
            talk.wire.send(head).await;
            let mut sha = Sha256::new();
            for _ in 0..TOTAL / M {
                talk.wire.send(&block[..]).await;
                sha.update(&block[..]);
            }
            noted.lock().unwrap().push(sha.finalize());
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    // Writing 5 resets the peak (proc(5)).
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = peak_kib();
    let mut child = gate.child().await;
    let headers = format!("{KEYS}content-length: {TOTAL}\r\n");
    child
        .send(gate.request("POST /api/v2/logs", &headers, ""))
        .await;
    let mut sent = Sha256::new();
    for _ in 0..TOTAL / M {
        child.send(&block[..]).await;
        sent.update(&block[..]);
    }
    let head = child.head().await.unwrap().unwrap();
    let mut received = Sha256::new();
    let framing = Framing::of_answer(&head, "POST");
    assert_eq!(framing, Framing::Length(TOTAL as u64));
    child
        .body(framing, |data| received.update(data))
        .await
        .unwrap();
    let after = peak_kib();
    let digests = digests.lock().unwrap().clone();
    assert_eq!(digests, [sent.finalize(), received.finalize()]);

    let dir = gate.dir.clone();
    gate.proxy.draining.cancel();
    gate.proxy.tasks.close();
    gate.proxy.tasks.wait().await;
    assert_eq!(gate.close_journal().trouble, None);
    // Not searched for secrets as the others are: 200 MiB of noise, forty forms.
    let session = super::session::Session::open(&dir);
    let call = session.call();
    assert_eq!(call.end().outcome, Outcome::Answered);
    let recorded = [session.request_body(&call), session.answer_body(&call)];
    assert_eq!(recorded.map(Sha256::digest), digests[..]);
    match (before, after) {
        (Some(before), Some(after)) if reset => {
            let grown = after.saturating_sub(before);
            println!("peak memory grew by {} MiB", grown >> 10);
            assert!(grown < 40 << 10, "memory grew by {} MiB", grown >> 10);
        }
        _ => eprintln!("SKIPPED: this system does not tell peak memory"),
    }
}
