//! Starts the test provider (see README.md beside this file) and talks to its controls.
//!
//! Speaks HTTP over a bare socket: the client under test is not used to check itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A running provider; ends when dropped.
pub(crate) struct TestProvider {
    child: Child,
    /// Its issuer identifier.
    pub(crate) issuer: String,
    port: u16,
    secure: bool,
}

impl TestProvider {
    /// Starts a provider, or says loudly that there is none; under `CI=true` that is a failure.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        if !home.join("node_modules/oidc-provider").exists() {
            return Self::missing("`npm install --no-package-lock` was not run in tests/provider");
        }
        let child = Command::new("node")
            .arg(home.join("index.mjs"))
            .arg("--exit-with-stdin")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            return Self::missing("node is not installed");
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the provider is ready");
        let issuer = ready["issuer"].as_str().unwrap().to_owned();
        Some(Self {
            child,
            port: u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
            secure: issuer.starts_with("https"),
            issuer,
        })
    }

    fn missing(why: &str) -> Option<Self> {
        crate::absent::absent(why);
        None
    }

    /// `GET /_test/VERB`
    pub(crate) fn read(&self, verb: &str) -> Value {
        self.control("GET", verb, None)
    }

    /// `DELETE /_test/VERB`
    pub(crate) fn clear(&self, verb: &str) {
        self.control("DELETE", verb, None);
    }

    /// `POST /_test/VERB`
    pub(crate) fn write(&self, verb: &str, body: &Value) -> Value {
        self.control("POST", verb, Some(body))
    }

    /// Adds a fault or preset.
    pub(crate) fn fault(&self, fault: &str) {
        self.write("faults", &json!({ "add": [fault] }));
    }

    /// Decides the newest sign-in: `approve`, `deny` or `expire`.
    pub(crate) fn decide(&self, verb: &str, login: &str) {
        // Not the code on screen: a fault may have changed that one.
        let pending = self.read("pending");
        let code = pending.as_array().unwrap().last().unwrap();
        let done = self.write(verb, &json!({ "user_code": code, "login": login }));
        assert_eq!(done["ok"], true, "{verb}: {done}");
    }

    /// Every secret it has given out so far.
    pub(crate) fn issued(&self) -> Vec<String> {
        let issued = self.read("issued");
        let value = |secret: &Value| secret["value"].as_str().unwrap().to_owned();
        issued.as_array().unwrap().iter().map(value).collect()
    }

    fn control(&self, method: &str, verb: &str, body: Option<&Value>) -> Value {
        assert!(!self.secure, "controls are only spoken to over http");
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} /_test/{verb} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("chunked"), "{head}");
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for TestProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
