//! Flags of `ddgate run` about what the command is held to, and whom it may reach: as typed.

use clap::{Args, ValueEnum};

/// What the command is held to.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfineArgs {
    /// What the system, which must be Linux, is to hold the command to
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    pub enforce: Option<EnforceChoice>,
    /// Let the command connect to this TCP port itself, on any host; may be repeated
    #[arg(long, value_name = "PORT")]
    pub allow_port: Vec<u16>,
    /// Whom the command may reach through the gate beside Datadog
    #[arg(long, value_enum, value_name = "WHOM")]
    pub egress: Option<EgressChoice>,
    /// A host it may reach through the gate, such as *.example.com; may be repeated
    #[arg(long, value_name = "HOST[:PORT]")]
    pub allow_host: Vec<String>,
}

/// What the command is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EnforceChoice {
    /// As much as this system can; what that is, is said and recorded
    Auto,
    /// TCP leads to the gate alone, or the command does not run
    On,
    /// The same, and no UDP, so no DNS
    Strict,
    /// Nothing
    Off,
}

/// Whom the command may reach through the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EgressChoice {
    /// Everybody; each connection is recorded: host, bytes, time
    Any,
    /// The hosts named by --allow-host and by the settings
    Listed,
    /// Nobody but Datadog
    DatadogOnly,
}
