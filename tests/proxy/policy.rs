//! What a session may do: what is denied never leaves, and stands in the record with its rule.

use super::gate::*;
use super::upstream::Upstream;
use super::wire::*;
use ddgate::policy::{Pattern, Policy};
use ddgate::record::event::Decision;

async fn gate(upstream: &Upstream, read_only: bool, allow: &[&str], deny: &[&str]) -> Gate {
    let patterns = |texts: &[&str]| texts.iter().map(|t| Pattern::parse(t).unwrap()).collect();
    let mut policy = Policy::default();
    policy.restrict(read_only, patterns(allow), patterns(deny));
    Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        policy,
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_call_is_answered_recorded_and_never_sent() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = gate(&upstream, true, &[], &[]).await;
    let mut child = gate.child().await;
    let body = pattern(300_000);
    let denied = child
        .ask(gate.keyed("PUT /api/v1/monitor/123", &body))
        .await;
    assert_eq!(denied.status(), 403);
    assert_eq!(denied.head.one("ddgate-verdict"), Some("read-only"));
    assert_eq!(denied.head.one("ddgate-call"), Some("1"));
    assert_eq!(denied.head.one("content-type"), Some("application/json"));
    let told: serde_json::Value = serde_json::from_str(denied.text()).unwrap();
    let told = told["errors"][0].as_str().unwrap();
    assert!(
        told.starts_with("ddgate: UpdateMonitor is a write, and this session is read-only;"),
        "{told}"
    );
    // The body was read to its end: the same connection goes on.
    let read = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(read.status(), 200);
    let search = child
        .ask(gate.keyed("POST /api/v2/logs/events/search", "{}"))
        .await;
    assert_eq!(search.status(), 200);
    let lines: Vec<_> = upstream.requests();
    let lines: Vec<_> = lines.iter().map(|seen| seen.head.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/monitor HTTP/1.1",
            "POST /api/v2/logs/events/search HTTP/1.1"
        ]
    );

    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls[0].denied);
    assert_eq!(calls[0].request.decision, Decision::Deny);
    assert_eq!(calls[0].request.rule, "read-only");
    assert_eq!(calls[0].request.op.as_deref(), Some("UpdateMonitor"));
    assert_eq!(calls[0].request.body, None);
    assert_eq!(calls[1].request.rule, "read-only");
    assert_eq!(calls[2].request.rule, "read-only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_decide_and_the_rule_is_recorded() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = gate(&upstream, false, &["*Monitor*", "Validate"], &["Delete*"]).await;
    let mut child = gate.child().await;
    for (line, status, verdict) in [
        ("GET /api/v1/monitor", 200, None),
        ("DELETE /api/v1/monitor/1", 403, Some("denied")),
        ("GET /api/v1/dashboard", 403, Some("not-allowed")),
        ("POST /api/v9/thing", 403, Some("not-allowed")),
        ("GET /api/v1/validate", 200, None),
    ] {
        let answer = child.ask(gate.keyed(line, "")).await;
        assert_eq!(answer.status(), status, "{line}");
        assert_eq!(answer.head.one("ddgate-verdict"), verdict, "{line}");
    }
    assert_eq!(upstream.requests().len(), 2);
    let session = gate.finish().await;
    let calls = session.calls();
    let rules: Vec<_> = calls
        .iter()
        .map(|call| call.request.rule.as_str())
        .collect();
    assert_eq!(
        rules,
        [
            "allow:*Monitor*",
            "deny:Delete*",
            "not-allowed",
            "not-allowed",
            "allow:Validate"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shows_no_key_learns_nothing_of_the_policy() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = gate(&upstream, true, &[], &[]).await;
    let mut child = gate.child().await;
    let answer = child
        .ask(gate.request("POST /api/v1/monitor", "", "{}"))
        .await;
    assert_eq!(answer.head.one("ddgate-verdict"), Some("no-key"));
    assert_eq!(gate.finish().await.call().request.rule, "no-key");
}
