//! Secrets in a file, for those who ask for it: mode 0600 in a directory of mode 0700.
//!
//! The file is replaced as a whole (new file, synced, renamed), never written in place, and is
//! refused when anybody else could have read it. Its content is JSON; nothing is encrypted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{StoreError, take_lock};
use crate::limits::SECRET_FILE_BYTES_MAX;
use crate::record::Secret;

#[derive(Debug)]
pub(super) struct FileStore {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    secrets: BTreeMap<String, String>,
}

const VERSION: u32 = 1;

impl Drop for Content {
    fn drop(&mut self) {
        self.secrets.values_mut().for_each(Zeroize::zeroize);
    }
}

impl FileStore {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join("secrets.json"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Secret<String>>, StoreError> {
        let mut content = self.read()?;
        Ok(content.secrets.remove(name).map(Secret::new))
    }

    pub(super) fn set(&self, name: &str, value: &Secret<String>) -> Result<(), StoreError> {
        private_directory(self.directory())?;
        let _lock = take_lock(&self.path.with_extension("lock"))?;
        let mut content = self.read()?;
        let old = content
            .secrets
            .insert(name.to_owned(), value.expose().clone());
        drop(old.map(Zeroizing::new));
        self.write(&content)
    }

    pub(super) fn delete(&self, name: &str) -> Result<bool, StoreError> {
        if !self.directory().exists() {
            return Ok(false);
        }
        let _lock = take_lock(&self.path.with_extension("lock"))?;
        let mut content = self.read()?;
        let Some(old) = content.secrets.remove(name) else {
            return Ok(false);
        };
        drop(Zeroizing::new(old));
        self.write(&content)?;
        Ok(true)
    }

    /// Shows that the file can be read and a new one written.
    pub(super) fn prove(&self) -> Result<(), StoreError> {
        private_directory(self.directory())?;
        self.read()?;
        let (file, path) = self.create()?;
        drop(file);
        fs::remove_file(&path).map_err(|source| failed("remove", &path, source))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn read(&self) -> Result<Content, StoreError> {
        let empty = Content {
            version: VERSION,
            secrets: BTreeMap::new(),
        };
        let file = match system::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            result => result.map_err(|source| failed("open", &self.path, source))?,
        };
        self.refuse_if_exposed(&file)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(SECRET_FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| failed("read", &self.path, source))?;
        let damaged = |why| StoreError::Damaged {
            path: self.path.clone(),
            why,
        };
        if bytes.len() as u64 > SECRET_FILE_BYTES_MAX {
            return Err(damaged("it is too large"));
        }
        // The parser's own message could quote a secret.
        let content = serde_json::from_slice::<Content>(&bytes)
            .map_err(|_| damaged("it is not what ddgate writes"))?;
        if content.version != VERSION {
            return Err(damaged("it was written by another version of ddgate"));
        }
        Ok(content)
    }

    fn refuse_if_exposed(&self, file: &File) -> Result<(), StoreError> {
        let about = file.metadata();
        let about = about.map_err(|source| failed("examine", &self.path, source))?;
        match system::exposure(&about) {
            None => Ok(()),
            Some(why) => Err(StoreError::Exposed {
                path: self.path.clone(),
                why,
            }),
        }
    }

    fn write(&self, content: &Content) -> Result<(), StoreError> {
        let mut bytes = Zeroizing::new(Vec::new());
        serde_json::to_writer(&mut *bytes, content)
            .map_err(|error| failed("write", &self.path, error.into()))?;
        let (file, path) = self.create()?;
        let written = fill(file, &bytes).and_then(|()| fs::rename(&path, &self.path));
        if let Err(source) = written {
            // The reason is what matters; a leftover is private like the file itself.
            drop(fs::remove_file(&path));
            return Err(failed("write", &self.path, source));
        }
        system::sync_directory(self.directory())
            .map_err(|source| failed("sync", self.directory(), source))
    }

    /// Makes a new, private, empty file beside the real one.
    fn create(&self) -> Result<(File, PathBuf), StoreError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| failed("name", &self.path, io::Error::other(error.to_string())))?;
        let suffix = format!("{:016x}.new", u64::from_ne_bytes(random));
        let path = self.path.with_extension(suffix);
        match system::create(&path) {
            Ok(file) => Ok((file, path)),
            Err(source) => Err(failed("create", &path, source)),
        }
    }
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Makes the directory if there is none, and refuses one in which others may write.
pub(super) fn private_directory(path: &Path) -> Result<(), StoreError> {
    system::create_directory(path).map_err(|source| failed("create", path, source))?;
    let about = fs::metadata(path).map_err(|source| failed("examine", path, source))?;
    match system::directory_exposure(&about) {
        None => Ok(()),
        Some(why) => Err(StoreError::Exposed {
            path: path.to_owned(),
            why,
        }),
    }
}

#[cfg(unix)]
mod system {
    use super::{File, Path, fs, io};
    use rustix::fs::{Mode, OFlags};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    pub(super) fn open(path: &Path) -> io::Result<File> {
        // NONBLOCK: a pipe put in its place must not hang us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(File::from(rustix::fs::open(path, flags, mode)?))
    }

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Who else can read the file.
    pub(super) fn exposure(about: &fs::Metadata) -> Option<String> {
        if !about.is_file() {
            return Some("it is not a regular file".to_owned());
        }
        if about.mode() & 0o077 != 0 {
            return Some(format!(
                "others have access (mode {:04o}); if that was a mistake, chmod 600 and sign in \
                 again",
                about.mode() & 0o7777
            ));
        }
        owner(about)
    }

    /// Who else can put a file of their own there.
    pub(super) fn directory_exposure(about: &fs::Metadata) -> Option<String> {
        if about.mode() & 0o022 != 0 {
            return Some(format!(
                "others may write there (mode {:04o})",
                about.mode() & 0o7777
            ));
        }
        owner(about)
    }

    fn owner(about: &fs::Metadata) -> Option<String> {
        let user = rustix::process::geteuid().as_raw();
        (about.uid() != user).then(|| format!("it belongs to user {}, not {user}", about.uid()))
    }
}

#[cfg(windows)]
mod system {
    use super::{File, Path, fs, io};

    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        File::options().write(true).create_new(true).open(path)
    }

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    /// NTFS journals the rename; a directory cannot be synced.
    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }

    /// The profile directory's access list already keeps others out.
    pub(super) fn exposure(about: &fs::Metadata) -> Option<String> {
        (!about.is_file()).then(|| "it is not a regular file".to_owned())
    }

    pub(super) fn directory_exposure(_: &fs::Metadata) -> Option<String> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn mode(path: &Path) -> Option<u32> {
        Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777)
    }

    #[test]
    fn the_file_is_private_and_nothing_is_left_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("deep/private");
        let store = FileStore::new(&directory);
        store.prove().unwrap();
        store.set("a", &secret("one")).unwrap();
        assert_eq!(mode(&directory), Some(0o700));
        assert_eq!(mode(store.path()), Some(0o600));
        let mut names: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["secrets.json", "secrets.lock"]);
    }

    #[test]
    fn what_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let store = FileStore::new(home.path());
        store.set("a", &secret("hunter2")).unwrap();
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = store.get("a").unwrap_err();
        assert!(error.to_string().contains("0640"), "{error}");
        assert!(store.set("a", &secret("x")).is_err());
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = store.set("a", &secret("x")).unwrap_err();
        assert!(matches!(error, StoreError::Exposed { .. }), "{error:?}");
    }

    #[test]
    fn links_pipes_and_damage_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let store = FileStore::new(home.path());
        let elsewhere = home.path().join("elsewhere");
        fs::write(&elsewhere, "{}").unwrap();
        symlink(&elsewhere, store.path()).unwrap();
        assert!(store.get("a").is_err());
        fs::remove_file(store.path()).unwrap();
        for damage in ["", "{", r#"{"version":2,"secrets":{}}"#, r#"{"hunter2":1}"#] {
            fs::write(store.path(), damage).unwrap();
            fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
            let error = store.get("a").unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn writers_do_not_lose_each_other() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let store = FileStore::new(home.path());
                scope.spawn(move || store.set(&n.to_string(), &secret("x")).unwrap());
            }
        });
        let store = FileStore::new(home.path());
        for n in 0..8 {
            assert!(store.get(&n.to_string()).unwrap().is_some(), "{n}");
        }
    }
}
