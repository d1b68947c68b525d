//! `ddgate demo`: no account, no network, nothing of the user's.

use std::time::{Duration, Instant};

use crate::world::World;

#[test]
fn the_scripted_agent() {
    let world = World::new();
    // Settings that would break it, were they used.
    world.settings("[identity]\nmode = \"local\"\n[datadog]\nupstream = \"http://127.0.0.1:1\"\n");
    let began = Instant::now();
    let outcome = world
        .ddgate(["demo"])
        .env("DD_API_KEY", "hunter2hunter2hunter2hunter2hunt")
        .env("DDGATE_ISSUER", "https://id.example")
        .succeeds();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let shown = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(
        shown.contains("calls    13: 5 reads, 6 writes, 1 delete, 1 denied"),
        "{shown}"
    );
    assert!(shown.contains("sam.rivera@example.com"), "{shown}");
    let said = outcome.said();
    assert!(
        said.contains("signed in as sam.rivera@example.com"),
        "{said}"
    );
    assert!(!format!("{outcome:?}").contains("hunter2"));
    assert!(
        !world.sessions().exists(),
        "the demo keeps its sessions apart"
    );
}

#[test]
fn any_command() {
    let world = World::new();
    let script = "echo \"$DD_HOST\" | grep -q '^http://127.0.0.1:' && exit 6";
    let outcome = world.ddgate(["demo", "--", "sh", "-c", script]).exits(6);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    world.ddgate(["demo", "--", "no-such-command"]).exits(127);
    let mut words = vec!["demo".to_owned(), "--".into()];
    words.extend(crate::agent::command());
    world
        .ddgate(words)
        .script(&world, "GET /api/v1/monitor")
        .succeeds();
    assert!(
        world.answers()[0].starts_with("200"),
        "{:?}",
        world.answers()
    );
}

#[test]
fn the_way_to_its_sessions_is_the_one_it_says() {
    let world = World::new();
    let outcome = world.ddgate(["demo", "--", "true"]).succeeds();
    let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
    let said = text.split("replay with: ddgate ").nth(1).unwrap();
    let words = said.lines().next().unwrap().split(' ');
    let shown = world.ddgate(words).succeeds().shown();
    assert!(shown.contains("sam.rivera@example.com"), "{shown}");
    // A relative directory is meant from where the person stands.
    world
        .ddgate(["demo", "--data-dir", "here", "--", "true"])
        .succeeds();
    assert!(world.work().join("here/sessions").is_dir());
}
