//! The directories ddgate uses, and how they are made.
//!
//! Invariant: the only importer of `directories`; a directory made here is readable by the
//! user alone. It never removes or re-permits what is already there.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use super::error::ConfigError;
use super::file::FILE_NAME;
use crate::record::SessionId;

/// Where the platform wants things to be. Nothing is created until it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Configuration of this user.
    pub config: PathBuf,
    /// Data of this user on this machine (never roamed: a session is bound to its journal).
    pub data: PathBuf,
    /// Files that live as long as a session; cleared by the system if we cannot.
    pub runtime: PathBuf,
    /// The home directory.
    pub home: PathBuf,
}

impl Paths {
    /// Asks the platform.
    ///
    /// # Errors
    /// There is no home directory.
    pub fn platform() -> Result<Self, ConfigError> {
        let project = ProjectDirs::from("", "", "ddgate").ok_or(ConfigError::NoHome)?;
        let base = BaseDirs::new().ok_or(ConfigError::NoHome)?;
        let runtime = project
            .runtime_dir()
            // A login by `su` keeps the variable that names another user's directory, and a
            // container may name one that was never made: then the cache does as well.
            .filter(|directory| directory.parent().is_some_and(is_ours))
            .map_or_else(|| project.cache_dir().join("run"), Path::to_owned);
        Ok(Self {
            config: project.config_dir().to_owned(),
            data: project.data_local_dir().to_owned(),
            runtime,
            home: base.home_dir().to_owned(),
        })
    }

    /// The user's configuration file, unless DDGATE_CONFIG names another.
    #[must_use]
    pub fn user_file(&self) -> PathBuf {
        self.config.join(FILE_NAME)
    }

    /// Makes the directory for one session's certificate files and returns it. Whoever asks
    /// removes it when the session's last process is gone.
    ///
    /// # Errors
    /// It cannot be made; the error names it.
    pub fn create_session_runtime(&self, session: &SessionId) -> Result<PathBuf, ConfigError> {
        let directory = self.runtime.join(session.to_string());
        create_private(&directory)?;
        Ok(directory)
    }
}

/// Makes a directory, and what is missing above it, for the user alone (mode 0700).
///
/// # Errors
/// It cannot be made, or something else stands there; the error names the path.
pub fn create_private(path: &Path) -> Result<(), ConfigError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(ConfigError::NotADirectory {
                path: path.to_owned(),
            })
        }
        Err(source) => Err(ConfigError::CreateDirectory {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(unix)]
fn is_ours(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    directory
        .metadata()
        .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn is_ours(directory: &Path) -> bool {
    directory.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path) -> Paths {
        Paths {
            config: root.join("config"),
            data: root.join("data"),
            runtime: root.join("run/ddgate"),
            home: root.join("home"),
        }
    }

    #[test]
    fn a_session_gets_its_own_private_directory() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        let session = SessionId::from_bytes([7; 16]);
        let directory = paths.create_session_runtime(&session).unwrap();
        assert!(directory.ends_with(session.to_string()));
        assert_eq!(paths.create_session_runtime(&session).unwrap(), directory);
        #[cfg(unix)]
        for made in [&directory, &paths.runtime] {
            use std::os::unix::fs::PermissionsExt;
            let mode = made.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", made.display());
        }
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            create_private(&file).unwrap_err().to_string(),
            format!("{} is not a directory", file.display())
        );
        let below = file.join("below");
        assert_eq!(
            create_private(&below).unwrap_err().to_string(),
            format!("cannot create directory {}", below.display())
        );
    }
}
