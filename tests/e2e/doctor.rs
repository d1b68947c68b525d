//! `ddgate doctor`: what is found, what to do about it, and that neither asks nor tells secrets.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Ddgate, Outcome, World};

const FILE: &str = "[identity]\nstorage = \"file\"\n";

/// `ddgate doctor --json`, against the world's Datadog.
fn doctor(world: &World, flags: &[&str]) -> Ddgate {
    let upstream = world.sandbox.upstream();
    let words = ["doctor", "--json", "--upstream", &upstream];
    world.ddgate(words.iter().chain(flags))
}

/// State, finding and next step of one check.
#[track_caller]
fn check(outcome: &Outcome, name: &str) -> (String, String, String) {
    let json = outcome.json();
    let checks = json["checks"].as_array().unwrap();
    let found: Vec<&Value> = checks
        .iter()
        .filter(|check| check["check"] == name)
        .collect();
    let [check] = found[..] else {
        panic!("{name}: {outcome:?}");
    };
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("found"), text("next"))
}

#[track_caller]
fn state(outcome: &Outcome, name: &str, state: &str) {
    assert_eq!(check(outcome, name).0, state, "{name}: {outcome:?}");
}

/// A world in which everything is as it should be.
fn well() -> World {
    let world = World::new();
    world.settings(FILE);
    world.sandbox.approve_next(Duration::from_millis(50));
    world.ddgate(["login"]).issuer(&world).succeeds();
    world
}

#[test]
fn with_no_settings_it_says_what_to_do_first() {
    let world = World::new();
    let began = Instant::now();
    let outcome = world.ddgate(["doctor"]).exits(1);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(outcome.stderr.is_empty(), "{outcome:?}");
    let shown = outcome.shown();
    for line in [
        "ok  configuration  no file; yours would be",
        "FAIL  identity provider  no identity provider is configured",
        "next: configure one: put `[identity]`, `issuer = \"https://…\"`",
        "FAIL  credential  no Datadog keys",
        "next: store them: ddgate keys set api-key",
        "-  Datadog  there is no credential to ask with",
        "ok  data directory  [ROOT]/data: writable, private, syncs",
        "a run would stop: 2 things to mend",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(world.session_ids().is_empty());
}

#[test]
fn everything_is_well() {
    let world = well();
    let before = world.sandbox.datadog.seen().len();
    let outcome = doctor(&world, &[]).keys(&world).issuer(&world).succeeds();
    let json = outcome.json();
    assert_eq!(json["ok"], true, "{outcome:?}");
    for name in [
        "configuration",
        "identity provider",
        "clock",
        "sign-in",
        "secret store",
        "credential",
        "Datadog",
        "data directory",
        "proxy",
        "certificates",
    ] {
        state(&outcome, name, "ok");
    }
    let (_, found, _) = check(&outcome, "sign-in");
    assert!(
        found.contains("sam.rivera@example.com") && found.contains("oncall"),
        "{found}"
    );
    let (_, found, _) = check(&outcome, "Datadog");
    assert!(
        found.ends_with("takes the API key and the application key"),
        "{found}"
    );
    assert_eq!(world.sandbox.datadog.seen().len(), before + 2);
    let (api, app) = world.keys();
    let text = format!("{outcome:?}");
    assert!(!text.contains(&api) && !text.contains(&app), "{text}");
    assert!(world.session_ids().is_empty(), "it opens no session");
    // It left nothing but what a run leaves, and what it renewed still works.
    doctor(&world, &[]).keys(&world).issuer(&world).succeeds();
    let left = std::fs::read_dir(world.data()).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name.to_string_lossy().starts_with(".doctor"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn keys_that_datadog_does_not_take() {
    let world = well();
    let (api, app) = world.keys();
    let wrong = "0123456789abcdef0123456789abcdef";
    let run = |api: &str, app: &str| {
        let ddgate = doctor(&world, &["--identity", "local"]);
        ddgate
            .env("DD_API_KEY", api)
            .env("DD_APP_KEY", app)
            .exits(1)
    };
    let outcome = run(wrong, &app);
    let (state, found, next) = check(&outcome, "Datadog");
    assert_eq!(state, "fail");
    assert!(
        found.ends_with("does not take the API key (403 Forbidden)"),
        "{found}"
    );
    assert!(
        next.contains("`datadog.site`") && next.contains("ddgate keys set api-key"),
        "{next}"
    );
    let (_, found, _) = check(&run(&api, wrong), "Datadog");
    assert!(
        found.ends_with("does not take the application key (403 Forbidden)"),
        "{found}"
    );
    assert!(!format!("{outcome:?}").contains(wrong));

    // A token has its own question.
    let token = world.sandbox.datadog.token().expose().clone();
    let ask = |token: &str| {
        let ddgate = doctor(&world, &["--identity", "local"]);
        ddgate.env("DD_ACCESS_TOKEN", token).go()
    };
    let (_, found, _) = check(&ask(&token), "Datadog");
    assert!(found.ends_with("takes the access token"), "{found}");
    let (_, found, _) = check(&ask("ddpat_0123456789abcdef0123456789abcdef"), "Datadog");
    assert!(found.contains("does not take the access token"), "{found}");
}

#[test]
fn what_does_not_answer() {
    let world = well();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let nowhere = format!("http://127.0.0.1:{port}");
    let outcome = world
        .ddgate([
            "doctor",
            "--json",
            "--upstream",
            &nowhere,
            "--issuer",
            &nowhere,
        ])
        .env("DDGATE_CLIENT_ID", "x")
        .keys(&world)
        .exits(1);
    let (state, found, next) = check(&outcome, "identity provider");
    assert_eq!(state, "fail", "{outcome:?}");
    assert!(
        found.contains("gave no discovery document: cannot connect"),
        "{found}"
    );
    assert!(!next.is_empty());
    let (state, found, _) = check(&outcome, "Datadog");
    assert_eq!(state, "fail", "{outcome:?}");
    assert!(found.contains("cannot connect to 127.0.0.1"), "{found}");
}

#[test]
fn each_file_is_checked_by_itself() {
    let world = World::new();
    world.settings("[identity]\nisuer = \"x\"\n");
    world.file(
        "work/ddgate.toml",
        "[identity]\nissuer = \"https://x.example\"\n",
    );
    let outcome = world.ddgate(["doctor", "--json"]).exits(1);
    let json = outcome.json();
    let files: Vec<&Value> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["check"] == "configuration")
        .collect();
    assert_eq!(files.len(), 2, "{outcome:?}");
    let found = |at: usize| files[at]["found"].as_str().unwrap();
    assert!(found(0).contains("config/ddgate.toml:2:1: unknown key `identity.isuer`"));
    assert!(
        found(1).contains("work/ddgate.toml:2:10: `identity.issuer` cannot be set by a project")
    );
    state(&outcome, "sign-in", "not_checked");
    state(&outcome, "certificates", "ok");

    world.settings(FILE);
    std::fs::remove_file(world.work().join("ddgate.toml")).unwrap();
    let outcome = world
        .ddgate(["doctor", "--json"])
        .env("DDGATE_STORAGE", "keyrnig");
    let json = outcome.exits(1).json();
    let failed = json["checks"].as_array().unwrap().iter();
    let failed: Vec<_> = failed.filter(|check| check["state"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{json:#}");
    let found = failed[0]["found"].as_str().unwrap();
    assert!(found.contains("DDGATE_STORAGE: `keyrnig`"), "{found}");
}

#[test]
fn requirements_and_the_list_of_credentials() {
    let world = well();
    let settings = "require_groups = [\"oncall\"]\n[[credential]]\nname = \"ops\"\n\
                    groups = [\"oncall\"]\nenv = { app_key = \"OPS_APP\" }\n";
    world.settings(&format!("{FILE}{settings}"));
    let token = world.sandbox.datadog.token().expose().clone();
    let outcome = doctor(&world, &[])
        .issuer(&world)
        .env("OPS_APP", &token)
        .succeeds();
    let (state, found, _) = check(&outcome, "requirements");
    assert_eq!((&*state, &*found), ("ok", "met: one of the groups oncall"));
    let (_, found, _) = check(&outcome, "credential");
    assert_eq!(found, "ops: application key from environment OPS_APP");
    let (_, found, _) = check(&outcome, "Datadog");
    assert!(found.ends_with("takes the token"), "{found}");

    world.settings(&format!(
        "{FILE}{}",
        settings.replace("[\"oncall\"]", "[\"sre\"]")
    ));
    let outcome = doctor(&world, &[]).issuer(&world).exits(1);
    let (state, found, next) = check(&outcome, "requirements");
    assert_eq!(state, "fail", "{outcome:?}");
    assert!(
        found.contains("none of the groups") && next.contains("user file"),
        "{found} {next}"
    );
    let (_, found, _) = check(&outcome, "credential");
    assert!(
        found.starts_with("no credential is for sam.rivera@example.com"),
        "{found}"
    );
}

#[test]
fn places_that_cannot_hold_a_record() {
    let world = well();
    let look = |directory: &std::path::Path| {
        let flags = ["doctor", "--json", "--identity", "local", "--data-dir"];
        let words = flags.into_iter().map(std::ffi::OsStr::new);
        world
            .ddgate(words.chain([directory.as_os_str()]))
            .env("DDGATE_UPSTREAM", world.sandbox.upstream())
            .go()
    };
    let file = world.file("a-file", "");
    let (state, found, _) = check(&look(&file), "data directory");
    assert_eq!(state, "fail");
    assert!(found.contains("a-file is not a directory"), "{found}");

    let open = world.root().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (state, _, next) = check(&look(&open), "data directory");
    assert_eq!(state, "warn");
    assert!(next.starts_with("chmod 700 "), "{next}");
}

#[test]
fn proxies_and_certificates_that_contradict_themselves() {
    let world = World::new();
    let ddgate = || world.ddgate(["doctor", "--json", "--site", "datadoghq.eu"]);
    let secret = "http://user:hunter2@127.0.0.1:1";
    let outcome = ddgate()
        .env("HTTPS_PROXY", secret)
        .env("https_proxy", "http://127.0.0.1:2")
        .go();
    let (state, found, next) = check(&outcome, "proxy");
    assert_eq!(state, "warn");
    assert!(
        found.starts_with("api.datadoghq.eu is reached through 127.0.0.1:1; HTTPS_PROXY and"),
        "{found}"
    );
    assert!(next.contains("unset one"), "{next}");
    assert!(!format!("{outcome:?}").contains("hunter2"));

    let outcome = ddgate().env("HTTPS_PROXY", "socks5://x").exits(1);
    let (state, found, _) = check(&outcome, "proxy");
    assert_eq!(state, "fail", "{outcome:?}");
    assert!(
        found.contains("HTTPS_PROXY is not a usable proxy address"),
        "{found}"
    );

    let outcome = ddgate().env("HTTP_PROXY", "http://127.0.0.1:1").go();
    let (state, found, _) = check(&outcome, "proxy");
    assert_eq!(state, "warn");
    assert!(
        found.contains("is reached directly; HTTP_PROXY is set, but not HTTPS_PROXY"),
        "{found}"
    );

    let outcome = ddgate()
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("NO_PROXY", ".datadoghq.eu")
        .go();
    let (state, found, _) = check(&outcome, "proxy");
    assert_eq!(
        (&*state, &*found),
        ("ok", "api.datadoghq.eu is reached directly")
    );

    let outcome = ddgate().env("CURL_CA_BUNDLE", "/nowhere").go();
    let (state, found, _) = check(&outcome, "certificates");
    assert_eq!(state, "warn");
    assert!(found.contains("CURL_CA_BUNDLE cannot be read"), "{found}");
    let outcome = ddgate().env("SSL_CERT_FILE", "/nowhere").exits(1);
    assert_eq!(check(&outcome, "certificates").0, "fail");
}

#[test]
fn nobody_is_signed_in() {
    let world = World::new();
    world.settings(FILE);
    let outcome = doctor(&world, &[]).keys(&world).issuer(&world).exits(1);
    let (state, found, next) = check(&outcome, "sign-in");
    assert_eq!(state, "fail", "{outcome:?}");
    assert!(
        found.starts_with("nobody is signed in") && next == "ddgate login",
        "{found} {next}"
    );
    // The keys are everybody's: they are asked about all the same.
    self::state(&outcome, "Datadog", "ok");
}
