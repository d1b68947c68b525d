//! The chain of an installation's sessions: one deleted whole is found by those that are left.

use serde_json::Value;

use crate::world::World;

fn verdict(world: &World, code: i32) -> Value {
    world
        .ddgate(["verify", "--all", "--json"])
        .exits(code)
        .json()
}

#[test]
fn a_session_deleted_whole_is_found() {
    let world = World::new();
    let ids: Vec<String> = (0..3)
        .map(|_| world.agent("GET /api/v1/monitor").succeeds().session())
        .collect();
    let whole = verdict(&world, 0);
    assert_eq!(whole["verdict"], "VERIFIED");
    assert_eq!(whole["chain"]["sessions"], 3);
    let agrees = |session: &Value| session["next_agrees"] == true;
    let sessions = whole["sessions"].as_array().unwrap();
    assert_eq!(sessions.iter().filter(|it| agrees(it)).count(), 2);
    // Each in turn; the last one too, for its line in the chain is still there.
    for id in &ids {
        let name = world
            .session_ids()
            .into_iter()
            .find(|name| name.starts_with(id))
            .unwrap();
        let (here, away) = (world.sessions().join(&name), world.root().join("away"));
        std::fs::rename(&here, &away).unwrap();
        let gone = verdict(&world, 2);
        assert_eq!(gone["verdict"], "INCOMPLETE");
        let gaps = gone["chain"]["gaps"].to_string();
        assert!(
            gaps.contains("is missing") && gaps.contains(&name),
            "{gaps}"
        );
        std::fs::rename(&away, &here).unwrap();
    }
    // Cut at a checkpoint, with its manifest gone too, it is shorter than its successor found it.
    let first = world
        .session_ids()
        .into_iter()
        .find(|name| name.starts_with(&ids[0]))
        .unwrap();
    let directory = world.sessions().join(first);
    std::fs::remove_file(directory.join("manifest.json")).unwrap();
    let wal = directory.join("wal-000001.ddw");
    let bytes = std::fs::read(&wal).unwrap();
    let close = bytes
        .windows(15)
        .position(|it| it == b"\"session.close\"")
        .unwrap();
    let frame = bytes[..close]
        .windows(4)
        .rposition(|it| it == b"DDW1")
        .unwrap();
    std::fs::write(&wal, &bytes[..frame]).unwrap();
    let cut = verdict(&world, 1);
    assert!(cut["sessions"].to_string().contains("TRUNCATED"), "{cut}");
}

#[test]
fn nothing_to_check_is_not_called_verified() {
    let outcome = World::new().ddgate(["verify", "--all"]).exits(1);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: error: no session is recorded in [ROOT]/data/sessions
    ddgate: hint: begin one with: ddgate run -- COMMAND
    ddgate: hint: or is it elsewhere? name the place with --data-dir
    ");
}
