//! Help, completions, and wrong command lines.

use crate::world::World;

const VERBS: [&[&str]; 16] = [
    &[],
    &["run"],
    &["replay"],
    &["show"],
    &["sessions"],
    &["login"],
    &["logout"],
    &["status"],
    &["keys"],
    &["keys", "set"],
    &["keys", "list"],
    &["keys", "rm"],
    &["demo"],
    &["config"],
    &["config", "show"],
    &["completions"],
];

#[test]
fn every_verb_has_help_with_examples() {
    let world = World::new();
    for verb in VERBS {
        let words = verb.iter().copied().chain(["--help"]);
        let outcome = world.ddgate(words).succeeds();
        let text = String::from_utf8(outcome.stdout).unwrap();
        assert!(text.contains("Usage: ddgate"), "{verb:?}: {text}");
        assert!(text.contains("Examples:"), "{verb:?}: {text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{verb:?}: {text}"
        );
        assert!(outcome.stderr.is_empty());
    }
}

#[test]
fn completions_are_the_ones_checked_in() {
    let world = World::new();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");
    for (shell, file) in [
        ("bash", "ddgate.bash"),
        ("zsh", "_ddgate"),
        ("fish", "ddgate.fish"),
        ("elvish", "ddgate.elv"),
        ("powershell", "_ddgate.ps1"),
    ] {
        let outcome = world.ddgate(["completions", shell]).succeeds();
        let held = std::fs::read(format!("{directory}/{file}")).unwrap();
        assert!(outcome.stdout == held, "{shell}");
    }
}

#[test]
fn version_goes_to_stdout() {
    let outcome = World::new().ddgate(["--version"]).succeeds();
    let version = concat!("ddgate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(outcome.stdout, version.as_bytes());
}

#[test]
fn mistakes_on_the_command_line() {
    let world = World::new();
    let said = |words: &[&str]| world.ddgate(words).exits(2).said();
    insta::assert_snapshot!(said(&["run", "--frobnicate", "--", "true"]), @r"
    ddgate: error: unexpected argument '--frobnicate' found
    ddgate: hint: a similar argument exists: '--enforce'
    ddgate: hint: to pass '--frobnicate' as a value, use '-- --frobnicate'
    ddgate: hint: usage: ddgate run [OPTIONS] -- <COMMAND>...
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["run"]), @r"
    ddgate: error: the following required arguments were not provided: <COMMAND>...
    ddgate: hint: put the command after `--`, for example: ddgate run -- claude
    ddgate: hint: usage: ddgate run [OPTIONS] -- <COMMAND>...
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["run", "--"]), @r"
    ddgate: error: the following required arguments were not provided: <COMMAND>...
    ddgate: hint: put the command after `--`, for example: ddgate run -- claude
    ddgate: hint: usage: ddgate run [OPTIONS] -- <COMMAND>...
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["rnu"]), @r"
    ddgate: error: unrecognized subcommand 'rnu'
    ddgate: hint: usage: ddgate [OPTIONS] <COMMAND>
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["show", "latest", "0"]), @r"
    ddgate: error: invalid value '0' for '<N>': calls are numbered 1, 2, 3, …
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["replay"]), @r"
    ddgate: error: the following required arguments were not provided: <SESSION>
    ddgate: hint: usage: ddgate replay <SESSION>
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["replay", "latest", "--json", "--speed", "2x"]), @r"
    ddgate: error: the argument '--json' cannot be used with '--speed <FACTOR>'
    ddgate: hint: usage: ddgate replay --json <SESSION>
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&["completions", "tcsh"]), @r"
    ddgate: error: invalid value 'tcsh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]
    ddgate: hint: a similar value exists: 'zsh'
    ddgate: hint: for more, add --help
    ");
    insta::assert_snapshot!(said(&[]), @r"
    ddgate: error: a verb is missing
    ddgate: hint: to see the verbs: ddgate --help
    ");
}
