//! Keys from a command of the user's choice, for example a password manager.
//!
//! It runs with ddgate's own environment, an empty standard input and ddgate's standard error,
//! so that it can explain itself. Its output (`output` reads it) is bounded in size and time, wiped
//! after use, and never quoted.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::output::parse;
use super::{Credential, CredentialError};
use crate::auth::aside::aside;
use crate::limits::{CREDENTIAL_BYTES_MAX, CREDENTIAL_COMMAND_TIMEOUT};

/// How often an ended output is checked for an ended command.
const PAUSE: Duration = Duration::from_millis(5);

/// A command as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Program and arguments, run as they are.
    Argv(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

impl CommandLine {
    /// The program's short name: arguments may hold secrets, so they are left out.
    #[must_use]
    pub fn program(&self) -> String {
        let first = match self {
            Self::Argv(words) => words.first().map(String::as_str),
            // `NAME=value op read …`: assignments come before the program.
            Self::Shell(line) => line.split_whitespace().find(|word| !word.contains('=')),
        };
        let name = first.map(Path::new).and_then(Path::file_name);
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn command(&self) -> Command {
        match self {
            Self::Argv(words) => {
                let mut words = words.iter();
                let mut command = Command::new(words.next().map_or("", String::as_str));
                command.args(words);
                command
            }
            Self::Shell(line) => {
                let (shell, flag) = if cfg!(windows) {
                    ("cmd", "/C")
                } else {
                    ("sh", "-c")
                };
                let mut command = Command::new(shell);
                command.args([flag, line]);
                command
            }
        }
    }
}

/// Runs the command and reads what it prints.
pub(super) async fn read(line: &CommandLine) -> Result<Credential, CredentialError> {
    let (own, program) = (line.clone(), line.program());
    aside("credential", move || {
        let output = run(&own, CREDENTIAL_COMMAND_TIMEOUT)?;
        parse(&output, &own.program())
    })
    .await
    .map_err(|source| CredentialError::CommandNotRun { program, source })?
}

/// Runs a command that prints a secret of another kind. Errors name the program alone.
pub(in crate::auth) async fn output(
    line: CommandLine,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let program = line.program();
    aside("command", move || run(&line, CREDENTIAL_COMMAND_TIMEOUT))
        .await
        .map_err(|source| CredentialError::CommandNotRun { program, source })?
}

fn run(line: &CommandLine, limit: Duration) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let program = line.program();
    let deadline = Instant::now() + limit;
    let not_run = |source| CredentialError::CommandNotRun {
        program: program.clone(),
        source,
    };
    let too_slow = || CredentialError::CommandTooSlow {
        program: program.clone(),
        limit,
    };
    let mut child = Running(
        line.command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(not_run)?,
    );
    let (give, take) = mpsc::sync_channel(1);
    let stdout = child.0.stdout.take();
    // A thread, not a plain read: a grandchild may hold the pipe open for ever.
    std::thread::Builder::new()
        .name("credential output".to_owned())
        .spawn(move || drop(give.send(gather(stdout))))
        .map_err(not_run)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let output = take.recv_timeout(left).map_err(|_| too_slow())?;
    let output = output.map_err(not_run)?;
    if output.len() > CREDENTIAL_BYTES_MAX {
        return Err(CredentialError::CommandOutput {
            program,
            why: format!("more than {CREDENTIAL_BYTES_MAX} bytes"),
        });
    }
    loop {
        match child.0.try_wait().map_err(not_run)? {
            Some(status) if status.success() => return Ok(output),
            Some(status) => {
                return Err(CredentialError::CommandFailed {
                    program,
                    status: status.to_string(),
                });
            }
            None if Instant::now() >= deadline => return Err(too_slow()),
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// A command that does not outlive our interest in it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn gather(stdout: Option<impl Read>) -> io::Result<Zeroizing<Vec<u8>>> {
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut output = Zeroizing::new(Vec::with_capacity(CREDENTIAL_BYTES_MAX + 1));
    if let Some(stdout) = stdout {
        let mut bounded = stdout.take(CREDENTIAL_BYTES_MAX as u64 + 1);
        bounded.read_to_end(&mut output)?;
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_named_without_its_arguments() {
        let shell = |line: &str| CommandLine::Shell(line.to_owned()).program();
        assert_eq!(shell("TOKEN=hunter2 /usr/bin/op read x"), "op");
        assert_eq!(shell(""), "");
        let argv = CommandLine::Argv(vec!["/opt/pass".to_owned(), "hunter2".to_owned()]);
        assert_eq!(argv.program(), "pass");
    }

    #[cfg(unix)]
    mod run {
        use super::*;

        fn shell(line: &str, limit: Duration) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
            run(&CommandLine::Shell(line.to_owned()), limit)
        }

        const LONG: Duration = Duration::from_secs(20);

        #[test]
        fn output_and_status() {
            assert_eq!(shell("printf hi", LONG).unwrap().as_slice(), b"hi");
            assert!(shell("cat", LONG).unwrap().is_empty(), "stdin is empty");
            let error = shell("echo DD_API_KEY=hunter2; exit 3", LONG).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains('3') && !text.contains("hunter2"), "{text}");
        }

        #[test]
        fn argv_has_no_shell() {
            let argv = ["printf", "%s", "$HOME;x"].map(str::to_owned).to_vec();
            let output = run(&CommandLine::Argv(argv), LONG).unwrap();
            assert_eq!(output.as_slice(), b"$HOME;x");
            let missing = CommandLine::Argv(vec!["/nowhere/op".to_owned()]);
            let error = run(&missing, LONG).unwrap_err();
            assert!(matches!(error, CredentialError::CommandNotRun { .. }));
            assert!(run(&CommandLine::Argv(Vec::new()), LONG).is_err());
        }

        #[test]
        fn time_and_size_end_it() {
            for line in ["sleep 9", "exec >&-; sleep 9", "sleep 9 & printf x"] {
                let began = Instant::now();
                let error = shell(line, Duration::from_millis(200)).unwrap_err();
                assert!(
                    matches!(error, CredentialError::CommandTooSlow { .. }),
                    "{line} {error:?}"
                );
                assert!(began.elapsed() < Duration::from_secs(5), "{line}");
            }
            let error = shell("yes", LONG).unwrap_err();
            assert!(matches!(error, CredentialError::CommandOutput { .. }));
        }
    }
}
