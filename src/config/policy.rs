//! `[policy]` and its flags: what a session may do.
//!
//! Invariant: every place only takes away. What the user's file, a project's file and the command
//! line deny is denied; what is allowed is what all of them allow.

use super::error::{ConfigError, Whence};
use super::file::{Entry, Value};
use super::overrides::Overrides;
use super::settings::{Origin, PolicySettings, Setting};
use super::value;
use crate::limits::POLICY_PATTERNS_MAX;
use crate::policy::{self, Pattern, PatternError, Policy};

/// Patterns that are suggested for one that matches nothing.
const SUGGESTIONS_MAX: usize = 3;
/// Shorter words stand in too many operations to suggest anything.
const WORD_CHARS_MIN: usize = 3;

/// Whether a project may say something of this key: it can only take away.
pub(super) fn is_open_to_projects(key: &str) -> bool {
    key.starts_with("policy.")
}

/// Adds up what both files and the flags say.
pub(super) fn settings(
    user: &[Entry],
    project: &[Entry],
    flags: &Overrides,
) -> Result<PolicySettings, ConfigError> {
    let mut said = PolicySettings {
        read_only: Setting::default(false),
        allow: Setting::default(Vec::new()),
        deny: Setting::default(Vec::new()),
        rules: Policy::default(),
    };
    let files: [(&[Entry], Place); 2] = [(user, Origin::UserFile), (project, Origin::ProjectFile)];
    for (entries, origin) in files {
        let (mut read_only, mut allow, mut deny) = (false, Vec::new(), Vec::new());
        for entry in entries {
            let origin = origin(entry.place.path.clone(), entry.place.line);
            let whence = Whence::File(entry.place.clone(), entry.key);
            match (entry.key, &entry.value) {
                ("policy.read_only", Value::Flag(flag)) => {
                    read_only = *flag;
                    merge(&mut said.read_only, read_only, origin, |all, one| {
                        *all |= one
                    });
                }
                ("policy.allow", value) => {
                    allow = patterns(value.list(), &whence)?;
                    if allow.is_empty() {
                        return Err(ConfigError::Value {
                            whence,
                            problem: "must name at least one operation: to allow all, leave it out"
                                .to_owned(),
                        });
                    }
                    merge(&mut said.allow, texts(&allow), origin, Vec::push);
                }
                ("policy.deny", value) => {
                    deny = patterns(value.list(), &whence)?;
                    merge(&mut said.deny, texts(&deny), origin, Vec::extend);
                }
                _ => {}
            }
        }
        said.rules.restrict(read_only, allow, deny);
    }
    add_flags(&mut said, flags)?;
    bounded(said)
}

type Place = fn(std::path::PathBuf, usize) -> Origin;

fn add_flags(said: &mut PolicySettings, flags: &Overrides) -> Result<(), ConfigError> {
    let allow = patterns(&flags.allow, &Whence::Flag("--allow"))?;
    let deny = patterns(&flags.deny, &Whence::Flag("--deny"))?;
    if flags.read_only {
        let origin = Origin::Flag("--read-only");
        merge(&mut said.read_only, true, origin, |all, one| *all |= one);
    }
    if !allow.is_empty() {
        let origin = Origin::Flag("--allow");
        merge(&mut said.allow, texts(&allow), origin, Vec::push);
    }
    if !deny.is_empty() {
        let origin = Origin::Flag("--deny");
        merge(&mut said.deny, texts(&deny), origin, Vec::extend);
    }
    said.rules.restrict(flags.read_only, allow, deny);
    Ok(())
}

/// Adds to a setting; its origin is the last place that said something.
fn merge<T, U>(setting: &mut Setting<T>, one: U, origin: Origin, add: impl Fn(&mut T, U)) {
    add(&mut setting.value, one);
    setting.origin = origin;
}

fn bounded(said: PolicySettings) -> Result<PolicySettings, ConfigError> {
    if said.rules.patterns() <= POLICY_PATTERNS_MAX {
        return Ok(said);
    }
    let whence = match &said.deny.origin {
        Origin::Flag(_) => Whence::Flag("--deny"),
        _ => Whence::Flag("--allow"),
    };
    Err(ConfigError::Value {
        whence,
        problem: format!(
            "a policy has at most {POLICY_PATTERNS_MAX} patterns, from files and flags together: \
             use tags or `*`"
        ),
    })
}

fn texts(patterns: &[Pattern]) -> Vec<String> {
    let texts = patterns.iter().map(|pattern| pattern.text().to_owned());
    texts.collect()
}

fn patterns(texts: &[String], whence: &Whence) -> Result<Vec<Pattern>, ConfigError> {
    let read = |text: &String| {
        Pattern::parse(text).map_err(|error| ConfigError::Value {
            whence: whence.clone(),
            problem: match error {
                PatternError::MatchesNothing => format!("`{text}` {error}{}", did_you_mean(text)),
                PatternError::Empty | PatternError::TooLong => error.to_string(),
            },
        })
    };
    texts.iter().map(read).collect()
}

fn did_you_mean(text: &str) -> String {
    let near: Vec<_> = nearby(text)
        .into_iter()
        .map(|pattern| format!("`{pattern}`"))
        .collect();
    match near.is_empty() {
        true => String::new(),
        false => format!(" (did you mean {}?)", near.join(" or ")),
    }
}

/// Patterns that do match something, the most likely first.
fn nearby(text: &str) -> Vec<String> {
    let typed = text.trim().to_lowercase();
    let bare = typed.strip_prefix("tag:").unwrap_or(&typed).trim();
    let mut tags: Vec<_> = policy::known().map(|(_, tag)| tag).collect();
    tags.sort_unstable();
    tags.dedup();
    let names: Vec<(String, String)> = policy::known()
        .map(|(id, _)| (id.to_lowercase(), id.to_owned()))
        .chain(
            tags.iter()
                .map(|tag| (tag.to_lowercase(), format!("tag:{tag}"))),
        )
        .collect();
    let mut near = Vec::new();
    // One word can be an id in one spelling and a tag in another.
    if let Some(tag) = tags.iter().find(|tag| tag.to_lowercase() == bare) {
        near.push(format!("tag:{tag}"));
    }
    let lower = names.iter().map(|(lower, _)| lower.as_str());
    if let Some(closest) = value::closest(bare, lower)
        && let Some((_, name)) = names.iter().find(|(lower, _)| lower == closest)
    {
        near.push(name.clone());
    }
    let word = bare.trim_matches('*');
    let wide = format!("*{word}*");
    if word.chars().count() >= WORD_CHARS_MIN && Pattern::parse(&wide).is_ok() {
        near.push(wide);
    }
    near.dedup();
    near.truncate(SUGGESTIONS_MAX);
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_matches_are_suggested() {
        for (text, expected) in [
            ("UpdateMonitors", " (did you mean `UpdateMonitor`?)"),
            ("updatmonitor", " (did you mean `UpdateMonitor`?)"),
            (
                "tag:Monitor",
                " (did you mean `tag:Monitors` or `*monitor*`?)",
            ),
            (
                "monitors",
                " (did you mean `tag:Monitors` or `*monitors*`?)",
            ),
            (
                "tag:UpdateMonitor",
                " (did you mean `UpdateMonitor` or `*updatemonitor*`?)",
            ),
            ("Delete*Kangaroo", ""),
            ("zz", ""),
        ] {
            assert_eq!(did_you_mean(text), expected, "{text}");
        }
    }
}
