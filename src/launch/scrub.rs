//! Finds real secrets in what a child would be handed, and puts placeholders in their place.
//!
//! Pure. A secret is found as it is, percent-encoded (RFC 3986, any mixture of escaped and
//! plain characters), and inside base64 (RFC 4648, both alphabets, at any alignment).
//! Invariant: text without a secret comes back byte for byte. It does not decode twice, and
//! it does not look for secrets shorter than [`SECRET_SCAN_BYTES_MIN`].

use std::ffi::{OsStr, OsString};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::limits::SECRET_SCAN_BYTES_MIN;
use crate::record::Secret;

/// A real secret and what the child sees instead.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// What the child must not see.
    pub secret: Secret<String>,
    /// What it sees. Letters and digits only, so that it needs no escaping anywhere.
    pub placeholder: String,
}

/// Replaces every known secret in a text.
#[derive(Debug, Default)]
pub struct Scrubber {
    /// Longest secret first: one may be the beginning of another.
    replacements: Vec<Replacement>,
}

impl Scrubber {
    /// Takes the secrets to look for. Those too short to be told from ordinary text are
    /// left out, and so are those that their own placeholder contains.
    #[must_use]
    pub fn new(replacements: impl IntoIterator<Item = Replacement>) -> Self {
        let mut replacements: Vec<_> = replacements
            .into_iter()
            .filter(|replacement| {
                let secret = replacement.secret.expose();
                secret.len() >= SECRET_SCAN_BYTES_MIN
                    && !replacement.placeholder.contains(secret.as_str())
            })
            .collect();
        replacements
            .sort_by_key(|replacement| std::cmp::Reverse(replacement.secret.expose().len()));
        Self { replacements }
    }

    /// Returns the text without secrets, or nothing when it holds none.
    #[must_use]
    pub fn scrub(&self, text: &OsStr) -> Option<OsString> {
        let bytes = text.as_encoded_bytes();
        let plain = self.scrub_plain(bytes);
        let encoded = self.scrub_base64(plain.as_deref().unwrap_or(bytes));
        encoded.or(plain).map(into_os_string)
    }

    fn scrub_plain(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean: Option<Vec<u8>> = None;
        let (mut at, mut copied) = (0, 0);
        while at < text.len() {
            let found = self.replacements.iter().find_map(|replacement| {
                let length = escaped_prefix(&text[at..], replacement.secret.expose().as_bytes())?;
                Some((length, &replacement.placeholder))
            });
            if let Some((length, placeholder)) = found {
                let clean = clean.get_or_insert_default();
                clean.extend_from_slice(&text[copied..at]);
                clean.extend_from_slice(placeholder.as_bytes());
                at += length;
                copied = at;
            } else {
                at += 1;
            }
        }
        if let Some(clean) = &mut clean {
            clean.extend_from_slice(&text[copied..]);
        }
        clean
    }

    fn scrub_base64(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut changed = false;
        let mut clean = Vec::with_capacity(text.len());
        for run in text.chunk_by(|a, b| is_base64(*a) == is_base64(*b)) {
            let mut run = run.to_vec();
            // Each turn takes one occurrence away, so there are never more turns than bytes.
            for _ in 0..run.len() {
                match self.scrub_run(&run) {
                    Some(better) => run = better,
                    None => break,
                }
                changed = true;
            }
            clean.extend_from_slice(&run);
        }
        changed.then_some(clean)
    }

    /// Replaces one secret inside one run of base64 characters. Where the encoded text begins
    /// within the run is unknown (`/` and `-` are base64, too), so every alignment is tried.
    fn scrub_run(&self, run: &[u8]) -> Option<Vec<u8>> {
        let shortest = self.replacements.last()?.secret.expose().len();
        if run.len() < shortest * 4 / 3 || !run.first().copied().is_some_and(is_base64) {
            return None;
        }
        (0..4).find_map(|offset| {
            let tail = &run[offset..];
            // One character alone encodes nothing.
            let usable = tail.len() - usize::from(tail.len() % 4 == 1);
            let bytes = decode(&tail[..usable])?;
            self.replacements.iter().find_map(|replacement| {
                let secret = replacement.secret.expose().as_bytes();
                let start = bytes.windows(secret.len()).position(|w| w == secret)?;
                let end = start + secret.len();
                // Only the groups of four that changed are written anew, so that a path in
                // front, or the other alphabet behind, stays as it is.
                let first = start / 3;
                let same_length = replacement.placeholder.len() == secret.len();
                let last = match end.div_ceil(3) {
                    group if same_length && group * 3 <= bytes.len() => group,
                    _ => bytes.len().div_ceil(3),
                };
                let kept = &bytes[end..bytes.len().min(last * 3)];
                let middle = [
                    &bytes[first * 3..start],
                    replacement.placeholder.as_bytes(),
                    kept,
                ]
                .concat();
                let mut clean = run[..offset + first * 4].to_vec();
                clean.extend_from_slice(BASE64.encode(middle).as_bytes());
                clean.extend_from_slice(&run[(offset + last * 4).min(offset + usable)..]);
                Some(clean)
            })
        })
    }
}

/// Padding is not part of a run, and text cut off by an escape has none.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    BASE64.decode(standard).ok()
}

/// Returns how many bytes of `text` spell `secret`, each byte plain or as `%XX`.
fn escaped_prefix(text: &[u8], secret: &[u8]) -> Option<usize> {
    let mut at = 0;
    for wanted in secret {
        match text.get(at)? {
            plain if plain == wanted => at += 1,
            b'%' => {
                let digits = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
                if u8::from_str_radix(digits, 16) != Ok(*wanted) {
                    return None;
                }
                at += 3;
            }
            _ => return None,
        }
    }
    Some(at)
}

#[cfg(unix)]
fn into_os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn into_os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const STAND_IN: &str = "ffffffffffffffffffffffffffffffff";
    const TOKEN: &str = "p@ss/wörd+with=signs";
    const SHORT_STAND_IN: &str = "eeeeeeee";

    fn scrubber() -> Scrubber {
        Scrubber::new(
            [(KEY, STAND_IN), (TOKEN, SHORT_STAND_IN)].map(|(secret, placeholder)| Replacement {
                secret: Secret::new(secret.to_owned()),
                placeholder: placeholder.to_owned(),
            }),
        )
    }

    fn scrub(text: &str) -> Option<String> {
        scrubber()
            .scrub(OsStr::new(text))
            .map(|clean| clean.into_string().unwrap())
    }

    #[test]
    fn each_occurrence_goes_and_the_rest_stays() {
        assert_eq!(
            scrub(&format!("a={KEY},b={KEY};c={TOKEN}")).unwrap(),
            format!("a={STAND_IN},b={STAND_IN};c={SHORT_STAND_IN}")
        );
        assert_eq!(scrub("nothing here"), None);
        assert_eq!(scrub(&KEY[1..]), None);
        assert_eq!(scrub(""), None);
    }

    #[test]
    fn percent_encoding_hides_nothing() {
        for spelling in [
            "p%40ss%2Fw%C3%B6rd%2Bwith%3Dsigns",
            "p%40ss%2fw%c3%b6rd%2bwith%3dsigns",
            "p@ss/w%C3%b6rd+with=sign%73",
        ] {
            assert_eq!(
                scrub(&format!("https://x/?k={spelling}&y=%")).unwrap(),
                format!("https://x/?k={SHORT_STAND_IN}&y=%"),
                "{spelling}"
            );
        }
    }

    #[test]
    fn base64_hides_nothing() {
        for before in ["", "a", "ab", "me:"] {
            for after in ["", "x", "\nyz"] {
                for secret in [KEY, TOKEN] {
                    let clear = format!("{before}{secret}{after}");
                    for encoded in [PADDED.encode(&clear), URL_SAFE_NO_PAD.encode(&clear)] {
                        for prefix in ["", "Basic ", "/some/dir-", "x="] {
                            let clean = scrub(&format!("{prefix}{encoded} end")).unwrap();
                            let inner = clean
                                .strip_prefix(prefix)
                                .and_then(|text| text.strip_suffix(" end"))
                                .unwrap_or_else(|| panic!("{clean}"));
                            let decoded = decode(inner.trim_end_matches('=').as_bytes()).unwrap();
                            let decoded = String::from_utf8(decoded).unwrap();
                            let stand_in = if secret == KEY {
                                STAND_IN
                            } else {
                                SHORT_STAND_IN
                            };
                            assert_eq!(decoded, format!("{before}{stand_in}{after}"), "{prefix}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_longer_of_two_secrets_wins() {
        let both = Scrubber::new(["12345678", "1234567890"].map(|secret| Replacement {
            secret: Secret::new(secret.to_owned()),
            placeholder: "x".repeat(secret.len()),
        }));
        assert_eq!(
            both.scrub(OsStr::new("1234567890 12345678")).unwrap(),
            "xxxxxxxxxx xxxxxxxx"
        );
    }

    #[test]
    fn short_secrets_are_not_looked_for() {
        let short = Scrubber::new([Replacement {
            secret: Secret::new("true".to_owned()),
            placeholder: "no".to_owned(),
        }]);
        assert_eq!(short.scrub(OsStr::new("true")), None);
    }

    #[cfg(unix)]
    #[test]
    fn other_encodings_survive() {
        use std::os::unix::ffi::OsStrExt;
        let text = [b"\xff\xfe=".as_slice(), KEY.as_bytes(), b"\x80"].concat();
        let clean = scrubber().scrub(OsStr::from_bytes(&text)).unwrap();
        let expected = [b"\xff\xfe=".as_slice(), STAND_IN.as_bytes(), b"\x80"].concat();
        assert_eq!(clean.as_bytes(), expected);
    }

    proptest! {
        #[test]
        fn whatever_surrounds_it_the_key_goes(
            // Not `%`: in `%30123…` the key may begin with the escape or after it.
            before in "[ -$&-~]{0,12}",
            after in "[ -~]{0,12}",
        ) {
            let text = format!("{before}{KEY}{after}");
            prop_assert_eq!(scrub(&text).unwrap(), format!("{before}{STAND_IN}{after}"));
            let encoded = PADDED.encode(&text);
            let clean = scrub(&format!("{before} {encoded}")).unwrap();
            prop_assert!(!clean.contains(&PADDED.encode(KEY)[..40]));
            let tail = &clean[clean.len() - encoded.len()..];
            let decoded = PADDED.decode(tail).unwrap();
            prop_assert_eq!(
                String::from_utf8(decoded).unwrap(),
                format!("{before}{STAND_IN}{after}")
            );
        }

        #[test]
        fn text_without_a_key_is_left_alone(text in "\\PC{0,80}") {
            prop_assert_eq!(scrub(&text), None);
        }

        #[test]
        fn it_always_ends(secret in "[ab]{8,9}", placeholder in "[ab]{0,9}", text in "[ab%6]{0,40}") {
            let scrubber = Scrubber::new([Replacement {
                secret: Secret::new(secret),
                placeholder,
            }]);
            let _ = scrubber.scrub(OsStr::new(&text));
        }
    }
}
