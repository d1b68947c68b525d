//! `ddgate sessions`: the list.

use std::ops::ControlFlow;

use super::context::Context;
use super::look::Targets;
use super::{checked, look};
use crate::cli::SessionsArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::{Catalog, Entry, Manifest};
use crate::journal::{Depth, Identities, Pass};
use crate::limits;
use crate::record::{Contents, Event};
use crate::replay::{State, Summary};
use crate::ui::{Missing, json, sessions};

pub(super) fn run(args: &SessionsArgs, context: &Context) -> Result<Exit, CliError> {
    let entries = Catalog::new(context.config.sessions()).list()?;
    let more = entries.len().saturating_sub(args.limit) as u64;
    let (mut summaries, mut identities) = (Vec::new(), None);
    for entry in entries.iter().take(args.limit) {
        let read = opened(entry, context, &mut identities)
            .and_then(|pass| Ok((summary(entry, &pass)?, pass.contents())));
        match read {
            Ok(((summary, trouble), contents)) => {
                if let Some(trouble) = trouble {
                    let line = format!("session {}: {trouble}", entry.id.short());
                    context.printer.warn(&crate::ui::escape::escape(&line));
                }
                if contents == Contents::Erasing {
                    look::report_contents(&entry.id.short(), &contents, &context.printer);
                }
                summaries.push((summary, contents));
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

/// One session, its contents open where that can be had. The identities are read once: a file may
/// be a pipe.
fn opened(
    entry: &Entry,
    context: &Context,
    identities: &mut Option<Identities>,
) -> Result<Pass, CliError> {
    let mut pass = Pass::open(entry.dir.clone())?;
    if pass.contents() == Contents::Sealed {
        let identities = match identities {
            Some(read) => read,
            None => identities.insert(look::identities(context)?),
        };
        // Those sealed for others are listed all the same.
        let _ = pass.unlock(identities);
    }
    Ok(pass)
}

/// One session in a line, and what is wrong with its record, if anything shows.
fn summary(entry: &Entry, pass: &Pass) -> Result<(Summary, Option<String>), CliError> {
    if let Some(manifest) = &entry.manifest
        && manifest.leaves > limits::LONG_SESSION_LEAVES
        && let Some(summary) = from_manifest(pass, manifest)?
    {
        return Ok((summary, None));
    }
    let (view, audit) = look::view(pass, Targets::Unnamed)?;
    let trouble = audit.findings.is_broken().then(|| checked::note(&audit));
    Ok((view.summary(), trouble))
}

/// A long session is not read for the sake of a list: its manifest counted its calls when it
/// closed, and `replay` and `verify` hold it against the record.
fn from_manifest(pass: &Pass, manifest: &Manifest) -> Result<Option<Summary>, CliError> {
    let Some(ended) = manifest.ended else {
        return Ok(None);
    };
    let mut head = None;
    pass.read(Depth::Leaves, |leaf, beside| {
        if let Event::SessionOpen(open) = &leaf.event {
            head = Some((look::head_content(open, beside), open.dd.site.clone()));
        }
        ControlFlow::Break(())
    })?;
    let length = (ended - manifest.started).num_microseconds();
    Ok(head.map(|(content, site)| Summary {
        id: manifest.session,
        started: manifest.started,
        who: content.who,
        command: content.command,
        site,
        counts: look::counts(&manifest.counts),
        length_us: length.and_then(|us| us.try_into().ok()).unwrap_or(0),
        state: State::Closed {
            reason: manifest.reason.clone().unwrap_or_else(|| "exit".into()),
            exit: manifest.exit,
        },
    }))
}
