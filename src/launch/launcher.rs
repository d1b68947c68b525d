//! Launchers: what stands in front of `node`, `python3` and others in the child's `PATH`.
//!
//! An agent may start its MCP servers with a handful of variables, and `PATH` is always among them.
//! A launcher is a file with ddgate as its interpreter and the gate's variables in it. It sets
//! those that are missing and becomes the program that comes next in `PATH`: same process, same
//! arguments, so that signals and exit code are the program's own. A variable that is there stays.
//!
//! Invariant: a launcher never runs a launcher, not even another session's, so it cannot loop; no
//! real secret stands in one. It is no shell script, because Debian's shell drops variables whose
//! names it cannot say (exported shell functions). Not on Windows.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Why launchers could not be written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// They do without: says why, and what that means.
    Unsuited(String),
    /// A file cannot be written.
    Failed {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

#[cfg(unix)]
pub use on_unix::launched;
#[cfg(unix)]
pub(super) use on_unix::write;

/// Nothing is a launcher here.
#[cfg(not(unix))]
pub fn launched(_words: impl Iterator<Item = OsString>) -> Option<super::LaunchError> {
    None
}

/// Makes the directory that stands in `PATH`, and leaves it empty.
#[cfg(not(unix))]
pub(super) fn write(
    directory: &Path,
    _parent: &[(OsString, OsString)],
    _variables: &[(OsString, OsString)],
) -> Result<(), WriteError> {
    std::fs::create_dir_all(directory).map_err(|source| WriteError::Failed {
        path: directory.to_owned(),
        source,
    })
}

#[cfg(unix)]
mod on_unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::super::child::{LaunchError, find};
    use super::super::env::value;
    use super::{OsString, Path, PathBuf, WriteError, io};
    use crate::limits::{INTERPRETER_BYTES_MAX, LAUNCHER_BYTES_MAX};

    /// What runs other people's scripts, and so may have clients in it.
    const PROGRAMS: &[&str] = &[
        "node", "npx", "npm", "pnpm", "yarn", "bun", "bunx", "deno", "python", "python3", "uv",
        "uvx", "pipx", "ruby", "bundle", "java",
    ];
    /// Launchers are told by the name of their directory.
    const DIRECTORY: &[u8] = b"ddgate-bin";
    /// How ddgate is told that it is a launcher's interpreter.
    const WORD: &str = "__launch";

    /// Becomes the program, if ddgate was started as a launcher's interpreter: `words` are those of
    /// its own command line.
    ///
    /// Returns nothing if it was not, and why the program cannot be run if it cannot.
    pub fn launched(mut words: impl Iterator<Item = OsString>) -> Option<LaunchError> {
        // The kernel says: interpreter, the one word behind it, the script, the arguments.
        let _interpreter = words.next();
        if words.next()?.as_bytes() != WORD.as_bytes() {
            return None;
        }
        let launcher = PathBuf::from(words.next()?);
        let name = launcher.file_name()?.to_owned();
        let path = without_launchers(std::env::var_os("PATH").as_deref());
        let program = match find(&name, path.as_deref()) {
            Ok(program) => program,
            Err(error) => return Some(error),
        };
        let arguments: Vec<_> = words.collect();
        let prepare = |program: &Path| {
            let mut command = Command::new(program);
            // A launcher that cannot be read restores nothing, and is no reason to stop.
            for (name, value) in variables(&launcher).unwrap_or_default() {
                if std::env::var_os(&name).is_none() {
                    command.env(name, value);
                }
            }
            command
        };
        let mut error = prepare(&program).args(&arguments).exec();
        if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) {
            // A script without `#!`: for the shell, as POSIX says of `execvp`.
            error = prepare(Path::new("/bin/sh"))
                .arg(&program)
                .args(&arguments)
                .exec();
        }
        Some(LaunchError::from_start(name, error))
    }

    /// Writes a launcher for each program that is in the parent's `PATH`.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub(in super::super) fn write(
        directory: &Path,
        parent: &[(OsString, OsString)],
        variables: &[(OsString, OsString)],
    ) -> Result<(), WriteError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::Failed { path, source }
        };
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        let Some(path) = without_launchers(value(parent, "PATH")) else {
            return Ok(());
        };
        let text = launcher(variables)?;
        for name in PROGRAMS {
            if find(OsStr::new(name), Some(&path)).is_err() {
                continue;
            }
            let file = directory.join(name);
            std::fs::write(&file, &text).map_err(failed(&file))?;
            let executable = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&file, executable).map_err(failed(&file))?;
        }
        Ok(())
    }

    /// The text of every launcher: the interpreter's line, then `NAME=VALUE`, each ended by NUL.
    fn launcher(variables: &[(OsString, OsString)]) -> Result<Vec<u8>, WriteError> {
        let ddgate = std::env::current_exe()
            .map_err(|e| unsuited(&format!("where ddgate is cannot be learnt: {e}")))?;
        let interpreter = ddgate.as_os_str().as_bytes();
        if interpreter.len() > INTERPRETER_BYTES_MAX
            || interpreter.iter().any(u8::is_ascii_whitespace)
        {
            return Err(unsuited(
                "ddgate's own path is too long, or has spaces, for the `#!` line of a script",
            ));
        }
        let mut text = [b"#!", interpreter, b" ", WORD.as_bytes(), b"\n"].concat();
        for (name, value) in variables {
            text.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        Ok(text)
    }

    fn unsuited(why: &str) -> WriteError {
        WriteError::Unsuited(format!(
            "programs that an agent starts without its environment are not led to the gate: {why}"
        ))
    }

    fn variables(launcher: &Path) -> io::Result<Vec<(OsString, OsString)>> {
        use std::io::Read;
        let mut text = Vec::new();
        std::fs::File::open(launcher)?
            .take(LAUNCHER_BYTES_MAX)
            .read_to_end(&mut text)?;
        let list = text.iter().position(|byte| *byte == b'\n');
        let list = list.map_or(&[][..], |at| &text[at + 1..]);
        let pair = |entry: &[u8]| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Some((owned(&entry[..at]), owned(&entry[at + 1..])))
        };
        Ok(list.split(|byte| *byte == 0).filter_map(pair).collect())
    }

    /// A `PATH` without the directories of launchers, whosever they are.
    fn without_launchers(path: Option<&OsStr>) -> Option<OsString> {
        let directories = path?.as_bytes().split(|byte| *byte == b':');
        let others = directories.filter(|directory| {
            let name = directory
                .rsplit(|byte| *byte == b'/')
                .find(|name| !name.is_empty());
            name != Some(DIRECTORY)
        });
        Some(OsString::from_vec(others.collect::<Vec<_>>().join(&b':')))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_path_loses_launchers_and_nothing_else() {
            let without = |path: &str| without_launchers(Some(OsStr::new(path)));
            assert_eq!(
                without("/s/ddgate-bin:/a::/ddgate-bin/b:/t/ddgate-bin/:./c").unwrap(),
                "/a::/ddgate-bin/b:./c"
            );
            assert_eq!(without_launchers(None), None);
        }

        #[test]
        fn what_is_written_is_read() {
            let directory = tempfile::tempdir().unwrap();
            let pairs: Vec<_> = [("A", "1=2\n3"), ("B", "")]
                .map(|(name, value)| (OsString::from(name), OsString::from(value)))
                .to_vec();
            let parent = [("PATH".into(), std::env::var_os("PATH").unwrap())];
            let bin = directory.path().join("ddgate-bin");
            write(&bin, &parent, &pairs).unwrap();
            let written: Vec<_> = std::fs::read_dir(&bin).unwrap().collect();
            assert!(!written.is_empty(), "Python is needed for other tests");
            for launcher in written {
                assert_eq!(variables(&launcher.unwrap().path()).unwrap(), pairs);
            }
        }
    }
}
