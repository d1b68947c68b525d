//! Keys from environment variables, under all the names Datadog's own tools use.

use super::{Credential, CredentialError, Key, usable};

/// Looks up an environment variable.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + Sync + 'a;

/// The variables of each key, the first one set wins.
const VARIABLES: [(Key, &[&str]); 3] = [
    (Key::Api, &["DD_API_KEY", "DATADOG_API_KEY"]),
    (
        Key::App,
        &[
            "DD_APP_KEY",
            "DATADOG_APP_KEY",
            "DD_APPLICATION_KEY",
            "DATADOG_APPLICATION_KEY",
        ],
    ),
    (
        Key::Bearer,
        &["DD_ACCESS_TOKEN", "DD_BEARER_TOKEN", "DATADOG_BEARER_TOKEN"],
    ),
];

/// Names the key a variable is for.
pub(super) fn key_of(variable: &str) -> Option<Key> {
    let mut all = VARIABLES.iter();
    all.find(|(_, names)| names.contains(&variable))
        .map(|&(key, _)| key)
}

/// Names the variable a key would be taken from, if one is set.
pub fn variable(key: Key, lookup: &Lookup<'_>) -> Option<&'static str> {
    let (_, names) = VARIABLES.iter().find(|(known, _)| *known == key)?;
    let set = |name: &&&str| lookup(name).is_some_and(|value| !value.trim().is_empty());
    names.iter().find(set).copied()
}

/// The value of a variable that says something.
pub(super) fn set(name: &str, lookup: &Lookup<'_>) -> Option<String> {
    lookup(name).filter(|value| !value.trim().is_empty())
}

/// Reads the variables. An empty one counts as not set.
pub(super) fn read(lookup: &Lookup<'_>) -> Result<Option<Credential>, CredentialError> {
    let mut credential = Credential::empty(String::new());
    let mut used = Vec::new();
    for (key, names) in VARIABLES {
        let found = names
            .iter()
            .find_map(|name| Some((*name, set(name, lookup)?)));
        if let Some((name, value)) = found {
            credential.put(key, usable(key, name, &value)?);
            used.push(name);
        }
    }
    credential.source = format!("environment {}", used.join(", "));
    Ok((!credential.is_empty()).then_some(credential))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<Credential>, CredentialError> {
        read(&|name| {
            let mut all = variables.iter();
            all.find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn every_name_is_known() {
        for (key, names) in VARIABLES {
            for name in names {
                let found = with(&[(name, "v")]).unwrap().unwrap();
                assert_eq!(found.source, format!("environment {name}"));
                assert_eq!(key_of(name), Some(key));
            }
        }
        assert_eq!(key_of("PATH"), None);
    }

    #[test]
    fn the_first_name_wins_and_empty_is_unset() {
        assert!(with(&[]).unwrap().is_none());
        assert!(with(&[("DD_API_KEY", " ")]).unwrap().is_none());
        let found = with(&[
            ("DD_API_KEY", ""),
            ("DATADOG_API_KEY", "a"),
            ("DD_APP_KEY", "b"),
            ("DD_APPLICATION_KEY", "c"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.api_key.unwrap().expose(), "a");
        assert_eq!(found.app_key.unwrap().expose(), "b");
        assert_eq!(found.source, "environment DATADOG_API_KEY, DD_APP_KEY");
    }

    #[test]
    fn a_broken_value_is_not_skipped() {
        let error = with(&[("DD_API_KEY", "a b")]).unwrap_err();
        assert!(error.to_string().contains("DD_API_KEY"), "{error}");
    }
}
