//! Keys that come back in an answer.

use std::io::Write;

use super::gate::*;
use super::upstream::Upstream;
use super::wire::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ddgate::record::Outcome;
use flate2::Compression;

fn document() -> String {
    let inside = STANDARD.encode(format!("user:{APP}:rest"));
    format!(r#"{{"a":"{API}","b":["{APP}{API}","{inside}"],"c":"0a1b2c3d-not-a-key"}}"#)
}

fn as_the_child_sees_it() -> String {
    let inside = STANDARD.encode(format!("user:{APP_PLACEHOLDER}:rest"));
    format!(
        r#"{{"a":"{API_PLACEHOLDER}","b":["{APP_PLACEHOLDER}{API_PLACEHOLDER}","{inside}"],"c":"0a1b2c3d-not-a-key"}}"#
    )
}

fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(data, 3).unwrap(),
        // Stored, not compressed (RFC 7932, 9.2): WBITS, one metablock, the empty last one.
        "br" => {
            let header = ((data.len() as u32 - 1) << 3 | 1 << 19) << 1;
            let mut coded = header.to_le_bytes()[..3].to_vec();
            coded.extend_from_slice(data);
            coded.push(0b11);
            coded
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_a_body_become_placeholders_and_the_length_stays_true() {
    let upstream = Upstream::saying(answer(200, "", document())).await;
    let gate = Gate::to(&upstream).await;
    let answer = gate
        .child()
        .await
        .ask(gate.keyed("GET /api/v1/monitor", ""))
        .await;
    assert_eq!(answer.text(), as_the_child_sees_it());
    let n = document().len().to_string();
    assert_eq!(answer.head.one("content-length"), Some(n.as_str()));
    let session = gate.finish().await;
    let call = session.call();
    assert_eq!(call.end().outcome, Outcome::Answered);
    // Recorded is what the child saw, and placeholders are secrets too.
    let body = String::from_utf8(session.answer_body(&call)).unwrap();
    let pseudonym = redaction_key().pseudonym(API_PLACEHOLDER.as_bytes());
    let marker = format!("[REDACTED:dd-api-key-placeholder:{pseudonym}]");
    assert!(body.contains(&marker), "{body}");
    assert!(body.contains("0a1b2c3d-not-a-key"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_another_length_cost_the_length_and_nothing_else() {
    let quoted = serde_json::to_string(BEARER).unwrap();
    let encoded: String = url::form_urlencoded::byte_serialize(BEARER.as_bytes()).collect();
    let inside = STANDARD.encode(format!("ab{BEARER}c"));
    let body = format!("{quoted} {encoded} {inside}");
    let upstream = Upstream::saying(answer(200, "", &body)).await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        bearer: true,
        ..Setup::default()
    })
    .await;
    let answer = gate
        .child()
        .await
        .ask(gate.keyed("GET /api/v1/monitor", ""))
        .await;
    assert_eq!(answer.head.one("content-length"), None);
    let prefix = format!("\"{BEARER_PLACEHOLDER}\" {BEARER_PLACEHOLDER} ");
    assert!(answer.text().starts_with(&prefix), "{}", answer.text());
    assert_eq!(gate.finish().await.call().end().outcome, Outcome::Answered);
}

/// Cut at every offset, so that every key and every coding is split everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_found_in_every_coding_and_wherever_a_chunk_ends() {
    for coding in ["identity", "gzip", "deflate", "br", "zstd"] {
        let plain = document().into_bytes();
        let coded = match coding {
            "identity" => plain,
            coding => encode(coding, &plain),
        };
        let n = coded.len();
        let upstream = Upstream::answering(move |request| {
            let at: usize = request
                .head
                .target()
                .rsplit('=')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let (front, back) = coded.split_at(at);
            let mut bytes = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                 content-encoding: {coding}\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            .into_bytes();
            for piece in [front, back] {
                if !piece.is_empty() {
                    bytes.extend(chunk(piece));
                }
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            bytes
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        for at in 0..=n {
            let line = format!("GET /api/v1/monitor?at={at}");
            let headers = format!("{KEYS}accept-encoding: gzip, snappy, br;q=0.5\r\n");
            let answer = child.ask(gate.request(&line, &headers, "")).await;
            assert_eq!(answer.text(), as_the_child_sees_it(), "{coding} at {at}");
            if coding != "identity" {
                assert_eq!(answer.head.one("content-encoding"), None);
            }
        }
        let asked = upstream.requests()[0].head.clone();
        assert_eq!(asked.one("accept-encoding"), Some("gzip, br;q=0.5"));
        let session = gate.finish().await;
        let calls = session.calls();
        assert_eq!(calls.len(), n + 1);
        for call in &calls {
            assert_eq!(call.end().outcome, Outcome::Answered, "{coding}");
        }
        let first = session.answer_body(&calls[0]);
        for call in &calls[1..] {
            assert_eq!(session.answer_body(call), first);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_headers_and_trailers_become_placeholders() {
    let raw = format!(
        "HTTP/1.1 200 OK\r\nx-echo: key={API};\r\nset-cookie: a={APP}\r\nlocation: /x?api_key={API}\r\n\
         alt-svc: h3=\":443\"\r\ntrailer: x-late\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\n0a1\r\n0\r\nx-late: {API}\r\n\r\n"
    );
    let upstream = Upstream::saying(raw).await;
    let gate = Gate::to(&upstream).await;
    let headers = format!("{KEYS}te: trailers\r\n");
    let answer = gate
        .child()
        .await
        .ask(gate.request("GET /api/v1/monitor", &headers, ""))
        .await;
    let echo = format!("key={API_PLACEHOLDER};");
    assert_eq!(answer.head.one("x-echo"), Some(echo.as_str()));
    let cookie = format!("a={APP_PLACEHOLDER}");
    assert_eq!(answer.head.one("set-cookie"), Some(cookie.as_str()));
    let location = format!("/x?api_key={API_PLACEHOLDER}");
    assert_eq!(answer.head.one("location"), Some(location.as_str()));
    assert_eq!(answer.head.one("alt-svc"), None);
    // The body ends in the beginning of a key: held back until the end, then given.
    assert_eq!(answer.text(), "0a1");
    assert_eq!(
        answer.trailers,
        [("x-late".to_owned(), API_PLACEHOLDER.to_owned())]
    );
    let session = gate.finish().await;
    let call = session.call();
    assert_eq!(call.end().outcome, Outcome::Answered);
    assert_eq!(session.answer_body(&call), b"0a1");
}
