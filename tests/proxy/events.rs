//! Event streams: one by one, at once, and on record before the child has them.

use std::time::{Duration, Instant};

use super::gate::*;
use super::upstream::{Talk, Upstream};
use super::wire::*;
use ddgate::record::Outcome;
use tokio::sync::mpsc;

const EVENTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_passes_when_it_is_sent_and_none_waits_for_the_next() {
    for (kind, headers) in [
        ("text/event-stream", ""),
        ("Text/Event-Stream; charset=utf-8", ""),
        // Packed, flushed event by event.
        ("text/event-stream", "content-encoding: gzip\r\n"),
    ] {
        let (go, gone) = mpsc::unbounded_channel::<()>();
        let gone = std::sync::Arc::new(tokio::sync::Mutex::new(gone));
        let upstream = Upstream::talking(move |mut talk: Talk| {
            let gone = std::sync::Arc::clone(&gone);
            async move {
                talk.request().await.unwrap();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{headers}transfer-encoding: chunked\r\n\r\n"
                );
                talk.wire.send(head).await;
                let mut packer =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                for i in 0..EVENTS {
                    gone.lock().await.recv().await.unwrap();
                    let event = format!("data: {{\"n\":{i}}}\n\n").into_bytes();
                    let sent = if headers.is_empty() {
                        event
                    } else {
                        use std::io::Write;
                        packer.write_all(&event).unwrap();
                        packer.flush().unwrap();
                        std::mem::take(packer.get_mut())
                    };
                    talk.wire.send(chunk(sent)).await;
                }
                if !headers.is_empty() {
                    talk.wire.send(chunk(packer.finish().unwrap())).await;
                }
                talk.wire.send("0\r\n\r\n").await;
            }
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        child.send(gate.keyed("GET /v1/mcp", "")).await;
        let head = child.head().await.unwrap().unwrap();
        assert_eq!(head.status(), 200);
        let mut delays = Vec::new();
        let mut trailers = Vec::new();
        for i in 0..EVENTS {
            let sent = Instant::now();
            go.send(()).unwrap();
            let event = child.chunk(&mut trailers).await.unwrap().unwrap();
            delays.push(sent.elapsed());
            assert_eq!(event, format!("data: {{\"n\":{i}}}\n\n").into_bytes());
        }
        assert_eq!(child.chunk(&mut trailers).await.unwrap(), None);
        // One that waited for the next would wait for ever: that one is sent when this one is here.
        // A stall (Nagle and delayed acknowledgement) would take 40 ms every time, so the faster ones
        // tell it from a busy machine, which slows some.
        delays.sort();
        assert!(delays[EVENTS / 4] < Duration::from_millis(30), "{delays:?}");
        let session = gate.finish().await;
        let call = session.call();
        assert_eq!(call.end().outcome, Outcome::Answered, "{}", call.error());
        let body = session.answer_body(&call);
        assert_eq!(body.iter().filter(|b| **b == b'\n').count(), 2 * EVENTS);
    }
}

/// Killed in the middle of a stream, the record holds every event the child has seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_the_child_has_is_on_record() {
    let upstream = Upstream::talking(|mut talk: Talk| async move {
        talk.request().await.unwrap();
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        talk.wire.send(head).await;
        talk.wire.send(chunk("data: a mark nobody misses\n\n")).await;
        talk.wire.is_over().await;
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    child.send(gate.keyed("GET /v1/mcp", "")).await;
    child.head().await.unwrap().unwrap();
    child.chunk(&mut Vec::new()).await.unwrap().unwrap();
    let wal = std::fs::read(gate.dir.path().join("wal-000001.ddw")).unwrap();
    assert!(wal.windows(20).any(|w| w == b"a mark nobody misses"));
    drop(child);
    let session = gate.finish().await;
    let call = session.call();
    assert_eq!(call.end().outcome, Outcome::Failed);
    assert!(
        call.error().contains("the child closed"),
        "{}",
        call.error()
    );
    assert_eq!(
        session.answer_body(&call),
        b"data: a mark nobody misses\n\n"
    );
}
