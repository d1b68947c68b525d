//! Prints a timeline at a pace: at once, in the session's own rhythm, or step by step. When to
//! wait is `replay::pace`'s business; this one waits.

use std::io::{self, Write};

use crate::replay::{Pace, Seen, SessionView};

use super::printer::{PREFIX, PrintError, Printer};
use super::prompt::{self, PromptError};
use super::style::Tone;
use super::timeline::Timeline;

/// A timeline could not be shown to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// Standard output.
    #[error(transparent)]
    Print(#[from] PrintError),
    /// Standard input, which says when to go on.
    #[error(transparent)]
    Prompt(#[from] PromptError),
}

/// Prints a session. False when the person ended it early.
///
/// # Errors
/// A stream failed.
pub fn play(view: &SessionView, pace: Pace, printer: &Printer) -> Result<bool, PlayError> {
    let timeline = Timeline::of(view, printer.data_look());
    if pace == Pace::AtOnce {
        printer.data(&timeline.whole())?;
        return Ok(true);
    }
    printer.data(&timeline.head)?;
    let mut before_ns = 0;
    for (seen, text) in view.calls.iter().zip(&timeline.calls) {
        if !pause(pace, &mut before_ns, seen, printer)? {
            return Ok(false);
        }
        printer.data(text)?;
    }
    printer.data(&timeline.foot)?;
    Ok(true)
}

/// Waits until a call is due; `before_ns` is when the one before it was. False when the person
/// has seen enough.
///
/// # Errors
/// Standard input failed.
pub fn pause(
    pace: Pace,
    before_ns: &mut u64,
    seen: &Seen,
    printer: &Printer,
) -> Result<bool, PlayError> {
    if pace == Pace::Step && !step(printer)? {
        return Ok(false);
    }
    std::thread::sleep(pace.wait(*before_ns, seen.call.mono_ns));
    *before_ns = seen.call.mono_ns;
    Ok(true)
}

/// Asks for the next call, and takes the question away again where the terminal can.
fn step(printer: &Printer) -> Result<bool, PromptError> {
    let look = printer.talk_look();
    let mut stderr = io::stderr().lock();
    let say = |stderr: &mut io::StderrLock<'_>, text: &str| {
        stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush())
            .map_err(PromptError::Read)
    };
    if printer.is_watched() {
        let question = look.paint(Tone::Dim, "Enter: next call, q: end ");
        say(&mut stderr, &format!("{PREFIX}{question}"))?;
    }
    let goes_on = prompt::next_step()?;
    if printer.is_watched() && look.color {
        // Up one line (the Enter was echoed), and clear it: ECMA-48 CUU, EL.
        say(&mut stderr, "\x1b[1A\x1b[2K\r")?;
    }
    Ok(goes_on)
}
