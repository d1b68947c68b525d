//! Replaces many byte strings in a stream, in one pass.
//!
//! Invariants: how the stream is cut into pieces never changes the result, and a byte is held back
//! only while the bytes at the end could still become a needle: an event that ends in a newline
//! passes whole. Memory: one automaton for all streams, and less than the longest needle a stream.
//! Matching is leftmost-longest and does not look at its own output.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use bytes::Bytes;

use super::sieve::Sieve;

/// The needles are more than an automaton can hold (over 2^31 bytes).
#[derive(Debug, thiserror::Error)]
#[error("too many secrets to search for: {0}")]
pub struct TooManyNeedles(#[from] aho_corasick::BuildError);

/// Compiled needles and their replacements. Cheap to clone.
#[derive(Clone)]
pub struct Replacer(Arc<Automaton>);

struct Automaton {
    /// None when there is nothing to look for.
    search: Option<AhoCorasick>,
    /// Says where `search` need not look. None when a needle is too short.
    sieve: Option<Sieve>,
    /// By pattern of `search`.
    patterns: Vec<Pattern>,
    /// Every needle, sorted: where a beginning of one is looked up.
    sorted: Vec<Box<[u8]>>,
    /// Whether a needle begins with the byte.
    begins: [bool; 256],
    /// Whether one begins with two bytes of that [`pair`].
    begins_with: [bool; PAIRS],
    longest: usize,
    needles: usize,
}

struct Pattern {
    /// Place in the caller's list.
    index: usize,
    replacement: Box<[u8]>,
}

impl Replacer {
    /// Compiles pairs of needle and replacement. Empty needles never match; of two equal ones the
    /// first counts.
    ///
    /// # Errors
    /// [`TooManyNeedles`].
    pub fn new(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, TooManyNeedles> {
        let needles = pairs.len();
        let (mut patterns, mut sorted) = (Vec::new(), Vec::new());
        let mut begins = [false; 256];
        let mut begins_with = [false; PAIRS];
        for (index, (needle, replacement)) in pairs.into_iter().enumerate() {
            if let Some(&first) = needle.first() {
                begins[usize::from(first)] = true;
                if let Some(&second) = needle.get(1) {
                    begins_with[pair(first, second)] = true;
                }
                sorted.push(needle.into_boxed_slice());
                patterns.push(Pattern {
                    index,
                    replacement: replacement.into_boxed_slice(),
                });
            }
        }
        // Not a DFA: with tokens of some kilobytes it would cost megabytes and milliseconds, and
        // nearly all input is skipped by the vectorised prefilter anyway.
        let search = (!sorted.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .kind(Some(AhoCorasickKind::ContiguousNFA))
                    .build(&sorted)
            })
            .transpose()?;
        sorted.sort_unstable();
        Ok(Self(Arc::new(Automaton {
            search,
            patterns,
            begins,
            begins_with,
            sieve: Sieve::new(&sorted),
            longest: sorted.iter().map(|needle| needle.len()).max().unwrap_or(0),
            sorted,
            needles,
        })))
    }

    /// Begins a stream.
    #[must_use]
    pub fn stream(&self) -> ReplacerStream {
        ReplacerStream {
            automaton: Arc::clone(&self.0),
            held: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Whether there is a needle in `bytes`.
    #[must_use]
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.0.finds(bytes)
    }
}

impl fmt::Debug for Replacer {
    /// Says nothing: needles are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replacer([secret])")
    }
}

impl Automaton {
    /// Whether there is a needle in `bytes`.
    fn finds(&self, bytes: &[u8]) -> bool {
        let Some(search) = &self.search else {
            return false;
        };
        match &self.sieve {
            Some(sieve) => sieve
                .held_up(bytes)
                .any(|part| search.is_match(&bytes[part])),
            None => search.is_match(bytes),
        }
    }

    /// Where the end of `bytes` begins to be a proper beginning of some needle; `bytes.len()` if
    /// nowhere. Looks at `from..` only.
    fn open_tail(&self, bytes: &[u8], from: usize) -> usize {
        let window = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (window.max(from)..bytes.len())
            .find(|&at| self.may_begin(&bytes[at..]) && self.is_beginning(&bytes[at..]))
            .unwrap_or(bytes.len())
    }

    /// Whether the first bytes are those of some needle, or share their [`pair`] with them.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        match bytes {
            [] => false,
            [first] => self.begins[usize::from(*first)],
            [first, second, ..] => self.begins_with[pair(*first, *second)],
        }
    }

    /// Whether some needle is longer than `bytes` and begins with it. Such needles stand right
    /// behind where `bytes` itself would.
    fn is_beginning(&self, bytes: &[u8]) -> bool {
        let behind = self.sorted.partition_point(|needle| **needle <= *bytes);
        self.sorted
            .get(behind)
            .is_some_and(|needle| needle.starts_with(bytes))
    }
}

/// Kinds of two bytes that are told apart.
const PAIRS: usize = 1 << 10;

/// The kind of two bytes.
const fn pair(first: u8, second: u8) -> usize {
    ((first as usize * 4) ^ (second as usize * 5)) % PAIRS
}

/// One stream under way.
#[derive(Clone)]
pub struct ReplacerStream {
    automaton: Arc<Automaton>,
    /// A proper beginning of some needle, waiting for what follows.
    held: Vec<u8>,
    /// By place in the caller's list; empty until the first hit.
    hits: Vec<u64>,
}

impl ReplacerStream {
    /// Takes a piece and appends what can be said about it to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let rest = self.replace(piece, true, out);
            self.held.extend_from_slice(&piece[rest..]);
        } else {
            let mut buffer = std::mem::take(&mut self.held);
            buffer.extend_from_slice(piece);
            let rest = self.replace(&buffer, true, out);
            buffer.drain(..rest);
            // A large piece must not stay around for the sake of a short tail.
            buffer.shrink_to(self.automaton.longest);
            self.held = buffer;
        }
    }

    /// The same for shared bytes: without a needle in them they pass without being copied.
    #[must_use]
    pub fn push_bytes(&mut self, mut piece: Bytes) -> Bytes {
        if self.automaton.search.is_none() {
            return piece;
        }
        if self.held.is_empty() && !self.automaton.finds(&piece) {
            let tail = self.automaton.open_tail(&piece, 0);
            self.held.extend_from_slice(&piece[tail..]);
            piece.truncate(tail);
            return piece;
        }
        let mut out = Vec::with_capacity(self.held.len() + piece.len());
        self.push(&piece, &mut out);
        out.into()
    }

    /// Ends the stream: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let buffer = std::mem::take(&mut self.held);
        let rest = self.replace(&buffer, false, out);
        out.extend_from_slice(&buffer[rest..]);
    }

    /// How often each needle was replaced, in the order of the caller's list.
    pub fn hits(&self) -> impl Iterator<Item = u64> {
        (0..self.automaton.needles).map(|index| self.hits.get(index).copied().unwrap_or_default())
    }

    /// Replaces what is certain in `bytes`, and returns where the uncertain rest begins. `open`:
    /// more may follow.
    fn replace(&mut self, bytes: &[u8], open: bool, out: &mut Vec<u8>) -> usize {
        let automaton = Arc::clone(&self.automaton);
        let Some(search) = &automaton.search else {
            out.extend_from_slice(bytes);
            return bytes.len();
        };
        let tail_from = |at| {
            if open {
                automaton.open_tail(bytes, at)
            } else {
                bytes.len()
            }
        };
        let (mut at, mut tail) = (0, tail_from(0));
        if !automaton.finds(bytes) {
            out.extend_from_slice(&bytes[..tail]);
            return tail;
        }
        // A match that begins before the open tail is final: anything longer, or further left,
        // would itself have to begin at an open tail. One inside the tail may still grow.
        while let Some(found) = search
            .find(Input::new(bytes).range(at..))
            .filter(|found| found.start() < tail)
        {
            let pattern = &automaton.patterns[found.pattern()];
            out.extend_from_slice(&bytes[at..found.start()]);
            out.extend_from_slice(&pattern.replacement);
            if self.hits.is_empty() {
                self.hits.resize(automaton.needles, 0);
            }
            self.hits[pattern.index] += 1;
            at = found.end();
            if at > tail {
                tail = tail_from(at);
            }
        }
        out.extend_from_slice(&bytes[at..tail]);
        tail
    }
}

impl fmt::Debug for ReplacerStream {
    /// Says nothing: what is held back may be half a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplacerStream([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replacer(pairs: &[(&str, &str)]) -> Replacer {
        let pairs = pairs
            .iter()
            .map(|(needle, replacement)| ((*needle).into(), (*replacement).into()))
            .collect();
        Replacer::new(pairs).unwrap()
    }

    fn run(replacer: &Replacer, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u64>) {
        let mut stream = replacer.stream();
        let mut out = Vec::new();
        for piece in pieces {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        (out, stream.hits().collect())
    }

    #[test]
    fn a_needle_split_anywhere_is_found() {
        let replacer = replacer(&[("secret-key", "[gone]")]);
        let text = b"a secret-key, a secret-ke, asecret-keysecret-key";
        for at in 0..=text.len() {
            let (front, back) = text.split_at(at);
            let (out, hits) = run(&replacer, &[front, back]);
            assert_eq!(out, b"a [gone], a secret-ke, a[gone][gone]");
            assert_eq!(hits, [3]);
        }
    }

    #[test]
    fn the_longest_needle_wins_however_it_arrives() {
        let replacer = replacer(&[("ab", "1"), ("abcd", "2"), ("bc", "3"), ("", "4")]);
        for (text, expected) in [
            ("abcd", "2"),
            ("abc", "1c"),
            ("abcabcd", "1c2"),
            ("xbcx", "x3x"),
            ("aab", "a1"),
        ] {
            let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
            assert_eq!(run(&replacer, &bytes).0, expected.as_bytes(), "{text}");
            assert_eq!(run(&replacer, &[text.as_bytes()]).0, expected.as_bytes());
        }
        assert_eq!(run(&replacer, &[b"abcd"]).1, [0, 1, 0, 0]);
    }

    #[test]
    fn only_a_possible_needle_is_held_back() {
        let replacer = replacer(&[("secret", "[gone]")]);
        let mut stream = replacer.stream();
        let mut pushed =
            |piece: &'static str| stream.push_bytes(Bytes::from_static(piece.as_bytes()));
        assert_eq!(pushed("data: {\"a\":1}\n\n"), "data: {\"a\":1}\n\n");
        assert_eq!(pushed("data: s"), "data: ");
        assert_eq!(pushed("e"), "");
        assert_eq!(pushed("e\n\n"), "see\n\n");
        assert_eq!(pushed("secrets"), "[gone]");
        let mut out = Vec::new();
        stream.finish(&mut out);
        assert_eq!(out, b"s");
    }

    #[test]
    fn without_a_needle_bytes_are_not_copied() {
        let replacer = replacer(&[("secret", "[gone]")]);
        let piece = Bytes::from(vec![b'x'; 1000]);
        let passed = replacer.stream().push_bytes(piece.clone());
        assert_eq!(passed.as_ptr(), piece.as_ptr());
        let none = Replacer::new(Vec::new()).unwrap();
        assert_eq!(
            none.stream().push_bytes(piece.clone()).as_ptr(),
            piece.as_ptr()
        );
        assert!(!none.finds(b"anything"));
    }

    #[test]
    fn debug_says_nothing() {
        let replacer = replacer(&[("hunter2hunter2", "x")]);
        let mut stream = replacer.stream();
        stream.push(b"hunter2hunt", &mut Vec::new());
        assert!(!format!("{replacer:?} {stream:?}").contains("hunter"));
    }

    /// The plain meaning, for comparison: leftmost, then longest, then first.
    fn by_hand(needles: &[Vec<u8>], mut text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((&byte, rest)) = text.split_first() {
            let longest = needles
                .iter()
                .filter(|n| text.starts_with(n))
                .map(Vec::len)
                .max();
            match longest {
                Some(length) if length > 0 => {
                    out.push(b'#');
                    text = &text[length..];
                }
                _ => {
                    out.push(byte);
                    text = rest;
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn chunking_never_changes_the_result_and_no_needle_survives(
            needles in prop::collection::vec(prop::collection::vec(b'a'..=b'c', 1..6), 1..6),
            text in prop::collection::vec(b'a'..=b'd', 0..60),
            cuts in prop::collection::vec(1..9_usize, 1..8),
        ) {
            let pairs = needles.iter().map(|n| (n.clone(), b"#".to_vec())).collect();
            let replacer = Replacer::new(pairs).unwrap();
            let mut pieces = Vec::new();
            let mut rest = &text[..];
            for &cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let expected = by_hand(&needles, &text);
            let (out, hits) = run(&replacer, &pieces);
            prop_assert_eq!(&out, &expected);
            prop_assert_eq!(hits.iter().sum::<u64>(), out.iter().filter(|&&b| b == b'#').count() as u64);
            prop_assert!(!replacer.finds(&out));

            let mut stream = replacer.stream();
            let mut shared = Vec::new();
            for piece in pieces {
                shared.extend_from_slice(&stream.push_bytes(Bytes::copy_from_slice(piece)));
                prop_assert!(stream.held.is_empty() || stream.automaton.is_beginning(&stream.held));
            }
            stream.finish(&mut shared);
            prop_assert_eq!(shared, expected);
        }
    }
}
