//! Launching the agent: its environment, its certificate files, its life.
//!
//! Read in this order: `env` (what the child sees, pure), `no_proxy` and `scrub` (two parts
//! of that), `key_files` (what it can read elsewhere), `trust` (what stands in the files the environment names), `child` (start and
//! wait), `sandbox` (what the system holds it to), `signals` (what is handed on, and why). Invariant: the child holds no real
//! credential, and apart from its environment everything is as if ddgate were not there.

mod child;
pub mod env;
pub mod key_files;
mod no_proxy;
pub mod sandbox;
mod scrub;
#[cfg(unix)]
mod signals;
mod trust;

pub use child::{ChildEnd, INTERRUPT, LaunchError, Running, die_by, spawn};
pub use env::{Inputs, Placeholders, TrustPaths};
pub use key_files::KeyInFile;
pub use sandbox::Sandbox;
pub use scrub::{Replacement, Scrubber};
pub use trust::{TrustFiles, TrustWarning, files};
