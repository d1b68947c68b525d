//! Cuts values out of a JSON document at the paths the catalogue names.
//!
//! A path is a dotted list of property names; `*` is any of them, and lists are walked into without
//! being named. Names are compared without case, as several JSON libraries on the other side do.

use serde_json::Value;

use super::pseudonym::PseudonymKey;
use crate::record::Secret;

/// Replaces the values at `path` by `[REDACTED:<path>:<pseudonym>]`, whatever their type; null
/// stays. The pseudonym is of the text of a string, and of the compact JSON of anything else.
/// Returns how many; all text that is gone with them is added to `gone`.
pub(super) fn cut(
    document: &mut Value,
    path: &str,
    key: &PseudonymKey,
    gone: &mut Vec<Secret<String>>,
) -> u64 {
    let names: Vec<_> = path.split('.').collect();
    cut_at(document, &names, path, key, gone)
}

fn cut_at(
    value: &mut Value,
    names: &[&str],
    path: &str,
    key: &PseudonymKey,
    gone: &mut Vec<Secret<String>>,
) -> u64 {
    let Some((name, rest)) = names.split_first() else {
        if value.is_null() {
            return 0;
        }
        texts(value, gone);
        let marker = match &*value {
            Value::String(text) => key.marker(path, text.as_bytes()),
            other => key.marker(path, other.to_string().as_bytes()),
        };
        *value = Value::String(marker);
        return 1;
    };
    match value {
        Value::Array(items) => items
            .iter_mut()
            .map(|item| cut_at(item, names, path, key, gone))
            .sum(),
        Value::Object(properties) => properties
            .iter_mut()
            .filter(|(key, _)| *name == "*" || key.eq_ignore_ascii_case(name))
            .map(|(_, value)| cut_at(value, rest, path, key, gone))
            .sum(),
        _ => 0,
    }
}

fn texts(value: &Value, found: &mut Vec<Secret<String>>) {
    match value {
        Value::String(text) => found.push(Secret::new(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(properties) => properties.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::pseudonym::without_pseudonyms;
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_cut_at_their_paths_only() {
        let key = PseudonymKey::fresh();
        for (mut document, path, expected, count) in [
            (
                json!({"key": "s", "b": 1}),
                "key",
                json!({"key": "[REDACTED:key]", "b": 1}),
                1,
            ),
            (
                json!({"a": {"key": "s"}, "key": "t"}),
                "a.key",
                json!({"a": {"key": "[REDACTED:a.key]"}, "key": "t"}),
                1,
            ),
            (
                json!({"a": [{"k": 1}, {"k": [2]}, {"k": null}, 3]}),
                "a.k",
                json!({"a": [{"k": "[REDACTED:a.k]"}, {"k": "[REDACTED:a.k]"}, {"k": null}, 3]}),
                2,
            ),
            (
                json!([[{"k": {"deep": 1}}]]),
                "k",
                json!([[{"k": "[REDACTED:k]"}]]),
                1,
            ),
            (
                json!({"a": {"x": "1", "y": "2"}}),
                "a.*",
                json!({"a": {"x": "[REDACTED:a.*]", "y": "[REDACTED:a.*]"}}),
                2,
            ),
            (
                json!({"Data": {"KEY": "s"}}),
                "data.key",
                json!({"Data": {"KEY": "[REDACTED:data.key]"}}),
                1,
            ),
            (json!({"a": "text"}), "a.b", json!({"a": "text"}), 0),
            (json!("text"), "a", json!("text"), 0),
        ] {
            assert_eq!(
                cut(&mut document, path, &key, &mut Vec::new()),
                count,
                "{path}"
            );
            let shown = without_pseudonyms(&document.to_string());
            assert_eq!(shown, expected.to_string(), "{path}");
        }
    }
    #[test]
    fn what_is_no_string_has_the_pseudonym_of_its_json() {
        let key = PseudonymKey::fresh();
        let mut document = json!({"a": {"y": [1, 2], "x": "s"}, "b": "s"});
        let mut gone = Vec::new();
        cut(&mut document, "a", &key, &mut gone);
        cut(&mut document, "b", &key, &mut gone);
        let gone: Vec<_> = gone.iter().map(|text| text.expose().as_str()).collect();
        assert_eq!(gone, ["s", "s"]);
        let marker = key.marker("a", br#"{"x":"s","y":[1,2]}"#);
        assert_eq!(document["a"], marker);
        assert_eq!(document["b"], key.marker("b", b"s"));
    }
}
