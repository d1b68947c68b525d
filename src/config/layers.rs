//! What every place says about a key, in the order in which it counts, before it is understood.
//!
//! Precedence: flag, environment, profile, project file, user file. Invariant: the process
//! environment is seen only through the lookup that is handed in, and a project's file is refused
//! here if it says what projects may not. What a value means is for `resolve`.

use std::path::{Path, PathBuf};

use super::env;
use super::error::{ConfigError, Place, Whence};
use super::file::{self, Entry, Value};
use super::paths::Paths;
use super::policy;
use super::profile::{self, Profile};
use super::recording;
use super::resolve::Lookup;
use super::settings::{Origin, Setting};
use super::value;
use crate::datadog::Site;
use crate::record::Secret;

/// What each layer says, before anybody won.
pub(super) struct Layers<'a> {
    lookup: Lookup<'a>,
    pub(super) user_file: PathBuf,
    pub(super) user: Vec<Entry>,
    pub(super) profiles: Vec<Profile>,
    /// The one that is in force.
    pub(super) profile: Option<Profile>,
    pub(super) project_file: Option<PathBuf>,
    pub(super) project: Vec<Entry>,
}

/// One thing a layer says.
struct Candidate {
    value: Value,
    origin: Origin,
    whence: Whence,
}

impl<'a> Layers<'a> {
    pub(super) fn read(
        lookup: Lookup<'a>,
        paths: &Paths,
        directory: &Path,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self {
            lookup,
            user_file: paths.user_file(),
            user: Vec::new(),
            profiles: Vec::new(),
            profile: None,
            project_file: None,
            project: Vec::new(),
        };
        if let Some(named) = layers.variable(env::DDGATE_CONFIG)? {
            layers.user_file = directory.join(named);
            // A file that somebody named has to be there.
            let contents = file::read(&layers.user_file)?;
            (layers.user, layers.profiles) = (contents.entries, contents.profiles);
        } else if let Some(contents) = file::read_if_there(&layers.user_file)? {
            (layers.user, layers.profiles) = (contents.entries, contents.profiles);
        }
        layers.project_file = file::find_project(directory, &paths.home)
            .filter(|found| !is_same_file(found, &layers.user_file));
        if let Some(path) = &layers.project_file {
            let contents = file::read(path)?;
            if let Some(profile) = contents.profiles.first() {
                return Err(ConfigError::NotForProjects {
                    place: profile.place.clone(),
                    key: profile::TABLE,
                    user_file: layers.user_file,
                });
            }
            layers.project = contents.entries;
            for entry in &layers.project {
                check_project_entry(entry, &layers.user_file)?;
            }
        }
        Ok(layers)
    }

    /// A variable that says something: an empty one is as good as none.
    pub(super) fn variable(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = (self.lookup)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if value.contains('\u{fffd}') {
            return Err(ConfigError::Value {
                whence: Whence::Environment(name),
                problem: "not valid Unicode".to_owned(),
            });
        }
        Ok(Some(value))
    }

    /// Everything that is said about a key, the winner first.
    fn candidates(
        &self,
        key: &'static str,
        flag: Option<(&'static str, String)>,
        variables: &[&'static str],
    ) -> Result<Vec<Candidate>, ConfigError> {
        let mut candidates = Vec::new();
        if let Some((name, value)) = flag {
            candidates.push(Candidate {
                value: Value::Text(Secret::new(value)),
                origin: Origin::Flag(name),
                whence: Whence::Flag(name),
            });
        }
        for name in variables {
            if let Some(value) = self.variable(name)? {
                candidates.push(Candidate {
                    value: Value::Text(Secret::new(value)),
                    origin: Origin::Environment(name),
                    whence: Whence::Environment(name),
                });
            }
        }
        let from_file = |entries: &[Entry], origin: &dyn Fn(PathBuf, usize) -> Origin| {
            let entry = entries.iter().find(|entry| entry.key == key)?;
            let Place { path, line, .. } = entry.place.clone();
            Some(Candidate {
                value: entry.value.clone(),
                origin: origin(path, line),
                whence: Whence::File(entry.place.clone(), key),
            })
        };
        if let Some(Profile { name, entries, .. }) = &self.profile {
            let origin = |path, line| Origin::Profile(name.clone(), path, line);
            candidates.extend(from_file(entries, &origin));
        }
        candidates.extend(from_file(&self.project, &Origin::ProjectFile));
        candidates.extend(from_file(&self.user, &Origin::UserFile));
        Ok(candidates)
    }

    /// The winner, understood. Losers in files are checked too: a mistake there would
    /// otherwise wait for the day the variable is unset.
    pub(super) fn pick<T>(
        &self,
        key: &'static str,
        flag: Option<(&'static str, String)>,
        variables: &[&'static str],
        meaning: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>, ConfigError> {
        let mut winner = None;
        for candidate in self.candidates(key, flag, variables)? {
            if winner.is_some() && !matches!(candidate.whence, Whence::File(..)) {
                continue;
            }
            let value = meaning(&candidate.value).map_err(|problem| ConfigError::Value {
                whence: candidate.whence,
                problem,
            })?;
            winner.get_or_insert(Setting {
                value,
                origin: candidate.origin,
            });
        }
        Ok(winner)
    }

    pub(super) fn site(
        &self,
        flag: Option<(&'static str, String)>,
    ) -> Result<Setting<String>, ConfigError> {
        let variables = [env::DDGATE_SITE, env::DD_SITE, env::DATADOG_SITE];
        let said = self.pick("datadog.site", flag, &variables, |value| {
            value::site(value.text())
        })?;
        if let Some(setting) = said {
            return Ok(setting);
        }
        for name in [env::DD_HOST, env::DATADOG_HOST] {
            // Any other host is somebody's proxy, and says nothing about the site.
            if let Some(site) = self
                .variable(name)?
                .and_then(|url| value::site_of_url(&url))
            {
                return Ok(Setting {
                    value: site.to_owned(),
                    origin: Origin::Environment(name),
                });
            }
        }
        Ok(Setting::default("datadoghq.com".to_owned()))
    }

    /// Relative to the working directory, or, in a file, to that file; `~/` in a file is home.
    pub(super) fn data_dir(
        &self,
        flag: Option<&Path>,
        paths: &Paths,
        directory: &Path,
    ) -> Result<Setting<PathBuf>, ConfigError> {
        let picked = self.pick("data_dir", None, &[env::DDGATE_DATA_DIR], |value| {
            value::text(value.text())
        })?;
        if let Some(path) = flag {
            // Not through `pick`: a path need not be Unicode.
            if path.as_os_str().is_empty() {
                return Err(ConfigError::Value {
                    whence: Whence::Flag("--data-dir"),
                    problem: "must not be empty".to_owned(),
                });
            }
            return Ok(Setting {
                value: directory.join(path),
                origin: Origin::Flag("--data-dir"),
            });
        }
        let Some(Setting { value, origin }) = picked else {
            return Ok(Setting::default(paths.data.clone()));
        };
        Ok(Setting {
            value: located(&value, &origin, paths, directory),
            origin,
        })
    }

    /// Files, located as `data_dir` is. Flags replace what the layers below say.
    pub(super) fn age_identities(
        &self,
        flags: &[PathBuf],
        paths: &Paths,
        directory: &Path,
    ) -> Result<Setting<Vec<PathBuf>>, ConfigError> {
        let variables = [env::DDGATE_AGE_IDENTITY];
        let picked = self.pick("journal.age_identities", None, &variables, |value| {
            let list = match value {
                Value::Text(text) => std::env::split_paths(text.expose())
                    .map(|path| path.to_string_lossy().into_owned())
                    .collect(),
                other => other.list().to_vec(),
            };
            list.iter().map(|it| value::text(it)).collect()
        })?;
        if !flags.is_empty() {
            return Ok(Setting {
                value: flags.iter().map(|path| directory.join(path)).collect(),
                origin: Origin::Flag("--age-identity"),
            });
        }
        let Some(Setting { value, origin }): Option<Setting<Vec<String>>> = picked else {
            return Ok(Setting::default(Vec::new()));
        };
        let files = value.iter();
        Ok(Setting {
            value: files
                .map(|file| located(file, &origin, paths, directory))
                .collect(),
            origin,
        })
    }
}

/// What a path means: relative to the working directory or, in a file, to that file.
fn located(value: &str, origin: &Origin, paths: &Paths, directory: &Path) -> PathBuf {
    match origin {
        Origin::UserFile(file, _) => match value.strip_prefix("~/") {
            Some(rest) => paths.home.join(rest),
            None => file.parent().unwrap_or(directory).join(value),
        },
        _ => directory.join(value),
    }
}

/// A project is code from somewhere else: it may say which of Datadog's sites it is about, and that
/// more be recorded (see [`recording`]) or denied (see [`policy`]), and nothing that decides who signs in, where keys go, what runs, or where records lie.
fn check_project_entry(entry: &Entry, user_file: &Path) -> Result<(), ConfigError> {
    if recording::is_open_to_projects(entry.key) || policy::is_open_to_projects(entry.key) {
        return Ok(());
    }
    if entry.key != "datadog.site" {
        return Err(ConfigError::NotForProjects {
            place: entry.place.clone(),
            key: entry.key,
            user_file: user_file.to_owned(),
        });
    }
    let site = value::site(entry.value.text()).map_err(|problem| ConfigError::Value {
        whence: Whence::File(entry.place.clone(), entry.key),
        problem,
    })?;
    if Site::known().contains(&site.as_str()) {
        return Ok(());
    }
    Err(ConfigError::ForeignSite {
        place: entry.place.clone(),
        site,
        user_file: user_file.to_owned(),
    })
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
