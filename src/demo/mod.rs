//! Everything `ddgate demo` needs without an account or a network: an identity provider, a small
//! Datadog, and a scripted coding agent, all on loopback.
//!
//! The demo drives the real `run`: nothing in this room is a second implementation of the gate,
//! and nothing here trusts a caller because it is "only the demo". It holds no data beyond one run.

pub mod agent;
mod client;
pub mod datadog;
mod loopback;
pub mod provider;

use std::io;
use std::time::Duration;

pub use client::ClientError;
pub use datadog::{FakeDatadog, Keys, Seen};
pub use provider::{Person, Provider};

/// Both parties of the demo, running until dropped.
pub struct Sandbox {
    /// Where the person signs in.
    pub provider: Provider,
    /// What every Datadog host stands for in the demo.
    pub datadog: FakeDatadog,
    /// The keys that open it: made for this run, known to nobody else.
    pub keys: Keys,
}

impl Sandbox {
    /// Returns the issuer to configure.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.provider.issuer()
    }

    /// Returns the client id to configure.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.provider.client_id()
    }

    /// Returns the address to use as `--upstream`.
    #[must_use]
    pub fn upstream(&self) -> String {
        self.datadog.url()
    }

    /// Lets the demo's person approve the next sign-in, `after` its code was issued.
    pub fn approve_next(&self, after: Duration) {
        self.provider.approve_next(after);
    }
}

/// Starts the provider and the Datadog of one demo run, on two free loopback ports.
///
/// # Errors
/// When the system grants no loopback sockets or no randomness.
pub async fn sandbox() -> io::Result<Sandbox> {
    let keys = Keys::random()?;
    Ok(Sandbox {
        provider: provider::start(Person::example()).await?,
        datadog: datadog::start(keys.clone()).await?,
        keys,
    })
}

/// Returns `N` random bytes of the operating system.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes bytes as lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
