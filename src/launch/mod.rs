//! Launching the agent: its environment, its certificate files, its life.
//!
//! Read in this order: `env` (what the child sees, pure), `no_proxy` and `scrub` (two parts
//! of that), `trust` (what stands in the files the environment names), `child` (start and
//! wait), `signals` (what is handed on, and why), `pipe` (a child whose input and output pass
//! through here). Invariant: the child holds no real
//! credential, and apart from its environment everything is as if ddgate were not there.

mod child;
pub mod env;
mod no_proxy;
pub mod pipe;
mod scrub;
#[cfg(unix)]
mod signals;
mod trust;

pub use child::{ChildEnd, INTERRUPT, LaunchError, Piped, Running, die_by, spawn, spawn_piped};
pub use env::{Inputs, Placeholders, TrustPaths};
pub use scrub::{Replacement, Scrubber};
pub use trust::{TrustFiles, TrustWarning, files};
