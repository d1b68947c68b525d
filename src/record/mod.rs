//! The words of the house: what a session, an actor, an operation, an event and a call are.
//!
//! Pure data. Nothing here does I/O, and every other room may use it.

pub mod actor;
pub mod binding;
pub mod call;
pub mod contents;
pub mod egress;
pub mod enforcement;
pub mod event;
pub mod glob;
pub mod operation;
pub mod outside;
pub mod policy;
pub mod process;
pub mod recording;
pub mod secret;
pub mod session;
mod sorted;
pub mod standing;
pub mod tool;
pub mod workload;

pub use actor::{Identity, Via};
pub use binding::{BindingMethod, SessionBinding};
pub use call::{Call, Outcome, ToolCall};
pub use contents::{Contents, Erasure};
pub use egress::{EgressRule, HostRule};
pub use enforcement::{Enforce, Enforcement};
pub use event::{Commitment, Event, Leaf};
pub use operation::{Effect, Operation, Resource};
pub use outside::{Distrusted, Tunnel};
pub use policy::PolicyInForce;
pub use process::{Agent, Program};
pub use recording::{Level, LevelRules, Recording};
pub use secret::Secret;
pub use session::{CallNumber, HostFacts, SessionId};
pub use standing::{IdentityLapse, IdentityRefresh, LapseReason, OnLapse};
pub use tool::{McpCall, McpResult, McpUnread, ToolOutcome};
pub use workload::{Workload, WorkloadKind, WorkloadSystem};
