//! How an error reads: `ddgate: error: …`, `ddgate:   caused by: …`, `ddgate: hint: …`.
//!
//! Control characters are written out; a line break in a message continues on a line that is
//! indented as a cause is, so that no foreign text can pass for a line of its own.

use crate::error::CliError;
use crate::exit::Exit;

use super::escape::escape;
use super::printer::PREFIX;
use super::style::{Look, Tone};

/// Renders an error. Nothing for [`Exit::Success`].
#[must_use]
pub fn render(error: &CliError, look: &Look) -> String {
    if error.exit == Exit::Success {
        return String::new();
    }
    let mut text = String::new();
    paragraph(
        &mut text,
        &look.paint(Tone::Destroy, "error:"),
        &error.message,
    );
    for cause in &error.causes {
        paragraph(&mut text, &look.paint(Tone::Dim, "  caused by:"), cause);
    }
    for hint in &error.hints {
        paragraph(&mut text, &look.paint(Tone::Good, "hint:"), hint);
    }
    if error.exit == Exit::Bug {
        let please = "this is a bug in ddgate: please report it with the lines above";
        paragraph(&mut text, &look.paint(Tone::Good, "hint:"), please);
    }
    text
}

/// Renders a warning.
#[must_use]
pub fn warning(message: &str, look: &Look) -> String {
    let mut text = String::new();
    paragraph(&mut text, &look.paint(Tone::Warn, "warning:"), message);
    text
}

fn paragraph(text: &mut String, label: &str, message: &str) {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    text.push_str(&format!("{PREFIX}{label} {}\n", escape(first)));
    for line in lines.filter(|line| !line.trim().is_empty()) {
        text.push_str(&format!("{PREFIX}    {}\n", escape(line)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;

    fn sample() -> CliError {
        let mut error = CliError::new(Exit::Usage, "cannot read config \x1b[2J/etc/x\r")
            .hint("check the path\nddgate: error: forged");
        error.causes = vec!["no such file".into()];
        error
    }

    #[test]
    fn reads_as_documented() {
        insta::assert_snapshot!(render(&sample(), &test_look()), @r"
        ddgate: error: cannot read config \u{1b}[2J/etc/x\r
        ddgate:   caused by: no such file
        ddgate: hint: check the path
        ddgate:     ddgate: error: forged
        ");
    }

    #[test]
    fn colors_only_the_labels() {
        let look = Look {
            color: true,
            ..test_look()
        };
        insta::assert_snapshot!(render(&sample(), &look).replace('\x1b', "ESC"), @r"
        ddgate: ESC[31merror:ESC[0m cannot read config \u{1b}[2J/etc/x\r
        ddgate: ESC[2m  caused by:ESC[0m no such file
        ddgate: ESC[32mhint:ESC[0m check the path
        ddgate:     ddgate: error: forged
        ");
    }

    #[test]
    fn success_is_silent_and_a_bug_asks_for_a_report() {
        assert_eq!(render(&CliError::reader_left(), &test_look()), "");
        insta::assert_snapshot!(render(&CliError::new(Exit::Bug, "lost"), &test_look()), @r"
        ddgate: error: lost
        ddgate: hint: this is a bug in ddgate: please report it with the lines above
        ");
    }

    #[test]
    fn warnings_look_alike() {
        insta::assert_snapshot!(warning("no keyring here", &test_look()), @"ddgate: warning: no keyring here");
    }
}
