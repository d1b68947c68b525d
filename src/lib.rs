//! ddgate: a gate between an AI coding agent and Datadog.
//!
//! Begin reading at `proxy/pipeline.rs`, then `journal/writer.rs`, then `gate.rs`.
//! ARCHITECTURE.md has the map; `tests/tidy.rs` holds who may use whom.

pub mod auth;
pub mod cli;
pub mod commands;
pub mod config;
pub mod content_coding;
pub mod datadog;
pub mod demo;
pub mod error;
pub mod exit;
pub mod export;
pub mod gate;
pub mod journal;
pub mod launch;
pub mod limits;
pub mod mcp;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod record;
pub mod redact;
pub mod replay;
pub mod tlog;
pub mod ui;

/// Parses the command line, runs it, and returns what the shell should see.
#[must_use]
pub fn run() -> std::process::ExitCode {
    commands::main().into()
}
