//! What goes wrong on either side is recorded as what happened, and the gate goes on.

use std::time::Duration;

use super::gate::*;
use super::session::{Call, Session};
use super::upstream::{Talk, Upstream};
use super::wire::*;
use ddgate::record::Outcome;

/// An upstream whose first connection is spoken to by a test; later ones are well-behaved.
macro_rules! first_talk {
    (|mut $talk:ident| $body:block) => {
        Upstream::talking(|mut talk: Talk| async move {
            if talk.nth > 0 {
                while talk.request().await.is_some() {
                    talk.wire.send(answer(200, "", "well")).await;
                }
                return;
            }
            let mut $talk = talk;
            $body
        })
        .await
    };
}

/// The gate still serves.
async fn assert_well(gate: &Gate) {
    let answer = gate
        .child()
        .await
        .ask(gate.keyed("GET /api/v1/monitor?again", ""))
        .await;
    assert_eq!((answer.status(), answer.text()), (200, "well"));
}

/// The first call of the session, after one more has shown that the gate is well.
async fn first_call(gate: Gate) -> (Session, Call) {
    assert_well(&gate).await;
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), 2);
    let call = calls[0].clone();
    (session, call)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_not_there() {
    let gate = Gate::with(Setup::default()).await;
    let mut child = gate.child().await;
    for _ in 0..2 {
        let answer = child.ask(gate.keyed("POST /api/v1/monitor", "{}")).await;
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.head.one("ddgate-verdict"), Some("failed"));
        assert!(answer.text().contains("cannot reach api.datadoghq.com"));
    }
    let session = gate.finish().await;
    for call in session.calls() {
        assert_eq!(call.end().outcome, Outcome::Failed);
        assert_eq!(call.end().status, None);
        assert!(call.error().contains("cannot reach"), "{}", call.error());
        assert!(call.error().contains("refused"), "{}", call.error());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_resets_or_closes_before_the_head_leaves_a_doubt() {
    for reset in [true, false] {
        let upstream = Upstream::talking(move |mut talk: Talk| async move {
            if talk.nth > 0 {
                while talk.request().await.is_some() {
                    talk.wire.send(answer(200, "", "well")).await;
                }
                return;
            }
            talk.request().await.unwrap();
            if reset {
                talk.reset();
            }
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        let answer = child.ask(gate.keyed("POST /api/v1/monitor", "{}")).await;
        assert_eq!(answer.status(), 502);
        let (session, call) = first_call(gate).await;
        assert_eq!(call.end().outcome, Outcome::InDoubt);
        assert!(
            call.error().contains("before answering"),
            "{}",
            call.error()
        );
        assert_eq!(session.request_body(&call), b"{}");
        // Never again by itself: it may have taken effect.
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_no_answer_leaves_a_doubt() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-ty",
        "HTTP/1.1 abc\r\n\r\n",
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    ] {
        let upstream = Upstream::talking(move |mut talk: Talk| async move {
            if talk.nth > 0 {
                while talk.request().await.is_some() {
                    talk.wire.send(answer(200, "", "well")).await;
                }
                return;
            }
            talk.request().await.unwrap();
            talk.wire.send(bytes).await;
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        let answer = child.ask(gate.keyed("DELETE /api/v1/monitor/1", "")).await;
        assert_eq!(answer.status(), 502, "{bytes:?}");
        let (_, call) = first_call(gate).await;
        assert_eq!(call.end().outcome, Outcome::InDoubt, "{bytes:?}");
        assert_eq!(call.end().status, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_answer_is_half_an_answer_for_the_child_and_the_record() {
    for (head, half) in [
        ("content-length: 10\r\n\r\n", "12345"),
        ("transfer-encoding: chunked\r\n\r\n5\r\n", "12345"),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\n",
            "12345\r\nnonsense\r\n",
        ),
    ] {
        let upstream = Upstream::talking(move |mut talk: Talk| async move {
            if talk.nth > 0 {
                while talk.request().await.is_some() {
                    talk.wire.send(answer(200, "", "well")).await;
                }
                return;
            }
            talk.request().await.unwrap();
            talk.wire
                .send(format!("HTTP/1.1 200 OK\r\n{head}{half}"))
                .await;
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        child.send(gate.keyed("GET /api/v1/monitor", "")).await;
        // Never mistaken for a whole one.
        assert!(child.answer_to("GET").await.is_err(), "{head}");
        let (session, call) = first_call(gate).await;
        assert_eq!(call.end().outcome, Outcome::Failed);
        assert_eq!(call.end().status, Some(200));
        assert!(call.error().contains("broke off"), "{}", call.error());
        assert_eq!(session.answer_body(&call), b"12345");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_longer_than_it_says_ends_where_it_says() {
    let upstream = first_talk!(|mut talk| {
        talk.request().await.unwrap();
        talk.wire
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nokayHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
            .await;
        talk.wire.is_over().await;
    });
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    let answer = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.text(), "okay");
    let (_, call) = first_call(gate).await;
    assert_eq!(call.end().outcome, Outcome::Answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_what_its_coding_says_is_not_passed_on_as_whole() {
    let upstream = first_talk!(|mut talk| {
        talk.request().await.unwrap();
        let garbage = answer(200, "content-encoding: gzip\r\n", "this is not gzip at all");
        talk.wire.send(garbage).await;
        while talk.request().await.is_some() {
            talk.wire.send(answer(200, "", "well")).await;
        }
    });
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    child.send(gate.keyed("GET /api/v1/monitor", "")).await;
    // The reason, or, when the head has left already, a broken connection.
    if let Ok(answer) = child.answer_to("GET").await {
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains("cannot be unpacked"));
    }
    let (_, call) = first_call(gate).await;
    assert_eq!(call.end().outcome, Outcome::Failed);
    assert!(
        call.error().contains("cannot be unpacked"),
        "{}",
        call.error()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_leaves_before_the_answer_does_not_take_the_record_with_it() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = std::sync::Arc::new(std::sync::Mutex::new(Some(gone)));
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let gone = gone.lock().unwrap().take();
        async move {
            while talk.request().await.is_some() {
                if let Some(gone) = gone {
                    gone.await.unwrap();
                    talk.wire.send(answer(201, "", "made: 7")).await;
                    return;
                }
                talk.wire.send(answer(200, "", "well")).await;
            }
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    child.send(gate.keyed("POST /api/v1/monitor", "{}")).await;
    gate.until(|session| !session.calls().is_empty()).await;
    while upstream.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(child);
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.send(()).unwrap();
    let (session, call) = first_call(gate).await;
    assert_eq!(call.end().status, Some(201));
    assert_eq!(call.end().outcome, Outcome::Failed);
    assert!(
        call.error().contains("the child closed"),
        "{}",
        call.error()
    );
    // What Datadog did is on record, though nobody waited for it.
    assert_eq!(session.answer_body(&call), b"made: 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_leaves_inside_a_short_body_sends_nothing() {
    let upstream = Upstream::saying(answer(200, "", "well")).await;
    let gate = Gate::to(&upstream).await;
    // Nothing at all, half a head, half a body.
    drop(gate.child().await);
    let mut child = gate.child().await;
    child.send("POST /api/v1/monitor HT").await;
    drop(child);
    let mut child = gate.child().await;
    let headers = format!("{KEYS}content-length: 100\r\n");
    child
        .send(gate.request("POST /api/v1/monitor", &headers, "{\"half\":"))
        .await;
    drop(child);
    let session = gate.until(|session| !session.calls().is_empty()).await;
    let call = session.call();
    assert!(call.denied);
    assert_eq!(call.request.rule, "incomplete");
    let why = call.request.unkept.unwrap();
    assert!(why.contains("broke off"), "{why}");
    assert_eq!(upstream.connections(), 0);
    assert_well(&gate).await;
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_leaves_inside_a_long_upload_is_the_one_to_blame() {
    for chunked in [false, true] {
        let upstream = Upstream::talking(|mut talk: Talk| async move {
            while talk.request().await.is_some() {
                talk.wire.send(answer(200, "", "well")).await;
            }
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        let part = pattern(200_000);
        let request = if chunked {
            let headers = format!("{KEYS}transfer-encoding: chunked\r\n");
            gate.request("POST /api/v2/logs", &headers, chunk(&part))
        } else {
            let headers = format!("{KEYS}content-length: 1000000\r\n");
            gate.request("POST /api/v2/logs", &headers, &part)
        };
        child.send(request).await;
        gate.until(|session| !session.calls().is_empty()).await;
        drop(child);
        gate.until(|session| session.calls()[0].response.is_some())
            .await;
        // The upstream never saw a whole request.
        assert_eq!(upstream.requests().len(), 0);
        let (session, call) = first_call(gate).await;
        assert_eq!(call.end().outcome, Outcome::Failed);
        assert!(
            call.error().contains("the child broke off"),
            "{}",
            call.error()
        );
        let (_, stream) = call.stream.clone().unwrap();
        assert!(stream.unkept.unwrap().contains("the child broke off"));
        let recorded = session.request_body(&call);
        assert!(!recorded.is_empty() && part.starts_with(&recorded));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_leaves_inside_an_answer_is_the_one_to_blame() {
    let upstream = Upstream::talking(|mut talk: Talk| async move {
        while let Some(request) = talk.request().await {
            if request.head.target().ends_with("again") {
                talk.wire.send(answer(200, "", "well")).await;
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            talk.wire.send(head).await;
            while talk.wire.write(chunk(pattern(10_000))).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            return;
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    child.send(gate.keyed("GET /api/v1/monitor", "")).await;
    child.head().await.unwrap().unwrap();
    child.chunk(&mut Vec::new()).await.unwrap().unwrap();
    drop(child);
    gate.until(|session| session.calls()[0].response.is_some())
        .await;
    let (session, call) = first_call(gate).await;
    assert_eq!(call.end().outcome, Outcome::Failed);
    assert_eq!(call.end().status, Some(200));
    assert!(
        call.error().contains("the child closed"),
        "{}",
        call.error()
    );
    assert!(session.answer_body(&call).starts_with(&pattern(10_000)));
}

/// A child that has all it was promised may hang up at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_leaves_with_the_last_byte_has_been_answered() {
    let upstream = Upstream::saying(answer(200, "", pattern(100_000))).await;
    let gate = Gate::to(&upstream).await;
    for _ in 0..30 {
        let mut child = gate.child().await;
        let answer = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
        assert_eq!(answer.body.len(), 100_000);
    }
    let session = gate.finish().await;
    for call in session.calls() {
        assert_eq!(call.end().outcome, Outcome::Answered, "{}", call.error());
        assert_eq!(session.answer_body(&call).len(), 100_000);
    }
}

/// Datadog may refuse an upload before it ends (413): the child, which is still sending, gets the
/// answer, and its connection stays good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_upload_ends_reaches_the_child() {
    for closes in [false, true] {
        let upstream = Upstream::talking(move |mut talk: Talk| async move {
            while let Some(head) = talk.head().await {
                if head.target().ends_with("again") {
                    talk.wire.send(answer(200, "", "well")).await;
                    continue;
                }
                let headers = if closes { "connection: close\r\n" } else { "" };
                talk.wire.send(answer(413, headers, "too large")).await;
                if closes {
                    // As servers do: the sending half first, then, after a while, all of it.
                    let _ = tokio::io::AsyncWriteExt::shutdown(&mut talk.wire.stream).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    return;
                }
                let framing = Framing::of_request(&head);
                if talk.wire.body(framing, |_| {}).await.is_err() {
                    return;
                }
            }
        })
        .await;
        let gate = Gate::to(&upstream).await;
        let mut child = gate.child().await;
        let body = pattern(8 << 20);
        let headers = format!("{KEYS}content-length: {}\r\n", body.len());
        let answer = child
            .ask(gate.request("POST /api/v2/logs", &headers, &body))
            .await;
        assert_eq!((answer.status(), answer.text()), (413, "too large"));
        let answer = child.ask(gate.keyed("GET /api/v1/monitor?again", "")).await;
        assert_eq!(answer.text(), "well", "closes: {closes}");
        let session = gate.finish().await;
        let calls = session.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(
            calls[0].end().outcome,
            Outcome::Answered,
            "{}",
            calls[0].error()
        );
        assert_eq!(calls[0].end().status, Some(413));
        let (_, stream) = calls[0].stream.clone().unwrap();
        if closes {
            assert_eq!(stream.unkept.as_deref(), Some("Datadog stopped reading"));
            assert!(body.starts_with(&session.request_body(&calls[0])));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_gone_stale_costs_nothing_and_repeats_nothing() {
    let upstream = Upstream::talking(|mut talk: Talk| async move {
        // One call a connection, without saying so.
        if talk.request().await.is_some() {
            talk.wire.send(answer(200, "", "well")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = gate.child().await;
    for i in 0..5 {
        let request = gate.keyed(&format!("POST /api/v1/monitor?n={i}"), "{}");
        assert_eq!(child.ask(request).await.status(), 200, "call {i}");
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let seen = upstream.requests();
    let targets: Vec<_> = seen.iter().map(|r| r.head.target().to_owned()).collect();
    let expected: Vec<_> = (0..5).map(|i| format!("/api/v1/monitor?n={i}")).collect();
    assert_eq!(targets, expected);
    let session = gate.finish().await;
    assert_eq!(session.calls().len(), 5);
}

/// A connection made ahead of need, and closed by the other side before it was needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_connection_gone_stale_costs_nothing() {
    let upstream = first_talk!(|mut talk| {
        talk.wire.write("").await.unwrap();
    });
    let gate = Gate::to(&upstream).await;
    gate.proxy.upstream.warm("api.datadoghq.com").await;
    while upstream.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_well(&gate).await;
    assert_eq!(upstream.connections(), 2);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_connection_is_used() {
    let upstream = Upstream::saying(answer(200, "", "well")).await;
    let gate = Gate::to(&upstream).await;
    gate.proxy.upstream.warm("api.datadoghq.com").await;
    assert_well(&gate).await;
    assert_well(&gate).await;
    assert_eq!(upstream.connections(), 1);
    gate.finish().await;
}
