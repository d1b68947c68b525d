//! The command line as typed: every flag and all help text, no logic. What the flags mean is
//! decided in `config` (settings) and `commands` (verbs).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};

use crate::ui::ColorWish;

mod confine;
mod doctor;
mod hand_on;
mod keys;
mod look;
mod mcp;
mod policy;
mod sealed;
mod sign_in;

pub use confine::{ConfineArgs, EgressChoice, EnforceChoice};
pub use doctor::DoctorArgs;
pub use hand_on::{ExportArgs, ExportFormat, ProveArgs};
pub use keys::{KeyName, KeysArgs, KeysCommand};
pub use look::{BodySide, ReplayArgs, SessionsArgs, ShowArgs, VerifyArgs};
pub use mcp::McpArgs;
pub use policy::PolicyArgs;
pub use sealed::{EraseArgs, IdentityFileArgs};
pub use sign_in::{LoginArgs, LogoutArgs, SignInArgs, StatusArgs};

/// A gate between an AI coding agent and Datadog.
///
/// ddgate signs the person in, starts the agent with placeholder keys, and puts every call to
/// Datadog on record before it leaves. The real keys never reach the agent.
#[derive(Debug, Parser)]
#[command(
    name = "ddgate",
    version,
    after_help = ROOT_EXAMPLES,
    after_long_help = ROOT_REFERENCE,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    propagate_version = false
)]
pub struct Cli {
    /// Flags every verb takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

const ROOT_EXAMPLES: &str = "\
Examples:
  ddgate demo                       See it work: no account, no network
  ddgate run -- claude              Run an agent behind the gate
  ddgate replay latest              See what it did";

// Paragraphs of `Title:` and indented lines: `tests/generated.rs` makes sections of them.
const ROOT_REFERENCE: &str = "\
Examples:
  ddgate demo                       See it work: no account, no network
  ddgate run -- claude              Run an agent behind the gate
  ddgate replay latest              See what it did

Exit status of `run` and `demo`:
  N      the command's own exit status
  128+N  signal N ended the command
  125    ddgate itself failed
  126    the command cannot be executed
  127    the command was not found

Exit status of the other verbs:
  0      yes, done
  1      the answer is no
  2      the command line or a configuration file is wrong (`run` too); `verify`: incomplete
  3      not signed in, or not as somebody the settings admit (`run` too)
  4      the session cannot be read, or is locked
  5      something remote failed; trying again may help
  70     a bug in ddgate

Environment:
  DDGATE_*  set what the configuration file sets; flags override them. `ddgate config show` lists
            every setting, its value, and where the value came from
  NO_COLOR  turns colour off

Output:
  Data goes to standard output. Everything else goes to standard error, and every such line begins
  with `ddgate: `, since the command shares the terminal.";

impl Cli {
    /// The command line without what is hidden: what completions are made from, since their
    /// generators show hidden verbs.
    #[must_use]
    pub fn visible_command() -> clap::Command {
        let whole = Self::command();
        let visible = whole.get_subcommands().filter(|verb| !verb.is_hide_set());
        clap::Command::new("ddgate")
            .version(env!("CARGO_PKG_VERSION"))
            .disable_help_subcommand(true)
            .args(whole.get_arguments())
            .subcommands(visible)
    }
}

/// Flags every verb takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Read this configuration file instead of the user's
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Keep sessions in this directory
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Use this profile of the user's configuration file
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// When to colour
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub color: ColorWish,
    /// Say more about what is done
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl ValueEnum for ColorWish {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("On a terminal, unless NO_COLOR is set"),
            Self::Always => PossibleValue::new("always").help("In files and pipes too"),
            Self::Never => PossibleValue::new("never").help("Never"),
        })
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command behind the gate
    ///
    /// Signs the person in, opens a session, and starts the command with placeholder Datadog keys
    /// and with its way to Datadog leading through the gate. Every call is on stable storage before
    /// its first byte leaves. When the command ends, ddgate ends with the same exit status.
    Run(RunArgs),
    /// Run an MCP server behind the gate, and record the tools that are called
    ///
    /// Stands before the server's command in an agent's MCP configuration. Input and output pass
    /// through unchanged; each tool call is on stable storage before the server gets it, and the
    /// server's own calls to Datadog go through the gate, as under `run`. It asks nothing, because
    /// standard input is the protocol: sign in first, with `ddgate login`. Configurations of the
    /// usual agents are in ddgate-mcp(5).
    Mcp(McpArgs),
    /// Show a session as a timeline
    ///
    /// Shows who, when, which command, then one line a call. Nothing is sent anywhere. Colours
    /// follow the effect: writes yellow, deletions red, refusals magenta.
    Replay(ReplayArgs),
    /// Show one call of a session in full
    ///
    /// Shows the decision, headers and bodies as recorded. Secrets were removed before recording;
    /// what stands in their place says which rule removed them.
    Show(ShowArgs),
    /// Check that a session's record is what was signed
    ///
    /// Checks every leaf against the signed checkpoints, every content against its commitment, and
    /// the session against its neighbours; then says what that leaves open. Exit status: 0 VERIFIED,
    /// 1 TAMPERED (or damaged), 2 INCOMPLETE (something is not there).
    Verify(VerifyArgs),
    /// Write a session out in published formats
    ///
    /// Writes a directory that anyone can check without ddgate: C2SP tiles and signed checkpoints,
    /// what opens the commitments, and the contents. ddgate-log(5) describes it. The record is
    /// checked meanwhile; of a broken one, what is still proven is written, and the exit status
    /// is 1.
    Export(ExportArgs),
    /// Write out one call with a proof that it is in the session's log
    ///
    /// Writes the call's leaves with a C2SP proof each, what opens their commitments, and the
    /// session's public key: nothing else of the session. ddgate-log(5) describes it.
    Prove(ProveArgs),
    /// List the sessions on this machine, the latest first
    Sessions(SessionsArgs),
    /// Erase what a session holds, and keep the proof of what happened
    ///
    /// Removes headers, bodies, paths, identity, command line and host for ever. What was called
    /// when, with which outcome, stays, and every proof still holds. Copies elsewhere are not
    /// reached: sessions exported or uploaded, backups, snapshots of the file system, and what a
    /// disk keeps of overwritten blocks.
    Erase(EraseArgs),
    /// Sign in
    ///
    /// Uses the OpenID Connect device flow: open an address on any device and enter a code. With
    /// `--browser`, a browser on this machine instead (authorization code with PKCE), for
    /// organisations that switch the device flow off. ddgate-sign-in(5) has the details.
    Login(LoginArgs),
    /// Sign out, here and at the identity provider
    Logout(LogoutArgs),
    /// Show who is signed in, which keys there are, and where things are kept
    ///
    /// Shows no secret. In a CI job: who a run would be there, or what is missing (ddgate-ci(5)).
    Status(StatusArgs),
    /// Look at everything a run stands on, and say what to do next
    ///
    /// Does what a run would do, up to the point where the command would start: reads the
    /// configuration, renews the stored sign-in, finds the credential, asks Datadog whether it takes
    /// it; and looks at clock, keyring, data directory, proxy, certificates and sandbox. Asks nobody
    /// anything and shows no secret. Exit status 1 if something would stop a run.
    Doctor(DoctorArgs),
    /// Hand the gate the Datadog keys it is to hold
    ///
    /// Commands that ddgate runs see placeholders only.
    Keys(KeysArgs),
    /// See it work against a pretend Datadog, without account or network
    ///
    /// Starts a pretend identity provider, a pretend Datadog and a scripted agent on this machine,
    /// and then shows the timeline of what the agent did.
    Demo(DemoArgs),
    /// Print the pseudonym that stands in the record for a value
    ///
    /// To ask whether a removed value was this one, compare with the 16 digits of its marker,
    /// `[REDACTED:rule:digits]`. The value is asked for without being shown, or read from standard
    /// input; a newline at its end is not part of it. It takes the key of `ddgate keys set
    /// redaction-key`: without it, every session has a key of its own that nobody keeps.
    Pseudonym(PseudonymArgs),
    /// Look at the configuration
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// The scripted agent of `demo`
    #[command(hide = true)]
    DemoAgent,
}

/// What follows `ddgate run`.
#[derive(Debug, Args)]
#[command(
    override_usage = "ddgate run [OPTIONS] -- <COMMAND>...",
    after_help = "\
Examples:
  ddgate run -- claude
  ddgate run -- python3 tidy_monitors.py --dry-run
  ddgate run --site datadoghq.eu -- pup monitors list
  ddgate run --read-only -- claude               Deny every call that is not a read
  ddgate run --deny 'Delete*' --deny tag:Users -- claude
  ddgate run --identity local -- ./report.sh     Record the OS user, unverified; no sign-in"
)]
pub struct RunArgs {
    /// Whose session, and which Datadog.
    #[command(flatten)]
    pub ends: EndsArgs,
    /// How a person signs in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// Whether ddgate may ask the person something
    #[arg(long, value_enum, value_name = "WHEN")]
    pub prompt: Option<PromptChoice>,
    /// What an acknowledged record survives: `process` is for throwaway runs
    #[arg(long, value_enum, value_name = "WHAT")]
    pub durability: Option<DurabilityChoice>,
    /// What the session may do.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// What the command is held to
    #[command(flatten)]
    pub confine: ConfineArgs,
    /// Say nothing unless something is wrong
    #[arg(short, long)]
    pub quiet: bool,
    /// The command and its arguments; everything here belongs to the command
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// The two ends of a session: whose it is, and which Datadog it reaches.
#[derive(Clone, Debug, Default, Args)]
pub struct EndsArgs {
    /// Who a session belongs to
    #[arg(long, value_enum, value_name = "HOW")]
    pub identity: Option<IdentityChoice>,
    /// Reach Datadog at this address instead (the Host header is kept)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub upstream: Option<String>,
    /// The Datadog site, for example datadoghq.eu
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// The identity provider to sign in with
    #[command(flatten)]
    pub provider: ProviderArgs,
}

/// Which identity provider.
#[derive(Clone, Debug, Default, Args)]
pub struct ProviderArgs {
    /// The OpenID Connect issuer to sign in with
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub issuer: Option<String>,
    /// The public client id of ddgate at the issuer
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
}

/// Whom a session is recorded under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IdentityChoice {
    /// The operating system's user, recorded as unverified
    Local,
    /// The person an OpenID Connect provider vouches for
    Oidc,
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DurabilityChoice {
    /// A power cut
    PowerLoss,
    /// The end of ddgate's process, but no power cut
    Process,
}

/// Whether the person may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PromptChoice {
    /// On a terminal, outside CI
    Auto,
    /// Always
    Always,
    /// Never: fail at once where an answer would be needed
    Never,
}

/// What follows `ddgate pseudonym`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate pseudonym
  op read op://work/datadog/api-key | ddgate pseudonym
  op read op://work/datadog/api-key | ddgate pseudonym --json | jq -r .pseudonym")]
pub struct PseudonymArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What follows `ddgate demo`.
#[derive(Debug, Args)]
#[command(
    override_usage = "ddgate demo [OPTIONS] [-- <COMMAND>...]",
    after_help = "\
Examples:
  ddgate demo
  ddgate demo -- sh -c 'curl -s \"$DD_HOST/api/v1/monitor\" -H \"DD-API-KEY: $DD_API_KEY\"'"
)]
pub struct DemoArgs {
    /// A command to run against the pretend Datadog in place of the scripted agent
    #[arg(trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What follows `ddgate config`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  ddgate config show"
)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting, its value, and where the value came from
    #[command(after_help = "\
Examples:
  ddgate config show
  ddgate config show --json")]
    Show {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
}

/// What follows `ddgate completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate completions bash > ~/.local/share/bash-completion/completions/ddgate
  ddgate completions zsh > ~/.zfunc/_ddgate
  ddgate completions fish > ~/.config/fish/completions/ddgate.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words)
    }

    fn command_of(words: &[&str]) -> Vec<OsString> {
        match parse(words).unwrap().command {
            Command::Run(run) => run.command,
            Command::Demo(demo) => demo.command,
            Command::Mcp(mcp) => mcp.run.command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn hidden_verbs_are_not_completed() {
        let names: Vec<String> = Cli::visible_command()
            .get_subcommands()
            .map(|verb| verb.get_name().to_owned())
            .collect();
        assert!(names.contains(&"run".to_owned()) && names.contains(&"demo".to_owned()));
        assert!(!names.contains(&"demo-agent".to_owned()));
    }

    #[test]
    fn every_verb_has_examples() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string);
            let name = command.get_name();
            if command.is_hide_set() {
                return;
            }
            assert!(
                help.unwrap_or_default().starts_with("Examples:\n  "),
                "{name}"
            );
            assert!(command.get_about().is_some(), "{name}");
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn what_follows_the_command_is_the_commands_own() {
        let whole = ["sh", "-c", "x", "--json", "--", "-q", "--config", "f"];
        for head in [
            &["ddgate", "run", "--"][..],
            &["ddgate", "run"],
            &["ddgate", "demo"],
            &["ddgate", "mcp"],
            &["ddgate", "mcp", "--"],
        ] {
            let words: Vec<&str> = head.iter().chain(&whole).copied().collect();
            assert_eq!(command_of(&words), whole, "{head:?}");
        }
        assert_eq!(command_of(&["ddgate", "run", "--", "--odd"]), ["--odd"]);
        assert!(command_of(&["ddgate", "demo"]).is_empty());
    }

    #[test]
    fn flags_stand_before_the_command_and_global_ones_anywhere() {
        let cli = parse(&[
            "ddgate",
            "run",
            "-vv",
            "--color",
            "never",
            "--issuer",
            "https://i",
            "-q",
            "--",
            "x",
        ])
        .unwrap();
        assert_eq!(
            (cli.global.verbose, cli.global.color),
            (2, ColorWish::Never)
        );
        let Command::Run(run) = cli.command else {
            panic!()
        };
        assert!(run.quiet);
        assert_eq!(run.ends.provider.issuer.as_deref(), Some("https://i"));
    }

    #[test]
    fn mistakes_are_refused() {
        let kind = |words: &[&str]| parse(words).unwrap_err().kind();
        for (words, expected) in [
            (
                &["ddgate", "run", "--bogus", "--", "x"][..],
                ErrorKind::UnknownArgument,
            ),
            (&["ddgate", "run"], ErrorKind::MissingRequiredArgument),
            (&["ddgate", "show", "a", "0"], ErrorKind::ValueValidation),
            (
                &["ddgate", "replay", "a", "--speed", "warp"],
                ErrorKind::ValueValidation,
            ),
            (
                &["ddgate", "replay", "a", "--json", "--step"],
                ErrorKind::ArgumentConflict,
            ),
            (
                &["ddgate", "keys", "set", "api-key", "value"],
                ErrorKind::UnknownArgument,
            ),
            (&["ddgate", "keys", "set", "other"], ErrorKind::InvalidValue),
            (&["ddgate", "frobnicate"], ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(kind(words), expected, "{words:?}");
        }
    }
}
