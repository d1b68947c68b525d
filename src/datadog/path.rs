//! Request paths, taken apart the careful way.
//!
//! Servers and proxies disagree about what odd paths mean (empty and dot segments, encoded
//! slashes, double encoding, `;` parameters). A path with two meanings may not be judged by the
//! milder one, so such a path is refused here and matches nothing.

use std::borrow::Cow;

/// No route of the catalogue is longer; a longer path need not be looked at.
const SEGMENTS_MAX: usize = 16;

/// Whether a path means one thing to everybody, so that what the catalogue says of it, or does not
/// say, is what the server will do.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    segments(path).is_some()
}

/// Splits a path and percent-decodes its segments; none for a path that is odd or too long. One
/// trailing slash is tolerated.
pub(super) fn segments(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let path = path.strip_prefix('/')?;
    let mut segments = Vec::with_capacity(SEGMENTS_MAX);
    if path.is_empty() {
        return Some(segments);
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    for segment in path.split('/') {
        if segments.len() == SEGMENTS_MAX {
            return None;
        }
        segments.push(segment_decoded(segment)?);
    }
    Some(segments)
}

fn segment_decoded(segment: &str) -> Option<Cow<'_, str>> {
    let decoded = if segment.contains('%') {
        let decoded = String::from_utf8(percent_decoded(segment.as_bytes())?).ok()?;
        // Still an escape inside: somebody downstream may decode twice.
        if decoded.as_bytes().windows(3).any(is_escape) {
            return None;
        }
        Cow::Owned(decoded)
    } else {
        Cow::Borrowed(segment)
    };
    let odd = decoded.is_empty()
        || decoded == "."
        || decoded == ".."
        || decoded
            .bytes()
            .any(|byte| matches!(byte, b'/' | b'\\' | b';') || byte.is_ascii_control());
    (!odd).then_some(decoded)
}

/// RFC 3986, 2.1; none when a `%` is not followed by two hex digits.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            decoded.push(escaped(rest)?);
            rest = &rest[3..];
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    Some(decoded)
}

fn is_escape(text: &[u8]) -> bool {
    text.first() == Some(&b'%') && escaped(text).is_some()
}

/// The byte that the escape at the front of `text` (`%41…`) stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(1)? << 4 | digit(2)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_are_split_and_decoded() {
        assert_eq!(segments("/").unwrap(), Vec::<&str>::new());
        assert_eq!(segments("/a/b%20c/").unwrap(), ["a", "b c"]);
        assert_eq!(segments("/caf%C3%A9/100%25").unwrap(), ["café", "100%"]);
        assert!(segments(&"/a".repeat(SEGMENTS_MAX)).is_some());
    }

    #[test]
    fn odd_paths_are_refused() {
        for path in [
            "", "a", "//", "/a//b", "/a//", "/.", "/a/..", "/%2e", "/a%2fb", "/a%2Fb", "/a\\b",
            "/%5C", "/%252f", "/%", "/%4", "/%4g", "/%+1", "/%ff", "/a;b", "/%00", "/%0a",
        ] {
            assert_eq!(segments(path), None, "{path}");
        }
        assert_eq!(segments(&"/a".repeat(SEGMENTS_MAX + 1)), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "[a-zé 0-9+]{1,20}") {
            let mut path = "/".to_owned();
            for byte in text.bytes() {
                path.push_str(&format!("%{byte:02x}"));
            }
            prop_assert_eq!(segments(&path).unwrap(), [text]);
        }
    }
}
