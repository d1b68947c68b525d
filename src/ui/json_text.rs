//! Re-indents recorded JSON for reading. Works on the text, so that numbers, key order and
//! redaction markers stay exactly as recorded; what is not JSON is left to others.

/// Indentation a level, in blanks.
const INDENT: usize = 2;

/// Lays JSON out over lines, every value on its own; none when `text` is not JSON.
pub(super) fn pretty(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut depth = 0;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            '"' => {
                let end = string_end(text, at);
                out.push_str(text.get(at..end).unwrap_or_default());
                while rest.next_if(|(next, _)| *next < end).is_some() {}
            }
            '{' | '[' => {
                out.push(character);
                while rest
                    .next_if(|(_, next)| next.is_ascii_whitespace())
                    .is_some()
                {}
                if let Some((_, close)) = rest.next_if(|(_, next)| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    Some(out)
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
}

/// The index after the closing quote of the string that opens at `at`.
fn string_end(text: &str, at: usize) -> usize {
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(at + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_value_has_its_line_and_stays_as_recorded() {
        let text = r#"{"b":1.50,"a":[],"s":"x\"{,}","n":{"big":12345678901234567890123,"l":[1, 2]},"e":{ }}"#;
        insta::assert_snapshot!(pretty(text).unwrap(), @r#"
        {
          "b": 1.50,
          "a": [],
          "s": "x\"{,}",
          "n": {
            "big": 12345678901234567890123,
            "l": [
              1,
              2
            ]
          },
          "e": {}
        }
        "#);
    }

    #[test]
    fn what_is_not_json_is_left_alone() {
        for text in ["", "{", "<html>", "{} {}", "[1,]"] {
            assert_eq!(pretty(text), None, "{text}");
        }
    }

    #[test]
    fn scalars_are_json_too() {
        assert_eq!(pretty(" \"a b\" ").unwrap(), "\"a b\"");
        assert_eq!(pretty("null").unwrap(), "null");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_meaning_stays(value in json()) {
            let text = pretty(&value.to_string()).unwrap();
            let back: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back, value);
        }

        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let _ = pretty(&text);
        }
    }
}
