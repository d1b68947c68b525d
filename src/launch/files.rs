//! The files that the child's environment names: where they stand, and writing them.
//!
//! Invariant: everything is below the session's private directory, and no real secret is in any of
//! it. The names of what several gates may put into one variable (a gate inside a gate) are fixed:
//! by them one gate's are told from the user's own.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::preload::preloads;
use super::{launcher, trust};

/// Where the session's files stand.
#[derive(Clone, Debug)]
pub struct ChildFiles {
    /// The session's CA and the user's own additions, for clients that *add* to their roots.
    pub ca: PathBuf,
    /// All roots and the session's CA, for clients that *replace* their roots.
    pub bundle: PathBuf,
    /// The same as a Java trust store.
    pub jks: PathBuf,
    /// The user's wgetrc, and the bundle.
    pub wgetrc: PathBuf,
    /// An empty directory: hides what `pup` has stored.
    pub pup: PathBuf,
    /// For `PYTHONPATH`: the directory of Python's preload.
    pub python: PathBuf,
    /// For `NODE_OPTIONS`: Node's preload.
    pub node: PathBuf,
    /// For `RUBYOPT`: Ruby's preload, whose name there goes without `.rb`.
    pub ruby: PathBuf,
    /// For `PATH`: the directory of launchers.
    pub launchers: PathBuf,
}

/// A file could not be written.
#[derive(Debug)]
pub struct FilesError {
    /// Which one.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// What stands in the files depends on.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The environment ddgate itself was given.
    pub parent: &'a [(OsString, OsString)],
    /// The user's home directory.
    pub home: &'a Path,
    /// The session's CA, PEM.
    pub session_ca: &'a str,
    /// The gate: one loopback port for base URL, proxy and direct TLS.
    pub gate: SocketAddr,
    /// Domains the gate intercepts, with the hosts below them.
    pub domains: &'a [String],
}

impl ChildFiles {
    /// Says where the files of a session stand that has this private directory.
    #[must_use]
    pub fn below(runtime: &Path) -> Self {
        Self {
            ca: runtime.join("ca.pem"),
            bundle: runtime.join("bundle.pem"),
            jks: runtime.join("ddgate-trust.jks"),
            wgetrc: runtime.join("wgetrc"),
            pup: runtime.join("pup"),
            python: runtime.join("ddgate-python"),
            node: runtime.join("ddgate-preload.cjs"),
            ruby: runtime.join("ddgate_preload.rb"),
            launchers: runtime.join("ddgate-bin"),
        }
    }

    /// Writes all but the launchers. `warn` hears what people should be told once.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, contents: &Contents<'_>, warn: &dyn Fn(&str)) -> Result<(), FilesError> {
        let trust = trust::files(
            contents.parent,
            Some(contents.home),
            contents.session_ca,
            &self.bundle,
            contents.gate,
        );
        for warning in &trust.warnings {
            warn(&warning.to_string());
        }
        for directory in [&self.pup, &self.python] {
            let made = std::fs::create_dir_all(directory);
            made.map_err(|source| failed(directory, source))?;
        }
        let preloads = preloads(contents.gate.port(), contents.domains);
        for (path, bytes) in [
            (&self.ca, trust.ca.as_slice()),
            (&self.bundle, &trust.bundle),
            (&self.jks, &trust.jks),
            (&self.wgetrc, &trust.wgetrc),
            (
                &self.python.join("sitecustomize.py"),
                preloads.python.as_bytes(),
            ),
            (&self.node, preloads.node.as_bytes()),
            (&self.ruby, preloads.ruby.as_bytes()),
        ] {
            std::fs::write(path, bytes).map_err(|source| failed(path, source))?;
        }
        Ok(())
    }

    /// Writes the launchers, which give `variables` back to programs that were started without.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn write_launchers(
        &self,
        parent: &[(OsString, OsString)],
        variables: &[(OsString, OsString)],
        warn: &dyn Fn(&str),
    ) -> Result<(), FilesError> {
        match launcher::write(&self.launchers, parent, variables) {
            Ok(()) => Ok(()),
            Err(launcher::WriteError::Unsuited(why)) => {
                warn(&why);
                Ok(())
            }
            Err(launcher::WriteError::Failed { path, source }) => Err(failed(&path, source)),
        }
    }
}

fn failed(path: &Path, source: io::Error) -> FilesError {
    FilesError {
        path: path.to_owned(),
        source,
    }
}
