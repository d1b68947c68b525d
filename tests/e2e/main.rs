//! Drives the binary as a person would: command line in; streams, exit code and files out.
//!
//! Needs nothing but Rust, `sh` and a loopback: agents are `sh` or this test binary itself
//! ([`agent`]). Nothing of the machine's environment reaches a ddgate under test ([`world`]).
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says what it could not test"
)]

#[path = "../support/absent.rs"]
mod absent;
mod agent;
mod bad_input;
mod cli;
mod config;
mod crash;
mod demo;
mod environment;
mod erase;
mod keys;
mod normal;
mod replay;
mod run;
mod sealed;
mod secrets;
mod sign_in;
mod upstream;
mod world;
