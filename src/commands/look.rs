//! From the journal to what people look at: shared by `replay`, `show`, `sessions` and `demo`.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::context::Context;
use crate::config::Origin;
use crate::error::CliError;
use crate::journal::catalog::{self, Catalog};
use crate::journal::reader;
use crate::journal::{Identities, JournalError, SessionReader};
use crate::record::event::Commitment;
use crate::record::{Contents, Event};
use crate::replay::{Body, CallDetail, Counts, Fold, HeadContent, Message, Seen, SessionView};
use crate::ui::Printer;
use crate::ui::escape::escape;

/// Opens the session that is meant, and says what is wrong with its record, if anything is.
pub(super) fn open(context: &Context, selector: &str) -> Result<SessionReader, CliError> {
    let catalog = Catalog::new(context.config.sessions());
    let mut reader = SessionReader::open(catalog.find(selector)?)?;
    if reader.contents() == Contents::Sealed {
        unlock(&mut reader, &identities(context)?, context)?;
    }
    report_trouble(&reader, &context.printer);
    report_contents(&reader, &context.printer);
    Ok(reader)
}

/// The identities that were named.
pub(super) fn identities(context: &Context) -> Result<Identities, CliError> {
    let files = &context.config.journal.age_identities.value;
    Ok(Identities::read(files.iter().map(PathBuf::as_path))?)
}

/// Opens sealed contents with them. One that was named for this command has to fit; those of the
/// settings may be for other sessions.
fn unlock(
    reader: &mut SessionReader,
    identities: &Identities,
    context: &Context,
) -> Result<(), CliError> {
    match (
        reader.unlock(identities),
        &context.config.journal.age_identities.origin,
    ) {
        (Err(JournalError::NotARecipient(_)), origin) if !matches!(origin, Origin::Flag(_)) => {
            let short = reader.id().short();
            let detail = format!("the identities of {origin} do not open session {short}");
            context.printer.detail(&escape(&detail));
            Ok(())
        }
        (other, _) => Ok(other?),
    }
}

/// Says why contents are not shown, if they are not.
pub(super) fn report_contents(reader: &SessionReader, printer: &Printer) {
    let short = reader.id().short();
    match reader.contents() {
        Contents::Open => {}
        Contents::Sealed => printer.say(&format!(
            "the contents of session {short} are sealed: --age-identity FILE of one of its \
             recipients opens them"
        )),
        Contents::Erased(it) => printer.say(&format!(
            "the contents of session {short} ({}) were erased {} by {}",
            it.contents,
            printer.talk_look().moment(it.at, "%Y-%m-%d %H:%M:%S %:z"),
            escape(&it.by),
        )),
        Contents::Erasing => printer.warn(&format!(
            "the erasure of session {short} broke off: finish it with: ddgate erase {short}"
        )),
    }
}

/// Says what is wrong with a record.
pub(super) fn report_trouble(reader: &SessionReader, printer: &Printer) {
    for trouble in reader.trouble() {
        let short = reader.id().short();
        printer.warn(&format!("the record of session {short}: {trouble}"));
    }
}

/// Folds a whole session.
pub(super) fn view(reader: &SessionReader) -> Result<SessionView, CliError> {
    let mut fold = Fold::new();
    for leaf in reader.leaves(0) {
        fold.push(leaf?);
    }
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
    Ok(view)
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
    let content = reader.field(leaf, "body")?.map(|field| field.content);
    Ok(match (content, committed, unkept) {
        (Some(content), _, _) if !content.is_empty() => Body::Kept { content, complete },
        (_, _, Some(why)) => Body::NotKept { why },
        (None, Some(Commitment { n, .. }), None) if n > 0 => Body::Erased { bytes: n },
        _ => Body::Empty,
    })
}

fn text(reader: &SessionReader, leaf: u64, field: &str) -> Result<Option<String>, CliError> {
    let field = reader.field(leaf, field)?;
    Ok(field.map(|field| String::from_utf8_lossy(&field.content).into_owned()))
}

/// Content that does not read as what it should be is shown as erased: the leaf still stands.
fn json<T: DeserializeOwned>(
    reader: &SessionReader,
    leaf: u64,
    field: &str,
) -> Result<Option<T>, CliError> {
    let field = reader.field(leaf, field)?;
    Ok(field.and_then(|field| serde_json::from_slice(&field.content).ok()))
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
