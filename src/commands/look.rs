//! From the journal to what people look at: shared by `replay`, `show`, `sessions` and `demo`.

use serde::de::DeserializeOwned;

use super::checked;
use super::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::{self, Catalog};
use crate::journal::reader;
use crate::journal::{Audit, Depth, SessionReader, Verdict};
use crate::record::Event;
use crate::record::event::Commitment;
use crate::replay::{Body, CallDetail, Counts, Fold, HeadContent, Message, Seen, SessionView};
use crate::ui::Printer;

/// Opens the session that is meant, and says what is wrong with its record, if anything is.
pub(super) fn open(context: &Context, selector: &str) -> Result<SessionReader, CliError> {
    let catalog = Catalog::new(context.config.sessions());
    let reader = SessionReader::open(catalog.find(selector)?)?;
    report_trouble(&reader, &context.printer);
    Ok(reader)
}

/// Says what is wrong with a record.
pub(super) fn report_trouble(reader: &SessionReader, printer: &Printer) {
    for trouble in reader.trouble() {
        let short = reader.id().short();
        printer.warn(&format!("the record of session {short}: {trouble}"));
    }
}

/// Folds a whole session, and checks it on the way.
pub(super) fn view(reader: &SessionReader) -> Result<(SessionView, Audit), CliError> {
    let mut fold = Fold::new();
    let audit = reader.walk(Depth::Leaves, |leaf| fold.push(leaf))?;
    let content = HeadContent {
        who: json(reader, 0, "who")?,
        command: json(reader, 0, "cmd")?,
        host: json(reader, 0, "host")?,
    };
    let live = reader.state() == reader::State::Running;
    let mut view = fold.finish(content, live)?;
    let unnamed: Vec<_> = view.without_route().collect();
    for (number, leaf) in unnamed {
        if let Some(target) = text(reader, leaf, "target")? {
            view.set_target(number, target);
        }
    }
    Ok((view, audit))
}

/// Says in one line how far a record can be trusted. The exit status is that of the verb, unless
/// the record is not what was signed.
pub(super) fn report(reader: &SessionReader, mut audit: Audit, printer: &Printer) -> Exit {
    for fault in reader.wrong() {
        audit.findings.fault(fault);
    }
    let note = checked::note(&audit);
    let note = crate::ui::escape::escape(&note);
    match audit.verdict() {
        Verdict::Tampered => {
            printer.warn(&note);
            Exit::No
        }
        Verdict::Verified | Verdict::Incomplete => {
            printer.say(&note);
            Exit::Success
        }
    }
}

/// Adds path and query of every call, which the timeline does not need and `--json` promises.
pub(super) fn add_targets(reader: &SessionReader, view: &mut SessionView) -> Result<(), CliError> {
    let missing: Vec<_> = view
        .calls
        .iter()
        .filter(|seen| seen.target.is_none())
        .map(|seen| (seen.call.number, seen.call.request_leaf))
        .collect();
    for (number, leaf) in missing {
        if let Some(target) = text(reader, leaf, "target")? {
            view.set_target(number, target);
        }
    }
    Ok(())
}

/// One call with its content.
pub(super) fn detail(
    reader: &SessionReader,
    view: &SessionView,
    mut seen: Seen,
) -> Result<CallDetail, CliError> {
    let call = seen.call.clone();
    seen.target = text(reader, call.request_leaf, "target")?;
    let body_leaf = call.request_stream_leaf.unwrap_or(call.request_leaf);
    let request = Message {
        headers: json(reader, call.request_leaf, "headers")?,
        body: body(reader, body_leaf)?,
    };
    let (mut response, mut wait_us) = (None, None);
    if let Some(leaf) = call.response_leaf
        && let Some(Event::CallResponse(ended)) = reader.leaf(leaf)?.map(|leaf| leaf.event)
        && ended.status.is_some()
    {
        response = Some(Message {
            headers: json(reader, leaf, "headers")?,
            body: body(reader, leaf)?,
        });
        wait_us = ended.wait_us;
    }
    Ok(CallDetail {
        session: view.head.id,
        who: view.head.who.clone(),
        live: reader.state() == reader::State::Running,
        seen,
        request,
        response,
        wait_us,
    })
}

/// The body a leaf commits to, as far as it is kept.
fn body(reader: &SessionReader, leaf: u64) -> Result<Body, CliError> {
    let (committed, unkept, complete) = match reader.leaf(leaf)?.map(|leaf| leaf.event) {
        Some(Event::CallRequest(e) | Event::CallDenied(e)) => {
            // A streamed body whose end is not on record broke off with the gate.
            (e.body, e.unkept, !e.streamed)
        }
        Some(Event::CallStream(e)) => (Some(e.body), e.unkept, e.end),
        Some(Event::CallResponse(e)) => (e.body, e.unkept, e.error.is_none()),
        _ => (None, None, true),
    };
    let content = field(reader, leaf, "body")?;
    Ok(match (content, committed, unkept) {
        (Some(content), _, _) if !content.is_empty() => Body::Kept { content, complete },
        (_, _, Some(why)) => Body::NotKept { why },
        (None, Some(Commitment { n, .. }), None) if n > 0 => Body::Erased { bytes: n },
        _ => Body::Empty,
    })
}

fn text(reader: &SessionReader, leaf: u64, name: &str) -> Result<Option<String>, CliError> {
    let content = field(reader, leaf, name)?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
}

/// Content that does not read as what it should be is shown as erased: the leaf still stands.
fn json<T: DeserializeOwned>(
    reader: &SessionReader,
    leaf: u64,
    name: &str,
) -> Result<Option<T>, CliError> {
    let content = field(reader, leaf, name)?;
    Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
}

/// The content of a field, if it is there and is what the leaf commits to.
fn field(reader: &SessionReader, leaf: u64, name: &str) -> Result<Option<Vec<u8>>, CliError> {
    Ok(reader.field(leaf, name)?.map(|field| field.content))
}

/// The counts of a closed session as the summary line wants them.
pub(super) fn counts(counts: &catalog::Counts) -> Counts {
    Counts {
        calls: counts.calls,
        reads: counts.calls - counts.denied - counts.changes,
        writes: counts.writes,
        deletes: counts.deletes,
        unclassified: counts.changes - counts.writes - counts.deletes,
        denied: counts.denied,
        failed: counts.failed,
        under_way: 0,
        in_doubt: counts.in_doubt + (counts.calls - counts.ended),
        error_answers: counts.error_answers,
    }
}
