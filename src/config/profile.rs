//! Profiles: tables `[profile.NAME.identity]` and `[profile.NAME.datadog]` of the user's file, one of
//! which a run may choose.
//!
//! A profile overrides what the user's file says otherwise, and nothing but who signs in and where
//! calls go. Invariant: every profile is checked whenever the file is read, chosen or not. Projects
//! have none. What is kept for a profile is kept apart: see `auth::secret_store`.

use super::error::{ConfigError, Place, Whence};
use super::file::Entry;
use super::settings::{Origin, Setting};
use super::value::closest;
use crate::limits::PROFILE_NAME_BYTES_MAX;

/// The table of a file that holds the profiles.
pub(super) const TABLE: &str = "profile";
/// What a profile may set.
pub(super) const TABLES: [&str; 2] = ["datadog", "identity"];

/// One profile of the user's file.
#[derive(Clone)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) entries: Vec<Entry>,
}

/// Refuses a name that could be mistaken for something else where it is shown or kept.
pub(super) fn check_name(name: &str, place: &Place) -> Result<(), ConfigError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=PROFILE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(ConfigError::Value {
        whence: Whence::File(place.clone(), TABLE),
        problem: format!(
            "the name `{}` has to be 1 to {PROFILE_NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`",
            name.escape_debug()
        ),
    })
}

/// Finds the profile that a flag or else a variable names.
pub(super) fn choose(
    profiles: &[Profile],
    flag: Option<String>,
    variable: Option<(&'static str, String)>,
    user_file: &std::path::Path,
) -> Result<Setting<Option<String>>, ConfigError> {
    let (name, origin, whence) = match (flag, variable) {
        (Some(name), _) => {
            let flag = "--profile";
            (name, Origin::Flag(flag), Whence::Flag(flag))
        }
        (None, Some((variable, name))) => (
            name,
            Origin::Environment(variable),
            Whence::Environment(variable),
        ),
        (None, None) => return Ok(Setting::default(None)),
    };
    if profiles.iter().any(|profile| profile.name == name) {
        return Ok(Setting {
            value: Some(name),
            origin,
        });
    }
    let names: Vec<&str> = profiles.iter().map(|profile| &*profile.name).collect();
    let shown = name.escape_debug();
    let problem = match names.is_empty() {
        true => format!(
            "there is no profile `{shown}`: a `[profile.NAME.identity]` table in {} makes one",
            user_file.display()
        ),
        false => {
            let meant = closest(&name, names.iter().copied());
            let meant = meant.map(|meant| format!(" (did you mean `{meant}`?)"));
            let (all, meant) = (names.join(", "), meant.unwrap_or_default());
            format!("there is no profile `{shown}`, only {all}{meant}")
        }
    };
    Err(ConfigError::Value { whence, problem })
}
