//! The flags of `ddgate mcp`: those of `run`, because it is one.

use clap::Args;

use super::RunArgs;

/// What follows `ddgate mcp`.
#[derive(Debug, Args)]
#[command(
    override_usage = "ddgate mcp [OPTIONS] -- <COMMAND>...",
    after_help = "\
Examples:
  ddgate mcp -- npx -y @winor30/mcp-server-datadog
  ddgate mcp --site datadoghq.eu -- uvx datadog-mcp
  claude mcp add datadog -- ddgate mcp -- npx -y @winor30/mcp-server-datadog"
)]
pub struct McpArgs {
    /// As for `run`; nobody is asked anything, whatever `--prompt` says.
    #[command(flatten)]
    pub run: RunArgs,
}
