//! A directory that appears whole or not at all: written under another name beside its place,
//! readable for this user only, made durable, then renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::journal::{create_private_dir, create_private_file, sync_dir};

/// A directory under construction; what was begun is removed when it is not finished.
pub(super) struct Tree {
    target: PathBuf,
    root: PathBuf,
    files: u64,
    bytes: u64,
    finished: bool,
}

impl Tree {
    /// Begins the directory that will be `target`.
    ///
    /// # Errors
    /// Something is there already, or nothing can be written beside it.
    pub(super) fn begin(target: &Path) -> Result<Self, ExportError> {
        let is_free = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) => match e.kind() {
                io::ErrorKind::NotFound => true,
                io::ErrorKind::NotADirectory => false,
                _ => return Err(ExportError::io("read", target)(e)),
            },
        };
        if !is_free {
            return Err(ExportError::Occupied(target.to_owned()));
        }
        let Some(name) = target.file_name() else {
            return Err(ExportError::Occupied(target.to_owned()));
        };
        let mut fresh = std::ffi::OsString::from(".");
        fresh.push(name);
        fresh.push(format!(".{}.part", std::process::id()));
        let root = target.with_file_name(fresh);
        // Nobody else has this process's number: it is what one of ours left behind that was killed.
        match fs::remove_dir_all(&root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(ExportError::io("remove", &root)(e));
            }
            _ => {}
        }
        create_private_dir(&root).map_err(ExportError::io("create", &root))?;
        Ok(Self {
            target: target.to_owned(),
            root,
            files: 0,
            bytes: 0,
            finished: false,
        })
    }

    /// Files so far.
    pub(super) const fn files(&self) -> u64 {
        self.files
    }

    /// Bytes in them, as far as they were written whole or counted with [`Tree::count`].
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts bytes written to a file of [`Tree::create`].
    pub(super) const fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Where a file of the directory is while it is written.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Creates a file, and the directories above it.
    pub(super) fn create(&mut self, path: &str) -> Result<File, ExportError> {
        let path = self.path(path);
        if let Some(above) = path.parent() {
            create_private_dir(above).map_err(ExportError::io("create", above))?;
        }
        self.files += 1;
        create_private_file(&path).map_err(ExportError::io("create", &path))
    }

    /// Writes a whole file.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let mut file = self.create(path)?;
        self.bytes += bytes.len() as u64;
        let at = self.path(path);
        file.write_all(bytes).map_err(ExportError::io("write", &at))
    }

    /// Writes a whole file, unless it is there already.
    pub(super) fn write_once(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        if self.path(path).exists() {
            return Ok(());
        }
        self.write(path, bytes)
    }

    /// Takes a file back.
    pub(super) fn discard(&mut self, path: &str) -> Result<(), ExportError> {
        self.files -= 1;
        let path = self.path(path);
        fs::remove_file(&path).map_err(ExportError::io("remove", &path))
    }

    /// Gives a finished file its name; false when a file of that name is there already, which then
    /// is kept: names say what is in them.
    pub(super) fn settle(&mut self, from: &str, to: &str) -> Result<bool, ExportError> {
        let to = self.path(to);
        if to.exists() {
            return self.discard(from).map(|()| false);
        }
        let from = self.path(from);
        fs::rename(&from, &to)
            .map(|()| true)
            .map_err(ExportError::io("create", &to))
    }

    /// Makes everything durable and puts it in its place.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        sync_below(&self.root)?;
        // An empty directory gives way; anything else that came meanwhile does not.
        match fs::remove_dir(&self.target) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(ExportError::Occupied(self.target.clone()));
            }
            _ => {}
        }
        fs::rename(&self.root, &self.target).map_err(ExportError::io("create", &self.target))?;
        self.finished = true;
        let above = self.target.parent();
        let above = above.filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        sync_dir(above).map_err(ExportError::io("sync", above))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed stays under a name that says it is unfinished.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn sync_below(directory: &Path) -> Result<(), ExportError> {
    let read = |e| ExportError::io("read", directory)(e);
    for entry in fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        if entry.file_type().map_err(read)?.is_dir() {
            sync_below(&path)?;
        } else {
            // Opened to be written: elsewhere than on Unix only such files can be synced.
            let file = File::options().append(true).open(&path);
            file.and_then(|file| file.sync_all())
                .map_err(ExportError::io("sync", &path))?;
        }
    }
    sync_dir(directory).map_err(ExportError::io("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_appears_whole_and_only_where_nothing_is() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        fs::create_dir(&target).unwrap();
        let mut tree = Tree::begin(&target).unwrap();
        tree.write("a/b", b"text").unwrap();
        assert!(!target.join("a").exists());
        tree.finish().unwrap();
        assert_eq!(fs::read(target.join("a/b")).unwrap(), b"text");
        assert!(matches!(
            Tree::begin(&target),
            Err(ExportError::Occupied(_))
        ));
        assert!(matches!(
            Tree::begin(&target.join("a/b")),
            Err(ExportError::Occupied(_))
        ));
        drop(Tree::begin(&home.path().join("given-up")).unwrap());
        let names = fs::read_dir(home.path()).unwrap().count();
        assert_eq!(names, 1, "nothing is left of what was given up");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let mut tree = Tree::begin(&target).unwrap();
        tree.write("a/b", b"text").unwrap();
        tree.finish().unwrap();
        let mode = |path: &str| {
            let data = fs::metadata(target.join(path)).unwrap();
            data.permissions().mode() & 0o777
        };
        assert_eq!([mode(""), mode("a"), mode("a/b")], [0o700, 0o700, 0o600]);
    }
}
