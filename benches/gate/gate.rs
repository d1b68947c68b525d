//! The real binary, started as a user would start it, with this bench as its child.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::Failure;
use super::child;
use super::class::Cell;
use super::upstream::{self, Upstream};

/// Datadog's keys, as only the gate and the fake Datadog know them.
pub(crate) const KEYS: (&str, &str) = (
    "0c7e52a1f4b94d6e8a3b1c2d4e5f6071",
    "5b1d9e3f7a2c4860b1d3f5a7c9e0b2d4f6a81c3e",
);
/// Where distributions keep their roots: the gate should read as many as it would in life.
const PLATFORM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The kernel counts processor time in these.
const TICK: Duration = Duration::from_millis(10);

/// A pair of keys, real or not.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) api: String,
    pub(crate) app: String,
}

/// What all gates of a run share: a home, a fake Datadog, roots that know it.
pub(crate) struct World {
    home: TempDir,
    pub(crate) upstream: Upstream,
}

impl World {
    pub(crate) fn create() -> Result<Self, Failure> {
        let home = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let upstream = Upstream::start()?;
        let mut roots = std::fs::read(PLATFORM_ROOTS).unwrap_or_default();
        roots.extend_from_slice(upstream.ca_pem.as_bytes());
        std::fs::write(home.path().join("roots.pem"), roots)?;
        Ok(Self { home, upstream })
    }

    /// On the disk that sessions are written to.
    pub(crate) fn directory(&self) -> &Path {
        self.home.path()
    }

    /// `ddgate run` around `command`, in an environment that holds nothing of this machine's.
    pub(crate) fn run(&self, command: &[&str]) -> Command {
        let home = self.home.path();
        let mut run = Command::new(env!("CARGO_BIN_EXE_ddgate"));
        run.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("SSL_CERT_FILE", home.join("roots.pem"))
            .env("DD_API_KEY", KEYS.0)
            .env("DD_APP_KEY", KEYS.1)
            .current_dir(home)
            .args(["run", "--identity", "local", "-q", "--upstream"])
            .arg(format!(
                "https://{}:{}",
                upstream::NAME,
                self.upstream.gated.port()
            ))
            .arg("--")
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        run
    }
}

/// This very binary.
pub(crate) fn myself() -> Result<String, Failure> {
    let path = std::env::current_exe()?.into_os_string();
    path.into_string().map_err(|_| "an unreadable path".into())
}

/// A gate with a child that makes calls when told to: nobody else is answered.
pub(crate) struct Gate {
    process: Child,
    /// Its end is the child's.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Gate {
    pub(crate) fn start(world: &World) -> Result<Self, Failure> {
        let mut process = world.run(&[&myself()?, child::WORD, child::WORK]).spawn()?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        let mut gate = Self {
            stdin: process.stdin.take(),
            stdout: BufReader::new(stdout),
            process,
        };
        match gate.line()?.as_str() {
            child::DONE => Ok(gate),
            other => Err(format!("the gate did not start its child: {other}").into()),
        }
    }

    /// Has the child make so many calls by `way`; what [`super::load::run`] gives.
    pub(crate) fn load(
        &mut self,
        way: &str,
        cell: &Cell,
        calls: usize,
    ) -> Result<Vec<Duration>, Failure> {
        let (class, concurrency) = (cell.class.name(), cell.concurrency);
        let stdin = self.stdin.as_mut().ok_or("the child is gone")?;
        writeln!(stdin, "{way}\t{class}\t{concurrency}\t{calls}")?;
        let said = self.line()?;
        let times: Result<Vec<u64>, _> = said.split(' ').map(str::parse).collect();
        let times = times.map_err(|_| format!("{class}, {way}: {said}"))?;
        Ok(times.into_iter().map(Duration::from_nanos).collect())
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Most memory it has had resident so far (`proc_pid_status(5)`).
    pub(crate) fn peak_kib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.ok_or("no VmHWM")?.parse()?)
    }

    /// Processor time so far (`proc_pid_stat(5)`, fields 14 and 15).
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The command's name may hold anything, parentheses included.
        let (_, fields) = stat.rsplit_once(") ").ok_or("no stat")?;
        let ticks: Result<Vec<u32>, _> =
            fields.split(' ').skip(11).take(2).map(str::parse).collect();
        Ok(TICK * ticks?.into_iter().sum::<u32>())
    }

    /// Lets the child end, and the gate with it.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        drop(self.stdin.take());
        let ended = self.process.wait()?;
        if ended.success() {
            return Ok(());
        }
        Err(format!("the gate ended with {ended}").into())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Without its input the child ends, and so does the gate.
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}
