//! `ddgate mcp`: `run` for an MCP server in an agent's configuration, where nobody can be asked and
//! an error on standard error alone is seldom seen.
//!
//! Inside a `ddgate run` it takes that run's placeholders and goes out through that run's gate,
//! which takes no other keys. The session is its own all the same: one record has one writer.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::Value;

use super::run::{self, Way};
use crate::cli::{GlobalArgs, McpArgs};
use crate::config::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::launch::pipe;
use crate::mcp::refusal;
use crate::ui::Printer;

/// `ddgate run` sets it for its child; agents that filter the environment may take it away.
const INSIDE: &str = "DDGATE_TLS_PORT";
/// An agent that starts a server says its first word at once.
const FIRST_WORD: Duration = Duration::from_secs(5);

pub(super) fn run(args: McpArgs, global: &GlobalArgs, printer: &Printer) -> Result<Exit, CliError> {
    let way = match env::process(INSIDE) {
        Some(_) => Way::NestedServer,
        None => Way::Server,
    };
    run::with(args.run, way, global, printer).inspect_err(|error| answer(error, printer))
}

/// Answers the first message with what went wrong: agents show that, where they hide what a server
/// writes to standard error.
fn answer(error: &CliError, printer: &Printer) {
    if std::io::stdin().is_terminal() {
        return;
    }
    let Some(line) = pipe::first_line(FIRST_WORD) else {
        return;
    };
    let asked: Value = serde_json::from_slice(&line).unwrap_or_default();
    let words = std::iter::once(&error.message).chain(&error.hints);
    let words: Vec<&str> = words.map(String::as_str).collect();
    let id = asked.get("id").cloned().unwrap_or_default();
    let refusal = refusal(id, &words.join("; "));
    // An agent that is gone by now sees the exit code.
    let _ = printer.data(&format!("{refusal}\n"));
}
