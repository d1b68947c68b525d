//! `ddgate prove`: one call with its proofs.

use serde_json::json;

use super::context::Context;
use super::export::{broken, leaves, left_out, long_work, opened};
use super::look::identities_to_hand_on;
use crate::cli::ProveArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::export::prove;
use crate::journal::catalog::Catalog;
use crate::record::CallNumber;
use crate::ui::escape::escape;
use crate::ui::{json, words};

pub(super) fn run(args: &ProveArgs, context: &Context) -> Result<Exit, CliError> {
    let dir = Catalog::new(context.config.sessions()).find(&args.session)?;
    let printer = &context.printer;
    let identities = identities_to_hand_on(context, &dir)?;
    let bar = long_work(&dir, printer, "proving");
    let number = CallNumber(args.call);
    let proven = prove::write(&dir, number, &args.output, &identities, &mut |done, all| {
        if let Some(bar) = &bar {
            bar.at(done, all);
        }
    })?;
    drop(bar);
    let session = proven.audit.session.short();
    printer.say(&format!(
        "call {number} of session {session} is in {}: {} with {}, proven to be in a log of {}",
        escape(&args.output.to_string_lossy()),
        leaves(proven.leaves.len() as u64),
        words::count(proven.openings, "content"),
        leaves(proven.signed.size),
    ));
    opened(&identities, &proven.audit, &args.output, printer);
    if proven.left_out > 0 {
        left_out(&proven.audit, proven.left_out, printer);
    }
    if proven.is_broken() {
        broken(&proven.audit, printer);
    }
    if args.json {
        let document = json!({
            "session": proven.audit.session.to_string(),
            "call": args.call,
            "directory": args.output.to_string_lossy(),
            "leaves": proven.leaves,
            "openings": proven.openings,
            "unreadable": proven.unreadable,
            "left_out": proven.left_out,
            "size": proven.signed.size,
            "root": proven.signed.root.to_string(),
            "broken": proven.is_broken(),
        });
        printer.data(&json::value(&document))?;
    }
    Ok(if proven.is_broken() {
        Exit::No
    } else {
        Exit::Success
    })
}
