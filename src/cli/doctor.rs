//! `doctor`, as typed. What is looked at is decided in `commands`.

use clap::Args;

use super::EndsArgs;

/// What follows `ddgate doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate doctor
  ddgate doctor --identity local
  ddgate doctor --json | jq '.checks[] | select(.state == \"fail\")'")]
pub struct DoctorArgs {
    /// Whose session it would be, and which Datadog.
    #[command(flatten)]
    pub ends: EndsArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
