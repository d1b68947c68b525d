//! `[[credential]]`: several credentials, and the groups each is for.
//!
//! Invariant: an entry says one thing about where its keys are, nothing of it is skipped, and no
//! message repeats what a command is given: arguments may hold secrets. Only the user's file has
//! such entries. Who gets which is for `policy::choose`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::admission;
use super::error::{ConfigError, Place, Whence};
use super::file::{self, Entry, Value};
use super::settings::{CredentialEntry, CredentialFrom, DatadogSettings, Origin, Setting};
use super::value;
use crate::limits::{CREDENTIAL_NAME_CHARS_MAX, CREDENTIALS_MAX};

/// The key in the file.
pub(super) const KEY: &str = "credential";

/// What an entry may say, for suggestions.
const INNER: [&str; 5] = [
    "credential.name",
    "credential.groups",
    "credential.command",
    "credential.store",
    "credential.env",
];
/// What `env` may say, in the order of [`CredentialFrom::Env`].
const VARIABLES: [&str; 3] = [
    "credential.env.api_key",
    "credential.env.app_key",
    "credential.env.bearer",
];

type At<'a> = &'a dyn Fn(Range<usize>) -> Place;

/// The list of the user's file.
pub(super) fn settings(
    user: &[Entry],
    datadog: &DatadogSettings,
) -> Result<Setting<Vec<CredentialEntry>>, ConfigError> {
    let found = user.iter().find_map(|entry| match &entry.value {
        Value::Credentials(list) => Some((entry, list)),
        _ => None,
    });
    let Some((entry, list)) = found else {
        return Ok(Setting::default(Vec::new()));
    };
    if datadog.credential_command.value.is_some() {
        return Err(ConfigError::Value {
            whence: Whence::File(entry.place.clone(), KEY),
            problem:
                "stands beside `datadog.credential_command`, and one would hide the other: make \
                      the command the last [[credential]], without groups"
                    .to_owned(),
        });
    }
    let Place { path, line, .. } = entry.place.clone();
    Ok(Setting {
        value: list.clone(),
        origin: Origin::UserFile(path, line),
    })
}

/// Reads the entries.
pub(super) fn read(
    tables: &DeArray<'_>,
    place: At<'_>,
) -> Result<Vec<CredentialEntry>, ConfigError> {
    let mut entries: Vec<CredentialEntry> = Vec::new();
    for table in tables.iter() {
        let DeValue::Table(members) = table.get_ref() else {
            return Err(wrong(KEY, "a table", table, place));
        };
        let entry = one(members, &place(table.span()), place)?;
        if entries.iter().any(|other| other.name == entry.name) {
            let problem = format!("`{}` stands twice", entry.name);
            return Err(refused("credential.name", place(table.span()), problem));
        }
        entries.push(entry);
    }
    if entries.len() > CREDENTIALS_MAX {
        let span = tables.iter().next().map_or(0..0, Spanned::span);
        let problem = format!("at most {CREDENTIALS_MAX} of them");
        return Err(refused(KEY, place(span), problem));
    }
    Ok(entries)
}

fn one(
    members: &DeTable<'_>,
    whole: &Place,
    place: At<'_>,
) -> Result<CredentialEntry, ConfigError> {
    let (mut name, mut groups, mut from) = (None, Vec::new(), Vec::new());
    for (key, value) in members {
        let known = known(&INNER, KEY, key, place)?;
        let bad = |problem| refused(known, place(value.span()), problem);
        match known {
            "credential.name" => name = Some(word(text(known, value, place)?).map_err(bad)?),
            "credential.groups" => {
                groups = admission::groups(&texts(known, value, place)?).map_err(bad)?;
            }
            "credential.command" => {
                let words = texts(known, value, place)?;
                if words
                    .first()
                    .is_none_or(|program| program.trim().is_empty())
                {
                    return Err(bad("must name a program".to_owned()));
                }
                from.push(CredentialFrom::Command(words));
            }
            "credential.store" => {
                let set = word(text(known, value, place)?).map_err(bad)?;
                from.push(CredentialFrom::Store(set));
            }
            _ => from.push(CredentialFrom::Env(variables(known, value, place)?)),
        }
    }
    let missing = |key, problem: &str| refused(key, whole.clone(), problem.to_owned());
    let name = name.ok_or_else(|| missing(KEY, "has no `name`"))?;
    let mut from = from.into_iter();
    match (from.next(), from.next()) {
        (Some(from), None) => Ok(CredentialEntry { name, groups, from }),
        (None, _) => Err(missing(
            KEY,
            "says not where the keys are: give it `command`, `store` or `env`",
        )),
        (Some(_), Some(_)) => Err(missing(
            KEY,
            "says more than once where the keys are: one of `command`, `store`, `env`",
        )),
    }
}

fn variables(
    key: &'static str,
    value: &Spanned<DeValue<'_>>,
    place: At<'_>,
) -> Result<[Option<String>; 3], ConfigError> {
    let DeValue::Table(members) = value.get_ref() else {
        return Err(wrong(key, "a table of strings", value, place));
    };
    let mut found = [const { None }; 3];
    for (inner, value) in members {
        let known = known(&VARIABLES, key, inner, place)?;
        let name = text(known, value, place)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            let problem = "must be the name of a variable, for example DD_API_KEY_SRE".to_owned();
            return Err(refused(known, place(value.span()), problem));
        }
        let at = VARIABLES.iter().position(|one| *one == known).unwrap_or(0);
        found[at] = Some(name.to_owned());
    }
    if found.iter().all(Option::is_none) {
        let problem = "must name at least one of api_key, app_key, bearer".to_owned();
        return Err(refused(key, place(value.span()), problem));
    }
    Ok(found)
}

/// The whole key of a member, if there is such a one.
fn known(
    keys: &[&'static str],
    table: &str,
    member: &Spanned<impl AsRef<str>>,
    place: At<'_>,
) -> Result<&'static str, ConfigError> {
    let key = format!("{table}.{}", member.get_ref().as_ref());
    if let Some(known) = keys.iter().find(|known| **known == key) {
        return Ok(known);
    }
    Err(ConfigError::UnknownKey {
        place: place(member.span()),
        suggestion: value::closest(&key, keys.iter().copied()),
        key,
    })
}

/// What names a credential in the record, on the command line and in the store.
fn word(text: &str) -> Result<String, String> {
    match is_credential_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{}` is no name for a credential: letters, digits, `-`, `_` and `.`, at most \
             {CREDENTIAL_NAME_CHARS_MAX}",
            text.escape_debug()
        )),
    }
}

/// Whether a text can name a credential, in the file and for `ddgate keys --credential`.
#[must_use]
pub fn is_credential_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=CREDENTIAL_NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(fits)
}

fn text<'v>(
    key: &'static str,
    value: &'v Spanned<DeValue<'_>>,
    place: At<'_>,
) -> Result<&'v str, ConfigError> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err(wrong(key, "a string", value, place)),
    }
}

fn texts(
    key: &'static str,
    value: &Spanned<DeValue<'_>>,
    place: At<'_>,
) -> Result<Vec<String>, ConfigError> {
    let DeValue::Array(items) = value.get_ref() else {
        return Err(wrong(key, "an array of strings", value, place));
    };
    items
        .iter()
        .map(|item| Ok(text(key, item, place)?.to_owned()))
        .collect()
}

fn wrong(
    key: &str,
    expected: &'static str,
    value: &Spanned<DeValue<'_>>,
    place: At<'_>,
) -> ConfigError {
    ConfigError::WrongType {
        place: place(value.span()),
        key: key.to_owned(),
        expected,
        found: file::found(value.get_ref()),
    }
}

const fn refused(key: &'static str, place: Place, problem: String) -> ConfigError {
    ConfigError::Value {
        whence: Whence::File(place, key),
        problem,
    }
}
