//! Bodies on their way into the record: decoded, then freed of secrets, piece by piece.
//!
//! Invariant: what cannot be looked into is not kept, from that point on, and the summary says why.
//! Most bodies stream through the search for known secrets. Where the catalogue names places that
//! hold a secret, and for HTML forms, the body is gathered, cut and written anew: only such bodies
//! may change in key order, white space and the spelling of numbers.

use bytes::Bytes;

use super::known::KnownStream;
use super::{KnownSecrets, Redacted, json, target};
use crate::content_coding::Decoder;
use crate::limits::{DECODED_BYTES_MAX, REDACT_GATHER_BYTES_MAX};
use crate::record::Secret;
use crate::record::event::RedactionCount;

/// Charsets in which a secret looks like itself.
const ASCII_LIKE: [&str; 8] = [
    "ascii",
    "iso-8859-1",
    "iso-8859-15",
    "latin1",
    "us-ascii",
    "utf-8",
    "utf8",
    "windows-1252",
];

/// Media types that are compressed in themselves.
const COMPRESSED: [&str; 8] = [
    "application/gzip",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-gzip",
    "application/x-xz",
    "application/x-zip-compressed",
    "application/zip",
    "application/zstd",
];

/// What became of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodySummary {
    /// Why it is not kept, or not from some point on.
    pub unkept: Option<String>,
    /// What was removed.
    pub redactions: Vec<RedactionCount>,
    /// Bytes after decoding and before redaction, as far as it could be decoded.
    pub decoded_bytes: u64,
}

/// Redacts one body. Also for a body that is cut short, call [`BodyRedactor::finish`].
pub struct BodyRedactor {
    known: KnownSecrets,
    stream: KnownStream,
    decoder: Option<Decoder>,
    mode: Mode,
    unkept: Option<String>,
    /// Removed by place, beside what `stream` counts.
    cut: Vec<RedactionCount>,
    /// The text removed by place.
    gone: Vec<Secret<String>>,
    decoded_bytes: u64,
}

enum Mode {
    /// Pieces pass as they come.
    Stream,
    /// JSON with secrets at these paths, or a form, gathered up to a bound.
    Gather { what: Gathered, bytes: Vec<u8> },
    /// Nothing is kept (any more).
    Drop,
}

#[derive(Clone, Copy)]
enum Gathered {
    Json(&'static [&'static str]),
    Form,
}

impl BodyRedactor {
    /// Begins a body. `content_type` and `content_encoding` are its headers' values (several
    /// `Content-Encoding` lines joined by commas), `secret_paths` the operation's
    /// `secret_request` or `secret_response`.
    #[must_use]
    pub fn new(
        known: &KnownSecrets,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        secret_paths: &'static [&'static str],
    ) -> Self {
        let media = Media::of(content_type.unwrap_or_default());
        let gather = |what| Mode::Gather {
            what,
            bytes: Vec::new(),
        };
        let mut begun = Self {
            known: known.clone(),
            stream: known.stream(),
            decoder: None,
            mode: if secret_paths.iter().any(|path| is_json_path(path)) {
                gather(Gathered::Json(secret_paths))
            } else if media.name == "application/x-www-form-urlencoded" {
                gather(Gathered::Form)
            } else {
                Mode::Stream
            },
            unkept: None,
            cut: Vec::new(),
            gone: Vec::new(),
            decoded_bytes: 0,
        };
        match Decoder::new(content_encoding.unwrap_or_default(), DECODED_BYTES_MAX) {
            Ok(decoder) => begun.decoder = decoder,
            Err(error) => begun.give_up(&error.to_string()),
        }
        if COMPRESSED.contains(&media.name.as_str()) {
            begun.give_up(&format!("content-type {} cannot be scanned", media.name));
        } else if let Some(charset) = media.charset.filter(|c| !ASCII_LIKE.contains(&c.as_str())) {
            begun.give_up(&format!("charset {charset} cannot be scanned"));
        }
        begun
    }

    /// Whether it may turn out that nothing of the body is kept.
    #[must_use]
    pub const fn may_keep_nothing(&self) -> bool {
        self.decoder.is_some() || !matches!(self.mode, Mode::Stream)
    }

    /// Whether pieces are unpacked: a small one may then become a large one.
    #[must_use]
    pub const fn unpacks(&self) -> bool {
        self.decoder.is_some()
    }

    /// Takes a piece as it came over the wire and gives what may be recorded so far.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Redacted<Bytes> {
        self.push_bytes(Bytes::copy_from_slice(piece))
    }

    /// The same for shared bytes, which pass without being copied if nothing is to be done to them.
    #[must_use]
    pub fn push_bytes(&mut self, piece: Bytes) -> Redacted<Bytes> {
        let Some(decoder) = &mut self.decoder else {
            return self.take(piece);
        };
        if matches!(self.mode, Mode::Drop) {
            return Redacted::new(Bytes::new());
        }
        let mut decoded = Vec::new();
        let done = decoder.push(&piece, &mut decoded);
        let shown = self.take(decoded.into());
        if let Err(error) = done {
            self.give_up(&error.to_string());
        }
        shown
    }

    /// Ends the body and gives the rest of what may be recorded.
    #[must_use]
    pub fn finish(&mut self) -> Redacted<Bytes> {
        if let Some(Err(error)) = self.decoder.as_mut().map(Decoder::finish) {
            self.give_up(&error.to_string());
        }
        match std::mem::replace(&mut self.mode, Mode::Drop) {
            Mode::Stream => self.stream.finish(),
            Mode::Gather { what, bytes } => match self.rewritten(what, &bytes) {
                Ok(text) => self.known_only(text.into()),
                Err(reason) => {
                    self.give_up(reason);
                    Redacted::new(Bytes::new())
                }
            },
            Mode::Drop => Redacted::new(Bytes::new()),
        }
    }

    /// What became of the body; complete after [`BodyRedactor::finish`].
    #[must_use]
    pub fn summary(&self) -> BodySummary {
        let mut redactions = self.stream.redactions();
        redactions.extend(self.cut.iter().cloned());
        BodySummary {
            unkept: self.unkept.clone(),
            redactions,
            decoded_bytes: self.decoded_bytes,
        }
    }

    /// The text that was removed by its place; complete after [`BodyRedactor::finish`].
    #[must_use]
    pub fn gone(&self) -> &[Secret<String>] {
        &self.gone
    }

    /// Takes decoded bytes.
    fn take(&mut self, decoded: Bytes) -> Redacted<Bytes> {
        self.decoded_bytes += decoded.len() as u64;
        match &mut self.mode {
            Mode::Stream => return self.stream.push(decoded),
            Mode::Gather { bytes, .. } if bytes.len() + decoded.len() > REDACT_GATHER_BYTES_MAX => {
                self.give_up(&format!(
                    "it may hold secrets and exceeds {REDACT_GATHER_BYTES_MAX} bytes"
                ));
            }
            Mode::Gather { bytes, .. } => bytes.extend_from_slice(&decoded),
            Mode::Drop => {}
        }
        Redacted::new(Bytes::new())
    }

    /// Writes a gathered body anew, without the values at secret places.
    fn rewritten(&mut self, what: Gathered, bytes: &[u8]) -> Result<String, &'static str> {
        if bytes.is_empty() {
            return Ok(String::new());
        }
        match what {
            Gathered::Json(paths) => {
                let not_json = "it may hold secrets and is not JSON";
                let mut document = serde_json::from_slice(bytes).map_err(|_| not_json)?;
                for path in paths.iter().filter(|path| is_json_path(path)) {
                    let count = json::cut(&mut document, path, self.known.key(), &mut self.gone);
                    self.count(path, count);
                }
                serde_json::to_string(&document).map_err(|_| not_json)
            }
            Gathered::Form => {
                let text = std::str::from_utf8(bytes).map_err(|_| "a form that is not UTF-8")?;
                let (shown, removed) = target::pairs_shown(text, self.known.key());
                self.count("form-credential", removed);
                self.gone.extend(target::pairs_gone(text));
                Ok(shown)
            }
        }
    }

    fn count(&mut self, rule: &str, count: u64) {
        if count > 0 {
            self.cut.push(RedactionCount {
                rule: rule.to_owned(),
                count,
            });
        }
    }

    fn known_only(&mut self, bytes: Bytes) -> Redacted<Bytes> {
        let mut shown = self.stream.push(bytes).into_inner().to_vec();
        shown.extend_from_slice(self.stream.finish().get());
        Redacted::new(shown.into())
    }

    /// Keeps nothing from here on. Reasons quote headers, so they are redacted too.
    fn give_up(&mut self, reason: &str) {
        self.mode = Mode::Drop;
        if self.unkept.is_none() {
            self.unkept = Some(self.known.replaced(reason));
        }
    }
}

/// Entries about path parameters stand in the same list.
fn is_json_path(path: &str) -> bool {
    !path.starts_with("path:")
}

/// A `Content-Type` (RFC 9110, 8.3), in lower case and cut short.
struct Media {
    name: String,
    charset: Option<String>,
}

impl Media {
    fn of(content_type: &str) -> Self {
        let word = |text: &str| -> String {
            let text = text.trim().trim_matches('"').to_ascii_lowercase();
            text.chars().take(64).collect()
        };
        let mut parts = content_type.split(';');
        Self {
            name: parts.next().map(word).unwrap_or_default(),
            charset: parts
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
                .map(|(_, value)| word(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pseudonym::without_pseudonyms;
    use super::*;
    use crate::content_coding::gzip_for_test as gzip;
    use proptest::prelude::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const JSON: Option<&str> = Some("application/json; charset=UTF-8");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    const PATHS: &[&str] = &["path:key", "data.attributes.key", "api_keys.key"];

    fn known() -> KnownSecrets {
        KnownSecrets::new([("dd-api-key".to_owned(), Secret::new(KEY.to_owned()))]).unwrap()
    }

    fn run(mut redactor: BodyRedactor, pieces: &[&[u8]]) -> (String, BodySummary) {
        let mut shown = Vec::new();
        for piece in pieces {
            shown.extend_from_slice(redactor.push(piece).get());
        }
        shown.extend_from_slice(redactor.finish().get());
        let shown = without_pseudonyms(&String::from_utf8(shown).unwrap());
        (shown, redactor.summary())
    }

    fn rules(summary: &BodySummary) -> Vec<(&str, u64)> {
        let counts = summary.redactions.iter();
        counts
            .map(|count| (count.rule.as_str(), count.count))
            .collect()
    }

    #[test]
    fn a_plain_body_streams_and_loses_only_known_secrets() {
        let redactor = BodyRedactor::new(&known(), JSON, None, &["path:key"]);
        let body = format!("{{ \"b\": \"{KEY}\", \"a\": 1 }}");
        let (front, back) = body.split_at(20);
        let (shown, summary) = run(redactor, &[front.as_bytes(), back.as_bytes()]);
        assert_eq!(shown, "{ \"b\": \"[REDACTED:dd-api-key]\", \"a\": 1 }");
        assert_eq!(rules(&summary), [("dd-api-key", 1)]);
        assert_eq!(summary.decoded_bytes, body.len() as u64);
        assert_eq!(summary.unkept, None);
    }

    #[test]
    fn an_event_is_not_delayed() {
        let mut redactor = BodyRedactor::new(&known(), Some("text/event-stream"), None, &[]);
        let event = Bytes::from_static(b"data: {\"id\":1}\n\n");
        let shown = redactor.push_bytes(event.clone()).into_inner();
        assert_eq!(shown.as_ptr(), event.as_ptr());
        assert_eq!(shown, event);
    }

    #[test]
    fn a_compressed_body_is_looked_into() {
        let redactor = BodyRedactor::new(&known(), JSON, Some("gzip"), &[]);
        let body = format!("[\"{KEY}\"]");
        let (shown, summary) = run(redactor, &[&gzip(body.as_bytes())]);
        assert_eq!(shown, "[\"[REDACTED:dd-api-key]\"]");
        assert_eq!(summary.decoded_bytes, body.len() as u64);
    }

    #[test]
    fn secrets_at_known_places_are_cut_out() {
        let redactor = BodyRedactor::new(&known(), JSON, Some("gzip"), PATHS);
        let body = format!(
            r#"{{"data":{{"id":"1","attributes":{{"name":"ci {KEY}","key":"unheard of"}}}}}}"#
        );
        let (shown, summary) = run(redactor, &[&gzip(body.as_bytes())]);
        assert_eq!(
            shown,
            r#"{"data":{"attributes":{"key":"[REDACTED:data.attributes.key]","name":"ci [REDACTED:dd-api-key]"},"id":"1"}}"#
        );
        assert_eq!(
            rules(&summary),
            [("dd-api-key", 1), ("data.attributes.key", 1)]
        );
        assert_eq!(summary.unkept, None);
    }

    #[test]
    fn a_form_loses_its_credentials() {
        let redactor = BodyRedactor::new(&known(), FORM, None, &[]);
        let (shown, summary) = run(redactor, &[b"title=a&api_", b"key=zzz&text=b"]);
        assert_eq!(shown, "title=a&api_key=[REDACTED:api_key]&text=b");
        assert_eq!(rules(&summary), [("form-credential", 1)]);
    }

    #[test]
    fn what_cannot_be_looked_into_is_not_kept() {
        let long = vec![b' '; REDACT_GATHER_BYTES_MAX + 1];
        let utf_16 = Some("application/json; charset=utf-16");
        type Case<'a> = (
            Option<&'a str>,
            Option<&'a str>,
            &'static [&'static str],
            &'a [u8],
            &'a str,
        );
        let cases: [Case<'_>; 7] = [
            (
                JSON,
                Some("snappy"),
                &[],
                b"x",
                "content-encoding snappy is unknown",
            ),
            (
                JSON,
                Some("gzip"),
                &[],
                b"not gzip at all",
                "not valid gzip: not a gzip header",
            ),
            (utf_16, None, &[], b"x", "charset utf-16 cannot be scanned"),
            (
                Some("Application/ZIP"),
                None,
                &[],
                b"PK",
                "content-type application/zip cannot be scanned",
            ),
            (
                JSON,
                None,
                PATHS,
                b"<html>",
                "it may hold secrets and is not JSON",
            ),
            (
                JSON,
                None,
                PATHS,
                &long,
                "it may hold secrets and exceeds 4194304 bytes",
            ),
            (FORM, None, &[], b"a=\xff", "a form that is not UTF-8"),
        ];
        for (content_type, content_encoding, paths, body, reason) in cases {
            let redactor = BodyRedactor::new(&known(), content_type, content_encoding, paths);
            let (shown, summary) = run(redactor, &[body, body]);
            assert_eq!(summary.unkept.as_deref(), Some(reason));
            assert_eq!(shown, "", "{reason}");
        }
    }

    #[test]
    fn a_body_that_breaks_keeps_what_came_before() {
        let cut = &gzip(b"first")[..18];
        let redactor = BodyRedactor::new(&known(), JSON, Some("gzip"), &[]);
        let (_, summary) = run(redactor, &[cut]);
        assert_eq!(summary.unkept.unwrap(), "gzip data ends too early");
        let mut body = gzip(b"first");
        body.extend_from_slice(b"garbage");
        let redactor = BodyRedactor::new(&known(), JSON, Some("gzip"), &[]);
        let (shown, summary) = run(redactor, &[&body, b"more"]);
        assert_eq!(shown, "first");
        assert_eq!(summary.unkept.unwrap(), "not valid gzip: not a gzip header");
    }

    #[test]
    fn an_empty_body_is_kept_as_empty() {
        for paths in [&[], PATHS] {
            let redactor = BodyRedactor::new(&known(), None, Some("gzip"), paths);
            let (shown, summary) = run(redactor, &[]);
            assert_eq!((shown.as_str(), summary.unkept), ("", None));
        }
    }

    #[test]
    fn a_reason_quotes_no_secret() {
        let content_type = format!("text/plain; charset={KEY}");
        let redactor = BodyRedactor::new(&known(), Some(&content_type), None, &[]);
        assert_eq!(
            without_pseudonyms(&redactor.summary().unkept.unwrap()),
            "charset [REDACTED:dd-api-key] cannot be scanned"
        );
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing_and_no_secret_survives(
            before in "[ -~]{0,40}",
            after in "[ -~]{0,40}",
            value in "[0-9a-f]{12,20}",
            cuts in prop::collection::vec(1..50_usize, 1..6),
            which in 0..3_usize,
        ) {
            let document = serde_json::json!({
                "data": {"attributes": {"key": value, "text": format!("{before}{KEY}{after}")}},
                "note": format!("a ghp_{}; and {before}", "Ab1Cd2".repeat(6)),
            });
            let (content_type, paths, body) = match which {
                0 => (JSON, PATHS, document.to_string()),
                1 => (JSON, &[][..], document.to_string()),
                _ => (FORM, &[][..], format!("token={value}&text={KEY}&a=ghp_{}", "Ab1Cd2".repeat(6))),
            };
            let coded = gzip(body.as_bytes());
            let redactor = || BodyRedactor::new(&known(), content_type, Some("gzip"), paths);
            let mut pieces = Vec::new();
            let mut rest = &coded[..];
            for &cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            let whole = run(redactor(), &[&coded]);
            prop_assert_eq!(&run(redactor(), &pieces), &whole);
            prop_assert!(!whole.0.contains(KEY));
            prop_assert!(!whole.0.contains("ghp_"));
            prop_assert!(which == 1 || !whole.0.contains(&value));
            prop_assert!(whole.1.unkept.is_none());
        }

        #[test]
        fn garbage_is_survived(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            coding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "br, gzip"]),
            form in any::<bool>(),
        ) {
            let content_type = if form { FORM } else { JSON };
            for paths in [&[], PATHS] {
                let mut redactor = BodyRedactor::new(&known(), content_type, Some(coding), paths);
                let _ = redactor.push(&bytes);
                let _ = redactor.finish();
                let _ = redactor.finish();
                let _ = redactor.summary();
            }
        }
    }
}
