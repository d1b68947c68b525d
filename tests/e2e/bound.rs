//! Whom the key of a session is tied to: BOUND where the identity provider vouched for it and the
//! record can prove that, and UNBOUND, with the reason, everywhere else.

use crate::provider::TestProvider;
use crate::sealed::{holds, pair};
use crate::world::{Ddgate, World};

/// One that repeats nonces, if `device_nonce` says so.
fn provider(device_nonce: &[&str]) -> Option<TestProvider> {
    let quick = ["--no-enforce-interval", "--interval", "1"];
    TestProvider::start(&[&quick[..], &["--auto-approve", "alice"], device_nonce].concat())
}

const DEVICE_NONCE: &[&str] = &["--device-nonce"];

fn at(ddgate: Ddgate, provider: &TestProvider) -> Ddgate {
    ddgate
        .env("DDGATE_ISSUER", &provider.issuer)
        .env("DDGATE_CLIENT_ID", "ddgate-cli")
}

fn run(world: &World, provider: &TestProvider) {
    let upstream = world.sandbox.upstream();
    let words = ["run", "--upstream", &upstream, "--", "true"];
    at(world.ddgate(words).keys(world), provider).succeeds();
}

/// What `verify` says about the person.
#[track_caller]
fn person(world: &World, flags: &[&str]) -> String {
    let words: Vec<&str> = ["verify", "latest"]
        .into_iter()
        .chain(flags.iter().copied())
        .collect();
    let shown = world.ddgate(words).succeeds().shown();
    let line = shown.lines().find(|line| line.starts_with("person"));
    let line = line.unwrap_or_else(|| panic!("{shown}"));
    match line.split_once("which signed that at ") {
        Some((before, _)) => format!("{before}which signed that at [WHEN]"),
        None => line.to_owned(),
    }
}

#[test]
fn a_sealed_session_proves_who_it_was_for() {
    let Some(provider) = provider(DEVICE_NONCE) else {
        return;
    };
    let world = World::new();
    let (recipient, key) = pair(&world, "key");
    let key = key.to_str().unwrap().to_owned();
    let settings = |recipients: &str| {
        world.settings(&format!(
            "[identity]\nstorage = \"file\"\n[journal]\nrecipients = [{recipients}]\n"
        ));
    };
    settings(&format!("\"{recipient}\""));
    at(world.ddgate(["login"]), &provider).succeeds();
    run(&world, &provider);
    let flags = ["--age-identity", &key];
    insta::assert_snapshot!(person(&world, &flags), @"person  BOUND to alice@example.test (u-alice) by http://127.0.0.1:[PORT] (an ID token with the key's hash as its nonce), which signed that at [WHEN]");
    let bound = [
        &["verify", "latest", "--require-bound", "--json"][..],
        &flags,
    ]
    .concat();
    let told = world.ddgate(&bound).succeeds().json();
    assert_eq!(told["bound"], true);
    assert_eq!(told["binding"]["method"], "oidc-nonce");
    assert_eq!(told["binding"]["subject"], "u-alice");
    assert_eq!(told["binding"]["issuer"], provider.issuer);
    let open = told["not_checked"].to_string();
    assert!(open.contains("is really that of"), "{open}");
    // Later sessions of the same sign-in, whose tokens were refreshed, too.
    run(&world, &provider);
    assert!(person(&world, &flags).contains("BOUND to alice"));

    // With the keys as the provider publishes them nothing of that is open.
    let fetched = std::process::Command::new("curl")
        .args(["-s", &format!("{}/jwks", provider.issuer)])
        .output()
        .unwrap();
    let published = world.root().join("jwks.json");
    std::fs::write(&published, &fetched.stdout).unwrap();
    let with = |file: &std::path::Path| {
        let jwks = ["--jwks", file.to_str().unwrap()];
        world.ddgate([&bound[..], &jwks].concat())
    };
    let told = with(&published).succeeds().json();
    assert_eq!(told["binding"]["key_published"], true);
    let open = told["not_checked"].to_string();
    assert!(!open.contains("is really that of"), "{open}");
    assert!(open.contains("is ddgate's client at"), "{open}");
    assert_eq!(told["binding"]["client_id"], "ddgate-cli");
    let flags_with = [&flags[..], &["--jwks", published.to_str().unwrap()]].concat();
    assert!(person(&world, &flags).contains("BOUND to alice"));
    let shown = world.ddgate([&["verify", "latest"][..], &flags_with].concat());
    let shown = shown.succeeds().shown();
    assert!(shown.contains(", with a key of --jwks"), "{shown}");
    // Another provider's keys, under the same name: whoever made the record up has one of their own.
    let mut foreign: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    let keys = foreign["keys"].as_array_mut().unwrap();
    keys.retain(|key| key["alg"] != "RS256");
    let other = world.file("other.json", &foreign.to_string());
    let told = with(&other).exits(2).json();
    assert_eq!(told["bound"], false);
    insta::assert_snapshot!(told["binding"]["why"].as_str().unwrap(), @"no key of those that were given as the provider's signed the ID token (it names `rs256-1`)");
    // Nor does one that cannot be looked at.
    let shut = ["verify", "latest", "--jwks", published.to_str().unwrap()];
    world.ddgate(shut).exits(2);
    let nothing = world.file("nothing.json", "<html>");
    let said = with(&nothing).exits(2).said();
    assert!(said.contains("holds no JSON Web Key Set"), "{said}");

    // Whoever cannot open it cannot tell, and is told so.
    insta::assert_snapshot!(person(&world, &[]), @"person  UNBOUND, what proves it is sealed: --age-identity FILE opens it");
    world
        .ddgate(["verify", "latest", "--require-bound"])
        .exits(2);
    for token in provider.issued() {
        assert_eq!(holds(&world.sessions(), &token), None, "{token}");
    }

    // Nor does it leave the record with what is opened to be handed on.
    let to = world.root().join("opened");
    let export = ["export", "latest", "--age-identity", &key, "--json", "-o"];
    let told = world
        .ddgate(export.into_iter().chain(to.to_str()))
        .succeeds();
    assert_eq!(told.json()["sealed"], 1, "{told:?}");
    for token in provider.issued() {
        assert_eq!(holds(&to, &token), None, "{token}");
    }

    // The token is kept nowhere else, so without a seal there is no proof.
    settings("");
    run(&world, &provider);
    insta::assert_snapshot!(person(&world, &[]), @"person  UNBOUND, the proof holds the ID token, and is kept only where contents are sealed (`journal.recipients`)");
}

#[test]
fn who_was_not_vouched_for_is_not_bound() {
    let Some(provider) = provider(&[]) else {
        return;
    };
    let world = World::new();
    let (recipient, key) = pair(&world, "key");
    let key = key.to_str().unwrap().to_owned();
    world.settings(&format!(
        "[identity]\nstorage = \"file\"\n[journal]\nrecipients = [\"{recipient}\"]\n"
    ));
    let flags = ["--age-identity", &key];
    world.run(["true"]).succeeds();
    insta::assert_snapshot!(person(&world, &flags), @"person  UNBOUND, nobody was verified");
    // A provider that knows no nonce in the device flow, as most.
    at(world.ddgate(["login"]), &provider).succeeds();
    run(&world, &provider);
    insta::assert_snapshot!(person(&world, &flags), @"person  UNBOUND, this sign-in has no key that the identity provider vouched for: it is an old one, or the provider does not repeat nonces");
    drop(provider);
    // One that repeats it at the sign-in alone.
    let provider = self::provider(DEVICE_NONCE).unwrap();
    at(world.ddgate(["login"]), &provider).succeeds();
    provider.fault("idtoken@refresh_token.claims={\"nonce\":null}");
    run(&world, &provider);
    insta::assert_snapshot!(person(&world, &flags), @"person  UNBOUND, the identity provider does not put the nonce of a sign-in into this ID token");
}
