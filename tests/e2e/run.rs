//! `ddgate run`: the command behaves as without ddgate, and everything is on record.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use crate::world::{World, wait_until};

#[test]
fn the_commands_own_exit_code() {
    let world = World::new();
    for (script, code) in [
        ("true", 0),
        ("exit 7", 7),
        ("exit 125", 125),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -PIPE $$", 141),
    ] {
        let outcome = world.run(["sh", "-c", script]).exits(code);
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
}

#[test]
fn a_command_that_died_of_an_interrupt_takes_ddgate_along() {
    let world = World::new();
    let outcome = world.run(["sh", "-c", "kill -INT $$"]).go();
    assert_eq!(outcome.signal, Some(2), "{outcome:?}");
    let session = world.replay_json(&outcome.session());
    assert_eq!(
        (&session["reason"], &session["exit"]),
        (&"signal".into(), &130.into())
    );
}

#[test]
fn a_command_that_is_not_there() {
    let world = World::new();
    let outcome = world.run(["no-such-command"]).exits(127);
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: error: cannot find `no-such-command`
    ddgate: hint: is it installed, and its directory in PATH?
    ");
    let script = world.file("work/not executable.sh", "exit 0");
    let outcome = world.run([script]).exits(126);
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: error: cannot execute `[ROOT]/work/not executable.sh`
    ddgate:   caused by: Permission denied (os error 13)
    ddgate: hint: is it a program, and executable? for a script: sh SCRIPT
    ");
    world.run([world.work()]).exits(126);
    world.run([""]).exits(127);
    for id in world.session_ids() {
        let session = world.replay_json(&id);
        assert_eq!(session["state"], "closed");
        assert_eq!(session["reason"], "spawn-failed");
    }
}

#[test]
fn streams_are_untouched() {
    let world = World::new();
    let all: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let outcome = world.run(["cat"]).input(&all).succeeds();
    assert!(outcome.stdout == all, "stdout differs");
    let outcome = world.run(["sh", "-c", "cat >&2"]).input(&all).succeeds();
    let at = outcome
        .stderr
        .windows(64)
        .position(|bytes| bytes == &all[..64]);
    let at = at.unwrap();
    assert!(outcome.stderr[at..at + all.len()] == all, "stderr differs");
    ours_only(&outcome.stderr[..at]);
    ours_only(&outcome.stderr[at + all.len()..]);
}

/// Every line begins as our lines do.
#[track_caller]
fn ours_only(stderr: &[u8]) {
    let text = std::str::from_utf8(stderr).unwrap();
    for line in text.lines().filter(|line| !line.is_empty()) {
        assert!(line.starts_with("ddgate:"), "{line}");
    }
}

#[test]
fn arguments_and_directory_are_untouched() {
    let world = World::new();
    let script = "pwd; printf '%s|' \"$0\" \"$@\"";
    let odd = OsString::from_vec(b"n\xff\xfeot utf-8".to_vec());
    let mut words: Vec<OsString> = [
        "sh", "-c", script, "zero", "a b", "", "--flag", "--", "$HOME", "'q'\"\n",
    ]
    .map(OsString::from)
    .to_vec();
    words.push(odd);
    let outcome = world.run(words).succeeds();
    let mut expected = format!("{}\n", world.work().display()).into_bytes();
    expected.extend(b"zero|a b||--flag|--|$HOME|'q'\"\n|n\xff\xfeot utf-8|");
    assert_eq!(outcome.stdout, expected);
    let session = world.replay_json("latest");
    let command = session["command"].as_array().unwrap();
    assert_eq!(command[4], "a b");
    assert_eq!(command.last().unwrap(), "n\u{fffd}\u{fffd}ot utf-8");
    // Line breaks and bytes that are not text must not upset the view.
    world.ddgate(["replay", "latest"]).succeeds();
}

#[test]
fn one_summary_line_or_none() {
    let world = World::new();
    let outcome = world
        .agent("GET /api/v1/monitor\nDELETE /api/v1/monitor/1")
        .succeeds();
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: session [ID]: 2 calls (1 delete, 1 error answer) as [USER] (unverified), replay with: ddgate replay [ID]
    ");
    ours_only(&outcome.stderr);
    let quiet = world.run_with(&["-q"], ["sh", "-c", "exit 3"]).exits(3);
    assert!(
        quiet.stderr.is_empty() && quiet.stdout.is_empty(),
        "{quiet:?}"
    );
}

#[test]
fn every_call_is_answered_and_recorded() {
    let world = World::new();
    let script = "GET /api/v1/monitor\nnokey GET /api/v1/monitor\nkey 0123456789abcdef0123456789abcdef GET /api/v1/monitor\nPOST /api/v1/monitor {\"name\": \"x\"}";
    let outcome = world.agent(script).succeeds();
    let answers = world.answers();
    let statuses: Vec<_> = answers.iter().map(|line| &line[..3]).collect();
    assert_eq!(statuses[..3], ["200", "403", "403"], "{answers:#?}");
    let session = world.replay_json(&outcome.session());
    let calls = session["calls"].as_array().unwrap();
    let outcomes: Vec<_> = calls
        .iter()
        .map(|c| c["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["answered", "refused", "refused", "answered"]);
    assert_eq!(world.sandbox.datadog.seen().len(), 2);
    for seen in world.sandbox.datadog.seen() {
        assert!(seen.real_api_key && seen.real_application_key, "{seen:?}");
    }
}

#[test]
fn sigterm_is_handed_on_and_the_session_closed() {
    let world = World::new();
    let ready = world.work().join("ready");
    let script = "trap 'exit 9' TERM; : > ready; while :; do sleep 0.02; done";
    let live = world.run(["sh", "-c", script]).spawn();
    wait_until("the command is up", || ready.exists());
    live.signal(Signal::TERM);
    let outcome = live.end();
    assert_eq!(outcome.code, Some(9), "{outcome:?}");
    let session = world.replay_json(&outcome.session());
    assert_eq!(session["state"], "closed");
    assert_eq!(session["exit"], 9);
}

#[test]
fn sigint_is_handed_on_where_there_is_no_terminal() {
    let world = World::new();
    let ready = world.work().join("ready");
    let script = "trap 'exit 5' INT; : > ready; while :; do sleep 0.02; done";
    let live = world.run(["sh", "-c", script]).spawn();
    wait_until("the command is up", || ready.exists());
    live.signal(Signal::INT);
    assert_eq!(live.end().code, Some(5));
}

#[test]
fn a_running_session_can_be_looked_at() {
    let world = World::new();
    let go_on = world.root().join("go-on");
    let script = format!("GET /api/v1/monitor\nawait {}", go_on.display());
    let live = world.agent(&script).spawn();
    wait_until("the call is made", || !world.answers().is_empty());
    let session = world.replay_json("latest");
    assert_eq!(session["state"], "running");
    assert_eq!(session["counts"]["calls"], 1);
    insta::assert_snapshot!(world.ddgate(["replay", "latest"]).succeeds().shown(), @r"
    session  [ID]  [SESSION]
    who  [USER], unverified OS user on [HOST]: nobody vouched for this name
    when  [WHEN] +00:00, still running
    command  [AGENT]
    where  [HOST] in [ROOT]/work
    site  datadoghq.com
    calls  1: 1 read

    #  TIME  EFFECT  METHOD  OPERATION  RESOURCE  STATUS  TOOK
    1  [AT]  read  GET  ListMonitors  monitor  200  [TIME]

    the session is still running; this is what is on record so far
    ");
    world.ddgate(["show", "latest", "1"]).succeeds();
    let list = world.ddgate(["sessions", "--json"]).succeeds().json();
    assert_eq!(list[0]["state"], "running");
    world.ddgate(["sessions"]).succeeds();
    std::fs::write(go_on, "").unwrap();
    assert_eq!(live.end().code, Some(0));
    assert_eq!(world.replay_json("latest")["state"], "closed");
}

#[test]
fn two_at_once_know_nothing_of_each_other() {
    let world = World::new();
    let script = "GET /api/v1/monitor\nsleep 100\nGET /api/v1/dashboard";
    let pair = [world.agent(script).spawn(), world.agent(script).spawn()];
    for live in pair {
        let outcome = live.end();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(world.replay_json(&outcome.session())["counts"]["calls"], 2);
    }
    assert_eq!(world.session_ids().len(), 2);
}

#[test]
fn a_gate_within_a_gate() {
    let world = World::new();
    let inner = env!("CARGO_BIN_EXE_ddgate");
    let mut words = vec![inner, "run", "--identity", "local", "--"];
    let agent = crate::agent::command();
    words.extend(agent.iter().map(String::as_str));
    world
        .run(words)
        .script(&world, "GET /api/v1/monitor")
        .succeeds();
    // Through both (the inner one takes the outer one's placeholders for keys, and its CA for
    // one to trust), recorded by both, and armed by the one that holds the keys.
    assert!(
        world.answers()[0].starts_with("200"),
        "{:?}",
        world.answers()
    );
    assert!(world.sandbox.datadog.seen()[0].real_api_key);
    let ids = world.session_ids();
    assert_eq!(ids.len(), 2);
    for id in ids {
        assert_eq!(world.replay_json(&id)["counts"]["calls"], 1);
    }
}

#[test]
fn certificates_stay_while_they_may_be_needed() {
    let world = World::new();
    // Each session is kept elsewhere: one must not tidy up behind another's back.
    let begin = |name: &str| {
        let script = "echo \"$SSL_CERT_FILE\" > $0.new; mv $0.new $0; while test ! -e $0.end; do sleep 0.02; done";
        let live = world
            .run(["sh", "-c", script, name])
            .env("DDGATE_DATA_DIR", world.root().join(name))
            .spawn();
        let note = world.work().join(name);
        wait_until("the command is up", || note.exists());
        let file = std::fs::read_to_string(note).unwrap();
        (live, Path::new(file.trim()).parent().unwrap().to_owned())
    };
    let end = |name: &str| std::fs::write(world.work().join(format!("{name}.end")), "").unwrap();
    let age = |directory: &Path| {
        let before = SystemTime::now() - Duration::from_secs(48 * 3600);
        let directory = std::fs::File::open(directory).unwrap();
        directory.set_modified(before).unwrap();
    };

    let (first, old) = begin("first");
    end("first");
    assert_eq!(first.end().code, Some(0));
    assert!(old.is_dir(), "a grandchild may need it");
    age(&old);
    let (second, needed) = begin("second");
    assert!(!old.exists(), "its session ended long ago");
    age(&needed);
    world.run(["true"]).succeeds();
    assert!(needed.is_dir(), "its session still runs");
    end("second");
    assert_eq!(second.end().code, Some(0));
}

#[test]
fn more_words_on_demand() {
    let world = World::new();
    let outcome = world.run_with(&["-v"], ["true"]).succeeds();
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: keys from environment DD_API_KEY, DD_APP_KEY; every call goes to http://127.0.0.1:[PORT]/; record in [ROOT]/data/sessions/[SESSION]
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: session [ID]: 0 calls as [USER] (unverified), replay with: ddgate replay [ID]
    ");
    ours_only(&outcome.stderr);
}

#[test]
fn a_grandchild_does_not_hold_up_the_end() {
    let world = World::new();
    let began = Instant::now();
    let script = "sleep 3 >/dev/null 2>&1 & exit 4";
    world.run(["sh", "-c", script]).exits(4);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
