//! The spinner and the bar. Only on a terminal, only on stderr, and gone when dropped: the child must get a
//! clean terminal. The one file that knows indicatif.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::escape::escape;
use super::printer::{PREFIX, Printer, Talk};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// The last frame is drawn when finished; it is cleared at once.
const TICKS: &[&str] = &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "];

/// Something under way. Without a terminal, or when quiet, it shows nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    printer: Printer,
}

impl Progress {
    /// Begins: a spinner with a message on a terminal; elsewhere the message once, as a line.
    #[must_use]
    pub fn begin(printer: &Printer, message: &str) -> Self {
        let is_shown = printer.is_watched() && printer.talk() >= Talk::Normal;
        let bar = if is_shown {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            printer.say(&escape(message));
            ProgressBar::hidden()
        };
        // The template is ours and parses (see the test); a spinner is not worth an error.
        if let Ok(style) = template() {
            bar.set_style(style);
        }
        bar.set_message(escape(message).into_owned());
        if is_shown {
            bar.enable_steady_tick(TICK);
        }
        Self {
            bar,
            printer: *printer,
        }
    }

    /// Begins as [`Self::begin`] does, and on a terminal counts down what is left until `end`.
    #[must_use]
    pub fn until(printer: &Printer, message: &str, end: Instant) -> Self {
        let progress = Self::begin(printer, message);
        if let Ok(style) = countdown_template(end) {
            progress.bar.set_style(style);
        }
        progress
    }

    /// Takes back the line that the terminal went down by when the person pressed Enter.
    pub fn swallow_enter(&self) {
        if !self.bar.is_hidden() {
            self.bar.suspend(super::printer::line_up);
        }
    }

    /// Changes the message.
    pub fn update(&self, message: &str) {
        self.bar.set_message(escape(message).into_owned());
    }

    /// Tells how far it is: so much of so much.
    pub fn at(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            if let Ok(style) = bar_template() {
                self.bar.set_style(style);
            }
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// Says something above the spinner. Foreign parts must have been escaped.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| self.printer.say(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn template() -> Result<ProgressStyle, indicatif::style::TemplateError> {
    let style = ProgressStyle::with_template(&format!("{PREFIX}{{spinner}} {{wide_msg}}"))?;
    Ok(style.tick_strings(TICKS))
}

fn countdown_template(end: Instant) -> Result<ProgressStyle, indicatif::style::TemplateError> {
    let left = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
        let left = end.saturating_duration_since(Instant::now());
        // A style has nowhere to put an error.
        let _ = text.write_str(&time_left(left));
    };
    let style =
        ProgressStyle::with_template(&format!("{PREFIX}{{spinner}} {{msg}} ({{left}} left)"))?;
    Ok(style.with_key("left", left).tick_strings(TICKS))
}

/// `9 min 58 s`, `58 s`.
fn time_left(left: Duration) -> String {
    let (minutes, seconds) = (left.as_secs() / 60, left.as_secs() % 60);
    let mut text = String::new();
    if minutes > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "{minutes} min ");
    }
    let _ = write!(text, "{seconds} s");
    text
}

fn bar_template() -> Result<ProgressStyle, indicatif::style::TemplateError> {
    ProgressStyle::with_template(&format!(
        "{PREFIX}{{msg}} {{bar:24}} {{percent:>3}}% {{eta}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_parses() {
        assert!(template().is_ok() && bar_template().is_ok());
        assert!(countdown_template(Instant::now()).is_ok());
    }

    #[test]
    fn what_is_left_is_told_in_minutes_and_seconds() {
        let left = |seconds| time_left(Duration::from_secs(seconds));
        assert_eq!(left(598), "9 min 58 s");
        assert_eq!(left(59), "59 s");
        assert_eq!(left(0), "0 s");
    }
}
