//! A session that outlives its ID token: verified again meanwhile, lapsed, and back.
//!
//! Tokens that expired 50 seconds ago still hold for ten, by the tolerance for clocks: so the tests
//! see a whole life without waiting for one. They are replaced as soon as that can be. The provider is a real one (`tests/provider`).

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::provider::TestProvider;
use crate::stub::{self, Answer};
use crate::world::{Ddgate, Live, Outcome, World, wait_until};

/// ID tokens that hold so many seconds more.
pub(crate) fn holding(seconds: u32) -> String {
    format!(
        "idtoken@refresh_token.claims={{\"exp\":\"now-{}\"}}",
        60 - seconds
    )
}

/// A provider where `alice` signs in by herself, and a world she is signed in to.
pub(crate) fn signed_in(settings: &str) -> Option<(TestProvider, World)> {
    let provider = TestProvider::start(&[
        "--no-enforce-interval",
        "--interval",
        "1",
        "--auto-approve",
        "alice",
    ])?;
    let world = World::new();
    world.settings(&format!("[identity]\nstorage = \"file\"\n{settings}"));
    login(&world, &provider);
    provider.clear("log");
    Some((provider, world))
}

pub(crate) fn at(ddgate: Ddgate, provider: &TestProvider) -> Ddgate {
    ddgate
        .env("DDGATE_ISSUER", &provider.issuer)
        .env("DDGATE_CLIENT_ID", "ddgate-cli")
}

pub(crate) fn login(world: &World, provider: &TestProvider) -> Outcome {
    at(world.ddgate(["login"]), provider).succeeds()
}

/// A run whose agent does what `script` says.
pub(crate) fn run(world: &World, provider: &TestProvider, script: &str) -> Live {
    run_at(&world.sandbox.upstream(), world, provider, script)
}

fn run_at(upstream: &str, world: &World, provider: &TestProvider, script: &str) -> Live {
    let mut words: Vec<String> = ["run", "--upstream", upstream, "--"]
        .map(str::to_owned)
        .to_vec();
    words.extend(crate::agent::command());
    at(world.ddgate(words).keys(world), provider)
        .script(world, script)
        .spawn()
}

/// How often a refresh token was exchanged.
pub(crate) fn refreshes(provider: &TestProvider) -> usize {
    let log = provider.read("log");
    let is_refresh = |entry: &&Value| {
        entry["point"] == "token" && entry["params"]["grant_type"] == "refresh_token"
    };
    log.as_array().unwrap().iter().filter(is_refresh).count()
}

pub(crate) fn touch(world: &World, name: &str) {
    world.file(&format!("work/{name}"), "");
}

#[track_caller]
pub(crate) fn until_touched(world: &World, name: &str) {
    wait_until(name, || world.work().join(name).exists());
}

pub(crate) fn count(world: &World, what: impl Fn(&Value) -> bool) -> usize {
    let session = world.replay_json("latest");
    let changes = session["identity"].as_array().unwrap();
    changes.iter().filter(|change| what(change)).count()
}

#[test]
fn refused_when_the_provider_is_away_and_back_when_it_is() {
    let Some((provider, world)) = signed_in("") else {
        return;
    };
    provider.fault(&holding(9));
    let script = "GET /api/v1/validate\ntouch began\nawait lapsed\nPOST /api/v1/events {\"title\":\"t\",\"text\":\"x\"}\n\
                  touch refused\nawait back\nGET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    provider.clear("faults");
    provider.fault("token@refresh_token.status=503");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["verified"] == false) == 1
    });
    touch(&world, "lapsed");
    until_touched(&world, "refused");
    provider.clear("faults");
    wait_until("it is verified again", || {
        count(&world, |it| it["verified"] == true) == 1
    });
    touch(&world, "back");
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");

    let answers = world.answers();
    assert!(answers[0].starts_with("200 -"), "{answers:?}");
    assert!(answers[1].starts_with("403 identity-lapsed"), "{answers:?}");
    insta::assert_snapshot!(answers[1], @r#"403 identity-lapsed {"errors":["ddgate: the identity this session runs under has lapsed: it expired and could not be verified again; nothing was sent; calls pass again when the person has signed in anew (ddgate login, in another terminal)"]}"#);
    assert!(answers[2].starts_with("200 -"), "{answers:?}");

    insta::assert_snapshot!(said(&outcome), @r"
    ddgate: warning: the identity alice@example.test has lapsed: it expired and could not be verified again (the identity provider http://127.0.0.1:[PORT] gave no refreshed token: 127.0.0.1 answered 503); new Datadog calls are refused; to go on, in another terminal: ddgate login
    ddgate: alice@example.test is verified again, until [WHEN]
    ddgate: session [ID]: 3 calls (1 denied) as alice@example.test, replay with: ddgate replay [ID]
    ");
    let session = world.replay_json("latest");
    let call = &session["calls"][1];
    assert_eq!(
        (&call["decision"], &call["rule"]),
        (&"deny".into(), &"identity-lapsed".into()),
        "{call}"
    );
    let lapse = &session["identity"][0];
    assert_eq!(lapse["why"], "expired", "{lapse}");
    assert_eq!(lapse["calls"], "refuse", "{lapse}");
    // Nothing of it got there.
    assert_eq!(session["counts"]["denied"], 1);
    let shown = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(shown.contains("the identity lapsed: it expired"), "{shown}");
    world.ddgate(["verify", "latest"]).succeeds();
}

/// What was said, without the moment.
pub(crate) fn said(outcome: &Outcome) -> String {
    let text = outcome.said();
    let lines = text.lines().map(|line| match line.split_once(", until ") {
        Some((before, after)) => {
            assert!(after.len() <= "00:00 +00:00".len(), "{after}");
            format!("{before}, until [WHEN]")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn after_a_logout_calls_go_on_as_nobodys_where_the_settings_say_so() {
    let Some((provider, world)) = signed_in("on_lapse = \"record-unverified\"\n") else {
        return;
    };
    provider.fault(&holding(40));
    let script = "GET /api/v1/validate\ntouch began\nawait lapsed\nGET /api/v1/validate\ntouch unverified\n\
                  await back\nGET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    // Meanwhile it is verified again, and again.
    wait_until("two refreshes", || {
        count(&world, |it| it["verified"] == true) >= 2
    });
    at(world.ddgate(["logout"]), &provider).succeeds();
    wait_until("the lapse is on record", || {
        count(&world, |it| it["verified"] == false) == 1
    });
    touch(&world, "lapsed");
    until_touched(&world, "unverified");
    provider.clear("faults");
    login(&world, &provider);
    wait_until("it is verified again", || {
        let session = world.replay_json("latest");
        session["identity"].as_array().unwrap().last().unwrap()["verified"] == true
    });
    touch(&world, "back");
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for answer in world.answers() {
        assert!(answer.starts_with("200 -"), "{answer}");
    }
    let session = world.replay_json("latest");
    let rules: Vec<_> = [0, 1, 2]
        .map(|n| session["calls"][n]["rule"].clone())
        .into();
    assert_eq!(rules, ["default", "identity-lapsed", "default"]);
    assert_eq!(session["calls"][1]["decision"], "allow");
    let mut changes = session["identity"].as_array().unwrap().iter();
    let lapse = changes.find(|it| it["verified"] == false).unwrap();
    assert_eq!(lapse["why"], "signed-out", "{lapse}");
    insta::assert_snapshot!(said(&outcome), @r"
    ddgate: warning: the identity alice@example.test has lapsed: the sign-in was ended; Datadog calls go on, recorded as unverified; to be verified again, in another terminal: ddgate login
    ddgate: alice@example.test is verified again, until [WHEN]
    ddgate: session [ID]: 3 calls as alice@example.test, replay with: ddgate replay [ID]
    ");
}

#[test]
fn somebody_elses_sign_in_is_left_alone_and_holds_nothing() {
    let Some((provider, world)) = signed_in("") else {
        return;
    };
    provider.fault(&holding(40));
    let live = run(
        &world,
        &provider,
        "touch began\nawait done\nGET /api/v1/validate\n",
    );
    until_touched(&world, "began");
    // Bob signs in on the same account of the same machine.
    let secrets = world.data().join("secrets.json");
    let text = std::fs::read_to_string(&secrets).unwrap();
    assert!(text.contains("u-alice"), "{text}");
    std::fs::write(&secrets, text.replace("u-alice", "u-bob")).unwrap();
    let before = refreshes(&provider);
    wait_until("the lapse is on record", || {
        count(&world, |it| it["why"] == "another-person") == 1
    });
    assert_eq!(refreshes(&provider), before, "his token is his");
    touch(&world, "done");
    assert_eq!(live.end().code, Some(0));
    assert!(world.answers()[0].starts_with("403 identity-lapsed"));
}

#[test]
fn a_thousand_calls_wait_for_one_refresh() {
    let Some((provider, world)) = signed_in("") else {
        return;
    };
    provider.fault(&holding(4));
    let script = "touch began\nawait lapsed\nburst 1000 GET /api/v1/monitor\n";
    // One that serves as many connections as come.
    let answer = Answer {
        gzip: false,
        media: "application/json",
        body: b"[]".to_vec(),
    };
    let upstream = stub::serve([("GET /api/v1/monitor".to_owned(), answer)].into());
    let live = run_at(&upstream, &world, &provider, script);
    until_touched(&world, "began");
    provider.clear("faults");
    provider.clear("log");
    provider.fault("token@refresh_token.delay=2500");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["verified"] == false) == 1
    });
    touch(&world, "lapsed");
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let answers = world.answers();
    assert_eq!(answers.len(), 1000);
    let passed = answers.iter().filter(|it| it.starts_with("200 -")).count();
    assert_eq!(passed, 1000, "{outcome:?}");
    assert_eq!(refreshes(&provider), 1);
}

#[test]
fn two_runs_renew_one_sign_in_side_by_side() {
    let Some((provider, world)) = signed_in("") else {
        return;
    };
    provider.fault(&holding(40));
    let runs = [
        run(&world, &provider, "sleep 11000\nGET /api/v1/validate\n"),
        run(&world, &provider, "sleep 11000\nGET /api/v1/validate\n"),
    ];
    for live in runs {
        let outcome = live.end();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let text = outcome.said();
        assert!(!text.contains("lapsed"), "{text}");
    }
    for answer in world.answers() {
        assert!(answer.starts_with("200 -"), "{answer}");
    }
    // Two at the beginning, and each run about three later on.
    assert!(refreshes(&provider) >= 6);
    provider.clear("faults");
    // And the sign-in is still there.
    let outcome = run(&world, &provider, "").end();
    assert_eq!(
        outcome.code,
        Some(0),
        "{outcome:?} {:#}",
        provider.read("log")
    );
}

#[test]
fn no_identity_is_held_longer_than_the_settings_let_it() {
    let Some((provider, world)) = signed_in("max_session = \"3s\"\n") else {
        return;
    };
    let live = run(
        &world,
        &provider,
        "GET /api/v1/validate\ntouch began\nawait lapsed\nGET /api/v1/validate\n",
    );
    until_touched(&world, "began");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["why"] == "max-session") == 1
    });
    touch(&world, "lapsed");
    let began = Instant::now();
    let outcome = live.end();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "nobody waits for it"
    );
    let answers = world.answers();
    assert!(answers[1].starts_with("403 identity-lapsed"), "{answers:?}");
    insta::assert_snapshot!(said(&outcome), @r"
    ddgate: warning: the identity alice@example.test has lapsed: it was held for as long as identity.max_session lets it; new Datadog calls are refused; to go on, a new `ddgate run`
    ddgate: session [ID]: 2 calls (1 denied) as alice@example.test, replay with: ddgate replay [ID]
    ");
}

#[test]
fn groups_that_change_are_on_record() {
    let Some((provider, world)) = signed_in("") else {
        return;
    };
    provider.fault(&holding(40));
    let live = run(&world, &provider, "touch began\nawait done\n");
    until_touched(&world, "began");
    provider.fault("idtoken@refresh_token.claims={\"groups\":[\"sre\"]}");
    wait_until("the change is on record", || {
        count(&world, |it| it["changed"] == serde_json::json!(["groups"])) == 1
    });
    touch(&world, "done");
    assert_eq!(live.end().code, Some(0));
    world.ddgate(["verify", "latest"]).succeeds();
}

#[test]
fn who_loses_a_group_that_is_required_loses_the_session_too() {
    // What goes on unverified is not whoever may not go on.
    let settings = "scopes = [\"openid\", \"email\", \"offline_access\", \"groups\"]\n\
                    require_groups = [\"eng\"]\non_lapse = \"record-unverified\"\n";
    let Some((provider, world)) = signed_in(settings) else {
        return;
    };
    provider.fault(&holding(40));
    let script = "GET /api/v1/validate\ntouch began\nawait lapsed\nGET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    provider.fault("idtoken@refresh_token.claims={\"groups\":[\"sre\"]}");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["why"] == "not-admitted") == 1
    });
    touch(&world, "lapsed");
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let answers = world.answers();
    assert!(answers[0].starts_with("200 -"), "{answers:?}");
    assert!(answers[1].starts_with("403 identity-lapsed"), "{answers:?}");
    let said = said(&outcome);
    assert!(
        said.contains("has lapsed: it no longer meets what the settings require ("),
        "{said}"
    );
}

/// A provider that ends every token with its own session: that the end is the same says nothing of the
/// rest.
#[test]
fn a_token_that_ends_like_the_last_is_looked_at_all_the_same() {
    let settings = "scopes = [\"openid\", \"email\", \"offline_access\", \"groups\"]\n\
                    require_groups = [\"eng\"]\n";
    let Some((provider, world)) = signed_in(settings) else {
        return;
    };
    // Good for forty seconds more, as in `holding`.
    let end = chrono::Utc::now().timestamp() - 20;
    let at_end = |groups: &str| {
        provider.clear("faults");
        provider.fault(&format!(
            "idtoken@refresh_token.claims={{\"exp\":{end}{groups}}}"
        ));
    };
    at_end("");
    let script = "touch began\nawait lapsed\nGET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    at_end(",\"groups\":[\"sre\"]");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["verified"] == false) == 1
    });
    assert_eq!(count(&world, |it| it["why"] == "not-admitted"), 1);
    touch(&world, "lapsed");
    assert_eq!(live.end().code, Some(0));
    assert!(world.answers()[0].starts_with("403 identity-lapsed"));
}

/// What a refusal hid comes to light when it is taken back: the session's own time is over.
#[test]
fn whoever_may_go_on_again_does_not_outlive_the_session() {
    let settings = "scopes = [\"openid\", \"email\", \"offline_access\", \"groups\"]\n\
                    require_groups = [\"eng\"]\nmax_session = \"6s\"\n";
    let Some((provider, world)) = signed_in(settings) else {
        return;
    };
    provider.fault(&holding(40));
    let live = run(&world, &provider, "touch began\nawait over\n");
    until_touched(&world, "began");
    provider.fault("idtoken@refresh_token.claims={\"groups\":[\"sre\"]}");
    wait_until("the refusal is on record", || {
        count(&world, |it| it["why"] == "not-admitted") == 1
    });
    std::thread::sleep(Duration::from_secs(6));
    provider.clear("faults");
    wait_until("the end of its time is on record", || {
        count(&world, |it| it["why"] == "max-session") == 1
    });
    touch(&world, "over");
    assert_eq!(live.end().code, Some(0));
}

/// What `[[credential]]` needs, with an identity that goes on unverified when it lapses.
fn by_groups(credentials: &[(&str, &str)]) -> String {
    let mut settings = "scopes = [\"openid\", \"email\", \"offline_access\", \"groups\"]\n\
                        on_lapse = \"record-unverified\"\n"
        .to_owned();
    for (name, group) in credentials {
        settings += &format!(
            "[[credential]]\nname = \"{name}\"\ngroups = [\"{group}\"]\n\
             env = {{ api_key = \"DD_API_KEY\", app_key = \"DD_APP_KEY\" }}\n"
        );
    }
    settings
}

#[test]
fn who_loses_the_group_of_the_credential_loses_the_credential() {
    let Some((provider, world)) = signed_in(&by_groups(&[("write", "eng")])) else {
        return;
    };
    provider.fault(&holding(40));
    let script = "GET /api/v1/validate\ntouch began\nawait lapsed\nGET /api/v1/validate\ntouch refused\n\
                  await back\nGET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    provider.fault("idtoken@refresh_token.claims={\"groups\":[\"sre\"]}");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["why"] == "credential-lost") == 1
    });
    touch(&world, "lapsed");
    until_touched(&world, "refused");
    provider.clear("faults");
    wait_until("it is verified again", || {
        let session = world.replay_json("latest");
        session["identity"].as_array().unwrap().last().unwrap()["verified"] == true
    });
    touch(&world, "back");
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let answers = world.answers();
    assert!(answers[0].starts_with("200 -"), "{answers:?}");
    // Whatever becomes of calls of somebody whom nobody vouches for: it is known who this is.
    insta::assert_snapshot!(answers[1], @r#"403 identity-lapsed {"errors":["ddgate: the identity this session runs under has lapsed: it is in no group any more that this session's credential is for; nothing was sent; a new session gets the credential of the groups as they are now"]}"#);
    assert!(answers[2].starts_with("200 -"), "{answers:?}");
    insta::assert_snapshot!(said(&outcome), @r"
    ddgate: credential: write
    ddgate: warning: the identity alice@example.test has lapsed: it is in no group any more that this session's credential is for (alice@example.test is in none of the groups that this session's credential `write` is for (eng) any more; the sign-in shows the groups sre); new Datadog calls are refused; to go on, a new `ddgate run`
    ddgate: alice@example.test is verified again, until [WHEN]
    ddgate: session [ID]: 3 calls (1 denied) as alice@example.test, replay with: ddgate replay [ID]
    ");
    let lapse = &world.replay_json("latest")["identity"];
    let lapse = lapse.as_array().unwrap();
    let lapse = lapse.iter().find(|it| it["verified"] == false).unwrap();
    assert_eq!(lapse["calls"], "refuse", "{lapse}");
    world.ddgate(["verify", "latest"]).succeeds();
}

#[test]
fn groups_that_come_meanwhile_change_nothing() {
    let list = by_groups(&[("read", "sre"), ("write", "eng")]);
    let Some((provider, world)) = signed_in(&list) else {
        return;
    };
    provider.fault(&holding(40));
    let live = run(
        &world,
        &provider,
        "touch began\nawait changed\nGET /api/v1/validate\n",
    );
    until_touched(&world, "began");
    provider.fault("idtoken@refresh_token.claims={\"groups\":[\"eng\",\"sre\"]}");
    wait_until("the change is on record", || {
        count(&world, |it| it["changed"] == serde_json::json!(["groups"])) == 1
    });
    touch(&world, "changed");
    let outcome = live.end();
    assert!(world.answers()[0].starts_with("200 -"), "{outcome:?}");
    assert_eq!(world.replay_json("latest")["credential_name"], "write");
    assert!(!outcome.said().contains("lapsed"), "{outcome:?}");
    // The next run begins with the groups as they are now.
    let outcome = run(&world, &provider, "").end();
    assert!(outcome.said().contains("credential: read"), "{outcome:?}");
}

#[test]
fn a_sign_in_that_cannot_be_renewed_says_how_long_it_holds() {
    let Some(provider) = TestProvider::start(&[
        "--no-enforce-interval",
        "--interval",
        "1",
        "--auto-approve",
        "alice",
    ]) else {
        return;
    };
    let world = World::new();
    world.settings(
        "[identity]\nscopes = [\"openid\", \"email\"]\nstorage = \"memory\"\nprompt = \"always\"\n",
    );
    let outcome = run(&world, &provider, "GET /api/v1/validate\n").end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = outcome.said();
    assert!(
        text.contains("this sign-in cannot be renewed: it holds until "),
        "{text}"
    );
    assert!(
        text.contains(", and after that new Datadog calls are refused"),
        "{text}"
    );
}
