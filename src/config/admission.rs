//! `identity.require_*`: who may open a session.
//!
//! Invariant: every place only asks for more. A project may require groups, an issuer, a verified
//! address, and a profile too, and neither takes back what the user's file requires.

use super::error::{ConfigError, Whence};
use super::file::{Entry, Value};
use super::layers::Layers;
use super::settings::{AdmissionSettings, Origin, Setting};
use super::value;
use crate::policy::Requirements;

/// Whether a project may say something of this key: it can only ask for more.
pub(super) fn is_open_to_projects(key: &str) -> bool {
    key.starts_with("identity.require_")
}

/// Adds up what the files and the profile in force say.
pub(super) fn settings(layers: &Layers<'_>) -> Result<AdmissionSettings, ConfigError> {
    let mut said = AdmissionSettings {
        groups: Setting::default(Vec::new()),
        issuers: Setting::default(Vec::new()),
        verified_email: Setting::default(false),
        rules: Requirements::default(),
    };
    let profile = layers.profile.as_ref();
    let of_profile = |path, line| {
        let name = profile.map(|profile| profile.name.clone());
        Origin::Profile(name.unwrap_or_default(), path, line)
    };
    let places: [(&[Entry], Place<'_>); 3] = [
        (&layers.user, &Origin::UserFile),
        (profile.map_or(&[], |it| &it.entries), &of_profile),
        (&layers.project, &Origin::ProjectFile),
    ];
    for (entries, origin) in places {
        for entry in entries {
            let origin = origin(entry.place.path.clone(), entry.place.line);
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
    }
    Ok(said)
}

type Place<'a> = &'a dyn Fn(std::path::PathBuf, usize) -> Origin;

/// Group names: with spaces, if they have some, and at least one.
pub(super) fn groups(list: &[String]) -> Result<Vec<String>, String> {
    if list.is_empty() {
        return Err("must name at least one group".to_owned());
    }
    list.iter().map(|group| value::text(group)).collect()
}
