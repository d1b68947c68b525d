//! Being signed in across runs: establish, look, sign out.
//!
//! Only a refresh token is kept, with the name of the person it belongs to; ID and access tokens
//! never are. A rotated refresh token is put away before anything else is done with the answer
//! that brought it, and one ddgate at a time does this.

use super::AuthError;
use super::aside::aside;
use super::identity::{
    self, Binding, IssuerSettings, Possession, Provider, Refreshed, Revocation, SignIn,
    SignInScreen, Unverified,
};
use super::kept::{Kept, KeyLost};
use super::lock::Lock;
use super::secret_store::{SecretStore, StoreError, refresh_token_name};
use crate::net::HttpsClient;
use crate::record::{Identity, Secret, Via};

pub use super::kept::Stored;

/// Whether a person may be asked to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompting {
    /// There is somebody to ask.
    Allowed,
    /// There is not: fail instead of waiting for a human.
    Forbidden,
}

/// Says why an identity that the userinfo endpoint confirmed does not suffice, where a sign-in anew
/// might tell more: many providers put groups into ID tokens alone.
pub type Missing<'a> = &'a (dyn Fn(&Identity) -> Option<String> + Sync);

/// How long the sign-in will last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HowKept {
    /// Until the provider ends it; kept in this place.
    Kept {
        /// As [`SecretStore::describe`] says it.
        place: String,
    },
    /// For this run.
    ThisRun {
        /// Why not longer.
        why: String,
    },
}

/// What a sign-out did: the token kept here is gone.
#[derive(Debug)]
pub struct SignOut {
    /// Whose it was.
    pub who: Stored,
    /// Whether the provider forgot it too.
    pub revocation: Result<Revocation, AuthError>,
}

/// Signs in: with the stored refresh token if there is one and what comes of it suffices, else by
/// asking a person.
///
/// # Errors
/// [`AuthError::NotSignedIn`] or [`AuthError::SignedOut`] when only a person could help and
/// `prompting` forbids asking; otherwise as [`identity::sign_in`] and [`identity::refresh`]. A
/// provider that is not reached is an error even if a person could be asked: asking needs it too.
pub async fn establish(
    settings: &IssuerSettings,
    store: &SecretStore,
    http: &HttpsClient,
    screen: &dyn SignInScreen,
    prompting: Prompting,
    missing: Missing<'_>,
) -> Result<(SignIn, HowKept), AuthError> {
    let why_not = match Box::pin(renew(settings, store, http)).await {
        Ok(Some(renewed)) => match missing_of(&renewed.0.identity, missing) {
            Some(why) if prompting == Prompting::Allowed => AuthError::NotEnough {
                issuer: settings.issuer.clone(),
                why,
            },
            // Whoever needs it refuses, and says so.
            _ => return Ok(renewed),
        },
        Ok(None) => AuthError::NotSignedIn {
            issuer: settings.issuer.clone(),
        },
        // Nobody who renewed it says who it is, or it cannot be renewed without its key: that leaves
        // the front door.
        Err(
            error @ (AuthError::SignedOut { .. }
            | AuthError::NoIdToken { .. }
            | AuthError::Possession { .. }
            | AuthError::Unconfirmed { .. }),
        ) => error,
        Err(error) => return Err(error),
    };
    if prompting == Prompting::Forbidden {
        return Err(why_not);
    }
    if !matches!(
        why_not,
        AuthError::NotSignedIn { .. } | AuthError::SignedOut { .. }
    ) {
        screen.again(&why_not);
    }
    // Before the person goes to the trouble: will it be kept?
    beside(store, SecretStore::prove).await?;
    let sign_in = Box::pin(identity::sign_in(settings, http, screen)).await?;
    let how = match &sign_in.refresh_token {
        Some(token) => {
            let is_bound = matches!(sign_in.binding, Binding::Bound(_));
            let possession = sign_in.possession.as_ref();
            let possession = possession.filter(|held| is_bound || held.is_demonstrated);
            let kept = Kept::of(&sign_in.identity, token).keyed(possession);
            // A run that is renewing the sign-in before this one puts its token away first. Without the
            // lock this goes on all the same: what somebody has just approved is not thrown away.
            let _lock = beside(store, |store| store.lock(LOCK)).await;
            keep(settings, store, &kept).await
        }
        None => HowKept::ThisRun {
            why: "the identity provider sent no refresh token (is the scope `offline_access` \
                  allowed?)"
                .to_owned(),
        },
    };
    Ok((sign_in, how))
}

/// What an identity lacks that no signed token stands for.
fn missing_of(identity: &Identity, missing: Missing<'_>) -> Option<String> {
    match identity.via {
        Via::Userinfo => missing(identity),
        _ => None,
    }
}

/// Says who is signed in, without asking the provider.
///
/// # Errors
/// The store fails.
pub async fn stored(
    settings: &IssuerSettings,
    store: &SecretStore,
) -> Result<Option<Stored>, AuthError> {
    Ok(load(settings, store).await?.map(|kept| kept.who()))
}

/// Forgets the stored sign-in, here first and then at the provider. None if there was none.
///
/// # Errors
/// The store fails, so that the token may still be there. A failed revocation is part of the
/// result instead.
pub async fn sign_out(
    settings: &IssuerSettings,
    store: &SecretStore,
    http: &HttpsClient,
) -> Result<Option<SignOut>, AuthError> {
    let _lock = beside(store, |store| store.lock(LOCK)).await?;
    let Some(kept) = load(settings, store).await? else {
        return Ok(None);
    };
    forget(settings, store).await?;
    let token = Secret::new(kept.rt.clone());
    Ok(Some(SignOut {
        who: kept.who(),
        revocation: Box::pin(identity::revoke(settings, http, &token)).await,
    }))
}

const LOCK: &str = "sign-in";

/// Uses the stored refresh token, if there is one.
async fn renew(
    settings: &IssuerSettings,
    store: &SecretStore,
    http: &HttpsClient,
) -> Result<Option<(SignIn, HowKept)>, AuthError> {
    match Box::pin(ready(settings, store, http, None)).await? {
        None => Ok(None),
        Some(ready) => Box::pin(ready.renew(None)).await.map(Some),
    }
}

/// A stored sign-in that nobody else can use for now, and the provider it is from.
pub(super) struct Ready<'a> {
    _lock: Option<Lock>,
    store: &'a SecretStore,
    provider: Provider<'a>,
    kept: Kept,
}

/// Gets everything ready to exchange the stored token; none if there is none. `before` is who a
/// session runs for already: the token of somebody else is left alone. Nothing has happened yet
/// when this is dropped.
pub(super) async fn ready<'a>(
    settings: &'a IssuerSettings,
    store: &'a SecretStore,
    http: &'a HttpsClient,
    before: Option<&Identity>,
) -> Result<Option<Ready<'a>>, AuthError> {
    // The lock comes before the read: what another ddgate has just rotated must not be used.
    let lock = beside(store, |store| store.lock(LOCK)).await?;
    let Some(kept) = load(settings, store).await? else {
        return Ok(None);
    };
    if before.is_some_and(|before| before.subject != kept.sub) {
        return Err(AuthError::Verify(Unverified::SubjectChanged));
    }
    Ok(Some(Ready {
        _lock: lock,
        store,
        provider: Provider::discover(settings, http).await?,
        kept,
    }))
}

impl Ready<'_> {
    /// Exchanges the token, puts the new one away, and verifies who came with it. Must not be
    /// dropped half-way: the old token may be dead by then.
    pub(super) async fn renew(
        self,
        before: Option<&Identity>,
    ) -> Result<(SignIn, HowKept), AuthError> {
        let Self {
            _lock,
            store,
            provider,
            kept,
        } = self;
        let settings = provider.settings();
        let old = Secret::new(kept.rt.clone());
        let possession = kept.possession().map_err(|KeyLost| AuthError::Possession {
            issuer: settings.issuer.clone(),
            why: "what is kept of it does not read".to_owned(),
        })?;
        let possession = possession.as_ref();
        let exchange = Box::pin(exchange(&provider, store, &kept, &old, possession));
        let (keys, exchanged) = tokio::join!(provider.keys(), exchange);
        let (refreshed, how) = match exchanged {
            Err(error @ AuthError::SignedOut { .. }) => {
                forget(settings, store).await?;
                return Err(error);
            }
            other => other?,
        };
        let keys = keys?;
        let binding = refreshed.binding(&provider, &keys, possession, &kept.sub);
        let person = refreshed.identity(&provider, keys, Some(&kept.sub), before, possession);
        let person = Box::pin(person).await?;
        let new = refreshed.refresh_token();
        // A token that was replaced is on file already, with the time of now.
        let is_on_file = new.as_ref().is_some_and(|new| new.expose() != old.expose());
        let newest = new.unwrap_or(old);
        let now = Kept::of(&person, &newest).keyed(possession);
        let how = match how {
            // Names change rarely: usually there is nothing more to write.
            HowKept::Kept { .. } if !is_on_file || !now.says_the_same(&kept) => {
                keep(settings, store, &now).await
            }
            how => how,
        };
        let sign_in = SignIn {
            identity: person,
            refresh_token: Some(newest),
            binding,
            possession: possession.cloned(),
        };
        Ok((sign_in, how))
    }
}

/// Exchanges the token and puts the new one away at once.
async fn exchange(
    provider: &Provider<'_>,
    store: &SecretStore,
    kept: &Kept,
    old: &Secret<String>,
    possession: Option<&Possession>,
) -> Result<(Refreshed, HowKept), AuthError> {
    let refreshed = provider.refresh(old, possession).await?;
    let how = match refreshed.refresh_token() {
        None => how_kept(store),
        Some(new) if new.expose() == old.expose() => how_kept(store),
        Some(new) => keep(provider.settings(), store, &kept.with(&new)).await,
    };
    Ok((refreshed, how))
}

async fn load(settings: &IssuerSettings, store: &SecretStore) -> Result<Option<Kept>, AuthError> {
    let name = refresh_token_name(&settings.issuer, &settings.client_id);
    let value = beside(store, move |store| store.get(&name)).await?;
    // Something unreadable is as good as nothing: the next sign-in replaces it.
    Ok(value.and_then(|value| Kept::read(value.expose())))
}

/// Keeps the sign-in. A store that fails costs the next run a sign-in, not this one its work.
async fn keep(settings: &IssuerSettings, store: &SecretStore, kept: &Kept) -> HowKept {
    let name = refresh_token_name(&settings.issuer, &settings.client_id);
    let Some(text) = kept.text() else {
        return HowKept::ThisRun {
            why: "the sign-in cannot be written down".to_owned(),
        };
    };
    match beside(store, move |store| store.set(&name, &text)).await {
        Ok(()) => how_kept(store),
        Err(error) => HowKept::ThisRun {
            why: identity::chain(&error),
        },
    }
}

async fn forget(settings: &IssuerSettings, store: &SecretStore) -> Result<(), AuthError> {
    let name = refresh_token_name(&settings.issuer, &settings.client_id);
    beside(store, move |store| store.delete(&name)).await?;
    Ok(())
}

fn how_kept(store: &SecretStore) -> HowKept {
    if store.is_durable() {
        return HowKept::Kept {
            place: store.describe(),
        };
    }
    let why = store.fallback();
    HowKept::ThisRun {
        why: why.unwrap_or_else(|| "secrets are kept in memory, as configured".to_owned()),
    }
}

/// Runs blocking work of the store on a thread of its own.
async fn beside<T: Send + 'static>(
    store: &SecretStore,
    work: impl FnOnce(&SecretStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, AuthError> {
    let store = store.clone();
    let result = aside("secrets", move || work(&store)).await;
    Ok(result.map_err(StoreError::Thread)??)
}
