//! sled, and nothing but sled: the only file that names it.
//!
//! Version 0.34.7. Its traps, and what is done about each:
//! - `flush()` is no `fdatasync`: the write-ahead file acknowledges, never this; [`Db::flush`]
//!   adds the missing sync so that a closed session's index is whole.
//! - rows over 1/80 of a segment may leave its synced log: rows hold positions ([`super::cells`]).
//! - it panics on damage: every call is caught, and a damaged index is rebuilt from the file.
//! - a stale `snap.*.generating` makes open fail for ever: removed before opening.
//! - dropping it frees its lock late: opening retries for a moment.
//! - after a power cut it may come back with the last row of a batch and without earlier ones: a
//!   mark beside it says that nothing was applied since it was last made durable, and an index
//!   without that mark is built anew.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{JournalError, disk};
use crate::limits;

const SEGMENT_BYTES: usize = 64 << 10;
const OPEN_TRIES: u32 = 25;
const OPEN_RETRY: Duration = Duration::from_millis(8);

/// A key and its value; no value deletes the key.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// One session's sled database.
pub(super) struct Db {
    db: sled::Db,
    path: PathBuf,
    /// Whether the mark is there.
    is_whole: AtomicBool,
}

/// The mark, below the database's directory. It names the version of the rows: an index of
/// another version is built anew.
fn mark(path: &Path) -> PathBuf {
    path.join("whole-2")
}

impl Db {
    /// Opens or creates the database.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        remove_stale_snapshots(path);
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(limits::INDEX_CACHE_BYTES)
            .flush_every_ms(None)
            .segment_size(SEGMENT_BYTES)
            .mode(sled::Mode::LowSpace);
        for attempt in 1.. {
            match guarded(path, || config.open()) {
                Ok(db) => {
                    return Ok(Self {
                        db,
                        path: path.to_owned(),
                        is_whole: mark(path).exists().into(),
                    });
                }
                Err(e) if attempt >= OPEN_TRIES || !is_locked(&e) => return Err(e),
                Err(_) => std::thread::sleep(OPEN_RETRY),
            }
        }
        unreachable!("the loop above only ends by returning")
    }

    /// Whether all that was ever applied has been made durable.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Relaxed)
    }

    /// Applies rows in one batch, atomic unless the power goes before the next [`Self::flush`].
    pub(super) fn apply(&self, rows: Vec<Row>) -> Result<(), JournalError> {
        if self.is_whole.swap(false, Ordering::Relaxed) {
            // Gone for good before the first row is on its way.
            let gone = match fs::remove_file(mark(&self.path)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
                _ => disk::sync_dir(&self.path),
            };
            gone.map_err(|e| JournalError::Index {
                path: self.path.clone(),
                why: e.to_string(),
            })?;
        }
        guarded(&self.path, || {
            let mut batch = sled::Batch::default();
            for (key, value) in rows {
                batch.insert(key, value);
            }
            self.db.apply_batch(batch)
        })
    }

    /// The value of one key.
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        guarded(&self.path, || {
            self.db.get(key).map(|value| value.map(|v| v.to_vec()))
        })
    }

    /// Up to `most` rows with keys from `from` on that begin with `prefix`.
    pub(super) fn page(
        &self,
        prefix: &[u8],
        from: &[u8],
        most: usize,
    ) -> Result<Vec<Row>, JournalError> {
        guarded(&self.path, || {
            self.db
                .range(from.to_vec()..)
                .take(most)
                .take_while(|row| {
                    row.as_ref()
                        .map_or(true, |(key, _)| key.starts_with(prefix))
                })
                .map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())))
                .collect()
        })
    }

    /// Makes the database durable.
    pub(super) fn flush(&self) -> Result<(), JournalError> {
        guarded(&self.path, || self.db.flush())?;
        let file = self.path.join("db");
        fs::File::open(&file)
            .and_then(|file| file.sync_data())
            .map_err(JournalError::io("sync", file))?;
        if !self.is_whole.swap(true, Ordering::Relaxed) {
            // If the power takes the mark, the index is built anew for nothing.
            let mark = mark(&self.path);
            fs::File::create(&mark).map_err(JournalError::io("create", mark))?;
        }
        Ok(())
    }
}

/// Throws a database away; it is rebuilt from the write-ahead file.
pub(super) fn discard(path: &Path) -> Result<(), JournalError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::io("remove", path)(e))
        }
        _ => Ok(()),
    }
}

/// Whether another process has the database open, so that nothing is wrong with it.
pub(super) fn is_locked(error: &JournalError) -> bool {
    matches!(error, JournalError::Index { why, .. } if why.contains("lock"))
}

fn remove_stale_snapshots(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            // If it stays, open fails and the index is rebuilt: nothing is lost either way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn guarded<T>(path: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, JournalError> {
    let index = |why: String| JournalError::Index {
        path: path.to_owned(),
        why,
    };
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| index("it is damaged".into()))?
        .map_err(|e| index(e.to_string()))
}
