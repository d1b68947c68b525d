//! `doctor`, as typed. What is looked at is decided in `commands`.

use clap::{Args, ValueHint};

use super::{IdentityChoice, ProviderArgs};

/// What follows `ddgate doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate doctor
  ddgate doctor --identity local
  ddgate doctor --json | jq '.checks[] | select(.state == \"fail\")'")]
pub struct DoctorArgs {
    /// Who a session would belong to
    #[arg(long, value_enum, value_name = "HOW")]
    pub identity: Option<IdentityChoice>,
    /// Ask the Datadog at this address instead
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub upstream: Option<String>,
    /// The Datadog site, for example datadoghq.eu
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// The identity provider to sign in with
    #[command(flatten)]
    pub provider: ProviderArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
