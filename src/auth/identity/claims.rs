//! From what a token says to what a record and a terminal can hold.
//!
//! Control, bidirectional and invisible characters never pass. Groups are bounded, and none is
//! invented: what cannot be read as a group makes the list incomplete.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::limits::{GROUP_CHARS_MAX, GROUPS_MAX};

/// Replaces every character a terminal would act on by U+FFFD and cuts to `chars_max`.
#[must_use]
pub fn clean(text: &str, chars_max: usize) -> String {
    text.chars()
        .take(chars_max)
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Whether a character is invisible, or changes how others are shown.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Writes an error and its causes on one line.
pub(in crate::auth) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    clean(&text, crate::limits::PROVIDER_TEXT_CHARS_MAX)
}

/// Reads the groups named by `sources`, sorted, and whether there are more than these.
///
/// A source is a claim name; a JSON pointer (RFC 6901) if no claim has that name and it begins
/// with `/`.
pub(super) fn groups(claims: &Map<String, Value>, sources: &[String]) -> (Vec<String>, bool) {
    let mut found = BTreeSet::new();
    // Entra ID leaves groups out of large tokens and points elsewhere instead; that address
    // comes from the token, so it is not followed. Its app roles are complete all the same.
    let has_more = claims.get("hasgroups").is_some_and(|has| has != false);
    let mut incomplete = has_more && sources.iter().any(|source| source == "groups")
        || claims
            .get("_claim_names")
            .and_then(Value::as_object)
            .is_some_and(|names| sources.iter().any(|source| names.contains_key(source)));
    for source in sources {
        match look_up(claims, source) {
            None | Some(Value::Null) => {}
            Some(Value::String(group)) => incomplete |= !add(&mut found, group),
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                for group in list.iter().filter_map(Value::as_str) {
                    incomplete |= !add(&mut found, group);
                }
            }
            Some(_) => incomplete = true,
        }
    }
    incomplete |= found.len() > GROUPS_MAX;
    (found.into_iter().take(GROUPS_MAX).collect(), incomplete)
}

/// The claim of that name or, where none has it, what a JSON pointer (RFC 6901) leads to.
pub(super) fn look_up<'c>(claims: &'c Map<String, Value>, source: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(source) {
        return Some(value);
    }
    let (first, rest) = match source.strip_prefix('/')?.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (source.strip_prefix('/')?, None),
    };
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    rest.map_or(Some(value), |rest| value.pointer(&format!("/{rest}")))
}

/// Adds a group unless its name is empty or too long; returns whether it is in.
fn add(found: &mut BTreeSet<String>, group: &str) -> bool {
    let fits = group.chars().nth(GROUP_CHARS_MAX).is_none();
    if fits && !group.is_empty() {
        found.insert(clean(group, GROUP_CHARS_MAX));
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(claims: Value, sources: &[&str]) -> (Vec<String>, bool) {
        let sources: Vec<String> = sources.iter().map(|&s| s.to_owned()).collect();
        groups(claims.as_object().unwrap(), &sources)
    }

    #[test]
    fn names_pointers_and_their_order() {
        let claims = json!({
            "groups": ["ops", "eng", "eng"], "cognito:groups": "c",
            "https://x.test/groups": ["u"], "realm_access": {"roles": ["k"]}, "/odd/name": ["o"],
            "a/b": {"~": "t"},
        });
        let all = [
            "groups",
            "cognito:groups",
            "https://x.test/groups",
            "/realm_access/roles",
            "/odd/name",
            "/a~1b/~0",
            "/not/there",
            "absent",
        ];
        let (found, incomplete) = read(claims, &all);
        assert_eq!(found, ["c", "eng", "k", "o", "ops", "t", "u"]);
        assert!(!incomplete);
    }

    #[test]
    fn what_is_no_group_makes_the_list_incomplete() {
        for odd in [json!({"a": 1}), json!(["eng", 7]), json!(7), json!(true)] {
            assert_eq!(
                read(json!({"groups": odd}), &["groups"]),
                (Vec::new(), true)
            );
        }
        let overage = json!({"_claim_names": {"groups": "src1"}});
        assert_eq!(read(overage.clone(), &["groups"]), (Vec::new(), true));
        assert_eq!(read(overage, &["roles"]), (Vec::new(), false));
        assert!(read(json!({"hasgroups": true}), &["groups"]).1);
        assert!(!read(json!({"hasgroups": true}), &["roles"]).1);
        assert_eq!(
            read(json!({"groups": null}), &["groups"]),
            (Vec::new(), false)
        );
    }

    #[test]
    fn bounds() {
        let many: Vec<String> = (0..5000).map(|n| format!("g{n}")).collect();
        let (found, incomplete) = read(json!({ "groups": many }), &["groups"]);
        assert_eq!((found.len(), incomplete), (GROUPS_MAX, true));
        let long = "x".repeat(GROUP_CHARS_MAX + 1);
        assert_eq!(
            read(json!({"groups": [long, "eng"]}), &["groups"]),
            (vec!["eng".to_owned()], true)
        );
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives(text: String, max in 0usize..50) {
            let cleaned = clean(&text, max);
            prop_assert!(!cleaned.chars().any(is_hidden));
            prop_assert!(cleaned.chars().count() <= max);
        }

        #[test]
        fn any_source_is_survived(source in "[/~01a-c]{0,12}") {
            read(json!({"a": {"b": ["c"]}}), &[&source]);
        }
    }
}
