//! `ddgate verify --proof` and `--dir`: what `prove` and `export` wrote, checked without the
//! session it came from.

use std::path::Path;

use serde_json::json;

use super::checked::{self, mark};
use super::export::leaves;
use super::verify::exit;
use crate::error::CliError;
use crate::exit::Exit;
use crate::export::{self, proof};
use crate::journal::Expected;
use crate::tlog::VerifierKey;
use crate::ui::check::{self, Check};
use crate::ui::{Printer, json, words};

/// Checks the proof of a call.
pub(super) fn run(
    dir: &Path,
    key: Option<&VerifierKey>,
    as_json: bool,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let proof = proof::check(dir, key)?;
    let not_checked = not_checked(&proof, key.is_some());
    let size = proof.audit.signed.map_or(0, |signed| signed.size);
    let findings = &proof.audit.findings;
    let faults: Vec<String> = findings.faults.iter().map(ToString::to_string).collect();
    let gaps: Vec<String> = findings.gaps.iter().map(ToString::to_string).collect();
    let text = if as_json {
        let indices: Vec<u64> = proof.leaves.iter().map(|(index, _)| *index).collect();
        json::value(&json!({
            "session": proof.audit.session.to_string(),
            "origin": proof.audit.origin,
            "vkey": proof.audit.key.as_ref().map(ToString::to_string),
            "vkey_expected": key.is_some(),
            "call": proof.call,
            "leaves": indices,
            "size": size,
            "contents": {
                "verified": proof.audit.contents,
                "erased": proof.audit.erased,
                "sealed": proof.audit.sealed,
                "never_kept": proof.audit.withheld,
            },
            "faults": faults,
            "gaps": gaps,
            "more_findings": findings.more,
            "not_checked": not_checked,
            "verdict": proof.verdict().word(),
        }))
    } else {
        let origin = proof.audit.origin.as_deref().unwrap_or("no origin");
        let stand: Vec<String> = proof
            .leaves
            .iter()
            .map(|(index, kind)| format!("{index} {kind}"))
            .collect();
        let call = proof.call.map_or("?".into(), |call| call.to_string());
        let rows = vec![
            (
                "session",
                format!("{}  {origin}", proof.audit.session.short()),
            ),
            ("call", format!("{call}: leaves {}", stand.join(", "))),
            ("bytes", words::count(proof.audit.contents, "content")),
            ("key", checked::key(&proof.audit, key.is_some())),
        ];
        let check = Check {
            rows,
            faults,
            gaps,
            more: findings.more,
            not_checked,
            reach: format!("in a log of {}", leaves(size)),
            mark: mark(proof.verdict()),
        };
        check::render(&check, printer.data_look())
    };
    printer.data(&text)?;
    Ok(exit(proof.verdict()))
}

/// What a proof leaves open. Never empty: it shows one call.
fn not_checked(proof: &proof::Proof, is_expected: bool) -> Vec<String> {
    let mut open = vec!["whether anything ties the key to the person".to_owned()];
    if !is_expected {
        open.push(
            "whether this is the original record: whoever wrote these files could have signed \
             others with a key of their own (give --vkey from elsewhere)"
                .into(),
        );
    }
    for (number, what) in [
        (
            proof.audit.erased,
            "that were erased: their commitments stand",
        ),
        (
            proof.audit.sealed,
            "that only the session's recipients can read",
        ),
        (
            proof.audit.withheld,
            "that were committed to and never kept",
        ),
    ] {
        if number > 0 {
            open.push(format!("{} {what}", words::count(number, "content")));
        }
    }
    open.push("who did it, and what else the session did: only this call is shown".into());
    open
}

/// Checks an exported session.
pub(super) fn directory(
    dir: &Path,
    expected: &Expected,
    as_json: bool,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let audit = export::check(dir, expected, &mut |_, _| {})?;
    let text = if as_json {
        json::value(&checked::document(&audit, expected, None))
    } else {
        check::render(&checked::words(&audit, expected, None), printer.data_look())
    };
    printer.data(&text)?;
    Ok(exit(audit.verdict()))
}
