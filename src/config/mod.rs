//! The only room that reads settings: files, environment, flags, and the platform's directories.
//!
//! Read in this order: `file` and `profile` (what a `ddgate.toml` says), `env` (every variable),
//! `layers` (what counts before what), `resolve`, `recording`, `policy`, `admission`, `lapse` and
//! `confine` (who wins), `credentials` and `workload` (lists of their own), `settings` (what everybody gets), `value` (what each text means), `paths`
//! (directories).
//! Invariant: everybody else gets typed values and knows where each comes from; a project
//! file can never weaken what the user decided.

mod admission;
mod check;
mod confine;
mod credentials;
pub mod env;
mod error;
mod file;
mod lapse;
mod layers;
mod overrides;
mod paths;
mod policy;
mod profile;
mod recording;
mod resolve;
mod settings;
mod value;
mod workload;

pub use check::{FileFound, files};
pub use credentials::is_credential_name;
pub use error::{ConfigError, Place, Whence};
pub use file::FILE_NAME;
pub use lapse::{LapseSettings, Span};
pub use overrides::Overrides;
pub use paths::{Paths, create_private};
pub use resolve::{Lookup, load};
pub use settings::{
    AdmissionSettings, Config, CredentialCommand, CredentialEntry, CredentialFrom, DatadogSettings,
    EgressSettings, EnforceSettings, IdentitySettings, JournalSettings, Origin, PolicySettings,
    RecordingSettings, Row, Setting,
};
pub use value::{Dpop, Flow, IdentityMode, Prompt, Storage};
pub use workload::AcceptedWorkload;
