//! The few things about disks that differ between systems: space taken ahead, directories synced,
//! private modes. Everything else is std.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Extends `file` with allocated, zeroed blocks up to `end` bytes. Where the system or the file
/// system cannot, the file is extended without taking space, and disk-full shows at the write.
///
/// # Errors
/// The disk is full, or the file cannot be extended.
pub(super) fn allocate(file: &File, from: u64, end: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            return match fallocate(file, FallocateFlags::empty(), from, end - from) {
                Ok(()) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(end),
                Err(errno) => Err(errno.into()),
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = from;
        file.set_len(end)
    }
}

/// Makes the entries of a directory durable: a file that is synced in a directory that is not
/// may be gone after a power cut.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        File::open(path)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// Creates a directory, and those above it, that only this user can enter. What was created is
/// durable: its entry in the directory above is synced.
///
/// # Errors
/// It cannot be created or synced.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        create_private_dir(above)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(path) {
        // Two runs may create the same directory at once.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    above.map_or(Ok(()), sync_dir)
}

/// Creates a new file that only this user can read.
///
/// # Errors
/// It exists, or cannot be created.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Replaces a small private file in one step that survives a power cut.
///
/// # Errors
/// Any of write, sync, rename fails; the old content is then still there.
pub(super) fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = create_private_file(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}
