//! After a run, no byte anywhere holds a real key or a token, in any common spelling.

use std::time::Duration;

use base64::Engine as _;
use ddgate::journal::catalog::SessionDir;
use ddgate::journal::walk;

use crate::world::{Outcome, World};

/// A secret in the spellings it may hide in. Base64 of something longer shows as one of three
/// alignments; the outer characters depend on the neighbours and are left out.
pub(crate) fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let mut spellings = vec![secret.as_bytes().to_vec()];
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    spellings.push(percent.to_lowercase().into_bytes());
    spellings.push(percent.into_bytes());
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    spellings.push(hex.into_bytes());
    for pad in ["", "x", "xx"] {
        let whole =
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("{pad}{secret}"));
        let inner = &whole[4..whole.len() - 4];
        spellings.push(inner.as_bytes().to_vec());
        spellings.push(inner.replace('+', "-").replace('/', "_").into_bytes());
    }
    spellings
}

#[track_caller]
fn nowhere(secret: &str, place: &str, bytes: &[u8]) {
    for spelling in spellings(secret) {
        let found = bytes
            .windows(spelling.len())
            .any(|window| window == spelling);
        assert!(
            !found,
            "{place} holds a secret as {}",
            String::from_utf8_lossy(&spelling)
        );
    }
}

/// What the sessions hold, unpacked: in the file most of it is compressed.
pub(crate) fn recorded(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut recorded = Vec::new();
    for id in world.session_ids() {
        let id = id.parse().unwrap();
        let dir = SessionDir::new(&world.sessions(), id);
        for found in walk::walk(&dir, id, &Default::default()).unwrap() {
            match found.unwrap() {
                walk::Found::Leaf(bytes) => recorded.push(("a leaf".into(), bytes)),
                walk::Found::Opening(opening) => {
                    let pieces: Vec<_> = opening.pieces().map(Result::unwrap).collect();
                    recorded.push((format!("a recorded {}", opening.field), pieces.concat()));
                }
                walk::Found::Checkpoint(_) => {}
            }
        }
    }
    recorded
}

#[track_caller]
fn search(world: &World, secrets: &[String], outcomes: &[Outcome], except: &str) {
    let files = world.all_files();
    assert!(!files.is_empty());
    let recorded = recorded(world);
    // Or the search below would look at nothing.
    let is_host = |(place, _): &&(String, Vec<u8>)| place.ends_with("host");
    assert!(
        recorded
            .iter()
            .find(is_host)
            .is_some_and(|(_, host)| !host.is_empty())
    );
    for secret in secrets {
        for (path, bytes) in &files {
            let name = path.file_name().unwrap().to_string_lossy();
            if except.is_empty() || name != except {
                nowhere(secret, &path.display().to_string(), bytes);
            }
        }
        for (place, bytes) in &recorded {
            nowhere(secret, place, bytes);
        }
        for outcome in outcomes {
            nowhere(secret, "stdout", &outcome.stdout);
            nowhere(secret, "stderr", &outcome.stderr);
        }
    }
}

#[test]
fn keys_are_nowhere() {
    let world = World::new();
    let (api, app) = world.keys();
    let percent: String = api.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(format!("k:{app}"));
    // The agent does not know the keys; what the person typed on the command line may hold one.
    let script = "GET /api/v1/monitor\nPOST /api/v1/monitor {\"name\": \"x\"}\nGET /api/v1/validate\nnokey GET /api/v1/monitor";
    let mut words = crate::agent::command();
    words.extend(["--skip".to_owned(), api.clone()]);
    let outcomes = [
        world
            .run_with(&["-v"], &words)
            .script(&world, script)
            .env("MY_URL", format!("https://x/?k={percent}"))
            .env("MY_AUTH", base64)
            .succeeds(),
        world.ddgate(["replay", "latest", "--json"]).succeeds(),
        world.ddgate(["replay", "latest"]).succeeds(),
        world.ddgate(["show", "latest", "2", "--json"]).succeeds(),
        world.ddgate(["status", "--json"]).keys(&world).succeeds(),
        world.ddgate(["keys", "list"]).keys(&world).succeeds(),
        world.ddgate(["config", "show"]).keys(&world).succeeds(),
    ];
    search(&world, &[api, app], &outcomes, "");
}

#[test]
fn keys_sent_by_an_agent_that_knows_them_are_nowhere() {
    let world = World::new();
    let (api, app) = world.keys();
    let script = format!(
        "key {api} GET /api/v1/monitor\nGET /api/v1/monitor?api_key={api}&q={app}\nPOST /api/v1/monitor {{\"name\": \"{api}\", \"message\": \"and {app}\"}}\nGET /api/v1/{app}/x"
    );
    let outcome = world.agent(&script).succeeds();
    // What it was answered is its own file, and may quote what it said itself.
    std::fs::remove_file(world.root().join("answers")).unwrap();
    let shown = world.ddgate(["replay", "latest", "--json"]).succeeds();
    assert_eq!(shown.json()["counts"]["calls"], 4);
    search(&world, &[api, app], &[outcome, shown], "");
}

#[test]
fn tokens_are_in_the_store_and_nowhere_else() {
    let world = World::new();
    world.settings("[identity]\nstorage = \"file\"\n");
    world.sandbox.approve_next(Duration::from_millis(50));
    let login = world.ddgate(["-v", "login"]).issuer(&world).succeeds();
    let store = std::fs::read_to_string(world.data().join("secrets.json")).unwrap();
    let upstream = world.sandbox.upstream();
    let run = world
        .ddgate(["run", "-v", "--upstream", &upstream, "--", "true"])
        .keys(&world)
        .issuer(&world)
        .succeeds();
    let after = std::fs::read_to_string(world.data().join("secrets.json")).unwrap();
    let mut tokens: Vec<String> = Vec::new();
    for text in [store, after] {
        // Whatever the shape of the file: every long word in it that could be a token.
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        tokens.extend(words.filter(|word| word.len() >= 20).map(str::to_owned));
    }
    tokens.retain(|word| !word.contains("example.com"));
    assert!(!tokens.is_empty());
    search(&world, &tokens, &[login, run], "secrets.json");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let secret = "0123456789abcdef0123456789abcdef";
    let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for hidden in [
        format!("a{secret}b"),
        percent,
        base64(secret.to_owned()),
        base64(format!("user:{secret}")),
        base64(format!("x{secret}yy")),
        base64(format!("{{\"k\":\"{secret}\"}}")),
    ] {
        let found = std::panic::catch_unwind(|| nowhere(secret, "here", hidden.as_bytes()));
        assert!(found.is_err(), "{hidden}");
    }
    nowhere(secret, "here", b"0123456789abcdef0123456789abcde");
}
