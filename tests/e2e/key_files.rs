//! Real Datadog keys in files the command can read: pointed out once, by the name of the file, and
//! good for nothing at the gate.

use crate::world::World;

/// Keys nobody was given.
const API: &str = "5a5b5c5d5e5f50515253545556575859";
const APP: &str = "5a5b5c5d5e5f505152535455565758595a5b5c5d";

#[test]
fn files_with_keys_are_named_and_their_keys_refused() {
    let world = World::new();
    world.file(
        "home/.dogrc",
        &format!("[Connection]\napikey = {API}\nappkey = {APP}\n"),
    );
    world.file("work/.git/HEAD", "");
    world.file(
        "work/.env",
        &format!("OTHER=1\nexport DD_API_KEY=\"{API}\"\n"),
    );
    world.file(
        "work/.mcp.json",
        "{\"env\": {\"DD_API_KEY\": \"${DD_API_KEY}\"}}",
    );
    world.file(
        "work/.cursor/mcp.json",
        &format!("{{\"headers\": {{\"DD-API-KEY\": \"{API}\"}}}}"),
    );
    let outcome = world
        .agent(&format!(
            "GET /api/v1/monitor\nkey {API} GET /api/v1/monitor"
        ))
        .succeeds();
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: warning: Datadog keys are within the command's reach in ~/.dogrc, .env, .cursor/mcp.json; calls with them are refused
    ddgate: session [ID]: 2 calls (1 denied) as [USER] (unverified), replay with: ddgate replay [ID]
    ");
    let answers = world.answers();
    assert!(answers[0].starts_with("200"), "{answers:?}");
    assert!(answers[1].starts_with("403 foreign-key"), "{answers:?}");
    assert!(answers[1].contains("the key in ~/.dogrc,"), "{answers:?}");
    let session = world.replay_json(&outcome.session());
    assert_eq!(session["calls"][1]["rule"], "foreign-key");
    // Neither said nor recorded: the files themselves are the only places.
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(API));
    }
    let holding: Vec<_> = world
        .all_files()
        .into_iter()
        .filter(|(_, bytes)| bytes.windows(API.len()).any(|it| it == API.as_bytes()))
        .map(|(path, _)| path.strip_prefix(world.root()).unwrap().to_owned())
        .collect();
    let mut holding: Vec<_> = holding.iter().map(|path| path.to_string_lossy()).collect();
    holding.sort();
    assert_eq!(
        holding,
        ["home/.dogrc", "work/.cursor/mcp.json", "work/.env"]
    );
}

#[test]
fn no_keys_no_word() {
    let world = World::new();
    world.file(
        "work/.env",
        "DD_API_KEY=00000000000000000000000000000000\nDD_APP_KEY=\n",
    );
    world.file("home/.claude.json", &"{\"a\": \"b\"}\n".repeat(1000));
    // What would block whoever opens it is not opened.
    let pipe = world.work().join(".mcp.json");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let outcome = world.run(["true"]).succeeds();
    let text = outcome.said();
    assert!(!text.contains("keys"), "{text}");
}
