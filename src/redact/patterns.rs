//! Replaces what looks like a secret, in a stream: the last of the searches, behind known secrets
//! and secret places.
//!
//! Invariants, as in [`super::replacer`]: how the stream is cut never changes the result, and a
//! byte is held back only while what follows could still make a secret of it, so that an event
//! that ends in a newline passes whole. Held is at most one word of [`SHAPE_BYTES_MAX`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, Input, MatchKind};
use bytes::Bytes;

use super::named::{self, BEFORE_BYTES};
use super::pseudonym::PseudonymKey;
use super::shapes::{self, JWT, SHAPE_BYTES_MAX, SHAPES, Verdict};
use crate::record::event::RedactionCount;

/// The rule of what is secret because of the name beside it.
const NAMED: &str = "named-key";

/// One stream under way.
#[derive(Clone)]
pub(super) struct PatternStream {
    key: PseudonymKey,
    /// The last bytes that went by, as they came: where names are read.
    before: Vec<u8>,
    /// What could still become a secret.
    held: Vec<u8>,
    /// The rest of a secret too long to be held, which is dropped.
    rest: Option<shapes::ByteSet>,
    /// No JWT begins in so many bytes from here.
    no_jwt_bytes: usize,
    hits: BTreeMap<&'static str, u64>,
}

/// A secret found, or at the end one that is not decided yet.
#[derive(Clone, Copy)]
struct Found {
    start: usize,
    /// None: undecided.
    end: Option<usize>,
    rule: &'static str,
    rest: Option<shapes::ByteSet>,
}

impl PatternStream {
    pub(super) const fn new(key: PseudonymKey) -> Self {
        Self {
            key,
            before: Vec::new(),
            held: Vec::new(),
            rest: None,
            no_jwt_bytes: 0,
            hits: BTreeMap::new(),
        }
    }

    /// Takes a piece and gives what can be said about it: itself, if there is nothing in it.
    pub(super) fn push(&mut self, piece: Bytes) -> Bytes {
        if piece.is_empty() {
            return piece;
        }
        if self.held.is_empty() && self.rest.is_none() {
            let mut search = Search::new(&self.before, self.no_jwt_bytes, &piece, true);
            let first = search.next(0);
            if first.is_none_or(|found| found.end.is_none()) {
                let tail = first.map_or_else(|| open_tail(&piece), |found| found.start);
                let no_jwt = search.no_jwt_before;
                return self.pass(piece, tail, no_jwt);
            }
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(&piece);
        let mut out = Vec::with_capacity(bytes.len());
        let tail = self.replace(&bytes, true, &mut out);
        bytes.drain(..tail);
        bytes.shrink_to(SHAPE_BYTES_MAX);
        self.held = bytes;
        out.into()
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.held);
        let mut out = Vec::new();
        let tail = self.replace(&bytes, false, &mut out);
        out.extend_from_slice(&bytes[tail..]);
        out.into()
    }

    /// What was removed, by rule.
    pub(super) fn redactions(&self) -> impl Iterator<Item = RedactionCount> {
        self.hits.iter().map(|(rule, count)| RedactionCount {
            rule: (*rule).to_owned(),
            count: *count,
        })
    }

    /// Lets a piece without a secret pass, but for its undecided end.
    fn pass(&mut self, mut piece: Bytes, tail: usize, no_jwt: usize) -> Bytes {
        self.held.extend_from_slice(&piece[tail..]);
        piece.truncate(tail);
        self.went_by(&piece, no_jwt);
        piece
    }

    /// Replaces what is certain in `bytes`, and returns where the uncertain end begins.
    fn replace(&mut self, bytes: &[u8], open: bool, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        if let Some(rest) = self.rest {
            at = bytes.iter().position(|&b| !rest(b)).unwrap_or(bytes.len());
            if at < bytes.len() {
                self.rest = None;
            }
        }
        let before = std::mem::take(&mut self.before);
        let mut search = Search::new(&before, self.no_jwt_bytes, bytes, open);
        let tail = loop {
            let Some(found) = search.next(at) else {
                break if open {
                    at.max(open_tail(bytes))
                } else {
                    bytes.len()
                };
            };
            let Some(end) = found.end else {
                break found.start;
            };
            out.extend_from_slice(&bytes[at..found.start]);
            let secret = plain(&bytes[found.start..end], found.rule);
            out.extend_from_slice(self.key.marker(found.rule, &secret).as_bytes());
            *self.hits.entry(found.rule).or_default() += 1;
            at = end;
            if let Some(rest) = found.rest {
                at += bytes[end..]
                    .iter()
                    .position(|&b| !rest(b))
                    .unwrap_or(bytes.len() - end);
                self.rest = (at == bytes.len()).then_some(rest);
            }
        };
        out.extend_from_slice(&bytes[at..tail]);
        let no_jwt = search.no_jwt_before;
        self.before = before;
        self.went_by(&bytes[..tail], no_jwt);
        tail
    }

    fn went_by(&mut self, bytes: &[u8], no_jwt: usize) {
        self.no_jwt_bytes = no_jwt.saturating_sub(bytes.len());
        let near = &bytes[bytes.len().saturating_sub(BEFORE_BYTES)..];
        let kept = self.before.len().min(BEFORE_BYTES - near.len());
        self.before.drain(..self.before.len() - kept);
        self.before.extend_from_slice(near);
    }
}

impl fmt::Debug for PatternStream {
    /// Says nothing: what is held back may be half a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PatternStream([secret])")
    }
}

/// A PEM block as it stands in a file, whichever way its line ends are escaped.
fn plain<'a>(secret: &'a [u8], rule: &str) -> std::borrow::Cow<'a, [u8]> {
    if rule != "private-key" || !secret.contains(&b'\\') {
        return secret.into();
    }
    let text = String::from_utf8_lossy(secret).into_owned();
    let text = text.replace("\\r", "\r").replace("\\n", "\n");
    text.into_bytes().into()
}

/// All beginnings of [`SHAPES`], and that of [`JWT`] behind them.
fn prefixes() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().chain([&JWT]).map(|shape| shape.prefix)
}

/// Whether there is a secret in bytes that stand alone.
pub(super) fn finds(bytes: &[u8]) -> bool {
    Search::new(&[], 0, bytes, false).next(0).is_some()
}

/// Bytes of the longest of [`prefixes`].
static LONGEST: LazyLock<usize> =
    LazyLock::new(|| prefixes().map(str::len).max().unwrap_or_default());

/// Whether one of [`prefixes`] begins with the byte: asked of every piece's end, and seldom so.
static BEGINS: LazyLock<[bool; 256]> = LazyLock::new(|| {
    let mut begins = [false; 256];
    let firsts = prefixes().filter_map(|prefix| prefix.bytes().next());
    firsts.for_each(|first| begins[usize::from(first)] = true);
    begins
});

/// Where the end of `bytes` begins to be a proper beginning of some prefix.
fn open_tail(bytes: &[u8]) -> usize {
    let begins = &*BEGINS;
    (bytes.len().saturating_sub(*LONGEST)..bytes.len())
        .filter(|&at| begins[usize::from(bytes[at])])
        .find(|&at| prefixes().any(|prefix| prefix.as_bytes().starts_with(&bytes[at..])))
        .unwrap_or(bytes.len())
}

/// The search for prefixes, made once. None if it cannot be, which a test rules out.
fn automaton() -> Option<&'static AhoCorasick> {
    static AUTOMATON: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let made = AUTOMATON.get_or_init(|| {
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(prefixes())
            .ok()
    });
    made.as_ref()
}

/// A search through some bytes, from left to right.
struct Search<'a> {
    before: &'a [u8],
    bytes: &'a [u8],
    open: bool,
    no_jwt_before: usize,
    /// The next finds of each kind, once known; they stay so until passed.
    shaped: Option<Option<Found>>,
    named: Option<Option<Found>>,
}

impl<'a> Search<'a> {
    const fn new(before: &'a [u8], no_jwt_before: usize, bytes: &'a [u8], open: bool) -> Self {
        Self {
            before,
            bytes,
            open,
            no_jwt_before,
            shaped: None,
            named: None,
        }
    }

    /// The first find at or behind `at`.
    fn next(&mut self, at: usize) -> Option<Found> {
        let is_old = |known: &Option<Option<Found>>| match known {
            Some(Some(found)) => found.start < at,
            Some(None) => false,
            None => true,
        };
        if is_old(&self.shaped) {
            self.shaped = Some(self.shaped_from(at));
        }
        if is_old(&self.named) {
            self.named = Some(self.named_from(at));
        }
        let finds = [self.named.flatten(), self.shaped.flatten()];
        finds.into_iter().flatten().min_by_key(|found| found.start)
    }

    fn named_from(&self, at: usize) -> Option<Found> {
        let found = named::find(self.before, self.bytes, at, self.open)?;
        Some(Found {
            start: found.start(),
            end: match found {
                named::Found::Word { end, .. } => Some(end),
                named::Found::Open { .. } => None,
            },
            rule: NAMED,
            rest: None,
        })
    }

    fn shaped_from(&mut self, mut at: usize) -> Option<Found> {
        let automaton = automaton()?;
        while let Some(begun) = automaton.find(Input::new(self.bytes).range(at..)) {
            let start = begun.start();
            at = start + 1;
            // Whatever is none of the others.
            let shape = SHAPES.get(begun.pattern().as_usize());
            if shape.is_none() && start < self.no_jwt_before {
                continue;
            }
            let shape = shape.unwrap_or(&JWT);
            let (end, rest) = match shape.check(self.bytes, start, self.open) {
                Verdict::No => continue,
                Verdict::NoneBefore(place) => {
                    self.no_jwt_before = place;
                    continue;
                }
                Verdict::More => (None, None),
                Verdict::Match { end, rest } => (Some(end), rest),
            };
            return Some(Found {
                start,
                end,
                rule: shape.rule,
                rest,
            });
        }
        None
    }
}

#[cfg(test)]
mod tests;
