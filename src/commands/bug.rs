//! A bug in ddgate, told like any other error: one line, exit 70, and nothing of what was being
//! worked on.
//!
//! Invariant: of a panic's message only what stands in the source is shown. What was put into it
//! at run time may be a key, a token or a body.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{ColorWish, Printer, Talk};

/// sled panics on a damaged database. `journal::db` turns that into an error of its own, and the
/// index is rebuilt: no bug of ours, and nothing for the person to see.
const EXPECTED: &str = "/sled-";

/// Runs a verb; a panic on this thread becomes exit 70.
pub(super) fn guarded(verb: impl FnOnce() -> Exit) -> Exit {
    panic::set_hook(Box::new(tell));
    panic::catch_unwind(AssertUnwindSafe(verb)).unwrap_or(Exit::Bug)
}

/// Tells about a panic on whatever thread.
fn tell(bug: &PanicHookInfo<'_>) {
    let place = bug.location().map(ToString::to_string).unwrap_or_default();
    if !place.contains(EXPECTED) {
        // The flags may not have been parsed yet, so the colour is the stream's own choice.
        Printer::new(ColorWish::Auto, Talk::Normal).error(&describe(&place, bug.payload()));
    }
}

fn describe(place: &str, payload: &dyn Any) -> CliError {
    let mut error = CliError::new(
        Exit::Bug,
        format!("ddgate came to a point it should never reach: {place}"),
    );
    if let Some(message) = payload.downcast_ref::<&'static str>() {
        error.causes.push((*message).to_owned());
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Makes [`dies`] do something.
    const DIE: &str = "DDGATE_TEST_DIE";

    /// What a ddgate with a bug does. As a test it does nothing.
    #[test]
    #[ignore = "the program under test: run by the other"]
    fn dies() {
        if let Ok(secret) = std::env::var(DIE) {
            let exit = guarded(|| {
                let other = std::thread::spawn(|| panic!("only words"));
                assert!(other.join().is_err());
                panic!("with {secret}")
            });
            assert_eq!(exit, Exit::Bug);
        }
    }

    #[test]
    fn a_bug_is_told_without_secrets() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "commands::bug::tests::dies", "--ignored"])
            .env(DIE, "hunter2")
            .env("RUST_BACKTRACE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines.iter().all(|line| line.starts_with("ddgate: ")),
            "{text}"
        );
        assert!(
            text.contains("bug.rs:") && text.contains("only words"),
            "{text}"
        );
        assert!(text.contains("please report it"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
