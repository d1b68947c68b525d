//! The only room that prints. Data goes to stdout; everything else goes to stderr, every line
//! prefixed with `ddgate: `, because the child shares the terminal.
//!
//! Renderers are pure: plain data and a [`Look`] in, text out. Only [`printer`], [`progress`],
//! [`prompt`] and [`enter`] touch a stream. No renderer decides anything; foreign text is always escaped.
//!
//! - [`printer`] the streams · [`style`] tones · [`escape`] harmless text · [`words`] numbers
//! - [`table`] columns · [`timeline`] a session · [`call`] one call · [`sessions`] the list
//! - [`status`] sign-in, keys, settings · [`sign_in`] its screens · [`sign_in_events`] the same for
//!   editors · [`enter`] while something goes on · [`json`] for machines
//! - [`playback`] a timeline at a pace · [`progress`] spinner · [`prompt`] questions · [`diagnostic`] errors

pub mod call;
mod caller;
pub mod check;
pub mod diagnostic;
pub mod doctor;
pub mod enter;
pub mod escape;
mod identity;
pub mod json;
mod json_text;
mod outside;
mod people;
pub mod playback;
pub mod printer;
pub mod progress;
pub mod prompt;
mod qr;
pub mod sessions;
pub mod sign_in;
pub mod sign_in_events;
pub mod status;
pub mod style;
pub mod table;
pub mod timeline;
mod tools;
pub mod words;
pub mod workload;

pub use printer::{PrintError, Printer, Talk};
pub use progress::Progress;
pub use prompt::PromptError;
pub use style::{ColorWish, Look, Missing, Tone};
