//! The Model Context Protocol, as far as a gate has to understand it: which JSON-RPC messages a
//! body, a line or an event stream holds, and which of them call a tool.
//!
//! Pure: no I/O, no clock, nothing configurable. Invariant: whatever another reader might take for
//! something else is not understood here, and never called a read. It does not follow the protocol
//! (who may send what when); it decides nothing.
//!
//! - [`message`]: JSON-RPC 2.0 text → [`Message`]s
//! - [`refusal`](refusal()): the answer to what is not passed on
//! - [`sse`]: bytes of an event stream → events, however they are cut
//! - [`tools`]: the tools of Datadog's own server → read, write or destroy

pub mod message;
mod refusal;
pub mod sse;
pub mod tools;

pub use message::{Id, Kind, Message, NotUnderstood, Went, effect, parse, summary};
pub use refusal::{refusal, refusals};
pub use sse::{Event, EventStream};
pub use tools::{Server, TAG};
