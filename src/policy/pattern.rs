//! One pattern of a policy: `UpdateMonitor`, `Delete*`, `tag:Monitors`, `tag:Logs*`.
//!
//! Invariant: a pattern matches at least one operation of the catalogue. One that matches none is
//! a mistake in spelling, and a policy with a mistake in it protects nobody.

use crate::datadog::catalogue;
use crate::limits::POLICY_PATTERN_BYTES_MAX;
use crate::mcp;
use crate::record::glob;

/// What stands before the name of a tag.
const TAG: &str = "tag:";

/// Names and groups of everything a pattern may mean: operations, and tools of Datadog's MCP server.
pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    catalogue::known().chain(mcp::tools::known().map(|tool| (tool, mcp::TAG)))
}

/// A pattern for operations. Letters are compared without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is there.
    #[error("must not be empty")]
    Empty,
    /// Longer than any name in the catalogue.
    #[error("must not be longer than {POLICY_PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing in the catalogue is called so.
    #[error("matches no operation of Datadog's, and no tool of its MCP server")]
    MatchesNothing,
}

impl Pattern {
    /// Reads a pattern and looks for an operation that it matches.
    ///
    /// # Errors
    /// The text is empty, too long, or matches nothing in the catalogue.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self(text.trim().to_owned());
        if pattern.0.is_empty() {
            return Err(PatternError::Empty);
        }
        if pattern.0.len() > POLICY_PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        match known().any(|(id, tag)| pattern.matches(Some(id), tag)) {
            true => Ok(pattern),
            false => Err(PatternError::MatchesNothing),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether an operation is meant. One without an id is nobody's guess: only `*` means it.
    #[must_use]
    pub fn matches(&self, id: Option<&str>, tag: &str) -> bool {
        let Some(id) = id else {
            return self.0.bytes().all(|byte| byte == b'*');
        };
        match self.tag() {
            Some(pattern) => !tag.is_empty() && glob::matches(pattern, tag),
            None => glob::matches(&self.0, id),
        }
    }

    fn tag(&self) -> Option<&str> {
        let (prefix, name) = self.0.split_at_checked(TAG.len())?;
        prefix
            .eq_ignore_ascii_case(TAG)
            .then_some(name.trim_start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meant(text: &str) -> Vec<&'static str> {
        let pattern = Pattern::parse(text).unwrap();
        let known = known();
        let mut ids: Vec<_> = known
            .filter(|(id, tag)| pattern.matches(Some(id), tag))
            .map(|(id, _)| id)
            .collect();
        ids.dedup();
        ids
    }

    #[test]
    fn ids_tags_and_globs() {
        assert_eq!(meant("UpdateMonitor"), ["UpdateMonitor"]);
        assert_eq!(meant(" updatemonitor "), ["UpdateMonitor"]);
        let dashboards = meant("tag:Dashboards");
        assert!(dashboards.contains(&"CreateDashboard"), "{dashboards:?}");
        assert!(!dashboards.contains(&"CreateDashboardList"));
        assert_eq!(meant("TAG: dashboards"), dashboards);
        assert!(meant("tag:Service Level Objectives").contains(&"DeleteSLO"));
        assert!(meant("tag:Dashboard*").contains(&"CreateDashboardList"));
        let deletions = meant("Delete*");
        assert!(deletions.contains(&"DeleteMonitor"));
        assert!(deletions.contains(&"delete_datadog_dashboard"));
        let is_one = |id: &&str| id.to_lowercase().starts_with("delete");
        assert!(deletions.iter().all(is_one));
        assert_eq!(meant("search_datadog_logs"), ["search_datadog_logs"]);
        assert!(meant("tag:mcp").contains(&"search_datadog_logs"));
        assert!(meant("*Dashboard*").contains(&"GetPublicDashboard"));
        assert_eq!(meant("*").len(), meant("tag:*").len());
    }

    #[test]
    fn a_pattern_that_means_nothing_is_refused() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("  ", PatternError::Empty),
            ("UpdateMonitors", PatternError::MatchesNothing),
            ("Monitors", PatternError::MatchesNothing),
            ("tag:", PatternError::MatchesNothing),
            ("tag:Monitor", PatternError::MatchesNothing),
            ("tags:Monitors", PatternError::MatchesNothing),
            ("monitor:123", PatternError::MatchesNothing),
            ("/api/v1/monitor", PatternError::MatchesNothing),
            (&"*".repeat(129), PatternError::TooLong),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_has_no_id_is_meant_by_the_star_alone() {
        for (text, expected) in [("*", true), ("**", true), ("*e*", false), ("tag:*", false)] {
            assert_eq!(
                Pattern::parse(text).unwrap().matches(None, ""),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}", id in "\\PC{0,20}", tag in "\\PC{0,20}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let _ = pattern.matches(Some(&id), &tag);
            }
        }
    }
}
