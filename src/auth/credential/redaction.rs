//! The key of pseudonyms, which outlives sessions: stored by `ddgate keys set redaction-key`, or
//! configured. Any text will do. It opens nothing at Datadog.

use super::{CredentialError, stored};
use crate::auth::secret_store::{SecretStore, datadog_name};
use crate::limits::CREDENTIAL_VALUE_BYTES_MAX;
use crate::record::Secret;

/// The word used on the command line and in the store.
pub const WORD: &str = "redaction-key";

/// A key that lasts, and where it came from.
#[derive(Clone, Debug)]
pub struct RedactionKey {
    /// The text as given.
    pub text: Secret<String>,
    /// In words: `the system keyring`, `environment DDGATE_REDACTION_KEY`.
    pub source: String,
}

/// Finds the key: the stored one, else the one that is configured.
///
/// # Errors
/// The store fails, or the value found cannot be used.
pub async fn find(
    store: &SecretStore,
    configured: Option<RedactionKey>,
) -> Result<Option<RedactionKey>, CredentialError> {
    let stored = stored::beside(store, |store| store.get(&datadog_name(WORD))).await?;
    if let Some(text) = stored {
        return Ok(Some(RedactionKey {
            text: usable(&store.describe(), text.expose())?,
            source: store.describe(),
        }));
    }
    let Some(RedactionKey { text, source }) = configured else {
        return Ok(None);
    };
    Ok(Some(RedactionKey {
        text: usable(&source, text.expose())?,
        source,
    }))
}

/// Puts the key away for later runs.
///
/// # Errors
/// As [`stored::keep`].
pub async fn keep(store: &SecretStore, value: &str) -> Result<(), CredentialError> {
    stored::keep_text(store, datadog_name(WORD), usable("your input", value)?).await
}

/// Forgets the stored key; returns whether there was one.
///
/// # Errors
/// The store fails.
pub async fn remove(store: &SecretStore) -> Result<bool, CredentialError> {
    Ok(stored::beside(store, |store| store.delete(&datadog_name(WORD))).await?)
}

/// Trims a value, so that one line in a file and the same in a variable are the same key.
fn usable(from: &str, value: &str) -> Result<Secret<String>, CredentialError> {
    let value = value.trim();
    let why = if value.is_empty() {
        "it is empty"
    } else if value.len() > CREDENTIAL_VALUE_BYTES_MAX {
        "it is too long"
    } else {
        return Ok(Secret::new(value.to_owned()));
    };
    Err(CredentialError::Unusable {
        key: WORD,
        from: from.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret_store::{Storage, StoreSettings};

    #[tokio::test]
    async fn what_is_stored_hides_what_is_configured() {
        let home = tempfile::tempdir().unwrap();
        let store = SecretStore::new(StoreSettings {
            storage: Storage::File,
            directory: home.path().to_owned(),
            desktop: false,
        });
        let configured = || {
            Some(RedactionKey {
                text: Secret::new(" any text\n".to_owned()),
                source: "here".to_owned(),
            })
        };
        assert!(find(&store, None).await.unwrap().is_none());
        let found = find(&store, configured()).await.unwrap().unwrap();
        assert_eq!(
            (found.text.expose().as_str(), &*found.source),
            ("any text", "here")
        );
        keep(&store, "of the team\n").await.unwrap();
        let found = find(&store, configured()).await.unwrap().unwrap();
        assert_eq!(found.text.expose(), "of the team");
        assert!(!format!("{found:?}").contains("team"), "{found:?}");
        assert!(remove(&store).await.unwrap());
        assert!(!remove(&store).await.unwrap());
        assert!(keep(&store, " ").await.is_err());
    }
}
