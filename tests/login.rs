//! Signing in through the real binary, at a real OpenID Provider (`provider/`): `login`, `run`,
//! `status` and `logout` as a person meets them. What the provider gave out may be nowhere but in
//! the file that keeps the sign-in.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/absent.rs"]
mod absent;
#[expect(dead_code, reason = "shared: each test uses a part of it")]
#[path = "support/gate.rs"]
mod gate;
#[path = "login/key_binding.rs"]
mod key_binding;
#[path = "login/people.rs"]
mod people;
#[expect(dead_code, reason = "shared: each test uses a part of it")]
#[path = "provider/start.rs"]
mod provider;
#[path = "login/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use ddgate::demo::datadog::{self, FakeDatadog, Keys};
use serde_json::Value;

use gate::{Home, Ran, Running};
use provider::TestProvider;

/// What is not signed in ends with this.
const NOT_SIGNED_IN: i32 = 3;

/// A person at a machine of their own, and the provider that knows them.
struct Desk {
    provider: TestProvider,
    home: Home,
}

impl Desk {
    fn with(arguments: &[&str]) -> Option<Self> {
        let provider = TestProvider::start(arguments)?;
        let home = Home::new();
        let settings = format!(
            "[identity]\nissuer = \"{}\"\nclient_id = \"ddgate-cli\"\nstorage = \"file\"\n\
             scopes = [\"openid\", \"profile\", \"email\", \"groups\", \"offline_access\"]\n",
            provider.issuer
        );
        fs::write(home.path().join("ddgate.toml"), settings).unwrap();
        Some(Self { provider, home })
    }

    fn ddgate(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.ddgate(arguments);
        command.env("DDGATE_CONFIG", self.home.path().join("ddgate.toml"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.home.run(self.ddgate(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(arguments);
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// `ddgate login`, up to the code on the screen.
    fn begin_login(&self) -> (Running, Screen) {
        let mut running = self.home.start(self.ddgate(&["login"]));
        let screen = says(&mut running, Screen::read);
        (running, screen)
    }

    /// Decides the sign-in with the code that the person was shown.
    fn decide(&self, verb: &str, screen: &Screen) {
        let decision = serde_json::json!({ "user_code": screen.code, "login": "alice" });
        let done = self.provider.write(verb, &decision);
        assert_eq!(done["ok"], true, "{verb}: {done}");
    }

    /// A whole `ddgate login`, approved.
    fn login(&self) {
        let (running, screen) = self.begin_login();
        self.decide("approve", &screen);
        let ran = running.finish();
        assert!(ran.status.success(), "{ran:?}");
    }

    /// The command of a run: notes its environment, then does what the demo's agent does.
    fn agent(&self, upstream: &FakeDatadog, keys: &Keys, prompt: &str) -> Command {
        let url = upstream.url();
        let mut command =
            self.ddgate(&["-vv", "run", "--prompt", prompt, "--upstream", &url, "--"]);
        command
            .args([
                "sh",
                "-c",
                r#"env >"$HOME/environment.$$" && exec "$0" demo-agent"#,
            ])
            .arg(env!("CARGO_BIN_EXE_ddgate"))
            .env("DD_API_KEY", keys.api.expose())
            .env("DD_APP_KEY", keys.application.expose());
        command
    }

    /// Where the sign-in is kept.
    fn kept(&self) -> PathBuf {
        let files = self.home.files().into_iter().map(|(path, _)| path);
        let mut kept = files.filter(|path| path.ends_with("secrets.json"));
        kept.next().expect("the sign-in is kept in a file")
    }

    /// The refresh token on file.
    fn token(&self) -> String {
        let content: Value = serde_json::from_slice(&fs::read(self.kept()).unwrap()).unwrap();
        let secrets = content["secrets"].as_object().unwrap().values();
        let [kept] = secrets
            .map(|kept| kept.as_str().unwrap())
            .collect::<Vec<_>>()[..]
        else {
            panic!("one sign-in is kept");
        };
        let kept: Value = serde_json::from_str(kept).unwrap();
        kept["rt"].as_str().unwrap().to_owned()
    }

    /// Nothing the provider gave out is anywhere, but in the file that keeps the sign-in.
    fn nothing_leaked(&self) {
        let issued = self.provider.issued();
        assert!(!issued.is_empty());
        let files = self.home.files();
        for secret in &issued {
            let found = gate::finder(secret);
            for (path, bytes) in &files {
                let Some(how) = found(bytes) else {
                    continue;
                };
                let is_kept = path.ends_with("secrets.json");
                assert!(is_kept, "{} holds a secret, {how}", path.display());
            }
        }
    }
}

/// What the person is shown.
struct Screen {
    code: String,
    complete: String,
}

impl Screen {
    fn read(said: &str) -> Option<Self> {
        let after = |start: &str| {
            let rest = &said[said.find(start)? + start.len()..];
            let (word, _) = rest.trim_start().split_once(char::is_whitespace)?;
            Some(word.to_owned())
        };
        Some(Self {
            code: after("ddgate: and enter the code ")?,
            complete: after("ddgate: or open ")?,
        })
    }
}

/// Waits until `look` finds something in what is said on standard error.
fn says<T>(running: &mut Running, look: impl Fn(&str) -> Option<T>) -> T {
    loop {
        // Asked first: what it said last is then in the file.
        let ended = running.child.try_wait().unwrap();
        let said = fs::read_to_string(&running.stderr).unwrap();
        if let Some(seen) = look(&said) {
            return seen;
        }
        assert!(ended.is_none(), "it ended ({ended:?}), having said: {said}");
        assert!(Instant::now() < running.deadline, "it only said: {said}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The grants of the provider's token endpoint so far, each with its time in milliseconds.
fn grants(provider: &TestProvider, grant: &str) -> Vec<i64> {
    let log = provider.read("log");
    let entries = log.as_array().unwrap().iter().filter(|entry| {
        let asked = entry["params"]["grant_type"].as_str().unwrap_or_default();
        entry["point"] == "token" && asked.ends_with(grant)
    });
    entries.map(|entry| entry["t"].as_i64().unwrap()).collect()
}

fn sandbox() -> (tokio::runtime::Runtime, FakeDatadog, Keys) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = Keys::random().unwrap();
    let upstream = runtime.block_on(datadog::start(keys.clone())).unwrap();
    (runtime, upstream, keys)
}

#[test]
fn from_the_first_sign_in_to_signing_out() {
    let Some(desk) = Desk::with(&["--interval", "1"]) else {
        return;
    };
    let (_runtime, upstream, keys) = sandbox();

    // Nobody is signed in, and nobody may be asked: nothing runs.
    let ran = desk.home.run(desk.agent(&upstream, &keys, "never"));
    assert_eq!(ran.status.code(), Some(NOT_SIGNED_IN), "{ran:?}");
    assert!(
        ran.stderr
            .contains("ddgate: hint: sign in with: ddgate login"),
        "{ran:?}"
    );

    // The person takes their time, then walks through the provider's own pages.
    let (running, screen) = desk.begin_login();
    thread::sleep(Duration::from_millis(2500));
    assert!(
        !grants(&desk.provider, "device_code").is_empty(),
        "it asks while it waits"
    );
    let approve = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider/approve.mjs");
    let walked = Command::new("node")
        .arg(approve)
        .arg(&screen.complete)
        .output()
        .unwrap();
    assert!(walked.status.success(), "{walked:?}");
    let ran = running.finish();
    assert!(ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    let expected = "✓ signed in as alice@example.test (groups: eng, oncall)";
    assert!(ran.stderr.contains(expected), "{ran:?}");

    let status = desk.json(&["status", "--json"]);
    assert_eq!(
        status["signed_in"]["email"], "alice@example.test",
        "{status:#}"
    );

    // Every run renews the sign-in; the used-up token is replaced.
    let mut tokens = vec![desk.token()];
    for run in 1..=3 {
        let ran = desk.home.run(desk.agent(&upstream, &keys, "never"));
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(grants(&desk.provider, "refresh_token").len(), run);
        tokens.push(desk.token());
        let record = desk.json(&["replay", "latest", "--json"]);
        let who = &record["who"];
        assert_eq!(
            (&who["label"], &who["verified"]),
            (&"alice@example.test".into(), &true.into())
        );
        assert_eq!(
            (&who["via"], &who["subject"]),
            (&"refresh".into(), &"u-alice".into())
        );
        assert_eq!(who["groups"], serde_json::json!(["eng", "oncall"]));
        assert_eq!(record["calls"].as_array().unwrap().len(), 13);
    }
    let distinct: std::collections::HashSet<_> = tokens.iter().collect();
    assert_eq!(distinct.len(), tokens.len(), "the token rotates");
    assert_eq!(
        upstream.seen().len(),
        3 * 12,
        "one call in each run is refused by the gate"
    );

    // A copy of the file, to see that signing out is more than forgetting.
    let kept = desk.kept();
    let copy = fs::read(&kept).unwrap();
    let ran = desk.run(&["logout"]);
    assert!(ran.status.success(), "{ran:?}");
    let (said, revoked) = (
        "ddgate: signed out alice@example.test: deleted from file ",
        ", revoked at http://127.0.0.1:",
    );
    assert!(
        ran.stderr.starts_with(said) && ran.stderr.contains(revoked),
        "{ran:?}"
    );
    let status = desk.json(&["status", "--json"]);
    assert!(status["signed_in"].is_null(), "{status:#}");
    desk.home
        .holds_nowhere(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(&kept, copy).unwrap();
    let ran = desk.home.run(desk.agent(&upstream, &keys, "never"));
    assert_eq!(ran.status.code(), Some(NOT_SIGNED_IN), "{ran:?}");
    assert!(ran.stderr.contains("has ended"), "{ran:?}");
    assert_eq!(upstream.seen().len(), 3 * 12, "nothing more was sent");

    desk.nothing_leaked();
    desk.home
        .holds_nowhere(&[keys.api.expose(), keys.application.expose()]);
}

#[test]
fn a_run_signs_in_by_itself() {
    let Some(desk) = Desk::with(&["--interval", "1"]) else {
        return;
    };
    let (_runtime, upstream, keys) = sandbox();
    let mut running = desk.home.start(desk.agent(&upstream, &keys, "always"));
    let screen = says(&mut running, Screen::read);
    assert!(
        upstream.seen().is_empty(),
        "the command waits for the person"
    );
    desk.decide("approve", &screen);
    let ran = running.finish();
    assert!(ran.status.success(), "{ran:?}");
    let record = desk.json(&["replay", "latest", "--json"]);
    assert_eq!(record["who"]["via"], "device");
    assert_eq!(record["calls"].as_array().unwrap().len(), 13);
    desk.nothing_leaked();
}

#[test]
fn told_to_slow_down_it_does() {
    let Some(desk) = Desk::with(&["--interval", "1"]) else {
        return;
    };
    desk.provider.fault("token@device_code.error:1=slow_down");
    desk.login();
    let [first, second] = grants(&desk.provider, "device_code")[..] else {
        panic!("one answer said slow down, the next was good");
    };
    // RFC 8628 section 3.5: five seconds more than before.
    assert!(second - first >= 6000, "{} ms", second - first);
    desk.nothing_leaked();
}

#[test]
fn denied_or_expired_is_said_and_nothing_is_kept() {
    let Some(desk) = Desk::with(&["--interval", "1"]) else {
        return;
    };
    for (verb, expected, hint) in [
        (
            "deny",
            "the sign-in was denied",
            "if that was a mistake, try again",
        ),
        (
            "expire",
            "the sign-in code expired",
            "try again: you get a new code",
        ),
    ] {
        let (running, screen) = desk.begin_login();
        desk.decide(verb, &screen);
        let ran = running.finish();
        assert_eq!(ran.status.code(), Some(NOT_SIGNED_IN), "{ran:?}");
        let error = format!("ddgate: error: {expected}");
        assert!(ran.stderr.contains(&error), "{ran:?}");
        assert!(
            ran.stderr.contains(&format!("ddgate: hint: {hint}")),
            "{ran:?}"
        );
        let status = desk.json(&["status", "--json"]);
        assert!(status["signed_in"].is_null(), "{status:#}");
    }
    // The next try is not spoilt by the last.
    desk.login();
    desk.nothing_leaked();
}
