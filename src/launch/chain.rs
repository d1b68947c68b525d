//! Adds to variables that may already say something of the user's own.
//!
//! Pure. Invariant: what the user had stays, in its order, and what another gate further out had
//! added goes, so that a gate inside a gate is one gate: the inner one, which hands on to the outer.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Puts a directory in front of a list such as `PATH`, and takes out those of the same name.
pub(super) fn list(ours: &Path, theirs: Option<&OsStr>) -> OsString {
    let mut list = ours.as_os_str().to_owned();
    let Some(theirs) = theirs else {
        return list;
    };
    let is_ours = |path: &Path| path.file_name() == ours.file_name();
    let mut rest = theirs.to_owned();
    if std::env::split_paths(theirs).any(|path| is_ours(&path)) {
        let others = std::env::split_paths(theirs).filter(|path| !is_ours(path));
        // It fails for paths that cannot have come out of such a list.
        rest = std::env::join_paths(others).unwrap_or(rest);
        if rest.is_empty() {
            return list;
        }
    }
    list.push(if cfg!(windows) { ";" } else { ":" });
    list.push(rest);
    list
}

/// Appends words to options, and takes out those that another gate appended: what begins with
/// `start` and goes to `end`.
pub(super) fn options(theirs: Option<&OsStr>, ours: &OsStr, start: &str, end: &str) -> OsString {
    let mut options = users(theirs, start, end);
    if !options.is_empty() {
        options.push(" ");
    }
    options.push(ours);
    options
}

/// The options without those that another gate appended.
pub(super) fn users(theirs: Option<&OsStr>, start: &str, end: &str) -> OsString {
    let theirs = theirs.unwrap_or_default();
    match theirs.to_str() {
        // A gate's words are looked for as text.
        None => theirs.to_owned(),
        Some(text) => without(text, start, end).into(),
    }
}

fn without(text: &str, start: &str, end: &str) -> String {
    let mut text = text.to_owned();
    while let Some(at) = text.find(end)
        && let Some(from) = text[..at].rfind(start)
    {
        text.replace_range(from..at + end.len(), "");
        // One of the two spaces around it.
        if from == 0 || text[..from].ends_with(' ') {
            let space = from.saturating_sub(1);
            if text[space..].starts_with(' ') {
                text.remove(space);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(theirs: Option<&str>) -> String {
        let list = list(Path::new("/s/ddgate-bin"), theirs.map(OsStr::new));
        list.into_string().unwrap()
    }

    fn optioned(theirs: Option<&str>) -> String {
        let ours = OsStr::new("--require=\"/in ner/p.cjs\"");
        options(theirs.map(OsStr::new), ours, "--require=\"", "/p.cjs\"")
            .into_string()
            .unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn a_list_keeps_what_it_had_and_loses_other_gates() {
        assert_eq!(listed(None), "/s/ddgate-bin");
        assert_eq!(listed(Some("/a::/b")), "/s/ddgate-bin:/a::/b");
        assert_eq!(listed(Some("/o/ddgate-bin")), "/s/ddgate-bin");
        assert_eq!(
            listed(Some("/v/bin:/o/ddgate-bin:/b:")),
            "/s/ddgate-bin:/v/bin:/b:"
        );
    }

    #[test]
    fn options_keep_what_they_had_and_lose_other_gates() {
        let ours = optioned(None);
        assert_eq!(optioned(Some("-x")), format!("-x {ours}"));
        assert_eq!(optioned(Some(&ours)), ours);
        for before in [
            "-x  -y",
            "--require=\"/a b.cjs\" -y",
            "  -y",
            "--require=/p.cjs",
        ] {
            let once = optioned(Some(before));
            assert_eq!(once, format!("{before} {ours}"));
            let outer = once.replace("/in ner/", "/outer/");
            assert_eq!(optioned(Some(&outer)), once, "{before}");
            let behind = format!("{outer} -z");
            assert_eq!(optioned(Some(&behind)), format!("{before} -z {ours}"));
        }
    }
}
