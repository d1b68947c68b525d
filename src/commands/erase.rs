//! `ddgate erase`: what a session holds goes, what it states stays.

use super::context::{Context, user_name};
use super::look;
use crate::cli::EraseArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::Catalog;
use crate::journal::{self, SessionReader};
use crate::record::Contents;
use crate::ui::prompt;
use crate::ui::words::count;

pub(super) fn run(args: &EraseArgs, context: &Context) -> Result<Exit, CliError> {
    let printer = &context.printer;
    let dir = Catalog::new(context.config.sessions()).find(&args.session)?;
    let reader = SessionReader::open(dir.clone())?;
    let short = reader.id().short();
    if let Contents::Erased(_) = reader.contents() {
        look::report_contents(&short, &reader.contents(), printer);
        return Ok(Exit::Success);
    }
    if reader.state() == journal::reader::State::Running {
        return Err(journal::JournalError::Running(short).into());
    }
    drop(reader);
    if !args.yes {
        printer.warn(&format!(
            "this removes headers, bodies, paths, identity, command line and host of session {short} \
             for ever; it does not reach what was exported or uploaded, backups, snapshots of the \
             file system, or what a disk keeps of overwritten blocks"
        ));
        match prompt::confirm(&format!("erase the contents of session {short}?"))? {
            Some(true) => {}
            Some(false) => return Err(CliError::new(Exit::No, "nothing was erased")),
            None => {
                return Err(
                    CliError::usage("nothing was erased: there is no terminal to ask at").hint(
                        format!("to erase without being asked: ddgate erase {short} --yes"),
                    ),
                );
            }
        }
    }
    let done = journal::erase(&dir, &user_name(&context.lookup))?;
    printer.say(&format!(
        "{} of session {short} erased; what happened and when still stands, and verifies",
        count(done.contents, "content"),
    ));
    printer.say(
        "not reached: what was exported or uploaded, backups, snapshots of the file system, and \
         what a disk keeps of overwritten blocks",
    );
    Ok(Exit::Success)
}
