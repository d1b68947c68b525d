//! `ddgate sessions`: the list.

use super::context::Context;
use super::look;
use crate::cli::SessionsArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::Catalog;
use crate::record::Contents;
use crate::ui::{Missing, json, sessions};

pub(super) fn run(args: &SessionsArgs, context: &Context) -> Result<Exit, CliError> {
    let entries = Catalog::new(context.config.sessions()).list()?;
    let more = entries.len().saturating_sub(args.limit) as u64;
    let (mut summaries, mut identities) = (Vec::new(), None);
    for entry in entries.iter().take(args.limit) {
        let read = entry.open().map_err(CliError::from).and_then(|mut reader| {
            if reader.contents() == Contents::Sealed {
                let identities = match &identities {
                    Some(read) => read,
                    // Read once: a file may be a pipe.
                    None => identities.insert(look::identities(context)?),
                };
                // Those sealed for others are listed all the same.
                let _ = reader.unlock(identities);
            }
            Ok((look::view(&reader)?, reader))
        });
        match read {
            Ok((view, reader)) => {
                look::report_trouble(&reader, &context.printer);
                let contents = reader.contents();
                if contents == Contents::Erasing {
                    look::report_contents(&reader, &context.printer);
                }
                summaries.push((view.summary(), contents));
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
        let list: Vec<_> = summaries
            .into_iter()
            .map(|(summary, contents)| (summary, Missing::from(&contents)))
            .collect();
        sessions::render(&list, more, context.printer.data_look())
    };
    context.printer.data(&text)?;
    Ok(Exit::Success)
}
