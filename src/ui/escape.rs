//! Makes foreign text harmless: nothing that passes here can move the cursor, change a colour,
//! reorder what is read, or hide. It does not cut, wrap or colour.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes control, bidirectional and invisible characters, so that a path or a name from
/// outside stays on its own place on its own line. Ordinary text is returned as it is.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            other if is_unsafe(other) => {
                // Writing to a `String` does not fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(other));
            }
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

/// Whether a terminal, or an eye, could be led astray by the character.
pub(super) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, and the directional marks, embeddings, overrides and isolates.
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Byte order mark, interlinear annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_is_untouched() {
        for text in ["", "plain", "grüße", "監視", "a\\b", "🙂"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_could_move_the_cursor_or_lie_is_written_out() {
        assert_eq!(escape("a\x1b[2Jb\r\n\t"), "a\\u{1b}[2Jb\\r\\n\\t");
        assert_eq!(escape("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(escape("gpj\u{202e}exe\u{200b}"), "gpj\\u{202e}exe\\u{200b}");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_passes(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_unsafe));
        }
    }
}
