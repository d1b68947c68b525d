//! How much of a call is recorded: a level by operation, and a bound on bodies.
//!
//! Pure. That a call happened, what it meant and how it ended is recorded at every level.

use serde::{Deserialize, Serialize};

use super::glob::matches;
use super::operation::{Effect, Operation};
use crate::limits::RECORDED_BODY_BYTES_MAX;

/// How much of a call is recorded. Later ones hold what earlier ones hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Method, host, route, operation, objects, decision, status, sizes, times.
    Metadata,
    /// Path, query and headers too, redacted.
    Headers,
    /// Bodies too, redacted.
    Full,
}

impl Level {
    /// The lower-case word used in settings, in the record and on screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Headers => "headers",
            Self::Full => "full",
        }
    }

    /// Why there is no content, as the record says it.
    #[must_use]
    pub fn reason(self) -> String {
        format!("recorded at level {}", self.word())
    }
}

/// What one configuration file says about levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelRules {
    /// For all operations.
    pub level: Option<Level>,
    /// For those that leave nothing behind.
    pub read: Option<Level>,
    /// For those that create or change something.
    pub write: Option<Level>,
    /// For those that remove something.
    pub destroy: Option<Level>,
    /// For those the catalogue does not know.
    pub unknown: Option<Level>,
    /// For those whose id or tag is matched by a pattern: letters without regard to case, and `*`
    /// for any number of characters.
    pub operations: Vec<(String, Level)>,
}

impl LevelRules {
    /// The level these rules ask for: that of the most specific pattern (the one with the most
    /// characters beside `*`; of two equal ones the higher level), else that of the effect, else
    /// that of all.
    #[must_use]
    pub fn of(&self, operation: &Operation) -> Option<Level> {
        let names = [operation.id.unwrap_or_default(), operation.group];
        let named = self
            .operations
            .iter()
            .filter(|(pattern, _)| names.iter().any(|name| matches(pattern, name)))
            .map(|(pattern, level)| (pattern.bytes().filter(|b| *b != b'*').count(), *level))
            .max();
        let by_effect = match operation.effect {
            Effect::Read => self.read,
            Effect::Write => self.write,
            Effect::Destroy => self.destroy,
            Effect::Unknown => self.unknown,
        };
        named.map(|(_, level)| level).or(by_effect).or(self.level)
    }
}

/// How much of each call is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What the user says.
    pub user: LevelRules,
    /// What the project says: it can raise a level, and never lower it.
    pub project: LevelRules,
    /// Of a longer body the beginning is kept.
    pub body_bytes_max: u64,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            user: LevelRules::default(),
            project: LevelRules::default(),
            body_bytes_max: RECORDED_BODY_BYTES_MAX,
        }
    }
}

impl Recording {
    /// The level of an operation.
    #[must_use]
    pub fn level(&self, operation: &Operation) -> Level {
        let user = self.user.of(operation).unwrap_or(Level::Full);
        self.project
            .of(operation)
            .map_or(user, |level| level.max(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(id: Option<&'static str>, group: &'static str, effect: Effect) -> Operation {
        Operation {
            id,
            group,
            route: String::new(),
            effect,
            resources: Vec::new(),
            secret_request: &[],
            secret_response: &[],
        }
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let rules = LevelRules {
            level: Some(Level::Headers),
            read: Some(Level::Metadata),
            operations: vec![
                ("Logs*".to_owned(), Level::Metadata),
                ("SubmitLog".to_owned(), Level::Full),
                ("*".to_owned(), Level::Full),
                ("Mon*".to_owned(), Level::Headers),
                ("*tor".to_owned(), Level::Metadata),
            ],
            ..LevelRules::default()
        };
        let of = |rules: &LevelRules, id, group, effect| rules.of(&operation(id, group, effect));
        let all = |id, group| of(&rules, id, group, Effect::Read);
        assert_eq!(all(Some("SubmitLog"), "Logs"), Some(Level::Full));
        assert_eq!(all(Some("ListLogs"), "Logs"), Some(Level::Metadata));
        assert_eq!(all(None, ""), Some(Level::Full));
        assert_eq!(all(Some("Monitor"), ""), Some(Level::Headers), "the higher");
        let plain = LevelRules {
            operations: Vec::new(),
            ..rules.clone()
        };
        assert_eq!(of(&plain, None, "", Effect::Read), Some(Level::Metadata));
        assert_eq!(of(&plain, None, "", Effect::Unknown), Some(Level::Headers));
        assert_eq!(of(&LevelRules::default(), None, "", Effect::Read), None);
    }

    #[test]
    fn a_project_raises_and_never_lowers() {
        let rules = |level| LevelRules {
            level: Some(level),
            ..LevelRules::default()
        };
        let level = |user, project| {
            let recording = Recording {
                user: rules(user),
                project: rules(project),
                ..Recording::default()
            };
            recording.level(&operation(None, "", Effect::Write))
        };
        assert_eq!(level(Level::Metadata, Level::Headers), Level::Headers);
        assert_eq!(level(Level::Full, Level::Metadata), Level::Full);
        let nothing = Recording::default();
        assert_eq!(
            nothing.level(&operation(None, "", Effect::Read)),
            Level::Full
        );
    }
}
