//! What Datadog is to the gate: which hosts are Datadog's, and what a call means there.
//!
//! Pure: no I/O, nothing configurable. The catalogue errs on one side only: a call it does not
//! know is never called a read. It does not look into bodies, and it decides nothing.

pub mod catalogue;
mod path;
pub mod site;

pub use catalogue::{classify, is_mcp_host};
pub use path::is_plain;
pub use site::{Site, SiteError, base_host, is_datadog_host, name_constraints};
