//! Signing in, staying signed in, signing out; and who a session is recorded under.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::world::{Ddgate, World};

fn with_file(world: &World) {
    world.settings("[identity]\nstorage = \"file\"\n");
}

/// A run that signs in.
fn run(world: &World, flags: &[&str]) -> Ddgate {
    let upstream = world.sandbox.upstream();
    let mut words = vec!["run", "--upstream", &upstream];
    words.extend(flags);
    words.extend(["--", "true"]);
    world.ddgate(words).keys(world).issuer(world)
}

#[test]
fn login_run_status_logout() {
    let world = World::new();
    with_file(&world);
    world.sandbox.approve_next(Duration::from_millis(50));
    let login = world.ddgate(["login"]).issuer(&world).succeeds();
    insta::assert_snapshot!(said(&login.said()), @r"
    ddgate: to sign in, open    http://127.0.0.1:[PORT]/device
    ddgate: and enter the code  [CODE]  (expires in 10 min)
    ddgate: or open             http://127.0.0.1:[PORT]/device?user_code=[CODE]  (check that the page shows this code)
    ddgate: use any device; Ctrl-C cancels
    ddgate: waiting for approval…
    ddgate: ✓ signed in as sam.rivera@example.com (groups: checkout-team, oncall) at http://127.0.0.1:[PORT], until [WHEN]
    ");
    assert!(login.stdout.is_empty());

    let began = Instant::now();
    let ran = run(&world, &[]).succeeds();
    assert!(began.elapsed() < Duration::from_secs(10));
    insta::assert_snapshot!(ran.said(), @"ddgate: session [ID]: 0 calls as sam.rivera@example.com, replay with: ddgate replay [ID]");
    let session = world.replay_json("latest");
    assert_eq!(session["who"]["verified"], true);
    assert_eq!(session["who"]["email"], "sam.rivera@example.com");
    assert_eq!(session["who"]["issuer"], world.sandbox.issuer());
    assert_eq!(session["who"]["groups"][0], "checkout-team");

    let status = world.ddgate(["status"]).issuer(&world).succeeds();
    insta::assert_snapshot!(status.shown(), @r"
    signed in  sam.rivera@example.com at http://127.0.0.1:[PORT]
    subject  u-[ID]
    e-mail  sam.rivera@example.com (verified)
    groups  checkout-team, oncall
    kept in  file [ROOT]/data/secrets.json, readable by you alone
    renewed  [WHEN] +00:00
    expires  [WHEN] +00:00, unless renewed
    next refresh  when a run begins, or in one at [WHEN] +00:00
    issuer  http://127.0.0.1:[PORT]
    site  datadoghq.com
    sessions  1 in [ROOT]/data
    config  [ROOT]/config/ddgate.toml

    KEY  FROM
    api-key  not set
    app-key  not set
    bearer  not set
    redaction-key  not set
    ");
    let status = world.ddgate(["status", "--json"]).issuer(&world).succeeds();
    assert_eq!(
        status.json()["signed_in"]["email"],
        "sam.rivera@example.com"
    );

    insta::assert_snapshot!(world.ddgate(["logout"]).issuer(&world).succeeds().said(), @"ddgate: signed out sam.rivera@example.com: deleted from file [ROOT]/data/secrets.json, readable by you alone, revoked at http://127.0.0.1:[PORT]");
    insta::assert_snapshot!(world.ddgate(["logout"]).issuer(&world).succeeds().said(), @"ddgate: nobody was signed in");
    run(&world, &[]).exits(3);
}

/// The code on the screen is another each time.
fn said(text: &str) -> String {
    let mut words = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        let code = |word: &str| {
            let bytes = word.as_bytes();
            bytes.len() == 9
                && bytes[4] == b'-'
                && word.chars().all(|c| c == '-' || c.is_ascii_uppercase())
        };
        let found: Vec<String> = line
            .split(|c: char| c != '-' && !c.is_ascii_alphanumeric())
            .filter(|word| code(word))
            .map(str::to_owned)
            .collect();
        for word in found {
            line = line.replace(&word, "[CODE]");
        }
        if let Some(at) = line.find(", until ") {
            line.truncate(at);
            line += ", until [WHEN]";
        }
        words += &line;
        words.push('\n');
    }
    words
}

#[test]
fn nobody_to_ask() {
    let world = World::new();
    with_file(&world);
    let began = Instant::now();
    let outcome = run(&world, &[]).exits(3);
    assert!(began.elapsed() < Duration::from_secs(5));
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: error: nobody is signed in at http://127.0.0.1:[PORT]
    ddgate: hint: sign in with: ddgate login
    ddgate: hint: where nobody can: --identity local records the OS user, unverified
    ");
    run(&world, &["--prompt", "never"]).exits(3);
    assert!(world.session_ids().is_empty());
}

#[test]
fn no_provider_configured() {
    let world = World::new();
    let outcome = world.ddgate(["run", "--", "true"]).keys(&world).exits(3);
    insta::assert_snapshot!(outcome.said(), @r#"
    ddgate: error: no identity provider is configured
    ddgate: hint: configure one: put `[identity]`, `issuer = "https://…"` and `client_id = "…"` into [ROOT]/home/xdg-config/ddgate/ddgate.toml, or set DDGATE_ISSUER and DDGATE_CLIENT_ID
    ddgate: hint: or do without: `ddgate run --identity local -- …` records the operating system's user name, which nobody has verified
    "#);
    insta::assert_snapshot!(world.ddgate(["login"]).exits(3).said(), @r#"
    ddgate: error: no identity provider is configured
    ddgate: hint: configure one: put `[identity]`, `issuer = "https://…"` and `client_id = "…"` into [ROOT]/home/xdg-config/ddgate/ddgate.toml, or set DDGATE_ISSUER and DDGATE_CLIENT_ID
    ddgate: hint: or do without: `ddgate run --identity local -- …` records the operating system's user name, which nobody has verified
    "#);
    let half = world.ddgate(["login", "--issuer", world.sandbox.issuer()]);
    insta::assert_snapshot!(half.exits(3).said(), @r#"
    ddgate: error: no client id is configured for the identity provider
    ddgate: hint: configure one: put `[identity]`, `issuer = "https://…"` and `client_id = "…"` into [ROOT]/home/xdg-config/ddgate/ddgate.toml, or set DDGATE_ISSUER and DDGATE_CLIENT_ID
    ddgate: hint: or do without: `ddgate run --identity local -- …` records the operating system's user name, which nobody has verified
    "#);
}

#[test]
fn a_person_may_be_asked_on_demand() {
    let world = World::new();
    with_file(&world);
    world.sandbox.approve_next(Duration::from_millis(50));
    let outcome = run(&world, &["--prompt", "always"]).succeeds();
    insta::assert_snapshot!(said(&outcome.said()), @r"
    ddgate: to sign in, open    http://127.0.0.1:[PORT]/device
    ddgate: and enter the code  [CODE]  (expires in 10 min)
    ddgate: or open             http://127.0.0.1:[PORT]/device?user_code=[CODE]  (check that the page shows this code)
    ddgate: use any device; Ctrl-C cancels
    ddgate: waiting for approval…
    ddgate: ✓ signed in as sam.rivera@example.com (groups: checkout-team, oncall) at http://127.0.0.1:[PORT], until [WHEN]
    ddgate: session [ID]: 0 calls as sam.rivera@example.com, replay with: ddgate replay [ID]
    ");
    // It is kept: the next run needs nobody.
    run(&world, &[]).succeeds();
}

#[test]
fn ci_is_never_asked() {
    let world = World::new();
    with_file(&world);
    let began = Instant::now();
    world
        .ddgate(["login"])
        .issuer(&world)
        .env("CI", "true")
        .exits(3);
    run(&world, &[]).env("CI", "true").exits(3);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_provider_that_is_not_there() {
    let world = World::new();
    with_file(&world);
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let issuer = format!("http://{address}");
    let words = ["login", "--client-id", "x", "--issuer", &issuer];
    let outcome = world.ddgate(words).exits(3);
    insta::assert_snapshot!(outcome.said(), @"
    ddgate: error: the identity provider http://127.0.0.1:[PORT] gave no discovery document
    ddgate:   caused by: cannot connect to 127.0.0.1 port [PORT]
    ddgate:   caused by: Connection refused (os error 111)
    ddgate: hint: is `identity.issuer` the right address, and the network up?
    ddgate: hint: to go on unverified: ddgate run --identity local -- …
    ");
}

#[test]
fn something_else_answers_at_the_issuer() {
    let world = World::new();
    with_file(&world);
    let datadog = world.sandbox.upstream();
    let words = ["login", "--client-id", "x", "--issuer", &datadog];
    insta::assert_snapshot!(world.ddgate(words).exits(3).said(), @r"
    ddgate: error: the identity provider http://127.0.0.1:[PORT] sent an unusable discovery document: http://127.0.0.1:[PORT]/.well-known/openid-configuration answered 403 Forbidden
    ddgate: hint: is `identity.issuer` an OpenID Connect issuer?
    ");
    // The right server under another name says it is not the one that was asked for.
    let other = world.sandbox.issuer().replace("127.0.0.1", "localhost");
    let words = [
        "login",
        "--client-id",
        world.sandbox.client_id(),
        "--issuer",
        &other,
    ];
    insta::assert_snapshot!(world.ddgate(words).exits(3).said(), @r#"
    ddgate: error: the configured issuer is `http://localhost:[PORT]`, but the provider calls itself `http://127.0.0.1:[PORT]`
    ddgate: hint: if that is the right one, configure `issuer = "http://127.0.0.1:[PORT]"`, letter for letter
    "#);
    let words = [
        "login",
        "--client-id",
        "nobody",
        "--issuer",
        world.sandbox.issuer(),
    ];
    insta::assert_snapshot!(world.ddgate(words).exits(3).said(), @r"
    ddgate: error: the identity provider http://127.0.0.1:[PORT] refused: invalid_client
    ddgate: hint: is `identity.client_id` a public client that may sign people in this way there?
    ddgate: hint: many organisations switch the sign-in with a code off: try a browser on this machine, with --browser
    ");
}

#[test]
fn a_sign_in_that_has_ended() {
    let world = World::new();
    with_file(&world);
    world.sandbox.approve_next(Duration::from_millis(50));
    world.ddgate(["login"]).issuer(&world).succeeds();
    // A provider with an empty memory at the same address would not know the token. This one
    // forgets it when an older one is used again.
    let secrets = world.data().join("secrets.json");
    let before = std::fs::read(&secrets).unwrap();
    run(&world, &[]).succeeds();
    std::fs::write(&secrets, before).unwrap();
    let outcome = run(&world, &[]).exits(3);
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: error: the sign-in at http://127.0.0.1:[PORT] has ended
    ddgate: hint: sign in with: ddgate login
    ddgate: hint: where nobody can: --identity local records the OS user, unverified
    ");
}

#[test]
fn the_operating_systems_word() {
    let world = World::new();
    let outcome = world.run(["true"]).succeeds();
    let text = outcome.said();
    assert!(text.contains("nobody has verified"), "{text}");
    let session = world.replay_json("latest");
    assert_eq!(session["who"]["verified"], false);
    let shown = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(shown.contains("unverified"), "{shown}");
}

#[test]
fn two_runs_share_one_sign_in() {
    let world = World::new();
    with_file(&world);
    world.sandbox.approve_next(Duration::from_millis(50));
    world.ddgate(["login"]).issuer(&world).succeeds();
    // Each renews, and the provider hands out a new refresh token each time.
    for _ in 0..3 {
        let both = [run(&world, &[]).spawn(), run(&world, &[]).spawn()];
        for live in both {
            let outcome = live.end();
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
    }
}

#[test]
fn waiting_for_approval_can_be_cancelled() {
    let world = World::new();
    with_file(&world);
    let live = run(&world, &["--prompt", "always"]).spawn();
    std::thread::sleep(Duration::from_millis(500));
    live.signal(rustix::process::Signal::INT);
    let outcome = live.end();
    assert_eq!(outcome.signal, Some(2), "{outcome:?}");
    assert!(world.session_ids().is_empty());
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let world = World::new();
    with_file(&world);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let words = [
        "login",
        "--issuer",
        "https://id.example",
        "--client-id",
        "x",
    ];
    let ddgate = world
        .ddgate(words)
        .env("HTTPS_PROXY", format!("http://{nobody}"));
    insta::assert_snapshot!(ddgate.exits(3).said(), @r"
    ddgate: error: the identity provider https://id.example gave no discovery document
    ddgate:   caused by: the proxy 127.0.0.1:[PORT] opened no tunnel to id.example port 443: cannot connect to it: Connection refused (os error 111)
    ddgate: hint: is `identity.issuer` the right address, and the network up?
    ddgate: hint: to go on unverified: ddgate run --identity local -- …
    ");
}
