//! `--read-only`, `--allow`, `--deny`, and the same in configuration files.

use crate::absent::absent;
use crate::world::World;

const SCRIPT: &str = "GET /api/v1/monitor\nPOST /api/v2/logs/events/search {}\n\
    POST /api/v1/monitor {\"name\": \"x\"}\nDELETE /api/v1/monitor/1\nGET /api/v9/thing";

fn statuses(world: &World) -> Vec<String> {
    let answers = world.answers();
    let first_words = answers.iter().map(|line| {
        let words: Vec<_> = line.split(' ').take(2).collect();
        words.join(" ")
    });
    first_words.collect()
}

#[test]
fn a_read_only_session_says_so_and_reads_only() {
    let world = World::new();
    let outcome = world
        .run_with(&["--read-only"], crate::agent::command())
        .script(&world, SCRIPT)
        .succeeds();
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: policy: read-only
    ddgate: session [ID]: 5 calls (3 denied) as [USER] (unverified), replay with: ddgate replay [ID]
    ");
    assert_eq!(
        statuses(&world),
        [
            "200 -",
            "200 -",
            "403 read-only",
            "403 read-only",
            "403 read-only"
        ]
    );
    let text = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(text.contains("policy  read-only\n"), "{text}");
    assert!(
        text.contains("↳ denied by rule read-only; nothing was sent"),
        "{text}"
    );
    let session = world.replay_json("latest");
    assert_eq!(session["policy"], serde_json::json!({"read_only": true}));
    assert_eq!(session["counts"]["denied"], 3);
    let shown = world.ddgate(["show", "latest", "4"]).succeeds().shown();
    assert!(shown.contains("denied by rule read-only"), "{shown}");
    world.ddgate(["verify", "latest"]).succeeds();
    let listed = world.ddgate(["sessions"]).succeeds().shown();
    assert!(
        listed.contains("[USER] (unverified)  5  0  3  "),
        "{listed}"
    );
}

#[test]
fn flags_only_take_away_from_what_the_files_allow() {
    let world = World::new();
    world.settings("[policy]\nallow = [\"tag:Monitors\", \"tag:Logs\"]\n");
    world.file("work/ddgate.toml", "[policy]\ndeny = [\"Delete*\"]\n");
    let outcome = world
        .run_with(
            &["--allow", "*Monitor*", "--allow", "*Dashboard*"],
            crate::agent::command(),
        )
        .script(&world, &format!("{SCRIPT}\nGET /api/v1/dashboard"))
        .succeeds();
    assert!(
        outcome.said().contains(
            "ddgate: policy: only tag:Monitors, tag:Logs; only *Monitor*, *Dashboard*; never Delete*\n"
        ),
        "{outcome:?}"
    );
    assert_eq!(
        statuses(&world),
        [
            "200 -",
            "403 not-allowed",
            // It got there: Datadog itself finds something missing in it.
            "400 -",
            "403 denied",
            "403 not-allowed",
            "403 not-allowed"
        ]
    );
    let rows = world.ddgate(["config", "show"]).succeeds().shown();
    assert!(
        rows.contains(
            "policy.allow  tag:Monitors, tag:Logs  user file [ROOT]/config/ddgate.toml:2"
        ),
        "{rows}"
    );
    assert!(
        rows.contains("policy.deny  Delete*  project file [ROOT]/work/ddgate.toml:2"),
        "{rows}"
    );
}

#[test]
fn a_project_cannot_lift_what_the_user_says() {
    let world = World::new();
    world.settings("[policy]\nread_only = true\n");
    world.file(
        "work/ddgate.toml",
        "[policy]\nread_only = false\nallow = [\"*\"]\n",
    );
    world.agent("POST /api/v1/monitor {}").succeeds();
    assert_eq!(statuses(&world), ["403 read-only"]);
}

#[test]
fn a_pattern_that_matches_nothing_stops_the_run() {
    let world = World::new();
    let said = |flags: &[&str]| {
        let outcome = world.run_with(flags, ["true"]).exits(2);
        assert!(world.session_ids().is_empty());
        outcome.said()
    };
    insta::assert_snapshot!(said(&["--deny", "UpdateMonitors"]), @"ddgate: error: --deny: `UpdateMonitors` matches no operation of Datadog's, and no tool of its MCP server (did you mean `UpdateMonitor`?)");
    insta::assert_snapshot!(said(&["--allow", "monitors"]), @"ddgate: error: --allow: `monitors` matches no operation of Datadog's, and no tool of its MCP server (did you mean `tag:Monitors` or `*monitors*`?)");
    insta::assert_snapshot!(said(&["--allow", ""]), @"ddgate: error: --allow: must not be empty");
    world.settings("[policy]\nallow = []\n");
    insta::assert_snapshot!(said(&[]), @"ddgate: error: [ROOT]/config/ddgate.toml:2:9: `policy.allow`: must name at least one operation: to allow all, leave it out");
}

#[test]
fn curl_is_told_in_datadogs_own_shape() {
    let world = World::new();
    if !std::path::Path::new("/usr/bin/curl").exists() {
        return absent("there is no curl");
    }
    let script = "curl -s -w ' %{http_code}\\n' -X PUT -d '{\"name\":\"y\"}' \
        -H \"DD-API-KEY: $DD_API_KEY\" -H \"DD-APPLICATION-KEY: $DD_APP_KEY\" \
        \"$DD_HOST/api/v1/monitor/123\"; \
        curl -s -o /dev/null -w '%{http_code}\\n' -H \"DD-API-KEY: $DD_API_KEY\" \"$DD_HOST/api/v1/validate\"; \
        curl -s -o /dev/null -w '%{http_code}\\n' -I -H \"DD-API-KEY: $DD_API_KEY\" \"$DD_HOST/api/v9/x\"";
    let outcome = world
        .run_with(&["--read-only"], ["sh", "-c", script])
        .succeeds();
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    insta::assert_snapshot!(text, @r#"
    {"errors":["ddgate: UpdateMonitor is a write, and this session is read-only; it was not sent, and trying again will not help: the person who started ddgate decides what is allowed"]} 403
    200
    403
    "#);
}
