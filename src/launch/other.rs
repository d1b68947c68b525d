//! The child where there are no Unix signals: started, and waited for.
//!
//! Ctrl-C reaches every process of a console by itself; ddgate only has to outlive it.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, Stdio};
use std::thread;

use tokio::sync::oneshot;

use super::super::sandbox::Sandbox;
use super::{ChildEnd, LaunchError, Pipes};

/// A child under way. Dropping it leaves the child alone.
#[derive(Debug)]
pub struct Running {
    pid: u32,
    end: oneshot::Receiver<io::Result<ChildEnd>>,
}

/// Starts a child; see [`super::spawn`]. `stdio` makes its standard input and output.
pub(super) fn spawn(
    command: &[OsString],
    environment: &[(OsString, OsString)],
    // There is none to be had here.
    _sandbox: &Sandbox,
    stdio: fn() -> Stdio,
) -> Result<(Running, Pipes), LaunchError> {
    let (name, arguments) = command.split_first().ok_or(LaunchError::NoCommand)?;
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(stdio())
        .stdout(stdio())
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .spawn()
        .map_err(|source| LaunchError::from_start(name.clone(), source))?;
    let pid = child.id();
    let pipes = (child.stdin.take(), child.stdout.take());
    let (tell, end) = oneshot::channel();
    thread::Builder::new()
        .name("ddgate-child".to_owned())
        .spawn(move || {
            // Nobody listens any more when ddgate is about to end.
            let _ = tell.send(watch(&mut child));
        })
        .map_err(|source| LaunchError::Start {
            command: name.clone(),
            source,
        })?;
    Ok((Running { pid, end }, pipes))
}

fn watch(child: &mut Child) -> io::Result<ChildEnd> {
    let status = child.wait()?;
    // Codes are 32 bits wide here and ours eight: what does not fit is still a failure.
    let code = status.code().unwrap_or(1);
    Ok(ChildEnd::Exited(u8::try_from(code).unwrap_or(u8::MAX)))
}

impl Running {
    /// The system's number for it.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the end, and outlives Ctrl-C meanwhile.
    ///
    /// # Errors
    /// [`LaunchError::Wait`]: the system does not say how it ended.
    pub async fn wait(mut self) -> Result<ChildEnd, LaunchError> {
        loop {
            tokio::select! {
                end = &mut self.end => {
                    return end
                        .unwrap_or_else(|gone| Err(io::Error::other(gone)))
                        .map_err(LaunchError::Wait);
                }
                heard = tokio::signal::ctrl_c() => heard.map_err(LaunchError::Signals)?,
            }
        }
    }
}

/// Whether an error is about the machine and not about the command.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// There is no death by signal here; the caller exits with a code.
pub const fn die_by(_signal: i32) {}
