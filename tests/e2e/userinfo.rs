//! A provider that renews sign-ins without an ID token: its userinfo endpoint is asked who it is, and
//! where it does not say enough, so is the person.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lapse::{
    at, count, holding, login, refreshes, run, said, signed_in, touch, until_touched,
};
use crate::provider::TestProvider;
use crate::sealed::{holds, pair};
use crate::world::{Ddgate, World, wait_until};

const SCOPES: &str = "scopes = [\"openid\", \"email\", \"offline_access\", \"groups\"]\n";
const NEEDS_ENG: &str = "require_groups = [\"eng\"]\n";
/// Refreshes bring no ID token.
const NO_ID_TOKEN: &str = "ref-no-id-token";

/// A run that asks nobody, or whoever is there: `alice` says yes at once.
fn run_of_true(world: &World, provider: &TestProvider, prompt: &str) -> Ddgate {
    let upstream = world.sandbox.upstream();
    let words = [
        "run",
        "--prompt",
        prompt,
        "--upstream",
        &upstream,
        "--",
        "true",
    ];
    at(world.ddgate(words).keys(world), provider)
}

/// Requests the provider saw at one of its endpoints.
fn requests(provider: &TestProvider, point: &str) -> usize {
    let log = provider.read("log");
    let entries = log.as_array().unwrap().iter();
    entries.filter(|entry| entry["point"] == point).count()
}

fn who(world: &World) -> Value {
    world.replay_json("latest")["who"].clone()
}

#[test]
fn nobody_is_asked_where_userinfo_says_who_it_is() {
    let Some((provider, world)) = signed_in(&format!("{SCOPES}{NEEDS_ENG}")) else {
        return;
    };
    let (recipient, key) = pair(&world, "key");
    world.settings(&format!(
        "[identity]\nstorage = \"file\"\n{SCOPES}{NEEDS_ENG}[journal]\nrecipients = [\"{recipient}\"]\n"
    ));
    provider.fault(NO_ID_TOKEN);
    for _ in 0..2 {
        let began = Instant::now();
        let outcome = run_of_true(&world, &provider, "never").succeeds();
        assert!(began.elapsed() < Duration::from_secs(15));
        assert!(!outcome.said().contains("sign"), "{outcome:?}");
    }
    assert_eq!(
        (requests(&provider, "userinfo"), refreshes(&provider)),
        (2, 2)
    );
    let key = key.to_str().unwrap();
    let opened = ["replay", "latest", "--json", "--age-identity", key];
    let who = world.ddgate(opened).succeeds().json()["who"].clone();
    assert_eq!(who["via"], "userinfo", "{who}");
    assert_eq!(who["verified"], true);
    assert_eq!(who["subject"], "u-alice");
    assert_eq!(who["email"], "alice@example.test");
    assert_eq!(who["groups"], serde_json::json!(["eng", "oncall"]));
    assert_eq!(who["groups_incomplete"], false);
    // Nothing that anybody signed: the record says so.
    let verified = world.ddgate(["verify", "latest", "--age-identity", key]);
    let verified = verified.succeeds().shown();
    let expected = "UNBOUND, the identity provider renewed this sign-in without an ID token: its \
                    userinfo says who it is, and nobody signs that";
    assert!(verified.contains(expected), "{verified}");
    let status = at(world.ddgate(["status"]), &provider).succeeds().shown();
    let line = "verified by  the provider's userinfo, not by a signed token";
    assert!(status.contains(line), "{status}");
    let status = at(world.ddgate(["status", "--json"]), &provider)
        .succeeds()
        .json();
    assert_eq!(status["signed_in"]["by_userinfo"], true, "{status}");
    // And a token that is signed is better.
    provider.clear("faults");
    run_of_true(&world, &provider, "never").succeeds();
    let status = at(world.ddgate(["status", "--json"]), &provider)
        .succeeds()
        .json();
    assert_eq!(status["signed_in"]["by_userinfo"], false, "{status}");
    for token in provider.issued() {
        assert_eq!(holds(&world.sessions(), &token), None, "{token}");
    }
}

#[test]
fn where_userinfo_does_not_say_it_the_person_does() {
    let Some((provider, world)) = signed_in(SCOPES) else {
        return;
    };
    for (fault, why) in [
        (
            "userinfo.patch={\"sub\":\"u-eve\"}",
            "of what it says, it is about somebody else than before",
        ),
        ("userinfo.status=401", "it answers 401 Unauthorized"),
        ("userinfo.status=500", "it gives no answer"),
        ("userinfo.html", "it answers text/html"),
        ("userinfo.huge=4", "it gives no answer"),
        ("userinfo.garbage", "of what it says, it cannot be read"),
    ] {
        provider.clear("faults");
        provider.fault(NO_ID_TOKEN);
        provider.fault(fault);
        let sessions = world.session_ids().len();
        let refused = run_of_true(&world, &provider, "never").exits(3);
        let text = refused.said();
        assert!(
            text.contains(
                "renewed the sign-in without an ID token, and its userinfo does not say who it is"
            ),
            "{fault}: {text}"
        );
        assert!(
            text.contains(&format!("caused by: {why}")),
            "{fault}: {text}"
        );
        assert!(text.contains("hint: where somebody can be asked"), "{text}");
        assert_eq!(world.session_ids().len(), sessions, "{fault}");

        let asked = run_of_true(&world, &provider, "always").succeeds();
        let text = asked.said();
        assert!(
            text.contains("ddgate: a sign-in anew is needed: the identity provider"),
            "{fault}: {text}"
        );
        assert!(text.contains(why), "{fault}: {text}");
        assert_eq!(who(&world)["via"], "device", "{fault}");
        for token in provider.issued() {
            assert!(!text.contains(&token), "{fault}");
        }
    }
    // A provider that takes its time is waited for.
    provider.clear("faults");
    provider.fault(NO_ID_TOKEN);
    provider.fault("userinfo.delay=2500");
    run_of_true(&world, &provider, "never").succeeds();
    assert_eq!(who(&world)["via"], "userinfo");
}

#[test]
fn what_userinfo_leaves_out_is_asked_for_where_it_matters() {
    let Some((provider, world)) = signed_in(SCOPES) else {
        return;
    };
    provider.fault(NO_ID_TOKEN);
    provider.fault("userinfo.patch={\"groups\":null}");
    // Nothing depends on them.
    run_of_true(&world, &provider, "never").succeeds();
    let shown = who(&world);
    assert_eq!(shown["via"], "userinfo", "{shown}");
    assert_eq!(shown["groups_incomplete"], true, "{shown}");

    let list = "[[credential]]\nname = \"read\"\ngroups = [\"sre\"]\nstore = \"read\"\n\
                [[credential]]\nname = \"rest\"\nenv = { api_key = \"DD_API_KEY\" }\n";
    for (settings, unclear) in [
        (
            NEEDS_ENG,
            "in one of the groups that the settings require (eng) cannot be told",
        ),
        (
            list,
            "which credential is for alice@example.test cannot be told",
        ),
    ] {
        world.settings(&format!(
            "[identity]\nstorage = \"file\"\n{SCOPES}{settings}"
        ));
        let refused = run_of_true(&world, &provider, "never").exits(3).said();
        assert!(refused.contains(unclear), "{refused}");
        let asked = run_of_true(&world, &provider, "always").succeeds().said();
        let line = asked
            .lines()
            .find(|line| line.contains("a sign-in anew is needed"));
        let line = line.unwrap_or_else(|| panic!("{asked}"));
        assert!(
            line.contains("its userinfo does not say enough: "),
            "{line}"
        );
        assert!(line.contains(unclear), "{line}");
        let shown = who(&world);
        assert_eq!(shown["via"], "device", "{shown}");
        assert_eq!(shown["groups"], serde_json::json!(["eng", "oncall"]));
    }
    // The same for an address: nothing is said against it.
    provider.clear("faults");
    provider.fault(NO_ID_TOKEN);
    provider.fault("userinfo.patch={\"email_verified\":null}");
    world.settings(&format!(
        "[identity]\nstorage = \"file\"\n{SCOPES}require_verified_email = true\n"
    ));
    let unsaid = "does not say that alice@example.test is verified";
    let refused = run_of_true(&world, &provider, "never").exits(3).said();
    assert!(refused.contains(unsaid), "{refused}");
    let asked = run_of_true(&world, &provider, "always").succeeds().said();
    assert!(asked.contains("a sign-in anew is needed"), "{asked}");
    assert_eq!(who(&world)["via"], "device");
    // What is said against it counts, and no sign-in anew would change that.
    provider.fault("userinfo.patch={\"email_verified\":false}");
    let refused = run_of_true(&world, &provider, "always").exits(3).said();
    assert!(
        refused.contains("says that alice@example.test is not verified"),
        "{refused}"
    );
}

#[test]
fn a_run_is_renewed_by_it_until_it_is_somebody_else() {
    let Some((provider, world)) = signed_in(&format!("{SCOPES}{NEEDS_ENG}")) else {
        return;
    };
    provider.fault(&holding(40));
    let script = "touch began\nawait renewed\nGET /api/v1/validate\ntouch passed\nawait lapsed\n\
                  GET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    provider.clear("faults");
    // The access token is good for no longer than the ID token was: so that it is asked for again.
    provider.fault("token@refresh_token.patch={\"id_token\":null,\"expires_in\":1}");
    wait_until("it is renewed", || {
        count(&world, |it| {
            it["via"] == "userinfo" && it["verified"] == true
        }) >= 2
    });
    touch(&world, "renewed");
    until_touched(&world, "passed");
    provider.fault("userinfo.patch={\"sub\":\"u-eve\"}");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["why"] == "another-person") == 1
    });
    touch(&world, "lapsed");
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let answers = world.answers();
    assert!(answers[0].starts_with("200 -"), "{answers:?}");
    assert!(answers[1].starts_with("403 identity-lapsed"), "{answers:?}");
    world.ddgate(["verify", "latest"]).succeeds();
}

/// Groups in ID tokens alone: what was signed holds to its end, and no longer.
#[test]
fn a_run_whose_groups_are_never_confirmed_ends_with_its_token() {
    let Some((provider, world)) = signed_in(&format!("{SCOPES}{NEEDS_ENG}")) else {
        return;
    };
    provider.fault(&holding(12));
    let script = "touch began\nawait asked\nGET /api/v1/validate\ntouch passed\nawait lapsed\n\
                  GET /api/v1/validate\n";
    let live = run(&world, &provider, script);
    until_touched(&world, "began");
    provider.clear("faults");
    provider.clear("log");
    provider.fault(NO_ID_TOKEN);
    provider.fault("userinfo.patch={\"groups\":null}");
    wait_until("userinfo is asked", || requests(&provider, "userinfo") >= 1);
    touch(&world, "asked");
    until_touched(&world, "passed");
    wait_until("the lapse is on record", || {
        count(&world, |it| it["why"] == "expired") == 1
    });
    touch(&world, "lapsed");
    let outcome = live.end();
    let answers = world.answers();
    assert!(answers[0].starts_with("200 -"), "{answers:?}");
    assert!(answers[1].starts_with("403 identity-lapsed"), "{answers:?}");
    let text = said(&outcome);
    assert!(
        text.contains("has lapsed: it expired and could not be verified again (whether alice@example.test is in one of the groups"),
        "{text}"
    );
    // The sign-in itself is not lost.
    provider.clear("faults");
    run_of_true(&world, &provider, "never").succeeds();
    login(&world, &provider);
}
