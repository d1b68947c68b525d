//! Looking back at a session: leaves are folded into calls, and calls into a timeline.
//!
//! Pure: no file, no clock, no terminal. The journal brings leaves and the content that stands
//! beside them; `ui` draws what comes out.
//!
//! - [`fold`]: leaves → [`SessionView`], saying where the record contradicts itself
//! - [`view`]: the model a reader sees: head, calls, tunnels, counts
//! - [`caller`]: which process made a call
//! - [`detail`]: one call with its content
//! - [`pace`]: how long to wait between two calls

pub mod caller;
pub mod detail;
pub mod fold;
mod late;
pub mod pace;
#[cfg(test)]
pub(crate) mod sample;
pub mod view;

pub use caller::Caller;
pub use detail::{Body, CallDetail, Message, ToolDetail};
pub use fold::{Fold, FoldError};
pub use pace::{Pace, Speed};
pub use view::{
    Counts, Distrusting, Given, HeadContent, IdentityChange, Oddity, Seen, SeenTunnel, SessionHead,
    SessionView, State, Summary, tool_name,
};
