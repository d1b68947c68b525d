//! One verb, one file: takes what was typed, calls a room, hands the result to `ui`. Nothing
//! here is used by any other room.

mod completions;
mod usage;

use clap::Parser as _;

use crate::cli::{Cli, Command, GlobalArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{Printer, Talk};

/// Parses the command line, runs the verb, prints what went wrong if something did.
pub fn main() -> Exit {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli),
        Err(error) => usage::refuse(&error),
    }
}

/// Runs the verb.
pub fn dispatch(cli: Cli) -> Exit {
    let printer = printer(&cli.global);
    match run(cli, &printer) {
        Ok(exit) => exit,
        Err(error) => {
            printer.error(&error);
            error.exit
        }
    }
}

fn run(cli: Cli, printer: &Printer) -> Result<Exit, CliError> {
    match cli.command {
        Command::Completions(args) => completions::run(&args, printer),
        // Wired when their rooms are merged.
        Command::Run(_)
        | Command::Replay(_)
        | Command::Show(_)
        | Command::Sessions(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::Status(_)
        | Command::Keys(_)
        | Command::Demo(_)
        | Command::Config(_)
        | Command::DemoAgent => Err(CliError::new(Exit::Bug, "this verb is not wired yet")),
    }
}

/// The printer the global flags ask for.
fn printer(global: &GlobalArgs) -> Printer {
    let talk = match global.verbose {
        0 => Talk::Normal,
        _ => Talk::Verbose,
    };
    Printer::new(global.color, talk)
}
