//! Drives the binary as a person would: command line in; streams, exit code and files out.
//!
//! Needs nothing but Rust, `sh` and a loopback: agents are `sh` or this test binary itself
//! ([`agent`]). Nothing of the machine's environment reaches a ddgate under test ([`world`]).
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did and could not do"
)]

#[path = "../support/absent.rs"]
mod absent;
mod agent;
mod attacks;
mod bad_input;
mod bound;
mod bypass;
#[cfg(target_os = "linux")]
mod callers;
mod chain;
mod cli;
mod clients;
mod config;
mod corporate;
mod crash;
mod damage;
mod demo;
#[path = "../support/dice.rs"]
mod dice;
mod doctor;
mod environment;
mod erase;
mod export;
mod follow;
mod groups;
mod hunt;
mod key_files;
mod keys;
mod kill_points;
mod lapse;
mod mcp;
mod normal;
mod outside;
mod policy;
#[expect(
    dead_code,
    reason = "shared with `tests/sign_in`, which uses all of it"
)]
#[path = "../provider/start.rs"]
mod provider;
mod pseudonym;
mod replay;
mod run;
mod sealed;
mod secrets;
mod sign_in;
mod stub;
mod tokens;
mod upstream;
mod userinfo;
mod world;
