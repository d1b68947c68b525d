//! Where the real keys come from, and how they are put away.

use crate::world::{Ddgate, World, wait_until};

/// Settings of a person without a keyring.
const FILE: &str = "[identity]\nstorage = \"file\"\nmode = \"local\"\n";

/// An agent against the world's Datadog, without keys in the environment.
fn agent(world: &World) -> Ddgate {
    world
        .agent("GET /api/v1/monitor")
        .env_remove("DD_API_KEY")
        .env_remove("DD_APP_KEY")
}

#[track_caller]
fn real_keys_arrived(world: &World) {
    let seen = world.sandbox.datadog.seen();
    let last = seen.last().unwrap();
    assert!(last.real_api_key && last.real_application_key, "{last:?}");
}

#[test]
fn from_the_environment() {
    let world = World::new();
    world.agent("GET /api/v1/monitor").succeeds();
    real_keys_arrived(&world);
    assert_eq!(
        world.replay_json("latest")["credential"],
        "environment DD_API_KEY, DD_APP_KEY"
    );
}

#[test]
fn from_a_command_as_line_or_as_words() {
    let world = World::new();
    let (api, app) = world.keys();
    let json = format!("{{\\\"api_key\\\": \\\"{api}\\\", \\\"app_key\\\": \\\"{app}\\\"}}");
    for command in [
        format!("credential_command = \"echo DD_API_KEY={api}; echo DD_APP_KEY={app}\""),
        format!("credential_command = [\"printf\", \"%s\", \"{json}\"]"),
    ] {
        world.settings(&format!("[datadog]\n{command}\n"));
        agent(&world).succeeds();
        real_keys_arrived(&world);
    }
    assert_eq!(world.replay_json("latest")["credential"], "command printf");
}

#[test]
fn from_a_command_that_goes_wrong() {
    let world = World::new();
    let said = |command: &str| {
        world.settings(&format!("[datadog]\ncredential_command = {command}\n"));
        agent(&world).exits(125).said()
    };
    insta::assert_snapshot!(said("\"echo hunter2 >&2; exit 3\""), @r"
    hunter2
    ddgate: error: the credential command `echo` failed (exit status: 3)
    ddgate: hint: try it by hand: `datadog.credential_command`, or `command` of its [[credential]]
    ");
    insta::assert_snapshot!(said("\"echo hunter2\""), @r#"
    ddgate: error: the credential command `echo` printed no keys: line 1 is not NAME=value
    ddgate: hint: it should print {"api_key": "…", "app_key": "…"} or lines DD_API_KEY=…
    "#);
    insta::assert_snapshot!(said("[\"no-such-password-manager\", \"hunter2\"]"), @r"
    ddgate: error: cannot run the credential command `no-such-password-manager`
    ddgate:   caused by: No such file or directory (os error 2)
    ddgate: hint: try it by hand: `datadog.credential_command`, or `command` of its [[credential]]
    ");
    insta::assert_snapshot!(said("\"printf '{\\\"api_key\\\": 17}'\""), @r#"
    ddgate: error: the credential command `printf` printed no keys: `api_key` is not a string
    ddgate: hint: it should print {"api_key": "…", "app_key": "…"} or lines DD_API_KEY=…
    "#);
    assert!(world.session_ids().is_empty(), "nothing was opened");
}

#[test]
fn put_away_in_a_file_listed_used_removed() {
    let world = World::new();
    world.settings(FILE);
    let (api, app) = world.keys();
    let set = |name, value: &str| world.ddgate(["keys", "set", name]).input(value.as_bytes());
    insta::assert_snapshot!(set("api-key", &format!("{api}\n")).succeeds().said(), @"ddgate: api-key kept in file [ROOT]/data/secrets.json, readable by you alone");
    set("app-key", &app).succeeds();
    let list = world.ddgate(["keys", "list"]).succeeds();
    insta::assert_snapshot!(list.shown(), @r"
    KEY  FROM
    api-key  file [ROOT]/data/secrets.json, readable by you alone
    app-key  file [ROOT]/data/secrets.json, readable by you alone
    bearer  not set
    redaction-key  not set
    ");
    agent(&world).succeeds();
    real_keys_arrived(&world);
    insta::assert_snapshot!(world.ddgate(["keys", "rm", "app-key"]).succeeds().said(), @"ddgate: app-key removed from file [ROOT]/data/secrets.json, readable by you alone");
    insta::assert_snapshot!(world.ddgate(["keys", "rm", "app-key"]).exits(1).said(), @r"
    ddgate: error: no app-key is kept in file [ROOT]/data/secrets.json, readable by you alone
    ddgate: hint: to see which keys there are: ddgate keys list
    ");
    let list = world.ddgate(["keys", "list", "--json"]).succeeds().json();
    assert_eq!(list[0]["name"], "api-key");
    assert_eq!(list[1]["source"], serde_json::Value::Null);
    agent(&world).succeeds();
    let seen = world.sandbox.datadog.seen();
    let last = seen.last().unwrap();
    assert!(last.real_api_key && !last.real_application_key, "{last:?}");
}

#[test]
fn values_that_are_none() {
    let world = World::new();
    world.settings(FILE);
    let said = |value: &[u8]| {
        world
            .ddgate(["keys", "set", "api-key"])
            .input(value)
            .exits(2)
            .said()
    };
    insta::assert_snapshot!(said(b""), @r"
    ddgate: error: the value is empty
    ddgate: hint: give the value alone, on one line: at the prompt, or on standard input
    ");
    insta::assert_snapshot!(said(b"two words"), @r"
    ddgate: error: the api-key from your input cannot be used: it holds a space or a control character
    ddgate: hint: give the value alone: one word, without quotes
    ");
    insta::assert_snapshot!(said(b"two\nlines"), @r"
    ddgate: error: the value is not one line of plain text
    ddgate: hint: give the value alone, on one line: at the prompt, or on standard input
    ");
    insta::assert_snapshot!(world.ddgate(["keys", "set", "api-key", "hunter2"]).exits(2).said(), @r"
    ddgate: error: a key's value is not taken from the command line
    ddgate: hint: other programs could see it there; remove it from your shell's history too
    ddgate: hint: type it at the prompt of `ddgate keys set NAME`, or pass it on standard input
    ");
    insta::assert_snapshot!(world.ddgate(["keys", "set", "hunter2"]).exits(2).said(), @r"
    ddgate: error: there is no key of that name; there are api-key, app-key, bearer and redaction-key
    ddgate: hint: if it was the key's value: type it at the prompt of `ddgate keys set NAME`, or pass it on standard input
    ");
}

#[test]
fn no_keyring_and_no_choice_of_another_place() {
    let world = World::new();
    let outcome = world
        .ddgate(["keys", "set", "api-key"])
        .input(b"hunter2")
        .go();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(!outcome.said().contains("hunter2"));
    if cfg!(target_os = "linux") {
        insta::assert_snapshot!(outcome.said(), @r#"
        ddgate: error: the key cannot be kept: the OS keyring does not work: there is no session bus to reach it by (Platform failure: zbus error: Failed to connect to address `unix:path=/nowhere`: No such file or directory (os error 2))
        ddgate: hint: set `identity.storage = "file"` to keep it in a file that only you can read, or use `datadog.credential_command` or the environment
        "#);
    }
}

#[test]
fn no_keys_at_all() {
    let world = World::new();
    let outcome = agent(&world).exits(125);
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: error: no Datadog keys: none are stored, and none of DD_API_KEY, DD_APP_KEY, DD_ACCESS_TOKEN is set
    ddgate: hint: store them: ddgate keys set api-key, then ddgate keys set app-key
    ddgate: hint: or set DD_API_KEY and DD_APP_KEY for ddgate; the command sees placeholders
    ");
    assert!(world.session_ids().is_empty());
}

#[test]
fn a_command_that_hangs_can_be_interrupted() {
    let world = World::new();
    let script = world.file("hang", ": > up; exec sleep 20 >/dev/null 2>&1");
    let line = format!("credential_command = [\"sh\", \"{}\"]", script.display());
    world.settings(&format!("[datadog]\n{line}\n"));
    let live = agent(&world).spawn();
    wait_until("it hangs", || world.work().join("up").exists());
    live.signal(rustix::process::Signal::INT);
    let outcome = live.end();
    assert_eq!(outcome.signal, Some(2), "{outcome:?}");
    assert!(world.session_ids().is_empty());
}
