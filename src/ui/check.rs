//! What a check of a record found: a few labelled lines, what is wrong, what is missing, what was
//! not checked, and the verdict last.

use super::escape::escape;
use super::style::{Look, Tone};
use super::table::{Cell, Column, Table, fields};
use super::words;

/// What may be said of what was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `VERIFIED`
    Verified,
    /// `INCOMPLETE`
    Incomplete,
    /// `TAMPERED`
    Tampered,
}

impl Mark {
    /// As it is printed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Incomplete => "INCOMPLETE",
            Self::Tampered => "TAMPERED",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Verified => Tone::Good,
            Self::Incomplete => Tone::Warn,
            Self::Tampered => Tone::Destroy,
        }
    }
}

/// One check, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Labels and what was found, in order.
    pub rows: Vec<(&'static str, String)>,
    /// What is not as it was signed.
    pub faults: Vec<String>,
    /// What is not there.
    pub gaps: Vec<String>,
    /// Findings beyond those.
    pub more: u64,
    /// What was not checked.
    pub not_checked: Vec<String>,
    /// How far the verdict reaches, for example `to leaf 802`.
    pub reach: String,
    /// What follows.
    pub mark: Mark,
}

/// Renders one check.
#[must_use]
pub fn render(check: &Check, look: &Look) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (label, text) in &check.rows {
        rows.push((label, escape(text).into_owned()));
    }
    for fault in &check.faults {
        rows.push(("wrong", look.paint(Tone::Destroy, &escape(fault))));
    }
    for gap in &check.gaps {
        rows.push(("missing", look.paint(Tone::Warn, &escape(gap))));
    }
    if check.more > 0 {
        rows.push((
            "",
            format!("and {}", words::count(check.more, "more finding")),
        ));
    }
    let word = look.paint(check.mark.tone(), check.mark.word());
    rows.push(("verdict", format!("{word} {}", check.reach)));
    for what in &check.not_checked {
        rows.push(("not checked", escape(what).into_owned()));
    }
    fields(&rows, look)
}

/// One session among many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The session, short.
    pub session: String,
    /// When it opened.
    pub started: Option<chrono::DateTime<chrono::Utc>>,
    /// Its leaves.
    pub leaves: u64,
    /// Its calls.
    pub calls: u64,
    /// What follows.
    pub mark: Mark,
    /// The first thing that is wrong or missing.
    pub why: String,
}

/// Renders the check of all sessions, and of the chain they form.
#[must_use]
pub fn render_all(lines: &[Line], chain: &Check, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::text("SESSION"),
        Column::text("STARTED").optional(),
        Column::number("LEAVES"),
        Column::number("CALLS"),
        Column::text("VERDICT"),
        Column::text("").shrinking(20),
    ]);
    for line in lines {
        let started = line
            .started
            .map(|at| look.moment(at, "%Y-%m-%d %H:%M:%S %:z"))
            .unwrap_or_default();
        table.row(vec![
            Cell::new(Tone::Strong, &line.session),
            Cell::new(Tone::Dim, &started),
            Cell::plain(&line.leaves.to_string()),
            Cell::plain(&line.calls.to_string()),
            Cell::new(line.mark.tone(), line.mark.word()),
            Cell::plain(&line.why),
        ]);
    }
    let mut text = table.render(look);
    text.push('\n');
    text.push_str(&render(chain, look));
    text
}
