//! Starts the child and waits for it, as if ddgate were not there.
//!
//! Invariant: standard input, output and error, working directory, process group, terminal
//! and every signal the caller ignored are the child's exactly as they would be without
//! ddgate; only its environment differs. It never kills the child and never times it out.
//! How signals travel is told in `signals`.

use std::ffi::OsString;
use std::io;
use std::process::{ChildStdin, ChildStdout, Stdio};

use super::sandbox::Sandbox;
use crate::exit::Exit;

#[cfg(not(unix))]
#[path = "other.rs"]
mod platform;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;

#[cfg(unix)]
pub(super) use platform::find;
pub use platform::{Running, die_by};

/// A child under way, with its standard input and output.
pub type Piped = (Running, ChildStdin, ChildStdout);

/// Starts `command` with exactly this environment, held to what the `sandbox` says.
///
/// Must be called within a tokio runtime that does I/O. From here on ddgate itself no longer
/// dies of the signals it hands on: the session has to be closed first.
///
/// # Errors
/// See [`LaunchError`]; no child is left running.
pub fn spawn(
    command: &[OsString],
    environment: &[(OsString, OsString)],
    sandbox: &Sandbox,
) -> Result<Running, LaunchError> {
    platform::spawn(command, environment, sandbox, Stdio::inherit).map(|(running, _)| running)
}

/// The same for a child whose standard input and output are ours to pass on.
///
/// # Errors
/// See [`LaunchError`]; no child is left running.
pub fn spawn_piped(
    command: &[OsString],
    environment: &[(OsString, OsString)],
    sandbox: &Sandbox,
) -> Result<Piped, LaunchError> {
    let (running, (stdin, stdout)) = platform::spawn(command, environment, sandbox, Stdio::piped)?;
    match (stdin, stdout) {
        (Some(stdin), Some(stdout)) => Ok((running, stdin, stdout)),
        // The standard library gives both where both were asked for.
        _ => Err(LaunchError::Wait(io::Error::other(
            "the child has no pipes",
        ))),
    }
}

/// The ends of a child's pipes, where it has any.
type Pipes = (Option<ChildStdin>, Option<ChildStdout>);

/// SIGINT, the same number everywhere.
pub const INTERRUPT: i32 = 2;

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// It ended by itself, with this code.
    Exited(u8),
    /// A signal with this number ended it.
    Signalled(i32),
}

impl ChildEnd {
    /// What the shell should see: the child's code, or 128 + n.
    #[must_use]
    pub fn exit(self) -> Exit {
        Exit::Child(match self {
            Self::Exited(code) => code,
            // Signal numbers end at 64.
            Self::Signalled(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        })
    }
}

/// Why the child could not be started, or not be waited for.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no command.
    #[error("no command to run")]
    NoCommand,
    /// The command is not there.
    #[error("cannot find `{}`", command.display())]
    NotFound {
        /// The command as given.
        command: OsString,
    },
    /// The command is there, and the system will not execute it.
    #[error("cannot execute `{}`", command.display())]
    NotExecutable {
        /// The command as given.
        command: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no process or memory to spare.
    #[error("cannot start a process for `{}`", command.display())]
    Start {
        /// The command as given.
        command: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The system cannot hold the child to what was demanded.
    #[error("the command cannot be held to the gate here: {0}")]
    Sandbox(#[from] super::sandbox::NotHeld),
    /// Signals cannot be received, so the child could not be run faithfully.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
    /// The child ran, but how it ended cannot be learnt.
    #[error("cannot learn how the command ended")]
    Wait(#[source] io::Error),
}

impl LaunchError {
    /// The exit code, as `env` and `timeout` use them: 127, 126, or 125 when ddgate itself
    /// failed.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. } => Exit::NotFound,
            Self::NotExecutable { .. } => Exit::NotExecutable,
            Self::NoCommand
            | Self::Start { .. }
            | Self::Sandbox(_)
            | Self::Signals(_)
            | Self::Wait(_) => Exit::GateFailed,
        }
    }

    /// Sorts what the system said to an attempt to execute. A script whose interpreter is
    /// missing is "not found", too: so `env` has it.
    pub(super) fn from_start(command: OsString, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            Self::NotFound { command }
        } else if platform::is_shortage(&source) {
            Self::Start { command, source }
        } else {
            Self::NotExecutable { command, source }
        }
    }
}
