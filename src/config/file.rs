//! Reads `ddgate.toml`: strict, bounded, and with the place of everything it says.
//!
//! Invariant: an unknown key or a wrong type is an error that names file, line, column and
//! key; nothing is skipped. What a value means, and which layer wins, is for `resolve`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::credentials;
use super::error::{ConfigError, Place};
use super::profile::{self, Profile};
use super::settings::CredentialEntry;
use super::{value, workload};
use crate::limits::CONFIG_BYTES_MAX;
use crate::record::Secret;

/// The name of a configuration file, at user and at project level.
pub const FILE_NAME: &str = "ddgate.toml";

/// The type a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One string.
    Text,
    /// An array of strings.
    Texts,
    /// One string, or an array of strings.
    TextOrTexts,
    /// A whole number, not negative.
    Number,
    /// True or false.
    Flag,
    /// An array of such.
    Numbers,
    /// A table of strings under names of the user's own.
    Pairs,
    /// Tables, each headed `[[credential]]`.
    Credentials,
    /// Tables, each headed `[[workload]]`.
    Workloads,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "an array of strings",
            Self::TextOrTexts => "a string or an array of strings",
            Self::Number => "a whole number",
            Self::Flag => "true or false",
            Self::Numbers => "an array of whole numbers",
            Self::Pairs => "a table of strings",
            Self::Credentials => "tables, each headed [[credential]]",
            Self::Workloads => "tables, each headed [[workload]]",
        }
    }
}

/// Every key, in the order of the manual.
pub(super) const KEYS: &[(&str, Kind)] = &[
    ("data_dir", Kind::Text),
    ("identity.mode", Kind::Text),
    ("identity.issuer", Kind::Text),
    ("identity.client_id", Kind::Text),
    ("identity.client_secret", Kind::Text),
    ("identity.scopes", Kind::Texts),
    ("identity.groups_claims", Kind::Texts),
    ("identity.storage", Kind::Text),
    ("identity.prompt", Kind::Text),
    ("identity.on_lapse", Kind::Text),
    ("identity.max_session", Kind::Text),
    ("identity.flow", Kind::Text),
    ("identity.dpop", Kind::Text),
    ("identity.require_groups", Kind::Texts),
    ("identity.require_issuer", Kind::Text),
    ("identity.require_verified_email", Kind::Flag),
    (workload::KEY, Kind::Workloads),
    ("datadog.site", Kind::Text),
    ("datadog.upstream", Kind::Text),
    ("datadog.credential_command", Kind::TextOrTexts),
    (credentials::KEY, Kind::Credentials),
    ("journal.durability", Kind::Text),
    ("journal.recipients", Kind::Texts),
    ("journal.age_identities", Kind::Texts),
    ("enforce.mode", Kind::Text),
    ("enforce.allow_ports", Kind::Numbers),
    ("egress.rule", Kind::Text),
    ("egress.allow_hosts", Kind::Texts),
    ("redaction.key", Kind::Text),
    ("recording.level", Kind::Text),
    ("recording.read", Kind::Text),
    ("recording.write", Kind::Text),
    ("recording.destroy", Kind::Text),
    ("recording.unknown", Kind::Text),
    ("recording.body_bytes_max", Kind::Number),
    ("recording.operations", Kind::Pairs),
    ("policy.read_only", Kind::Flag),
    ("policy.allow", Kind::Texts),
    ("policy.deny", Kind::Texts),
];

/// What a key holds.
#[derive(Clone)]
pub(super) enum Value {
    /// One string.
    Text(Secret<String>),
    /// An array of strings.
    Texts(Vec<String>),
    /// A whole number.
    Number(u64),
    /// True or false.
    Flag(bool),
    /// Whole numbers.
    Numbers(Vec<u64>),
    /// Names and strings, sorted by name.
    Pairs(Vec<(String, String)>),
    /// Credentials, in the order of the file.
    Credentials(Vec<CredentialEntry>),
    /// Workloads, in the order of the file: where each stands, and what it says.
    Workloads(Vec<(Place, Vec<Entry>)>),
}

/// One key of a file.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: &'static str,
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What a file says.
#[derive(Clone, Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    /// In the order in which they stand there.
    pub(super) profiles: Vec<Profile>,
}

impl Contents {
    /// How many settings there are, those of every profile included.
    pub(super) fn len(&self) -> usize {
        let profiles = self.profiles.iter();
        profiles.map(|it| it.entries.len()).sum::<usize>() + self.entries.len()
    }
}

/// Finds the project file: the nearest one from `start` upward. A directory that holds
/// `.git` is the last one looked at; the home directory, and what is above it, is not looked
/// at: what stands there is no project.
pub(super) fn find_project(start: &Path, home: &Path) -> Option<PathBuf> {
    // The working directory comes without symbolic links, `HOME` often with them.
    let real_home = home.canonicalize();
    for directory in start.ancestors() {
        if directory == home || real_home.as_deref().is_ok_and(|real| real == directory) {
            return None;
        }
        let candidate = directory.join(FILE_NAME);
        if candidate.is_file() {
            return Some(candidate);
        }
        if directory.join(".git").exists() {
            return None;
        }
    }
    None
}

/// Reads and checks one file.
pub(super) fn read(path: &Path) -> Result<Contents, ConfigError> {
    let text = read_text(path)?;
    parse(path, text.expose())
}

/// The same, but a file that is not there holds nothing.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Contents>, ConfigError> {
    match read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(ConfigError::Read { source, .. }) if is_absent(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_text(path: &Path) -> Result<Secret<String>, ConfigError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            bytes_max: CONFIG_BYTES_MAX,
        });
    }
    String::from_utf8(bytes)
        .map(Secret::new)
        .map_err(|error| ConfigError::NotUtf8 {
            place: Place::at(
                path,
                &String::from_utf8_lossy(error.as_bytes()),
                error.utf8_error().valid_up_to(),
            ),
        })
}

fn parse(path: &Path, text: &str) -> Result<Contents, ConfigError> {
    let place = |span: Range<usize>| Place::at(path, text, span.start);
    let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: place(error.span().unwrap_or(0..0)),
        message: error.message().replace('\n', ", "),
    })?;
    let mut entries = Vec::new();
    let mut profiles = Vec::new();
    for (name, value) in document.get_ref() {
        let name_text = name.get_ref();
        match value.get_ref() {
            DeValue::Table(table) if name_text == profile::TABLE => {
                for (name, value) in table {
                    profiles.push(read_profile(name, value, &place)?);
                }
            }
            DeValue::Table(table) if is_table(name_text) => {
                for (inner, value) in table {
                    let key = format!("{name_text}.{}", inner.get_ref());
                    entries.push(entry(
                        &key,
                        place(inner.span()),
                        value,
                        place(value.span()),
                    )?);
                }
            }
            other if is_table(name_text) || name_text == profile::TABLE => {
                return Err(not_a_table(name_text, place(value.span()), other));
            }
            DeValue::Array(tables) if name_text == workload::KEY => entries.push(Entry {
                key: workload::KEY,
                value: Value::Workloads(workload::read(tables, &place)?),
                place: place(name.span()),
            }),
            DeValue::Array(tables) if name_text == credentials::KEY => entries.push(Entry {
                key: credentials::KEY,
                value: Value::Credentials(credentials::read(tables, &place)?),
                place: place(name.span()),
            }),
            _ => entries.push(entry(
                name_text,
                place(name.span()),
                value,
                place(value.span()),
            )?),
        }
    }
    // The parser sorts by name; people read from top to bottom.
    entries.sort_by_key(|entry| (entry.place.line, entry.place.column));
    profiles.sort_by_key(|profile: &Profile| (profile.place.line, profile.place.column));
    Ok(Contents { entries, profiles })
}

/// Reads what stands under `[profile.NAME]`: tables with the keys that have their meaning elsewhere.
fn read_profile(
    name: &Spanned<Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    place: &impl Fn(Range<usize>) -> Place,
) -> Result<Profile, ConfigError> {
    let name_place = place(name.span());
    let name = name.get_ref();
    profile::check_name(name, &name_place)?;
    let within = |inner: &str| format!("{}.{name}.{inner}", profile::TABLE);
    let DeValue::Table(tables) = value.get_ref() else {
        let key = format!("{}.{name}", profile::TABLE);
        return Err(not_a_table(&key, place(value.span()), value.get_ref()));
    };
    let mut entries = Vec::new();
    for (table, value) in tables {
        let key = within(table.get_ref());
        if !profile::TABLES.contains(&&**table.get_ref()) {
            return Err(ConfigError::UnknownKey {
                place: place(table.span()),
                suggestion: value::closest(table.get_ref(), profile::TABLES.into_iter()),
                key,
            });
        }
        let DeValue::Table(keys) = value.get_ref() else {
            return Err(not_a_table(&key, place(value.span()), value.get_ref()));
        };
        for (inner, value) in keys {
            let key = format!("{}.{}", table.get_ref(), inner.get_ref());
            let (key_place, value_place) = (place(inner.span()), place(value.span()));
            entries.push(entry(&key, key_place, value, value_place)?);
        }
    }
    Ok(Profile {
        name: name.to_string(),
        place: name_place,
        entries,
    })
}

fn not_a_table(key: &str, place: Place, value: &DeValue<'_>) -> ConfigError {
    ConfigError::WrongType {
        place,
        key: key.to_owned(),
        expected: "a table",
        found: found(value),
    }
}

fn is_table(name: &str) -> bool {
    KEYS.iter()
        .any(|(key, _)| key.split_once('.').is_some_and(|(table, _)| table == name))
}

fn entry(
    key: &str,
    key_place: Place,
    value: &Spanned<DeValue<'_>>,
    value_place: Place,
) -> Result<Entry, ConfigError> {
    entry_of(KEYS, key, key_place, value, value_place)
}

/// Reads one key, which must be one of these.
pub(super) fn entry_of(
    keys: &'static [(&'static str, Kind)],
    key: &str,
    key_place: Place,
    value: &Spanned<DeValue<'_>>,
    value_place: Place,
) -> Result<Entry, ConfigError> {
    let Some((known, kind)) = keys.iter().copied().find(|(known, _)| *known == key) else {
        return Err(ConfigError::UnknownKey {
            place: key_place,
            key: key.to_owned(),
            suggestion: suggest(keys, key),
        });
    };
    let wrong = |found| ConfigError::WrongType {
        place: value_place.clone(),
        key: key.to_owned(),
        expected: kind.words(),
        found,
    };
    let held = match (kind, value.get_ref()) {
        (Kind::Text | Kind::TextOrTexts, DeValue::String(text)) => {
            Value::Text(Secret::new(text.to_string()))
        }
        (Kind::Texts | Kind::TextOrTexts, DeValue::Array(items)) => Value::Texts(
            items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    _ => Err(wrong("an array of something else")),
                })
                .collect::<Result<_, _>>()?,
        ),
        (Kind::Number, DeValue::Integer(_)) => Value::Number(
            whole(value.get_ref()).ok_or_else(|| wrong("one below zero or beyond all bounds"))?,
        ),
        (Kind::Numbers, DeValue::Array(items)) => Value::Numbers(
            items
                .iter()
                .map(|item| {
                    whole(item.get_ref()).ok_or_else(|| wrong("an array of something else"))
                })
                .collect::<Result<_, _>>()?,
        ),
        (Kind::Flag, DeValue::Boolean(flag)) => Value::Flag(*flag),
        (Kind::Pairs, DeValue::Table(table)) => Value::Pairs(
            table
                .iter()
                .map(|(name, value)| match value.get_ref() {
                    DeValue::String(text) => Ok((name.get_ref().to_string(), text.to_string())),
                    _ => Err(wrong("a table of something else")),
                })
                .collect::<Result<_, _>>()?,
        ),
        (_, other) => return Err(wrong(found(other))),
    };
    Ok(Entry {
        key: known,
        value: held,
        place: value_place,
    })
}

/// A whole number that is not negative.
fn whole(value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// Suggests the key that is nearest in spelling, or the same word in another table.
fn suggest(keys: &'static [(&'static str, Kind)], key: &str) -> Option<&'static str> {
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let typed = key.rsplit('.').next().unwrap_or(key);
    value::closest(key, keys.iter().map(|(known, _)| *known)).or_else(|| {
        let word = value::closest(typed, keys.iter().map(|(known, _)| last(known)))?;
        keys.iter()
            .map(|(known, _)| *known)
            .find(|known| last(known) == word)
    })
}

pub(super) const fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_text(text: &str) -> Result<Vec<Entry>, ConfigError> {
        parse(Path::new("f.toml"), text).map(|contents| contents.entries)
    }

    fn refusal(text: &str) -> String {
        match parse_text(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_key_is_read_where_it_stands() {
        let text = r#"
            data_dir = "d"
            [identity]
            mode = "oidc"
            issuer = "https://i"
            client_id = "c"
            client_secret = "s"
            scopes = ["a"]
            groups_claims = ["g"]
            storage = "auto"
            prompt = "auto"
            on_lapse = "refuse"
            max_session = "8h"
            flow = "browser"
            dpop = "off"
            require_groups = ["sre"]
            require_issuer = "https://i"
            require_verified_email = true
            [[workload]]
            issuer = "https://i"
            [datadog]
            site = "datadoghq.eu"
            upstream = "http://u"
            credential_command = ["op", "read"]
            [[credential]]
            name = "all"
            store = "all"
            [journal]
            durability = "process"
            recipients = ["age1"]
            age_identities = ["k"]
            [enforce]
            mode = "on"
            allow_ports = [22, 0x1538]
            [egress]
            rule = "listed"
            allow_hosts = ["*.example.com"]
            [redaction]
            key = "k"
            [recording]
            level = "full"
            read = "full"
            write = "full"
            destroy = "full"
            unknown = "full"
            body_bytes_max = 1_000
            operations = { "Logs*" = "metadata" }
            [policy]
            read_only = true
            allow = ["List*"]
            deny = ["tag:Monitors"]
        "#;
        let entries = parse_text(text).unwrap();
        let keys: Vec<_> = entries.iter().map(|entry| entry.key).collect();
        let known: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, known);
        assert_eq!((entries[2].place.line, entries[2].place.column), (5, 22));
    }

    #[test]
    fn errors_name_file_line_column_and_key() {
        for (text, expected) in [
            (
                "[identity]\nisuer = \"x\"",
                "f.toml:2:1: unknown key `identity.isuer` (did you mean `identity.issuer`?)",
            ),
            (
                "site = \"datadoghq.eu\"",
                "f.toml:1:1: unknown key `site` (did you mean `datadog.site`?)",
            ),
            ("zzzzzz = 1", "f.toml:1:1: unknown key `zzzzzz`"),
            ("[other]\nsomething = 1", "f.toml:1:2: unknown key `other`"),
            (
                "data_dir = 7",
                "f.toml:1:12: `data_dir` must be a string, not an integer",
            ),
            (
                "datadog = \"x\"",
                "f.toml:1:11: `datadog` must be a table, not a string",
            ),
            (
                "[identity]\nscopes = [1]",
                "f.toml:2:10: `identity.scopes` must be an array of strings, not an array of something else",
            ),
            (
                "[datadog.site]\nx = 1",
                "f.toml:1:1: `datadog.site` must be a string, not a table",
            ),
            (
                "[recording]\nbody_bytes_max = -1",
                "f.toml:2:18: `recording.body_bytes_max` must be a whole number, not one below zero \
                 or beyond all bounds",
            ),
            (
                "[recording.operations]\nx = 1",
                "f.toml:1:1: `recording.operations` must be a table of strings, not a table of \
                 something else",
            ),
            (
                "[profile]\nwork = 1",
                "f.toml:2:8: `profile.work` must be a table, not an integer",
            ),
            (
                "[profile.work.identiy]\nissuer = \"x\"",
                "f.toml:1:15: unknown key `profile.work.identiy` (did you mean `identity`?)",
            ),
            (
                "[profile.work.policy]\nread_only = false",
                "f.toml:1:15: unknown key `profile.work.policy`",
            ),
            (
                "[profile.work.identity]\nisuer = \"x\"",
                "f.toml:2:1: unknown key `identity.isuer` (did you mean `identity.issuer`?)",
            ),
            (
                "[profile.\"a b\".identity]\nissuer = \"x\"",
                "f.toml:1:10: `profile`: the name `a b` has to be 1 to 64 letters, digits, `-`, `_` or `.`",
            ),
            (
                "[policy]\nread_only = \"yes\"",
                "f.toml:2:13: `policy.read_only` must be true or false, not a string",
            ),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        let syntax = refusal("a = 1\nb = \n");
        assert!(syntax.starts_with("f.toml:2:"), "{syntax}");
        let twice = refusal("data_dir = \"a\"\ndata_dir = \"b\"\n");
        assert!(twice.starts_with("f.toml:2:1: "), "{twice}");
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_repeated() {
        let refused = refusal("[identity]\nclient_secret = 8675309");
        assert!(!refused.contains("8675309"), "{refused}");
    }

    #[test]
    fn bad_files_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let shown = path.display().to_string();
        let refusal = |path: &Path| match read(path) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
        assert!(read_if_there(&path).unwrap().is_none());
        assert_eq!(refusal(&path), format!("cannot read {shown}"));
        assert_eq!(
            refusal(directory.path()),
            format!("cannot read {}", directory.path().display())
        );
        std::fs::write(&path, b"# caf\xe9").unwrap();
        assert_eq!(refusal(&path), format!("{shown}:1:6: not UTF-8"));
        std::fs::write(&path, vec![b'#'; CONFIG_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(
            refusal(&path),
            format!("{shown}: larger than 1048576 bytes")
        );
        std::fs::write(&path, vec![b'#'; CONFIG_BYTES_MAX as usize]).unwrap();
        assert!(read(&path).unwrap().entries.is_empty());
    }

    #[test]
    fn the_nearest_project_file_wins_and_the_search_ends() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        let project = home.join("project");
        let deep = project.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let write = |at: &Path| std::fs::write(at.join(FILE_NAME), "").unwrap();
        let find = |from: &Path| find_project(from, &home);

        assert_eq!(find(&deep), None);
        write(root.path());
        write(&home);
        assert_eq!(find(&deep), None, "home and above are no project");
        write(&project);
        assert_eq!(find(&deep), Some(project.join(FILE_NAME)));
        std::fs::create_dir(project.join(".git")).unwrap();
        assert_eq!(
            find(&deep),
            Some(project.join(FILE_NAME)),
            "the root of a repository counts"
        );
        std::fs::write(project.join("a/.git"), "gitdir: elsewhere").unwrap();
        assert_eq!(find(&deep), None, "and ends the search, file or directory");
        write(&deep);
        assert_eq!(find(&deep), Some(deep.join(FILE_NAME)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = parse_text(&text);
        }

        #[test]
        fn no_toml_panics(key in "[a-z.]{1,12}", value in "[\"a-z0-9\\[\\]{}=, ]{0,12}") {
            let _ = parse_text(&format!("{key} = {value}\n[{key}]\n{key} = {value}"));
        }
    }
}
