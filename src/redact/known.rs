//! The secrets a session knows, in every form they are likely to turn up in; behind them, whatever
//! looks like a secret (see `patterns`).
//!
//! Forms: as they are; percent-encoded (RFC 3986, as browsers, Python and HTML forms do it, either
//! case of the digits); escaped in a JSON string; inside base64, standard and URL-safe, at any of
//! the three alignments. Not covered: other encodings, line-wrapped base64, a secret cut in two.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::Redacted;
use super::patterns::{self, PatternStream};
use super::pseudonym::PseudonymKey;
use super::replacer::{Replacer, ReplacerStream, TooManyNeedles};
use crate::record::Secret;
use crate::record::event::RedactionCount;

/// Shorter secrets are not searched for: a few letters occur in honest text all the time, and
/// replacing them would ruin the record while showing the reader what they are.
pub const SECRET_BYTES_MIN: usize = 8;

/// A value cut out of a request is looked for in the answer from this length on.
const ECHO_BYTES_MIN: usize = 16;
/// And so many of them: a request with more secrets than this is a list of them.
const ECHOES_MAX: usize = 32;

/// The secrets of a session, compiled. Cheap to clone.
#[derive(Clone)]
pub struct KnownSecrets {
    replacer: Replacer,
    /// The label of each needle.
    labels: Arc<[Arc<str>]>,
    key: PseudonymKey,
    /// As given, for [`Self::and`].
    secrets: Arc<[(Arc<str>, Secret<String>)]>,
}

impl KnownSecrets {
    /// Compiles labelled secrets under a key of their own: see [`Self::keyed`].
    ///
    /// # Errors
    /// [`TooManyNeedles`].
    pub fn new(
        secrets: impl IntoIterator<Item = (String, Secret<String>)>,
    ) -> Result<Self, TooManyNeedles> {
        Self::keyed(PseudonymKey::fresh(), secrets)
    }

    /// Compiles labelled secrets; a match becomes `[REDACTED:<label>:<pseudonym>]`, the same for
    /// every form of one secret. Secrets shorter than [`SECRET_BYTES_MIN`] are ignored.
    ///
    /// # Errors
    /// [`TooManyNeedles`].
    pub fn keyed(
        key: PseudonymKey,
        secrets: impl IntoIterator<Item = (String, Secret<String>)>,
    ) -> Result<Self, TooManyNeedles> {
        let secrets: Arc<[_]> = secrets
            .into_iter()
            .filter(|(_, secret)| secret.expose().len() >= SECRET_BYTES_MIN)
            .map(|(label, secret)| (Arc::from(label), secret))
            .collect();
        let (mut pairs, mut labels) = (Vec::new(), Vec::<Arc<str>>::new());
        for (label, secret) in secrets.iter() {
            let marker = key.marker(label, secret.expose().as_bytes());
            for form in forms(secret.expose()) {
                pairs.push((form, marker.clone().into_bytes()));
                labels.push(Arc::clone(label));
            }
        }
        Ok(Self {
            replacer: Replacer::new(pairs)?,
            labels: labels.into(),
            key,
            secrets,
        })
    }

    /// The same and `more`, which were cut out of one call's request: where Datadog repeats one of
    /// them in its answer, `[REDACTED:echo:<pseudonym>]` stands. Short ones are left: they are
    /// values of fields, and may be words.
    #[must_use]
    pub fn and(&self, more: &[Secret<String>]) -> Self {
        let echoes: Vec<_> = more
            .iter()
            .filter(|secret| secret.expose().len() >= ECHO_BYTES_MIN)
            // Placeholders travel in queries all the time.
            .filter(|more| {
                let mut mine = self.secrets.iter();
                !mine.any(|(_, secret)| secret.expose() == more.expose())
            })
            .take(ECHOES_MAX)
            .map(|secret| ("echo".to_owned(), secret.clone()))
            .collect();
        if echoes.is_empty() {
            return self.clone();
        }
        let mine = self.secrets.iter();
        let mine = mine.map(|(label, secret)| (label.to_string(), secret.clone()));
        Self::keyed(self.key.clone(), mine.chain(echoes)).unwrap_or_else(|_| self.clone())
    }

    /// The key of this session's pseudonyms.
    #[must_use]
    pub const fn key(&self) -> &PseudonymKey {
        &self.key
    }

    /// Redacts a text.
    #[must_use]
    pub fn text(&self, text: &str) -> Redacted<String> {
        Redacted::new(self.replaced(text))
    }

    /// Redacts bytes that stand alone.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> Redacted<Bytes> {
        if !self.finds(bytes) {
            return Redacted::new(Bytes::copy_from_slice(bytes));
        }
        let mut stream = self.stream();
        let first = stream.push(Bytes::copy_from_slice(bytes)).into_inner();
        let last = stream.finish().into_inner();
        Redacted::new(match (first.is_empty(), last.is_empty()) {
            (true, _) => last,
            (_, true) => first,
            (false, false) => [first, last].concat().into(),
        })
    }

    /// Begins to redact a stream.
    #[must_use]
    pub fn stream(&self) -> KnownStream {
        KnownStream {
            stream: self.replacer.stream(),
            labels: Arc::clone(&self.labels),
            patterns: PatternStream::new(self.key.clone()),
        }
    }

    /// Whether there is anything to redact in bytes that stand alone. Most are a header's value or a
    /// name, a dozen a call, and hold nothing: making a stream for each would cost more than the
    /// search.
    fn finds(&self, bytes: &[u8]) -> bool {
        self.replacer.finds(bytes) || patterns::finds(bytes)
    }

    pub(super) fn replaced(&self, text: &str) -> String {
        if !self.finds(text.as_bytes()) {
            return text.to_owned();
        }
        let bytes = self.bytes(text.as_bytes()).into_inner();
        // Needles and replacements are whole characters, so nothing is lost here.
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets([secret])")
    }
}

/// One stream under redaction.
#[derive(Clone, Debug)]
pub struct KnownStream {
    stream: ReplacerStream,
    labels: Arc<[Arc<str>]>,
    /// Behind `stream`: what is known is called by its name, whatever it looks like.
    patterns: PatternStream,
}

impl KnownStream {
    /// Takes a piece and gives what may be recorded of it so far; possibly nothing.
    #[must_use]
    pub fn push(&mut self, piece: Bytes) -> Redacted<Bytes> {
        Redacted::new(self.patterns.push(self.stream.push_bytes(piece)))
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(&mut self) -> Redacted<Bytes> {
        let mut rest = Vec::new();
        self.stream.finish(&mut rest);
        let mut out = self.patterns.push(rest.into()).to_vec();
        out.extend_from_slice(&self.patterns.finish());
        Redacted::new(out.into())
    }

    /// What was removed, by label, then by what it looked like.
    #[must_use]
    pub fn redactions(&self) -> Vec<RedactionCount> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (label, hits) in self.labels.iter().zip(self.stream.hits()) {
            if hits > 0 {
                *counts.entry(label).or_default() += hits;
            }
        }
        counts
            .into_iter()
            .map(|(rule, count)| RedactionCount {
                rule: rule.to_owned(),
                count,
            })
            .chain(self.patterns.redactions())
            .collect()
    }
}

/// Pairs for a [`Replacer`] that shows `stand_in` wherever `secret` would appear, in the same form.
/// Inside base64 the two fit exactly when they have the same length.
#[must_use]
pub fn swaps(secret: &Secret<String>, stand_in: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = HashSet::new();
    spellings(secret.expose())
        .into_iter()
        .zip(spellings(stand_in))
        .filter(|(needle, _)| needle.len() >= SECRET_BYTES_MIN && seen.insert(needle.clone()))
        .collect()
}

/// Every form of a secret, each once.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = spellings(secret);
    let mut seen = HashSet::new();
    forms.retain(|form| seen.insert(form.clone()));
    forms
}

/// Every form of a text, always the same number in the same order, duplicates included.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let mut spellings = vec![text.to_owned()];
    // What encoders leave as it is, beside letters and digits: strict ones, JavaScript's
    // encodeURIComponent, Python's quote, HTML forms.
    for plain in ["-._~", "-._~!'()*", "-._~/", "-._*+"] {
        spellings.push(percent_encoded(text, plain, false));
        spellings.push(percent_encoded(text, plain, true));
    }
    for (slash, html, ascii) in [
        (false, false, false),
        (true, false, false),
        (false, true, false),
        (false, false, true),
        (true, false, true),
    ] {
        spellings.push(json_escaped(text, slash, html, ascii));
    }
    for before in 0..3 {
        spellings.push(inside_base64(&STANDARD_NO_PAD, text, before));
        spellings.push(inside_base64(&URL_SAFE_NO_PAD, text, before));
    }
    spellings.into_iter().map(String::into_bytes).collect()
}

/// RFC 3986, 2.1, leaving letters, digits and `plain`; a `+` in `plain` stands for the space.
fn percent_encoded(text: &str, plain: &str, lower: bool) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte == b' ' && plain.contains('+') {
            encoded.push('+');
        } else if byte.is_ascii_alphanumeric() || (byte != b'+' && plain.contains(character)) {
            encoded.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = if lower {
                write!(encoded, "%{byte:02x}")
            } else {
                write!(encoded, "%{byte:02X}")
            };
        }
    }
    encoded
}

/// RFC 8259, 7, as serialisers differ: `/` as `\/` (PHP), `<>&` as `\u003c…` (Go), everything
/// beyond ASCII as `\u…` (Python).
fn json_escaped(text: &str, slash: bool, html: bool, ascii: bool) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    let mut units = [0; 2];
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            '/' if slash => escaped.push_str("\\/"),
            _ if character < ' '
                || (html && "<>&".contains(character))
                || (ascii && !character.is_ascii()) =>
            {
                for unit in character.encode_utf16(&mut units) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The characters of base64 that depend on `text` alone when `before` (mod 3) bytes precede it:
/// those at the edges share bits with their neighbours.
fn inside_base64(engine: &impl Engine, text: &str, before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text.as_bytes());
    let encoded = engine.encode(&bytes);
    let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    encoded.get(from..to).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::pseudonym::without_pseudonyms;
    use super::*;
    use proptest::prelude::*;

    fn known(secret: &str) -> KnownSecrets {
        KnownSecrets::new([("key".to_owned(), Secret::new(secret.to_owned()))]).unwrap()
    }

    #[test]
    fn every_stated_form_is_replaced() {
        let secret = "p@ss/w rd+\"<é>=";
        let known = known(secret);
        for text in [
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            serde_json::to_string(secret).unwrap().replace('/', "\\/"),
            "p@ss/w rd+\\\"\\u003cé\\u003e=".to_owned(),
            "p@ss/w rd+\\\"<\\u00e9>=".to_owned(),
            "p%40ss%2Fw%20rd%2B%22%3C%C3%A9%3E%3D".to_owned(),
            "p%40ss%2fw%20rd%2b%22%3c%c3%a9%3e%3d".to_owned(),
            "p%40ss/w%20rd%2B%22%3C%C3%A9%3E%3D".to_owned(),
            "p%40ss%2Fw+rd%2B%22%3C%C3%A9%3E%3D".to_owned(),
        ] {
            let shown = known.text(&format!("<{text}>")).into_inner();
            assert!(shown.contains("[REDACTED:key:"), "{text} gave {shown}");
            assert!(!shown.contains("ss"), "{text} gave {shown}");
        }
    }

    #[test]
    fn base64_is_seen_through_at_every_alignment() {
        let secret = "0123456789abcdef?>~0123456789abc";
        let known = known(secret);
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zz"] {
                let text = format!("{before}{secret}{after}");
                for encoded in [
                    STANDARD_NO_PAD.encode(&text),
                    URL_SAFE_NO_PAD.encode(&text),
                    base64::engine::general_purpose::STANDARD.encode(&text),
                ] {
                    let shown = known.text(&encoded).into_inner();
                    assert!(shown.contains("[REDACTED:key:"), "{encoded} gave {shown}");
                    assert!(shown.len() < encoded.len(), "{encoded} gave {shown}");
                }
            }
        }
    }

    #[test]
    fn every_form_of_a_secret_has_one_pseudonym() {
        let secret = "p@ss/w rd+\"<é>=";
        let known = known(secret);
        let expected = known.key().marker("key", secret.as_bytes());
        for form in forms(secret) {
            let shown = known.bytes(&form).into_inner();
            assert_eq!(shown, expected.as_bytes());
        }
    }

    #[test]
    fn short_secrets_are_left_alone() {
        let known = known("monitor");
        assert_eq!(known.text("a monitor").get(), "a monitor");
    }

    #[test]
    fn counts_are_by_label() {
        let known = KnownSecrets::new([
            ("app".to_owned(), Secret::new("a".repeat(40))),
            ("api".to_owned(), Secret::new("0123456789abcdef".to_owned())),
        ])
        .unwrap();
        let mut stream = known.stream();
        let encoded = STANDARD_NO_PAD.encode("0123456789abcdef");
        let text = format!("0123456789abcdef {encoded} {}", "a".repeat(41));
        let mut shown = stream.push(text.into()).into_inner().to_vec();
        shown.extend_from_slice(stream.finish().get());
        let shown = without_pseudonyms(std::str::from_utf8(&shown).unwrap());
        assert_eq!(shown, "[REDACTED:api] [REDACTED:api]g [REDACTED:app]a");
        let counts: Vec<_> = stream
            .redactions()
            .into_iter()
            .map(|count| (count.rule, count.count))
            .collect();
        assert_eq!(counts, [("api".to_owned(), 2), ("app".to_owned(), 1)]);
    }

    #[test]
    fn a_stand_in_takes_the_form_of_what_it_replaces() {
        let (real, stand_in) = ("0123456789abcdef0123456789abcdef", "f".repeat(32));
        let pairs = swaps(&Secret::new(real.to_owned()), &stand_in);
        let mut stream = Replacer::new(pairs).unwrap().stream();
        for text in [
            real.to_owned(),
            STANDARD_NO_PAD.encode(format!("xyz{real}xyz")),
        ] {
            let mut shown = Vec::new();
            stream.push(text.as_bytes(), &mut shown);
            stream.finish(&mut shown);
            let plain = STANDARD_NO_PAD.decode(&shown).unwrap_or_default();
            let expected = stand_in.as_bytes();
            assert!(shown == expected || plain[3..35] == *expected);
        }
    }

    proptest! {
        #[test]
        fn what_stands_alone_is_redacted_like_a_stream(
            words in prop::collection::vec(
                prop_oneof![
                    Just("0123456789abcdef".to_owned()),
                    Just("ghp_".to_owned() + &"a1".repeat(18)),
                    Just("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned()),
                    Just(format!("api_key={}", "5e".repeat(16))),
                    "[a-zA-Z0-9 \"=:._-]{0,40}",
                ],
                0..5,
            ),
        ) {
            let known = known("0123456789abcdef");
            let text = words.concat();
            let mut stream = known.stream();
            let mut shown = stream.push(text.clone().into()).into_inner().to_vec();
            shown.extend_from_slice(stream.finish().get());
            let bytes = known.bytes(text.as_bytes()).into_inner();
            prop_assert_eq!(&bytes, &shown);
            prop_assert_eq!(known.replaced(&text).into_bytes(), shown);
        }

        #[test]
        fn no_form_survives_in_any_chunking(
            // A marker is text too, and could complete a secret that looks like its edge.
            secret in "[ -9;-Z\\\\^-~é]{8,40}",
            before in "[a-z]{0,5}",
            after in "[a-z]{0,5}",
            cut in 0..200_usize,
        ) {
            let known = known(&secret);
            let plain = format!("{before}{secret}{after}");
            for text in [
                plain.clone(),
                serde_json::to_string(&plain).unwrap(),
                url::form_urlencoded::byte_serialize(plain.as_bytes()).collect(),
                STANDARD_NO_PAD.encode(&plain),
                URL_SAFE_NO_PAD.encode(&plain),
            ] {
                let mut stream = known.stream();
                let mut bytes = Bytes::from(text.into_bytes());
                let back = bytes.split_off(cut.min(bytes.len()));
                let mut shown = stream.push(bytes.clone()).into_inner().to_vec();
                shown.extend_from_slice(stream.push(back.clone()).get());
                shown.extend_from_slice(stream.finish().get());
                prop_assert!(!known.replacer.finds(&shown));
                prop_assert!(!stream.redactions().is_empty());
                let whole = known.bytes(&[bytes, back].concat()).into_inner();
                prop_assert_eq!(shown, whole);
            }
        }
    }
}
