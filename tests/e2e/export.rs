//! `ddgate export` and `ddgate prove`, and `ddgate verify` of what they wrote.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use crate::upstream::Upstream;
use crate::world::{Ddgate, World, wait_until};

/// Every file below a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![directory.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            if path.is_dir() {
                assert_eq!(mode, 0o700, "{}", path.display());
                open.push(path);
            } else {
                assert_eq!(mode, 0o600, "{}", path.display());
                let name = path.strip_prefix(directory).unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The agent with a script, against this Datadog.
pub(crate) fn against(world: &World, upstream: &Upstream, script: &str) -> Ddgate {
    let words = crate::crash::against(upstream);
    world.ddgate(words).keys(world).script(world, script)
}

/// The id of the one session there is; beside it stands the chain of all.
pub(crate) fn only_session(world: &World) -> String {
    let mut ids = world.session_ids();
    ids.retain(|id| id.parse::<ddgate::record::SessionId>().is_ok());
    assert_eq!(ids.len(), 1);
    ids.remove(0)
}

fn verb(world: &World, words: &[&str]) -> Ddgate {
    world.ddgate(words)
}

/// A session of three calls with bodies of their own.
fn three_calls(world: &World) {
    // Pauses, so that each end is signed before the next call begins.
    let script = "POST /api/v1/monitor {\"name\": \"alpha-alpha\", \"type\": \"metric alert\", \"query\": \"q\"}\n\
                  sleep 100\n\
                  GET /api/v1/monitor?name=bravo-bravo\n\
                  POST /api/v1/dashboard {\"title\": \"charlie-charlie\", \"layout_type\": \"ordered\", \"widgets\": []}\n";
    world.agent(script).succeeds();
}

#[test]
fn a_session_comes_out_whole_private_and_the_same_every_time() {
    let world = World::new();
    three_calls(&world);
    let told = verb(&world, &["export", "latest", "-o", "one"]).succeeds();
    assert!(told.stdout.is_empty());
    insta::assert_snapshot!(told.said(), @"ddgate: exported session [ID] to one: 9 leaves with 18 contents and 2 checkpoints, all of them checked");
    let again = verb(
        &world,
        &[
            "export", "latest", "--format", "tlog", "--json", "-o", "two/deep",
        ],
    );
    let summary = again.succeeds().json();
    let (one, two) = (world.work().join("one"), world.work().join("two/deep"));
    assert_eq!(files(&one), files(&two));
    assert_eq!(summary["files"], files(&one).len() as u64);
    let bytes: usize = files(&one).values().map(Vec::len).sum();
    assert_eq!(summary["bytes"], bytes as u64);
    // Nothing else is left beside it.
    assert_eq!(fs::read_dir(world.work().join("two")).unwrap().count(), 1);

    let checked = verb(&world, &["verify", "--dir", "one"]).succeeds();
    let shown = String::from_utf8(checked.stdout).unwrap();
    assert!(shown.contains("VERIFIED to leaf 9"), "{shown}");
    assert!(shown.contains("not checked"), "{shown}");
    let key = fs::read_to_string(one.join("vkey")).unwrap();
    verb(&world, &["verify", "--dir", "one", "--vkey", key.trim()]).succeeds();
    let last = "one/checkpoints/00000000000000000009";
    let anchored = verb(
        &world,
        &[
            "verify",
            "--dir",
            "one",
            "--json",
            "--trusted-checkpoint",
            last,
        ],
    );
    assert_eq!(
        anchored.succeeds().json()["anchored"],
        serde_json::json!([9])
    );
}

#[test]
fn what_is_there_already_is_left_alone() {
    let world = World::new();
    three_calls(&world);
    world.file("work/full/mine", "mine");
    let refused = verb(&world, &["export", "latest", "-o", "full"]).exits(2);
    insta::assert_snapshot!(refused.said(), @r"
    ddgate: error: full exists and is not an empty directory
    ddgate: hint: name a directory that does not exist yet
    ");
    verb(&world, &["prove", "latest", "1", "-o", "full/mine"]).exits(2);
    assert_eq!(fs::read(world.work().join("full/mine")).unwrap(), b"mine");
    let refused = verb(&world, &["export", "0000", "-o", "new"]).exits(1);
    assert!(refused.said().contains("no session"), "{refused:?}");
    let refused = verb(&world, &["prove", "latest", "9", "-o", "new"]).exits(1);
    assert!(refused.said().contains("has no call 9"), "{refused:?}");
    let refused = verb(&world, &["verify", "--dir", "full"]).exits(4);
    assert!(
        refused
            .said()
            .contains("full is no exported record: it has no file `vkey`")
    );
    let names: Vec<_> = fs::read_dir(world.work())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(names, ["full"]);
    // An empty directory is where it may go.
    fs::create_dir(world.work().join("empty")).unwrap();
    verb(&world, &["export", "latest", "-o", "empty"]).succeeds();
    files(&world.work().join("empty"));
}

#[test]
fn a_running_session_gives_a_snapshot() {
    let world = World::new();
    let upstream = Upstream::start();
    let go_on = world.root().join("go-on");
    let script = format!(
        "GET /api/v1/monitor/1\nGET /api/v1/monitor/2\nawait {}\n",
        go_on.display()
    );
    let live = against(&world, &upstream, &script).spawn();
    wait_until("both calls are answered", || world.answers().len() == 2);
    // The end of an answer is on record soon after the agent has it.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let told = verb(&world, &["export", "latest", "-o", "running"]).succeeds();
    insta::assert_snapshot!(told.said(), @r"
    ddgate: exported session [ID] to running: 6 leaves with 12 contents and 2 checkpoints, all of them checked
    ddgate: session [ID] is still running: this is what was recorded until now
    ");
    let checked = verb(&world, &["verify", "--dir", "running", "--json"])
        .exits(2)
        .json();
    assert_eq!(checked["verdict"], "INCOMPLETE");
    assert_eq!(
        checked["gaps"],
        serde_json::json!(["it ends before the close of the session"])
    );
    fs::write(go_on, "").unwrap();
    live.end();
    // The snapshot is a beginning of the whole: its last checkpoint is one of the session's.
    verb(&world, &["export", "latest", "-o", "closed"]).succeeds();
    let last = "running/checkpoints/00000000000000000006";
    verb(
        &world,
        &["verify", "--dir", "closed", "--trusted-checkpoint", last],
    )
    .succeeds();
}

#[test]
fn a_session_under_load_is_never_called_broken() {
    let world = World::new();
    let upstream = Upstream::start();
    let load = "load 4 PUT /api/v1/monitor/N {\"name\": \"x\"}";
    let mut live = against(&world, &upstream, load).spawn();
    wait_until("calls are made", || upstream.seen().len() > 20);
    for n in 0..10 {
        let to = format!("snapshot-{n}");
        verb(&world, &["export", "latest", "-o", &to]).succeeds();
        let checked = verb(&world, &["verify", "--dir", &to, "--json"]).exits(2);
        assert_eq!(checked.json()["faults"], serde_json::json!([]));
    }
    live.kill();
    live.end();
}

#[test]
fn of_a_broken_record_comes_out_what_is_still_proven() {
    let world = World::new();
    three_calls(&world);
    let id = only_session(&world);
    let path = world.sessions().join(id).join("wal-000001.ddw");
    let mut bytes = fs::read(&path).unwrap();
    let text = b"\"call\":2";
    let at = bytes.windows(text.len()).position(|it| it == text).unwrap();
    bytes[at + 7] = b'7';
    fs::write(&path, bytes).unwrap();
    let told = verb(&world, &["export", "latest", "--json", "-o", "broken"]).exits(1);
    let summary = told.json();
    assert_eq!(
        (&summary["broken"], &summary["leaves"]),
        (&Value::Bool(true), &Value::from(4))
    );
    let said = told.said();
    assert!(said.contains("4 leaves"), "{said}");
    assert!(
        said.contains("is damaged or was changed: segment 1, bytes"),
        "{said}"
    );
    assert!(
        said.contains("left out: 4 leaves that nobody signed"),
        "{said}"
    );
    let broken = fs::read_to_string(world.work().join("broken/BROKEN")).unwrap();
    assert!(broken.contains("not what was written"), "{broken}");
    let checked = verb(&world, &["verify", "--dir", "broken", "--json"])
        .exits(2)
        .json();
    assert_eq!(checked["leaves"], 4);
    assert!(checked["gaps"].to_string().contains("BROKEN"), "{checked}");
    // The call before the damage can still be proven, and the ones behind it cannot.
    verb(&world, &["prove", "latest", "1", "-o", "first"]).exits(1);
    verb(&world, &["verify", "--proof", "first"]).succeeds();
    let refused = verb(&world, &["prove", "latest", "3", "-o", "third"]).exits(1);
    assert!(refused.said().contains("is not signed"), "{refused:?}");
}

#[test]
fn a_proof_shows_one_call_and_nothing_else() {
    let world = World::new();
    three_calls(&world);
    verb(&world, &["export", "latest", "-o", "whole"]).succeeds();
    let told = verb(&world, &["prove", "latest", "1", "-o", "call"]).succeeds();
    insta::assert_snapshot!(told.said(), @"ddgate: call 1 of session [ID] is in call: 2 leaves with 5 contents, proven to be in a log of 9 leaves");
    let call = files(&world.work().join("call"));
    let names: Vec<_> = call.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "leaf/2",
            "leaf/3",
            "openings.jsonl",
            "proof/2.tlog-proof",
            "proof/3.tlog-proof",
            "vkey"
        ]
    );

    // What opens any other leaf is nowhere in it, in any shape it could have; nor are the leaves.
    let whole = files(&world.work().join("whole"));
    let openings = String::from_utf8(whole[Path::new("openings.jsonl")].clone()).unwrap();
    let mut foreign: Vec<Vec<u8>> = Vec::new();
    let mut raw = Vec::new();
    for line in openings.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        if [2, 3].contains(&line["i"].as_u64().unwrap()) {
            continue;
        }
        foreign.push(text("salt").into_bytes());
        let content = text("content");
        let plain = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(&content);
        // The headers of two calls may be the same.
        if content.len() > 20 && text("f") != "headers" {
            raw.push(plain.unwrap());
            foreign.push(content.into_bytes());
        }
    }
    let bundle = &whole[Path::new("tile/entries/000.p/9")];
    let leaves = ddgate::tlog::decode_bundle(bundle, 9).unwrap();
    let others = leaves
        .iter()
        .enumerate()
        .filter(|(i, _)| ![2, 3].contains(i));
    foreign.extend(others.map(|(_, leaf)| leaf.to_vec()));
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|it| it == word);
    // All of these are in the whole session, so this is a search that finds.
    for word in &foreign {
        assert!(whole.values().any(|bytes| holds(bytes, word)));
    }
    foreign.extend(raw);
    for word in ["bravo-bravo", "charlie-charlie", "--exact", "nocapture"] {
        foreign.push(word.as_bytes().to_vec());
    }
    assert!(foreign.len() > 25, "{}", foreign.len());
    for (path, bytes) in &call {
        for word in &foreign {
            let text = String::from_utf8_lossy(word);
            assert!(!holds(bytes, word), "{}: {text}", path.display());
        }
    }
}

#[test]
fn a_proof_that_was_changed_proves_nothing() {
    let world = World::new();
    three_calls(&world);
    verb(&world, &["prove", "latest", "1", "-o", "call"]).succeeds();
    let call = world.work().join("call");
    let whole = files(&call);
    let key = fs::read_to_string(call.join("vkey")).unwrap();
    verb(&world, &["verify", "--proof", "call", "--vkey", &key]).succeeds();
    let checked = |code: i32| {
        let outcome = verb(&world, &["verify", "--proof", "call", "--json"]).exits(code);
        outcome.json()
    };
    assert_eq!(checked(0)["contents"]["verified"], 5);
    let replace = |path: &str, from: &str, to: &str| {
        let text = String::from_utf8(whole[Path::new(path)].clone()).unwrap();
        assert!(text.contains(from), "{path}: {text}");
        fs::write(call.join(path), text.replacen(from, to, 1)).unwrap();
    };
    let restore = |path: &str| fs::write(call.join(path), &whole[Path::new(path)]).unwrap();

    replace("leaf/2", "POST", "GET");
    assert_eq!(checked(1)["verdict"], "TAMPERED");
    restore("leaf/2");
    replace("openings.jsonl", "\"salt\":\"", "\"salt\":\"A");
    assert_eq!(checked(1)["verdict"], "TAMPERED");
    restore("openings.jsonl");
    replace("proof/3.tlog-proof", "index 3", "index 2");
    assert_eq!(checked(1)["verdict"], "TAMPERED");
    // A proof of another leaf, and none at all.
    fs::copy(
        call.join("proof/2.tlog-proof"),
        call.join("proof/3.tlog-proof"),
    )
    .unwrap();
    assert_eq!(checked(1)["verdict"], "TAMPERED");
    fs::remove_file(call.join("proof/3.tlog-proof")).unwrap();
    assert_eq!(checked(1)["verdict"], "TAMPERED");
    restore("proof/3.tlog-proof");
    // Without its request, or its openings, it is not the whole call.
    fs::remove_file(call.join("leaf/2")).unwrap();
    fs::remove_file(call.join("openings.jsonl")).unwrap();
    assert_eq!(checked(2)["gaps"][0], "leaf 2 of the call is missing");
    restore("leaf/2");
    restore("openings.jsonl");
    assert_eq!(checked(0)["verdict"], "VERIFIED");
    // Another session's key: the same name, another key.
    let name = key.split('+').next().unwrap();
    let other = ddgate::tlog::SigningKey::generate(name)
        .unwrap()
        .verifier()
        .to_string();
    let refused = verb(
        &world,
        &["verify", "--proof", "call", "--json", "--vkey", &other],
    );
    assert_eq!(refused.exits(1).json()["verdict"], "TAMPERED");
    fs::write(call.join("vkey"), format!("{other}\n")).unwrap();
    assert_eq!(checked(1)["verdict"], "TAMPERED");
}
