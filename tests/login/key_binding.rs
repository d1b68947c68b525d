//! The key of a session and the person, by each word a provider may give, through the real binary: what
//! `verify` says after a sign-in by code and with a browser, and in later runs, several at once.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use age::secrecy::ExposeSecret as _;
use ddgate::demo::datadog::{FakeDatadog, Keys};
use serde_json::Value;

use super::people::in_browser;
use super::{Desk, grants, sandbox};
use crate::gate::found;

/// A desk whose sessions are sealed; the key opens them.
fn sealed(arguments: &[&str]) -> Option<Desk> {
    let desk = Desk::with(&[&["--no-enforce-interval", "--interval", "1"], arguments].concat())?;
    let key = age::x25519::Identity::generate();
    fs::write(
        desk.home.path().join("key"),
        key.to_string().expose_secret(),
    )
    .unwrap();
    let file = desk.home.path().join("ddgate.toml");
    let recipient = key.to_public();
    let journal =
        format!("[journal]\nrecipients = [\"{recipient}\"]\nage_identities = [\"key\"]\n");
    fs::write(&file, fs::read_to_string(&file).unwrap() + &journal).unwrap();
    Some(desk)
}

/// A run that asks nobody.
fn command(desk: &Desk, upstream: &FakeDatadog, keys: &Keys) -> Command {
    let url = upstream.url();
    let words = ["run", "--prompt", "never", "--upstream", &url, "--", "true"];
    let mut command = desk.ddgate(&words);
    command
        .env("DD_API_KEY", keys.api.expose())
        .env("DD_APP_KEY", keys.application.expose());
    command
}

/// What `verify` says of the person in the latest session: for machines, and in words.
fn verified(desk: &Desk) -> (Value, String) {
    let key = desk.home.path().join("key");
    let flags = ["--age-identity", key.to_str().unwrap()];
    let told = desk.json(&[&["verify", "latest", "--json"], &flags[..]].concat());
    let shown = desk.run(&[&["verify", "latest"], &flags[..]].concat());
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("person"));
    let line = line.unwrap_or_else(|| panic!("{shown}")).to_owned();
    (told, line)
}

/// The proofs that went to the token endpoint for this grant; null where there was none.
fn proofs(desk: &Desk, grant: &str) -> Vec<Value> {
    let log = desk.provider.read("log");
    let entries = log.as_array().unwrap().iter().filter(|entry| {
        let asked = entry["params"]["grant_type"].as_str().unwrap_or_default();
        entry["point"] == "token" && asked.ends_with(grant)
    });
    entries.map(|entry| entry["proof"].clone()).collect()
}

/// The private half of the sign-in's key is in the file that keeps it, and nowhere else.
fn key_stays(desk: &Desk) {
    let path = desk.kept();
    let content: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut kept = content["secrets"].as_object().unwrap().values();
    let kept: Value = serde_json::from_str(kept.next().unwrap().as_str().unwrap()).unwrap();
    let (_, key) = kept["key"].as_str().unwrap().split_once(':').unwrap();
    for (other, bytes) in desk.home.files() {
        let found = found(&bytes, key);
        assert_eq!(
            found.is_some(),
            other == path,
            "{}: {found:?}",
            other.display()
        );
    }
}

#[test]
fn the_best_word_that_a_provider_gives_counts() {
    let (_runtime, upstream, keys) = sandbox();
    for (arguments, method, words, alg) in [
        (
            &["--bound-key", "--jwt-access", "--device-nonce"][..],
            "oidc-cnf",
            "an ID token with the key in it, cnf",
            Some("Ed25519"),
        ),
        (
            &["--bound-key", "--dpop-nonce", "--dpop-alg", "ES256"],
            "oidc-cnf",
            "an ID token with the key in it, cnf",
            Some("ES256"),
        ),
        (
            &["--dpop", "--jwt-access", "--device-nonce", "--alg", "EdDSA"],
            "dpop-jkt",
            "an access token bound to the key, DPoP",
            Some("Ed25519"),
        ),
        (
            &["--dpop-alg", "ES256", "--jwt-access", "--dpop-nonce"],
            "dpop-jkt",
            "an access token bound to the key, DPoP",
            Some("ES256"),
        ),
        // Opaque access tokens.
        (
            &["--dpop-alg", "EdDSA", "--device-nonce"],
            "oidc-nonce",
            "an ID token with the key's hash as its nonce",
            Some("EdDSA"),
        ),
        (
            &["--device-nonce"],
            "oidc-nonce",
            "an ID token with the key's hash as its nonce",
            None,
        ),
    ] {
        let Some(desk) = sealed(arguments) else {
            return;
        };
        for grant in ["device_code", "authorization_code"] {
            desk.provider.clear("log");
            match grant {
                "device_code" => desk.login(),
                _ => {
                    let ran = in_browser(&desk, &["login", "--browser"], "alice");
                    assert!(ran.status.success(), "{ran:?}");
                }
            }
            // Both runs refresh; the second with a token that was rotated.
            for run in 1..=2 {
                let ran = desk.home.run(command(&desk, &upstream, &keys));
                assert!(ran.status.success(), "{arguments:?} {grant}: {ran:?}");
                let (told, line) = verified(&desk);
                assert_eq!(told["bound"], true, "{arguments:?} {grant} {run}: {told:#}");
                assert_eq!(told["binding"]["method"], method, "{arguments:?} {grant}");
                assert_eq!(told["binding"]["subject"], "u-alice");
                // An access token says no more than who.
                let who = match method {
                    "dpop-jkt" => "u-alice",
                    _ => "alice@example.test (u-alice)",
                };
                let expected = format!(
                    "BOUND to {who} by {} ({words}), which signed that at ",
                    desk.provider.issuer
                );
                assert!(line.contains(&expected), "{arguments:?} {grant}: {line}");
            }
            let (asked, renewed) = (proofs(&desk, grant), proofs(&desk, "refresh_token"));
            let hashes = |proofs: &[Value]| {
                let all = proofs
                    .iter()
                    .map(|proof| proof["claims"]["c_s256"].is_string());
                all.collect::<HashSet<_>>()
            };
            for proof in asked.iter().chain(&renewed) {
                assert_eq!(
                    proof["header"]["alg"].as_str(),
                    alg,
                    "{arguments:?} {proof}"
                );
            }
            if alg.is_some() {
                // The hash of the code goes where the ID token is to hold the key, and only there.
                let binds = arguments.contains(&"--bound-key");
                assert_eq!(
                    hashes(&asked),
                    HashSet::from([binds]),
                    "{arguments:?} {grant}"
                );
                assert_eq!(hashes(&renewed), HashSet::from([false]), "{arguments:?}");
            }
            key_stays(&desk);
            assert!(desk.run(&["logout"]).status.success());
        }
        desk.nothing_leaked();
    }
}

#[test]
fn several_runs_at_once_share_a_sign_in_that_is_tied_to_a_key() {
    let Some(desk) = sealed(&["--bound-key", "--dpop-nonce"]) else {
        return;
    };
    let (_runtime, upstream, keys) = sandbox();
    desk.login();
    let running = (0..4).map(|_| desk.home.start(command(&desk, &upstream, &keys)));
    for running in running.collect::<Vec<_>>() {
        let ran = running.finish();
        assert!(ran.status.success(), "{ran:?}");
    }
    // One with the nonce, and before it one that asked for it.
    assert_eq!(grants(&desk.provider, "refresh_token").len(), 8);
    let key = desk.home.path().join("key");
    let sessions = desk.json(&["sessions", "--json"]);
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 4);
    for session in sessions {
        let id = session["session"].as_str().unwrap();
        let flags = ["--json", "--age-identity", key.to_str().unwrap()];
        let told = desk.json(&[&["verify", id], &flags[..]].concat());
        assert_eq!(told["binding"]["method"], "oidc-cnf", "{told:#}");
    }
    desk.nothing_leaked();
}

#[test]
fn a_browser_goes_on_where_the_key_is_not_wanted() {
    let Some(desk) = sealed(&["--bound-key", "--bound-key-refused", "--jwt-access"]) else {
        return;
    };
    let (_runtime, upstream, keys) = sandbox();
    let ran = in_browser(&desk, &["login", "--browser"], "alice");
    assert!(ran.status.success(), "{ran:?}");
    let ran = desk.home.run(command(&desk, &upstream, &keys));
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(verified(&desk).0["binding"]["method"], "dpop-jkt");
}

#[test]
fn the_switch_is_a_setting_and_a_refused_proof_names_the_next_step() {
    let Some(desk) = Desk::with(&["--no-enforce-interval", "--interval", "1", "--dpop"]) else {
        return;
    };
    let (_runtime, upstream, keys) = sandbox();
    desk.login();
    desk.provider
        .fault("token@refresh_token.error=invalid_dpop_proof");
    let ran = desk.home.run(command(&desk, &upstream, &keys));
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    for said in [
        "is tied to is not accepted",
        "ddgate: hint: is this computer's clock right?",
        "to sign in anew, with another key: ddgate login",
    ] {
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
    desk.provider.clear("faults");
    let ran = desk.home.run(command(&desk, &upstream, &keys));
    assert!(ran.status.success(), "nothing was lost: {ran:?}");
    // Somebody who can be asked is, and told why.
    desk.provider
        .fault("token@refresh_token.error=invalid_dpop_proof");
    let (running, screen) = desk.begin_login();
    desk.decide("approve", &screen);
    let ran = running.finish();
    assert!(ran.status.success(), "{ran:?}");
    assert!(ran.stderr.contains("is tied to is not accepted"), "{ran:?}");
    desk.provider.clear("faults");
    assert!(desk.run(&["logout"]).status.success());

    let file = desk.home.path().join("ddgate.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings + "dpop = \"off\"\n").unwrap();
    desk.provider.clear("log");
    desk.login();
    assert!(proofs(&desk, "device_code").iter().all(Value::is_null));
    desk.nothing_leaked();
}
