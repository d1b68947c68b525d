//! `[recording]`: how much of each call is recorded.
//!
//! Invariant: a project can only have more recorded. What it says is kept apart from what the
//! user says, and the higher of the two counts, operation by operation.

use super::error::{ConfigError, Whence};
use super::file::{Entry, Value};
use super::settings::{Origin, RecordingSettings, Setting};
use super::value::Choice;
use crate::limits::RECORDED_BODY_BYTES_MAX;
use crate::record::{Level, LevelRules, Recording};

impl Choice for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("full", Self::Full),
        ("headers", Self::Headers),
        ("metadata", Self::Metadata),
    ];
}

/// What one file says.
#[derive(Default)]
struct Said {
    rules: LevelRules,
    body_bytes_max: Option<u64>,
}

/// Whether a project may say something of this key.
pub(super) fn is_open_to_projects(key: &str) -> bool {
    key.starts_with("recording.")
}

/// Reads what both files say.
pub(super) fn settings(
    user: &[Entry],
    project: &[Entry],
) -> Result<RecordingSettings, ConfigError> {
    let (of_user, of_project) = (said(user)?, said(project)?);
    let origin = |key: &str, is_project: bool| {
        let entries = if is_project { project } else { user };
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.map_or(Origin::Default, |entry| {
            let (path, line) = (entry.place.path.clone(), entry.place.line);
            match is_project {
                true => Origin::ProjectFile(path, line),
                false => Origin::UserFile(path, line),
            }
        })
    };
    let level = |key: &str, of: fn(&LevelRules) -> Option<Level>| {
        let (user, project) = (of(&of_user.rules), of(&of_project.rules));
        Setting {
            value: user.max(project),
            origin: origin(key, project > user),
        }
    };
    // What the user leaves at its default is the most there is, and nothing raises it.
    let whole = match of_user.rules.level {
        None => Setting::default(Some(Level::Full)),
        Some(_) => level("recording.level", |rules| rules.level),
    };
    let bytes = of_user.body_bytes_max.unwrap_or(RECORDED_BODY_BYTES_MAX);
    let raised = of_project.body_bytes_max.filter(|more| *more > bytes);
    let operations = [&of_user.rules.operations[..], &of_project.rules.operations].concat();
    Ok(RecordingSettings {
        level: whole,
        read: level("recording.read", |rules| rules.read),
        write: level("recording.write", |rules| rules.write),
        destroy: level("recording.destroy", |rules| rules.destroy),
        unknown: level("recording.unknown", |rules| rules.unknown),
        body_bytes_max: Setting {
            value: raised.unwrap_or(bytes),
            origin: origin("recording.body_bytes_max", raised.is_some()),
        },
        operations: Setting {
            value: operations,
            origin: origin("recording.operations", of_user.rules.operations.is_empty()),
        },
        rules: Recording {
            user: of_user.rules,
            project: of_project.rules,
            body_bytes_max: raised.unwrap_or(bytes),
        },
    })
}

fn said(entries: &[Entry]) -> Result<Said, ConfigError> {
    let mut said = Said::default();
    for entry in entries {
        let wrong = |problem| ConfigError::Value {
            whence: Whence::File(entry.place.clone(), entry.key),
            problem,
        };
        let rules = &mut said.rules;
        let place = match (entry.key, &entry.value) {
            ("recording.level", _) => &mut rules.level,
            ("recording.read", _) => &mut rules.read,
            ("recording.write", _) => &mut rules.write,
            ("recording.destroy", _) => &mut rules.destroy,
            ("recording.unknown", _) => &mut rules.unknown,
            ("recording.operations", Value::Pairs(pairs)) => {
                for (pattern, word) in pairs {
                    let level = Level::parse(word)
                        .map_err(|problem| wrong(format!("`{pattern}`: {problem}")))?;
                    rules.operations.push((pattern.clone(), level));
                }
                continue;
            }
            ("recording.body_bytes_max", Value::Number(bytes)) => {
                if *bytes == 0 {
                    return Err(wrong("must be at least 1".to_owned()));
                }
                said.body_bytes_max = Some(*bytes);
                continue;
            }
            _ => continue,
        };
        *place = Some(Level::parse(entry.value.text()).map_err(wrong)?);
    }
    Ok(said)
}
