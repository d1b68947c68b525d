//! What follows the verbs that hand a record on: `export`, `prove`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::look::call_number;
use super::sealed::IdentityFileArgs;

/// What follows `ddgate export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate export latest -o session
  ddgate export 3f2a9c1e --format tlog -o session --json
  ddgate export 3f2a9c1e --age-identity key.txt -o opened    Sealed contents, in the open
  ddgate verify --dir session            Check what was written, here or elsewhere")]
pub struct ExportArgs {
    /// The session: an id, the beginning of one, or `latest`
    #[arg(value_name = "SESSION")]
    pub session: String,
    /// The format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "tlog")]
    pub format: ExportFormat,
    /// Write this directory; it must not exist, or be empty
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Print one JSON object about what was written
    #[arg(long)]
    pub json: bool,
    /// What opens sealed contents: they are written in the open then.
    #[command(flatten)]
    pub identity: IdentityFileArgs,
}

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A directory of C2SP tiles and checkpoints, with openings and contents
    Tlog,
}

/// What follows `ddgate prove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate prove latest 7 -o call-7
  ddgate verify --proof call-7           Check it, here or elsewhere")]
pub struct ProveArgs {
    /// The session: an id, the beginning of one, or `latest`
    #[arg(value_name = "SESSION")]
    pub session: String,
    /// The number of the call, as `replay` shows it
    #[arg(value_name = "N", value_parser = call_number)]
    pub call: u64,
    /// Write this directory; it must not exist, or be empty
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Print one JSON object about what was written
    #[arg(long)]
    pub json: bool,
    /// What opens sealed contents: they are written in the open then.
    #[command(flatten)]
    pub identity: IdentityFileArgs,
}
