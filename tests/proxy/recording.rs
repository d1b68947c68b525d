//! How much of a call is kept: levels, the bound on bodies, and what cannot be looked into.

use super::gate::*;
use super::session::Session;
use super::upstream::Upstream;
use super::wire::*;
use base64::Engine as _;
use ddgate::record::{Commitment, Level, LevelRules, Recording};
use hmac::{Hmac, KeyInit, Mac};

const BODY: &str = r#"{"name":"a-name-to-look-for","type":"metric alert"}"#;

fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(200, "content-type: application/json\r\n", body)
}

async fn gate(upstream: &Upstream, recording: Recording) -> Gate {
    Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        recording,
        ..Setup::default()
    })
    .await
}

fn at(level: Level) -> Recording {
    Recording {
        user: LevelRules {
            level: Some(level),
            ..LevelRules::default()
        },
        ..Recording::default()
    }
}

/// What the manual says of content that is not kept, done by hand.
fn withheld(field: &str, content: &[u8]) -> Commitment {
    let salt = redaction_key().withheld_salt();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&salt).unwrap();
    mac.update(format!("ddgate/v1/{field}\0").as_bytes());
    mac.update(content);
    let tag = mac.finalize().into_bytes();
    Commitment {
        c: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(tag),
        n: content.len() as u64,
    }
}

fn is_on_disk(session: &Session, word: &str) -> bool {
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let kept_in = session.kept_in.as_ref().unwrap();
        session.assert_free_of(kept_in.path(), &[word]);
    }));
    found.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_keeps_that_it_happened_and_how_it_ended() {
    let upstream = Upstream::saying(json(BODY)).await;
    let gate = gate(&upstream, at(Level::Metadata)).await;
    let mut child = gate.child().await;
    let line = "POST /api/v1/monitor?a-query-to-look-for=1";
    let answer = child.ask(gate.keyed(line, BODY)).await;
    assert_eq!((answer.status(), answer.text()), (200, BODY));
    let session = gate.finish().await;
    let call = session.call();
    let request = &call.request;
    assert_eq!(request.level, Some(Level::Metadata));
    assert_eq!(request.op.as_deref(), Some("CreateMonitor"));
    assert_eq!(request.route, "/api/v1/monitor");
    assert_eq!(request.body, Some(withheld("body", BODY.as_bytes())));
    let target = b"/api/v1/monitor?a-query-to-look-for=1";
    assert_eq!(request.target, withheld("target", target));
    assert_eq!(
        request.unkept.as_deref(),
        Some("recorded at level metadata")
    );
    let end = call.end();
    assert_eq!(end.status, Some(200));
    assert_eq!(end.headers, None);
    assert_eq!(end.body, Some(withheld("body", BODY.as_bytes())));
    for name in ["target", "headers", "body"] {
        assert_eq!(session.kept(call.request_leaf, name), None, "{name}");
    }
    for word in ["a-name-to-look-for", "a-query-to-look-for", "metric alert"] {
        assert!(!is_on_disk(&session, word), "{word}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_keeps_all_but_bodies_streamed_ones_too() {
    let upstream = Upstream::saying(json(BODY)).await;
    let gate = gate(&upstream, at(Level::Headers)).await;
    let mut child = gate.child().await;
    let body = vec![b'z'; 300 << 10];
    let answer = child
        .ask(gate.keyed("POST /api/v1/monitor?q=1", &body))
        .await;
    assert_eq!(answer.status(), 200);
    let session = gate.finish().await;
    let call = session.call();
    assert_eq!(call.request.level, Some(Level::Headers));
    assert_eq!(session.target(&call), "/api/v1/monitor?q=1");
    assert!(session.kept(call.request_leaf, "headers").is_some());
    let (leaf, stream) = call.stream.clone().unwrap();
    assert_eq!(stream.body, withheld("body", &body));
    assert_eq!(stream.unkept.as_deref(), Some("recorded at level headers"));
    assert_eq!(session.kept(leaf, "body"), None);
    assert!(call.end().headers.is_some());
    assert!(!is_on_disk(&session, "a-name-to-look-for"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_has_the_level_of_its_class() {
    let upstream = Upstream::saying(json(BODY)).await;
    let recording = Recording {
        user: LevelRules {
            read: Some(Level::Metadata),
            unknown: Some(Level::Headers),
            operations: vec![("monitors".to_owned(), Level::Headers)],
            ..LevelRules::default()
        },
        project: LevelRules {
            operations: vec![("GetMonitor".to_owned(), Level::Full)],
            ..LevelRules::default()
        },
        ..Recording::default()
    };
    let gate = gate(&upstream, recording).await;
    let mut child = gate.child().await;
    for line in [
        "GET /api/v1/dashboard",
        "GET /api/v1/monitor",
        "GET /api/v1/monitor/7",
        "GET /api/v9/unheard-of",
        "POST /api/v1/dashboard",
    ] {
        assert_eq!(child.ask(gate.keyed(line, "")).await.status(), 200);
    }
    let session = gate.finish().await;
    let levels: Vec<_> = session.calls().iter().map(|c| c.request.level).collect();
    let (metadata, headers) = (Some(Level::Metadata), Some(Level::Headers));
    assert_eq!(levels, [metadata, headers, None, headers, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_bound_is_cut_on_record_only() {
    let long: Vec<u8> = (0..300_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let upstream = Upstream::saying(json(&long)).await;
    let recording = Recording {
        body_bytes_max: 100_000,
        ..Recording::default()
    };
    let gate = gate(&upstream, recording).await;
    let mut child = gate.child().await;
    let answer = child.ask(gate.keyed("POST /api/v1/monitor", &long)).await;
    assert_eq!(answer.body, long);
    assert_eq!(upstream.requests()[0].body, long);
    let session = gate.finish().await;
    let call = session.call();
    let why = Some("cut after 100000 of 1200000 bytes");
    let (_, stream) = call.stream.clone().unwrap();
    assert_eq!((stream.unkept.as_deref(), stream.body.n), (why, 100_000));
    assert_eq!(session.request_body(&call), long[..100_000]);
    let end = call.end();
    assert_eq!(end.unkept.as_deref(), why);
    assert_eq!(session.answer_body(&call), long[..100_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_looked_into_is_kept_as_length_and_commitment() {
    let archive = b"PK\x03\x04 with a-name-to-look-for in it";
    let upstream =
        Upstream::saying(answer(200, "content-type: application/zip\r\n", archive)).await;
    let gate = gate(&upstream, Recording::default()).await;
    let mut child = gate.child().await;
    // Datadog's answers to this operation hold a key: what is no JSON cannot be cut.
    let answer = child.ask(gate.keyed("POST /api/v1/api_key", "")).await;
    assert_eq!(answer.body, archive);
    let coded = format!(
        "{KEYS}content-encoding: snappy\r\ncontent-length: {}\r\n",
        archive.len()
    );
    let request = gate.request("POST /api/v2/logs", &coded, archive);
    assert_eq!(child.ask(request).await.status(), 200);
    let session = gate.finish().await;
    let calls = session.calls();
    let end = calls[0].end();
    assert_eq!(
        end.unkept.as_deref(),
        Some("content-type application/zip cannot be scanned")
    );
    assert_eq!(end.body, Some(withheld("body", archive)));
    let request = &calls[1].request;
    assert_eq!(
        request.unkept.as_deref(),
        Some("content-encoding snappy is unknown")
    );
    assert_eq!(request.body, Some(withheld("body", archive)));
    assert_eq!(request.level, None);
    assert_eq!(session.kept(calls[1].request_leaf, "body"), None);
    assert!(!is_on_disk(&session, "a-name-to-look-for"));
}
