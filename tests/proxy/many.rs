//! Many at once: nothing lost, nothing twice, nothing out of order.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::*;
use super::session::Session;
use super::upstream::Upstream;
use super::ways::{h2, h2_request};
use super::wire::*;
use ddgate::record::Outcome;
use http_body_util::BodyExt;

const CONNECTIONS: usize = 64;
const CALLS: usize = 20;

async fn echo() -> Upstream {
    Upstream::answering(|request| {
        let mut body = request.head.target().as_bytes().to_vec();
        body.extend_from_slice(&request.body);
        answer(200, "", body)
    })
    .await
}

/// Every target once upstream, once on record, each with its own bodies; leaves in order.
fn assert_exactly_once(upstream: &Upstream, session: &Session, expected: &BTreeSet<String>) {
    let mut arrived = BTreeMap::new();
    for request in upstream.requests() {
        let target = request.head.target().to_owned();
        assert!(arrived.insert(target, request.body).is_none());
    }
    assert!(arrived.keys().eq(expected));
    let calls = session.calls();
    assert_eq!(calls.len(), expected.len());
    let mut recorded = BTreeSet::new();
    for call in &calls {
        let target = session.target(call);
        assert_eq!(call.end().outcome, Outcome::Answered, "{}", call.error());
        assert!(session.request_body(call) == arrived[&target]);
        let answer = session.answer_body(call);
        assert!(answer.starts_with(target.as_bytes()));
        assert!(answer[target.len()..] == arrived[&target]);
        assert!(recorded.insert(target));
    }
    assert_eq!(&recorded, expected);
    let numbers: BTreeSet<_> = calls.iter().map(|call| call.request.call.0).collect();
    assert!(numbers.into_iter().eq(1..=expected.len() as u64));
    for (i, pair) in session.leaves.windows(2).enumerate() {
        assert_eq!(pair[0].i, i as u64);
        assert_eq!(pair[1].i, i as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_connections_with_twenty_calls_each() {
    let upstream = echo().await;
    let gate = std::sync::Arc::new(Gate::to(&upstream).await);
    let mut expected = BTreeSet::new();
    let mut tasks = Vec::new();
    for c in 0..CONNECTIONS {
        for n in 0..CALLS {
            expected.insert(format!("/api/v1/monitor?c={c}&n={n}"));
        }
        let gate = std::sync::Arc::clone(&gate);
        tasks.push(tokio::spawn(async move {
            let mut child = gate.child().await;
            for n in 0..CALLS {
                let target = format!("/api/v1/monitor?c={c}&n={n}");
                // Reads, small writes, and now and then one that is streamed.
                let size = match n % 5 {
                    0 | 1 => 0,
                    2 => 300,
                    3 => 5_000,
                    _ if c % 8 == 0 => 100_000,
                    _ => 20_000,
                };
                let body = pattern(size);
                let method = if size == 0 { "GET" } else { "POST" };
                let line = format!("{method} {target}");
                let answer = child.ask(gate.keyed(&line, &body)).await;
                assert_eq!(answer.status(), 200);
                assert!(answer.body.starts_with(target.as_bytes()));
                assert!(answer.body[target.len()..] == body);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let gate = std::sync::Arc::into_inner(gate).unwrap();
    let session = gate.finish().await;
    assert_exactly_once(&upstream, &session, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_streams_on_one_connection() {
    let upstream = echo().await;
    let gate = Gate::to(&upstream).await;
    let sender = h2(gate.tls("api.datadoghq.com", &["h2"]).await).await;
    let mut expected = BTreeSet::new();
    let mut tasks = Vec::new();
    for n in 0..CONNECTIONS {
        let target = format!("/api/v1/monitor?n={n}");
        expected.insert(target.clone());
        let mut sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            let url = format!("https://api.datadoghq.com{target}");
            let body = pattern(n * 1500);
            let answer = sender
                .send_request(h2_request("POST", &url, body.clone()))
                .await
                .unwrap();
            let answer = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(answer.starts_with(target.as_bytes()));
            assert!(answer[target.len()..] == body);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    drop(sender);
    let session = gate.finish().await;
    assert_exactly_once(&upstream, &session, &expected);
}
