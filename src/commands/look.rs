//! From the journal to what people look at: shared by `replay`, `show`, `sessions` and `demo`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::checked;
use super::context::Context;
use crate::config::Origin;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::{self, Catalog, SessionDir};
use crate::journal::reader;
use crate::journal::{
    Audit, Beside, Depth, Identities, JournalError, Pass, SessionReader, Verdict,
};
use crate::record::event::{Commitment, SessionOpen};
use crate::record::{Call, CallNumber, Contents, Event, Leaf, Program};
use crate::replay::{
    Body, CallDetail, Counts, Fold, HeadContent, Message, Seen, SessionView, ToolDetail,
};
use crate::ui::Printer;
use crate::ui::escape::escape;

/// The session that is meant, to be read from beginning to end.
pub(super) fn pass(context: &Context, selector: &str) -> Result<Pass, CliError> {
    let catalog = Catalog::new(context.config.sessions());
    let mut pass = Pass::open(catalog.find(selector)?)?;
    pass.unlock(&identities_for(context, &pass)?)?;
    report_contents(&pass.id().short(), &pass.contents(), &context.printer);
    Ok(pass)
}

/// The identities that were named.
pub(super) fn identities(context: &Context) -> Result<Identities, CliError> {
    let files = &context.config.journal.age_identities.value;
    Ok(Identities::read(files.iter().map(PathBuf::as_path))?)
}

/// Those that open a session. One that was named for this command has to fit; those of the
/// settings may be for other sessions.
pub(super) fn identities_for(context: &Context, pass: &Pass) -> Result<Identities, CliError> {
    if pass.contents() != Contents::Sealed {
        return Ok(Identities::default());
    }
    let found = identities(context)?;
    let origin = &context.config.journal.age_identities.origin;
    match pass.clone().unlock(&found) {
        Err(JournalError::NotARecipient(short)) if !matches!(origin, Origin::Flag(_)) => {
            let detail = format!("the identities of {origin} do not open session {short}");
            context.printer.detail(&escape(&detail));
            Ok(Identities::default())
        }
        other => Ok(other.map(|()| found)?),
    }
}

/// Those that open a session for good, to be handed on: named for this command, since what is
/// written in the open stays so. None where nothing is sealed.
pub(super) fn identities_to_hand_on(
    context: &Context,
    dir: &SessionDir,
) -> Result<Identities, CliError> {
    match context.config.journal.age_identities.origin {
        Origin::Flag(_) => identities_for(context, &Pass::open(dir.clone())?),
        _ => Ok(Identities::default()),
    }
}

/// Says why contents are not shown, if they are not.
pub(super) fn report_contents(short: &str, contents: &Contents, printer: &Printer) {
    match contents {
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

/// Opens the session that is meant, and says what is wrong with its record, if anything is.
pub(super) fn open(context: &Context, selector: &str) -> Result<SessionReader, CliError> {
    let catalog = Catalog::new(context.config.sessions());
    let dir = catalog.find(selector)?;
    let identities = identities_for(context, &Pass::open(dir.clone())?)?;
    let mut reader = SessionReader::open(dir)?;
    reader.unlock(&identities)?;
    for trouble in reader.trouble() {
        let short = reader.id().short();
        context
            .printer
            .warn(&format!("the record of session {short}: {trouble}"));
    }
    report_contents(&reader.id().short(), &reader.contents(), &context.printer);
    Ok(reader)
}

/// Which calls are wanted with their path and query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    /// Those whose name would say nothing without it.
    Unnamed,
    /// All, as `--json` promises.
    All,
}

/// What stands beside the first leaf.
pub(super) fn head_content(open: &SessionOpen, beside: &Beside<'_>) -> HeadContent {
    HeadContent {
        who: json_beside(beside, "who", &open.who),
        command: json_beside(beside, "cmd", &open.cmd),
        host: json_beside(beside, "host", &open.host),
    }
}

fn json_beside<T: DeserializeOwned>(
    beside: &Beside<'_>,
    field: &str,
    committed: &Commitment,
) -> Option<T> {
    serde_json::from_slice(&beside.content(field, committed)?).ok()
}

/// Path and query of the call that a leaf begins, where it is wanted.
pub(super) fn target_beside(
    leaf: &Leaf,
    beside: &Beside<'_>,
    wanted: Targets,
) -> Option<(CallNumber, String)> {
    let (Event::CallRequest(request) | Event::CallDenied(request)) = &leaf.event else {
        return None;
    };
    let is_unnamed = request.op.is_none() && request.route.is_empty();
    if wanted == Targets::Unnamed && !is_unnamed {
        return None;
    }
    let target = beside.content("target", &request.target)?;
    Some((request.call, String::from_utf8_lossy(&target).into_owned()))
}

/// What the process of a leaf runs.
fn program_beside(leaf: &Leaf, beside: &Beside<'_>) -> Option<(u64, Program)> {
    let Event::Process(process) = &leaf.event else {
        return None;
    };
    let program = json_beside(beside, "program", process.program.as_ref()?)?;
    Some((process.process, program))
}

/// Takes a leaf, and what stands beside it about processes.
pub(super) fn push(fold: &mut Fold, leaf: Leaf, beside: &Beside<'_>) {
    let program = program_beside(&leaf, beside);
    fold.push(leaf);
    if let Some((process, program)) = program {
        fold.runs(process, program);
    }
}

/// Folds a whole session, and checks it on the way.
pub(super) fn view(pass: &Pass, wanted: Targets) -> Result<(SessionView, Audit), CliError> {
    let mut fold = Fold::new();
    let mut content = HeadContent::default();
    let mut targets = Vec::new();
    let audit = pass.read(Depth::Leaves, |leaf, beside| {
        if let Event::SessionOpen(open) = &leaf.event {
            content = head_content(open, beside);
        }
        targets.extend(target_beside(&leaf, beside, wanted));
        push(&mut fold, leaf, beside);
        ControlFlow::Continue(())
    })?;
    let live = audit.state == reader::State::Running;
    let mut view = fold.finish(content, live)?;
    for (number, target) in targets {
        view.set_target(number, target);
    }
    Ok((view, audit))
}

/// Checks the whole record, and folds of it the head and one call.
pub(super) fn checked_call(
    reader: &SessionReader,
    number: CallNumber,
) -> Result<(SessionView, Audit), CliError> {
    let mut fold = Fold::new();
    let mut content = HeadContent::default();
    let audit = reader.check(|leaf, beside| {
        if let Event::SessionOpen(open) = &leaf.event {
            content = head_content(open, beside);
        }
        // All others would be held for nothing.
        let is_wanted = leaf.event.call() == Some(number);
        if leaf.i == 0 || is_wanted || matches!(leaf.event, Event::Process(_)) {
            push(&mut fold, leaf, beside);
        }
    })?;
    let live = reader.state() == reader::State::Running;
    Ok((fold.finish(content, live)?, audit))
}

/// Says in one line how far a record can be trusted. The exit status is that of the verb, unless
/// the record is not what was signed.
pub(super) fn report(audit: &Audit, printer: &Printer) -> Exit {
    let note = checked::note(audit);
    let note = escape(&note);
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

/// One call with its content.
pub(super) fn detail(
    reader: &SessionReader,
    view: &SessionView,
    mut seen: Seen,
) -> Result<CallDetail, CliError> {
    let call = seen.call.clone();
    seen.target = text(reader, call.request_leaf, "target")?;
    let tools = tools(reader, &call)?;
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
    if call.is_stdio {
        // Nothing but arguments and result went over the pipe.
        response = call
            .response_leaf
            .map(|leaf| body(reader, leaf))
            .transpose()?
            .map(|body| Message {
                headers: Some(Vec::new()),
                body,
            });
    }
    Ok(CallDetail {
        session: view.head.id,
        who: view.head.who.clone(),
        live: reader.state() == reader::State::Running,
        seen,
        request,
        response,
        wait_us,
        tools,
    })
}

/// The content of a call's tool calls.
fn tools(reader: &SessionReader, call: &Call) -> Result<Vec<ToolDetail>, CliError> {
    let each = call.tools.iter().map(|tool| {
        Ok(ToolDetail {
            arguments: body(reader, tool.call_leaf)?,
            result: tool
                .result_leaf
                .map(|leaf| body(reader, leaf))
                .transpose()?,
        })
    });
    each.collect()
}

/// The body a leaf commits to, as far as it is kept.
fn body(reader: &SessionReader, leaf: u64) -> Result<Body, CliError> {
    let (name, committed, unkept, complete) = match reader.leaf(leaf)?.map(|leaf| leaf.event) {
        Some(Event::CallRequest(e) | Event::CallDenied(e)) => {
            // A streamed body whose end is not on record broke off with the gate.
            ("body", e.body, e.unkept, !e.streamed)
        }
        Some(Event::CallStream(e)) => ("body", Some(e.body), e.unkept, e.end),
        Some(Event::CallResponse(e)) => ("body", e.body, e.unkept, e.error.is_none()),
        Some(Event::McpCall(e)) => ("args", e.args, e.unkept, true),
        Some(Event::McpResult(e)) => ("result", Some(e.result), e.unkept, true),
        _ => ("body", None, None, true),
    };
    let content = field(reader, leaf, name)?;
    Ok(match (content, committed, unkept) {
        (Some(content), _, why) if !content.is_empty() => Body::Kept {
            content,
            complete: complete && why.is_none(),
            why,
        },
        (_, committed, Some(why)) => Body::NotKept {
            why,
            bytes: committed.map(|committed| committed.n),
        },
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
