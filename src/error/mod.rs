//! What went wrong, as the person at the keyboard is told: one sentence, its causes, what to do,
//! and the exit code.
//!
//! The one place where a room's error becomes a [`CliError`] and its hint is written: the `match`
//! over a room's errors has no wildcard arm, so a new variant does not compile until somebody has
//! written, or declined, its hint. Nothing is printed here; `ui::diagnostic` does.

mod rooms;

use std::error::Error;

use crate::exit::Exit;
use crate::replay::FoldError;
use crate::ui::playback::PlayError;
use crate::ui::{PrintError, PromptError};

/// An error on its way to the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an error nobody prints is lost"]
pub struct CliError {
    /// The exit code. With [`Exit::Success`] nothing is printed: the reader of our output left.
    pub exit: Exit,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// What the person can do.
    pub hints: Vec<String>,
}

impl CliError {
    /// Begins an error.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The command line or a configuration file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Takes the message from a room's error, and its sources as causes.
    pub fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut wrapped = Self::new(exit, error.to_string());
        wrapped.add_sources(error);
        wrapped
    }

    /// The reader of our output has left: success, and silence.
    pub fn reader_left() -> Self {
        Self::new(Exit::Success, "")
    }

    /// Adds an error, and all its sources, as causes.
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        self.add_cause(error.to_string());
        self.add_sources(error);
        self
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Replaces the exit code: `run` has its own.
    pub fn exiting(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    fn add_sources(&mut self, error: &dyn Error) {
        let mut source = error.source();
        while let Some(cause) = source {
            self.add_cause(cause.to_string());
            source = cause.source();
        }
    }

    /// Adds a cause, unless the line before it says the same already: many libraries repeat
    /// their source in their own message.
    fn add_cause(&mut self, cause: String) {
        let before = self.causes.last().unwrap_or(&self.message);
        if !cause.is_empty() && !before.ends_with(&cause) {
            self.causes.push(cause);
        }
    }
}

impl From<FoldError> for CliError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Empty => Self::of(Exit::Unreadable, &error)
                .hint("ddgate was stopped before it could record anything"),
            FoldError::NoOpening { .. } => Self::of(Exit::Unreadable, &error)
                .hint("the beginning of the session is missing or was changed"),
        }
    }
}

impl From<PrintError> for CliError {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::ReaderLeft => Self::reader_left(),
            PrintError::Write(_) => Self::of(Exit::Bug, &error)
                .exiting(Exit::No)
                .hint("is the disk that standard output goes to full?"),
        }
    }
}

impl From<PlayError> for CliError {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::Print(error) => error.into(),
            PlayError::Prompt(error) => Self::of(Exit::No, &error)
                .hint("`--step` reads Enter from standard input; `--speed` needs none"),
        }
    }
}

impl From<PromptError> for CliError {
    fn from(error: PromptError) -> Self {
        let pipe = "pass it on standard input instead: `… | ddgate keys set NAME`";
        match error {
            PromptError::Cancelled | PromptError::TooLong { .. } => Self::of(Exit::No, &error),
            PromptError::Empty | PromptError::NotOneLine => Self::of(Exit::Usage, &error)
                .hint("give the value alone, on one line: at the prompt, or on standard input"),
            PromptError::NoHiddenInput => Self::of(Exit::Usage, &error).hint(pipe),
            PromptError::Read(_) => Self::of(Exit::No, &error).hint(pipe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn sources_become_causes() {
        let error = CliError::of(Exit::Remote, &Outer(Inner)).hint("try again");
        assert_eq!(
            (error.message.as_str(), error.exit),
            ("outer", Exit::Remote)
        );
        assert_eq!(error.causes, ["inner"]);
        assert_eq!(error.hints, ["try again"]);
        let error = CliError::usage("cannot").caused_by(&Outer(Inner));
        assert_eq!(error.causes, ["outer", "inner"]);
    }

    #[test]
    fn a_cause_that_was_just_said_is_not_said_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading failed: {0}")]
        struct Repeats(#[source] Inner);
        assert!(CliError::of(Exit::No, &Repeats(Inner)).causes.is_empty());
    }

    #[test]
    fn a_reader_who_left_is_no_failure() {
        let error = CliError::from(PrintError::ReaderLeft);
        assert_eq!(error, CliError::reader_left());
        assert_eq!(error.exit, Exit::Success);
    }
}
