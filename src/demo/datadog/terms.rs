//! Search queries as far as the demo's Datadog understands them: words and `key:value`, all of
//! which must match. No `OR`, no parentheses, no comparisons; what is not understood is a word.

/// One word of a query.
pub(super) struct Term<'a> {
    /// The part before the first colon, if any.
    pub(super) key: Option<&'a str>,
    /// The rest, without quotes.
    pub(super) value: &'a str,
    /// Whether it must not match.
    negated: bool,
}

/// Whether `matches` holds for every term of `query`, or its contrary for the negated ones.
pub(super) fn all(query: &str, matches: impl Fn(&Term<'_>) -> bool) -> bool {
    query
        .split_whitespace()
        .filter(|word| !matches!(*word, "*" | "AND"))
        .map(Term::parse)
        .all(|term| matches(&term) != term.negated)
}

impl<'a> Term<'a> {
    fn parse(word: &'a str) -> Self {
        let (negated, word) = match word.strip_prefix('-') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, word),
        };
        let (key, value) = match word.split_once(':') {
            Some((key, value)) if !key.is_empty() => (Some(key), value),
            _ => (None, word),
        };
        Self {
            key,
            value: value.trim_matches('"'),
            negated,
        }
    }

    /// Whether the value, which may end in `*`, fits `text`; case does not matter.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let value = self.value.to_lowercase();
        match value.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == value,
        }
    }

    /// Whether `text` contains the value; case does not matter.
    pub(super) fn is_within(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.value.to_lowercase())
    }

    /// Whether one of `tags` is this `key:value`.
    pub(super) fn is_tag(&self, tags: &serde_json::Value) -> bool {
        let tags = tags.as_array().map(Vec::as_slice).unwrap_or_default();
        tags.iter()
            .filter_map(|tag| tag.as_str()?.split_once(':'))
            .any(|(key, value)| Some(key) == self.key && self.fits(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(query: &str, text: &str) -> bool {
        all(query, |term| term.is_within(text))
    }

    #[test]
    fn every_term_must_match() {
        assert!(words("", "anything"));
        assert!(words("* AND time OUT", "a timeout"));
        assert!(!words("time gone", "a timeout"));
        assert!(words("time -gone", "a timeout"));
        assert!(words("\"timeout\"", "a timeout"));
    }

    #[test]
    fn tags_match_by_key_and_value() {
        let tags = serde_json::json!(["service:checkout", "env:prod", 7]);
        assert!(all("service:check* env:PROD", |term| term.is_tag(&tags)));
        assert!(!all("service:payments", |term| term.is_tag(&tags)));
        assert!(all("-service:payments", |term| term.is_tag(&tags)));
    }

    proptest! {
        #[test]
        fn never_panics(query in "\\PC{0,40}", text in "\\PC{0,20}") {
            let _ = all(&query, |term| term.fits(&text) || term.is_within(&text));
        }
    }
}
