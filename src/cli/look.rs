//! What follows the verbs that look back: `replay`, `show`, `sessions`, `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::sealed::IdentityFileArgs;
use crate::replay::Speed;

/// What follows `ddgate replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate replay latest
  ddgate replay 3f2a9c1e --speed 4x      In the session's own rhythm, four times as fast
  ddgate replay 3f2a --step              One call at a time; Enter shows the next, q ends
  ddgate replay latest --follow          Watch a session that is still running
  ddgate replay latest --json | jq '.calls[] | select(.effect != \"read\")'")]
pub struct ReplayArgs {
    /// The session: an id, the beginning of one, or `latest`
    #[arg(value_name = "SESSION")]
    pub session: String,
    /// Print one JSON object; with --follow, one a line for every call that has
    /// ended, and once more where a result of its tools comes later
    #[arg(long, conflicts_with_all = ["speed", "step"])]
    pub json: bool,
    /// Go on with what a running session records, until it ends or you stop it
    #[arg(short, long, conflicts_with_all = ["speed", "step"])]
    pub follow: bool,
    /// Keep the session's rhythm, this much faster (pauses last at most 5 s)
    #[arg(long, value_name = "FACTOR", conflicts_with = "step")]
    pub speed: Option<Speed>,
    /// Wait for Enter before each call
    #[arg(long)]
    pub step: bool,
    /// What opens sealed contents.
    #[command(flatten)]
    pub identity: IdentityFileArgs,
}

/// What follows `ddgate show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate show latest 7
  ddgate show 3f2a9c1e 7 --json
  ddgate show 3f2a9c1e 7 --body response > dashboard.json")]
pub struct ShowArgs {
    /// The session: an id, the beginning of one, or `latest`
    #[arg(value_name = "SESSION")]
    pub session: String,
    /// The number of the call, as `replay` shows it
    #[arg(value_name = "N", value_parser = call_number)]
    pub call: u64,
    /// Print one JSON object
    #[arg(long, conflicts_with = "body")]
    pub json: bool,
    /// Write the recorded bytes of one body, and nothing else, to standard output
    #[arg(long, value_enum, value_name = "SIDE")]
    pub body: Option<BodySide>,
    /// What opens sealed contents.
    #[command(flatten)]
    pub identity: IdentityFileArgs,
}

pub(super) fn call_number(text: &str) -> Result<u64, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("calls are numbered 1, 2, 3, …"),
        Ok(number) => Ok(number),
    }
}

/// One of the two bodies of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BodySide {
    /// What the command sent
    Request,
    /// What Datadog answered
    Response,
}

/// What follows `ddgate verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate verify latest
  ddgate verify --all                    Every session, and whether one was deleted
  ddgate verify 3f2a9c1e --vkey vkey.txt --trusted-checkpoint checkpoint.txt
  ddgate verify latest --jwks keys.json --age-identity key.txt    Who it was, by their provider's keys
  ddgate verify --dir session --vkey vkey.txt    What `export` wrote, here or elsewhere
  ddgate verify --proof call-7                   What `prove` wrote")]
pub struct VerifyArgs {
    /// The sessions: ids, beginnings of them, or `latest`
    #[arg(value_name = "SESSION", required_unless_present_any = ["all", "dir", "proof"])]
    pub sessions: Vec<String>,
    /// Check every session, and look for ones that were deleted whole
    #[arg(long, conflicts_with_all = ["sessions", "vkey", "trusted_checkpoint"])]
    pub all: bool,
    /// Check this directory, which `export` wrote
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["sessions", "all"])]
    pub dir: Option<PathBuf>,
    /// Check this directory, which `prove` wrote
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["sessions", "all", "dir", "trusted_checkpoint"])]
    pub proof: Option<PathBuf>,
    /// The key the record must be signed with, or a file that holds it: from elsewhere, not from
    /// the record
    #[arg(long, value_name = "KEY")]
    pub vkey: Option<String>,
    /// A signed checkpoint kept elsewhere, which the record must agree with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trusted_checkpoint: Vec<PathBuf>,
    /// Fail (exit 2) unless the session's key is provably tied to the person it names
    #[arg(long, conflicts_with_all = ["all", "dir", "proof"])]
    pub require_bound: bool,
    /// The identity provider's keys (a JSON Web Key Set), got from the provider: fail (exit 2) unless
    /// one of them vouches for the person; those the record brings along do not count
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["all", "dir", "proof"])]
    pub jwks: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What opens sealed contents.
    #[command(flatten)]
    pub identity: IdentityFileArgs,
}

/// What follows `ddgate sessions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate sessions
  ddgate sessions --limit 100
  ddgate sessions --json | jq -r '.[] | select(.counts.denied > 0) | .id'")]
pub struct SessionsArgs {
    /// Print one JSON array
    #[arg(long)]
    pub json: bool,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// What opens sealed contents.
    #[command(flatten)]
    pub identity: IdentityFileArgs,
}
