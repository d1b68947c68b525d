//! Groups as the usual providers send them, through the real binary: which claim has them, what
//! decides where some were left out; and a second provider, glewlwyd, which shares no code with the
//! first: sign-in by device flow, groups, renewal, sign-out.
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
#[expect(dead_code, reason = "shared: each test uses a part of it")]
#[path = "provider/start.rs"]
mod provider;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use gate::{Home, Ran, Running};
use provider::TestProvider;

const NOT_ADMITTED: i32 = 3;

/// A person of a provider that spells groups in its own way.
struct Desk {
    provider: TestProvider,
    home: Home,
}

impl Desk {
    fn with(style: &str, login: &str) -> Option<Self> {
        let provider = TestProvider::start(&[
            "--style",
            style,
            "--auto-approve",
            login,
            "--interval",
            "1",
            "--no-enforce-interval",
        ])?;
        Some(Self {
            provider,
            home: Home::new(),
        })
    }

    /// A run of `true` with these settings below `[identity]`: it signs in first.
    fn run(&self, settings: &str) -> Ran {
        let file = self.home.path().join("ddgate.toml");
        let settings = format!(
            "[identity]\nissuer = \"{}\"\nclient_id = \"ddgate-cli\"\nstorage = \"file\"\n\
             scopes = [\"openid\", \"profile\", \"email\", \"groups\", \"offline_access\"]\n{settings}\n",
            self.provider.issuer
        );
        fs::write(&file, settings).unwrap();
        let mut command = self.home.ddgate(&["run", "--prompt", "always"]);
        command
            .args(["--upstream", "http://127.0.0.1:9", "--", "true"])
            .env("DDGATE_CONFIG", file)
            .env("DD_API_KEY", "0123456789abcdef0123456789abcdef");
        self.home.run(command)
    }

    #[track_caller]
    fn admitted(&self, settings: &str) {
        let ran = self.run(settings);
        assert!(ran.status.success(), "{settings}: {ran:?}");
    }

    #[track_caller]
    fn refused(&self, settings: &str, expected: &str) {
        let ran = self.run(settings);
        assert_eq!(ran.status.code(), Some(NOT_ADMITTED), "{settings}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{settings}: {ran:?}");
    }
}

/// Settings: groups are in this claim, and this one is required.
fn need(claim: &str, group: &str) -> String {
    format!("groups_claims = [\"{claim}\"]\nrequire_groups = [\"{group}\"]")
}

#[test]
fn where_each_provider_has_its_groups() {
    for (style, claim, group) in [
        ("okta", "groups", "eng"),
        ("keycloak", "/realm_access/roles", "eng"),
        ("keycloak", "groups", "/eng"),
        ("entra", "groups", "00000000-1111-2222-3333-444444444444"),
        ("entra", "roles", "eng"),
        // Google sends no groups; the hosted domain does as one.
        ("google", "hd", "example.test"),
        ("auth0", "https://example.test/groups", "eng"),
        ("cognito", "cognito:groups", "eng"),
    ] {
        let Some(desk) = Desk::with(style, "alice") else {
            return;
        };
        desk.admitted(&need(claim, group));
        desk.refused(
            &need(claim, "sre"),
            "none of the groups that the settings require (sre)",
        );
        if style == "google" {
            desk.refused(&need("groups", "eng"), "the sign-in shows no groups");
        }
        if style == "cognito" {
            // It says so in a string.
            desk.admitted("require_verified_email = true");
        }
    }
}

#[test]
fn groups_that_were_left_out_decide_nothing() {
    let Some(desk) = Desk::with("entra-overage", "alice") else {
        return;
    };
    let left_out = "the identity provider left groups out of the sign-in";
    desk.refused(&need("groups", "eng"), left_out);
    // Nothing was left out of this claim: it is just not there.
    desk.refused(&need("roles", "eng"), "the sign-in shows no groups");
    let list = "[[credential]]\nname = \"read\"\ngroups = [\"eng\"]\nstore = \"read\"\n\
                [[credential]]\nname = \"rest\"\nenv = { api_key = \"DD_API_KEY\" }\n";
    desk.refused(
        list,
        "which credential is for alice@example.test cannot be told: `read` is for",
    );
    // Where nothing depends on groups, nothing is amiss.
    desk.admitted("require_verified_email = true");
}

#[test]
fn addresses_that_nobody_verified() {
    for (login, expected) in [
        ("carol", "says that carol@example.test is not verified"),
        ("dave", "sent no e-mail address"),
    ] {
        let Some(desk) = Desk::with("plain", login) else {
            return;
        };
        desk.refused("require_verified_email = true", expected);
        desk.admitted("require_groups = [\"eng\"]");
    }
}

/// A running glewlwyd; it ends when this is dropped.
struct Glewlwyd {
    child: Child,
    input: Option<ChildStdin>,
    issuer: String,
}

impl Glewlwyd {
    fn start() -> Option<Self> {
        for program in ["glewlwyd", "sqlite3", "openssl", "curl", "python3"] {
            let there = Command::new("sh")
                .args(["-c", "command -v \"$0\" >/dev/null", program])
                .status();
            if !there.unwrap().success() {
                absent::absent(&format!("{program} is not on this machine"));
                return None;
            }
        }
        // A port is free only a moment ago, and glewlwyd takes no port 0.
        let tries = (0..5).find_map(|_| Self::on_some_port());
        Some(tries.expect("glewlwyd starts"))
    }

    fn on_some_port() -> Option<Self> {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let mut child = Command::new(script("up.sh"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            child.wait().unwrap();
            return None;
        };
        Some(Self {
            input: child.stdin.take(),
            child,
            issuer: ready["issuer"].as_str().unwrap().to_owned(),
        })
    }
}

impl Glewlwyd {
    /// Waits for the code on the screen, says yes to it, and waits for the end.
    fn approve(&self, running: Running) -> Ran {
        let code = loop {
            let said = fs::read_to_string(&running.stderr).unwrap();
            let after = said.split("enter the code ").nth(1);
            if let Some(code) = after.and_then(|rest| rest.split_whitespace().next()) {
                break code.to_owned();
            }
            assert!(Instant::now() < running.deadline, "it only said: {said}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let approved = Command::new(script("approve.sh"))
            .args([&self.issuer, &code])
            .output()
            .unwrap();
        assert!(approved.status.success(), "{approved:?}");
        running.finish()
    }
}

impl Drop for Glewlwyd {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> std::path::PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider/glewlwyd");
    home.join(name)
}

#[test]
fn another_provider_altogether() {
    let Some(provider) = Glewlwyd::start() else {
        return;
    };
    let home = Home::new();
    let settings = home.path().join("ddgate.toml");
    let text = format!(
        "[identity]\nissuer = \"{}\"\nclient_id = \"ddgate-cli\"\nstorage = \"file\"\n\
         scopes = [\"openid\", \"profile\", \"email\", \"groups\"]\nrequire_groups = [\"oncall\"]\n",
        provider.issuer
    );
    fs::write(&settings, text).unwrap();
    let ddgate = |arguments: &[&str]| {
        let mut command = home.ddgate(arguments);
        command
            .env("DDGATE_CONFIG", &settings)
            .env("DD_API_KEY", "0123456789abcdef0123456789abcdef");
        command
    };
    let doctor = home.run(ddgate(&[
        "doctor",
        "--json",
        "--upstream",
        "http://127.0.0.1:9",
    ]));
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let checks = doctor["checks"].as_array().unwrap();
    let offered = checks
        .iter()
        .find(|check| check["check"] == "identity provider");
    assert_eq!(offered.unwrap()["state"], "ok", "{doctor:#}");

    let signed_in = provider.approve(home.start(ddgate(&["login"])));
    assert!(signed_in.status.success(), "{signed_in:?}");
    let expected = "signed in as alice@example.test (groups: eng, oncall)";
    assert!(signed_in.stderr.contains(expected), "{signed_in:?}");

    // It renews a sign-in with tokens that are good once, and without an ID token: its userinfo says who
    // it is, and nobody is asked.
    let kept = || {
        let files = home.files().into_iter();
        let mut kept = files.filter(|(path, _)| path.ends_with("secrets.json"));
        kept.next().unwrap().1
    };
    let run = |prompt| {
        let upstream = "http://127.0.0.1:9";
        ddgate(&[
            "run",
            "--prompt",
            prompt,
            "--upstream",
            upstream,
            "--",
            "true",
        ])
    };
    let mut before = kept();
    for _ in 0..2 {
        let ran = home.run(run("never"));
        assert!(ran.status.success(), "{ran:?}");
        let now = kept();
        assert_ne!(now, before, "the token rotates");
        before = now;
    }
    let record = home.run(ddgate(&["replay", "latest", "--json"]));
    let record: Value = serde_json::from_slice(&record.stdout).unwrap();
    assert_eq!(record["who"]["via"], "userinfo", "{record:#}");
    assert_eq!(record["who"]["email"], "alice@example.test", "{record:#}");
    assert_eq!(record["who"]["groups_incomplete"], false, "{record:#}");
    assert_eq!(
        record["who"]["groups"],
        serde_json::json!(["eng", "oncall"])
    );
    let ran = home.run(ddgate(&["logout"]));
    assert!(ran.status.success(), "{ran:?}");
    let ran = home.run(run("never"));
    assert!(ran.stderr.contains("nobody is signed in"), "{ran:?}");
}
