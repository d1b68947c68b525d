//! Pseudonyms: whose key, how a suspect is tested, and that the key goes nowhere.

use crate::world::World;

const FILE: &str = "[identity]\nstorage = \"file\"\n";
const KEY: &str = "a team's own words, 0123456789";

#[test]
fn a_suspect_is_tested_under_the_stored_key() {
    let world = World::new();
    world.settings(FILE);
    let (api, _) = world.keys();
    world
        .ddgate(["keys", "set", "redaction-key"])
        .input(KEY.as_bytes())
        .succeeds();
    // The placeholder in the query is the agent's own; the key in the body is the real one.
    world
        .agent(&format!("POST /api/v1/monitor {{\"name\": \"{api}\"}}"))
        .succeeds();
    let shown = world.ddgate(["show", "latest", "1", "--json"]).succeeds();
    let body = shown.json()["request"]["body"]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    for suspect in [api.clone(), format!("{api}\n")] {
        let outcome = world
            .ddgate(["pseudonym"])
            .input(suspect.as_bytes())
            .succeeds();
        let pseudonym = String::from_utf8(outcome.stdout).unwrap();
        assert!(
            body.contains(&format!("[REDACTED:dd-api-key:{}]", pseudonym.trim())),
            "{body}"
        );
    }
    let json = world
        .ddgate(["pseudonym", "--json"])
        .input(api.as_bytes())
        // What is stored wins.
        .env("DDGATE_REDACTION_KEY", "another")
        .succeeds()
        .json();
    assert!(body.contains(json["pseudonym"].as_str().unwrap()));
    assert!(
        json["key"].as_str().unwrap().contains("secrets.json"),
        "{json}"
    );
}

#[test]
fn the_environment_and_the_file_give_the_same_key() {
    let world = World::new();
    let of = |world: &World, name: &str| {
        let outcome = world
            .ddgate(["pseudonym"])
            .env(name, KEY)
            .input(b"suspect")
            .succeeds();
        outcome.stdout
    };
    let from_environment = of(&world, "DDGATE_REDACTION_KEY");
    world.settings(&format!("[redaction]\nkey = \"{KEY}\"\n"));
    assert_eq!(of(&world, "UNRELATED"), from_environment);
    let list = world.ddgate(["keys", "list", "--json"]).succeeds();
    let row = list.json()[3].clone();
    assert_eq!(row["name"], "redaction-key");
    assert!(
        row["source"].as_str().unwrap().starts_with("user file"),
        "{row}"
    );
    let shown = world.ddgate(["config", "show"]).succeeds();
    assert!(shown.shown().contains("redaction.key  [set]"), "{shown:?}");
    assert!(!format!("{shown:?}{list:?}").contains(KEY));
}

#[test]
fn without_a_lasting_key_there_is_nothing_to_test() {
    let world = World::new();
    let outcome = world.ddgate(["pseudonym"]).input(b"suspect").exits(1);
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: error: there is no redaction key that outlives a session, so no pseudonym can be tested
    ddgate: hint: store one, for the sessions to come: ddgate keys set redaction-key
    ddgate: hint: or set DDGATE_REDACTION_KEY
    ");
    let outcome = world
        .ddgate(["pseudonym"])
        .env("DDGATE_REDACTION_KEY", KEY)
        .exits(2);
    assert!(outcome.said().contains("the value is empty"), "{outcome:?}");
    world.ddgate(["pseudonym", "a-suspect"]).exits(2);
}

#[test]
fn the_key_reaches_neither_the_child_nor_the_record() {
    let world = World::new();
    let outcome = world
        .run(["sh", "-c", &format!("env; echo {KEY:?}")])
        .env("DDGATE_REDACTION_KEY", KEY)
        .env("OTHER", format!("x{KEY}x"))
        .succeeds();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(!said.contains("DDGATE_REDACTION_KEY"), "{said}");
    assert!(!said.contains(KEY), "{said}");
    let shown = world.ddgate(["replay", "latest", "--json"]).succeeds();
    assert!(!format!("{shown:?}").contains(KEY));
    for (path, bytes) in world.all_files() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(KEY), "{}", path.display());
    }
    // Without one, two sessions call one value differently.
    let marker = || {
        let (api, _) = world.keys();
        world
            .agent(&format!("POST /api/v1/monitor {{\"name\": \"{api}\"}}"))
            .succeeds();
        let shown = world.ddgate(["show", "latest", "1", "--json"]).succeeds();
        shown.json()["request"]["body"]["text"].clone()
    };
    assert_ne!(marker(), marker());
}
