//! What clap says, said our way: help and version on stdout, a wrong command line as
//! `ddgate: error:` with its tips as hints, exit 2.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{ColorWish, Printer, Talk};

/// Prints what clap wants to say, and returns the exit code.
pub(super) fn refuse(error: &clap::Error) -> Exit {
    // The flags did not parse, so the colour is the stream's own choice.
    let printer = Printer::new(ColorWish::Auto, Talk::Normal);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = error.render();
            let text = if printer.data_look().color {
                text.ansi().to_string()
            } else {
                text.to_string()
            };
            match printer.data(&text).map_err(CliError::from) {
                Ok(()) => Exit::Success,
                Err(error) => {
                    printer.error(&error);
                    error.exit
                }
            }
        }
        _ => {
            let error = translate(error);
            printer.error(&error);
            error.exit
        }
    }
}

/// Turns clap's text into message and hints. The text is clap's stable, plain rendering: the
/// message, tips, the usage line, and where to find help, in paragraphs.
fn translate(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let usage = usage_line(&text);
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let verb = usage.and_then(|usage| usage.split(" [").next());
        let hint = format!("to see the verbs: {} --help", verb.unwrap_or("ddgate"));
        return CliError::usage("a verb is missing").hint(hint);
    }
    if let Some(refusal) = key_as_argument(error, usage) {
        return refusal;
    }
    let message: Vec<&str> = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim().trim_start_matches("error: "))
        .collect();
    let mut translated = CliError::usage(message.join(" "));
    for tip in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("tip: "))
    {
        translated = translated.hint(tip);
    }
    if error.kind() == ErrorKind::MissingRequiredArgument
        && usage.is_some_and(|usage| usage.starts_with("ddgate run"))
    {
        translated =
            translated.hint("put the command after `--`, for example: ddgate run -- claude");
    }
    if let Some(usage) = usage {
        translated = translated.hint(format!("usage: {usage}"));
    }
    translated.hint("for more, add --help")
}

/// Refuses, without quoting it, what may be a key: an extra argument of `keys set`, or a name of
/// a key that is none.
fn key_as_argument(error: &clap::Error, usage: Option<&str>) -> Option<CliError> {
    let sets_key = usage.is_some_and(|usage| usage.starts_with("ddgate keys set"));
    let named = named(error).unwrap_or_default();
    let elsewhere = "type it at the prompt of `ddgate keys set NAME`, or pass it on standard input";
    match error.kind() {
        ErrorKind::UnknownArgument if sets_key && !named.starts_with('-') => Some(
            CliError::usage("a key's value is not taken from the command line")
                .hint("other programs could see it there; remove it from your shell's history too")
                .hint(elsewhere),
        ),
        ErrorKind::InvalidValue if named == "<NAME>" => Some(
            CliError::usage("there is no key of that name; there are api-key, app-key, bearer and redaction-key")
                .hint(format!("if it was the key's value: {elsewhere}")),
        ),
        _ => None,
    }
}

fn usage_line(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("Usage: "))
}

fn named(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn said(words: &[&str]) -> String {
        let error = translate(&Cli::try_parse_from(words).unwrap_err());
        assert_eq!(error.exit, Exit::Usage);
        let mut lines = vec![error.message];
        lines.extend(error.hints.iter().map(|hint| format!("hint: {hint}")));
        lines.join("\n")
    }

    #[test]
    fn mistakes_are_said_with_a_way_out() {
        insta::assert_snapshot!(said(&["ddgate", "run", "--bogus", "--", "x"]), @r"
        unexpected argument '--bogus' found
        hint: to pass '--bogus' as a value, use '-- --bogus'
        hint: usage: ddgate run [OPTIONS] -- <COMMAND>...
        hint: for more, add --help
        ");
        insta::assert_snapshot!(said(&["ddgate", "run"]), @r"
        the following required arguments were not provided: <COMMAND>...
        hint: put the command after `--`, for example: ddgate run -- claude
        hint: usage: ddgate run [OPTIONS] -- <COMMAND>...
        hint: for more, add --help
        ");
        insta::assert_snapshot!(said(&["ddgate", "replya", "x"]), @r"
        unrecognized subcommand 'replya'
        hint: a similar subcommand exists: 'replay'
        hint: usage: ddgate [OPTIONS] <COMMAND>
        hint: for more, add --help
        ");
        insta::assert_snapshot!(said(&["ddgate", "status", "--color", "pink"]), @r"
        invalid value 'pink' for '--color <WHEN>' [possible values: auto, always, never]
        hint: for more, add --help
        ");
        insta::assert_snapshot!(said(&["ddgate", "replay", "x", "--speed", "warp"]), @r"
        invalid value 'warp' for '--speed <FACTOR>': a speed is a number above 0 and up to 1000000, like 4x, 1x or 0.5x
        hint: for more, add --help
        ");
        insta::assert_snapshot!(said(&["ddgate", "keys"]), @r"
        a verb is missing
        hint: to see the verbs: ddgate keys --help
        ");
        insta::assert_snapshot!(said(&["ddgate"]), @r"
        a verb is missing
        hint: to see the verbs: ddgate --help
        ");
    }

    #[test]
    fn a_key_typed_as_an_argument_is_not_repeated() {
        let text = said(&["ddgate", "keys", "set", "api-key", "0123456789abcdef"]);
        assert!(!text.contains("0123456789abcdef"), "{text}");
        let misnamed = said(&["ddgate", "keys", "set", "0123456789abcdef"]);
        let assigned = said(&["ddgate", "keys", "set", "api-key=0123456789abcdef"]);
        assert_eq!(assigned, misnamed);
        insta::assert_snapshot!(misnamed, @r"
        there is no key of that name; there are api-key, app-key, bearer and redaction-key
        hint: if it was the key's value: type it at the prompt of `ddgate keys set NAME`, or pass it on standard input
        ");
        insta::assert_snapshot!(text, @r"
        a key's value is not taken from the command line
        hint: other programs could see it there; remove it from your shell's history too
        hint: type it at the prompt of `ddgate keys set NAME`, or pass it on standard input
        ");
    }
}
