//! Who is acting, and with which keys: identity, credentials, and the place secrets are kept.
//!
//! [`session`] is what commands call; it stands on [`identity`] (OpenID Connect),
//! [`secret_store`] (OS keyring, file, memory) and [`credential`] (what opens Datadog). While a
//! session runs, [`renewal`] verifies again who it is for, and [`standing`] says whether that still
//! holds. Nothing here prints, and no error carries a token, a key, or the body of an answer.

mod aside;
pub mod credential;
mod error;
pub mod identity;
mod kept;
mod lock;
pub mod probe;
pub mod renewal;
pub mod secret_store;
pub mod session;
pub mod standing;

pub use error::AuthError;
