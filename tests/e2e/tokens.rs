//! No token that a provider gave out is anywhere but in the store: not in what is said, however it
//! goes, not in files, records, the command's environment or a core dump.
//!
//! The provider is a real one (`tests/provider`) and lists every secret it issued.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use aho_corasick::AhoCorasick;

use crate::provider::TestProvider;
use crate::secrets::{recorded, spellings};
use crate::world::{Ddgate, Outcome, World, wait_until};

fn provider() -> Option<TestProvider> {
    let quick = ["--no-enforce-interval", "--interval", "1"];
    TestProvider::start(&[&quick[..], &["--auto-approve", "alice"]].concat())
}

fn at(ddgate: Ddgate, provider: &TestProvider) -> Ddgate {
    ddgate
        .env("DDGATE_ISSUER", &provider.issuer)
        .env("DDGATE_CLIENT_ID", "ddgate-cli")
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LOG", "trace")
}

/// Everything there is to search, with its name.
fn everything(world: &World, outcomes: &[Outcome]) -> Vec<(String, Vec<u8>)> {
    let mut everything = recorded(world);
    assert!(everything.len() > 10, "a session's contents");
    for (path, bytes) in world.all_files() {
        everything.push((path.display().to_string(), bytes));
    }
    for outcome in outcomes {
        everything.push(("stdout".into(), outcome.stdout.clone()));
        everything.push(("stderr".into(), outcome.stderr.clone()));
    }
    everything
}

#[track_caller]
fn nowhere(tokens: &[String], everything: &[(String, Vec<u8>)]) {
    let spellings: Vec<_> = tokens.iter().flat_map(|token| spellings(token)).collect();
    let search = AhoCorasick::new(&spellings).unwrap();
    for (place, bytes) in everything {
        if let Some(found) = search.find(bytes) {
            let token = String::from_utf8_lossy(&spellings[found.pattern().as_usize()]);
            panic!("{place} holds a token: {token}");
        }
    }
}

#[test]
fn what_a_provider_gave_out_is_nowhere() {
    let Some(provider) = provider() else {
        return;
    };
    let world = World::new();
    world.settings("[identity]\nstorage = \"file\"\n");
    let upstream = world.sandbox.upstream();
    let run = |flags: &[&str], command: &[String]| {
        let mut words = vec!["-v".to_owned(), "run".to_owned(), "--upstream".to_owned()];
        words.push(upstream.clone());
        words.extend(flags.iter().map(|&flag| flag.to_owned()));
        words.push("--".to_owned());
        words.extend(command.iter().cloned());
        at(world.ddgate(words).keys(&world), &provider)
    };
    let mut outcomes = vec![at(world.ddgate(["-v", "login"]), &provider).succeeds()];

    // A run with a refresh on the way, whose command looks around.
    provider.fault("idtoken@refresh_token.claims={\"exp\":\"now-20\"}");
    let script = "GET /api/v1/validate\nGET /api/v1/monitor\nawait renewed\nGET /api/v1/monitor\n";
    let live = run(&[], &crate::agent::command())
        .script(&world, script)
        .spawn();
    let is_renewed = |session: &serde_json::Value| {
        let changes = session["identity"].as_array().unwrap();
        changes.iter().any(|change| change["verified"] == true)
    };
    wait_until("a refresh", || {
        world.answers().len() >= 2 && is_renewed(&world.replay_json("latest"))
    });
    world.file("work/renewed", "");
    let ran = live.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    outcomes.push(ran);
    let looks = "env; cat /proc/self/environ /proc/$PPID/environ /proc/$PPID/cmdline; true";
    outcomes.push(run(&[], &["sh", "-c", looks].map(str::to_owned)).succeeds());

    let with_calls = world
        .session_ids()
        .into_iter()
        .find(|id| world.replay_json(id)["counts"]["calls"] == 3);
    let with_calls = with_calls.unwrap();
    for words in [
        &["show", &with_calls, "1", "--json"][..],
        &["replay", &with_calls, "--json"],
    ] {
        outcomes.push(at(world.ddgate(words), &provider).succeeds());
    }

    // And whatever can go wrong.
    for (fault, code) in [
        ("token@refresh_token.status=503", 3),
        ("token@refresh_token.garbage", 3),
        ("idtoken@refresh_token.sign=corrupt", 3),
        (
            "idtoken@refresh_token.claims={\"sub\":\"somebody-else\"}",
            3,
        ),
        ("token@refresh_token.patch={\"token_type\":7}", 3),
        ("jwks.status=500", 3),
    ] {
        provider.clear("faults");
        provider.fault(fault);
        outcomes.push(run(&[], &["true".to_owned()]).exits(code));
    }
    provider.clear("faults");
    // The tokens of answers that could not be read are lost: a new sign-in.
    outcomes.push(at(world.ddgate(["-v", "login"]), &provider).succeeds());
    for words in [
        &["-v", "status", "--json"][..],
        &["config", "show", "--json"],
        &["replay", "latest", "--json"],
        &["replay", "latest"],
        &["verify", "latest"],
        &["sessions", "--json"],
        &["export", "latest", "--format", "tlog", "-o", "exported"],
    ] {
        outcomes.push(at(world.ddgate(words), &provider).succeeds());
    }
    let tokens = provider.issued();
    assert!(tokens.len() > 12, "{}", tokens.len());
    let mut everything = everything(&world, &outcomes);
    let (store, rest): (Vec<_>, Vec<_>) = everything
        .drain(..)
        .partition(|(place, _)| place.ends_with("/secrets.json"));
    nowhere(&tokens, &rest);

    // In the store stands the latest refresh token, and no other.
    let issued = provider.read("issued");
    let newest = issued.as_array().unwrap().iter().rev();
    let newest = newest.filter(|it| it["kind"] == "refresh_token");
    let newest = newest.map(|it| it["value"].as_str().unwrap()).next();
    let (newest, [(_, store)]) = (newest.unwrap(), &store[..]) else {
        panic!("one store");
    };
    assert!(String::from_utf8_lossy(store).contains(newest));
    let others: Vec<_> = tokens.into_iter().filter(|it| it != newest).collect();
    nowhere(&others, &[("the store".to_owned(), store.clone())]);

    outcomes.clear();
    outcomes.push(at(world.ddgate(["-v", "logout"]), &provider).succeeds());
    nowhere(&provider.issued(), &self::everything(&world, &outcomes));
}

#[test]
fn no_core_dump_has_them() {
    let world = World::new();
    world.settings("[identity]\nstorage = \"file\"\n");
    let limits = ["sh", "-c", "ulimit -c unlimited; exec \"$@\"", "sh"];
    let mut control = Command::new("sh");
    control.args(["-c", "ulimit -c unlimited; kill -ABRT $$"]);
    let control = control.current_dir(world.work()).status().unwrap();
    if !control.core_dumped() {
        return crate::absent::absent("this system writes no core dumps at all");
    }
    let aborted = |ddgate: Ddgate, ready: &dyn Fn() -> bool| {
        let mut live = ddgate.spawn();
        wait_until("it waits", ready);
        std::thread::sleep(Duration::from_millis(300));
        live.signal(rustix::process::Signal::ABORT);
        let status = live.child.wait().unwrap();
        assert_eq!(status.signal(), Some(6), "{status:?}");
        assert!(!status.core_dumped(), "{status:?}");
    };
    // Nobody approves this one.
    let login = world.under(&limits, ["login"]).issuer(&world);
    aborted(login, &|| true);
    let script = "touch began\nsleep 2000\n";
    let upstream = world.sandbox.upstream();
    let words = ["run", "--identity", "local", "--upstream", &upstream, "--"];
    let words = words.map(str::to_owned).into_iter();
    let words: Vec<String> = words.chain(crate::agent::command()).collect();
    let run = world.under(&limits, words).keys(&world);
    aborted(run.script(&world, script), &|| {
        world.work().join("began").exists()
    });
}
