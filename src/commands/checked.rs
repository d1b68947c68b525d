//! A check of a record, put into words and into JSON: shared by `verify`, and by the verbs that
//! check while they read.

use serde_json::{Value, json};

use super::bound::{self, Bound};
use crate::journal::{Audit, Expected, Verdict, reader};
use crate::ui::check::{Check, Line, Mark};
use crate::ui::words;

pub(super) const fn mark(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Verified => Mark::Verified,
        Verdict::Incomplete => Mark::Incomplete,
        Verdict::Tampered => Mark::Tampered,
    }
}

/// One session's check as `verify` prints it; `bound` where it was looked at.
pub(super) fn words(audit: &Audit, expected: &Expected, bound: Option<&Bound>) -> Check {
    let id = audit.session;
    let origin = audit.origin.as_deref().unwrap_or("no origin");
    let mut rows = vec![
        ("session", format!("{}  {origin}", id.short())),
        ("record", record(audit)),
        ("bytes", bytes(audit)),
        ("key", key(audit, expected.key.is_some())),
    ];
    rows.extend(bound.map(|bound| ("person", bound::words(bound))));
    if let (Some(first), Some(last)) = (audit.first, audit.last) {
        let back = match audit.clock_back {
            0 => String::new(),
            n => format!("; the clock went back {}", words::count(n, "time")),
        };
        let format = "%Y-%m-%d %H:%M:%S UTC";
        rows.push((
            "time",
            format!(
                "{} to {}, by this machine's clock{back}",
                first.format(format),
                last.format(format)
            ),
        ));
    }
    rows.push((
        "end",
        match audit.state {
            reader::State::Closed => "CLOSED".into(),
            reader::State::Running => "RUNNING".into(),
            reader::State::EndedWithoutClosing => "NOT CLOSED".into(),
        },
    ));
    if let Some(link) = &audit.chain {
        let install: String = link.install.chars().take(8).collect();
        let next = match audit.next_agrees {
            true => "; the session after it found the same record",
            false => "",
        };
        rows.push((
            "chain",
            format!("session {} of installation {install}{next}", link.seq),
        ));
    }
    if !audit.anchored.is_empty() {
        let sizes: Vec<String> = audit.anchored.iter().map(u64::to_string).collect();
        rows.push(("anchor", format!("agrees at {}", sizes.join(", "))));
    }
    let covered = audit.signed.map_or(0, |signed| signed.size);
    let findings = &audit.findings;
    Check {
        rows,
        faults: findings.faults.iter().map(ToString::to_string).collect(),
        gaps: findings.gaps.iter().map(ToString::to_string).collect(),
        more: findings.more,
        not_checked: not_checked(audit, expected, bound),
        reach: format!("to leaf {covered}"),
        mark: mark(audit.verdict()),
    }
}

fn record(audit: &Audit) -> String {
    let mut notable = Vec::new();
    for (number, word) in [(audit.denied, "denied"), (audit.unanswered, "unanswered")] {
        if number > 0 {
            notable.push(format!("{number} {word}"));
        }
    }
    let aside = match notable.is_empty() {
        true => String::new(),
        false => format!(" ({})", notable.join(", ")),
    };
    format!(
        "{}, {}{aside}",
        counted(audit.leaves, "leaf", "leaves"),
        words::count(audit.calls, "call")
    )
}

fn bytes(audit: &Audit) -> String {
    let mut parts = vec![
        words::count(audit.checkpoints, "checkpoint"),
        words::count(audit.contents, "content"),
    ];
    for (number, word) in [
        (audit.erased, "erased"),
        (audit.sealed, "sealed"),
        (audit.withheld, "never kept"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    let state = match audit.findings.faults.is_empty() {
        true => "OK",
        false => "WRONG",
    };
    format!("{state}, {}", parts.join(", "))
}

/// Which key, and where it is known from.
pub(super) fn key(audit: &Audit, is_expected: bool) -> String {
    let Some(key) = &audit.key else {
        return "NONE".into();
    };
    let id: String = key.id().iter().map(|byte| format!("{byte:02x}")).collect();
    let known = match is_expected {
        true => "the one that was expected",
        false => "read from the record itself",
    };
    format!("{id}, {known}")
}

/// What a verdict leaves open. Never empty: no file can prove by itself what was left out of it.
pub(super) fn not_checked(
    audit: &Audit,
    expected: &Expected,
    bound: Option<&Bound>,
) -> Vec<String> {
    let mut open = Vec::new();
    match bound {
        Some(bound) => open.extend(bound::not_checked(bound)),
        None => open.push(
            "whether anything ties the key to the person: `ddgate verify SESSION` looks at that"
                .into(),
        ),
    }
    if expected.key.is_none() && expected.checkpoints.is_empty() {
        open.push(
            "whether this is the original record: whoever can write these files could have signed \
             others with a key of their own (give --vkey or --trusted-checkpoint from elsewhere)"
                .into(),
        );
    }
    let anchored = audit.anchored.last().copied().unwrap_or(0);
    if anchored < audit.leaves {
        open.push(format!(
            "whether the record was cut, or written anew with its own key{}",
            match anchored {
                0 => String::new(),
                leaf => format!(", after leaf {leaf}"),
            }
        ));
    }
    if audit.sealed > 0 {
        open.push(format!(
            "{} that only the session's recipients can read",
            words::count(audit.sealed, "content")
        ));
    }
    if audit.withheld > 0 {
        open.push(format!(
            "{} that were committed to and never kept",
            words::count(audit.withheld, "content")
        ));
    }
    open.push("calls made around ddgate: compare with Datadog's own audit trail".into());
    open
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// One line among many.
pub(super) fn line(audit: &Audit) -> Line {
    let findings = &audit.findings;
    let first = findings
        .faults
        .first()
        .map(ToString::to_string)
        .or_else(|| findings.gaps.first().map(ToString::to_string));
    Line {
        session: audit.session.short(),
        started: audit.first,
        leaves: audit.leaves,
        calls: audit.calls,
        mark: mark(audit.verdict()),
        why: first.unwrap_or_default(),
    }
}

/// The same for machines.
pub(super) fn document(audit: &Audit, expected: &Expected, bound: Option<&Bound>) -> Value {
    let texts = |list: Vec<String>| Value::from(list);
    let findings = &audit.findings;
    json!({
        "session": audit.session.to_string(),
        "origin": audit.origin,
        "vkey": audit.key.as_ref().map(ToString::to_string),
        "vkey_expected": expected.key.is_some(),
        "bound": bound.is_some_and(Result::is_ok),
        "binding": bound.map(bound::document),
        "state": match audit.state {
            reader::State::Running => "running",
            reader::State::Closed => "closed",
            reader::State::EndedWithoutClosing => "not_closed",
        },
        "leaves": audit.leaves,
        "root": audit.root.to_string(),
        "calls": audit.calls,
        "denied": audit.denied,
        "unanswered": audit.unanswered,
        "checkpoints": audit.checkpoints,
        "signed": audit.signed.map(|it| json!({"size": it.size, "root": it.root.to_string()})),
        "contents": {
            "verified": audit.contents,
            "erased": audit.erased,
            "sealed": audit.sealed,
            "never_kept": audit.withheld,
        },
        "chain": audit.chain,
        "next_agrees": audit.next_agrees,
        "anchored": audit.anchored,
        "first": audit.first,
        "last": audit.last,
        "clock_back": audit.clock_back,
        "faults": texts(findings.faults.iter().map(ToString::to_string).collect()),
        "gaps": texts(findings.gaps.iter().map(ToString::to_string).collect()),
        "more_findings": findings.more,
        "not_checked": not_checked(audit, expected, bound),
        "verdict": audit.verdict().word(),
    })
}

/// The one line for verbs that check while they read.
pub(super) fn note(audit: &Audit) -> String {
    let covered = audit.signed.map_or(0, |signed| signed.size);
    match audit.verdict() {
        Verdict::Verified => format!(
            "verified: {} as they were signed; see what that leaves open with: ddgate verify {}",
            counted(covered, "leaf", "leaves"),
            audit.session.short()
        ),
        Verdict::Incomplete => format!(
            "verified to leaf {covered}, incomplete: {}",
            line(audit).why
        ),
        Verdict::Tampered => format!(
            "TAMPERED or damaged: {}; see all with: ddgate verify {}",
            line(audit).why,
            audit.session.short()
        ),
    }
}
