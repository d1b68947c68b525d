//! ddgate in CI: each system is played by its own variables, its token endpoint or command by the
//! test provider (`tests/provider`), and the lines of `man/ddgate-ci.5` are what is configured.
//!
//! `systems` has what works on each system and what is said where it does not, `refused` the tokens
//! that are not believed, `settings` what may be configured and by whom, `renewal` the next token, `status` what
//! `ddgate status` says.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test fails by panicking, and says what it did"
)]

#[path = "../support/absent.rs"]
mod absent;
#[path = "../support/gate.rs"]
mod gate;
mod pipeline;
#[expect(dead_code, reason = "shared: each test uses a part of it")]
#[path = "../provider/start.rs"]
mod provider;
mod refused;
mod renewal;
mod settings;
mod status;
mod systems;
