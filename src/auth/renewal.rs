//! Verifying whoever a running session is for again, without asking anybody.
//!
//! A source is asked by one keeper at a time (`gate::identity`). It never decides whether a session
//! may go on: it says who is there now.

use std::fmt::Debug;
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::AuthError;
use super::identity::workload::{WorkloadError, WorkloadSource};
use super::identity::{IssuerSettings, Unverified};
use super::secret_store::SecretStore;
use super::session;
use crate::net::HttpsClient;
use crate::record::Identity;

/// Who is there now.
#[derive(Debug)]
pub enum Renewal {
    /// The same person, verified again. An answer without a new ID token leaves `expires` as it was.
    Verified(Box<Identity>),
    /// Nobody is signed in any more.
    Gone,
    /// Somebody else is.
    AnotherPerson,
}

/// What [`IdentitySource::renew`] gives.
pub type Renewing<'a> = Pin<Box<dyn Future<Output = Result<Renewal, AuthError>> + Send + 'a>>;

/// Where the identity of a running session is verified again.
pub trait IdentitySource: Debug + Send + Sync {
    /// Looks who is there. `before` is who the session is for. Ends by itself, within the limits of
    /// the store and of the client, and soon after `stop`, unless a token is being exchanged. Must
    /// not be dropped half-way: a token that was exchanged and not kept ends the sign-in.
    ///
    /// # Errors
    /// Nobody can tell at the moment: the provider or the store is not reached, or what came is not
    /// to be trusted.
    fn renew<'a>(&'a self, before: &'a Identity, stop: &'a CancellationToken) -> Renewing<'a>;
}

/// A person, by the refresh token of their sign-in.
pub struct PersonSource {
    settings: IssuerSettings,
    store: SecretStore,
    http: HttpsClient,
}

impl Debug for PersonSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonSource({})", self.settings.issuer)
    }
}

impl PersonSource {
    /// The person whose sign-in `store` keeps.
    #[must_use]
    pub const fn new(settings: IssuerSettings, store: SecretStore, http: HttpsClient) -> Self {
        Self {
            settings,
            store,
            http,
        }
    }

    async fn look(
        &self,
        before: &Identity,
        stop: &CancellationToken,
    ) -> Result<Renewal, AuthError> {
        let ready = session::ready(&self.settings, &self.store, &self.http, Some(before));
        let found = match stop.run_until_cancelled(Box::pin(ready)).await {
            Some(Ok(Some(ready))) => Box::pin(ready.renew(Some(before))).await,
            // Whoever stops it does not ask what was found.
            Some(Ok(None)) | None => return Ok(Renewal::Gone),
            Some(Err(error)) => Err(error),
        };
        match found {
            Ok((sign_in, _)) => Ok(Renewal::Verified(Box::new(sign_in.identity))),
            Err(AuthError::SignedOut { .. }) => Ok(Renewal::Gone),
            Err(AuthError::Verify(Unverified::SubjectChanged)) => Ok(Renewal::AnotherPerson),
            Err(AuthError::Unconfirmed { why, .. }) if why.is_somebody_else() => {
                Ok(Renewal::AnotherPerson)
            }
            Err(error) => Err(error),
        }
    }
}

impl IdentitySource for PersonSource {
    fn renew<'a>(&'a self, before: &'a Identity, stop: &'a CancellationToken) -> Renewing<'a> {
        Box::pin(self.look(before, stop))
    }
}

impl IdentitySource for WorkloadSource {
    fn renew<'a>(&'a self, before: &'a Identity, stop: &'a CancellationToken) -> Renewing<'a> {
        Box::pin(async move {
            let verified = Box::pin(self.verify(Some(before)));
            match stop.run_until_cancelled(verified).await {
                Some(Ok(identity)) => Ok(Renewal::Verified(Box::new(identity))),
                // Whoever stops it does not ask what was found.
                None => Ok(Renewal::Gone),
                Some(Err(WorkloadError::Auth(AuthError::Verify(Unverified::SubjectChanged)))) => {
                    Ok(Renewal::AnotherPerson)
                }
                Some(Err(error)) => Err(AuthError::Workload(Box::new(error))),
            }
        })
    }
}
