//! `ddgate export`: a session in published formats.

use std::path::Path;

use serde_json::json;

use super::context::Context;
use super::look::identities_to_hand_on;
use crate::cli::{ExportArgs, ExportFormat};
use crate::error::CliError;
use crate::exit::Exit;
use crate::export::session::{self, Written};
use crate::journal::catalog::{Catalog, SessionDir};
use crate::journal::{Audit, Identities, reader};
use crate::limits;
use crate::ui::escape::escape;
use crate::ui::{Printer, Progress, json, words};

pub(super) fn run(args: &ExportArgs, context: &Context) -> Result<Exit, CliError> {
    let dir = Catalog::new(context.config.sessions()).find(&args.session)?;
    let printer = &context.printer;
    let identities = identities_to_hand_on(context, &dir)?;
    let bar = long_work(&dir, printer, "exporting");
    let written = match args.format {
        ExportFormat::Tlog => session::write(&dir, &args.output, &identities, &mut |done, all| {
            if let Some(bar) = &bar {
                bar.at(done, all);
            }
        })?,
    };
    drop(bar);
    tell(&written, &args.output, printer);
    opened(&identities, &written.audit, &args.output, printer);
    if args.json {
        let format = "tlog";
        printer.data(&json::value(&document(&written, format, &args.output)))?;
    }
    Ok(if written.is_broken() {
        Exit::No
    } else {
        Exit::Success
    })
}

/// A bar for somebody who watches, and has to wait.
pub(super) fn long_work(dir: &SessionDir, printer: &Printer, what: &str) -> Option<Progress> {
    let bytes = dir.record_bytes();
    (bytes >= limits::EXPORT_LONG_BYTES && printer.is_watched())
        .then(|| Progress::begin(printer, what))
}

fn tell(written: &Written, to: &Path, printer: &Printer) {
    let audit = &written.audit;
    let session = audit.session.short();
    printer.say(&format!(
        "exported session {session} to {}: {} with {} and {}, {}",
        escape(&to.to_string_lossy()),
        leaves(written.signed.size),
        words::count(written.openings, "content"),
        words::count(written.checkpoints, "checkpoint"),
        match written.is_broken() {
            true => "as far as they are still proven",
            false if written.sealed > 0 => "the contents sealed as they are, the others checked",
            false => "all of them checked",
        }
    ));
    left_out(audit, written.left_out, printer);
    if written.is_broken() {
        broken(audit, printer);
        let marked = to.join("BROKEN");
        printer.say(&format!(
            "what is wrong stands in {}",
            escape(&marked.to_string_lossy())
        ));
    }
}

/// Says that what was sealed no longer is, or why it still is.
pub(super) fn opened(identities: &Identities, audit: &Audit, to: &Path, printer: &Printer) {
    if identities.is_empty() {
        return;
    }
    if session::to_open(audit, identities).is_empty() {
        printer.say("what is sealed stays so: of a record that was changed nothing is opened");
        return;
    }
    printer.say(&format!(
        "what the session keeps sealed is in the open there: whoever can read {} can read it",
        escape(&to.to_string_lossy())
    ));
}

/// Says what is not signed and so was left out.
pub(super) fn left_out(audit: &Audit, number: u64, printer: &Printer) {
    let session = audit.session.short();
    match (audit.state, number) {
        (reader::State::Running, 0) => printer.say(&format!(
            "session {session} is still running: this is what was recorded until now"
        )),
        (reader::State::Running, number) => printer.say(&format!(
            "session {session} is still running; left out: {} not signed yet",
            leaves(number)
        )),
        (reader::State::EndedWithoutClosing, 0) => {
            printer.say(&format!("session {session} was never closed"));
        }
        (_, 0) => {}
        (_, number) => printer.say(&format!("left out: {} that nobody signed", leaves(number))),
    }
}

/// Warns of a record that is not as it was signed.
pub(super) fn broken(audit: &Audit, printer: &Printer) {
    let session = audit.session.short();
    let faults = &audit.findings.faults;
    let first = faults
        .first()
        .map_or_else(|| "a content cannot be read".into(), ToString::to_string);
    let more = match faults.len() as u64 + audit.findings.more {
        0 | 1 => String::new(),
        all => format!(" (and {})", words::count(all - 1, "more finding")),
    };
    printer.warn(&format!(
        "the record of session {session} is damaged or was changed: {first}{more}"
    ));
}

pub(super) fn leaves(number: u64) -> String {
    format!("{number} {}", if number == 1 { "leaf" } else { "leaves" })
}

fn document(written: &Written, format: &str, to: &Path) -> serde_json::Value {
    let audit = &written.audit;
    let texts = |list: Vec<String>| serde_json::Value::from(list);
    json!({
        "session": audit.session.to_string(),
        "format": format,
        "directory": to.to_string_lossy(),
        "origin": audit.origin,
        "vkey": audit.key.as_ref().map(ToString::to_string),
        "leaves": written.signed.size,
        "root": written.signed.root.to_string(),
        "left_out": written.left_out,
        "calls": audit.calls,
        "checkpoints": written.checkpoints,
        "openings": written.openings,
        "sealed": written.sealed,
        "erased": audit.erased,
        "blobs": written.blobs,
        "unreadable": written.unreadable,
        "files": written.files,
        "bytes": written.bytes,
        "state": match audit.state {
            reader::State::Running => "running",
            reader::State::Closed => "closed",
            reader::State::EndedWithoutClosing => "not_closed",
        },
        "broken": written.is_broken(),
        "faults": texts(audit.findings.faults.iter().map(ToString::to_string).collect()),
        "gaps": texts(audit.findings.gaps.iter().map(ToString::to_string).collect()),
    })
}
