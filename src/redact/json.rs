//! Cuts values out of a JSON document at the paths the catalogue names.
//!
//! A path is a dotted list of property names; `*` is any of them, and lists are walked into without
//! being named. Names are compared without case, as several JSON libraries on the other side do.

use serde_json::Value;

use super::marker;

/// Replaces the values at `path` by `[REDACTED:<path>]`, whatever their type; null stays. Returns
/// how many.
pub(super) fn cut(document: &mut Value, path: &str) -> u64 {
    let names: Vec<_> = path.split('.').collect();
    cut_at(document, &names, path)
}

fn cut_at(value: &mut Value, names: &[&str], path: &str) -> u64 {
    let Some((name, rest)) = names.split_first() else {
        if value.is_null() {
            return 0;
        }
        *value = Value::String(marker(path));
        return 1;
    };
    match value {
        Value::Array(items) => items.iter_mut().map(|item| cut_at(item, names, path)).sum(),
        Value::Object(properties) => properties
            .iter_mut()
            .filter(|(key, _)| *name == "*" || key.eq_ignore_ascii_case(name))
            .map(|(_, value)| cut_at(value, rest, path))
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_cut_at_their_paths_only() {
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
            assert_eq!(cut(&mut document, path), count, "{path}");
            assert_eq!(document, expected, "{path}");
        }
    }
}
