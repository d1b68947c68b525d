//! What can be wrong with the settings: always which file, line, column and key, or which
//! variable or flag.
//!
//! Invariant: no message repeats a secret value.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A place in a configuration file. Line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl Place {
    /// Turns a byte offset of `text` into a place.
    pub(super) fn at(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Where a refused value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whence {
    /// In a configuration file, under this key.
    File(Place, &'static str),
    /// In this environment variable.
    Environment(&'static str),
    /// In this flag, written as typed (`--site`).
    Flag(&'static str),
}

impl fmt::Display for Whence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place, key) => write!(f, "{place}: `{key}`"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system names no home directory, so no directory can be chosen.
    #[error("no home directory")]
    NoHome,
    /// The working directory cannot be told.
    #[error("cannot tell the working directory")]
    WorkingDirectory(#[source] io::Error),
    /// A configuration file is there, or was named, and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A configuration file is longer than [`crate::limits::CONFIG_BYTES_MAX`].
    #[error("{}: larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        bytes_max: u64,
    },
    /// A configuration file is not UTF-8, which TOML requires.
    #[error("{place}: not UTF-8")]
    NotUtf8 {
        /// The first byte that is wrong.
        place: Place,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser said.
        message: String,
    },
    /// A key nobody knows.
    #[error("{place}: unknown key `{key}`{}", did_you_mean(*suggestion))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The whole key, for example `identity.isuer`.
        key: String,
        /// The known key that is closest, if one is close.
        suggestion: Option<&'static str>,
    },
    /// A value of the wrong type.
    #[error("{place}: `{key}` must be {expected}, not {found}")]
    WrongType {
        /// Where.
        place: Place,
        /// The whole key.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A value of the right type that means nothing.
    #[error("{whence}: {problem}")]
    Value {
        /// Where.
        whence: Whence,
        /// What is wrong with it.
        problem: String,
    },
    /// A project file holds something that only the user may decide.
    #[error(
        "{place}: `{key}` cannot be set by a project: move it to {}",
        user_file.display()
    )]
    NotForProjects {
        /// Where.
        place: Place,
        /// The whole key.
        key: &'static str,
        /// Where it may stand.
        user_file: PathBuf,
    },
    /// A project file names a site that is not Datadog's own: keys would go there.
    #[error(
        "{place}: `datadog.site`: a project may only choose one of Datadog's own sites, \
         not `{site}`: move it to {}",
        user_file.display()
    )]
    ForeignSite {
        /// Where.
        place: Place,
        /// The site.
        site: String,
        /// Where it may stand.
        user_file: PathBuf,
    },
    /// A directory ddgate needs cannot be made.
    #[error("cannot create directory {}", path.display())]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that is not a directory stands where one is needed.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
}

fn did_you_mean(suggestion: Option<&'static str>) -> String {
    suggestion.map_or_else(String::new, |key| format!(" (did you mean `{key}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a\nüb = 1\n";
        let place = |offset| {
            let place = Place::at(Path::new("f"), text, offset);
            (place.line, place.column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(2), (2, 1));
        assert_eq!(place(4), (2, 2));
        assert_eq!(place(text.len()), (3, 1));
        assert_eq!(place(999), (3, 1));
    }
}
