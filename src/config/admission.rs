//! `identity.require_*`: who may open a session.
//!
//! Invariant: every place only asks for more. A project may require groups, an issuer, a verified
//! address, and take nothing back of what the user's file requires.

use super::error::{ConfigError, Whence};
use super::file::Value;
use super::layers::Layers;
use super::settings::{AdmissionSettings, Setting};
use super::value;
use crate::policy::Requirements;

/// Whether a project may say something of this key: it can only ask for more.
pub(super) fn is_open_to_projects(key: &str) -> bool {
    key.starts_with("identity.require_")
}

/// Adds up what the files say, and the chosen profile.
pub(super) fn settings(layers: &Layers<'_>) -> Result<AdmissionSettings, ConfigError> {
    let mut said = AdmissionSettings {
        groups: Setting::default(Vec::new()),
        issuers: Setting::default(Vec::new()),
        verified_email: Setting::default(false),
        rules: Requirements::default(),
    };
    for (entry, origin) in layers.all_entries() {
        let refused = |problem| ConfigError::Value {
            whence: Whence::File(entry.place.clone(), entry.key),
            problem,
        };
        match (entry.key, &entry.value) {
            ("identity.require_groups", list) => {
                let groups = groups(list.list()).map_err(refused)?;
                said.rules.restrict(Some(groups.clone()), None, false);
                said.groups.value.push(groups);
                said.groups.origin = origin;
            }
            ("identity.require_issuer", text) => {
                let issuer = value::issuer(text.text()).map_err(refused)?;
                said.rules.restrict(None, Some(issuer.clone()), false);
                said.issuers.value.push(issuer);
                said.issuers.origin = origin;
            }
            ("identity.require_verified_email", Value::Flag(true)) => {
                said.rules.restrict(None, None, true);
                said.verified_email.value = true;
                said.verified_email.origin = origin;
            }
            // `false` asks for nothing, and takes nothing back.
            _ => {}
        }
    }
    Ok(said)
}

/// Group names: with spaces, if they have some, and at least one.
pub(super) fn groups(list: &[String]) -> Result<Vec<String>, String> {
    if list.is_empty() {
        return Err("must name at least one group".to_owned());
    }
    list.iter().map(|group| value::text(group)).collect()
}
