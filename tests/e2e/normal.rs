//! Text without what changes from run to run, so that it can be compared. Pure but for the name of
//! this machine and of whoever runs the tests.

use std::path::Path;
use std::sync::OnceLock;

/// Replaces ids, ports, paths, moments and durations.
pub(crate) fn normalise(text: &str, root: &Path) -> String {
    let mut text = text
        .replace(&crate::agent::command().join(" "), "[AGENT]")
        .replace(env!("CARGO_BIN_EXE_ddgate"), "[DDGATE]")
        .replace(&root.display().to_string(), "[ROOT]");
    let (user, host) = whoami();
    for (found, shown) in [
        (
            format!("{user}, unverified OS user on {host}"),
            "[USER], unverified OS user on [HOST]",
        ),
        (format!("{user} (unverified)"), "[USER] (unverified)"),
        (format!("recorded as {user},"), "recorded as [USER],"),
        (format!("{host} in [ROOT]"), "[HOST] in [ROOT]"),
    ] {
        text = text.replace(&found, shown);
    }
    let mut normal = String::new();
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let free = !normal.ends_with(|c: char| c.is_ascii_alphanumeric());
        if let Some((word, length)) = changing(rest).filter(|_| free) {
            normal.push_str(word);
            rest = &rest[length..];
        } else {
            normal.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    normal
}

/// The account and the machine, as ddgate knows them.
fn whoami() -> &'static (String, String) {
    static WHO: OnceLock<(String, String)> = OnceLock::new();
    WHO.get_or_init(|| {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let own = rustix::process::getuid().as_raw().to_string();
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut accounts = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let account = accounts.find(|fields| fields.get(2) == Some(&own.as_str()));
        let user = account.map_or("unknown".to_owned(), |fields| fields[0].to_owned());
        (user, host)
    })
}

/// What changes from run to run and stands at the beginning of `text`, with its length.
fn changing(text: &str) -> Option<(&'static str, usize)> {
    for (before, shown) in [
        ("127.0.0.1:", "127.0.0.1:[PORT]"),
        ("localhost:", "localhost:[PORT]"),
        ("127.0.0.1 port ", "127.0.0.1 port [PORT]"),
        ("pid ", "pid [PID]"),
    ] {
        let digits = text
            .strip_prefix(before)
            .map_or(0, |rest| run(rest, |b| b.is_ascii_digit()));
        if digits > 0 {
            return Some((shown, before.len() + digits));
        }
    }
    let word = run(text, |b| b.is_ascii_alphanumeric());
    let hex = run(text, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if word == hex {
        match hex {
            8 => return Some(("[ID]", 8)),
            32 => return Some(("[SESSION]", 32)),
            _ => {}
        }
    }
    let shape = |shape: &str| {
        let fits = text.len() >= shape.len()
            && text.bytes().zip(shape.bytes()).all(|(b, s)| match s {
                b'd' => b.is_ascii_digit(),
                b'a' => b.is_ascii_alphabetic(),
                other => b == other,
            });
        fits.then_some(shape.len())
    };
    for moment in [
        "dddd-dd-ddTdd:dd:dd.dddddd",
        "dddd-dd-dd dd:dd:dd.dddddd",
        "dddd-dd-dd dd:dd:dd",
        "dddd-dd-dd dd:dd",
        "aaa, dd aaa dddd dd:dd:dd GMT",
        "ddddddddddddd",
    ] {
        if let Some(length) = shape(moment) {
            return Some(("[WHEN]", length));
        }
    }
    if let Some(length) = shape("d:dd.ddd") {
        return Some(("[AT]", length));
    }
    let number = run(text, |b| b.is_ascii_digit() || b == b'.');
    let unit = [" ms", " µs", " s"]
        .into_iter()
        .find(|unit| number > 0 && text[number..].starts_with(unit))?;
    let end = number + unit.len();
    let ends = !text[end..].starts_with(|c: char| c.is_alphanumeric());
    ends.then_some(("[TIME]", end))
}

fn run(text: &str, fits: fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| fits(*byte)).count()
}

#[test]
fn what_changes_is_replaced() {
    let root = Path::new("/tmp/x");
    let text =
        "at 127.0.0.1:4411 c6680721 /tmp/x/y 2026-11-23 21:40:08 +00:00 for 608 ms, 0:00.065 cafe";
    assert_eq!(
        normalise(text, root),
        "at 127.0.0.1:[PORT] [ID] [ROOT]/y [WHEN] +00:00 for [TIME], [AT] cafe"
    );
}
