//! One credential among several: where its keys are, and reading them from there.
//!
//! Who gets which is decided elsewhere. Invariant: a named credential comes from the one place its
//! settings name; nothing else is tried.

use super::command::{self, CommandLine};
use super::environment::{self, Lookup};
use super::{Credential, CredentialError, Key, stored, usable};
use crate::auth::secret_store::SecretStore;
use crate::record::Secret;

/// A credential as the settings list it.
#[derive(Clone, Debug)]
pub struct Named {
    /// What it is called in the record.
    pub name: String,
    /// The groups it is for; none: everybody.
    pub groups: Vec<String>,
    /// Where its keys are.
    pub source: Source,
}

/// Where the keys of a credential are.
#[derive(Clone, Debug)]
pub enum Source {
    /// A command prints them.
    Command(CommandLine),
    /// They are stored under this name.
    Store(String),
    /// In these variables, in the order of [`Key::ALL`].
    Environment([Option<String>; 3]),
}

impl Named {
    /// Reads the keys.
    ///
    /// # Errors
    /// There are none, or one cannot be used.
    pub async fn read(
        &self,
        store: &SecretStore,
        lookup: &Lookup<'_>,
    ) -> Result<Credential, CredentialError> {
        let found = match &self.source {
            Source::Command(line) => command::read(line).await?,
            Source::Store(set) => {
                let kept = stored::read(store, Some(set)).await?;
                kept.ok_or_else(|| CredentialError::NoneStored {
                    credential: self.name.clone(),
                    set: set.clone(),
                    place: store.describe(),
                })?
            }
            Source::Environment(variables) => self.environment(variables, lookup)?,
        };
        Ok(Credential {
            name: Some(self.name.clone()),
            ..found
        })
    }

    /// Says where the keys are, in words fit for a table: never a value, never an argument.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.source {
            Source::Command(line) => format!("command {}", line.program()),
            Source::Store(set) => format!("ddgate keys --credential {set}"),
            Source::Environment(variables) => {
                let names: Vec<_> = variables.iter().flatten().map(String::as_str).collect();
                format!("environment {}", names.join(", "))
            }
        }
    }

    /// The values of the variables it names, with the names the record has for such values: they
    /// are in ddgate's environment, whoever gets this credential.
    pub fn in_environment<'a>(
        &'a self,
        lookup: &'a Lookup<'_>,
    ) -> impl Iterator<Item = (&'static str, Secret<String>)> + 'a {
        let variables: &[Option<String>] = match &self.source {
            Source::Environment(variables) => variables,
            Source::Command(_) | Source::Store(_) => &[],
        };
        let named = Key::ALL.into_iter().zip(variables);
        named.filter_map(move |(key, variable)| {
            let value = lookup(variable.as_ref()?)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (key.record_name(), Secret::new(value.to_owned())))
        })
    }

    fn environment(
        &self,
        variables: &[Option<String>; 3],
        lookup: &Lookup<'_>,
    ) -> Result<Credential, CredentialError> {
        let mut credential = Credential::empty(String::new());
        let mut used = Vec::new();
        for (key, variable) in Key::ALL.into_iter().zip(variables) {
            let Some(variable) = variable else { continue };
            let Some(value) = environment::set(variable, lookup) else {
                continue;
            };
            credential.put(key, usable(key, variable, &value)?);
            used.push(variable.as_str());
        }
        if credential.is_empty() {
            let names: Vec<_> = variables.iter().flatten().map(String::as_str).collect();
            return Err(CredentialError::NoneSet {
                credential: self.name.clone(),
                variables: names.join(", "),
            });
        }
        credential.source = format!("environment {}", used.join(", "));
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret_store::{Storage, StoreSettings};

    fn sre(source: Source) -> Named {
        Named {
            name: "sre".to_owned(),
            groups: Vec::new(),
            source,
        }
    }

    #[tokio::test]
    async fn each_from_its_own_place() {
        let home = tempfile::tempdir().unwrap();
        let store = SecretStore::new(StoreSettings {
            storage: Storage::File,
            directory: home.path().to_owned(),
            desktop: false,
        });
        let lookup = |name: &str| match name {
            "SRE_APP" => Some("of-sre\n".to_owned()),
            "DD_API_KEY" => Some("of-everybody".to_owned()),
            _ => None,
        };
        stored::keep(&store, None, Key::Api, "of-everybody")
            .await
            .unwrap();

        let kept = sre(Source::Store("ops".to_owned()));
        let error = kept.read(&store, &lookup).await.unwrap_err();
        assert!(
            matches!(&error, CredentialError::NoneStored { set, .. } if set == "ops"),
            "what is stored for everybody is not theirs: {error}"
        );
        stored::keep(&store, Some("ops"), Key::App, "kept")
            .await
            .unwrap();
        let read = kept.read(&store, &lookup).await.unwrap();
        assert_eq!(read.app_key.unwrap().expose(), "kept");
        assert!(read.api_key.is_none());
        assert_eq!(read.name.as_deref(), Some("sre"));

        let named = |name: &str| [None, Some(name.to_owned()), None];
        let set = sre(Source::Environment(named("SRE_APP")));
        let read = set.read(&store, &lookup).await.unwrap();
        assert_eq!(read.app_key.unwrap().expose(), "of-sre");
        assert_eq!(read.source, "environment SRE_APP");
        let [(name, value)] = &set.in_environment(&lookup).collect::<Vec<_>>()[..] else {
            panic!("one variable is set");
        };
        assert_eq!(
            (*name, value.expose().as_str()),
            ("dd-application-key", "of-sre")
        );
        let unset = sre(Source::Environment(named("OTHER")));
        let error = unset.read(&store, &lookup).await.unwrap_err();
        assert!(error.to_string().contains("OTHER"), "{error}");
    }
}
