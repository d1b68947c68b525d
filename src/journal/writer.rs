//! The one thread that writes.
//!
//! Everybody hands records to a queue; the thread drains it, writes once, syncs once, and wakes
//! all who wait. While the disk is busy the next batch grows by itself: whoever waits, waits for no
//! timer. What nobody waits for lingers a moment, to leave with what follows. Invariant: after a
//! failed write or sync nothing is ever acknowledged again in this process; retrying a sync lies
//! (the kernel drops the dirty pages of a failed one).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::append::{Admission, Answer, Append, Done, Message, When};
use super::catalog::Manifest;
use super::cells::Cell;
use super::content;
use super::crypt::Cipher;
use super::feeder::Feeder;
use super::frame::{Frame, Kind};
use super::handle::Refused;
use super::index::Stretch;
use super::seal::{CHECKPOINT_FRAME_BYTES, Sealer};
use super::wal::WalWriter;
use crate::limits;
use crate::record::SessionId;
use crate::record::event::Durability;

/// What the thread owns. Nothing here is shared.
pub(super) struct WriterThread {
    wal: WalWriter,
    dir: PathBuf,
    feeder: Feeder,
    manifest: Manifest,
    sealer: Sealer,
    /// Seals contents; none in a session without recipients.
    cipher: Option<Cipher>,
    durability: Durability,
    poisoned: Option<String>,
    /// Written but not synced.
    dirty: bool,
    /// Held for the life of the session: tells others that it is live.
    _lock: std::fs::File,
}

impl WriterThread {
    pub(super) fn new(
        wal: WalWriter,
        dir: &Path,
        session: SessionId,
        started: DateTime<Utc>,
        sealer: Sealer,
        durability: Durability,
        lock: std::fs::File,
    ) -> Self {
        Self {
            wal,
            dir: dir.to_owned(),
            feeder: Feeder::start(dir),
            manifest: Manifest::begin(session, started),
            sealer,
            cipher: None,
            durability,
            poisoned: None,
            dirty: false,
            _lock: lock,
        }
    }

    /// Seals contents from here on.
    pub(super) fn sealing(self, cipher: Option<Cipher>) -> Self {
        Self { cipher, ..self }
    }

    pub(super) fn first(&mut self, mut open: Append) -> Result<(), Refused> {
        let mut stretch = Stretch::default();
        self.put(&mut open, &mut stretch)?;
        self.put_checkpoint(&mut stretch)?;
        self.write_and_sync()?;
        self.feeder.feed(stretch);
        Ok(())
    }

    pub(super) fn run(mut self, messages: &mpsc::Receiver<Message>) -> Manifest {
        loop {
            let first = if self.dirty {
                match messages.recv_timeout(limits::JOURNAL_SYNC_LAG) {
                    Ok(message) => message,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        self.sync_lagging();
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => return self.finish(None),
                }
            } else {
                match messages.recv() {
                    Ok(message) => message,
                    Err(mpsc::RecvError) => return self.finish(None),
                }
            };
            if let Some(close) = self.batch(first, messages) {
                return self.finish(Some(close));
            }
        }
    }

    /// Writes one batch; returns the closing append if it was met.
    fn batch(&mut self, first: Message, messages: &mpsc::Receiver<Message>) -> Option<Append> {
        let mut queue = VecDeque::from([first]);
        let mut replies = Vec::new();
        let mut stretch = Stretch::default();
        let mut close = None;
        let mut needs_sync = false;
        let linger_until = Instant::now() + limits::JOURNAL_LINGER;
        while let Some(message) = queue.pop_front() {
            let mut append = match message {
                Message::Append(append) => append,
                Message::Close(append) => {
                    close = Some(*append);
                    break;
                }
            };
            let reply = append.reply.take();
            let put = self.put(&mut append, &mut stretch);
            append.budget = None;
            if append.leaf.is_none() {
                // Content is what memory would be full of.
                append.frames.clear();
            }
            match put {
                Ok(leaf) => {
                    needs_sync |= matches!(reply, Some((When::Durable, _)));
                    replies.extend(reply.map(|(_, reply)| (reply, leaf, append)));
                }
                Err(refused) => {
                    if let Some((_, reply)) = reply {
                        // The caller may have gone away; its refusal then concerns nobody.
                        let _ = reply.send(Done::new(Err(refused), None));
                    }
                }
            }
            if self.wal.buffered_bytes() < limits::JOURNAL_BATCH_BYTES_MAX {
                let next = messages.try_recv().ok();
                queue.extend(next.or_else(|| {
                    // An answer's record spares itself a signature, and the next request the wait
                    // for it, by leaving with that request.
                    let lingers = replies.is_empty() && self.wal.buffered_bytes() > 0;
                    let left = linger_until.checked_duration_since(Instant::now());
                    messages.recv_timeout(left.filter(|_| lingers)?).ok()
                }));
            }
        }
        let outcome = self.put_checkpoint(&mut stretch).and_then(|()| {
            if needs_sync {
                self.write_and_sync()
            } else {
                self.write()
            }
        });
        for (reply, leaf, remains) in replies {
            let answer = outcome.clone().map(|()| leaf);
            let _ = reply.send(Done::new(answer, Some(remains)));
        }
        if outcome.is_ok() {
            self.feeder.feed(stretch);
            if let Err(e) = self.wal.roll_if_full() {
                self.poison(&e);
            }
        }
        close
    }

    /// Encodes one append into the batch.
    fn put(&mut self, append: &mut Append, stretch: &mut Stretch) -> Answer {
        if let Some(first) = &self.poisoned {
            return Err(Refused::Poisoned(first.clone()));
        }
        let mut leaf = None;
        if let Some(draft) = &mut append.leaf {
            draft.leaf.i = self.sealer.size();
            let payload = std::mem::take(&mut draft.line).at(draft.leaf.i);
            if payload.len() > limits::LEAF_BYTES_MAX {
                return Err(Refused::TooLarge {
                    bytes: payload.len(),
                    max: limits::LEAF_BYTES_MAX,
                });
            }
            let openings = append.frames.iter_mut();
            openings.for_each(|frame| content::belong_to(frame, draft.leaf.i));
            append.frames.push(Frame {
                kind: Kind::Leaf,
                flags: 0,
                header: Vec::new(),
                payload,
            });
            leaf = Some(&draft.leaf);
        }
        self.seal(&mut append.frames)?;
        let frames = &append.frames;
        let bytes = frames.iter().map(Frame::stored_bytes).sum::<usize>() as u64
            + u64::from(leaf.is_some()) * CHECKPOINT_FRAME_BYTES;
        if let Err(e) = self.wal.admit(bytes) {
            let fits = match append.admission {
                Admission::Refusable => false,
                Admission::Conclusion => self.wal.has_room(bytes + limits::JOURNAL_CLOSE_BYTES),
                Admission::Close => self.wal.has_room(bytes),
            };
            if !fits {
                return Err(Refused::DiskFull {
                    path: self.wal.path(),
                    why: e.to_string(),
                });
            }
        }
        for frame in frames {
            if frame.kind == Kind::Leaf {
                self.sealer.take(&frame.payload);
            }
            let at = self.wal.put(frame);
            match (frame.kind, leaf) {
                (Kind::Leaf, Some(leaf)) => stretch.add(self.wal.end(), Cell::of_leaf(leaf, at)),
                (Kind::Content, _) => stretch.add(self.wal.end(), Cell::of_content(frame, at)),
                _ => stretch.add(self.wal.end(), []),
            }
        }
        Ok(leaf.map(|leaf| {
            self.manifest.observe(leaf);
            leaf.i
        }))
    }

    /// Seals what holds content. Every frame passes here, and from here on nothing is unsealed.
    fn seal(&self, frames: &mut Vec<Frame>) -> Result<(), Refused> {
        let Some(cipher) = &self.cipher else {
            return Ok(());
        };
        let open = std::mem::take(frames).into_iter();
        *frames = open
            .map(|it| content::seal(it, cipher))
            .collect::<io::Result<_>>()
            .map_err(|e| Refused::Poisoned(e.to_string()))?;
        Ok(())
    }

    /// Signs the leaves of the batch; its space was taken with each of them.
    fn put_checkpoint(&mut self, stretch: &mut Stretch) -> Result<(), Refused> {
        let signed = self.sealer.checkpoint();
        if let Some(frame) = signed.map_err(|e| self.poison(&io::Error::other(e)))? {
            self.wal.put(&frame);
            stretch.add(self.wal.end(), []);
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Refused> {
        if self.wal.buffered_bytes() == 0 {
            return Ok(());
        }
        self.dirty = true;
        self.wal.write().map_err(|e| self.poison(&e))
    }

    fn write_and_sync(&mut self) -> Result<(), Refused> {
        self.write()?;
        if let Some(first) = &self.poisoned {
            return Err(Refused::Poisoned(first.clone()));
        }
        self.sync()
    }

    fn sync_lagging(&mut self) {
        // What goes wrong is kept, and every record from here on is refused with it.
        let _ = self.sync();
    }

    fn sync(&mut self) -> Result<(), Refused> {
        self.dirty = false;
        match self.durability {
            Durability::Process => {}
            Durability::PowerLoss => self.wal.sync().map_err(|e| self.poison(&e))?,
        }
        self.sealer.synced();
        Ok(())
    }

    fn poison(&mut self, error: &io::Error) -> Refused {
        let why = format!("{}: {error}", self.wal.path().display());
        let first = self.poisoned.get_or_insert(why);
        Refused::Poisoned(first.clone())
    }

    /// Writes the close leaf and the seal, then the index and the manifest.
    fn finish(mut self, close: Option<Append>) -> Manifest {
        let mut stretch = Stretch::default();
        if let Some(mut close) = close
            && self.put(&mut close, &mut stretch).is_ok()
            && self.put_checkpoint(&mut stretch).is_ok()
            && self.write().is_ok()
        {
            match self.wal.seal() {
                Ok(()) => self.feeder.feed(stretch),
                Err(e) => {
                    self.poison(&e);
                }
            }
        }
        self.manifest.bytes = self.wal.written_bytes();
        self.manifest.trouble = self.poisoned.take();
        // The index goes to the disk while the manifest does.
        self.feeder.end();
        if self.manifest.ended.is_some() && self.manifest.trouble.is_none() {
            // Without it the session is still whole: `sessions` then counts by reading it.
            if let Err(e) = self.manifest.save(&self.dir) {
                self.manifest.trouble = Some(e.to_string());
            }
        }
        self.feeder.finish();
        self.manifest
    }
}
