//! Real Datadog keys in files the child can read: which files, and what stands in them.
//!
//! Looks only where Datadog's tools, `.env` readers and agents keep such keys, and only for
//! assignments of their names to 32 or 40 hex digits. Bounded in files, bytes and depth; the
//! caller bounds the time. Invariant: a value leaves here only as a [`Secret`]. It does not look
//! into keychains, and it removes nothing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::limits::{KEY_FILE_BYTES_MAX, KEY_FILE_DEPTH_MAX, KEYS_FOUND_MAX};
use crate::record::Secret;

/// Files below the home directory.
const AT_HOME: &[&str] = &[
    ".dogrc",
    ".claude.json",
    ".codex/config.toml",
    ".gemini/settings.json",
    ".cursor/mcp.json",
    ".config/pup/config.yaml",
    ".config/pup/config.yml",
    ".config/pup/config.json",
];
/// Files in the working directory and above it, up to the root of the repository.
const IN_PROJECTS: &[&str] = &[
    ".env",
    ".env.local",
    ".mcp.json",
    ".vscode/mcp.json",
    ".cursor/mcp.json",
    ".gemini/settings.json",
    ".codex/config.toml",
    ".claude/settings.json",
    ".claude/settings.local.json",
];
/// Names of keys, as variables, headers and settings: lower case, `-` as `_`. With the name the
/// record has for their kind.
const NAMES: &[(&str, &str)] = &[
    ("dd_api_key", API),
    ("datadog_api_key", API),
    ("apikey", API),
    ("api_key", API),
    ("dd_app_key", APP),
    ("datadog_app_key", APP),
    ("dd_application_key", APP),
    ("datadog_application_key", APP),
    ("appkey", APP),
    ("app_key", APP),
    ("application_key", APP),
];
const API: &str = "dd-api-key";
const APP: &str = "dd-application-key";
/// Fewer different digits than this are an example, such as all zeros.
const DIGITS_MIN: usize = 6;

/// A key in a file.
#[derive(Clone, Debug)]
pub struct KeyInFile {
    /// The file, as a person would write it: below `~`, or below the working directory.
    pub file: String,
    /// The record's name for its kind.
    pub kind: &'static str,
    /// The key.
    pub value: Secret<String>,
}

/// Looks for keys. `home` and `directory` are absolute.
#[must_use]
pub fn find(home: &Path, directory: &Path) -> Vec<KeyInFile> {
    let mut found = Vec::new();
    for name in AT_HOME {
        look_into(&home.join(name), &format!("~/{name}"), &mut found);
    }
    for (depth, level) in projects(home, directory).into_iter().enumerate() {
        for name in IN_PROJECTS {
            let shown = format!("{}{name}", "../".repeat(depth));
            look_into(&level.join(name), &shown, &mut found);
        }
    }
    found
}

/// The working directory and those above it, up to where `.git` is; not the home directory, nor
/// what is above that.
fn projects(home: &Path, directory: &Path) -> Vec<PathBuf> {
    let mut levels = Vec::new();
    for level in directory.ancestors().take(KEY_FILE_DEPTH_MAX) {
        if level == home || home.starts_with(level) {
            break;
        }
        levels.push(level.to_owned());
        if level.join(".git").exists() {
            return levels;
        }
    }
    // No repository: only the directory itself, or nothing if that is the home directory.
    levels.truncate(1);
    levels
}

fn look_into(path: &Path, shown: &str, found: &mut Vec<KeyInFile>) {
    // Not a pipe, which would block, nor anything else that is no file.
    if !path.metadata().is_ok_and(|meta| meta.is_file()) {
        return;
    }
    let mut text = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text));
    if read.is_err() {
        return;
    }
    for (kind, value) in keys_in(&text) {
        if found.len() >= KEYS_FOUND_MAX {
            return;
        }
        let known = |other: &KeyInFile| other.file == shown && *other.value.expose() == value;
        if !found.iter().any(known) {
            found.push(KeyInFile {
                file: shown.to_owned(),
                kind,
                value: Secret::new(value),
            });
        }
    }
}

/// Every assignment of a key: `NAME=value`, `"NAME": "value"`, `name = value`, `NAME:value`.
fn keys_in(text: &[u8]) -> impl Iterator<Item = (&'static str, String)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let length = text[at..].iter().take_while(|b| is_word(**b)).count();
            let (start, word) = (at, &text[at..at + length]);
            at += length.max(1);
            if !matches!(length, 32 | 40) || !is_key(word) {
                continue;
            }
            if let Some(kind) = assigned(&text[..start]) {
                return Some((kind, String::from_utf8_lossy(word).into_owned()));
            }
        }
        None
    })
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_key(word: &[u8]) -> bool {
    let mut seen = [false; 256];
    word.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    word.iter().all(u8::is_ascii_hexdigit) && different >= DIGITS_MIN
}

/// The kind of key whose name stands before a value, with nothing but an assignment between.
fn assigned(before: &[u8]) -> Option<&'static str> {
    let between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\' | b'=' | b':');
    let end = before.iter().rposition(|byte| !between(byte))? + 1;
    if !before[end..].iter().any(|byte| matches!(byte, b'=' | b':')) {
        return None;
    }
    let part = |byte: &u8| is_word(*byte) || *byte == b'-';
    let start = before[..end]
        .iter()
        .rposition(|byte| !part(byte))
        .map_or(0, |at| at + 1);
    let name = std::str::from_utf8(&before[start..end]).ok()?;
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const API_KEY: &str = "0123456789abcdef0123456789abcdef";
    const APP_KEY: &str = "0123456789abcdef0123456789abcdef01234567";

    fn kinds(text: &str) -> Vec<&'static str> {
        keys_in(text.as_bytes()).map(|(kind, _)| kind).collect()
    }

    #[test]
    fn assignments_of_all_formats_are_seen() {
        for text in [
            format!("DD_API_KEY={API_KEY}"),
            format!("export DATADOG_API_KEY=\"{API_KEY}\"\n"),
            format!("[Connection]\napikey = {API_KEY}\n"),
            format!("{{\"env\": {{\"DD_API_KEY\": \"{API_KEY}\"}}}}"),
            format!("\"args\": [\"--header\", \"DD-API-KEY: {API_KEY}\"]"),
            format!("\"args\": [\"--header\", \"dd_api_key:{API_KEY}\"]"),
            format!("api_key: '{API_KEY}'"),
            format!("\"{{\\\"DD_API_KEY\\\": \\\"{API_KEY}\\\"}}\""),
        ] {
            assert_eq!(kinds(&text), [API], "{text}");
        }
        let both = format!("appkey={APP_KEY}\nDD_APPLICATION_KEY={APP_KEY}");
        assert_eq!(kinds(&both), [APP, APP]);
    }

    #[test]
    fn examples_other_names_and_other_lengths_are_not() {
        for text in [
            format!("SHA={API_KEY}"),
            format!("MY_DD_API_KEY_OLD={API_KEY}"),
            format!("DD_API_KEY {API_KEY}"),
            format!("DD_API_KEY=\n{API_KEY}"),
            format!("DD_API_KEY={API_KEY}00"),
            format!("DD_API_KEY={}", "0".repeat(32)),
            "DD_API_KEY=<your-api-key>".to_owned(),
            "DD_API_KEY=${DD_API_KEY}".to_owned(),
            "DD_API_KEY=".to_owned(),
            String::new(),
        ] {
            assert!(kinds(&text).is_empty(), "{text}");
        }
    }

    #[test]
    fn it_looks_up_to_the_repository_and_never_at_home() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        let deep = home.join("repo/a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let put = |path: &str| std::fs::write(home.join(path), format!("DD_API_KEY={API_KEY}"));
        for path in [".env", "repo/.env", "repo/a/b/.env", ".dogrc"] {
            put(path).unwrap();
        }
        let files = |directory: &Path| -> Vec<String> {
            let found = find(&home, directory);
            found.into_iter().map(|key| key.file).collect()
        };
        assert_eq!(files(&deep), ["~/.dogrc", ".env"], "no repository");
        std::fs::create_dir(home.join("repo/.git")).unwrap();
        assert_eq!(files(&deep), ["~/.dogrc", ".env", "../../.env"]);
        assert_eq!(files(&home), ["~/.dogrc"]);
    }
}
