//! What concerns contents that are sealed, or are to be erased.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// What opens sealed contents.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityFileArgs {
    /// Open sealed contents with the age identities in this file (may be repeated)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub age_identity: Vec<PathBuf>,
}

/// What follows `ddgate erase`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate erase 3f2a9c1e
  ddgate erase 3f2a9c1e --yes")]
pub struct EraseArgs {
    /// The session: an id, the beginning of one, or `latest`
    #[arg(value_name = "SESSION")]
    pub session: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}
