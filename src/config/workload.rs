//! `[[workload]]`: whose tokens are believed where no person signs in.
//!
//! Invariant: each names an issuer, an audience and at least one pinned claim. Projects may say
//! nothing here (see `resolve`): the agent's repository must not choose who may be believed. A
//! pipeline that has no file says the same in variables, and these then stand alone.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::env;
use super::error::{ConfigError, Place, Whence};
use super::file::{Entry, Kind, Value, entry_of, found};
use super::layers::{Layers, located};
use super::paths::Paths;
use super::settings::{Origin, Setting};
use super::value::{self, Choice};
use crate::limits::WORKLOADS_MAX;
use crate::record::WorkloadSystem;

/// The keys of one table.
const KEYS: &[(&str, Kind)] = &[
    ("workload.name", Kind::Text),
    ("workload.system", Kind::Text),
    ("workload.issuer", Kind::Text),
    ("workload.audience", Kind::Text),
    ("workload.pin", Kind::Pairs),
    ("workload.groups_claims", Kind::Texts),
    ("workload.jwks_file", Kind::Text),
];
/// The key of them all.
pub(super) const KEY: &str = "workload";
/// Why a workload without pins is none.
const NO_PIN: &str = "at least one claim must be pinned, for example `pin = { repository_id = \
                      \"74\" }`: the issuer signs for everybody who uses it";

/// A workload whose token is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedWorkload {
    /// What it is called, in messages.
    pub name: Option<String>,
    /// Only on this system.
    pub system: Option<WorkloadSystem>,
    /// Who must have signed its token, letter for letter.
    pub issuer: String,
    /// Whom the token must be for.
    pub audience: String,
    /// Claims and the values they must have, at least one.
    pub pins: Vec<(String, String)>,
    /// Claims that hold groups.
    pub groups_claims: Vec<String>,
    /// The issuer's keys, where they are not published.
    pub jwks_file: Option<PathBuf>,
}

impl fmt::Display for AcceptedWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        write!(f, "{} for {} with", self.issuer, self.audience)?;
        let pins = self.pins.iter();
        pins.into_iter()
            .try_for_each(|(claim, value)| write!(f, " {claim}={value}"))
    }
}

/// Reads what stands under each `[[workload]]` of a file.
pub(super) fn read(
    tables: &[Spanned<DeValue<'_>>],
    place: &impl Fn(Range<usize>) -> Place,
) -> Result<Vec<(Place, Vec<Entry>)>, ConfigError> {
    let table = |item: &Spanned<DeValue<'_>>| {
        let DeValue::Table(table) = item.get_ref() else {
            return Err(ConfigError::WrongType {
                place: place(item.span()),
                key: KEY.to_owned(),
                expected: "a table",
                found: found(item.get_ref()),
            });
        };
        let entries = table.iter().map(|(name, value)| {
            let key = format!("{KEY}.{}", name.get_ref());
            entry_of(KEYS, &key, place(name.span()), value, place(value.span()))
        });
        Ok((place(item.span()), entries.collect::<Result<_, _>>()?))
    };
    tables.iter().map(table).collect()
}

/// Reads the variables or, without any, the user's file.
pub(super) fn settings(
    layers: &Layers<'_>,
    paths: &Paths,
    directory: &Path,
) -> Result<Setting<Vec<AcceptedWorkload>>, ConfigError> {
    // Checked even where the variables win.
    let mut of_file = Setting::default(Vec::new());
    if let Some(entry) = layers.user_entry(KEY)
        && let Value::Workloads(tables) = &entry.value
    {
        if tables.len() > WORKLOADS_MAX {
            return Err(ConfigError::Value {
                whence: Whence::File(entry.place.clone(), KEY),
                problem: format!("at most {WORKLOADS_MAX} can be configured"),
            });
        }
        let origin = Origin::UserFile(entry.place.path.clone(), entry.place.line);
        let read = |(place, table): &(Place, Vec<Entry>)| {
            of_table(place, table, |file| {
                located(file, &origin, paths, directory)
            })
        };
        let value = tables.iter().map(read).collect::<Result<_, _>>()?;
        of_file = Setting { value, origin };
    }
    Ok(of_variables(layers, directory)?.unwrap_or(of_file))
}

fn of_table(
    place: &Place,
    table: &[Entry],
    located: impl Fn(&str) -> PathBuf,
) -> Result<AcceptedWorkload, ConfigError> {
    let find = |key: &str| table.iter().find(|entry| entry.key == key);
    let missing = |key: &'static str, problem: &str| ConfigError::Value {
        whence: Whence::File(place.clone(), key),
        problem: problem.to_owned(),
    };
    let issuer = said(find("workload.issuer"), |it| value::issuer(it.text()))?;
    let audience = said(find("workload.audience"), |it| value::text(it.text()))?;
    let pins = said(find("workload.pin"), |it| match it {
        Value::Pairs(pairs) => checked(pairs.clone()),
        _ => Ok(Vec::new()),
    })?;
    Ok(AcceptedWorkload {
        name: said(find("workload.name"), |it| value::text(it.text()))?,
        system: said(find("workload.system"), |it| {
            WorkloadSystem::parse(it.text())
        })?,
        issuer: issuer.ok_or_else(|| missing("workload.issuer", "it is missing"))?,
        audience: audience.ok_or_else(|| missing("workload.audience", "it is missing"))?,
        pins: pins.ok_or_else(|| missing("workload.pin", NO_PIN))?,
        groups_claims: said(find("workload.groups_claims"), |it| value::words(it.list()))?
            .unwrap_or_default(),
        jwks_file: said(find("workload.jwks_file"), |it| value::text(it.text()))?
            .map(|file| located(&file)),
    })
}

fn said<T>(
    entry: Option<&Entry>,
    meaning: impl Fn(&Value) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(entry) = entry else {
        return Ok(None);
    };
    let value = meaning(&entry.value).map_err(|problem| ConfigError::Value {
        whence: Whence::File(entry.place.clone(), entry.key),
        problem,
    })?;
    Ok(Some(value))
}

fn of_variables(
    layers: &Layers<'_>,
    directory: &Path,
) -> Result<Option<Setting<Vec<AcceptedWorkload>>>, ConfigError> {
    let read = |name: &'static str| layers.variable(name);
    let wrong = |name: &'static str, problem: String| ConfigError::Value {
        whence: Whence::Environment(name),
        problem,
    };
    let said = [
        (
            env::DDGATE_WORKLOAD_ISSUER,
            read(env::DDGATE_WORKLOAD_ISSUER)?,
        ),
        (
            env::DDGATE_WORKLOAD_AUDIENCE,
            read(env::DDGATE_WORKLOAD_AUDIENCE)?,
        ),
        (env::DDGATE_WORKLOAD_PIN, read(env::DDGATE_WORKLOAD_PIN)?),
    ];
    let Some((first, _)) = said.iter().find(|(_, value)| value.is_some()) else {
        return Ok(None);
    };
    let first = *first;
    let [issuer, audience, pin] = said.map(|(name, value)| {
        let problem = format!("is not set, and {first} is: all three are needed");
        value.ok_or_else(|| wrong(name, problem))
    });
    let (issuer, audience, pin) = (issuer?, audience?, pin?);
    let groups = read(env::DDGATE_WORKLOAD_GROUPS_CLAIMS)?.unwrap_or_default();
    let jwks_file = read(env::DDGATE_WORKLOAD_JWKS_FILE)?;
    Ok(Some(Setting {
        value: vec![AcceptedWorkload {
            name: None,
            system: None,
            issuer: value::issuer(&issuer)
                .map_err(|problem| wrong(env::DDGATE_WORKLOAD_ISSUER, problem))?,
            audience: value::text(&audience)
                .map_err(|problem| wrong(env::DDGATE_WORKLOAD_AUDIENCE, problem))?,
            pins: pairs(&pin)
                .and_then(checked)
                .map_err(|problem| wrong(env::DDGATE_WORKLOAD_PIN, problem))?,
            groups_claims: groups.split_whitespace().map(str::to_owned).collect(),
            jwks_file: jwks_file.map(|file| directory.join(file)),
        }],
        origin: Origin::Environment(first),
    }))
}

/// Reads `claim=value` pairs: one a line or, on a single line, with blanks between them.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let text = text.trim();
    let words: Vec<&str> = match text.contains('\n') {
        true => text.lines().map(str::trim).collect(),
        false => text.split_whitespace().collect(),
    };
    let words = words.into_iter().filter(|word| !word.is_empty());
    let pair = |word: &str| match word.split_once('=') {
        Some((claim, value)) => Ok((claim.trim().to_owned(), value.trim().to_owned())),
        None => Err(format!("`{word}` is not claim=value")),
    };
    words.map(pair).collect()
}

/// At least one pair; nothing empty, and no claim twice.
fn checked(pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, String> {
    if pairs.is_empty() {
        return Err(NO_PIN.to_owned());
    }
    for (at, (claim, value)) in pairs.iter().enumerate() {
        value::text(claim).map_err(|problem| format!("a claim's name {problem}"))?;
        value::text(value).map_err(|problem| format!("`{claim}` {problem}"))?;
        if pairs[..at].iter().any(|(other, _)| other == claim) {
            return Err(format!("`{claim}` stands twice"));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(claim: &str, value: &str) -> (String, String) {
        (claim.to_owned(), value.to_owned())
    }

    #[test]
    fn pairs_stand_in_a_row_or_below_each_other() {
        assert_eq!(
            pairs(" repository_id=74  environment=prod ").unwrap(),
            [pair("repository_id", "74"), pair("environment", "prod")]
        );
        assert_eq!(
            pairs("environment = prod eu\n\n ref=a=b\n").unwrap(),
            [pair("environment", "prod eu"), pair("ref", "a=b")]
        );
        assert_eq!(pairs("a").unwrap_err(), "`a` is not claim=value");
    }

    #[test]
    fn pins_say_something() {
        for (pins, expected) in [
            (vec![], NO_PIN),
            (vec![pair("", "x")], "a claim's name must not be empty"),
            (vec![pair("a", "")], "`a` must not be empty"),
            (vec![pair("a", "1"), pair("a", "2")], "`a` stands twice"),
        ] {
            assert_eq!(checked(pins).unwrap_err(), expected);
        }
    }
}
