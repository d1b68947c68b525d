//! Asks the person: a secret without echo, or Enter for the next step. Where a terminal cannot
//! hide what is typed, it refuses instead of showing it.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use zeroize::Zeroizing;

use crate::limits::CREDENTIAL_BYTES_MAX;
use crate::record::Secret;

use super::escape::escape;
use super::printer::PREFIX;

/// No usable answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Ctrl-C, or Ctrl-D on an empty line.
    #[error("cancelled")]
    Cancelled,
    /// Nothing was given.
    #[error("the value is empty")]
    Empty,
    /// It is not one line of text.
    #[error("the value is not one line of plain text")]
    NotOneLine,
    /// It is too long to be a key.
    #[error("the value is longer than {bytes_max} bytes")]
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// This terminal cannot hide what is typed.
    #[error("this terminal cannot hide what is typed")]
    NoHiddenInput,
    /// The terminal or standard input failed.
    #[error("cannot read the value")]
    Read(#[source] io::Error),
}

/// Reads a secret: from standard input when that is not a terminal, else by asking for `label`
/// without echo.
///
/// # Errors
/// There is no value, or it cannot be read without showing it.
pub fn secret(label: &str) -> Result<Secret<String>, PromptError> {
    let stdin = io::stdin();
    let bytes = if stdin.is_terminal() {
        hidden::read_line(&format!("{PREFIX}{}: ", escape(label)))?
    } else {
        read_bounded(stdin.lock())?
    };
    one_line(&bytes)
}

/// Reads a value of any bytes the same way; one newline at its end is not part of it.
///
/// # Errors
/// As for [`secret`].
pub fn suspect(label: &str) -> Result<Secret<Vec<u8>>, PromptError> {
    let stdin = io::stdin();
    let bytes = if stdin.is_terminal() {
        hidden::read_line(&format!("{PREFIX}{}: ", escape(label)))?
    } else {
        read_bounded(stdin.lock())?
    };
    if bytes.len() > CREDENTIAL_BYTES_MAX {
        return Err(PromptError::TooLong {
            bytes_max: CREDENTIAL_BYTES_MAX,
        });
    }
    let value = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    if value.is_empty() {
        return Err(PromptError::Empty);
    }
    Ok(Secret::new(value.to_vec()))
}

/// Asks a question whose answer is yes or no; anything but `yes` or `y` is no. None where nobody
/// can answer: standard input is no terminal.
///
/// # Errors
/// Standard input failed.
pub fn confirm(question: &str) -> Result<Option<bool>, PromptError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{PREFIX}{} [yes/no] ", escape(question))
        .and_then(|()| stderr.flush())
        .map_err(PromptError::Read)?;
    let mut line = String::new();
    stdin
        .lock()
        .take(64)
        .read_line(&mut line)
        .map_err(PromptError::Read)?;
    Ok(Some(matches!(
        &*line.trim().to_ascii_lowercase(),
        "y" | "yes"
    )))
}

/// Waits for Enter, for `replay --step`. False when the person has seen enough (`q`, or the end
/// of the input).
///
/// # Errors
/// Standard input failed.
pub fn next_step() -> Result<bool, PromptError> {
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .take(64)
        .read_line(&mut line)
        .map_err(PromptError::Read)?;
    Ok(read > 0 && !line.trim().eq_ignore_ascii_case("q"))
}

fn read_bounded(input: impl Read) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    // Allocated once: a growing buffer would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(CREDENTIAL_BYTES_MAX + 1));
    let bound = u64::try_from(CREDENTIAL_BYTES_MAX + 1).unwrap_or(u64::MAX);
    input
        .take(bound)
        .read_to_end(&mut bytes)
        .map_err(PromptError::Read)?;
    Ok(bytes)
}

/// Trims, and makes sure that what is left is one line of text.
fn one_line(bytes: &[u8]) -> Result<Secret<String>, PromptError> {
    if bytes.len() > CREDENTIAL_BYTES_MAX {
        return Err(PromptError::TooLong {
            bytes_max: CREDENTIAL_BYTES_MAX,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PromptError::NotOneLine)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(PromptError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(PromptError::NotOneLine);
    }
    Ok(Secret::new(text.to_owned()))
}

/// What one typed byte leads to.
#[cfg(any(unix, test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    More,
    Done,
    Cancelled,
}

/// Takes one byte of a line that is typed unseen: a small line editor, since the terminal's own
/// would leave echo off if it were interrupted.
#[cfg(any(unix, test))]
fn type_byte(line: &mut Vec<u8>, byte: u8) -> Typed {
    match byte {
        b'\r' | b'\n' => return Typed::Done,
        // Ctrl-C, Ctrl-\, and Ctrl-D with nothing typed.
        0x03 | 0x1c => return Typed::Cancelled,
        0x04 if line.is_empty() => return Typed::Cancelled,
        0x04 => return Typed::Done,
        // Backspace removes one character, which may be several bytes.
        0x08 | 0x7f => while line.pop().is_some_and(|last| last & 0xc0 == 0x80) {},
        // Ctrl-U.
        0x15 => line.clear(),
        _ if line.len() <= CREDENTIAL_BYTES_MAX => line.push(byte),
        _ => {}
    }
    Typed::More
}

#[cfg(unix)]
mod hidden {
    //! Terminal input without echo, through termios.

    use super::{CREDENTIAL_BYTES_MAX, PromptError, Typed, Zeroizing, io, type_byte};
    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };
    use std::io::Write;

    /// Puts the terminal back, whatever happens.
    struct Restore(Termios);

    impl Drop for Restore {
        fn drop(&mut self) {
            // Flush: what was typed and not read must not turn up in the shell. If this fails,
            // nobody can be told.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        }
    }

    pub(super) fn read_line(prompt: &str) -> Result<Zeroizing<Vec<u8>>, PromptError> {
        let read = PromptError::Read;
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).map_err(|_| PromptError::NoHiddenInput)?;
        let mut silent = before.clone();
        // Signals are off too: Ctrl-C must restore the terminal first, so it arrives as a byte.
        silent.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        let restore = Restore(before);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)
            .map_err(|_| PromptError::NoHiddenInput)?;
        let mut stderr = io::stderr().lock();
        stderr.write_all(prompt.as_bytes()).map_err(read)?;
        stderr.flush().map_err(read)?;

        let mut line = Zeroizing::new(Vec::with_capacity(CREDENTIAL_BYTES_MAX + 1));
        let mut byte = [0];
        let typed = loop {
            // Past std's buffer, which would keep a copy.
            match rustix::io::read(&stdin, &mut byte) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(read(error.into())),
                Ok(0) => break Typed::Done,
                Ok(_) => {}
            }
            match type_byte(&mut line, byte[0]) {
                Typed::More => {}
                end => break end,
            }
        };
        drop(restore);
        // The Enter was not echoed either.
        stderr.write_all(b"\n").map_err(read)?;
        match typed {
            Typed::Cancelled => Err(PromptError::Cancelled),
            Typed::More | Typed::Done => Ok(line),
        }
    }
}

#[cfg(not(unix))]
mod hidden {
    //! Terminal input without echo: not here. Standard input works.

    use super::{PromptError, Zeroizing};

    pub(super) fn read_line(_prompt: &str) -> Result<Zeroizing<Vec<u8>>, PromptError> {
        Err(PromptError::NoHiddenInput)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> (Vec<u8>, Typed) {
        let mut line = Vec::new();
        for byte in bytes {
            match type_byte(&mut line, *byte) {
                Typed::More => {}
                end => return (line, end),
            }
        }
        (line, Typed::More)
    }

    #[test]
    fn a_line_is_typed_unseen() {
        assert_eq!(typed(b"abc\rx"), (b"abc".into(), Typed::Done));
        assert_eq!(
            typed("aü\x7f\x08b\n".as_bytes()),
            (b"b".into(), Typed::Done)
        );
        assert_eq!(typed(b"\x7f\x7fx\n"), (b"x".into(), Typed::Done));
        assert_eq!(typed(b"abc\x15d\x04"), (b"d".into(), Typed::Done));
        assert_eq!(typed(b"abc\x03").1, Typed::Cancelled);
        assert_eq!(typed(b"\x04").1, Typed::Cancelled);
        let (line, end) = typed(&vec![b'a'; CREDENTIAL_BYTES_MAX * 2]);
        assert_eq!((line.len(), end), (CREDENTIAL_BYTES_MAX + 1, Typed::More));
    }

    #[test]
    fn a_value_is_one_trimmed_line() {
        let value = |bytes: &[u8]| one_line(bytes).map(|secret| secret.expose().clone());
        assert_eq!(value(b"  abc\r\n").unwrap(), "abc");
        assert!(matches!(value(b" \n"), Err(PromptError::Empty)));
        assert!(matches!(value(b"a\nb"), Err(PromptError::NotOneLine)));
        assert!(matches!(value(b"a\x1b[2J"), Err(PromptError::NotOneLine)));
        assert!(matches!(value(b"\xff"), Err(PromptError::NotOneLine)));
        let long = vec![b'a'; CREDENTIAL_BYTES_MAX + 1];
        assert!(matches!(value(&long), Err(PromptError::TooLong { .. })));
        assert!(value(&long[1..]).is_ok());
    }

    #[test]
    fn input_is_bounded() {
        let endless = read_bounded(io::repeat(b'a')).unwrap();
        assert_eq!(endless.len(), CREDENTIAL_BYTES_MAX + 1);
    }
}
