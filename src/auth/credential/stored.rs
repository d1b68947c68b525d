//! Keys that `ddgate keys set` has put away: one set for everybody, and one for each name given
//! with `--credential`.

use super::{Credential, CredentialError, Key, usable};
use crate::auth::aside::aside;
use crate::auth::secret_store::{SecretStore, StoreError, datadog_name};
use crate::record::Secret;

/// Reads all stored keys.
///
/// # Errors
/// The store fails, or holds something that is no key.
pub(super) async fn read(
    store: &SecretStore,
    set: Option<&str>,
) -> Result<Option<Credential>, CredentialError> {
    let names = Key::ALL.map(|key| (key, name(set, key)));
    let found = beside(store, |store| {
        let mut found = Vec::new();
        for (key, name) in names {
            if let Some(value) = store.get(&name)? {
                found.push((key, value));
            }
        }
        Ok(found)
    })
    .await?;
    let mut credential = Credential::empty(store.word().to_owned());
    for (key, value) in found {
        credential.put(key, usable(key, &store.describe(), value.expose())?);
    }
    Ok((!credential.is_empty()).then_some(credential))
}

/// Names the stored keys.
///
/// # Errors
/// The store fails.
pub async fn list(store: &SecretStore, set: Option<&str>) -> Result<Vec<Key>, CredentialError> {
    let names = Key::ALL.map(|key| (key, name(set, key)));
    let found = beside(store, |store| {
        let mut found = Vec::new();
        for (key, name) in names {
            if store.get(&name)?.is_some() {
                found.push(key);
            }
        }
        Ok(found)
    });
    Ok(found.await?)
}

/// Puts a key away for later runs.
///
/// # Errors
/// The value cannot be a key, the store fails, or it forgets everything when ddgate ends.
pub async fn keep(
    store: &SecretStore,
    set: Option<&str>,
    key: Key,
    value: &str,
) -> Result<(), CredentialError> {
    keep_text(store, name(set, key), usable(key, "your input", value)?).await
}

/// Puts a text away under a name of the store.
pub(super) async fn keep_text(
    store: &SecretStore,
    name: String,
    value: Secret<String>,
) -> Result<(), CredentialError> {
    beside(store, SecretStore::prove).await?;
    if !store.is_durable() {
        let why = store.fallback();
        return Err(CredentialError::NotKept {
            why: why.unwrap_or_else(|| "secrets are kept in memory, as configured".to_owned()),
        });
    }
    beside(store, move |store| store.set(&name, &value)).await?;
    // An automatic store may have fallen back to memory at the last moment.
    match store.fallback() {
        Some(why) => Err(CredentialError::NotKept { why }),
        None => Ok(()),
    }
}

/// Forgets a stored key; returns whether there was one.
///
/// # Errors
/// The store fails.
pub async fn remove(
    store: &SecretStore,
    set: Option<&str>,
    key: Key,
) -> Result<bool, CredentialError> {
    let name = name(set, key);
    Ok(beside(store, move |store| store.delete(&name)).await?)
}

/// What the store calls a key. No name of a set holds a `/`, and no word of a key does.
fn name(set: Option<&str>, key: Key) -> String {
    match set {
        None => datadog_name(key.word()),
        Some(set) => datadog_name(&format!("{set}/{}", key.word())),
    }
}

/// Asks the store on a thread of its own: it may block.
pub(super) async fn beside<T: Send + 'static>(
    store: &SecretStore,
    work: impl FnOnce(&SecretStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    let result = aside("secrets", move || work(&store)).await;
    result.map_err(StoreError::Thread)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret_store::{Storage, StoreSettings};

    #[tokio::test]
    async fn keep_list_remove() {
        let home = tempfile::tempdir().unwrap();
        let open = |storage| {
            SecretStore::new(StoreSettings {
                storage,
                directory: home.path().to_owned(),
                desktop: false,
            })
        };
        let store = open(Storage::File);
        keep(&store, None, Key::Bearer, " t \n").await.unwrap();
        keep(&store, None, Key::Api, "a").await.unwrap();
        assert!(keep(&store, None, Key::App, "a b").await.is_err());
        assert_eq!(list(&store, None).await.unwrap(), [Key::Api, Key::Bearer]);
        let read = read(&store, None).await.unwrap().unwrap();
        assert_eq!(read.bearer.unwrap().expose(), "t");
        assert!(remove(&store, None, Key::Api).await.unwrap());
        assert!(!remove(&store, None, Key::Api).await.unwrap());

        let error = keep(&open(Storage::Memory), None, Key::Api, "a")
            .await
            .unwrap_err();
        assert!(matches!(error, CredentialError::NotKept { .. }));
    }
}
