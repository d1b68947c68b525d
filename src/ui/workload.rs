//! The workload that a run would be recorded as, or why there is none: what `status` says in CI.
//!
//! A view of plain data; no token is in it.

use chrono::{DateTime, Utc};

use super::escape::escape;
use super::status::MOMENT;
use super::style::{Look, Tone};

/// What stands in the place of a person's sign-in.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WorkloadView {
    /// The system, as people call it.
    pub system: String,
    /// What it is known as; none where its token is not believed, or it has none.
    pub known: Option<KnownWorkload>,
    /// Why not, and what to add.
    pub unknown: Option<UnknownWorkload>,
}

/// A workload whose token was verified just now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KnownWorkload {
    /// What the record calls it.
    pub label: String,
    /// Who signed its token.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// The configured workload that it is.
    pub workload: String,
    /// Whom its token is for.
    pub audience: String,
    /// Claims that are pinned, with the values they have.
    pub pins: Vec<(String, String)>,
    /// Its groups.
    pub groups: Vec<String>,
    /// When that token expires.
    #[serde(serialize_with = "super::json::serialize_optional_time")]
    pub expires: Option<DateTime<Utc>>,
    /// Whether a run can have another one.
    pub renewable: bool,
}

/// A workload that a run would refuse.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnknownWorkload {
    /// Why.
    pub message: String,
    /// What is behind that.
    pub causes: Vec<String>,
    /// What to do, lines to add among it.
    pub hints: Vec<String>,
}

/// Renders the lines of a status.
pub(super) fn rows(view: &WorkloadView, look: &Look) -> Vec<(&'static str, String)> {
    let system = escape(&view.system);
    let Some(known) = &view.known else {
        let none = format!("no identity in {system}: a run would be refused, see below");
        return vec![("workload", look.paint(Tone::Warn, &none))];
    };
    let label = look.paint(Tone::Strong, &escape(&known.label));
    let pins = known.pins.iter();
    let pins = pins.map(|(claim, value)| format!("{}={}", escape(claim), escape(value)));
    let mut rows = vec![
        ("workload", format!("{label} ({system})")),
        ("signed by", escape(&known.issuer).into_owned()),
        ("subject", escape(&known.subject).into_owned()),
        (
            "accepted as",
            format!(
                "{}, for the audience {}",
                escape(&known.workload),
                escape(&known.audience)
            ),
        ),
        ("pinned", pins.collect::<Vec<_>>().join(", ")),
    ];
    if !known.groups.is_empty() {
        rows.push(("groups", escape(&known.groups.join(", ")).into_owned()));
    }
    if let Some(expires) = known.expires {
        let then = match known.renewable {
            true => "a run asks for another before that",
            false => "there is no other: a run keeps what it is at its start",
        };
        let moment = look.moment(expires, MOMENT);
        rows.push(("token until", format!("{moment}; {then}")));
    }
    rows
}

/// Renders what to do about a workload that is not known; nothing about one that is.
pub(super) fn advice(view: &WorkloadView, look: &Look) -> String {
    let Some(unknown) = &view.unknown else {
        return String::new();
    };
    let mut text = format!("\n{}\n", look.paint(Tone::Warn, &escape(&unknown.message)));
    for cause in &unknown.causes {
        text.push_str(&format!("caused by: {}\n", escape(cause)));
    }
    for hint in &unknown.hints {
        // Lines to add are more than one.
        let lines = hint.lines().map(|line| escape(line).into_owned());
        text.push_str(&lines.collect::<Vec<_>>().join("\n"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::super::table::fields;
    use super::*;

    #[test]
    fn a_hostile_token_cannot_draw() {
        let view = WorkloadView {
            system: "GitHub Actions".into(),
            known: Some(KnownWorkload {
                label: "ci: \x1b[2J".into(),
                issuer: "https://i.test".into(),
                subject: "s\n2".into(),
                workload: "w".into(),
                audience: "ddgate".into(),
                pins: vec![("a\x1b".into(), "b".into()), ("c".into(), "d".into())],
                groups: Vec::new(),
                expires: None,
                renewable: true,
            }),
            unknown: None,
        };
        insta::assert_snapshot!(fields(&rows(&view, &test_look()), &test_look()), @r"
        workload     ci: \u{1b}[2J (GitHub Actions)
        signed by    https://i.test
        subject      s\n2
        accepted as  w, for the audience ddgate
        pinned       a\u{1b}=b, c=d
        ");
        assert_eq!(advice(&view, &test_look()), "");
    }
}
