//! The child on Unix: found in its own `PATH`, watched by a thread that sees it stop, too.
//!
//! tokio's and std's children report only the end of a process, so a stopped child would
//! leave the shell waiting for a ddgate that is not stopped. Therefore a thread of our own
//! blocks in `waitid`. Invariant: the child is reaped under the lock that guards sending, so
//! a signal never hits a stranger who inherited its number.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool, mpsc};
use std::thread;
use std::time::Instant;

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, waitid, waitpid,
};
use tokio::sync::oneshot;

use super::super::env::value;
use super::super::sandbox::{NotHeld, Sandbox};
use super::super::signals::{self, Signals};
use super::{ChildEnd, LaunchError, Pipes};
use crate::limits::{GROUP_STOP, STOP_SETTLE};

/// A child under way. Dropping it leaves the child alone.
#[derive(Debug)]
pub struct Running {
    child: Arc<Watched>,
    signals: Signals,
    end: oneshot::Receiver<io::Result<ChildEnd>>,
}

/// A process that may be signalled as long as it has not been reaped.
#[derive(Debug)]
struct Watched {
    pid: Pid,
    life: Mutex<Life>,
}

/// What the watching thread knows of the child.
#[derive(Clone, Copy, Debug)]
enum Life {
    Running,
    /// For how many-th time.
    Stopped(u64),
    Continued(Instant),
    /// The process is gone, and its number may be somebody else's.
    Reaped,
}

/// Starts a child; see [`super::spawn`]. `stdio` makes its standard input and output.
pub(super) fn spawn(
    command: &[OsString],
    environment: &[(OsString, OsString)],
    sandbox: &Sandbox,
    stdio: fn() -> Stdio,
) -> Result<(Running, Pipes), LaunchError> {
    let (name, arguments) = command.split_first().ok_or(LaunchError::NoCommand)?;
    let program = find(name, value(environment, "PATH"))?;
    tokio::runtime::Handle::try_current()
        .map_err(|error| LaunchError::Signals(io::Error::other(error)))?;
    keep_status().map_err(LaunchError::Signals)?;
    let mut signals = Signals::install().map_err(LaunchError::Signals)?;

    // The thread comes first: once the child runs, nothing is left that may fail for want of
    // resources.
    let (hand_over, handed_over) = mpsc::channel::<Arc<Watched>>();
    let (tell, end) = oneshot::channel();
    thread::Builder::new()
        .name("ddgate-child".to_owned())
        .spawn(move || {
            if let Ok(child) = handed_over.recv() {
                // Nobody listens any more when ddgate is about to end.
                let _ = tell.send(watch(&child));
            }
        })
        .map_err(|source| LaunchError::Start {
            command: name.clone(),
            source,
        })?;

    let mut child = confined(sandbox, || {
        start(name, &program, arguments, environment, stdio)
    })?
    .map_err(|source| LaunchError::from_start(name.clone(), source))?;
    signals.install_rest().map_err(|source| {
        let _ = child.kill().and_then(|()| child.wait());
        LaunchError::Signals(source)
    })?;
    let pipes = (child.stdin.take(), child.stdout.take());
    let child = Arc::new(Watched {
        pid: Pid::from_child(&child),
        life: Mutex::new(Life::Running),
    });
    // The thread waits for exactly this; if it were gone, `end` would say so.
    let _ = hand_over.send(Arc::clone(&child));
    let running = Running {
        child,
        signals,
        end,
    };
    Ok((running, pipes))
}

impl Running {
    /// The system's number for it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the end, and carries signals meanwhile.
    ///
    /// # Errors
    /// [`LaunchError::Wait`]: somebody else reaped the child.
    pub async fn wait(mut self) -> Result<ChildEnd, LaunchError> {
        // A stop to be undone, and when: see `signals`, "Stopping".
        let mut due: Option<(u64, tokio::time::Instant)> = None;
        loop {
            let at = due.map_or_else(tokio::time::Instant::now, |(_, at)| at);
            tokio::select! {
                end = &mut self.end => {
                    return end
                        .unwrap_or_else(|gone| Err(io::Error::other(gone)))
                        .map_err(LaunchError::Wait);
                }
                signal = self.signals.next() => {
                    if signal == Signal::CONT {
                        let at = tokio::time::Instant::now() + STOP_SETTLE;
                        due = self.child.stop().map(|stop| (stop, at));
                    } else {
                        self.child.forward(signal);
                    }
                }
                () = tokio::time::sleep_until(at), if due.is_some() => {
                    if due.take().map(|(stop, _)| stop) == self.child.stop() {
                        self.child.forward(Signal::CONT);
                    }
                }
            }
        }
    }
}

impl Watched {
    /// Which stop the child is in, if it is in one.
    fn stop(&self) -> Option<u64> {
        match *self.life() {
            Life::Stopped(stop) => Some(stop),
            _ => None,
        }
    }

    fn forward(&self, signal: Signal) {
        let life = self.life();
        let is_done = match *life {
            Life::Reaped => true,
            // The same Ctrl-Z that stopped the child. It is often handled only after ddgate,
            // stopped as well, has been continued, and then the foreground is no guide.
            Life::Stopped(_) => signal == Signal::TSTP,
            Life::Continued(since) => signal == Signal::TSTP && since.elapsed() < STOP_SETTLE,
            Life::Running => false,
        };
        if !is_done && signals::is_for_us_to_send(signal, self.pid) {
            // It may have become another user's process by setuid: then it is not for us to
            // signal, just as it would not be for the caller.
            let _ = kill_process(self.pid, signal);
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocks until the child has ended; stops ddgate when the child is stopped.
fn watch(child: &Watched) -> io::Result<ChildEnd> {
    let events = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED;
    let take = WaitOptions::UNTRACED | WaitOptions::CONTINUED | WaitOptions::NOHANG;
    let mut stops = 0;
    loop {
        // Only looks: taking, and with it reaping, is done below, under the lock.
        match waitid(WaitId::Pid(child.pid), events | WaitIdOptions::NOWAIT) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut life = child.life();
        let status = match waitpid(Some(child.pid), take) {
            Ok(Some((_, status))) => status,
            // It has changed again in between; the next turn sees how.
            Ok(None) | Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(signal) = status.terminating_signal() {
            *life = Life::Reaped;
            return Ok(ChildEnd::Signalled(signal));
        }
        if let Some(code) = status.exit_status() {
            *life = Life::Reaped;
            return Ok(ChildEnd::Exited(u8::try_from(code).unwrap_or(u8::MAX)));
        }
        if status.continued() {
            *life = Life::Continued(Instant::now());
            continue;
        }
        stops += 1;
        *life = Life::Stopped(stops);
        drop(life);
        if signals::has_terminal() && is_still_stopped(child) {
            // Everything in ddgate stands still from here until the shell says SIGCONT. The
            // stop may take effect a few instructions late, so nothing may follow that must
            // not run before it.
            let _ = kill_process(getpid(), Signal::STOP);
        }
    }
}

/// Looks again after a moment. A signal for the whole group (SIGTTIN, or a shell's `suspend`)
/// stops ddgate as well, possibly right here, and then it must not stop once more when both
/// have been continued.
fn is_still_stopped(child: &Watched) -> bool {
    thread::sleep(GROUP_STOP);
    let events = WaitIdOptions::EXITED | WaitIdOptions::CONTINUED;
    let look = WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(child.pid), events | look), Ok(None))
}

/// Does `work` on a thread that is confined first, and ends with it: what it starts inherits the
/// restrictions, and the rest of ddgate stays free.
fn confined<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> T + Send) -> Result<T, NotHeld> {
    if sandbox.is_off() {
        return Ok(work());
    }
    thread::scope(|scope| {
        thread::Builder::new()
            .name("ddgate-launch".to_owned())
            .spawn_scoped(scope, || {
                sandbox.confine_thread()?;
                Ok(work())
            })
            .map_err(|error| NotHeld(error.to_string()))?
            .join()
            .unwrap_or_else(|_| Err(NotHeld("the launching thread broke off".to_owned())))
    })
}

fn start(
    name: &OsStr,
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    stdio: fn() -> Stdio,
) -> io::Result<Child> {
    let prepare = |program: &Path| {
        let mut command = Command::new(program);
        command
            .stdin(stdio())
            .stdout(stdio())
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command
    };
    let result = prepare(program).arg0(name).args(arguments).spawn();
    match result {
        // A script without `#!`: for the shell, as POSIX says of `execvp`.
        Err(error) if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            prepare(Path::new("/bin/sh"))
                .arg(program)
                .args(arguments)
                .spawn()
        }
        other => other,
    }
}

/// Finds the program as `execvp` does: what may not be executed is passed over, but
/// remembered as the reason if nothing better comes.
pub(in crate::launch) fn find(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, LaunchError> {
    let not_found = || LaunchError::NotFound {
        command: name.to_owned(),
    };
    if name.is_empty() {
        return Err(not_found());
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut denied = None;
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        // An empty element is the working directory; `./` keeps std from searching again.
        let directory = match directory {
            b"" => Path::new("."),
            bytes => Path::new(OsStr::from_bytes(bytes)),
        };
        let candidate = directory.join(name);
        match is_executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if is_absence(&error) => {}
            Err(error) => denied = Some(error),
        }
    }
    Err(match denied {
        Some(source) => LaunchError::NotExecutable {
            command: name.to_owned(),
            source,
        },
        None => not_found(),
    })
}

fn is_executable(candidate: &Path) -> io::Result<()> {
    if candidate.metadata()?.is_dir() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(rustix::fs::access(candidate, Access::EXEC_OK)?)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether an error is about the machine and not about the command.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE)
    )
}

/// Whoever ignores SIGCHLD is not told how children end, and so would we be, had our caller
/// ignored it. Any handler undoes that; in the child it is the default again.
fn keep_status() -> io::Result<()> {
    signal_hook::flag::register(
        signal_hook::consts::SIGCHLD,
        Arc::new(AtomicBool::new(false)),
    )?;
    Ok(())
}

/// Ends ddgate by a signal that ended the child, so that a shell sees what happened: a loop
/// around an interrupted command stops only if the command *died* of SIGINT.
///
/// Returns if that is impossible; the caller then exits with 128 + n.
pub fn die_by(signal: i32) {
    // Signals with the default action do nothing to process 1.
    if !getpid().is_init() {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}
