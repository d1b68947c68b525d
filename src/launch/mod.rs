//! Launching the agent: its environment, its certificate files, its life.
//!
//! Read in this order: `env` (what the child sees, pure), `no_proxy`, `chain` and `scrub` (parts
//! of that), `key_files` (what it can read elsewhere), `files` (what the environment names), `trust`,
//! `jks`, `preload` and `launcher` (what stands in them), `agents` (what people are told), `browser` (for the person, not for the child), `child`
//! (start and wait), `sandbox` (what the system holds it to), `signals` (what is handed on, and
//! why), `pipe` (a child whose input and output pass through here). Invariant: the child holds no real
//! credential, and apart from its environment everything is as if ddgate were not there.

mod agents;
pub mod browser;
mod chain;
mod child;
pub mod env;
mod files;
mod jks;
pub mod key_files;
mod launcher;
mod no_proxy;
mod output;
pub mod pipe;
mod preload;
pub mod sandbox;
mod scrub;
#[cfg(unix)]
mod signals;
mod trust;

pub use agents::advice;
pub use child::{ChildEnd, INTERRUPT, LaunchError, Piped, Running, die_by, spawn, spawn_piped};
pub use env::{Inputs, Placeholders};
pub use files::{ChildFiles, Contents, FilesError};
pub use key_files::KeyInFile;
pub use launcher::launched;
pub use sandbox::Sandbox;
pub use scrub::{Replacement, Scrubber};
