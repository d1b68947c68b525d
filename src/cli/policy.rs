//! The flags that say what a session may do.

use clap::Args;

/// What a session may do. Each flag only takes away, also from what the configuration allows.
#[derive(Clone, Debug, Default, Args)]
pub struct PolicyArgs {
    /// Deny every call that is not a read
    ///
    /// Judged by ddgate's catalogue of Datadog's operations and not by the HTTP method: searches
    /// and queries sent by POST are reads. A call the catalogue does not know is no read, a GET
    /// neither. Tools of Datadog's MCP server are judged by their names in the same way.
    #[arg(long)]
    pub read_only: bool,
    /// Allow these operations and deny all others; may be repeated
    ///
    /// An operation id (`ListMonitors`), a tool of Datadog's MCP server (`search_datadog_logs`), a tag (`tag:Monitors`, `"tag:Service Level Objectives"`),
    /// or either with `*` for any characters (`Get*`, `*Dashboard*`, `tag:Logs*`). The case of
    /// letters does not matter. Calls the catalogue does not know have no id: only `*` matches them.
    #[arg(long, value_name = "PATTERN")]
    pub allow: Vec<String>,
    /// Deny these operations, even allowed ones; may be repeated
    ///
    /// Patterns are those of `--allow`.
    #[arg(long, value_name = "PATTERN")]
    pub deny: Vec<String>,
}
