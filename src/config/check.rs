//! Every configuration file by itself, for `ddgate doctor`: which there are, and what is wrong with
//! each. What is meant by all of them together is for `resolve`.

use std::path::{Path, PathBuf};

use super::env;
use super::error::ConfigError;
use super::file;
use super::layers::{check_project, is_same_file};
use super::paths::Paths;
use super::resolve::Lookup;

/// A file that ddgate reads its settings from.
#[derive(Debug)]
pub struct FileFound {
    /// Which.
    pub path: PathBuf,
    /// Whether a project brings it.
    pub is_project: bool,
    /// How many settings stand in it, or what is wrong.
    pub settings: Result<usize, ConfigError>,
}

/// Looks at the files that [`super::load`] reads, each by itself. None may be there.
pub fn files(lookup: Lookup<'_>, paths: &Paths, directory: &Path) -> Vec<FileFound> {
    let named = lookup(env::DDGATE_CONFIG).filter(|name| !name.is_empty());
    let user_file = match &named {
        Some(name) => directory.join(name),
        None => paths.user_file(),
    };
    let mut found = Vec::new();
    if named.is_some() || user_file.exists() {
        found.push(FileFound {
            settings: file::read(&user_file).map(|contents| contents.len()),
            path: user_file.clone(),
            is_project: false,
        });
    }
    let project = file::find_project(directory, &paths.home);
    if let Some(path) = project.filter(|path| !is_same_file(path, &user_file)) {
        let read = file::read(&path).and_then(|contents| {
            check_project(&contents, &user_file)?;
            Ok(contents.len())
        });
        found.push(FileFound {
            settings: read,
            path,
            is_project: true,
        });
    }
    found
}
