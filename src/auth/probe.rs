//! Whether what a sign-in stands on works: the provider's documents, the place for secrets.
//!
//! Nobody is asked anything, no token is spent, and nothing is left behind.

use super::AuthError;
use super::aside::aside;
use super::identity::{IssuerSettings, Provider};
use super::secret_store::{SecretStore, StoreError};
use crate::net::HttpsClient;

/// What a provider offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// The device flow (RFC 8628).
    pub device: bool,
    /// Revocation (RFC 7009).
    pub revocation: bool,
}

/// Fetches the provider's discovery document and its keys.
///
/// # Errors
/// One of them is not to be had, or not what the standards say.
pub async fn provider(settings: &IssuerSettings, http: &HttpsClient) -> Result<Offers, AuthError> {
    let provider = Provider::discover(settings, http).await?;
    provider.keys().await?;
    let (device, revocation) = provider.offers();
    Ok(Offers { device, revocation })
}

/// Keeps, reads and deletes a dummy, as [`SecretStore::prove`] does, on a thread of its own.
///
/// # Errors
/// The store that was chosen does not work. An automatic one falls back to memory, and says why
/// ([`SecretStore::fallback`]).
pub async fn secret_store(store: &SecretStore) -> Result<(), StoreError> {
    let store = store.clone();
    let proven = aside("secrets", move || store.prove()).await;
    proven.map_err(StoreError::Thread)?
}
