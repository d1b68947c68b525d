//! Real Datadog clients, unmodified, under the real `ddgate run`.
//!
//! Each test runs one program of `interop/` against the demo's Datadog. Every call must be there
//! exactly once, in order, and the same in three places: what the client says it sent and got, what
//! reached Datadog, and what is on record. The real keys must be nowhere but at Datadog.
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

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddgate::demo::datadog::{self, FakeDatadog, Keys, Seen};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use gate::{Home, found};
use installed::{here, installed};

/// A call: method, path (`*` is an id), operation.
type Step = (&'static str, &'static str, &'static str);

const MONITORS: &[Step] = &[
    ("GET", "/api/v1/monitor", "ListMonitors"),
    ("POST", "/api/v1/monitor", "CreateMonitor"),
    ("GET", "/api/v1/monitor/*", "GetMonitor"),
    ("PUT", "/api/v1/monitor/*", "UpdateMonitor"),
    ("DELETE", "/api/v1/monitor/*", "DeleteMonitor"),
];
const LIST_DASHBOARDS: &[Step] = &[("GET", "/api/v1/dashboard", "ListDashboards")];
const DASHBOARDS: &[Step] = &[
    ("POST", "/api/v1/dashboard", "CreateDashboard"),
    ("GET", "/api/v1/dashboard/*", "GetDashboard"),
    ("PUT", "/api/v1/dashboard/*", "UpdateDashboard"),
    ("DELETE", "/api/v1/dashboard/*", "DeleteDashboard"),
];
const QUERY: &[Step] = &[("GET", "/api/v1/query", "QueryMetrics")];
const SUBMIT_LOG: &[Step] = &[("POST", "/api/v2/logs", "SubmitLog")];
const SUBMIT_METRICS: &[Step] = &[("POST", "/api/v1/series", "SubmitMetrics")];

/// What most drivers do.
const STEPS: &[&[Step]] = &[MONITORS, LIST_DASHBOARDS, DASHBOARDS, QUERY, SUBMIT_LOG];

/// One line of a driver.
#[derive(Debug, Deserialize)]
struct Line {
    method: String,
    path: String,
    status: u16,
    sha256_request: String,
    sha256_response: String,
    sha256_unpacked: Option<String>,
}

impl Line {
    /// For a client that says nothing of its calls: two accounts are left.
    fn of(seen: &Seen) -> Self {
        Self {
            method: seen.method.clone(),
            path: seen.path.clone(),
            status: seen.status,
            sha256_request: seen.request_sha256.clone(),
            sha256_response: seen.answer_sha256.clone(),
            sha256_unpacked: None,
        }
    }
}

/// Programs as they come, without a driver.
const SILENT: &str = "bundle.js";

/// A client and how it is run.
struct Client {
    /// The driver, below `tests/interop`.
    driver: &'static str,
    /// What runs it, with what comes first; nothing where the driver itself is a program.
    interpreter: Vec<PathBuf>,
    /// What the driver is told.
    arguments: &'static [&'static str],
    /// What the driver does.
    steps: &'static [&'static [Step]],
    /// A part of the `User-Agent` that Datadog must have seen.
    agent: &'static str,
}

fn works(program: &Path, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether these programs are on this machine; says so if not.
fn are_there(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|p| !works(Path::new(p), "--version"));
    if let Some(program) = missing {
        absent::absent(&format!("{program} is not on this machine"));
    }
    missing.is_none()
}

fn python(driver: &'static str, agent: &'static str) {
    python_does(driver, &[], STEPS, agent);
}

fn python_does(
    driver: &'static str,
    arguments: &'static [&'static str],
    steps: &'static [&'static [Step]],
    agent: &'static str,
) {
    if let Some(python) = installed(".venv/bin/python") {
        follow(&Client {
            driver,
            interpreter: vec![python],
            arguments,
            steps,
            agent,
        });
    }
}

fn shell(driver: &'static str, client: &'static str, agent: &'static str) {
    if are_there(&["bash", "python3", "gzip", client]) {
        follow(&Client {
            driver,
            interpreter: Vec::new(),
            arguments: &[],
            steps: &[
                MONITORS,
                LIST_DASHBOARDS,
                DASHBOARDS,
                QUERY,
                SUBMIT_LOG,
                SUBMIT_LOG,
            ],
            agent,
        });
    }
}

/// The Node of the system (20 or later), and those that `setup.sh` installs.
#[derive(Clone, Copy)]
enum Node {
    System,
    N22,
    N24,
}

const NODES: [Node; 3] = [Node::System, Node::N22, Node::N24];

fn node_of(node: Node) -> Option<PathBuf> {
    match node {
        Node::System => (are_there(&["node"]) && installed("node_modules").is_some())
            .then(|| PathBuf::from("node")),
        Node::N22 => installed("node_modules/node-22/bin/node"),
        Node::N24 => installed("node_modules/.bin/node"),
    }
}

fn node(driver: &'static str, agent: &'static str) {
    for node in NODES {
        node_does(driver, node, STEPS, agent);
    }
}

fn node_does(
    driver: &'static str,
    node: Node,
    steps: &'static [&'static [Step]],
    agent: &'static str,
) {
    if let Some(node) = node_of(node) {
        follow(&Client {
            driver,
            interpreter: vec![node],
            arguments: &[],
            steps,
            agent,
        });
    }
}

fn program(
    driver: &'static str,
    interpreter: &[&'static str],
    arguments: &'static [&'static str],
    agent: &'static str,
) {
    // Go has no `--version`.
    let name = interpreter[0];
    if name == "go" || are_there(&[name]) {
        follow(&Client {
            driver,
            interpreter: interpreter.iter().map(PathBuf::from).collect(),
            arguments,
            steps: STEPS,
            agent,
        });
    }
}

#[test]
fn curl() {
    shell("curl.sh", "curl", "curl/");
}

#[test]
fn base_url_as_go_programs_use_it() {
    shell("base_url.sh", "curl", "curl/");
}

#[test]
fn wget() {
    shell("wget.sh", "wget", "Wget/");
}

#[test]
fn python_urllib() {
    python("python_urllib.py", "Python-urllib/");
}

#[test]
fn python_urllib3() {
    python("python_urllib3.py", "python-urllib3/");
}

#[test]
fn python_requests() {
    python("python_requests.py", "python-requests/");
}

#[test]
fn python_httpx() {
    python("python_httpx.py", "python-httpx/");
}

#[test]
fn python_aiohttp() {
    python("python_aiohttp.py", "aiohttp/");
}

#[test]
fn python_aiohttp_that_obeys_its_environment() {
    python_does("python_aiohttp.py", &["trust_env"], STEPS, "aiohttp/");
}

#[test]
fn python_datadog_api_client() {
    python("python_api_client.py", "datadog-api-client-python/");
}

#[test]
fn python_datadog_api_client_asynchronous() {
    python("python_api_client_async.py", "datadog-api-client-python/");
}

#[test]
fn python_datadog() {
    let steps = &[MONITORS, LIST_DASHBOARDS, DASHBOARDS, QUERY, SUBMIT_METRICS];
    python_does("python_datadog.py", &[], steps, "datadogpy/");
}

#[test]
fn dog() {
    let steps = &[MONITORS, DASHBOARDS, SUBMIT_METRICS];
    python_does("python_dog.py", &[], steps, "datadogpy/");
}

#[test]
fn node_axios() {
    node("node_axios.mjs", "axios/");
}

#[test]
fn node_fetch() {
    node("node_fetch.mjs", "node");
}

#[test]
fn node_https() {
    node("node_https.mjs", "");
}

#[test]
fn node_got() {
    node("node_got.mjs", "got");
}

#[test]
fn node_fetch_2() {
    node("node_node_fetch_2.mjs", "node-fetch");
}

#[test]
fn node_fetch_3() {
    node("node_node_fetch_3.mjs", "node-fetch");
}

#[test]
fn node_undici() {
    node("node_undici.mjs", "undici");
}

#[test]
fn node_datadog_api_client() {
    node("node_api_client.mjs", "datadog-api-client-typescript/");
}

#[test]
fn datadog_ci() {
    const UPLOAD: &[Step] = &[("POST", "/api/v2/cireport", "")];
    let Some(node) = node_of(Node::System) else {
        return;
    };
    follow(&Client {
        driver: "node_modules/@datadog/datadog-ci/dist/bundle.js",
        interpreter: vec![node],
        arguments: &[
            "junit",
            "upload",
            "--service",
            "interop",
            "--skip-git-metadata-upload",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/report.xml"),
        ],
        steps: &[UPLOAD],
        agent: "datadog-ci/",
    });
}

#[test]
fn go() {
    if works(Path::new("go"), "version") {
        program("client.go", &["go", "run"], &[], "Go-http-client/");
    } else {
        absent::absent("go is not on this machine");
    }
}

/// A program that `setup.sh` builds.
fn rust(name: &'static str, agent: &'static str) {
    let program = format!("../../target/interop-rust/debug/{name}");
    if installed(&program).is_some() {
        follow(&Client {
            driver: name,
            interpreter: vec![here().join(program)],
            arguments: &[],
            steps: STEPS,
            agent,
        });
    }
}

#[test]
fn rust_reqwest() {
    rust("plain", "reqwest");
}

#[test]
#[ignore = "building this client takes 9 GiB of memory: DDGATE_RUST_API_CLIENT=1 tests/interop/setup.sh"]
fn rust_datadog_api_client() {
    rust("api_client", "datadog-api-client-rust/");
}

#[test]
fn java_http_url_connection() {
    program("Client.java", &["java"], &["HttpURLConnection"], "Java/");
}

#[test]
fn java_http_client() {
    program(
        "Client.java",
        &["java"],
        &["HttpClient"],
        "Java-http-client/",
    );
}

#[test]
fn ruby_net_http() {
    program("ruby.rb", &["ruby"], &["net_http"], "net_http");
}

#[test]
fn ruby_httparty() {
    program("ruby.rb", &["ruby"], &["httparty"], "httparty");
}

/// Runs a client under the gate and compares the three accounts of what happened.
fn follow(client: &Client) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = Keys::random().unwrap();
    let upstream = runtime.block_on(datadog::start(keys.clone())).unwrap();
    let home = Home::new();

    let began = Instant::now();
    let mut lines = run(client, &home, &upstream, &keys);
    let took = began.elapsed();

    let steps = client.steps.concat();
    let seen = upstream.seen();
    if lines.is_empty() && client.driver.ends_with(SILENT) {
        lines = seen.iter().map(Line::of).collect();
    }
    let record = home.json(&["replay", "latest", "--json"]);
    let calls = record["calls"].as_array().unwrap();
    let counts = [lines.len(), seen.len(), calls.len()];
    assert_eq!(
        counts,
        [steps.len(); 3],
        "{lines:#?}\n{seen:#?}\n{record:#}"
    );
    let session = record["session"].as_str().unwrap();
    let mut digests = 0;
    for (at, step) in steps.iter().enumerate() {
        is_step(&lines[at], step);
        reached_datadog(&lines[at], &seen[at], client);
        is_on_record(&lines[at], &calls[at], at + 1, step.2);
        digests += same_bodies(&home, session, at + 1, &lines[at], &seen[at]);
    }
    let tunnels = record["tunnels"].as_array().unwrap();
    assert!(tunnels.is_empty(), "something went by unread: {tunnels:?}");

    no_key_anywhere(&home, &keys);
    println!(
        "{}: {} calls, {digests} bodies the same on all three sides, {took:.2?}",
        client.driver,
        calls.len()
    );
}

/// `ddgate run -- driver`, in an environment that holds the real keys in many ways.
fn run(client: &Client, home: &Home, upstream: &FakeDatadog, keys: &Keys) -> Vec<Line> {
    let (api, application) = (keys.api.expose(), keys.application.expose());
    let url = upstream.url();
    // -vv: whatever ddgate can say, it says.
    let gate = ["-vv", "run", "--identity", "local", "--upstream", &url];
    let mut command = home.ddgate(&gate);
    command
        .args([
            "--",
            "sh",
            "-c",
            r#"env >"$HOME/environment" && exec "$@""#,
            "sh",
        ])
        .args(&client.interpreter)
        .arg(here().join(client.driver))
        .args(client.arguments)
        .env("DD_API_KEY", api)
        .env("DD_APP_KEY", application)
        .env("DATADOG_API_KEY", api)
        .env("A_COPY", format!("it is {api}, and {application}"))
        .env("A_HEADER", STANDARD.encode(format!("{api}:{application}")))
        .env(
            "A_QUERY",
            format!("api_key=%{:02x}{}", api.as_bytes()[0], &api[1..]),
        )
        .env("DD_TAGS", "left:alone");
    let ran = home.run(command);
    assert!(ran.status.success(), "{}: {ran:?}", client.driver);
    let lines = String::from_utf8(ran.stdout).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    // Some clients say more than their drivers do.
    let calls = lines.lines().filter(|line| line.starts_with('{'));
    calls.map(parse).collect()
}

/// The driver did what it was to do.
fn is_step(line: &Line, (method, path, _): &(&str, &str, &str)) {
    let same_path = match path.strip_suffix('*') {
        Some(before) => line
            .path
            .strip_prefix(before)
            .is_some_and(|id| !id.is_empty()),
        None => line.path == *path,
    };
    assert!(
        line.method == *method && same_path,
        "{method} {path}: {line:?}"
    );
    assert!((200..300).contains(&line.status), "{line:?}");
}

/// What reached Datadog is what the client sent, with the real keys.
fn reached_datadog(line: &Line, seen: &Seen, client: &Client) {
    let sent = (&line.method, &line.path, line.status);
    assert_eq!(sent, (&seen.method, &seen.path, seen.status));
    let host = match line.path.as_str() {
        "/api/v2/logs" => "http-intake.logs",
        "/api/v2/cireport" => "cireport-intake",
        _ => "api",
    };
    assert_eq!(seen.host, format!("{host}.datadoghq.com"), "{seen:?}");
    assert!(seen.complete && seen.real_api_key, "{seen:?}");
    // Logs are submitted without an application key: the gate must not add one.
    assert_eq!(seen.real_application_key, host == "api", "{seen:?}");
    let agent = seen.user_agent.as_deref().unwrap_or_default();
    assert!(agent.contains(client.agent), "{agent}");
}

/// The record tells the same.
fn is_on_record(line: &Line, call: &Value, number: usize, operation: &str) {
    assert_eq!(call["number"], number, "{call:#}");
    assert_eq!(call["method"], line.method, "{call:#}");
    let known = call["operation"].as_str().unwrap_or_default();
    assert_eq!(known, operation, "{call:#}");
    assert_eq!(call["status"], line.status, "{call:#}");
    assert_eq!(call["decision"], "allow", "{call:#}");
    assert_eq!(call["outcome"], "answered", "{call:#}");
}

/// Compares the digests of both bodies; returns how many bodies there were.
fn same_bodies(home: &Home, session: &str, number: usize, line: &Line, seen: &Seen) -> usize {
    assert_eq!(line.sha256_request, seen.request_sha256, "{line:?}");
    assert_eq!(line.sha256_response, seen.answer_sha256, "{line:?}");
    let unpacked = line.sha256_unpacked.as_ref();
    let expected = [
        ("request", unpacked.unwrap_or(&line.sha256_request)),
        ("response", &line.sha256_response),
    ];
    let mut bodies = 0;
    for (side, digest) in expected {
        let number = number.to_string();
        let ran = home.run(home.ddgate(&["show", session, &number, "--body", side]));
        assert!(
            ran.status.success() && ran.stderr.starts_with("ddgate: verified: "),
            "{line:?}: {ran:?}"
        );
        let on_record: String = Sha256::digest(&ran.stdout)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(&on_record, digest, "the {side} of {line:?}");
        bodies += usize::from(!ran.stdout.is_empty());
    }
    bodies
}

/// Neither the child's environment, nor what it or ddgate said, nor any file holds a real key.
fn no_key_anywhere(home: &Home, keys: &Keys) {
    let files = home.files();
    let holds = |part: &str, text: &str| {
        let mut files = files
            .iter()
            .filter(|(path, _)| path.to_string_lossy().contains(part));
        files.any(|(_, bytes)| found(bytes, text).is_some())
    };
    // The search looks where there is something: environment, record, certificates.
    assert!(holds("/environment", "left:alone"));
    assert!(holds("/environment", "it is "));
    assert!(holds("/sessions/", ".datadoghq.com"));
    assert!(holds("/run/", "BEGIN CERTIFICATE"));
    assert!(holds("/said/", "ddgate: "));
    home.holds_nowhere(&[keys.api.expose(), keys.application.expose()]);
}
