//! `replay`, `show` and `sessions`.

use std::time::{Duration, Instant};

use crate::world::World;

const BODY: &str = "{\"name\": \"caf\u{e9}  \\u0041\",\"query\":\"avg(last_5m):avg:x{*} > 1\",\"type\":\"query alert\"}";

fn recorded() -> World {
    let world = World::new();
    let script = format!(
        "GET /api/v1/monitor?name=checkout\nPOST /api/v1/monitor {BODY}\nGET /api/v1/monitor/404\nnokey GET /api/v1/validate"
    );
    world.agent(&script).succeeds();
    world
}

#[test]
fn a_timeline() {
    let world = recorded();
    let shown = world.ddgate(["replay", "latest"]).succeeds();
    let text = shown.shown();
    insta::assert_snapshot!(text, @r"
    session  [ID]  [SESSION]
    who  [USER], unverified OS user on [HOST]: nobody vouched for this name
    when  [WHEN] +00:00, for [TIME]
    command  [AGENT]
    where  [HOST] in [ROOT]/work
    site  datadoghq.com
    calls  4: 2 reads, 1 write, 1 denied, 1 error answer

    #  TIME  EFFECT  METHOD  OPERATION  RESOURCE  STATUS  TOOK
    1  [AT]  read  GET  ListMonitors  monitor  200  [TIME]
    2  [AT]  write  POST  CreateMonitor  monitor  200  [TIME]
    3  [AT]  read  GET  GetMonitor  monitor:404  404  [TIME]
    4  [AT]  read  GET  Validate  validate  denied
      ↳ denied by rule no-key; nothing was sent

    the command ended well (exit 0)
    ");
    insta::assert_snapshot!(shown.said(), @"ddgate: verified: 10 leaves as they were signed; see what that leaves open with: ddgate verify [ID]");
}

#[test]
fn one_call_in_full() {
    let world = recorded();
    insta::assert_snapshot!(world.ddgate(["show", "latest", "2"]).succeeds().shown(), @r#"
    call  2 of session [ID]
    request  POST https://api.datadoghq.com/api/v1/monitor
    operation  CreateMonitor (write)
    resource  monitor
    who  [USER], unverified OS user on [HOST]: nobody vouched for this name
    by  the command itself, pid [PID]
    at  [WHEN] +00:00, [AT] into the session
    decision  allowed by rule default
    outcome  200 after [TIME] (first byte after [TIME])

    request headers
      host  127.0.0.1:[PORT]
      content-type  application/json
      content-length  82

    request body (82 B, application/json)
      {
      "name": "café  \u0041",
      "query": "avg(last_5m):avg:x{*} > 1",
      "type": "query alert"
      }

    response headers
      content-type  application/json
      cache-control  no-store
      content-length  523
      date  [WHEN]

    response body (523 B, application/json)
      {
      "created": "[WHEN]+00:00",
      "created_at": [WHEN],
      "creator": {
      "email": "sam.rivera@example.com",
      "handle": "sam.rivera@example.com",
      "id": 4410227,
      "name": "Sam Rivera"
      },
      "deleted": null,
      "id": 190114303,
      "matching_downtimes": [],
      "message": "",
      "modified": "[WHEN]+00:00",
      "multi": false,
      "name": "café  A",
      "options": {},
      "org_id": 1203110,
      "overall_state": "No Data",
      "overall_state_modified": null,
      "priority": null,
      "query": "avg(last_5m):avg:x{*} > 1",
      "restricted_roles": null,
      "tags": [],
      "type": "query alert"
      }
    "#);
    insta::assert_snapshot!(world.ddgate(["show", "latest", "4"]).succeeds().shown(), @r"
    call  4 of session [ID]
    request  GET https://api.datadoghq.com/api/v1/validate
    operation  Validate (read)
    resource  validate
    who  [USER], unverified OS user on [HOST]: nobody vouched for this name
    by  the command itself, pid [PID]
    at  [WHEN] +00:00, [AT] into the session
    decision  denied by rule no-key
    outcome  denied; nothing was sent

    request headers
      host  127.0.0.1:[PORT]

    request body
      none
    ");
    let call = world
        .ddgate(["show", "latest", "2", "--json"])
        .succeeds()
        .json();
    assert_eq!(call["operation"], "CreateMonitor");
    assert_eq!(call["request"]["body"]["text"], BODY);
    insta::assert_snapshot!(world.ddgate(["show", "latest", "5"]).exits(1).said(), @r"
    ddgate: error: session [ID] has no call 5
    ddgate: hint: to see its calls: ddgate replay [ID]
    ");
}

#[test]
fn bodies_are_exact() {
    let world = recorded();
    let request = world
        .ddgate(["show", "latest", "2", "--body", "request"])
        .succeeds();
    assert_eq!(String::from_utf8_lossy(&request.stdout), BODY);
    let response = world
        .ddgate(["show", "latest", "1", "--body", "response"])
        .succeeds();
    let answers = world.answers();
    let answered = answers[0].splitn(3, ' ').nth(2).unwrap();
    assert_eq!(String::from_utf8_lossy(&response.stdout), answered);
    let empty = world
        .ddgate(["show", "latest", "1", "--body", "request"])
        .succeeds();
    assert!(empty.stdout.is_empty() && empty.said().starts_with("ddgate: verified"));
    insta::assert_snapshot!(world.ddgate(["show", "latest", "4", "--body", "response"]).exits(1).said(), @"ddgate: error: the response of call 4 is not on record: the call was denied, so nothing was sent");
}

#[test]
fn speed_keeps_the_rhythm() {
    let world = World::new();
    world
        .agent("GET /api/v1/monitor\nsleep 400\nGET /api/v1/monitor")
        .succeeds();
    let began = Instant::now();
    let slow = world
        .ddgate(["replay", "latest", "--speed", "1x"])
        .succeeds();
    assert!(
        began.elapsed() >= Duration::from_millis(400),
        "{:?}",
        began.elapsed()
    );
    let fast = world
        .ddgate(["replay", "latest", "--speed", "1000x"])
        .succeeds();
    assert_eq!(slow.stdout, fast.stdout);
    let stepped = world
        .ddgate(["replay", "latest", "--step"])
        .input(b"\n\n\n\n")
        .succeeds();
    assert_eq!(stepped.stdout, fast.stdout);
    let enough = world
        .ddgate(["replay", "latest", "--step"])
        .input(b"q\n")
        .succeeds();
    assert!(enough.stdout.len() < fast.stdout.len());
}

#[test]
fn which_session_is_meant() {
    let world = World::new();
    insta::assert_snapshot!(world.ddgate(["replay", "latest"]).exits(1).said(), @r"
    ddgate: error: no session is recorded in [ROOT]/data/sessions
    ddgate: hint: begin one with: ddgate run -- COMMAND
    ddgate: hint: or is it elsewhere? name the place with --data-dir
    ");
    insta::assert_snapshot!(world.ddgate(["sessions"]).succeeds().shown(), @"no sessions yet; begin one with: ddgate run -- COMMAND");
    let first = world.run(["true"]).succeeds().session();
    let id = world.session_ids()[0].clone();
    assert!(id.starts_with(&first));
    // A second one whose id begins alike.
    let twin = format!(
        "{}{}",
        &id[..10],
        if &id[10..12] == "00" { "11" } else { "00" }
    );
    let twin = twin + &id[12..];
    copy(&world.sessions().join(&id), &world.sessions().join(&twin));
    for selector in [id.as_str(), &id[..12], &id.to_uppercase()] {
        assert_eq!(world.replay_json(selector)["session"], id.as_str());
    }
    let ambiguous = world.ddgate(["replay", &id[..6]]).exits(2).said();
    insta::assert_snapshot!(ambiguous.replace(&id[..6], "[PREFIX]"), @r"
    ddgate: error: `[PREFIX]` fits 2 sessions
    ddgate: hint: type more of the id
    ");
    insta::assert_snapshot!(world.ddgate(["replay", "zzz"]).exits(1).said(), @r"
    ddgate: error: no session `zzz`
    ddgate: hint: to see which there are: ddgate sessions
    ");
    insta::assert_snapshot!(world.ddgate(["replay", ""]).go().said(), @r"
    ddgate: error: no session ``
    ddgate: hint: to see which there are: ddgate sessions
    ");
    insta::assert_snapshot!(world.ddgate(["replay", "../../etc"]).exits(1).said(), @r"
    ddgate: error: no session `../../etc`
    ddgate: hint: to see which there are: ddgate sessions
    ");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_list_is_bounded_and_newest_first() {
    let world = World::new();
    for code in ["1", "2", "3"] {
        world.run(["sh", "-c", &format!("exit {code}")]).go();
    }
    let list = world
        .ddgate(["sessions", "--json", "--limit", "2"])
        .succeeds()
        .json();
    let exits: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["exit"].as_u64().unwrap())
        .collect();
    assert_eq!(exits, [3, 2]);
    let shown = world
        .ddgate(["sessions", "--limit", "2"])
        .succeeds()
        .shown();
    insta::assert_snapshot!(shown, @r"
    SESSION  STARTED (+00:00)  WHO  CALLS  CHANGES  DENIED  LENGTH  STATE  COMMAND
    [ID]  [WHEN]  [USER] (unverified)  0  0  0  [TIME]  exit 3  sh -c 'exit 3'
    [ID]  [WHEN]  [USER] (unverified)  0  0  0  [TIME]  exit 2  sh -c 'exit 2'
    and 1 older; see more with --limit
    ");
    world.ddgate(["sessions", "--limit", "0"]).succeeds();
}

#[test]
fn a_record_that_was_damaged() {
    let world = recorded();
    let id = world.session_ids()[0].clone();
    let directory = world.sessions().join(&id);
    drop(std::fs::remove_dir_all(directory.join("index")));
    world.ddgate(["replay", &id]).succeeds();
    let wal = directory.join("wal-000001.ddw");
    let bytes = std::fs::read(&wal).unwrap();
    // Its middle overwritten.
    let mut damaged = bytes.clone();
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    damaged[middle..middle + 32].fill(0xa5);
    std::fs::write(&wal, &damaged).unwrap();
    drop(std::fs::remove_dir_all(directory.join("index")));
    let outcome = world.ddgate(["replay", &id]).go();
    assert!(matches!(outcome.code, Some(1 | 4)), "{outcome:?}");
    let text = outcome.said();
    assert!(
        text.contains("damaged") && !text.contains("panic"),
        "{text}"
    );
    // Its beginning gone.
    std::fs::write(&wal, &bytes[..16]).unwrap();
    drop(std::fs::remove_dir_all(directory.join("index")));
    let outcome = world.ddgate(["replay", &id]).exits(4);
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: error: [ROOT]/data/sessions/[SESSION] is not a session: its beginning is missing
    ddgate: hint: its beginning was lost or changed; nothing can be said about it
    ");
    world.ddgate(["sessions"]).succeeds();
}
