//! The least proxy's record: one file, appended to by one thread; one write and one sync for
//! whatever has gathered meanwhile (group commit). No space taken ahead, no `O_DIRECT`.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ddgate::limits::JOURNAL_QUEUE_BYTES_MAX;

/// Which call a piece belongs to, and which side of it: without it nobody could read the record.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    pub(crate) call: u64,
    pub(crate) is_answer: bool,
}

impl Tag {
    const BYTES: usize = 13;

    /// What stands before a piece of `bytes` in the file.
    fn before(self, bytes: usize) -> [u8; Self::BYTES] {
        let mut prefix = [0; Self::BYTES];
        prefix[..8].copy_from_slice(&self.call.to_le_bytes());
        prefix[8] = self.is_answer.into();
        // A piece is no larger than the buffer it was read into.
        prefix[9..].copy_from_slice(&(bytes as u32).to_le_bytes());
        prefix
    }
}

/// What waits for the writer, and who waits for it.
#[derive(Default)]
struct Waiting {
    pieces: Vec<(Tag, Bytes)>,
    bytes: usize,
    /// Pieces ever put, and how many of them are on stable storage.
    put: u64,
    synced: u64,
    has_failed: bool,
    for_room: Vec<Waker>,
    for_sync: Vec<(u64, Waker)>,
}

/// The end that calls put their pieces into. The writer lives as long as the process.
pub(crate) struct Record {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl Record {
    pub(crate) fn create(path: &Path) -> io::Result<Arc<Self>> {
        let mut file = File::create(path)?;
        let record = Arc::new(Self {
            waiting: Mutex::default(),
            more: Condvar::new(),
        });
        let shared = Arc::clone(&record);
        std::thread::Builder::new().spawn(move || {
            while let Ok(upto) = shared.write(&mut file) {
                shared.tell(upto);
            }
            shared.fail();
        })?;
        Ok(record)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues pieces as soon as there is room for them; the number of the last, for
    /// [`Self::poll_synced`]. What is queued at once is written at once.
    pub(crate) fn poll_put(
        &self,
        cx: &Context<'_>,
        tag: Tag,
        pieces: &[&Bytes],
    ) -> Poll<io::Result<u64>> {
        let mut waiting = self.lock();
        if waiting.has_failed {
            return Poll::Ready(Err(lost()));
        }
        let bytes = waiting.bytes + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if bytes > JOURNAL_QUEUE_BYTES_MAX && !waiting.pieces.is_empty() {
            waiting.for_room.push(cx.waker().clone());
            return Poll::Pending;
        }
        if waiting.pieces.is_empty() {
            self.more.notify_one();
        }
        waiting.bytes = bytes;
        waiting.put += pieces.len() as u64;
        let tagged = pieces.iter().map(|piece| (tag, Bytes::clone(piece)));
        waiting.pieces.extend(tagged);
        Poll::Ready(Ok(waiting.put))
    }

    /// Ready once that piece, and all before it, are on stable storage.
    pub(crate) fn poll_synced(&self, cx: &Context<'_>, piece: u64) -> Poll<io::Result<()>> {
        let mut waiting = self.lock();
        if waiting.synced >= piece {
            return Poll::Ready(Ok(()));
        }
        if waiting.has_failed {
            return Poll::Ready(Err(lost()));
        }
        waiting.for_sync.push((piece, cx.waker().clone()));
        Poll::Pending
    }

    /// Waits for pieces, and has all there are on stable storage; the number of the last one.
    fn write(&self, file: &mut File) -> io::Result<u64> {
        let mut waiting = self.lock();
        while waiting.pieces.is_empty() {
            let woken = self.more.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let pieces = mem::take(&mut waiting.pieces);
        waiting.bytes = 0;
        let upto = waiting.put;
        let for_room = mem::take(&mut waiting.for_room);
        drop(waiting);
        for_room.into_iter().for_each(Waker::wake);

        let prefixes: Vec<_> = pieces
            .iter()
            .map(|(tag, piece)| tag.before(piece.len()))
            .collect();
        let mut slices: Vec<_> = prefixes
            .iter()
            .zip(&pieces)
            .flat_map(|(prefix, (_, piece))| [IoSlice::new(prefix), IoSlice::new(piece)])
            .collect();
        let mut left = slices.as_mut_slice();
        // The system takes 1024 slices at once.
        while !left.is_empty() {
            let written = file.write_vectored(left)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
        file.sync_data()?;
        Ok(upto)
    }

    fn tell(&self, upto: u64) {
        let mut waiting = self.lock();
        waiting.synced = upto;
        let (served, left) = mem::take(&mut waiting.for_sync)
            .into_iter()
            .partition(|(piece, _)| *piece <= upto);
        waiting.for_sync = left;
        drop(waiting);
        served.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Nobody waits for a writer that is gone.
    fn fail(&self) {
        let mut waiting = self.lock();
        waiting.has_failed = true;
        let (for_room, for_sync) = (
            mem::take(&mut waiting.for_room),
            mem::take(&mut waiting.for_sync),
        );
        drop(waiting);
        let for_sync = for_sync.into_iter().map(|(_, waker)| waker);
        for_room.into_iter().chain(for_sync).for_each(Waker::wake);
    }
}

fn lost() -> io::Error {
    io::Error::other("the record cannot be written")
}
