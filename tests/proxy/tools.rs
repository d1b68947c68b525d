//! Tool calls of MCP: each with leaves of its own, on record before Datadog can act on it, and its
//! result tied to it wherever that comes; and whatever is not understood passes unharmed.

use std::time::{Duration, Instant};

use ddgate::record::event::Side;
use ddgate::record::{
    CallNumber, Effect, Event, Level, LevelRules, McpCall, McpResult, McpUnread, Recording,
    ToolOutcome,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

use super::gate::*;
use super::session::Session;
use super::upstream::{Talk, Upstream};
use super::wire::*;

const HOST: &str = "mcp.datadoghq.com";

type Child = Wire<TlsStream<TcpStream>>;

/// A child that has connected to Datadog's MCP server.
async fn child(gate: &Gate) -> Child {
    Wire::new(gate.tls(HOST, &["http/1.1"]).await)
}

fn post(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let n = body.as_ref().len();
    let head = format!(
        "POST /v1/mcp HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{KEYS}{headers}content-length: {n}\r\n\r\n"
    );
    [head.as_bytes(), body.as_ref()].concat()
}

fn call(id: &str, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

fn result(id: &str, text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    )
}

fn json(body: &str) -> Vec<u8> {
    let n = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {n}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn events() -> &'static str {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
}

fn event(data: &str) -> String {
    format!("event: message\r\ndata: {data}\r\n\r\n")
}

fn called(session: &Session) -> Vec<(u64, McpCall)> {
    let each = session.leaves.iter().filter_map(|leaf| match &leaf.event {
        Event::McpCall(event) => Some((leaf.i, event.clone())),
        _ => None,
    });
    each.collect()
}

fn answered(session: &Session) -> Vec<(u64, McpResult)> {
    let each = session.leaves.iter().filter_map(|leaf| match &leaf.event {
        Event::McpResult(event) => Some((leaf.i, event.clone())),
        _ => None,
    });
    each.collect()
}

fn unread(session: &Session) -> Vec<McpUnread> {
    let each = session.leaves.iter().filter_map(|leaf| match &leaf.event {
        Event::McpUnread(event) => Some(event.clone()),
        _ => None,
    });
    each.collect()
}

fn arguments(session: &Session, (leaf, event): &(u64, McpCall)) -> String {
    let content = session.content(*leaf, "args", event.args.as_ref().unwrap());
    String::from_utf8(content).unwrap()
}

fn outcome(session: &Session, (leaf, event): &(u64, McpResult)) -> String {
    String::from_utf8(session.content(*leaf, "result", &event.result)).unwrap()
}

/// What stands in the file of the running session.
fn on_disk(gate: &Gate, text: &str) -> bool {
    let wal = std::fs::read(gate.dir.path().join("wal-000001.ddw")).unwrap();
    wal.windows(text.len()).any(|part| part == text.as_bytes())
}

/// A server that tells when a request is there, and answers when it is told to.
async fn waiting(
    result: String,
) -> (
    Upstream,
    mpsc::UnboundedReceiver<()>,
    mpsc::UnboundedSender<()>,
) {
    let (arrived, arrival) = mpsc::unbounded_channel();
    let (go, gone) = mpsc::unbounded_channel::<()>();
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(gone));
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let (arrived, gone) = (arrived.clone(), std::sync::Arc::clone(&gone));
        let answer = json(&result);
        async move {
            while talk.request().await.is_some() {
                arrived.send(()).unwrap();
                gone.lock().await.recv().await.unwrap();
                talk.wire.send(&answer).await;
            }
        }
    });
    (upstream.await, arrival, go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_call_is_on_record_before_it_is_sent_and_its_result_beside_it() {
    let (upstream, mut arrival, go) = waiting(result("7", "two logs")).await;
    let gate = Gate::to(&upstream).await;
    let mut child = child(&gate).await;
    let said = call(
        "7",
        "search_datadog_logs",
        &format!(r#"{{ "query":"status:error", "key":"{API_PLACEHOLDER}" }}"#),
    );
    child.send(post("mcp-session-id: s-1\r\n", &said)).await;
    arrival.recv().await.unwrap();
    assert!(on_disk(&gate, r#""t":"mcp.call""#), "before Datadog acts");
    assert!(!on_disk(&gate, r#""t":"mcp.result""#));
    go.send(()).unwrap();
    let answer = child.answer_to("POST").await.unwrap();
    assert_eq!(answer.text(), result("7", "two logs"));
    // Datadog got what was said, byte for byte, but for the headers with the keys.
    assert_eq!(upstream.requests()[0].text(), said);
    drop(child);
    let session = gate.finish().await;
    let exchange = session.call();
    assert_eq!(exchange.request.op.as_deref(), Some("tools/call"));
    assert_eq!(exchange.request.access, Effect::Read);
    let [call] = called(&session).try_into().unwrap();
    assert_eq!(call.1.call, exchange.request.call);
    assert_eq!(call.0, exchange.request_leaf + 1);
    let event = &call.1;
    assert_eq!(
        (&*event.server, &*event.tool, &*event.id, event.access),
        (HOST, "search_datadog_logs", "7", Effect::Read)
    );
    let kept = arguments(&session, &call);
    assert!(
        kept.starts_with(r#"{ "query":"status:error", "key":"[REDACTED:dd-api-key-placeholder:"#)
    );
    assert_eq!(event.redactions.len(), 1);
    let [result] = answered(&session).try_into().unwrap();
    assert_eq!((result.1.call, result.1.came_in), (event.call, None));
    assert_eq!(result.1.outcome, ToolOutcome::Ok);
    assert!(result.0 < exchange.response.as_ref().unwrap().0);
    assert_eq!(
        outcome(&session, &result),
        r#"{"content":[{"type":"text","text":"two logs"}]}"#
    );
    assert!(unread(&session).is_empty());
}

/// Progress, a request of the server's own, then the result: every event is with the child before
/// the next one is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_pass_one_by_one_and_the_result_is_found_among_them() {
    const EVENTS: usize = 40;
    let (go, gone) = mpsc::unbounded_channel::<()>();
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(gone));
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let gone = std::sync::Arc::clone(&gone);
        async move {
            talk.request().await.unwrap();
            talk.wire.send(events()).await;
            for i in 0..EVENTS {
                gone.lock().await.recv().await.unwrap();
                let progress = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progress":{i}}}}}"#
                );
                talk.wire.send(chunk(event(&progress))).await;
            }
            // The result comes in two pieces.
            let last = event(&result("\"a\"", "done"));
            let (front, back) = last.split_at(last.len() / 2);
            talk.wire.send(chunk(front)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            talk.wire.send(chunk(back)).await;
            talk.wire.send("0\r\n\r\n").await;
        }
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = child(&gate).await;
    child
        .send(post("", call("\"a\"", "create_datadog_notebook", "{}")))
        .await;
    assert_eq!(child.head().await.unwrap().unwrap().status(), 200);
    let (mut delays, mut trailers) = (Vec::new(), Vec::new());
    for _ in 0..EVENTS {
        let sent = Instant::now();
        go.send(()).unwrap();
        child.chunk(&mut trailers).await.unwrap().unwrap();
        delays.push(sent.elapsed());
    }
    let mut rest = Vec::new();
    while let Some(piece) = child.chunk(&mut trailers).await.unwrap() {
        rest.extend(piece);
    }
    assert_eq!(rest, event(&result("\"a\"", "done")).into_bytes());
    delays.sort();
    // Through both hops, recorded, in a debug build.
    println!(
        "an event takes {:?} at the median, {:?} at most",
        delays[EVENTS / 2],
        delays[EVENTS - 1]
    );
    assert!(delays[EVENTS / 2] < Duration::from_millis(20), "{delays:?}");
    drop(child);
    let session = gate.finish().await;
    assert_eq!(session.call().request.access, Effect::Write);
    let [result] = answered(&session).try_into().unwrap();
    assert_eq!(result.1.came_in, None);
    assert!(outcome(&session, &result).contains("done"));
    assert!(unread(&session).is_empty(), "{:?}", unread(&session));
}

/// A stream that broke off is taken up again by GET: the result comes there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_in_another_stream_is_tied_by_session_and_id() {
    let upstream = Upstream::answering(|request| {
        if request.head.method() == "POST" {
            // A server that closes at once, after an event to resume from.
            let body = chunk("id: 1\ndata:\n\n");
            return [events().as_bytes(), &body[..], &b"0\r\n\r\n"[..]].concat();
        }
        let session = request.head.one("mcp-session-id").unwrap();
        let text = event(&result("1", &format!("for {session}")));
        [events().as_bytes(), &chunk(text)[..], &b"0\r\n\r\n"[..]].concat()
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = child(&gate).await;
    for session in ["one", "two"] {
        let headers = format!("mcp-session-id: {session}\r\n");
        let said = call("1", "get_datadog_metric", "{}");
        child.ask(post(&headers, said)).await;
    }
    for session in ["two", "one"] {
        let resume = format!(
            "GET /v1/mcp HTTP/1.1\r\nhost: {HOST}\r\naccept: text/event-stream\r\n{KEYS}\
             mcp-session-id: {session}\r\nlast-event-id: 1\r\n\r\n"
        );
        child.ask(resume.into_bytes()).await;
    }
    drop(child);
    let session = gate.finish().await;
    let results: Vec<_> = answered(&session)
        .iter()
        .map(|it| (it.1.call.0, it.1.came_in, outcome(&session, it)))
        .collect();
    let [two, one] = results.try_into().unwrap();
    assert_eq!((two.0, two.1), (2, Some(CallNumber(3))));
    assert!(two.2.contains("for two"));
    assert_eq!((one.0, one.1), (1, Some(CallNumber(4))));
    assert!(one.2.contains("for one"));
    assert_eq!(session.calls()[2].request.access, Effect::Read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_of_a_batch_has_its_own_leaves() {
    let upstream = Upstream::answering(|_| {
        let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#;
        let failed = r#"{"jsonrpc":"2.0","id":2,"result":{"isError":true,"content":[]}}"#;
        json(&format!("[{failed},{error}]"))
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = child(&gate).await;
    let ping = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    let batch = format!(
        "[{},{ping},{}]",
        call("1", "search_datadog_logs", r#"{"n":1}"#),
        call("2", "delete_datadog_dashboard", r#"{"n":2}"#)
    );
    child.ask(post("", &batch)).await;
    drop(child);
    let session = gate.finish().await;
    let exchange = session.call();
    assert_eq!(exchange.request.op.as_deref(), Some("tools/call, ping"));
    assert_eq!(exchange.request.access, Effect::Destroy);
    let calls = called(&session);
    let each: Vec<_> = calls
        .iter()
        .map(|it| (it.1.nth, it.1.access, arguments(&session, it)))
        .collect();
    assert_eq!(
        each,
        [
            (0, Effect::Read, r#"{"n":1}"#.to_owned()),
            (1, Effect::Destroy, r#"{"n":2}"#.to_owned())
        ]
    );
    let results: Vec<_> = answered(&session)
        .iter()
        .map(|it| (it.1.nth, it.1.outcome))
        .collect();
    assert_eq!(
        results,
        [(1, ToolOutcome::ToolError), (0, ToolOutcome::RpcError)]
    );
}

/// A body too long for one leaf is streamed: its tool call is on record before its end is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_call_is_on_record_before_its_end_is_sent() {
    for chunked in [false, true] {
        let (upstream, mut arrival, go) = waiting(result("3", "ok")).await;
        let gate = Gate::to(&upstream).await;
        let mut child = child(&gate).await;
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(300 << 10));
        let said = call("3", "edit_datadog_notebook", &long);
        if chunked {
            let head = format!(
                "POST /v1/mcp HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n{KEYS}\
                 transfer-encoding: chunked\r\n\r\n"
            );
            child.send(head).await;
            child.send(chunk(&said)).await;
            child.send("0\r\n\r\n").await;
        } else {
            child.send(post("", &said)).await;
        }
        arrival.recv().await.unwrap();
        assert!(on_disk(&gate, r#""t":"mcp.call""#), "chunked: {chunked}");
        go.send(()).unwrap();
        child.answer_to("POST").await.unwrap();
        assert_eq!(upstream.requests()[0].text(), said);
        drop(child);
        let session = gate.finish().await;
        let [call] = called(&session).try_into().unwrap();
        assert_eq!(arguments(&session, &call), long);
        assert_eq!(call.1.access, Effect::Write);
        // Nobody knew what it is when its head was recorded.
        assert_eq!(session.call().request.access, Effect::Unknown);
        assert_eq!(answered(&session).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_passes_unharmed_and_is_said_to_be_so() {
    let twice =
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"x"}}"#;
    let cut = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"na"#;
    let good = call("1", "search_datadog_logs", "{}");
    let hostile = "]}\u{0}not json";
    for (said, answer, expected) in [
        (twice, result("1", "x"), vec![Side::Request]),
        (cut, result("1", "x"), vec![Side::Request]),
        (good.as_str(), hostile.to_owned(), vec![Side::Response]),
        // A result nobody asked for, and one that comes twice.
        (good.as_str(), result("99", "x"), vec![]),
        (
            good.as_str(),
            format!("[{0},{0}]", result("1", "x")),
            vec![],
        ),
    ] {
        let reply = json(&answer);
        let upstream = Upstream::saying(reply).await;
        let gate = Gate::to(&upstream).await;
        let mut child = child(&gate).await;
        let got = child.ask(post("", said)).await;
        assert_eq!(got.body, answer.as_bytes());
        assert_eq!(upstream.requests()[0].body, said.as_bytes());
        drop(child);
        let session = gate.finish().await;
        let sides: Vec<_> = unread(&session).iter().map(|it| it.side).collect();
        assert_eq!(sides, expected, "{said}: {:?}", unread(&session));
        if expected == [Side::Request] {
            assert!(called(&session).is_empty());
            assert_eq!(session.call().request.access, Effect::Unknown);
        }
        assert!(answered(&session).len() <= 1);
        assert_eq!(session.answer_body(&session.call()), answer.as_bytes());
    }
}

/// An event of any size passes; one that is too long is only not looked into.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_many_megabytes_is_passed_on() {
    const BYTES: usize = 9 << 20;
    let upstream = Upstream::talking(|mut talk: Talk| async move {
        talk.request().await.unwrap();
        talk.wire.send(events()).await;
        talk.wire.send(chunk("data: ")).await;
        for _ in 0..BYTES >> 20 {
            talk.wire.send(chunk(vec![b'x'; 1 << 20])).await;
        }
        talk.wire.send(chunk("\n\n")).await;
        talk.wire.send(chunk(event(&result("1", "after")))).await;
        talk.wire.send("0\r\n\r\n").await;
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = child(&gate).await;
    let said = call("1", "get_datadog_trace", "{}");
    let got = child.ask(post("", said)).await;
    assert!(got.body.len() > BYTES);
    drop(child);
    let session = gate.finish().await;
    assert_eq!(unread(&session).len(), 1, "{:?}", unread(&session));
    assert_eq!(answered(&session).len(), 1);
}

/// Below the level `full` arguments and results are not kept, and the record says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_hold_for_arguments_and_results() {
    let upstream = Upstream::saying(json(&result("1", "a secret of the house"))).await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        recording: Recording {
            user: LevelRules {
                read: Some(Level::Metadata),
                ..LevelRules::default()
            },
            ..Recording::default()
        },
        ..Setup::default()
    })
    .await;
    let mut child = child(&gate).await;
    let said = call("1", "search_datadog_logs", r#"{"q":"a question"}"#);
    child.ask(post("", said)).await;
    drop(child);
    let session = gate.finish().await;
    let [call] = called(&session).try_into().unwrap();
    let [result] = answered(&session).try_into().unwrap();
    assert_eq!(call.1.level, Some(Level::Metadata));
    assert!(call.1.args.as_ref().is_some_and(|args| args.n == 18));
    assert_eq!(session.kept(call.0, "args"), None);
    assert_eq!(session.kept(result.0, "result"), None);
    assert_eq!(
        result.1.unkept.as_deref(),
        Some("recorded at level metadata")
    );
}

/// An agent that signed in at the MCP server by itself, and one that is about to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_agents_own_passes_to_the_mcp_server_alone() {
    const TOKEN: &str = "the-token-that-the-agent-got-at-its-own-sign-in";
    let upstream = Upstream::answering(|request| {
        json(&result(
            "1",
            request.head.one("authorization").unwrap_or("who are you?"),
        ))
    })
    .await;
    let gate = Gate::to(&upstream).await;
    let mut child = child(&gate).await;
    let said = call("1", "get_datadog_trace", &format!(r#"{{"t":"{TOKEN}"}}"#));
    let post = |path: &str, headers: &str, body: &str| {
        let n = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n\
             {headers}content-length: {n}\r\n\r\n{body}"
        )
    };
    let own = format!("authorization: Bearer {TOKEN}\r\n");
    let got = child.ask(post("/v1/mcp", &own, &said)).await;
    assert!(got.text().contains(TOKEN));
    assert_eq!(child.ask(post("/v1/mcp", "", &said)).await.status(), 200);
    // Where tokens are given out, nothing of a body is kept.
    let secret = r#"{"refresh_token":"a-refresh-token-in-a-body"}"#;
    child.ask(post("/oauth/token", "", secret)).await;
    // With a real key beside it, with a real key as the token, or anywhere else: refused.
    for headers in [
        format!("{own}dd-api-key: {API}\r\n"),
        format!("authorization: Bearer {API}\r\n"),
    ] {
        let got = child.ask(post("/v1/mcp", &headers, "{}")).await;
        assert_eq!(got.status(), 403, "{headers}");
    }
    let mut elsewhere = Wire::new(gate.tls("api.datadoghq.com", &["http/1.1"]).await);
    let got = elsewhere
        .ask(format!(
            "GET /api/v1/monitor HTTP/1.1\r\nhost: api.datadoghq.com\r\n{own}\r\n"
        ))
        .await;
    assert_eq!(got.status(), 403);
    let reached = upstream.requests();
    let tokens: Vec<_> = reached
        .iter()
        .map(|it| it.head.one("authorization"))
        .collect();
    let shown = format!("Bearer {TOKEN}");
    assert_eq!(tokens, [Some(shown.as_str()), None, None]);
    assert!(reached.iter().all(|it| it.head.one("dd-api-key").is_none()));
    assert_eq!(
        gate.proxy
            .own_tokens
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
    drop((child, elsewhere));
    let dir = gate.dir.clone();
    let session = gate.finish().await;
    let calls = session.calls();
    let rules: Vec<_> = calls
        .iter()
        .map(|it| (it.denied, &*it.request.rule))
        .collect();
    assert_eq!(
        rules,
        [
            (false, "own-token"),
            (false, "no-token"),
            (false, "no-token"),
            (true, "foreign-key"),
            (true, "foreign-key"),
            (true, "foreign-key"),
        ]
    );
    // The call that carried it does not hold it, neither in what was said nor in the answer.
    let one = &calls[0];
    assert!(
        !String::from_utf8(session.request_body(one))
            .unwrap()
            .contains(TOKEN)
    );
    assert!(
        !String::from_utf8(session.answer_body(one))
            .unwrap()
            .contains(TOKEN)
    );
    session.assert_free_of(dir.path(), &["a-refresh-token-in-a-body"]);
}
