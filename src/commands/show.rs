//! `ddgate show`: one call in full.

use super::context::Context;
use super::look;
use crate::cli::{BodySide, ShowArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::JournalError;
use crate::record::event::Decision;
use crate::record::{CallNumber, Contents};
use crate::replay::{Body, CallDetail};
use crate::ui::escape::escape;
use crate::ui::{call, json};

pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, CliError> {
    let reader = look::open(context, &args.session)?;
    let number = CallNumber(args.call);
    let (view, mut audit) = look::checked_call(&reader, number)?;
    let seen = view.call(number).cloned().ok_or(JournalError::NoSuchCall {
        session: reader.id().short(),
        number: args.call,
    })?;
    let detail = look::detail(&reader, &view, seen)?;
    for fault in reader.wrong() {
        audit.findings.fault(fault);
    }
    let contents = reader.contents();
    match args.body {
        Some(side) => {
            let exit = body(&detail, side, &contents, context)?;
            return Ok(worse(exit, look::report(&audit, &context.printer)));
        }
        None if args.json => context.printer.data(&json::call(&detail, &contents))?,
        None => {
            let printer = context.printer.missing((&contents).into());
            let text = call::render(&detail, printer.data_look());
            context.printer.data(&text)?;
        }
    }
    Ok(look::report(&audit, &context.printer))
}

fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Success { other } else { one }
}

/// The recorded bytes of one body, alone.
fn body(
    detail: &CallDetail,
    side: BodySide,
    contents: &Contents,
    context: &Context,
) -> Result<Exit, CliError> {
    let message = match side {
        BodySide::Request => Some(&detail.request),
        BodySide::Response => detail.response.as_ref(),
    };
    let word = match side {
        BodySide::Request => "request",
        BodySide::Response => "response",
    };
    let number = detail.seen.call.number;
    let missing = |why: &str| {
        Err(CliError::new(
            Exit::No,
            format!("the {word} of call {number} {why}"),
        ))
    };
    match message.map(|message| &message.body) {
        None if detail.seen.call.decision == Decision::Deny => {
            missing("is not on record: the call was denied, so nothing was sent")
        }
        None if detail.live => missing("is not on record: no answer came yet"),
        None => missing("is not on record: no answer came"),
        Some(Body::Empty) => Ok(Exit::Success),
        Some(Body::NotKept { why, .. }) => missing(&format!("was not kept: {why}")),
        Some(Body::Erased { .. }) if *contents == Contents::Sealed => missing("is sealed"),
        Some(Body::Erased { .. }) => missing("was erased"),
        Some(Body::Kept {
            content,
            complete,
            why,
        }) => {
            context.printer.bytes(content)?;
            if let Some(why) = why {
                let why = escape(why);
                context
                    .printer
                    .warn(&format!("the {word} is not on record to its end: {why}"));
            } else if !complete {
                context
                    .printer
                    .warn(&format!("the {word} broke off: this is what was recorded"));
            }
            Ok(Exit::Success)
        }
    }
}
