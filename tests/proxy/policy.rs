//! What a session may do: what is denied never leaves, and stands in the record with its rule.

use super::gate::*;
use super::session::Call;
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

/// The rule of each call.
fn rules(calls: &[Call]) -> Vec<&str> {
    let rules = calls.iter().map(|call| call.request.rule.as_str());
    rules.collect()
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
    assert_eq!(
        rules(&calls),
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

/// A message to Datadog's MCP server.
fn message(gate: &Gate, method: &str, params: &str) -> Vec<u8> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    posted(gate, &body)
}

fn posted(gate: &Gate, body: &str) -> Vec<u8> {
    let ours = format!("host: 127.0.0.1:{}", gate.port);
    let keyed = String::from_utf8(gate.keyed("POST /v1/mcp", body)).unwrap();
    keyed
        .replacen(&ours, "host: mcp.datadoghq.com", 1)
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_is_judged_by_its_name_and_the_protocol_goes_on() {
    let answered = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let upstream =
        Upstream::saying(answer(200, "content-type: application/json\r\n", answered)).await;
    let gate = gate(&upstream, true, &[], &["search_datadog_events"]).await;
    let mut child = Wire::new(gate.tls("mcp.datadoghq.com", &["http/1.1"]).await);
    let tool = |name: &str| format!(r#"{{"name":"{name}","arguments":{{"query":"x"}}}}"#);
    let batch = format!(
        r#"[{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}},{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{}}}]"#,
        tool("search_datadog_logs"),
        tool("create_datadog_monitor")
    );
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}}"#,
        tool(&"x".repeat(70_000))
    );
    for (request, verdict) in [
        (message(&gate, "initialize", "{}"), None),
        (message(&gate, "tools/list", "{}"), None),
        (
            message(&gate, "tools/call", &tool("search_datadog_logs")),
            None,
        ),
        (
            message(&gate, "tools/call", &tool("create_datadog_monitor")),
            Some("read-only"),
        ),
        (
            message(&gate, "tools/call", &tool("nobody_knows_it")),
            Some("read-only"),
        ),
        (
            message(&gate, "tools/call", &tool("search_datadog_events")),
            Some("denied"),
        ),
        (posted(&gate, &batch), Some("read-only")),
        (
            posted(&gate, r#"{"jsonrpc":"2.0","method":"tools/call""#),
            Some("mcp-unread"),
        ),
        (posted(&gate, &long), Some("mcp-unread")),
        (
            "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: mcp.datadoghq.com\r\n\r\n".into(),
            Some("read-only"),
        ),
    ] {
        let answer = child.ask(request).await;
        assert_eq!(answer.head.one("ddgate-verdict"), verdict);
        let status = if verdict.is_none() { 200 } else { 403 };
        assert_eq!(answer.status(), status);
    }
    assert_eq!(upstream.requests().len(), 3);

    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(
        rules(&calls),
        [
            "default",
            "default",
            "read-only",
            "read-only",
            "read-only",
            "deny:search_datadog_events",
            "read-only",
            "mcp-unread",
            "mcp-unread",
            "read-only"
        ]
    );
    // What was asked for stands in the record, refused or not.
    let refused = &calls[3].request;
    assert_eq!(refused.decision, Decision::Deny);
    assert_eq!(refused.op.as_deref(), Some("tools/call"));
    let committed = refused.body.as_ref().unwrap();
    let body = session.content(calls[3].request_leaf, "body", committed);
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("create_datadog_monitor")
    );
    assert_eq!(
        calls[8].request.unkept.as_deref(),
        Some("refused before the body was whole")
    );
}

/// Whatever the server would take for its endpoint is not known here: every body that reaches it is
/// looked at, and one that cannot be is not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_spelling_of_the_endpoint_is_no_way_past_the_policy() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = gate(&upstream, false, &[], &["create_datadog_monitor"]).await;
    let mut child = Wire::new(gate.tls("mcp.datadoghq.com", &["http/1.1"]).await);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_datadog_monitor","arguments":{}}}"#;
    for (path, body, verdict) in [
        ("/v1/mcp", call, "denied"),
        ("/v1/mcp/", call, "denied"),
        ("/v1/%6dcp", call, "denied"),
        ("/.well-known/../v1/mcp", call, "odd-path"),
        ("/.well-known/v1/mcp", call, "denied"),
        ("/v1/mcp/x", "no message", "mcp-unread"),
    ] {
        let request = posted(&gate, body);
        let request = String::from_utf8(request)
            .unwrap()
            .replacen("/v1/mcp", path, 1);
        let answer = child.ask(request).await;
        assert_eq!(answer.head.one("ddgate-verdict"), Some(verdict), "{path}");
    }
    assert_eq!(upstream.requests().len(), 0);
    gate.finish().await;
}

/// Whether Datadog takes such a header for the method is not known; that a policy must not be got
/// round by it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_in_disguise_is_not_judged_by_the_milder() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let limited = gate(&upstream, true, &[], &[]).await;
    let mut child = limited.child().await;
    for (line, header, verdict) in [
        (
            "GET /api/v1/monitor/1",
            "X-HTTP-Method-Override: DELETE",
            Some("method-override"),
        ),
        (
            "GET /api/v1/monitor/1",
            "x-http-method: PUT",
            Some("method-override"),
        ),
        (
            "GET /api/v1/monitor/1",
            "X_Method_Override: GET",
            Some("method-override"),
        ),
        (
            "GET /api/v1/monitor/1?_method=DELETE",
            "x-a: b",
            Some("method-override"),
        ),
        ("GET /api/v1/monitor/1", "x-a: b", None),
    ] {
        let headers = format!("{KEYS}{header}\r\n");
        let answer = child.ask(limited.request(line, &headers, "")).await;
        assert_eq!(
            answer.head.one("ddgate-verdict"),
            verdict,
            "{line} {header}"
        );
        assert_eq!(answer.status(), if verdict.is_some() { 403 } else { 200 });
    }
    assert_eq!(upstream.requests().len(), 1);
    let calls = limited.finish().await.calls();
    assert_eq!(calls.len(), 5);
    let refused = calls
        .iter()
        .filter(|call| call.request.rule == "method-override");
    assert_eq!(refused.filter(|call| call.denied).count(), 4);

    // Without a policy it is no way, either: what is recorded is what Datadog is asked for.
    let free = Gate::to(&upstream).await;
    let header = format!("{KEYS}X-HTTP-Method-Override: DELETE\r\n");
    let request = free.request("GET /api/v1/monitor/1", &header, "");
    assert_eq!(free.child().await.ask(request).await.status(), 200);
    let seen = upstream.requests();
    assert_eq!(seen[1].head.method(), "GET");
    assert_eq!(seen[1].head.one("x-http-method-override"), None);
    assert_eq!(free.finish().await.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_with_two_meanings_is_not_judged_by_the_milder() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let limited = gate(&upstream, false, &[], &["DeleteMonitor"]).await;
    let mut child = limited.child().await;
    for (path, verdict) in [
        ("/api/v1/monitor/1", "denied"),
        ("/api/v1/monitor/1/", "denied"),
        ("/api/v1/%6donitor/1", "denied"),
        ("/api/v1//monitor/1", "odd-path"),
        ("/api/v1/./monitor/1", "odd-path"),
        ("/api/v1/x/../monitor/1", "odd-path"),
        ("/api/v1/%256donitor/1", "odd-path"),
    ] {
        let answer = child
            .ask(limited.keyed(&format!("DELETE {path}"), ""))
            .await;
        assert_eq!(answer.head.one("ddgate-verdict"), Some(verdict), "{path}");
    }
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(limited.finish().await.calls().len(), 7);

    // Without a policy a path is Datadog's to understand.
    let open = Gate::to(&upstream).await;
    let mut child = open.child().await;
    let answer = child.ask(open.keyed("DELETE /api/v1//monitor/1", "")).await;
    assert_eq!(answer.status(), 200);
    open.finish().await;
}
