//! Words that are secret because of the name beside them: 32 hexadecimal digits or 40 letters and
//! digits (Datadog's older keys) are ids and digests everywhere else.
//!
//! Names are rare and found fast, so they say where to look; what counts is then read backwards
//! from the word, through quotes, colons and escapes. Invariant: whether a word is a secret
//! depends on it and on [`BEFORE_BYTES`] before it, never on how a stream is cut.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};

/// Bytes before a word in which its name is looked for.
pub(super) const BEFORE_BYTES: usize = 128;
/// An API key, in hexadecimal digits.
const API_KEY_BYTES: usize = 32;
/// An application key.
const APP_KEY_BYTES: usize = 40;
/// What an escape may add before a word: `u003d`.
const ESCAPE_BYTES_MAX: usize = 5;
/// Between a name and its word.
const BETWEEN_BYTES_MAX: usize = 24;
/// `Authorization: Bearer …`; `"name": "api_key", "value": "…"`
const WORDS_BETWEEN: [&[u8]; 2] = [b"bearer", b"value"];
/// From the end of a name to its word, with `value` and `Bearer` between them.
const REACH_BYTES: usize = 3 * BETWEEN_BYTES_MAX + 16;

/// How every name of a secret ends, as it is written in practice.
const TAILS: [&str; 17] = [
    "key", "Key", "KEY", "oken", "OKEN", "ecret", "ECRET", "assword", "ASSWORD", "asswd", "ASSWD",
    "phrase", "PHRASE", "dential", "DENTIAL", "ization", "IZATION",
];

/// How a name of a secret ends, without `-` and `_`, in lower case; a plural too.
const ENDINGS: [&str; 16] = [
    "accesskey",
    "apikey",
    "applicationkey",
    "appkey",
    "authkey",
    "authorization",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "servicekey",
    "signingkey",
    "token",
];
/// The same for places in a list.
const PLACES: [&str; 4] = ["continuationtoken", "cursortoken", "nexttoken", "pagetoken"];

/// What was found, in the order of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A secret.
    Word { start: usize, end: usize },
    /// A beginning of one, at the end of the bytes.
    Open { start: usize },
}

impl Found {
    pub(super) const fn start(self) -> usize {
        match self {
            Self::Word { start, .. } | Self::Open { start } => start,
        }
    }
}

/// The first such word of `bytes` at or behind `from`; `before` are the bytes that went before.
/// `open`: more may follow.
pub(super) fn find(before: &[u8], bytes: &[u8], from: usize, open: bool) -> Option<Found> {
    // Near the beginning the name may have gone before.
    if from < BEFORE_BYTES
        && let Some(found) = word(before, bytes, from..BEFORE_BYTES, open)
    {
        return Some(found);
    }
    let near = Input::new(bytes).range(from.saturating_sub(BEFORE_BYTES)..);
    for name in tails()
        .iter()
        .flat_map(|tails| tails.find_iter(near.clone()))
    {
        let behind = name.end().max(from)..name.end() + REACH_BYTES;
        if may_name_a_secret(&bytes[..name.end()], name.len())
            && may_reach_a_word(&bytes[name.end()..])
            && let Some(found) = word(before, bytes, behind, open)
        {
            return Some(found);
        }
    }
    open.then(|| open_word(before, bytes, from)).flatten()
}

/// Whether a name that ends in so many bytes of [`TAILS`] may be one of [`ENDINGS`]. Most keys are
/// just called `key`, and there are many in JSON.
fn may_name_a_secret(name: &[u8], tail: usize) -> bool {
    if !name.ends_with(b"key") && !name.ends_with(b"Key") && !name.ends_with(b"KEY") {
        return true;
    }
    let front = &name[..name.len() - tail];
    let front = match front.split_last() {
        Some((b'_' | b'-', front)) => front,
        _ => front,
    };
    // The last letters of `api`, `app`, `application`, `access`, `secret`, …
    front.last().is_none_or(|byte| {
        matches!(byte, b'_' | b'-') || b"ipnstehg".contains(&byte.to_ascii_lowercase())
    })
}

/// Whether a word long enough may follow a name. Escapes need a closer look, so there it may.
fn may_reach_a_word(behind: &[u8]) -> bool {
    let plural = behind
        .iter()
        .take(2)
        .take_while(|b| matches!(b, b's' | b'S'));
    let mut rest = &behind[plural.count()..];
    let mut is_first = true;
    loop {
        let between = rest.iter().take_while(|b| is_between(**b)).count();
        let word = &rest[between..];
        if word.is_empty() || matches!(word[0], b'%' | b'\\') {
            return true;
        }
        if between == 0 {
            // A secret may begin with such a word.
            return !is_first;
        }
        is_first = false;
        let filler = WORDS_BETWEEN.iter().find(|filler| {
            let begins = word.get(..filler.len());
            begins.is_some_and(|begins| begins.eq_ignore_ascii_case(filler))
        });
        match filler {
            Some(filler) => rest = &word[filler.len()..],
            None => {
                let mut word = word.iter().take(API_KEY_BYTES);
                return word.all(u8::is_ascii_alphanumeric);
            }
        }
    }
}

/// What stands between a name and its word, but for escapes.
const fn is_between(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\'' | b' ' | b'\t' | b':' | b'=' | b',' | b'>' | b'[' | b'('
    )
}

/// The first word that begins in `range`. One byte in 32 is looked at: no run of 32 escapes that.
fn word(before: &[u8], bytes: &[u8], range: std::ops::Range<usize>, open: bool) -> Option<Found> {
    let mut begin = range.start;
    while begin < range.end {
        let sample = begin + API_KEY_BYTES - 1;
        if !bytes.get(sample)?.is_ascii_alphanumeric() {
            begin = sample + 1;
            continue;
        }
        let back = bytes[begin..sample].iter().rev();
        let start = sample - back.take_while(|b| b.is_ascii_alphanumeric()).count();
        let ahead = bytes[sample..]
            .iter()
            .take(APP_KEY_BYTES + ESCAPE_BYTES_MAX + 1);
        let end = sample + ahead.take_while(|b| b.is_ascii_alphanumeric()).count();
        let goes_on = open && end == bytes.len();
        if end - start >= API_KEY_BYTES && !goes_on {
            let context = Context::of(before, bytes, start);
            if let Some(start) = context.word(&bytes[start..end]).map(|skip| start + skip) {
                return Some(Found::Word { start, end });
            }
        }
        begin = end + 1;
    }
    None
}

/// The beginning of a word at the end of `bytes`.
fn open_word(before: &[u8], bytes: &[u8], from: usize) -> Option<Found> {
    let tail = bytes.get(from..).unwrap_or_default().iter().rev();
    let length = tail
        .take(APP_KEY_BYTES + ESCAPE_BYTES_MAX + 1)
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let start = bytes.len() - length;
    let could = (1..=APP_KEY_BYTES + ESCAPE_BYTES_MAX).contains(&length)
        && Context::of(before, bytes, start).may_begin();
    could.then_some(Found::Open { start })
}

/// The search for [`TAILS`], made once. None if it cannot be, which a test rules out.
fn tails() -> Option<&'static AhoCorasick> {
    static AUTOMATON: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let made = AUTOMATON.get_or_init(|| {
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(TAILS)
            .ok()
    });
    made.as_ref()
}

/// What stands before a word, the nearest last.
struct Context([u8; BEFORE_BYTES], usize);

impl Context {
    fn of(before: &[u8], bytes: &[u8], start: usize) -> Self {
        let mut context = [0; BEFORE_BYTES];
        let near = &bytes[start.saturating_sub(BEFORE_BYTES)..start];
        let far = &before[before.len().saturating_sub(BEFORE_BYTES - near.len())..];
        context[..far.len()].copy_from_slice(far);
        context[far.len()..far.len() + near.len()].copy_from_slice(near);
        Self(context, far.len() + near.len())
    }

    fn bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }

    /// Whether `run` is a secret, behind how many bytes of it that belong to an escape.
    fn word(&self, run: &[u8]) -> Option<usize> {
        let before = self.bytes();
        let skip = match before.last() {
            // The rest of a word that was too long, or stood beside nothing.
            Some(byte) if byte.is_ascii_alphanumeric() => return None,
            Some(b'%') => 2,
            Some(b'\\') if run.first() == Some(&b'u') => 5,
            Some(b'\\') => 1,
            _ => 0,
        };
        let word = run.get(skip..)?;
        let fits = match word.len() {
            API_KEY_BYTES => word.iter().all(u8::is_ascii_hexdigit),
            APP_KEY_BYTES => true,
            _ => false,
        };
        (fits && is_named(before)).then_some(skip)
    }

    /// Whether a word could begin here, whatever it is.
    fn may_begin(&self) -> bool {
        match self.bytes().last() {
            Some(byte) if byte.is_ascii_alphanumeric() => false,
            Some(b'%' | b'\\') => true,
            _ => is_named(self.bytes()),
        }
    }
}

/// Whether a name of a secret stands at the end of `before`, with something between it and the word.
fn is_named(before: &[u8]) -> bool {
    let Some(mut rest) = without_between(before) else {
        return false;
    };
    for word in WORDS_BETWEEN {
        if ends_with(rest, word) {
            match without_between(&rest[..rest.len() - word.len()]) {
                Some(further) => rest = further,
                None => return false,
            }
        }
    }
    let rest = rest.strip_suffix(b"s").unwrap_or(rest);
    let rest = rest.strip_suffix(b"S").unwrap_or(rest);
    if !TAILS.iter().any(|tail| rest.ends_with(tail.as_bytes())) {
        return false;
    }
    let name: String = rest
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        .filter(|b| b.is_ascii_alphanumeric())
        .take(64)
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect();
    let name: String = name.chars().rev().collect();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    ends(&ENDINGS) && !ends(&PLACES)
}

/// `bytes` without what stands between a name and its word; none when nothing does.
fn without_between(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    while let Some((last, shorter)) = rest.split_last() {
        if is_between(*last) || matches!(last, b'\\' | b'%') {
            rest = shorter;
        } else if let Some(escape) = escape_at_end(rest) {
            rest = &rest[..rest.len() - escape];
        } else {
            break;
        }
        if bytes.len() - rest.len() > BETWEEN_BYTES_MAX {
            return None;
        }
    }
    (rest.len() < bytes.len()).then_some(rest)
}

/// The length of the `%3D` or `\u003d` at the end.
fn escape_at_end(bytes: &[u8]) -> Option<usize> {
    let hex = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
    if let [.., b'%', a, b] = bytes
        && hex(&[*a, *b])
    {
        return Some(3);
    }
    match bytes {
        [.., b'\\', b'u', a, b, c, d] if hex(&[*a, *b, *c, *d]) => Some(6),
        _ => None,
    }
}

fn ends_with(bytes: &[u8], word: &[u8]) -> bool {
    let at = bytes.len().checked_sub(word.len());
    at.is_some_and(|at| bytes[at..].eq_ignore_ascii_case(word))
}
