//! Feeds sled behind the write-ahead file. Never in the way of a record: what sled does not take
//! in time is left for the next open.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::JournalError;
use super::db::Db;
use super::index::{CATCH_UP_ROWS, Indexed, applied_row, index_path, rows_of};
use super::wal::Position;
use crate::limits;

/// Feeds sled behind the write-ahead file, on its own thread. Frames gather for a while before
/// sled gets them: it then works seldom and in bulk, not beside every call, and a session's start
/// is over before it is opened at all.
pub(super) struct Feeder {
    trough: Arc<Trough>,
    thread: Option<JoinHandle<()>>,
}

/// Where frames wait for sled.
#[derive(Default)]
struct Trough {
    waiting: Mutex<Waiting>,
    /// Something came into an empty trough, or nothing more will come.
    stirred: Condvar,
}

#[derive(Default)]
struct Waiting {
    frames: Vec<Indexed>,
    bytes: usize,
    /// Nothing more will come.
    ended: bool,
}

impl Trough {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whatever a panic left here is frames, each whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.waiting().ended = true;
        self.stirred.notify_one();
    }

    /// Waits for frames and then for more of them; none when the last were taken.
    fn take(&self) -> Option<Vec<Indexed>> {
        let is_empty = |waiting: &mut Waiting| waiting.frames.is_empty() && !waiting.ended;
        let some = self.stirred.wait_while(self.waiting(), is_empty);
        let some = some.unwrap_or_else(PoisonError::into_inner);
        let is_open = |waiting: &mut Waiting| !waiting.ended;
        let more = self
            .stirred
            .wait_timeout_while(some, limits::INDEX_LAG, is_open);
        let (mut more, _) = more.unwrap_or_else(PoisonError::into_inner);
        more.bytes = 0;
        Some(std::mem::take(&mut more.frames)).filter(|frames| !frames.is_empty())
    }
}

impl Feeder {
    /// Starts feeding `dir/index`. If sled cannot be had the session goes on without: the index
    /// is rebuilt when somebody reads.
    pub(super) fn start(dir: &Path) -> Self {
        let trough = Arc::new(Trough::default());
        let path = index_path(dir);
        let theirs = Arc::clone(&trough);
        let thread = std::thread::Builder::new()
            .name("ddgate-index".into())
            .spawn(move || {
                feed(&path, &theirs);
                // Nobody takes any more: what comes is left for the next open.
                theirs.end();
            })
            .ok();
        if thread.is_none() {
            trough.end();
        }
        Self { trough, thread }
    }

    /// Passes frames on. Never waits: when sled is too slow it is left behind.
    pub(super) fn feed(&mut self, batch: Vec<Indexed>) {
        let mut waiting = self.trough.waiting();
        if waiting.ended || batch.is_empty() {
            return;
        }
        waiting.bytes += batch.iter().map(Indexed::held_bytes).sum::<usize>();
        if waiting.bytes > limits::INDEX_QUEUE_BYTES_MAX {
            drop(waiting);
            return self.trough.end();
        }
        let was_empty = waiting.frames.is_empty();
        waiting.frames.extend(batch);
        drop(waiting);
        if was_empty {
            self.trough.stirred.notify_one();
        }
    }

    /// Says that nothing more will come.
    pub(super) fn end(&self) {
        self.trough.end();
    }

    /// Waits until what was fed is durable in sled.
    pub(super) fn finish(mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // A panic there is sled's; the index is then rebuilt at the next open.
            let _ = thread.join();
        }
    }
}

fn feed(path: &Path, trough: &Trough) {
    let mut opened = None;
    while let Some(frames) = trough.take() {
        let db = match &opened {
            Some(db) => db,
            None => match Db::open(path) {
                Ok(db) => opened.insert(db),
                Err(_) => return,
            },
        };
        if apply(db, &frames).is_err() {
            return;
        }
    }
    // Whatever fails here is made good by catching up at the next open.
    let _ = opened.map(|db| db.flush());
}

fn apply(db: &Db, frames: &[Indexed]) -> Result<(), JournalError> {
    let mut rows = Vec::new();
    for (n, indexed) in frames.iter().enumerate() {
        rows_of(indexed, &mut rows);
        if rows.len() >= CATCH_UP_ROWS || n + 1 == frames.len() {
            let next = Position {
                offset: indexed.end,
                ..indexed.at
            };
            rows.push(applied_row(next, indexed.seq + 1));
            db.apply(std::mem::take(&mut rows))?;
        }
    }
    Ok(())
}
