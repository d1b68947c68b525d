//! `keys`, as typed. No value is ever an argument: other programs could see it.

use clap::{Args, Subcommand, ValueEnum};

/// What follows `ddgate keys`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  ddgate keys set api-key
  ddgate keys list
  ddgate keys rm app-key"
)]
pub struct KeysArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Store a key in the system's keyring
    ///
    /// The value is asked for without being shown, or read from standard input. It is never taken
    /// from the command line, where other programs could see it.
    #[command(after_help = "\
Examples:
  ddgate keys set api-key
  op read op://work/datadog/app-key | ddgate keys set app-key
  ddgate keys set bearer --credential sre")]
    Set {
        /// Which key
        #[arg(value_enum, value_name = "NAME")]
        name: KeyName,
        /// For the credential that has `store = "CREDENTIAL"` in the configuration file
        #[arg(long, value_name = "CREDENTIAL")]
        credential: Option<String>,
    },
    /// List which keys there are and where, never their values
    #[command(after_help = "\
Examples:
  ddgate keys list
  ddgate keys list --json")]
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove a key from the system's keyring
    #[command(after_help = "\
Examples:
  ddgate keys rm app-key")]
    Rm {
        /// Which key
        #[arg(value_enum, value_name = "NAME")]
        name: KeyName,
        /// Of the credential that has `store = "CREDENTIAL"` in the configuration file
        #[arg(long, value_name = "CREDENTIAL")]
        credential: Option<String>,
    },
}

/// A Datadog credential, or the key of pseudonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyName {
    /// The API key (DD-API-KEY)
    ApiKey,
    /// The application key (DD-APPLICATION-KEY)
    AppKey,
    /// An access token: personal (ddpat_…), of a service (ddsat_…), or OAuth (Authorization: Bearer)
    Bearer,
    /// The key of the pseudonyms that stand for removed values: any text, opens nothing
    RedactionKey,
}
