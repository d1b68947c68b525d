//! A pipeline: a home without anybody in it, the variables of a CI system, a provider that mints its
//! tokens, and a pretend Datadog.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use ddgate::demo::datadog::{self, FakeDatadog, Keys};
use serde_json::Value;

use crate::gate::{Home, Ran};
use crate::provider::TestProvider;

/// Where a job runs.
pub(crate) struct Pipeline {
    pub(crate) provider: TestProvider,
    pub(crate) home: Home,
    pub(crate) datadog: FakeDatadog,
    datadog_keys: Keys,
    _runtime: tokio::runtime::Runtime,
}

/// A system as a job sees it.
#[derive(Clone, Copy)]
pub(crate) struct System {
    /// The word of the test provider.
    pub(crate) kind: &'static str,
    /// Every job has these.
    pub(crate) always: &'static [(&'static str, &'static str)],
    /// Only a job that may have a token has these. `{url}` is the provider, `{token}` a token of it
    /// for the audience.
    pub(crate) allowed: &'static [(&'static str, &'static str)],
    /// What a token is for.
    pub(crate) audience: &'static str,
}

/// What a job needs to have GitHub's tokens.
pub(crate) const GITHUB: System = System {
    kind: "github",
    always: &[
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY_ID", "74"),
        ("GITHUB_JOB", "build"),
    ],
    allowed: &[
        (
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "{url}/_test/ci/github?api-version=2",
        ),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ci-request-token"),
    ],
    audience: "ddgate",
};

/// The same for GitLab.
pub(crate) const GITLAB: System = System {
    kind: "gitlab",
    always: &[
        ("GITLAB_CI", "true"),
        ("CI_SERVER_URL", "https://gitlab.example.com"),
        ("CI_PROJECT_ID", "22"),
    ],
    allowed: &[("DDGATE_ID_TOKEN", "{token}")],
    audience: "ddgate",
};

impl Pipeline {
    pub(crate) fn start() -> Option<Self> {
        let provider = TestProvider::start(&[])?;
        let home = Home::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let datadog_keys = Keys::random().unwrap();
        let started = datadog::start(datadog_keys.clone());
        let datadog = runtime.block_on(started).unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        Some(Self {
            provider,
            home,
            datadog,
            datadog_keys,
            _runtime: runtime,
        })
    }

    /// A token of a system, with other claims where asked for.
    pub(crate) fn token(&self, kind: &str, audience: &str, claims: &Value) -> String {
        let asked = serde_json::json!({ "audience": audience, "claims": claims });
        let answer = self.provider.write(&format!("ci/{kind}"), &asked);
        answer["token"].as_str().unwrap().to_owned()
    }

    /// The provider's keys, as it publishes them.
    pub(crate) fn keys(&self) -> Vec<u8> {
        let url = format!("{}/jwks", self.provider.issuer);
        let fetched = Command::new("curl").args(["-s", &url]).output();
        fetched.unwrap().stdout
    }

    /// Puts a program into the job's `PATH`.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.home.path().join("bin").join(name);
        let url = &self.provider.issuer;
        fs::write(&path, format!("#!/bin/sh\nurl={url}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `ddgate run` in a job of the system, which does what the demo's agent does or, where a
    /// command is named, that.
    pub(crate) fn run(&self, flags: &[&str], command: &[&str]) -> Command {
        let url = self.datadog.url();
        let mut words = vec!["run", "--upstream", &url];
        words.extend(flags);
        words.push("--");
        words.extend(command);
        let mut ddgate = self.home.ddgate(&words);
        let bin = self.home.path().join("bin");
        ddgate
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
            )
            .env("CI", "true")
            .env("DD_API_KEY", self.datadog_keys.api.expose())
            .env("DD_APP_KEY", self.datadog_keys.application.expose());
        ddgate
    }

    /// The same for a job of a system that may have a token.
    pub(crate) fn job(&self, system: &System, command: &[&str]) -> Command {
        let mut ddgate = self.run(&[], command);
        ddgate.envs(system.always.iter().copied());
        for (name, value) in system.allowed {
            let mut value = value.replace("{url}", &self.provider.issuer);
            if value.contains("{token}") {
                let token = self.token(system.kind, system.audience, &Value::Null);
                value = value.replace("{token}", &token);
            }
            ddgate.env(name, value);
        }
        ddgate
    }

    /// Accepts what the test provider signs for this audience with this pin.
    pub(crate) fn accept(&self, ddgate: &mut Command, audience: &str, pin: &str) {
        ddgate
            .env("DDGATE_WORKLOAD_ISSUER", &self.provider.issuer)
            .env("DDGATE_WORKLOAD_AUDIENCE", audience)
            .env("DDGATE_WORKLOAD_PIN", pin);
    }

    /// What the latest session says of who it was.
    pub(crate) fn who(&self) -> Value {
        self.home.json(&["replay", "latest", "--json"])["who"].clone()
    }

    /// Nothing came of it: not signed in, no session, no call.
    pub(crate) fn is_refused(&self, ran: &Ran) {
        assert_eq!(ran.status.code(), Some(3), "{ran:?}");
        assert!(ran.stdout.is_empty(), "{ran:?}");
        assert!(self.datadog.seen().is_empty(), "{ran:?}");
        let mut files = self.home.files().into_iter().map(|(path, _)| path);
        let session = files.find(|path| path.ends_with("wal-000001.ddw"));
        assert_eq!(session, None, "{ran:?}");
    }

    /// No token that the provider gave out is in anything ddgate or its command wrote.
    pub(crate) fn nothing_leaked(&self) {
        let issued = self.provider.issued();
        let issued: Vec<&str> = issued.iter().map(String::as_str).collect();
        self.home.holds_nowhere(&issued);
    }

    /// Requests the provider has seen since its log was cleared, without the test's own.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.provider.read("log");
        let paths = log.as_array().unwrap().iter();
        paths
            .map(|entry| entry["path"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Everything said on standard error, without the port that changes.
pub(crate) fn said(ran: &Ran, pipeline: &Pipeline) -> String {
    ran.stderr
        .replace(&pipeline.provider.issuer, "http://[ISSUER]")
}

/// The manual page as it is read.
pub(crate) fn manual() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/ddgate-ci.5");
    fs::read_to_string(page).unwrap().replace("\\-", "-")
}
