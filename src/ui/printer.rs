//! The two streams: stdout for data, stderr for talk. A reader who leaves (broken pipe) is no
//! failure. Buffers nothing between calls, so that our lines and the child's keep their order.

use std::io::{self, IsTerminal, Write};

use crate::error::CliError;

use super::diagnostic;
use super::style::{ColorWish, Look, Missing};

/// What begins every line of ours on stderr.
pub const PREFIX: &str = "ddgate: ";

/// How much ddgate says beside data and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Nothing.
    Quiet,
    /// What a person needs to know.
    #[default]
    Normal,
    /// Also what it is doing.
    Verbose,
}

/// Data could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The other end of the pipe is closed: nobody wants the rest.
    #[error("the reader of the output has left")]
    ReaderLeft,
    /// Anything else.
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderLeft,
            _ => Self::Write(error),
        }
    }
}

/// Prints. Cheap to copy; holds no stream.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    data_look: Look,
    talk_look: Look,
    talk: Talk,
}

impl Printer {
    /// Looks at both streams.
    #[must_use]
    pub fn new(wish: ColorWish, talk: Talk) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            data_look: Look::of(wish, out.is_terminal(), columns(&out)),
            talk_look: Look::of(wish, err.is_terminal(), columns(&err)),
            talk,
        }
    }

    /// Changes how much is said.
    #[must_use]
    pub const fn talking(mut self, talk: Talk) -> Self {
        self.talk = talk;
        self
    }

    /// Says why content is missing from what is shown.
    #[must_use]
    pub const fn missing(mut self, missing: Missing) -> Self {
        self.data_look.missing = missing;
        self
    }

    /// How data should look.
    #[must_use]
    pub const fn data_look(&self) -> &Look {
        &self.data_look
    }

    /// How talk should look.
    #[must_use]
    pub const fn talk_look(&self) -> &Look {
        &self.talk_look
    }

    /// How much is said.
    #[must_use]
    pub const fn talk(&self) -> Talk {
        self.talk
    }

    /// Whether a person is reading stderr.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Writes rendered data to stdout.
    ///
    /// # Errors
    /// The stream does not take it; [`PrintError::ReaderLeft`] is the way a pager says enough.
    pub fn data(&self, text: &str) -> Result<(), PrintError> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes to stdout as they are.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), PrintError> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Says rendered text on stderr, every line prefixed, unless quiet. Foreign parts must have
    /// been escaped.
    pub fn say(&self, text: &str) {
        if self.talk >= Talk::Normal {
            to_stderr(&prefixed(text));
        }
    }

    /// Says what is being done, when asked to be verbose.
    pub fn detail(&self, text: &str) {
        if self.talk >= Talk::Verbose {
            to_stderr(&prefixed(text));
        }
    }

    /// Says something that must not be missed, quiet or not: `ddgate: warning: …`.
    pub fn warn(&self, text: &str) {
        to_stderr(&diagnostic::warning(text, &self.talk_look));
    }

    /// Prints an error with its causes and hints.
    pub fn error(&self, error: &CliError) {
        to_stderr(&diagnostic::render(error, &self.talk_look));
    }
}

/// Puts the prefix before every line.
#[must_use]
pub fn prefixed(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        lines.push_str(PREFIX);
        lines.push_str(line);
        // A blank line of ours is not a line of blanks.
        lines.truncate(lines.trim_end_matches(' ').len());
        lines.push('\n');
    }
    lines
}

/// Writes to stderr in one piece, so that lines of parallel writers stay whole. Nobody can be
/// told when that fails.
fn to_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Puts the cursor of the terminal on an emptied line, one further up.
pub(super) fn line_up() {
    to_stderr("\x1b[1A\r\x1b[2K");
}

/// How many columns the terminal behind a stream has.
#[cfg(unix)]
fn columns(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// How many columns the terminal behind a stream has: not known here, so nothing is cut.
#[cfg(not(unix))]
fn columns<T>(_stream: &T) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_prefixed_and_none_ends_in_blanks() {
        assert_eq!(
            prefixed("one\n\ntwo\n"),
            "ddgate: one\nddgate:\nddgate: two\n"
        );
        assert_eq!(prefixed(""), "");
    }

    #[test]
    fn a_broken_pipe_is_told_apart() {
        let left = PrintError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(left, PrintError::ReaderLeft));
        let full = PrintError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, PrintError::Write(_)));
    }

    #[test]
    fn quiet_is_less_than_normal() {
        assert!(Talk::Quiet < Talk::Normal && Talk::Normal < Talk::Verbose);
    }
}
