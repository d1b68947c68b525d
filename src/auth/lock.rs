//! One ddgate at a time: a lock file between processes.
//!
//! Held around a refresh (a rotating refresh token used twice ends the sign-in) and around a
//! rewrite of the secret file. The kernel releases it with the process, so a crash leaves no
//! stale lock. The file itself stays: removing it would let two holders lock different files.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a held lock is asked for again.
const PAUSE: Duration = Duration::from_millis(20);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held open: closing it is the release")] File);

impl Lock {
    /// Takes the lock, waiting for other holders up to `limit`. Blocks the thread.
    ///
    /// # Errors
    /// The file cannot be opened, or somebody holds the lock longer (`TimedOut`).
    pub(super) fn take(path: &Path, limit: Duration) -> io::Result<Self> {
        let began = Instant::now();
        loop {
            if let Some(file) = system::try_lock(path)? {
                return Ok(Self(file));
            }
            if began.elapsed() >= limit {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("another ddgate has held it for {limit:?}"),
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(unix)]
mod system {
    use super::{File, Path, io};
    use rustix::fs::{FlockOperation, Mode, OFlags};
    use rustix::io::Errno;

    pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(File::from(file))),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{File, Path, io};
    use std::os::windows::fs::OpenOptionsExt;

    /// ERROR_SHARING_VIOLATION: somebody else has it open.
    const HELD: i32 = 32;

    pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
        let mut options = File::options();
        // An open that shares with nobody is the lock.
        options
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(0);
        match options.open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.raw_os_error() == Some(HELD) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::take(&path, Duration::ZERO).unwrap();
        let refused = Lock::take(&path, Duration::from_millis(50)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        let other = path.clone();
        let second = std::thread::spawn(move || Lock::take(&other, Duration::from_secs(10)));
        drop(first);
        second.join().unwrap().unwrap();
    }
}
