//! ddgate is killed. The invariant: what Datadog has seen is on record, and every session opens.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::dice::{Dice, asked};
use crate::upstream::Upstream;
use crate::world::{Outcome, World, wait_until};

/// `METHOD TARGET` of every call.
fn recorded(session: &Value) -> BTreeSet<String> {
    let calls = session["calls"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    calls
        .map(|call| format!("{} {}", word(&call["method"]), word(&call["target"])))
        .collect()
}

#[test]
fn killed_in_the_middle_of_a_call() {
    let world = World::new();
    let upstream = Upstream::start();
    upstream.hold();
    let mut live = world
        .ddgate(against(&upstream))
        .keys(&world)
        .script(&world, "DELETE /api/v1/monitor/77")
        .spawn();
    wait_until("the call is under way", || !upstream.seen().is_empty());
    live.kill();
    let outcome = live.end();
    assert_eq!(outcome.signal, Some(9));

    let session = world.replay_json("latest");
    assert_eq!(session["state"], "not_closed");
    assert_eq!(session["counts"]["in_doubt"], 1);
    assert_eq!(session["calls"][0]["outcome"], "in_doubt");
    let shown = world.ddgate(["replay", "latest"]).succeeds();
    insta::assert_snapshot!(shown.shown(), @"
    session  [ID]  [SESSION]
    who  [USER], unverified OS user on [HOST]: nobody vouched for this name
    when  [WHEN] +00:00, last record after [TIME]
    command  [AGENT]
    where  [HOST] in [ROOT]/work
    site  datadoghq.com
    calls  1: 1 delete, 1 in doubt

    #  TIME  EFFECT  METHOD  OPERATION  RESOURCE  STATUS  TOOK
    1  [AT]  delete  DELETE  DeleteMonitor  monitor:77  in doubt
      ↳ the record ends before the answer; it may or may not have taken effect

    the session was not closed: ddgate was killed, or the machine stopped
    ");
    insta::assert_snapshot!(world.ddgate(["show", "latest", "1"]).succeeds().shown(), @"
    call  1 of session [ID]
    request  DELETE https://api.datadoghq.com/api/v1/monitor/77
    operation  DeleteMonitor (delete)
    resource  monitor:77
    who  [USER], unverified OS user on [HOST]: nobody vouched for this name
    by  the command itself, pid [PID]
    at  [WHEN] +00:00, [AT] into the session
    decision  allowed by rule default
    outcome  in doubt: the record ends before the answer; it may or may not have taken effect

    request headers
      host  127.0.0.1:[PORT]

    request body
      none
    ");
    insta::assert_snapshot!(shown.said(), @"ddgate: verified to leaf 3, incomplete: the session was never closed: its gate died");
    world.ddgate(["sessions"]).succeeds();
    let missing = world
        .ddgate(["show", "latest", "1", "--body", "response"])
        .exits(1);
    insta::assert_snapshot!(missing.said(), @"ddgate: error: the response of call 1 is not on record: no answer came");
}

/// Words of a run against this upstream.
pub(crate) fn against(upstream: &Upstream) -> Vec<String> {
    let mut words = vec!["run".to_owned(), "--identity".into(), "local".into()];
    words.extend(["--upstream".into(), upstream.url().to_owned(), "--".into()]);
    words.extend(crate::agent::command());
    words
}

/// After a gate was killed: its session opens unless nothing was sent, what was seen is on record,
/// and the next run works. Returns how many calls had been seen.
pub(crate) fn whole_after(world: &World, upstream: &Upstream, moment: &str) -> usize {
    // What was on the wire when the gate died still arrives.
    std::thread::sleep(Duration::from_millis(20));
    let seen: BTreeSet<String> = upstream.seen().into_iter().collect();
    let is_quiet = |outcome: &Outcome| {
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(
            !said.contains("should never reach"),
            "{moment}: a panic: {outcome:?}"
        );
    };
    let ids = world.session_ids();
    assert!(ids.len() <= 1, "{moment}: {ids:?}");
    let list = world.ddgate(["sessions", "--json"]).succeeds();
    is_quiet(&list);
    if let Some(id) = ids.first() {
        let replayed = world.ddgate(["replay", id, "--json"]).go();
        is_quiet(&replayed);
        // Killed before the opening record was written: said so.
        let is_begun = replayed.code != Some(4) || !seen.is_empty();
        assert_eq!(list.json().as_array().unwrap().len(), usize::from(is_begun));
        if is_begun {
            assert_eq!(replayed.code, Some(0), "{moment}: {replayed:?}");
            let session = replayed.json();
            let recorded = recorded(&session);
            let lost: Vec<_> = seen.difference(&recorded).collect();
            assert!(
                lost.is_empty(),
                "{moment}: sent, not recorded: {lost:?}; recorded: {recorded:?}"
            );
            assert_eq!(session["contradictions"], Value::Array(Vec::new()));
            world.ddgate(["replay", "latest"]).succeeds();
            // Whatever the crash left behind is signed, up to its last whole batch.
            let verified = world.ddgate(["verify", id, "--json"]).go();
            assert!(
                matches!(verified.code, Some(0 | 2)),
                "{moment}: {verified:?}"
            );
            assert_eq!(verified.json()["faults"], Value::Array(Vec::new()));
            let leaves = verified.json()["leaves"].as_u64().unwrap();
            assert!(verified.json()["signed"]["size"].as_u64() <= Some(leaves));
        }
    } else {
        assert!(seen.is_empty(), "{moment}: no session, and {seen:?}");
    }
    let next = world.run(["true"]).succeeds();
    is_quiet(&next);
    assert_eq!(world.session_ids().len(), ids.len() + 1);
    std::fs::remove_dir_all(world.data()).unwrap();
    seen.len()
}

/// `DDGATE_KILLS` asks for more, `DDGATE_KILLS_SEED` for those of an earlier run.
#[test]
fn killed_at_any_moment_under_load() {
    let (kills, seed) = (asked("DDGATE_KILLS", 30), asked("DDGATE_KILLS_SEED", 1));
    let world = World::new();
    let (mut sent, mut loaded) = (0, 0);
    for round in 0..kills {
        let mut dice = Dice::new(seed.wrapping_add(round << 20));
        let upstream = Upstream::start();
        let long = "noise, ".repeat(20_000);
        let script = match dice.below(4) {
            0 => "load 6 GET /api/v1/monitor/N".to_owned(),
            1 => "load 4 PUT /api/v1/monitor/N {\"name\": \"noise\", \"query\": \"x\"}".to_owned(),
            // Streamed: its head is sent before its end is on record.
            2 => format!("load 3 PUT /api/v1/monitor/N {{\"message\": \"{long}\"}}"),
            _ => "load 8 DELETE /api/v1/monitor/N".to_owned(),
        };
        let mut live = world
            .ddgate(against(&upstream))
            .keys(&world)
            .script(&world, &script)
            .spawn();
        let is_opening = round % 4 == 3;
        if !is_opening {
            wait_until("calls are made", || !upstream.seen().is_empty());
            loaded += 1;
        }
        let moment = Duration::from_micros(dice.roll() % if is_opening { 40_000 } else { 60_000 });
        std::thread::sleep(moment);
        live.kill();
        assert_eq!(live.end().signal, Some(9));
        let moment = format!("seed {seed}, round {round}, after {moment:?}");
        sent += whole_after(&world, &upstream, &moment);
    }
    println!("{kills} kills under load, {sent} calls seen, nothing lost");
    assert!(sent >= loaded, "hardly anything was sent: {sent}");
}
