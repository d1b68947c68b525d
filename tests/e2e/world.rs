//! A world of its own for each test: an empty home, a cleared environment, a pretend Datadog and
//! a pretend identity provider, and ddgate as a child with a time limit.
//!
//! Invariant: a ddgate under test sees only what the test put there; what it says is compared
//! with ids, ports, paths and times replaced.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ddgate::demo::{self, Sandbox};
use serde_json::Value;

/// What any ddgate may take before the test is called stuck.
const PATIENCE: Duration = Duration::from_secs(40);

/// A home and a Datadog.
pub(crate) struct World {
    root: tempfile::TempDir,
    pub(crate) sandbox: Sandbox,
}

/// The runtime the pretend services of all tests live on.
fn services() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// Runs something of the library's on the runtime of the services.
pub(crate) fn on_services<T>(work: impl Future<Output = T>) -> T {
    services().block_on(work)
}

impl World {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("ddgate-e2e-").tempdir();
        let world = Self {
            root: root.unwrap(),
            sandbox: on_services(demo::sandbox()).unwrap(),
        };
        for directory in [world.home(), world.work()] {
            std::fs::create_dir(directory).unwrap();
        }
        world
    }

    /// Everything a test leaves behind is below here.
    pub(crate) fn root(&self) -> PathBuf {
        // The platform may hand out a link (`/tmp` on macOS).
        self.root.path().canonicalize().unwrap()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// The working directory of every ddgate.
    pub(crate) fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// Where sessions are kept.
    pub(crate) fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.data().join("sessions")
    }

    /// The real keys: API key, application key.
    pub(crate) fn keys(&self) -> (String, String) {
        let keys = &self.sandbox.keys;
        (keys.api.expose().clone(), keys.application.expose().clone())
    }

    /// Puts a file below the root, and returns where.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the user's configuration file.
    pub(crate) fn settings(&self, text: &str) -> PathBuf {
        self.file("config/ddgate.toml", text)
    }

    /// ddgate with nothing but a home, a data directory and a path to programs.
    pub(crate) fn ddgate<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ddgate {
        self.under(&[], arguments)
    }

    /// The same, started by another program: its words first.
    pub(crate) fn under<I: AsRef<OsStr>>(
        &self,
        starter: &[&str],
        arguments: impl IntoIterator<Item = I>,
    ) -> Ddgate {
        let own = env!("CARGO_BIN_EXE_ddgate");
        let words: Vec<&str> = starter.iter().copied().chain([own]).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.home().join("xdg-config"))
            .env("DDGATE_CONFIG", self.root().join("config/ddgate.toml"))
            .env("DDGATE_DATA_DIR", self.data())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TZ", "UTC")
            // No test talks to the keyring of whoever runs it.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
        if !cfg!(target_os = "linux") {
            command.env("DDGATE_STORAGE", "memory");
        }
        if !self.root().join("config/ddgate.toml").exists() {
            command.env_remove("DDGATE_CONFIG");
        }
        Ddgate {
            command,
            input: Vec::new(),
            root: self.root(),
        }
    }

    /// `ddgate run` as the local user, with real keys in ddgate's environment, against the
    /// pretend Datadog.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = I>) -> Ddgate {
        self.run_with(&[], command)
    }

    /// The same with more flags.
    pub(crate) fn run_with<I: AsRef<OsStr>>(
        &self,
        flags: &[&str],
        command: impl IntoIterator<Item = I>,
    ) -> Ddgate {
        let upstream = self.sandbox.upstream();
        let mut words: Vec<OsString> = ["run", "--identity", "local", "--upstream", &upstream]
            .iter()
            .chain(flags)
            .map(OsString::from)
            .collect();
        words.push("--".into());
        words.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        self.ddgate(words).keys(self)
    }

    /// `ddgate run` with this test binary as the agent: see `agent`.
    pub(crate) fn agent(&self, script: &str) -> Ddgate {
        self.run(crate::agent::command()).script(self, script)
    }

    /// What the agent wrote down, a line a step.
    pub(crate) fn answers(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.root().join("answers")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// `ddgate replay SESSION --json`, read.
    pub(crate) fn replay_json(&self, session: &str) -> Value {
        self.ddgate(["replay", session, "--json"]).succeeds().json()
    }

    /// The ids of all sessions, from the directory itself.
    pub(crate) fn session_ids(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.sessions()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // Beside them stands the chain they form.
        names.filter(|name| name != "chain.jsonl").collect()
    }

    /// Every file below the root, with its bytes.
    pub(crate) fn all_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut open = vec![self.root()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_symlink() {
                    continue;
                }
                if path.is_dir() {
                    open.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    files.push((path, bytes));
                }
            }
        }
        files
    }
}

/// A ddgate about to be started.
pub(crate) struct Ddgate {
    command: Command,
    input: Vec<u8>,
    root: PathBuf,
}

impl Ddgate {
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.to_vec();
        self
    }

    /// The real keys of the world, in the environment.
    pub(crate) fn keys(self, world: &World) -> Self {
        let (api, application) = world.keys();
        self.env("DD_API_KEY", api).env("DD_APP_KEY", application)
    }

    /// The issuer of the world, in the environment.
    pub(crate) fn issuer(self, world: &World) -> Self {
        self.env("DDGATE_ISSUER", world.sandbox.issuer())
            .env("DDGATE_CLIENT_ID", world.sandbox.client_id())
    }

    /// What the agent is to do. In a file: an environment is small, and scrubbed of keys.
    pub(crate) fn script(self, world: &World, script: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("script-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let path = world.file(&name, script);
        self.env(crate::agent::SCRIPT, path)
            .env(crate::agent::ANSWERS, world.root().join("answers"))
    }

    /// Starts it, and leaves it to the test.
    pub(crate) fn spawn(mut self) -> Live {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let (stdout, stderr) = (gather(child.stdout.take()), gather(child.stderr.take()));
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input;
        // A child that reads nothing must not hold up the test.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        Live {
            child,
            heard: Some([stdout, stderr]),
            root: self.root,
        }
    }

    /// Runs it to its end.
    pub(crate) fn go(self) -> Outcome {
        self.spawn().end()
    }

    /// Runs it to its end, which has to be 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Outcome {
        self.exits(0)
    }

    /// Runs it to its end, which has to be `code`.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Outcome {
        let outcome = self.go();
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        outcome
    }
}

fn gather(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut stream = stream.unwrap();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// A ddgate under way.
pub(crate) struct Live {
    pub(crate) child: Child,
    /// Standard output and error, until the end asks for them.
    heard: Option<[JoinHandle<Vec<u8>>; 2]>,
    root: PathBuf,
}

/// A test that fails leaves nothing running.
impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Live {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Outcome {
        let [stdout, stderr] = self.heard.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                let stderr = stderr.join().unwrap();
                panic!("stuck: {}", String::from_utf8_lossy(&stderr));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            root: self.root.clone(),
        }
    }
}

/// How a ddgate ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    root: PathBuf,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "code {:?}, signal {:?}", self.code, self.signal)?;
        writeln!(f, "stdout: {}", String::from_utf8_lossy(&self.stdout))?;
        writeln!(f, "stderr: {}", String::from_utf8_lossy(&self.stderr))
    }
}

impl Outcome {
    /// Standard error without what changes from run to run.
    ///
    /// What the command was held to is left out, because it depends on the kernel: `bypass` looks
    /// at it.
    pub(crate) fn said(&self) -> String {
        let text = self.normalised(&self.stderr);
        let lines = text.split_inclusive('\n');
        let held = [
            "ddgate: the command reaches the network",
            "ddgate: the command is not held",
        ];
        lines
            .filter(|line| !held.iter().any(|start| line.starts_with(start)))
            .collect()
    }

    /// Standard output likewise, columns apart by two blanks.
    pub(crate) fn shown(&self) -> String {
        let text = self.normalised(&self.stdout);
        let lines = text.lines().map(|line| {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start().split("  ").filter(|w| !w.is_empty());
            let words: Vec<_> = words.map(str::trim).collect();
            format!("{}{}", &line[..indent.min(2)], words.join("  "))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn normalised(&self, bytes: &[u8]) -> String {
        crate::normal::normalise(&String::from_utf8_lossy(bytes), &self.root)
    }

    /// The short id in the summary line.
    #[track_caller]
    pub(crate) fn session(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr).into_owned();
        let after = text.split("replay with: ddgate replay ").nth(1);
        let id = after.and_then(|rest| rest.split_whitespace().next());
        id.unwrap_or_else(|| panic!("no summary: {self:?}"))
            .to_owned()
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, so: impl FnMut() -> bool) {
    let mut so = so;
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
