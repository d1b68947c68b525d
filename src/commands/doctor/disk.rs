//! Whether a record can be kept where it is to be kept: the directory is made as a run would make
//! it, and a file is written, synced and removed there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{DATA_DIRECTORY, failed};
use crate::config::create_private;
use crate::limits::{DATA_FREE_BYTES_MIN, JOURNAL_AHEAD_BYTES};
use crate::ui::doctor::Finding;
use crate::ui::words::bytes;

pub(super) fn check(directory: &Path) -> Finding {
    let shown = directory.display();
    if let Err(error) = create_private(directory) {
        return failed(DATA_DIRECTORY, &error.into());
    }
    if let Err(error) = try_out(directory) {
        return Finding::fail(
            DATA_DIRECTORY,
            format!("{shown}: {error}"),
            "choose another place with --data-dir (`data_dir`), or make room and rights there",
        );
    }
    let free = free_bytes(directory);
    let room = free.map_or_else(String::new, |free| format!(", {} free", bytes(free)));
    match free {
        Some(free) if free < 2 * JOURNAL_AHEAD_BYTES => {
            return Finding::fail(
                DATA_DIRECTORY,
                format!("{shown}: full{room}; calls that cannot be recorded are refused"),
                "make room there, or choose another place with --data-dir",
            );
        }
        Some(free) if free < DATA_FREE_BYTES_MIN => {
            return Finding::warn(
                DATA_DIRECTORY,
                format!("{shown}: nearly full{room}"),
                "make room there: calls that cannot be recorded are refused",
            );
        }
        _ => {}
    }
    if is_open_to_others(directory) {
        return Finding::warn(
            DATA_DIRECTORY,
            format!("{shown} can be read by other users{room}"),
            format!("chmod 700 {shown}"),
        );
    }
    Finding::ok(
        DATA_DIRECTORY,
        format!("{shown}: writable, private, syncs{room}"),
    )
}

/// Writes, syncs and removes a file; the directory is synced as well, as for a new session.
fn try_out(directory: &Path) -> io::Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = directory.join(format!(".doctor-{:016x}", u64::from_ne_bytes(random)));
    let mut file = File::create_new(&path)?;
    let tried = file
        .write_all(b"ddgate doctor\n")
        .and_then(|()| file.sync_all());
    drop(file);
    let removed = fs::remove_file(&path);
    tried?;
    removed?;
    sync_directory(directory)
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_directory: &Path) -> Option<u64> {
    None
}

#[cfg(unix)]
fn is_open_to_others(directory: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    directory
        .metadata()
        .is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_directory: &Path) -> bool {
    false
}
