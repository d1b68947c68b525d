//! What `ddgate doctor` found: one line a check, and under it the next step where one is needed.
//! Nothing is cut: these lines are there to be read, and copied.

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::escape::escape;
use super::style::{Look, Tone};
use super::words;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// A run works, but not as well as it could.
    Warn,
    /// A run would stop here.
    Fail,
    /// Not looked at, because of something above.
    NotChecked,
}

impl Mark {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::NotChecked => "-",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Destroy,
            Self::NotChecked => Tone::Dim,
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it came out.
    pub state: Mark,
    /// What was found. No secret.
    pub found: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Mark::Ok, found)
    }

    /// Could be better.
    #[must_use]
    pub fn warn(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            next: Some(next.into()),
            ..Self::new(check, Mark::Warn, found)
        }
    }

    /// Would stop a run.
    #[must_use]
    pub fn fail(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            next: Some(next.into()),
            ..Self::new(check, Mark::Fail, found)
        }
    }

    /// Not looked at, and why.
    #[must_use]
    pub fn not_checked(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Mark::NotChecked, why)
    }

    fn new(check: &'static str, state: Mark, found: impl Into<String>) -> Self {
        Self {
            check,
            state,
            found: found.into(),
            next: None,
        }
    }
}

/// Renders all checks, and how many came out how.
#[must_use]
pub fn render(findings: &[Finding], look: &Look) -> String {
    let widths = findings.iter().map(|finding| finding.check.width());
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let Finding { check, state, .. } = finding;
        let mark = look.paint(state.tone(), state.word());
        let pad = " ".repeat(4 - state.word().len());
        text.push_str(&format!(
            "{mark}{pad}  {check:width$}  {}\n",
            escape(&finding.found)
        ));
        if let Some(next) = &finding.next {
            text.push_str(&format!(
                "{}  next: {}\n",
                " ".repeat(width + 6),
                escape(next)
            ));
        }
    }
    let count = |mark| {
        let same = findings.iter().filter(|finding| finding.state == mark);
        same.count() as u64
    };
    let verdict = match (count(Mark::Fail), count(Mark::Warn)) {
        (0, 0) => "everything a run needs is there".to_owned(),
        (0, warnings) => format!("a run works; {}", words::count(warnings, "warning")),
        (failures, _) => format!(
            "a run would stop: {} to mend",
            words::count(failures, "thing")
        ),
    };
    text.push_str(&format!("\n{verdict}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;

    #[test]
    fn each_failure_has_its_next_step() {
        let findings = [
            Finding::ok("configuration", "ddgate.toml: 3 settings"),
            Finding::warn("secret store", "memory", "set `identity.storage`"),
            Finding::fail("keys", "not \u{1b}[2J taken", "ddgate keys set api-key"),
            Finding::not_checked("clock", "nobody says what time it is"),
        ];
        insta::assert_snapshot!(render(&findings, &test_look()), @r"
        ok    configuration  ddgate.toml: 3 settings
        warn  secret store   memory
                             next: set `identity.storage`
        FAIL  keys           not \u{1b}[2J taken
                             next: ddgate keys set api-key
        -     clock          nobody says what time it is

        a run would stop: 1 thing to mend
        ");
        let well = render(&findings[..1], &test_look());
        assert!(
            well.ends_with("everything a run needs is there\n"),
            "{well}"
        );
    }
}
