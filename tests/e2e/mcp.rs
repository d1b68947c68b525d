//! `ddgate mcp`: a server on standard input and output behaves as without ddgate, and its tool
//! calls are on record. The servers are `sh`; a real one is driven in `tests/interop.rs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::lapse;
use crate::world::{Ddgate, World, wait_until};

/// Answers every line with a result of its own making, and says what it got on standard error.
const SERVER: &str = r#"
while IFS= read -r line; do
    printf 'got %s\n' "$line" >&2
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
    [ -z "$id" ] || printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[],"key":"%s"}}\n' "$id" "$DD_API_KEY"
done
exit 7
"#;

fn mcp(world: &World, server: &[&str]) -> Ddgate {
    let upstream = world.sandbox.upstream();
    let flags = ["mcp", "--identity", "local", "--upstream", &upstream, "--"];
    world.ddgate(flags.iter().chain(server)).keys(world)
}

/// The same, with this script, for what is said line by line.
fn conversation(world: &World, server: &str) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let upstream = world.sandbox.upstream();
    let (api, application) = world.keys();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ddgate"))
        .args(["mcp", "--identity", "local", "--upstream", &upstream, "--"])
        .args(["sh", "-c", server])
        .env_clear()
        .env("HOME", world.home())
        .env("DDGATE_DATA_DIR", world.data())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("DD_API_KEY", api)
        .env("DD_APP_KEY", application)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, input, output)
}

fn request(id: u32, method: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method}).to_string()
}

fn call(id: u32, tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)
}

/// What became of each call, in words.
fn told(session: &Value) -> Vec<String> {
    let calls = session["calls"].as_array().unwrap().iter();
    let told = calls.map(|it| {
        let text = |member: &str| it[member].as_str().unwrap();
        ["label", "decision", "rule", "outcome"]
            .map(text)
            .join(", ")
    });
    told.collect()
}

#[test]
fn each_tool_call_is_a_call_of_its_own_and_nothing_else_is_changed() {
    let world = World::new();
    let said = [
        request(1, "initialize"),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        call(2, "get-monitors", &json!({"tags": ["env:prod"]})),
        "this is no message".to_owned(),
        // Without the end of its line, as somebody's last word.
        call(3, "delete-monitor", &json!({"id": 7})),
    ]
    .join("\n");
    let outcome = mcp(&world, &["sh", "-c", SERVER])
        .input(said.as_bytes())
        .exits(7);
    let answers: Vec<Value> = String::from_utf8(outcome.stdout.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // `read` of the shell drops a last line without an end, and so would it without ddgate.
    let ids: Vec<u64> = answers
        .iter()
        .map(|it| it["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2]);
    let (api, _) = world.keys();
    assert_ne!(answers[1]["result"]["key"], api.as_str(), "a placeholder");
    let session = world.replay_json(&outcome.session());
    let calls = session["calls"].as_array().unwrap();
    let labels: Vec<&str> = calls
        .iter()
        .map(|it| it["label"].as_str().unwrap())
        .collect();
    assert_eq!(
        labels,
        [
            "tools/call get-monitors",
            "tools/call (not understood)",
            "tools/call delete-monitor"
        ]
    );
    assert_eq!(calls[0]["outcome"], "answered");
    assert_eq!(calls[0]["tools"][0]["outcome"], "ok");
    assert_eq!(calls[0]["tools"][0]["server"], "sh");
    assert_eq!(
        calls[1]["not_understood"][0],
        "it is not JSON as JSON-RPC has it"
    );
    assert_eq!(calls[2]["outcome"], "in_doubt");
    let id = outcome.session();
    let shown = world.ddgate(["show", &id, "1", "--json"]).succeeds().json();
    assert_eq!(
        shown["tool_contents"][0]["arguments"]["text"],
        r#"{"tags":["env:prod"]}"#
    );
    let result = shown["tool_contents"][0]["result"]["text"]
        .as_str()
        .unwrap();
    assert!(
        result.contains("[REDACTED:dd-api-key-placeholder:"),
        "{result}"
    );
    let body = world
        .ddgate(["show", &id, "1", "--body", "request"])
        .succeeds();
    assert_eq!(body.stdout, br#"{"tags":["env:prod"]}"#);
    // An exit code of 2: a call without an end is something that is not there.
    let verified = world.ddgate(["verify", &id]).go();
    assert!(verified.code == Some(0), "{verified:?}");
}

/// Raw carriage returns may stand between the tokens of JSON, and end a line to many readers: the server
/// here is one of those.
#[test]
fn a_carriage_return_hides_no_call() {
    let world = World::new();
    let hidden = call(2, "hidden", &json!({}));
    let around =
        |inside: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{inside}}}"#);
    let said = [
        around(&format!("\r{hidden}\r")),
        format!("\r{hidden}"),
        format!("not a message\r{hidden}\r"),
        // The end of a line as Windows has it.
        call(3, "plain", &json!({})) + "\r",
        "\r".to_owned(),
    ]
    .join("\n");
    let outcome = mcp(&world, &["sh", "-c", "tr '\\r' '\\n' >&2"])
        .input(said.as_bytes())
        .succeeds();
    let heard = outcome.said();
    assert!(!heard.contains("hidden"), "{heard}");
    assert!(heard.contains(r#""name":"plain""#), "{heard}");
    let answers: Vec<Value> = String::from_utf8(outcome.stdout.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<&Value> = answers.iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &Value::Null], "{answers:?}");
    for answer in &answers {
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer["error"]["message"].as_str().unwrap(), @"ddgate: there is a carriage return inside this message, where some servers begin another one; nothing was sent; a message is one line, with no carriage return in it");
        }
    }
    let session = world.replay_json(&outcome.session());
    let refused = "tools/call (not understood), deny, carriage-return, refused";
    assert_eq!(
        told(&session),
        [
            refused,
            refused,
            refused,
            "tools/call plain, allow, default, in_doubt"
        ]
    );
    assert_eq!(
        session["calls"][0]["not_understood"][0],
        "there is a carriage return inside it"
    );
}

/// What a server says may hold them too: nothing is refused there, and each result is on record.
#[test]
fn results_between_carriage_returns_are_on_record() {
    let world = World::new();
    let script = r#"read -r line; read -r line
        printf '{"jsonrpc":"2.0","id":%s,"result":{}}\r' 1 2; echo"#;
    let said = call(1, "one", &json!({})) + "\n" + &call(2, "two", &json!({})) + "\n";
    let outcome = mcp(&world, &["sh", "-c", script])
        .input(said.as_bytes())
        .succeeds();
    let answer = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#) + "\r";
    let passed = String::from_utf8(outcome.stdout.clone()).unwrap();
    assert_eq!(passed, answer(1) + &answer(2) + "\n");
    assert_eq!(
        told(&world.replay_json(&outcome.session())),
        [
            "tools/call one, allow, default, answered",
            "tools/call two, allow, default, answered"
        ]
    );
}

/// A method that is not the protocol's may do anything, and so may what a reader with more ends of lines
/// than ours, and more quotes than JSON's, finds in a string.
#[test]
fn what_may_act_without_being_a_tool_call_is_on_record() {
    let world = World::new();
    let inside = "\u{2028}{'jsonrpc':'2.0','id':9,'method':'tools/call'}\u{2028}";
    let said = [
        request(1, "account/delete"),
        r#"{"jsonrpc":"2.0","method":"notifications/account/delete"}"#.to_owned(),
        format!(r#"{{"jsonrpc":"2.0","id":2,"method":"ping","params":{{"x":"{inside}"}}}}"#),
        request(3, "ping"),
        call(4, "note", &json!({"text": "one\u{2028}two"})),
    ]
    .join("\n")
        + "\n";
    let outcome = mcp(&world, &["sh", "-c", SERVER])
        .input(said.as_bytes())
        .exits(7);
    assert_eq!(
        outcome.said().matches("got ").count(),
        5,
        "all of it passes"
    );
    let session = world.replay_json(&outcome.session());
    let unknown = "tools/call (not understood), allow, default, ";
    assert_eq!(
        told(&session),
        [
            format!("{unknown}answered"),
            format!("{unknown}in_doubt"),
            format!("{unknown}in_doubt"),
            "tools/call note, allow, default, answered".to_owned(),
        ]
    );
    let why = |call: usize| session["calls"][call]["not_understood"][0].clone();
    assert_eq!(why(0), "its method is not the protocol's: account/delete");
    assert_eq!(why(2), "some readers end a line inside it");
    assert_eq!(session["calls"][0]["effect"], "unknown");
}

/// A server that asks for something, and ends no line before it has it, holds up nobody who is refused.
#[test]
fn a_prompt_without_an_end_holds_up_no_answer() {
    let world = World::new();
    let asked = world.root().join("asked");
    let script = format!(
        "printf 'your name? '; touch {}; exec sleep 30",
        asked.display()
    );
    let (mut child, mut input, mut output) = conversation(&world, &script);
    wait_until("the server asks", || asked.exists());
    let begun = Instant::now();
    let refused = call(1, "x", &json!({})).replace(',', ",\r");
    writeln!(input, "{refused}").unwrap();
    let mut lines = String::new();
    output.read_line(&mut lines).unwrap();
    output.read_line(&mut lines).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{lines}");
    let answer = lines.strip_prefix("your name? \n").unwrap();
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(1), &json!(-32000))
    );
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    child.wait().unwrap();
}

#[test]
fn what_people_see() {
    let world = World::new();
    let said = call(2, "get-monitors", &json!({"tags": ["env:prod"]})) + "\n";
    let outcome = mcp(&world, &["sh", "-c", SERVER])
        .input(said.as_bytes())
        .exits(7);
    let id = outcome.session();
    let replay = world.ddgate(["replay", &id]).succeeds().shown();
    let line = replay
        .lines()
        .find(|line| line.contains("get-monitors"))
        .unwrap();
    assert!(
        line.contains("unknown  MCP  tools/call get-monitors  answered"),
        "{replay}"
    );
    let show = world.ddgate(["show", &id, "1"]).succeeds().shown();
    for part in [
        "request  tool of the wrapped server sh",
        "tool  get-monitors (unknown) of sh, id 2: answered after",
        "arguments of get-monitors (21 B)",
        "\"env:prod\"",
        "result of get-monitors",
    ] {
        assert!(show.contains(part), "{part} is not in {show}");
    }
    assert!(!show.contains("request headers"), "{show}");
}

/// A conversation: each answer comes before the next question is asked.
#[test]
fn nothing_waits_for_more_to_come() {
    let world = World::new();
    let (mut child, mut input, mut output) = conversation(&world, SERVER);
    for id in 1..=5 {
        writeln!(input, "{}", call(id, "ask", &json!({}))).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id);
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

/// While nobody vouches for whoever acts, tool calls are refused as they are over HTTP, and the protocol
/// goes on.
#[test]
fn tool_calls_of_a_lapsed_identity_stay_outside() {
    let settings = "[journal]\ndurability = \"process\"\n";
    let Some((provider, world)) = lapse::signed_in(settings) else {
        return;
    };
    provider.fault(&lapse::holding(9));
    let upstream = world.sandbox.upstream();
    let (api, application) = world.keys();
    let heard = std::fs::File::create(world.root().join("stderr")).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ddgate"))
        .args(["mcp", "--upstream", &upstream, "--", "sh", "-c", SERVER])
        .env_clear()
        .env("HOME", world.home())
        .env("DDGATE_CONFIG", world.root().join("config/ddgate.toml"))
        .env("DDGATE_DATA_DIR", world.data())
        .env("DDGATE_ISSUER", &provider.issuer)
        .env("DDGATE_CLIENT_ID", "ddgate-cli")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("DD_API_KEY", api)
        .env("DD_APP_KEY", application)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(heard)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |line: &str| -> Value {
        writeln!(input, "{line}").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"))
    };
    let first = ask(&call(1, "before", &json!({})));
    assert!(first["result"].is_object(), "{first}");
    provider.clear("faults");
    provider.fault("token@refresh_token.status=503");
    wait_until("the lapse is on record", || {
        lapse::count(&world, |it| it["verified"] == false) == 1
    });
    let refused = ask(&call(2, "meanwhile", &json!({"of": "secrets"})));
    assert_eq!(refused["id"], 2);
    assert_eq!(refused["error"]["code"], -32000);
    insta::assert_snapshot!(refused["error"]["message"].as_str().unwrap(), @"ddgate: the identity this session runs under has lapsed: it expired and could not be verified again; nothing was sent; calls pass again when the person has signed in anew (ddgate login, in another terminal)");
    let batch = format!(
        "[{},{}]",
        call(3, "meanwhile", &json!({})),
        request(4, "ping")
    );
    let refused = ask(&batch);
    let ids: Vec<&Value> = refused
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, [&json!(3), &json!(4)], "{refused}");
    let refused = ask("this may be anything");
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&Value::Null, &json!(-32000))
    );
    for id in [7, 8] {
        let method = request(id, "account/meanwhile");
        let split = request(id, "ping").replace("ping\"", "ping\",\"x\":\"\u{2028}meanwhile\"");
        let refused = ask(if id == 7 { &method } else { &split });
        assert_eq!(
            (&refused["id"], &refused["error"]["code"]),
            (&json!(id), &json!(-32000))
        );
    }
    let passed = ask(&request(5, "ping"));
    assert!(passed["result"].is_object(), "{passed}");
    provider.clear("faults");
    wait_until("it is verified again", || {
        lapse::count(&world, |it| it["verified"] == true) == 1
    });
    let last = ask(&call(6, "after", &json!({})));
    assert!(last["result"].is_object(), "{last}");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(7));

    let heard = std::fs::read_to_string(world.root().join("stderr")).unwrap();
    let got: Vec<&str> = heard
        .lines()
        .filter(|line| line.starts_with("got "))
        .collect();
    assert_eq!(got.len(), 3, "{heard}");
    assert!(
        !heard.contains("meanwhile") && !heard.contains("may be anything"),
        "{heard}"
    );
    let session = world.replay_json("latest");
    assert_eq!(
        told(&session),
        [
            "tools/call before, allow, default, answered",
            "tools/call meanwhile, deny, identity-lapsed, refused",
            "tools/call meanwhile, deny, identity-lapsed, refused",
            "tools/call (not understood), deny, identity-lapsed, refused",
            "tools/call (not understood), deny, identity-lapsed, refused",
            "tools/call (not understood), deny, identity-lapsed, refused",
            "tools/call after, allow, default, answered",
        ]
    );
    assert_eq!(session["counts"]["denied"], 5);
    assert_eq!(session["counts"]["in_doubt"], 0);
    let show = world.ddgate(["show", "latest", "2"]).succeeds().shown();
    assert!(
        show.contains("meanwhile (unknown) of sh, id 2: refused by the gate"),
        "{show}"
    );
    assert!(show.contains("secrets"), "{show}");
    world.ddgate(["verify", "latest"]).succeeds();
    let out = world.root().join("out");
    let out = out.to_str().unwrap();
    world
        .ddgate(["export", "latest", "--output", out])
        .succeeds();
    let verified = world.ddgate(["verify", "--dir", out]).succeeds().shown();
    assert!(verified.contains("VERIFIED"), "{verified}");
}

/// A server that says much at its end loses nothing, and a process it leaves behind holds nobody.
#[test]
fn what_a_server_says_last_is_passed_on() {
    let world = World::new();
    let script =
        "sleep 30 2>/dev/null & head -c 3000000 /dev/zero | tr '\\0' 'x'; printf '\\nlast'; exit 3";
    let outcome = mcp(&world, &["sh", "-c", script]).exits(3);
    assert_eq!(outcome.stdout.len(), 3_000_005);
    assert!(outcome.stdout.ends_with(b"\nlast"));
}

#[test]
fn signals_reach_the_server() {
    let world = World::new();
    let script = r#"trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"#;
    let marker = world.root().join("ready");
    let script = script.replace("echo ready", &format!("touch {}", marker.display()));
    let live = mcp(&world, &["sh", "-c", &script]).spawn();
    wait_until("the server runs", || marker.exists());
    live.signal(Signal::TERM);
    let outcome = live.end();
    assert_eq!(
        (outcome.code, outcome.stdout),
        (Some(5), b"told\n".to_vec())
    );
}

/// Nobody can be asked: the agent gets an answer it can show, and the exit code says why.
#[test]
fn whoever_is_not_signed_in_is_told_in_the_protocol() {
    let world = World::new();
    let upstream = world.sandbox.upstream();
    let said = request(41, "initialize") + "\n";
    let outcome = world
        .ddgate([
            "mcp",
            "--prompt",
            "always",
            "--upstream",
            &upstream,
            "--",
            "sh",
            "-c",
            SERVER,
        ])
        .issuer(&world)
        .keys(&world)
        .input(said.as_bytes())
        .exits(3);
    let answer: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(41), &json!(-32000))
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("ddgate login"), "{message}");
    assert!(!outcome.said().contains("got "), "the server never ran");
    assert!(world.session_ids().is_empty());
}

/// A filtered environment inside a run: the keys of the run are not there, and no others are taken.
#[test]
fn inside_a_run_without_its_placeholders_it_says_what_to_do() {
    let world = World::new();
    let own = env!("CARGO_BIN_EXE_ddgate");
    let inner = format!(
        "env -u DD_API_KEY -u DD_APP_KEY -u DATADOG_API_KEY -u DATADOG_APP_KEY \
         -u DD_APPLICATION_KEY -u DATADOG_APPLICATION_KEY -u DD_ACCESS_TOKEN -u DD_BEARER_TOKEN \
         -u DATADOG_BEARER_TOKEN {own} mcp --identity local -- true </dev/null"
    );
    let outcome = world.run(["sh", "-c", &inner]).exits(125);
    let said = outcome.said();
    assert!(
        said.contains("did not come through") && said.contains("ddgate-mcp(5)"),
        "{said}"
    );
}
