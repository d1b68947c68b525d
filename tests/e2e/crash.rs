//! ddgate is killed. The invariant: what Datadog has seen is on record, and every session opens.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::upstream::Upstream;
use crate::world::{World, wait_until};

fn targets(session: &Value) -> BTreeSet<String> {
    let calls = session["calls"].as_array().unwrap().iter();
    calls
        .map(|call| {
            format!(
                "{} {}",
                call["method"].as_str().unwrap(),
                call["target"].as_str().unwrap_or("?")
            )
        })
        .collect()
}

#[test]
fn killed_in_the_middle_of_a_call() {
    let world = World::new();
    let upstream = Upstream::start();
    upstream.hold();
    let mut live = against(&world, &upstream, "DELETE /api/v1/monitor/77").spawn();
    wait_until("the call is under way", || !upstream.seen().is_empty());
    live.kill();
    let outcome = live.end();
    assert_eq!(outcome.signal, Some(9));

    let session = world.replay_json("latest");
    assert_eq!(session["state"], "not_closed");
    assert_eq!(session["counts"]["in_doubt"], 1);
    assert_eq!(session["calls"][0]["outcome"], "in_doubt");
    let shown = world.ddgate(["replay", "latest"]).succeeds();
    insta::assert_snapshot!(shown.shown(), @r"
    session  [ID]  [SESSION]
    who  root, unverified OS user on vm: nobody vouched for this name
    when  [WHEN] +00:00, last record after [TIME]
    command  [AGENT]
    where  vm in [ROOT]/work
    site  datadoghq.com
    calls  1: 1 delete, 1 in doubt

    #  TIME  EFFECT  METHOD  OPERATION  RESOURCE  STATUS  TOOK
    1  [AT]  delete  DELETE  DeleteMonitor  monitor:77  in doubt
      ↳ the record ends before the answer; it may or may not have taken effect

    the session was not closed: ddgate was killed, or the machine stopped
    ");
    insta::assert_snapshot!(world.ddgate(["show", "latest", "1"]).succeeds().shown(), @r"
    call  1 of session [ID]
    request  DELETE https://api.datadoghq.com/api/v1/monitor/77
    operation  DeleteMonitor (delete)
    resource  monitor:77
    who  root, unverified OS user on vm: nobody vouched for this name
    at  [WHEN].976548 +00:00, [AT] into the session
    decision  allowed by rule default
    outcome  in doubt: the record ends before the answer; it may or may not have taken effect

    request headers
      host  127.0.0.1:[PORT]

    request body
      none
    ");
    insta::assert_snapshot!(shown.said(), @"");
    world.ddgate(["sessions"]).succeeds();
    let missing = world
        .ddgate(["show", "latest", "1", "--body", "response"])
        .exits(1);
    insta::assert_snapshot!(missing.said(), @r"
    ddgate: error: the response of call 1 is not on record: no answer came
    ");
}

/// An agent with a script, against this upstream.
fn against(world: &World, upstream: &Upstream, script: &str) -> crate::world::Ddgate {
    let mut words = vec!["run".to_owned(), "--identity".into(), "local".into()];
    words.extend(["--upstream".into(), upstream.url().to_owned(), "--".into()]);
    words.extend(crate::agent::command());
    world.ddgate(words).keys(world).script(world, script)
}

/// Spread by a small linear congruence: random moments, the same in every run.
fn moments(count: u64) -> impl Iterator<Item = Duration> {
    (0..count).scan(0x2545_f491_u64, |state, _| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some(Duration::from_micros((*state >> 33) % 60_000))
    })
}

#[test]
fn killed_at_any_moment_under_load() {
    let world = World::new();
    for (round, moment) in moments(30).enumerate() {
        let upstream = Upstream::start();
        let script = match round % 3 {
            0 => "load 6 GET /api/v1/monitor",
            1 => {
                "load 4 POST /api/v1/monitor {\"name\": \"noise\", \"query\": \"x\", \"type\": \"log alert\"}"
            }
            _ => "load 8 DELETE /api/v1/dashboard/abc-def-ghi",
        };
        let before = world.session_ids();
        let mut live = against(&world, &upstream, script).spawn();
        if round % 5 != 4 {
            wait_until("calls are made", || !upstream.seen().is_empty());
        }
        std::thread::sleep(moment);
        live.kill();
        assert_eq!(live.end().signal, Some(9));
        // What was on the wire when the gate died still arrives.
        std::thread::sleep(Duration::from_millis(20));
        let seen: BTreeSet<String> = upstream.seen().into_iter().collect();
        let Some(id) = world
            .session_ids()
            .into_iter()
            .find(|id| !before.contains(id))
        else {
            assert!(seen.is_empty());
            continue;
        };
        let replayed = world.ddgate(["replay", &id, "--json"]).go();
        if replayed.code == Some(4) && seen.is_empty() {
            // Killed before the opening record was written: said so, and no panic.
            continue;
        }
        assert_eq!(replayed.code, Some(0), "round {round}: {replayed:?}");
        let session = replayed.json();
        assert_eq!(session["state"], "not_closed");
        let recorded = targets(&session);
        let lost: Vec<_> = seen.difference(&recorded).collect();
        assert!(
            lost.is_empty(),
            "round {round}, {moment:?}: sent, not recorded: {lost:?}; recorded: {recorded:?}"
        );
        assert_eq!(session["contradictions"], Value::Array(Vec::new()));
    }
    let list = world.ddgate(["sessions", "--limit", "100"]).succeeds();
    assert!(
        !String::from_utf8_lossy(&list.stderr).contains("panic"),
        "{list:?}"
    );
}
