//! A record being made on a device that remembers: gates with agents, one after the other.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::agent;
use crate::device::Entry;
use crate::mounts::{FileSystem, Mounted, PATH};
use crate::upstream::{Seen, Upstream};

/// Threads of an agent and calls of each, a session each.
const SESSIONS: [(usize, usize); 4] = [(1, 30), (8, 12), (3, 20), (5, 12)];

/// Whether syncs do what they say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Syncs {
    Real,
    /// They say so and do nothing.
    Ignored,
    /// Every other one does nothing.
    HalfIgnored,
}

/// A block log with what was seen, and what had ended, at which of its positions.
pub(crate) struct Recording {
    pub(crate) entries: Vec<Entry>,
    /// Where the first gate started.
    pub(crate) began: usize,
    pub(crate) seen: Vec<Seen>,
    /// Where each gate had ended: its session was closed by then.
    pub(crate) ended: Vec<usize>,
}

impl Recording {
    pub(crate) fn make(system: FileSystem, syncs: Syncs, seed: u64) -> Self {
        let mounted = Mounted::new(system, vec![0; system.bytes()], true).unwrap();
        let log = mounted.device.log.clone();
        let upstream = Upstream::start(&log);
        let began = log.position();
        let mut ended = Vec::new();
        for (run, (threads, calls)) in SESSIONS.into_iter().enumerate() {
            let plan = format!("{} {} {threads} {calls}", seed % 1_000_000, run + 1);
            let output = gate(&mounted.at, syncs, &upstream.url)
                .arg("--")
                .args(agent::command())
                .env(agent::PLAN, plan)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", output.status);
            ended.push(log.position());
        }
        let seen = upstream.seen();
        let entries = log.entries();
        // Without what unmounting writes: the power goes while all this runs.
        drop(mounted);
        let during = &entries[began..];
        let flushes = during
            .iter()
            .filter(|entry| matches!(entry, Entry::Flush))
            .count();
        println!(
            "recorded on {system}: {} calls seen, {} writes, {flushes} flushes",
            seen.len(),
            during.len() - flushes,
        );
        Self {
            entries,
            began,
            seen,
            ended,
        }
    }
}

/// `ddgate run` with its data in `directory`.
fn gate(directory: &Path, syncs: Syncs, upstream: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_ddgate");
    let lies = match syncs {
        Syncs::Real => None,
        Syncs::Ignored => Some(""),
        Syncs::HalfIgnored => Some(":when=2+2"),
    };
    let mut command = match lies {
        None => Command::new(program),
        Some(when) => {
            let mut strace = Command::new("strace");
            strace
                .args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"])
                .args(["-e", "trace=fsync,fdatasync", "-e"])
                .arg(format!("inject=fsync,fdatasync:retval=0{when}"))
                .args(["--", program]);
            strace
        }
    };
    command.args(["run", "--identity", "local", "--upstream", upstream]);
    environment(&mut command, directory);
    command
        .env("DD_API_KEY", "8f3b1c2d4e5f60710c7e52a1f4b94d6e")
        .env("DD_APP_KEY", "5b1d9e3f7a2c4860b1d3f5a7c9e0b2d4f6a81c3e");
    command
}

/// Nothing of the caller's environment.
pub(crate) fn environment(command: &mut Command, directory: &Path) {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", directory)
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .env("DDGATE_DATA_DIR", directory.join("data"))
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .current_dir("/")
        .stdin(Stdio::null());
}

/// A session that makes no call: a gate must start on whatever the power left.
pub(crate) fn empty_session(directory: &Path) -> Command {
    let mut command = gate(directory, Syncs::Real, "http://127.0.0.1:9");
    command.args(["--", "true"]);
    command
}
