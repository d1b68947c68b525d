//! Sessions that are shown while they are read: running ones, and ones too long to hold.

use std::path::Path;

use ddgate::journal::catalog::SessionDir;
use ddgate::journal::{Attachment, Journal, commit};
use ddgate::record::event::{
    CallRequest, CallResponse, DatadogSide, Decision, Durability, SessionClose, SessionOpen, Tool,
};
use ddgate::record::tool::Via;
use ddgate::record::{
    CallNumber, Effect, Event, McpCall, McpResult, Outcome, SessionId, ToolOutcome,
};
use ddgate::redact::KnownSecrets;
use serde_json::Value;

use crate::world::{World, wait_until};

#[test]
fn a_running_session_is_followed_to_its_end() {
    let world = World::new();
    let (done, go) = (world.root().join("done"), world.root().join("go"));
    let script = format!(
        "GET /api/v1/monitor\ntouch {}\nawait {}\nDELETE /api/v1/monitor/6",
        done.display(),
        go.display()
    );
    let live = world.agent(&script).spawn();
    wait_until("its first call is made", || done.exists());
    let follower = world.ddgate(["replay", "latest", "--follow"]).spawn();
    let machine = world
        .ddgate(["replay", "latest", "--follow", "--json"])
        .spawn();
    // Read while it runs, each verb at once; none of them disturbs it.
    let shown = world.ddgate(["replay", "latest"]).succeeds();
    assert!(shown.shown().contains("still running"), "{shown:?}");
    assert!(
        world
            .ddgate(["show", "latest", "1"])
            .succeeds()
            .shown()
            .contains("ListMonitors")
    );
    let verified = world.ddgate(["verify", "latest", "--json"]).exits(2);
    assert_eq!(verified.json()["state"], "running");
    assert_eq!(verified.json()["faults"], Value::Array(Vec::new()));
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::fs::write(go, "").unwrap();
    assert_eq!(live.end().code, Some(0));
    let (follower, machine) = (follower.end(), machine.end());
    assert_eq!(follower.code, Some(0), "{follower:?}");
    let text = follower.shown();
    for word in ["ListMonitors", "DeleteMonitor", "the command ended well"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert!(follower.said().contains("verified: "), "{follower:?}");
    assert_eq!(machine.code, Some(0), "{machine:?}");
    let lines: Vec<Value> = String::from_utf8_lossy(&machine.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let calls: Vec<_> = lines.iter().map(|call| &call["operation"]).collect();
    assert_eq!(calls, ["ListMonitors", "DeleteMonitor"]);
}

/// A server of MCP may answer a message at once and bring the result in another stream, long after
/// the call was shown.
#[test]
fn a_result_that_comes_late_is_shown_when_it_comes() {
    let world = World::new();
    std::fs::create_dir_all(world.sessions()).unwrap();
    let (journal, id) = opened(&world.sessions(), "late");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let followed = |name: &str, flags: &[&str]| {
        let path = world.root().join(name);
        let to_file = format!("exec \"$@\" >{}", path.display());
        let id = id.to_string();
        let words = [&["replay", &id, "--follow"], flags].concat();
        let live = world.under(&["sh", "-c", &to_file, "sh"], words).spawn();
        (live, move || {
            std::fs::read_to_string(&path).unwrap_or_default()
        })
    };
    let (text, text_so_far) = followed("text", &[]);
    let (lines, lines_so_far) = followed("lines", &["--json"]);
    let known = KnownSecrets::new([]).unwrap();
    let (first, second) = (journal.next_call(), journal.next_call());
    runtime.block_on(async {
        for call in [first, second] {
            let (mut request, beside) = request(call);
            request.op = (call == first).then(|| "tools/call".into());
            let permit = journal.intend(request, beside).await.unwrap();
            if call == first {
                let tool = Event::McpCall(tool(call));
                journal.note(tool, Vec::new()).await.unwrap();
                end(&journal, call, permit.request_leaf()).await;
            }
        }
    });
    wait_until("the call is shown", || {
        text_so_far().contains("get_datadog_metric") && lines_so_far().lines().count() == 1
    });
    assert!(!text_so_far().contains("answered after"));
    runtime.block_on(async {
        let result = commit("result", known.text("{}").into());
        let event = Event::McpResult(McpResult {
            call: first,
            nth: 0,
            via: Via::Http,
            came_in: Some(second),
            outcome: ToolOutcome::Ok,
            result: result.commitment(),
            dur_us: 5_000,
            level: None,
            unkept: None,
            redactions: Vec::new(),
        });
        journal.conclude(event, vec![result]).await.unwrap();
    });
    wait_until("its result is shown", || {
        text_so_far().contains("call 1, tools/call get_datadog_metric: answered after 5.0")
            && lines_so_far().lines().count() == 2
    });
    journal.close(SessionClose {
        calls: 0,
        reason: "exit".into(),
        exit: Some(0),
    });
    assert_eq!((text.end().code, lines.end().code), (Some(0), Some(0)));
    let shown: Vec<Value> = lines_so_far()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let results: Vec<_> = shown
        .iter()
        .map(|call| (&call["number"], &call["tools"][0]["result_in"]))
        .collect();
    let late = (&Value::from(1), &Value::from(2));
    assert_eq!(results[..2], [(late.0, &Value::Null), late]);
    assert_eq!(shown[1]["target"], "/api/v9/thing?q=1", "known as before");
    assert_eq!(shown.len(), 3, "the other call, once");
}

fn tool(call: CallNumber) -> McpCall {
    McpCall {
        call,
        nth: 0,
        via: Via::Http,
        server: "mcp.datadoghq.com".into(),
        tool: "get_datadog_metric".into(),
        id: "1".into(),
        access: Effect::Read,
        level: None,
        args: None,
        unkept: None,
        redactions: Vec::new(),
        decision: None,
        rule: None,
    }
}

/// More calls than are held at once. Their ends come late and in another order; one never comes.
fn long_session(sessions: &Path, calls: u64) -> SessionId {
    let (journal, session) = opened(sessions, "long");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..calls {
            let call = journal.next_call();
            let (request, beside) = request(call);
            let permit = journal.intend(request, beside).await.unwrap();
            open.push((call, permit.request_leaf()));
            // The second call ends last of all, the third never.
            if open.len() > 7 {
                let (call, re) = open.remove(5);
                end(&journal, call, re).await;
            }
        }
        open.retain(|(call, _)| call.0 != 3);
        open.sort_by_key(|(call, _)| std::cmp::Reverse(call.0));
        for (call, re) in open {
            end(&journal, call, re).await;
        }
    });
    journal.close(SessionClose {
        calls: 0,
        reason: "exit".into(),
        exit: Some(0),
    });
    session
}

/// A session that runs, of this command.
fn opened(sessions: &Path, command: &str) -> (Journal, SessionId) {
    let session = SessionId::from_bytes([0x4c; 16]);
    let known = KnownSecrets::new([]).unwrap();
    let field = |name, text: &str| commit(name, known.text(text).into());
    let who = field("who", "null");
    let cmd = field("cmd", &format!("[\"{command}\"]"));
    let host = field("host", "{}");
    let open = SessionOpen {
        session,
        origin: format!("test/ddgate/{session}"),
        vkey: None,
        chain: None,
        who: who.commitment(),
        cmd: cmd.commitment(),
        host: host.commitment(),
        tool: Tool {
            version: "0".into(),
        },
        dd: DatadogSide {
            site: "datadoghq.eu".into(),
            credential: "test".into(),
            credential_name: None,
        },
        durability: Durability::Process,
        policy: None,
        enforce: None,
        egress: ddgate::record::EgressRule::Any,
        binding: None,
        bind: None,
    };
    let dir = SessionDir::new(sessions, session);
    (
        Journal::create(&dir, open, vec![who, cmd, host]).unwrap(),
        session,
    )
}

/// A request, and what stands beside it.
fn request(call: CallNumber) -> (CallRequest, Vec<Attachment>) {
    let known = KnownSecrets::new([]).unwrap();
    let target = commit("target", known.text("/api/v9/thing?q=1").into());
    let headers = commit("headers", known.text("[]").into());
    let request = CallRequest {
        call,
        method: "GET".into(),
        host: "api.datadoghq.eu".into(),
        route: String::new(),
        op: None,
        access: Effect::Unknown,
        res: Vec::new(),
        decision: Decision::Allow,
        rule: "default".into(),
        by: None,
        level: None,
        target: target.commitment(),
        headers: headers.commitment(),
        body: None,
        streamed: false,
        unkept: None,
        redactions: Vec::new(),
    };
    (request, vec![target, headers])
}

async fn end(journal: &Journal, call: CallNumber, re: u64) {
    let response = Event::CallResponse(CallResponse {
        call,
        re,
        outcome: Outcome::Answered,
        status: Some(200),
        dur_us: 5,
        wait_us: None,
        headers: None,
        body: None,
        unkept: None,
        error: None,
        redactions: Vec::new(),
    });
    journal.conclude(response, Vec::new()).await.unwrap();
}

#[test]
fn a_long_session_is_shown_whole_and_in_order() {
    let world = World::new();
    let calls = 11_000;
    std::fs::create_dir_all(world.sessions()).unwrap();
    let id = long_session(&world.sessions(), calls).to_string();
    let shown = world.ddgate(["replay", &id]).succeeds();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let numbers: Vec<u64> = text
        .lines()
        .filter(|line| line.contains("/api/v9/thing"))
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (1..=calls).collect::<Vec<_>>());
    assert_eq!(
        text.matches("in doubt").count(),
        3,
        "two summaries and one call"
    );
    assert!(shown.said().contains("verified: "), "{}", shown.said());
    let json = world.ddgate(["replay", &id, "--json"]).succeeds().json();
    let listed = json["calls"].as_array().unwrap();
    assert_eq!(listed.len() as u64, calls);
    assert_eq!(json["counts"]["in_doubt"], 1);
    assert_eq!(json["contradictions"], Value::Array(Vec::new()));
    for (at, call) in listed.iter().enumerate() {
        assert_eq!(call["number"], at as u64 + 1);
        assert_eq!(call["target"], "/api/v9/thing?q=1");
        let outcome = if at == 2 { "in_doubt" } else { "answered" };
        assert_eq!(call["outcome"], outcome, "{call}");
    }
    let list = world.ddgate(["sessions", "--json"]).succeeds().json();
    assert_eq!(list[0]["counts"], json["counts"]);
}
