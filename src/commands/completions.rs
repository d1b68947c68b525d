//! `ddgate completions <shell>`: the script clap_complete makes from `cli.rs`, the same bytes as
//! in `completions/`.

use crate::cli::{Cli, CompletionsArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Printer;

pub(super) fn run(args: &CompletionsArgs, printer: &Printer) -> Result<Exit, CliError> {
    // Rendered whole first: clap_complete panics when its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::visible_command(),
        "ddgate",
        &mut script,
    );
    printer.bytes(&script)?;
    Ok(Exit::Success)
}
