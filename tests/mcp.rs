//! A real MCP client (the SDK's, on Node 24) and a real server (the SDK's, on the Node of `PATH`)
//! with the real `ddgate` between them: streamable HTTP as Datadog's remote server speaks it,
//! `mcp-remote`, and a stdio server that is wrapped.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

#[path = "support/absent.rs"]
mod absent;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/installed.rs"]
mod installed;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ddgate::demo::datadog::{self, Keys};
use serde_json::Value;

use gate::{Home, Ran};
use installed::{here, installed};

const API: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const APP: &str = "f00dfeedfacecafe0123456789abcdef01234567";

/// Node 24 of `setup.sh`, if it and the SDK are installed.
fn node() -> Option<PathBuf> {
    installed("node_modules/@modelcontextprotocol/sdk")?;
    installed("node_modules/.bin/node")
}

/// The SDK's server in Datadog's place.
struct Server {
    child: Child,
    port: u64,
    said: mpsc::Receiver<Value>,
}

impl Server {
    fn start(node: &Path, how: &str) -> Self {
        let mut child = Command::new(node)
            .arg(here().join("mcp_server.mjs"))
            .arg(how)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap();
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let first: Value = said.recv_timeout(Duration::from_secs(60)).unwrap();
        let port = first["port"].as_u64().unwrap();
        Self { child, port, said }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has said so far.
    fn said(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.said.try_recv().ok()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ddgate run` to this upstream, with real keys in ddgate's environment. The client may speak to the
/// server past the gate, to tell it when to go on.
fn run(home: &Home, upstream: &str, words: &[&str]) -> Command {
    let port = upstream.rsplit(':').next().unwrap();
    let flags = ["run", "--identity", "local", "--upstream", upstream];
    let open = ["--allow-port", port, "--"];
    let words: Vec<&str> = flags.iter().chain(&open).chain(words).copied().collect();
    let mut command = home.ddgate(&words);
    command.env("DD_API_KEY", API).env("DD_APP_KEY", APP);
    command
}

fn read(ran: &Ran) -> Value {
    assert!(ran.status.success(), "{ran:?}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn calls(record: &Value) -> &[Value] {
    record["calls"].as_array().unwrap()
}

fn labels(record: &Value) -> Vec<&str> {
    calls(record)
        .iter()
        .map(|call| call["label"].as_str().unwrap())
        .collect()
}

/// The number of the only call with this label.
fn number(record: &Value, label: &str) -> String {
    let mut found = calls(record).iter().filter(|call| call["label"] == label);
    let call = found
        .next()
        .unwrap_or_else(|| panic!("{label}: {:?}", labels(record)));
    call["number"].to_string()
}

#[test]
fn the_sdk_over_streamable_http() {
    let Some(node) = node() else { return };
    for (how, path) in [
        ("sse", "/v1/mcp"),
        ("json", "/api/unstable/mcp-server/mcp?toolsets=core"),
    ] {
        let server = Server::start(&node, how);
        let home = Home::new();
        let go = format!("{}/go", server.url());
        let client = here().join("mcp_client.mjs");
        let words = [node.to_str().unwrap(), client.to_str().unwrap(), path, &go];
        // Without event streams there is no progress to wait for.
        let ran = home.run(run(&home, &server.url(), &words));
        let said = read(&ran);
        assert_eq!(
            said["found"]["content"][0]["text"],
            r#"{"logs":["one","two"],"query":"status:error"}"#
        );
        assert_eq!(said["failed"]["isError"], true);
        assert_eq!(said["counted"]["content"][0]["text"], r#"{"counted":20}"#);
        reached_the_server(&server.said(), path);
        on_record(&home);
        if how == "sse" {
            one_by_one(&said);
        }
        home.holds_nowhere(&[API, APP]);
    }
}

/// The server saw the real keys under the names with underscores, and each call once.
fn reached_the_server(said: &[Value], path: &str) {
    let requests: Vec<_> = said.iter().filter(|line| line["url"].is_string()).collect();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request["host"], "mcp.datadoghq.com");
        assert_eq!(request["url"], path);
        assert_eq!(
            request["keys"],
            serde_json::json!([API, APP, null]),
            "{request}"
        );
    }
    let tools: Vec<_> = said
        .iter()
        .filter(|line| line["tool"].is_string())
        .collect();
    assert_eq!(tools.len(), 3, "{tools:?}");
    assert_eq!(tools[1]["bytes"], 200_000);
}

/// Every tool call is there once, with arguments and result, and the protocol's traffic is no tool
/// call.
fn on_record(home: &Home) {
    let record = home.json(&["replay", "latest", "--json"]);
    let with_tools: Vec<_> = calls(&record)
        .iter()
        .filter(|call| call["tools"].is_array())
        .collect();
    let each: Vec<_> = with_tools
        .iter()
        .map(|call| {
            let tool = &call["tools"][0];
            let text = |key: &str| tool[key].as_str().unwrap().to_owned();
            (text("tool"), text("effect"), text("outcome"))
        })
        .collect();
    let expected = [
        ("search_datadog_logs", "read", "ok"),
        ("search_datadog_logs", "read", "ok"),
        ("delete_datadog_dashboard", "destroy", "tool_error"),
        ("count_slowly", "unknown", "ok"),
    ];
    let expected = expected.map(|(tool, effect, went)| (tool.into(), effect.into(), went.into()));
    assert_eq!(each, expected, "{:?}", labels(&record));
    for call in calls(&record) {
        assert!(call["not_understood"].is_null(), "{call:#}");
        assert_eq!(call["decision"], "allow", "{call:#}");
    }
    for protocol in ["initialize", "notifications/initialized", "tools/list"] {
        let number = number(&record, protocol);
        let at: usize = number.parse().unwrap();
        assert_eq!(calls(&record)[at - 1]["effect"], "read");
    }
    let session = record["session"].as_str().unwrap();
    let found = with_tools[0]["number"].to_string();
    let shown = home.json(&["show", session, &found, "--json"]);
    let content = &shown["tool_contents"][0];
    assert_eq!(content["arguments"]["text"], r#"{"query":"status:error"}"#);
    let result = content["result"]["text"].as_str().unwrap();
    assert!(
        result.contains("logs") && result.contains("one"),
        "{result}"
    );
    let long = with_tools[1]["number"].to_string();
    let shown = home.json(&["show", session, &long, "--json"]);
    assert!(
        shown["tool_contents"][0]["arguments"]["bytes"]
            .as_u64()
            .unwrap()
            > 200_000
    );

    verified_and_exported(home, session, &found);
}

/// The new leaves are checked and exported like all others.
fn verified_and_exported(home: &Home, session: &str, call: &str) {
    let out = home.path().join(format!("export-{call}"));
    let proof = home.path().join(format!("proof-{call}"));
    let (out, proof) = (out.to_str().unwrap(), proof.to_str().unwrap());
    for words in [
        &["verify", session][..],
        &["export", session, "-o", out],
        &["verify", "--dir", out],
        &["prove", session, call, "-o", proof],
        &["verify", "--proof", proof],
    ] {
        let ran = home.run(home.ddgate(words));
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }
    let leaves = std::fs::read_dir(Path::new(proof).join("leaf")).unwrap();
    // Request, tool call, result, response.
    assert_eq!(leaves.count(), 4);
}

/// Each event was with the client before the server made the next one.
fn one_by_one(said: &Value) {
    let delays: Vec<f64> = serde_json::from_value(said["delays_ms"].clone()).unwrap();
    assert_eq!(delays.len(), 20, "{delays:?}");
    let mut sorted = delays;
    sorted.sort_by(f64::total_cmp);
    println!(
        "an event takes {:.2} ms at the median from server to client, {:.2} ms at most",
        sorted[10], sorted[19]
    );
    // Two Nodes, two hops, the record, a debug build: far from waiting for anything.
    assert!(sorted[10] < 20.0, "{sorted:?}");
}

#[test]
fn mcp_remote() {
    let Some(node) = node() else { return };
    let server = Server::start(&node, "sse");
    let home = Home::new();
    let client = here().join("mcp_stdio_client.mjs");
    let remote = here().join("node_modules/mcp-remote/dist/proxy.js");
    let script = r#"exec "$0" "$1" "$0" "$2" https://mcp.datadoghq.com/v1/mcp \
        --header "DD-API-KEY: $DD_API_KEY" --header "DD-APPLICATION-KEY: $DD_APP_KEY""#;
    let words = [
        "sh",
        "-c",
        script,
        node.to_str().unwrap(),
        client.to_str().unwrap(),
        remote.to_str().unwrap(),
    ];
    let mut command = run(&home, &server.url(), &words);
    let call = r#"{"name":"search_datadog_logs","arguments":{"query":"q"}}"#;
    command.env("ALL", "1").env("CALL", call);
    let said = read(&home.run(command));
    assert!(
        said["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("one")
    );
    let record = home.json(&["replay", "latest", "--json"]);
    let number = number(&record, "tools/call search_datadog_logs");
    let shown = home.json(&["show", "latest", &number, "--json"]);
    assert_eq!(
        shown["tool_contents"][0]["arguments"]["text"],
        r#"{"query":"q"}"#
    );
    assert_eq!(shown["tools"][0]["outcome"], "ok");
    home.holds_nowhere(&[API, APP]);
}

/// An agent that filters its servers' environment starts `ddgate mcp`, outside of any run; then the
/// same inside a run whose variables come through.
#[test]
fn a_wrapped_stdio_server() {
    let Some(node) = node() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = Keys::random().unwrap();
    let upstream = runtime.block_on(datadog::start(keys.clone())).unwrap();
    let (api, app) = (keys.api.expose(), keys.application.expose());
    let ddgate = env!("CARGO_BIN_EXE_ddgate");
    let client = here().join("mcp_stdio_client.mjs");
    let server = here().join("mcp_stdio_server.mjs");
    let (node, client, server) = (
        node.to_str().unwrap(),
        client.to_str().unwrap(),
        server.to_str().unwrap(),
    );
    let call = r#"{"name":"list_monitors","arguments":{"tag":"env:prod"}}"#;
    let wrapped = ["mcp", "--identity", "local"];
    for inside in [false, true] {
        let home = Home::new();
        let url = upstream.url();
        let before = upstream.seen().len();
        let mut command = if inside {
            let words: Vec<&str> = [node, client, ddgate]
                .iter()
                .chain(&wrapped)
                .copied()
                .collect();
            let words: Vec<&str> = words.into_iter().chain(["--", node, server]).collect();
            let mut command = run(&home, &url, &words);
            command.env("ALL", "1");
            command
        } else {
            let mut command = Command::new(node);
            command
                .args([client, ddgate])
                .args(wrapped)
                .args(["--upstream", &url, "--", node, server])
                .env_clear()
                .env("HOME", home.path())
                .env("PATH", std::env::var_os("PATH").unwrap())
                .env("PASS_XDG_RUNTIME_DIR", home.path().join("run"))
                .env("PASS_DD_API_KEY", api)
                .env("PASS_DD_APP_KEY", app)
                .stdin(Stdio::null())
                .current_dir(home.path());
            command
        };
        command
            .env("CALL", call)
            .env("DD_API_KEY", api)
            .env("DD_APP_KEY", app);
        let said = read(&home.run(command));
        assert_eq!(said["listed"], serde_json::json!(["list_monitors"]));
        let text = said["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("200: ["), "{text}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), before + 1, "sent once");
        assert!(seen[before].real_api_key && seen[before].real_application_key);
        let sessions = home.json(&["sessions", "--json"]);
        let sessions = sessions.as_array().unwrap();
        assert_eq!(sessions.len(), if inside { 2 } else { 1 });
        // The latest is the inner one.
        let record = home.json(&["replay", "latest", "--json"]);
        assert_eq!(
            labels(&record),
            ["tools/call list_monitors", "ListMonitors"],
            "inside: {inside}"
        );
        let shown = home.json(&["show", "latest", "1", "--json"]);
        assert_eq!(
            shown["tool_contents"][0]["arguments"]["text"],
            r#"{"tag":"env:prod"}"#
        );
        let result = shown["tool_contents"][0]["result"]["text"]
            .as_str()
            .unwrap();
        assert!(result.contains("200: ["), "{result}");
        if inside {
            let outer = sessions[1]["session"].as_str().unwrap();
            let outer = home.json(&["replay", outer, "--json"]);
            assert_eq!(labels(&outer), ["ListMonitors"]);
        }
        home.holds_nowhere(&[api, app]);
    }
}
