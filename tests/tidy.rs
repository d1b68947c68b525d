//! Reads the sources and holds the laws no compiler holds: who may use whom, one importing room a
//! foreign crate, one room that prints, and how every file begins. Words, not syntax trees: it
//! looks at code outside comments, strings and the tests at the bottom of a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Which rooms a room may name. `limits`, `record` and `exit` are free to all; `error` names the
/// errors of all rooms, and only those who print or return it may name `error`.
const ROOMS: &[(&str, &[&str])] = &[
    ("auth", &["net"]),
    ("cli", &["replay", "ui"]),
    ("config", &["datadog", "journal", "policy"]),
    ("content_coding", &[]),
    ("datadog", &[]),
    ("demo", &["datadog", "net"]),
    ("export", &["journal", "tlog"]),
    (
        "gate",
        &[
            "auth", "config", "datadog", "journal", "launch", "net", "policy", "proxy", "redact",
        ],
    ),
    ("journal", &["redact", "tlog"]),
    ("launch", &[]),
    ("mcp", &[]),
    ("net", &[]),
    ("policy", &["datadog", "mcp"]),
    (
        "proxy",
        &[
            "auth",
            "content_coding",
            "datadog",
            "journal",
            "mcp",
            "net",
            "policy",
            "redact",
        ],
    ),
    ("redact", &["content_coding", "datadog"]),
    ("replay", &["journal"]),
    ("tlog", &[]),
    ("ui", &["error", "replay"]),
];
/// Floor 0: words and numbers. `record` may name `limits`, the others nothing.
const FREE: &[&str] = &["exit", "limits", "record"];
/// These may name everything.
const TOP: &[&str] = &["commands", "error", "lib", "main"];

/// Where a foreign crate may be named: paths below `src/`, or the beginnings of such.
const FOREIGN: &[(&str, &[&str])] = &[
    ("age", &["journal/crypt.rs"]),
    ("age_core", &["journal/crypt.rs"]),
    ("clap", &["cli.rs", "cli/", "commands/"]),
    ("clap_complete", &["cli.rs", "commands/"]),
    ("directories", &["config/paths.rs"]),
    ("ed25519_dalek", &["tlog/key.rs"]),
    ("hyper", &["demo/", "net/", "proxy/"]),
    ("hyper_util", &["demo/", "net/", "proxy/"]),
    ("indicatif", &["ui/progress.rs"]),
    ("keyring", &["auth/secret_store"]),
    ("landlock", &["launch/sandbox/landlock.rs"]),
    ("libc", &["launch/sandbox/seccomp.rs"]),
    ("openidconnect", &["auth/identity", "net/http.rs"]),
    ("qrcode", &["ui/qr.rs"]),
    ("rcgen", &["proxy/ca.rs"]),
    ("seccompiler", &["launch/sandbox/seccomp.rs"]),
    ("sled", &["journal/db.rs"]),
];
/// Who may own one of the two streams: `ui`, the pretend agent, and the child's launcher.
const STREAMS: &[&str] = &["demo/", "launch/", "ui/"];
/// Lines of a file, its tests not counted. About 400 is the wish; beyond this it is two files.
const LINES_MAX: usize = 500;

/// A source file: path below `src/`, its whole text, and its code alone.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    /// The room: the first part of the path.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut paths,
    );
    assert!(paths.len() > 10, "the sources are elsewhere");
    paths
}

fn walk(directory: &Path, prefix: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), sources);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            // A file of tests is allowed what tests are.
            let code = if name == "tests.rs" {
                String::new()
            } else {
                code_of(&text)
            };
            sources.push(Source { path, text, code });
        }
    }
}

/// The code of a file: without its tests at the bottom, comments, strings and characters.
fn code_of(text: &str) -> String {
    let text = above_tests(text);
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some(after) = raw_string(rest).filter(|_| !ends_in_word(&code)) {
            code.push_str("\"\"");
            rest = after;
        } else if next == '"' {
            code.push_str("\"\"");
            rest = quoted(rest);
        } else if let Some(after) = character(rest) {
            code.push_str("' '");
            rest = after;
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    code
}

fn above_tests(text: &str) -> &str {
    let test = |at: &usize| {
        let after = text[*at..].trim_start_matches("#[cfg(test)]").trim_start();
        let head = after.lines().next().unwrap_or_default();
        head.contains("mod ") && head.ends_with('{')
    };
    let mut found = text.match_indices("\n#[cfg(test)]").map(|(at, _)| at + 1);
    found.find(test).map_or(text, |at| &text[..at])
}

fn ends_in_word(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// What follows the raw string at the beginning, if one is there.
fn raw_string(text: &str) -> Option<&str> {
    let body = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let body = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&end).map_or("", |at| &body[at + end.len()..]))
}

/// What follows the string at the beginning.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// What follows the character literal at the beginning, if it is one and not a lifetime.
fn character(text: &str) -> Option<&str> {
    let body = text.strip_prefix('\'')?;
    if let Some(escape) = body.strip_prefix('\\') {
        let skipped = escape.chars().next()?.len_utf8();
        let close = escape[skipped..].find('\'')?;
        return Some(&escape[skipped + close + 1..]);
    }
    let only = body.chars().next()?;
    body[only.len_utf8()..].strip_prefix('\'')
}

/// Where `word` stands in `code` as a whole word that begins a path or a call.
fn stands(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = &code[..at];
        let is_begin = !ends_in_word(before) && !before.ends_with("::");
        // `sled::` and `dbg!` end by themselves; `use sled` must not be `use sledge`.
        let next = code[at + word.len()..].chars().next();
        let goes_on = next.is_some_and(|c| c.is_alphanumeric() || c == '_');
        is_begin && !(ends_in_word(word) && goes_on)
    })
}

/// The first names after every `crate::` (in braces too), and every `super::super::` name that is
/// a room's.
fn rooms_named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        if ends_in_word(&code[..at]) {
            continue;
        }
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_names(group)),
            None => names.push(word(rest)),
        }
    }
    for (at, start) in code.match_indices("super::super::") {
        let name = word(&code[at + start.len()..]);
        if ROOMS.iter().any(|(room, _)| *room == name) {
            names.push(name);
        }
    }
    names
}

fn word(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The first name of each entry of a group, up to its closing brace.
fn group_names(text: &str) -> Vec<String> {
    let (mut depth, mut fresh, mut names) = (0, true, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && (c.is_alphanumeric() || c == '_') => {
                names.push(word(&text[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn arrows_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let room = source.room();
        if TOP.contains(&room) {
            continue;
        }
        for named in rooms_named(&source.code) {
            let is_room = allowed.contains_key(&*named) || TOP.contains(&&*named);
            let is_free = FREE.contains(&&*named);
            let may = match allowed.get(room) {
                Some(rooms) => is_free || rooms.contains(&&*named),
                None if room == "record" => named == "limits",
                None if FREE.contains(&room) => false,
                None => panic!("the room `{room}` is not in the table of this test"),
            };
            if named != room && (is_room || is_free) && !may {
                wrong.push(format!("{}: {room} may not use {named}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_has_no_circle() {
    // Rooms that use only settled rooms settle; in a circle none does.
    let mut settled: Vec<&str> = vec!["error"];
    loop {
        let next = ROOMS.iter().find(|(room, uses)| {
            !settled.contains(room) && uses.iter().all(|used| settled.contains(used))
        });
        match next {
            Some((room, _)) => settled.push(room),
            None => break,
        }
    }
    let circle: Vec<_> = ROOMS
        .iter()
        .map(|(room, _)| room)
        .filter(|room| !settled.contains(room))
        .collect();
    assert!(circle.is_empty(), "{circle:?}");
}

#[test]
fn each_foreign_crate_has_one_importer() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in FOREIGN {
            let is_named = stands(&source.code, &format!("{name}::"))
                || stands(&source.code, &format!("use {name}"));
            if is_named && !places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("{}: {name} belongs to {places:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Law 2 has one exception, and the record it is for is sealed: nobody else may use it.
#[test]
fn one_place_alone_records_what_was_not_redacted() {
    let mut users: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.code.contains("sealed_proof"))
        .map(|source| source.path)
        .collect();
    users.sort();
    assert_eq!(users, ["gate/identity.rs", "redact/mod.rs"]);
}

#[test]
fn only_ui_prints() {
    let mut wrong = Vec::new();
    for source in sources() {
        for printing in ["println!", "eprintln!", "print!", "eprint!", "dbg!"] {
            if stands(&source.code, printing) {
                wrong.push(format!("{}: {printing}", source.path));
            }
        }
        let owns = STREAMS.iter().any(|place| source.path.starts_with(place));
        for stream in ["stdout()", "stderr()"] {
            if source.code.contains(stream) && !owns {
                wrong.push(format!("{}: {stream}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whoever may start threads and free tasks. Everything else runs on what `gate` counts and ends.
const STARTERS: &[&str] = &[
    "auth/aside.rs",
    "auth/credential/command.rs",
    "auth/secret_store/keyring.rs",
    "demo/",
    "journal/handle.rs",
    "journal/feeder.rs",
    // Packs one body, and ends with it.
    "journal/stream.rs",
    "launch/",
];

#[test]
fn threads_and_tasks_start_in_few_places() {
    let mut wrong = Vec::new();
    for source in sources() {
        let starts = ["thread::spawn", "thread::Builder", "tokio::spawn"];
        let found = starts.iter().find(|start| source.code.contains(**start));
        if let Some(start) = found
            && !STARTERS.iter().any(|place| source.path.starts_with(place))
        {
            wrong.push(format!("{}: {start}", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = sources();
    for directory in ["tests", "benches"] {
        if root.join(directory).is_dir() {
            walk(&root.join(directory), &format!("{directory}/"), &mut files);
        }
    }
    let silent: Vec<_> = files
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| &source.path)
        .collect();
    assert!(
        silent.is_empty(),
        "files without a `//!` opening: {silent:#?}"
    );
}

#[test]
fn no_file_is_two_and_none_is_unfinished() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = above_tests(&source.text).lines().count();
        if !source.path.ends_with("tests.rs") && lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
        for mark in ["TODO", "FIXME", "XXX", "#[allow("] {
            if source.text.contains(mark) {
                wrong.push(format!("{}: {mark}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_scanner_sees_code_only() {
    let text = r##"//! sled::a
use crate::{record::Leaf, ui::{Look, words}, exit};
/* sled::b */ let x = "sled::c \" sled::d"; let y = r#"sled::e"#; let z = ('"', '\'', '\u{1b}');
fn f<'a>(a: &'a str) { crate::journal::Db::new(); super::super::redact::x(); }
let e = sled::open();
#[cfg(test)]
pub(crate) mod sample;
let late = true;
#[cfg(test)]
mod tests {
    use crate::never;
}
"##;
    let code = code_of(text);
    assert_eq!(code.matches("sled").count(), 1, "{code}");
    assert!(code.contains("late"), "{code}");
    assert_eq!(
        rooms_named(&code),
        ["record", "ui", "exit", "journal", "redact"]
    );
    assert!(stands(&code, "sled::") && !stands("my_sled::x", "sled::"));
    assert!(!stands("crate::auth::keyring::x", "keyring::"));
    assert!(stands("use sled;", "use sled") && !stands("use sledge;", "use sled"));
}
