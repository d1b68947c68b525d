//! The end of a session: what is under way may finish, and what does not is in doubt.

use std::time::{Duration, Instant};

use super::gate::*;
use super::upstream::{Talk, Upstream};
use super::wire::*;
use ddgate::record::Outcome;

/// Connections that say nothing, in any state, do not hold up the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_end_at_once() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = Gate::to(&upstream).await;
    let silent = gate.child().await;
    let mut kept = gate.child().await;
    kept.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    let mut hello = gate.child().await;
    hello.send(b"\x16\x03\x01\x02\x00\x01").await;
    let kept_h2 = super::ways::h2(gate.tls("api.datadoghq.com", &["h2"]).await).await;
    let (_, tunnel) = gate.tunnel("api.datadoghq.com:443").await;
    let begun = Instant::now();
    let session = gate.finish().await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(kept.is_over().await);
    assert_eq!(session.calls().len(), 1);
    drop((silent, hello, kept_h2, tunnel));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_may_finish_while_draining() {
    let upstream = Upstream::talking(|mut talk: Talk| async move {
        talk.request().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        talk.wire.send(answer(200, "", "late")).await;
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    child.send(gate.keyed("POST /api/v1/monitor", "{}")).await;
    gate.until(|session| !session.calls().is_empty()).await;
    let draining = gate.proxy.draining.clone();
    draining.cancel();
    assert_eq!(child.answer_to("POST").await.unwrap().text(), "late");
    let session = gate.finish().await;
    assert_eq!(session.call().end().outcome, Outcome::Answered);
}

/// Under way when the session ends for good: before the answer, inside it, inside the upload, in a
/// tunnel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_at_the_end_is_concluded_as_what_it_is() {
    let upstream = Upstream::talking(|mut talk: Talk| async move {
        let Some(head) = talk.head().await else {
            return;
        };
        if head.target().ends_with("half") {
            let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
            talk.wire.send(half).await;
        }
        while let Ok(bytes) = talk.wire.some().await
            && !bytes.is_empty()
        {}
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut waiting = gate.child().await;
    waiting
        .send(gate.keyed("POST /api/v1/monitor?silent", "{}"))
        .await;
    let mut half = gate.child().await;
    half.send(gate.keyed("GET /api/v1/monitor?half", "")).await;
    half.head().await.unwrap().unwrap();
    let mut uploading = gate.child().await;
    let headers = format!("{KEYS}content-length: 1000000\r\n");
    let part = gate.request("POST /api/v2/logs?upload", &headers, pattern(200_000));
    uploading.send(part).await;
    let mut gathering = gate.child().await;
    let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
    let part = gate.request("POST /api/v2/logs?trickle", &headers, chunk("x"));
    gathering.send(part).await;
    let (_, mut tunnel) = gate.tunnel(&format!("127.0.0.1:{}", upstream.port)).await;
    tunnel.send("1234").await;
    gate.until(|session| session.calls().len() == 4).await;
    tokio::time::sleep(Duration::from_millis(100)).await;

    let begun = Instant::now();
    gate.proxy.draining.cancel();
    gate.proxy.stopping.cancel();
    let answer = waiting.answer_to("POST").await.unwrap();
    assert_eq!(answer.status(), 502);
    let session = gate.finish().await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let calls = session.calls();
    assert_eq!(calls.len(), 4);
    for call in calls {
        let (outcome, why) = match session.target(&call).rsplit('?').next().unwrap() {
            "half" => (Outcome::Failed, "the session ended before the answer did"),
            _ => (Outcome::InDoubt, "the session ended before the answer"),
        };
        assert_eq!(call.end().outcome, outcome, "{}", session.target(&call));
        assert_eq!(call.error(), why);
    }
    let tunnels = session.tunnels();
    assert_eq!(tunnels.len(), 1);
    assert_eq!((tunnels[0].sent, tunnels[0].received), (4, 0));
    assert_eq!(tunnels[0].error.as_deref(), Some("the session ended"));
    drop((half, uploading, gathering, tunnel));
}
