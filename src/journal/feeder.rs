//! Feeds sled behind the write-ahead file. Never in the way of a record: what sled does not take
//! in time is left for the next open.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::db::Db;
use super::index::{Stretch, index_path};
use crate::limits;

/// Feeds sled behind the write-ahead file, on its own thread. What is to be learnt gathers for a while before
/// sled gets them: it then works seldom and in bulk, not beside every call, and a session's start
/// is over before it is opened at all.
pub(super) struct Feeder {
    trough: Arc<Trough>,
    thread: Option<JoinHandle<()>>,
}

/// Where it waits for sled.
#[derive(Default)]
struct Trough {
    waiting: Mutex<Waiting>,
    /// Something came into an empty trough, or nothing more will come.
    stirred: Condvar,
}

#[derive(Default)]
struct Waiting {
    stretch: Stretch,
    /// Nothing more will come.
    ended: bool,
}

impl Trough {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whatever a panic left here is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.waiting().ended = true;
        self.stirred.notify_one();
    }

    /// Waits for something and then for more of it; none when the last was taken.
    fn take(&self) -> Option<Stretch> {
        let is_empty = |waiting: &mut Waiting| waiting.stretch.is_empty() && !waiting.ended;
        let some = self.stirred.wait_while(self.waiting(), is_empty);
        let some = some.unwrap_or_else(PoisonError::into_inner);
        let is_open = |waiting: &mut Waiting| !waiting.ended;
        let more = self
            .stirred
            .wait_timeout_while(some, limits::INDEX_LAG, is_open);
        let (mut more, _) = more.unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut more.stretch)).filter(|stretch| !stretch.is_empty())
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

    /// Passes on what a batch wrote. Never waits: when sled is too slow it is left behind.
    pub(super) fn feed(&mut self, batch: Stretch) {
        let mut waiting = self.trough.waiting();
        if waiting.ended || batch.is_empty() {
            return;
        }
        let was_empty = waiting.stretch.is_empty();
        waiting.stretch.append(batch);
        if waiting.stretch.held_bytes() > limits::INDEX_QUEUE_BYTES_MAX {
            drop(waiting);
            return self.trough.end();
        }
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
    while let Some(stretch) = trough.take() {
        let db = match &opened {
            Some(db) => db,
            None => match Db::open(path) {
                Ok(db) => opened.insert(db),
                Err(_) => return,
            },
        };
        if stretch.apply_to(db).is_err() {
            return;
        }
    }
    // Whatever fails here is made good by catching up at the next open.
    let _ = opened.map(|db| db.flush());
}
