//! The real binary in a home of its own, and a search through everything that is left there.
//!
//! Nothing of the caller's environment is passed on but `PATH`. Whatever ddgate or its child write
//! goes below the home: data, certificates, temporary files, standard output and error.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use tempfile::TempDir;

/// No run here takes longer; a slow machine is given room.
const LIMIT: Duration = Duration::from_secs(180);

/// A home directory with nobody in it, removed when dropped.
pub(crate) struct Home {
    directory: TempDir,
    runs: std::cell::Cell<u32>,
}

impl Home {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        for name in ["run", "tmp", "said"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(directory.path().join("run"), private).unwrap();
        Self {
            directory,
            runs: std::cell::Cell::new(0),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `ddgate` with these arguments.
    pub(crate) fn ddgate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddgate"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("TMPDIR", self.path().join("tmp"))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts a command; what it says goes to files, so that nobody waits for a full pipe.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        let number = self.runs.replace(self.runs.get() + 1);
        let said = |stream| self.path().join(format!("said/{number:04}.{stream}"));
        let (stdout, stderr) = (said("stdout"), said("stderr"));
        let child = command
            .stdout(fs::File::create(&stdout).unwrap())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Running {
            child,
            stdout,
            stderr,
            deadline: Instant::now() + LIMIT,
        }
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: Command) -> Ran {
        self.start(command).finish()
    }

    /// Runs `ddgate` with these arguments, which must succeed, and reads the JSON it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(self.ddgate(arguments));
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// Every file below the home, with its path.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut directories) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.is_file() {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files
    }

    /// Searches every file below the home for a secret, in every spelling of [`spellings`].
    ///
    /// # Panics
    /// If it is there, naming file and spelling.
    pub(crate) fn holds_nowhere(&self, secrets: &[&str]) {
        for (path, bytes) in self.files() {
            for secret in secrets {
                if let Some(how) = found(&bytes, secret) {
                    panic!("{} holds a secret, {how}", path.display());
                }
            }
        }
    }
}

/// A command under way; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: PathBuf,
    /// Where its standard error goes.
    pub(crate) stderr: PathBuf,
    pub(crate) deadline: Instant,
}

/// How a command ended, and what it said.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "{}\n{stdout}\n{}", self.status, self.stderr)
    }
}

impl Running {
    pub(crate) fn finish(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > self.deadline {
                let said = fs::read(&self.stderr).unwrap();
                panic!("it does not end: {}", String::from_utf8_lossy(&said));
            }
            thread::sleep(Duration::from_millis(5));
        };
        Ran {
            status,
            stdout: fs::read(&self.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a secret is spelt in these bytes, if it is there.
pub(crate) fn found(bytes: &[u8], secret: &str) -> Option<&'static str> {
    finder(secret)(bytes)
}

/// The same for many: a search is made once.
pub(crate) fn finder(secret: &str) -> impl Fn(&[u8]) -> Option<&'static str> + use<> {
    let spellings = spellings(secret);
    let search = AhoCorasick::new(spellings.iter().map(|(_, text)| text)).unwrap();
    move |bytes| {
        let hit = search.find(bytes)?;
        Some(spellings[hit.pattern().as_usize()].0)
    }
}

/// The ways a secret may be written: as it is, in upper case, every character percent-encoded or
/// in hexadecimal, and inside base64 at each of the three alignments, in both alphabets.
fn spellings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let each = |shape: fn(&u8) -> String| bytes.iter().map(shape).collect::<String>().into_bytes();
    let mut all = vec![
        ("as it is", bytes.to_vec()),
        ("in upper case", secret.to_uppercase().into_bytes()),
        ("percent-encoded", each(|byte| format!("%{byte:02X}"))),
        ("percent-encoded", each(|byte| format!("%{byte:02x}"))),
        ("in hexadecimal", each(|byte| format!("{byte:02x}"))),
    ];
    for shift in 0..3 {
        // What stands before decides how the letters fall, what follows decides the last one.
        let shifted = [&vec![b'.'; shift][..], bytes].concat();
        let encoded = STANDARD_NO_PAD.encode(&shifted);
        let sure = &encoded[(shift * 8).div_ceil(6)..shifted.len() * 8 / 6];
        all.push(("in base64", sure.as_bytes().to_vec()));
        let url = sure.replace('+', "-").replace('/', "_");
        all.push(("in base64url", url.into_bytes()));
    }
    all
}

#[test]
fn the_search_finds_what_it_looks_for() {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let secret = "0123456789abcdef~?~>0123456789abcdef";
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut texts = vec![secret.to_owned(), secret.to_uppercase(), percent];
    for before in ["", "a", "ab", "abc"] {
        for after in ["", "z", "zy", "zyx"] {
            let text = format!("{before}{secret}{after}");
            texts.extend([STANDARD.encode(&text), URL_SAFE.encode(&text)]);
        }
    }
    for text in texts {
        let hidden = format!("\0some {text} more");
        assert!(found(hidden.as_bytes(), secret).is_some(), "{text}");
    }
    assert_eq!(found(b"0123456789abcdef~?~>0123456789abcde", secret), None);
}
