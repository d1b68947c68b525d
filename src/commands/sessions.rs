//! `ddgate sessions`: the list.

use super::context::Context;
use super::look;
use crate::cli::SessionsArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::Catalog;
use crate::ui::{json, sessions};

pub(super) fn run(args: &SessionsArgs, context: &Context) -> Result<Exit, CliError> {
    let entries = Catalog::new(context.config.sessions()).list()?;
    let more = entries.len().saturating_sub(args.limit) as u64;
    let mut summaries = Vec::new();
    for entry in entries.iter().take(args.limit) {
        let read = entry
            .open()
            .map_err(CliError::from)
            .and_then(|reader| Ok((look::view(&reader)?.0, reader)));
        match read {
            Ok((view, reader)) => {
                look::report_trouble(&reader, &context.printer);
                summaries.push(view.summary());
            }
            // One that cannot be read must not hide the others.
            Err(error) => context.printer.warn(&format!(
                "session {} cannot be read: {}",
                entry.id.short(),
                crate::ui::escape::escape(&error.message)
            )),
        }
    }
    let text = if args.json {
        json::sessions(&summaries)
    } else {
        sessions::render(&summaries, more, context.printer.data_look())
    };
    context.printer.data(&text)?;
    Ok(Exit::Success)
}
