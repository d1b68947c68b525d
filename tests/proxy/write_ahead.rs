//! Nothing reaches Datadog that is not on record: looked at from Datadog's side.

use std::sync::{Arc, OnceLock};

use super::gate::*;
use super::session::Session;
use super::upstream::{Talk, Upstream};
use super::wire::*;
use chrono::Utc;
use ddgate::journal::ContentStream;
use ddgate::journal::catalog::SessionDir;

type Dir = Arc<OnceLock<SessionDir>>;

fn now(dir: &Dir) -> Session {
    Session::open(dir.get().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_on_disk_before_its_head_arrives() {
    let dir = Dir::default();
    let seen_dir = Arc::clone(&dir);
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let dir = Arc::clone(&seen_dir);
        async move {
            while let Some(head) = talk.head().await {
                let arrived = Utc::now();
                let session = now(&dir);
                let framing = Framing::of_request(&head);
                let mut body = Vec::new();
                talk.wire
                    .body(framing, |d| body.extend_from_slice(d))
                    .await
                    .unwrap();
                let found = session.calls().into_iter().any(|call| {
                    session.target(&call) == head.target()
                        && call.request.method == head.method()
                        && session.request_body(&call) == body
                        && session.leaves[usize::try_from(call.request_leaf).unwrap()].ts <= arrived
                });
                let status = if found { 200 } else { 500 };
                talk.wire.send(answer(status, "", "")).await;
            }
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    dir.set(gate.dir.clone()).unwrap();
    let mut child = gate.child().await;
    for i in 0..8 {
        let body = format!("{{\"n\":{i}}}");
        let request = gate.keyed(&format!("PUT /api/v1/monitor/{i}"), body);
        assert_eq!(child.ask(request).await.status(), 200, "call {i}");
    }
    gate.finish().await;
}

/// Of a long upload the end is held back until the record of all of it is durable: without its
/// last byte Datadog cannot act.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_byte_of_a_long_upload_arrives_after_its_record() {
    let dir = Dir::default();
    let seen_dir = Arc::clone(&dir);
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let dir = Arc::clone(&seen_dir);
        async move {
            let mut calls = 0;
            while let Some(head) = talk.head().await {
                let framing = Framing::of_request(&head);
                talk.wire.body(framing, |_| {}).await.unwrap();
                // Looked at without delay: one leaf that ends an upload for every upload.
                let wal = std::fs::read(dir.get().unwrap().path().join("wal-000001.ddw")).unwrap();
                calls += 1;
                let status = if upload_ends(&wal) == calls { 200 } else { 500 };
                talk.wire.send(answer(status, "", "")).await;
            }
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    dir.set(gate.dir.clone()).unwrap();
    // Others keep the disk busy, so that a record takes its time.
    let noise: Vec<_> = (0..2)
        .map(|_| {
            let proxy = Arc::clone(&gate.proxy);
            tokio::spawn(async move {
                loop {
                    let mut content = ContentStream::new("noise");
                    let bytes = proxy.known.bytes(&[0; 300]);
                    content.push(&proxy.journal, bytes).await.unwrap();
                    let ticket = content.flush(&proxy.journal).await.unwrap();
                    ticket.durable().await.unwrap();
                }
            })
        })
        .collect();
    let mut child = gate.child().await;
    // Runs of zeros compress: the file stays small, and is looked through in no time.
    let body = vec![0; 100_000];
    for i in 0..30 {
        let request = if i % 2 == 0 {
            let headers = format!("{KEYS}content-length: {}\r\n", body.len());
            gate.request("POST /api/v2/logs", &headers, &body)
        } else {
            let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
            let mut framed = chunk(&body);
            framed.extend_from_slice(b"0\r\n\r\n");
            gate.request("POST /api/v2/logs", &headers, framed)
        };
        assert_eq!(child.ask(request).await.status(), 200, "call {i}");
    }
    for task in noise {
        task.abort();
    }
    gate.finish().await;
}

/// Leaves are stored as they are, one line of JSON with sorted keys.
fn upload_ends(wal: &[u8]) -> usize {
    let mark = b"\"t\":\"call.stream\"";
    let zeros = wal.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    wal[..=zeros]
        .windows(mark.len())
        .filter(|window| window == mark)
        .count()
}

/// Every byte of a long upload that Datadog has is on record already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_of_a_long_upload_arrive_after_their_record() {
    let dir = Dir::default();
    let seen_dir = Arc::clone(&dir);
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let dir = Arc::clone(&seen_dir);
        async move {
            talk.head().await.unwrap();
            let mut received = 0;
            let mut trailers = Vec::new();
            let mut checked = true;
            while let Some(piece) = talk.wire.chunk(&mut trailers).await.unwrap() {
                received += piece.len();
                // Noise does not compress, so it stands in the file as it is; but its last bytes,
                // which could begin a secret, stand there only with what follows.
                let wal = std::fs::read(dir.get().unwrap().path().join("wal-000001.ddw")).unwrap();
                let mark = &piece[piece.len() - 320..piece.len() - 256];
                checked &= wal.windows(64).any(|w| w == mark);
            }
            assert_eq!(received, 200_000);
            let status = if checked { 200 } else { 500 };
            talk.wire.send(answer(status, "", "")).await;
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    dir.set(gate.dir.clone()).unwrap();
    let mut child = gate.child().await;
    let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
    child
        .send(gate.request("POST /api/v2/logs", &headers, ""))
        .await;
    for piece in pattern(200_000).chunks(20_000) {
        child.send(chunk(piece)).await;
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
    child.send("0\r\n\r\n").await;
    assert_eq!(child.answer_to("POST").await.unwrap().status(), 200);
    gate.finish().await;
}
