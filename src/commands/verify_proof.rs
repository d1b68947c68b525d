//! `ddgate verify --proof` and `--dir`: what `prove` and `export` wrote, checked without the
//! session it came from.

use std::path::Path;

use serde_json::{Value, json};

use super::export::leaves;
use crate::error::CliError;
use crate::exit::Exit;
use crate::export::{self, proof};
use crate::journal::{Audit, Expected, Verdict};
use crate::tlog::VerifierKey;
use crate::ui::escape::escape;
use crate::ui::{Printer, json, words};

const KEY_UNKNOWN: &str = "whether this is the original record: whoever wrote these files could \
                           have signed others with a key of their own (give --vkey from elsewhere)";
const ELSEWHERE: &str = "calls made around ddgate: compare with Datadog's own audit trail";

/// Checks the proof of a call.
pub(super) fn run(
    dir: &Path,
    key: Option<&VerifierKey>,
    as_json: bool,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let proof = proof::check(dir, key)?;
    let mut open = Vec::new();
    if key.is_none() {
        open.push(KEY_UNKNOWN.to_owned());
    }
    sealed(&proof.audit, &mut open);
    open.push("anything else about the session: only this call was shown".into());
    let size = proof.audit.signed.map_or(0, |signed| signed.size);
    let call = proof.call.map_or("?".into(), |call| call.to_string());
    if as_json {
        let mut document = document(&proof.audit, key.is_some(), &open);
        document["call"] = json!(proof.call);
        document["leaves"] = json!(
            proof
                .leaves
                .iter()
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        );
        document["size"] = json!(size);
        printer.data(&json::value(&document))?;
    } else {
        let mut rows = head(&proof.audit, key.is_some());
        let stand: Vec<String> = proof
            .leaves
            .iter()
            .map(|(index, kind)| format!("{index} {kind}"))
            .collect();
        rows.push(("call", format!("{call}: leaves {}", stand.join(", "))));
        rows.push(("proof", format!("in a log of {}", leaves(size))));
        printer.data(&render(rows, &proof.audit, &open))?;
    }
    Ok(exit(proof.verdict()))
}

/// Checks an exported session.
pub(super) fn directory(
    dir: &Path,
    expected: &Expected,
    as_json: bool,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let audit = export::check(dir, expected, &mut |_, _| {})?;
    let mut open = Vec::new();
    if expected.key.is_none() && expected.checkpoints.is_empty() {
        open.push(KEY_UNKNOWN.to_owned());
    }
    let anchored = audit.anchored.last().copied().unwrap_or(0);
    if anchored < audit.leaves {
        open.push(format!(
            "whether the record was cut, or written anew with its own key, after leaf {anchored}"
        ));
    }
    sealed(&audit, &mut open);
    open.push(ELSEWHERE.into());
    if as_json {
        let document = document(&audit, expected.key.is_some(), &open);
        printer.data(&json::value(&document))?;
    } else {
        let mut rows = head(&audit, expected.key.is_some());
        let calls = words::count(audit.calls, "call");
        rows.push(("record", format!("{}, {calls}", leaves(audit.leaves))));
        if !audit.anchored.is_empty() {
            let sizes: Vec<String> = audit.anchored.iter().map(u64::to_string).collect();
            rows.push(("anchor", format!("agrees at {}", sizes.join(", "))));
        }
        printer.data(&render(rows, &audit, &open))?;
    }
    Ok(exit(audit.verdict()))
}

fn sealed(audit: &Audit, open: &mut Vec<String>) {
    for (number, what) in [
        (audit.sealed, "that only the session's recipients can read"),
        (audit.withheld, "that were committed to and never kept"),
    ] {
        if number > 0 {
            open.push(format!("{} {what}", words::count(number, "content")));
        }
    }
}

fn head(audit: &Audit, is_expected: bool) -> Vec<(&'static str, String)> {
    let origin = audit.origin.as_deref().unwrap_or("no origin");
    let known = match is_expected {
        true => "the one that was expected",
        false => "read from the directory itself",
    };
    let id = audit.key.as_ref().map_or(String::new(), |key| {
        key.id().iter().map(|byte| format!("{byte:02x}")).collect()
    });
    vec![
        ("session", format!("{}  {origin}", audit.session.short())),
        ("key", format!("{id}, {known}")),
        (
            "bytes",
            format!(
                "{}, {}",
                words::count(audit.checkpoints, "checkpoint"),
                words::count(audit.contents, "content")
            ),
        ),
    ]
}

fn render(mut rows: Vec<(&'static str, String)>, audit: &Audit, open: &[String]) -> String {
    let findings = &audit.findings;
    let faults = findings.faults.iter().map(ToString::to_string);
    rows.extend(faults.map(|fault| ("wrong", fault)));
    let gaps = findings.gaps.iter().map(ToString::to_string);
    rows.extend(gaps.map(|gap| ("missing", gap)));
    if findings.more > 0 {
        let more = words::count(findings.more, "more finding");
        rows.push(("", format!("and {more}")));
    }
    rows.push(("verdict", audit.verdict().word().to_owned()));
    rows.extend(open.iter().map(|what| ("not checked", what.clone())));
    let lines = rows
        .iter()
        .map(|(label, text)| format!("{label:<11}  {}\n", escape(text)));
    lines.collect()
}

fn document(audit: &Audit, is_expected: bool, open: &[String]) -> Value {
    let findings = &audit.findings;
    let faults: Vec<String> = findings.faults.iter().map(ToString::to_string).collect();
    let gaps: Vec<String> = findings.gaps.iter().map(ToString::to_string).collect();
    json!({
        "session": audit.session.to_string(),
        "origin": audit.origin,
        "vkey": audit.key.as_ref().map(ToString::to_string),
        "vkey_expected": is_expected,
        "leaves": audit.leaves,
        "root": audit.root.to_string(),
        "calls": audit.calls,
        "checkpoints": audit.checkpoints,
        "contents": {
            "verified": audit.contents,
            "sealed": audit.sealed,
            "never_kept": audit.withheld,
        },
        "anchored": audit.anchored,
        "faults": faults,
        "gaps": gaps,
        "more_findings": findings.more,
        "not_checked": open,
        "verdict": audit.verdict().word(),
    })
}

/// 0 verified, 1 tampered, 2 not established.
const fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Verified => Exit::Success,
        Verdict::Tampered => Exit::No,
        Verdict::Incomplete => Exit::Incomplete,
    }
}
