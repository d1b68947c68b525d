//! Which process a call came from, and who is not answered.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::absent::absent;
use crate::world::{World, wait_until};

fn has_curl() -> bool {
    let is_there = std::path::Path::new("/usr/bin/curl").exists();
    if !is_there {
        absent("there is no curl");
    }
    is_there
}

const CURL: &str = "curl -s -o /dev/null -H \"DD-API-KEY: $DD_API_KEY\" \
    -H \"DD-APPLICATION-KEY: $DD_APP_KEY\" \"$DD_HOST/api/v1/monitor\"";

fn exe(by: &Value) -> &str {
    let path = by["exe"].as_str().unwrap();
    path.rsplit('/').next().unwrap()
}

#[test]
fn a_call_names_its_process_and_the_parents_up_to_the_command() {
    if !has_curl() {
        return;
    }
    let world = World::new();
    let script = format!("bash -c 'CLAUDECODE=1 CLAUDE_CODE_SESSION_ID=7f2a {CURL}; :'; :");
    let outcome = world.run(["bash", "-c", &script]).succeeds();
    let session = world.replay_json(&outcome.session());
    let by = &session["calls"][0]["by"];
    assert_eq!(exe(by), "curl", "{by}");
    assert_eq!(
        by["agent"],
        serde_json::json!({"name": "claude-code", "session": "7f2a"})
    );
    let command: Vec<_> = by["command"].as_array().unwrap().iter().collect();
    assert_eq!(command[0], "curl");
    let line = by["command"].to_string();
    assert!(
        line.contains("[REDACTED:dd-api-key-placeholder:"),
        "what the child may do is not for the record: {line}"
    );
    let parents = by["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 2, "{parents:?}");
    assert!(parents.iter().all(|parent| exe(parent) == "bash"));

    let text = world.ddgate(["replay", "latest"]).succeeds().shown();
    let (pid, shell) = (&by["pid"], &parents[0]["pid"]);
    let line = format!("curl {pid} under bash {shell} under the command itself, pid [PID]");
    assert!(text.contains(&line), "{text}");
    let shown = world.ddgate(["show", "latest", "1"]).succeeds().shown();
    assert!(shown.contains(&line), "{shown}");
    assert!(shown.contains("runs  curl -s -o /dev/null"), "{shown}");
    assert!(
        shown.contains("agent  claude-code, session 7f2a"),
        "{shown}"
    );
    let shown = world
        .ddgate(["show", "latest", "1", "--json"])
        .succeeds()
        .json();
    assert_eq!(shown["by"], *by);
    world.ddgate(["verify", "latest"]).succeeds();
    let out = world.root().join("out");
    let out = out.to_str().unwrap();
    world.ddgate(["export", "latest", "-o", out]).succeeds();
    world.ddgate(["verify", "--dir", out]).succeeds();
}

#[test]
fn the_command_itself_is_recorded_once_and_not_repeated() {
    let world = World::new();
    let script = "GET /api/v1/monitor\nGET /api/v1/monitor\nnokey GET /api/v1/monitor";
    world.agent(script).succeeds();
    let session = world.replay_json("latest");
    for call in 0..3 {
        let by = &session["calls"][call]["by"];
        assert_eq!(by["process"], 1, "{by}");
        assert_eq!(by["parents"], serde_json::json!([]));
    }
    let text = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(!text.contains("the command itself"), "{text}");
}

#[test]
fn a_process_from_elsewhere_is_refused_and_recorded() {
    if !has_curl() {
        return;
    }
    let world = World::new();
    let (told, done) = (world.root().join("told"), world.root().join("done"));
    let script = format!(
        "env | grep ^DD_ > {0}.part && mv {0}.part {0}; while [ ! -e {1} ]; do sleep 0.05; done",
        told.display(),
        done.display()
    );
    let live = world.run(["sh", "-c", &script]).spawn();
    wait_until("the child tells its environment", || told.exists());
    let told = std::fs::read_to_string(&told).unwrap();
    let value = |name: &str| {
        let mut lines = told.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap()
            .to_owned()
    };
    // Somebody who has the placeholder, but was not started by the child.
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-s", "-w", " %{http_code}"])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let key = format!("DD-API-KEY: {}", value("DD_API_KEY"));
    let gate = value("DD_HOST");
    let refused = curl(&["-H", &key, &format!("{gate}/api/v1/validate")]);
    assert!(refused.ends_with("403"), "{refused}");
    assert!(
        refused.starts_with("{\"errors\":[\"ddgate: this gate answers only the command"),
        "{refused}"
    );
    let tunnelled = curl(&["-x", &gate, "http://elsewhere.example/"]);
    assert!(tunnelled.ends_with("403"), "{tunnelled}");
    std::fs::write(&done, "").unwrap();
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");

    let session = world.replay_json("latest");
    let call = &session["calls"][0];
    assert_eq!(call["rule"], "foreign-process");
    assert_eq!(call["decision"], "deny");
    assert_eq!(call["by"]["foreign"], true);
    assert_eq!(exe(&call["by"]), "curl");
    assert_eq!(
        session["tunnels"][0]["error"], "refused: foreign-process",
        "{session}"
    );
    let text = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(text.contains(", which is not of this session"), "{text}");
}

#[test]
fn a_daemon_of_the_child_is_still_answered() {
    if !has_curl() {
        return;
    }
    let world = World::new();
    let done = world.root().join("done");
    // Twice forked: its parent ends, and it is handed to somebody above ddgate.
    let script = format!(
        "(setsid sh -c 'sleep 0.3; {CURL}; touch {0}' >/dev/null 2>&1 &); while [ ! -e {0} ]; do sleep 0.05; done",
        done.display()
    );
    world.run(["sh", "-c", &script]).succeeds();
    let session = world.replay_json("latest");
    assert_eq!(session["counts"]["denied"], 0, "{session}");
    assert_eq!(session["calls"][0]["status"], 200);
    assert_eq!(exe(&session["calls"][0]["by"]), "curl");
}
