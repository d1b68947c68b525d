//! What everybody holds: the way to hand records to the one thread that writes ([`super::writer`]).
//!
//! Invariant: a [`Permit`] comes out only after the request it is for is on stable storage.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use chrono::Utc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::JournalError;
use super::append::{Admission, Answer, Append, Done, Draft, Message, When, openings, unsent};
use super::catalog::{Manifest, SessionDir};
use super::chain;
use super::content::Attachment;
use super::crypt::{Cipher, Recipients};
use super::frame::{Frame, Kind};
use super::permit::Permit;
use super::seal::Sealer;
use super::wal::WalWriter;
use super::writer::WriterThread;
use crate::limits;
use crate::record::event::{CallRequest, SessionClose, SessionOpen};
use crate::record::{CallNumber, Event};

/// Why the journal did not take a record. Every one means: nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// No space for the record and its reserve.
    #[error("no space for the record in {path}: {why}")]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// An earlier write or sync failed; nothing is trusted since.
    #[error("the record can no longer be written: {0}")]
    Poisoned(String),
    /// The session is closing.
    #[error("the session is closed")]
    Closed,
    /// A leaf over the limit of the format.
    #[error("the record of this call would be {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// What it would be.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// Resolves when what it was given for is written, or on stable storage, whichever was asked for;
/// or when it was refused.
#[must_use]
pub struct Ticket {
    done: oneshot::Receiver<Done>,
    /// What this stands behind: refused with it.
    before: VecDeque<Ticket>,
    answered: Option<Result<(), Refused>>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

impl Ticket {
    /// A ticket, and what answers it.
    pub(super) fn awaited() -> (oneshot::Sender<Done>, Self) {
        let (reply, done) = oneshot::channel();
        (
            reply,
            Self {
                done,
                before: VecDeque::new(),
                answered: None,
            },
        )
    }

    /// Waits for the writer.
    ///
    /// # Errors
    /// The record was refused.
    pub async fn durable(mut self) -> Result<Option<u64>, Refused> {
        self.answer().await
    }

    /// The same, without giving up the ticket: may be cancelled, and asked again.
    ///
    /// # Errors
    /// The record was refused.
    pub async fn ready(&mut self) -> Result<(), Refused> {
        if self.answered.is_none() {
            self.answered = Some(self.answer().await.map(drop));
        }
        self.answered.clone().unwrap_or(Ok(()))
    }

    async fn answer(&mut self) -> Answer {
        self.reach_before().await?;
        let done = (&mut self.done).await;
        done.map_or(Err(Refused::Closed), |done| done.answer)
    }

    /// The same ticket, refused also if one of `before` is.
    pub(super) fn behind(mut self, before: impl IntoIterator<Item = Self>) -> Self {
        self.before.extend(before);
        self
    }

    async fn reach_before(&mut self) -> Result<(), Refused> {
        while let Some(before) = self.before.front_mut() {
            let done = (&mut before.done).await;
            let reached = done.map_or(Err(Refused::Closed), |done| done.answer.map(drop));
            self.before.pop_front();
            reached?;
        }
        Ok(())
    }
}

/// Records between two such pauses: once or twice in a batch of many. More often is no faster, and
/// where other programs use every processor each pause may cost one of their slices.
const GIVES_WAY_EVERY: u64 = 16;

/// Where calls are recorded. Shared by every task of a session.
#[derive(Debug)]
pub struct Journal {
    messages: mpsc::Sender<Message>,
    budget: Arc<Semaphore>,
    calls: AtomicU64,
    contents: AtomicU64,
    long_bodies: Arc<AtomicUsize>,
    /// Records and pieces so far.
    handed: AtomicU64,
    opened: Instant,
    thread: Mutex<Option<JoinHandle<Manifest>>>,
}

impl Journal {
    /// Creates the session's directory and file, and makes its first leaf durable. Its key and its
    /// place in the chain of sessions are made here, and written into `open`.
    ///
    /// # Errors
    /// The directory cannot be created or written. Nothing was recorded then.
    pub fn create(
        dir: &SessionDir,
        open: SessionOpen,
        attachments: Vec<Attachment>,
    ) -> Result<Self, JournalError> {
        Self::create_for(dir, open, attachments, &Recipients::default())
    }

    /// The same, with contents that only `recipients` can read, if there are any.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn create_for(
        dir: &SessionDir,
        open: SessionOpen,
        attachments: Vec<Attachment>,
        recipients: &Recipients,
    ) -> Result<Self, JournalError> {
        Self::create_bound(dir, open, attachments, recipients, |_| None)
    }

    /// The same; `bind` gets the first leaf with the session's key in it, and may add what ties
    /// that to somebody.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn create_bound(
        dir: &SessionDir,
        mut open: SessionOpen,
        mut attachments: Vec<Attachment>,
        recipients: &Recipients,
        bind: impl FnOnce(&mut SessionOpen) -> Option<Attachment>,
    ) -> Result<Self, JournalError> {
        let path = dir.path();
        let session = open.session;
        let sealer = Sealer::new(&open.origin)
            .map_err(|e| JournalError::io("sign", path)(io::Error::other(e)))?;
        open.vkey = Some(sealer.verifier().to_string());
        attachments.extend(bind(&mut open));
        let (cipher, keys) = match recipients.is_empty() {
            true => (None, Vec::new()),
            false => {
                let (cipher, header) = Cipher::for_session(recipients)
                    .map_err(JournalError::io("make the key of", path))?;
                let keys = Frame {
                    kind: Kind::Keys,
                    flags: 0,
                    header: Vec::new(),
                    payload: header,
                };
                (Some(cipher), vec![keys])
            }
        };
        // The directory first: a number whose session never opened can then be told from one whose
        // session is gone.
        let lock = dir.create_and_lock()?;
        if let Some(sessions) = path.parent() {
            open.chain = Some(chain::join(sessions, session, &open.origin)?);
        }
        let started = Utc::now();
        let wal = WalWriter::create(path, session).map_err(JournalError::io("write", path))?;
        let mut thread =
            WriterThread::new(wal, path, session, started, sealer, open.durability, lock)
                .sealing(cipher);
        // The keys right behind the segment's head, before everything that needs them.
        let frames = openings(keys, attachments);
        Draft::new(Event::SessionOpen(open), started, 0)
            .and_then(|leaf| thread.first(Append::new(frames, Some(leaf), Admission::Refusable)))
            .map_err(|refused| match refused {
                Refused::DiskFull { why, .. } | Refused::Poisoned(why) => io::Error::other(why),
                other => io::Error::other(other.to_string()),
            })
            .map_err(JournalError::io("write", path))?;
        let (messages, theirs) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ddgate-journal".into())
            .spawn(move || thread.run(&theirs))
            .map_err(JournalError::io("start the writer of", path))?;
        Ok(Self {
            messages,
            budget: Arc::new(Semaphore::new(limits::JOURNAL_QUEUE_BYTES_MAX)),
            calls: AtomicU64::new(0),
            contents: AtomicU64::new(0),
            long_bodies: Arc::default(),
            handed: AtomicU64::new(0),
            opened: Instant::now(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The number of the next call.
    pub fn next_call(&self) -> CallNumber {
        CallNumber(self.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How many long bodies are being recorded.
    pub(super) const fn long_bodies(&self) -> &Arc<AtomicUsize> {
        &self.long_bodies
    }

    pub(super) fn next_content(&self) -> u64 {
        self.contents.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Puts a request on stable storage. The permit is the right to send it.
    ///
    /// # Errors
    /// The record was refused: the request must not be sent.
    pub async fn intend(
        &self,
        request: CallRequest,
        attachments: Vec<Attachment>,
    ) -> Result<Permit, Refused> {
        let call = request.call;
        let event = Event::CallRequest(request);
        let leaf = self.leaf(event, attachments, Admission::Refusable).await?;
        Ok(Permit::new(call, leaf.unwrap_or_default()))
    }

    /// The same for a request with leaves of its own behind it (the tools it calls): the permit
    /// comes when all of them are on stable storage.
    ///
    /// # Errors
    /// One of them was refused: the request must not be sent. If the request itself is on record by
    /// then, so is that it was not sent.
    pub async fn intend_with(
        &self,
        request: CallRequest,
        attachments: Vec<Attachment>,
        more: Vec<(Event, Vec<Attachment>)>,
    ) -> Result<Permit, Refused> {
        let call = request.call;
        let (event, when) = (Event::CallRequest(request), When::Durable);
        let first = self.queue(event, attachments, Admission::Refusable, when);
        let first = first.await?;
        let mut behind = Vec::new();
        for (event, attachments) in more {
            let ticket = self.queue(event, attachments, Admission::Refusable, when);
            behind.push(ticket.await?);
        }
        let leaf = first.durable().await?.unwrap_or_default();
        for ticket in behind {
            if let Err(refused) = ticket.durable().await {
                self.conclude(unsent(call, leaf, &refused), Vec::new())
                    .await?;
                return Err(refused);
            }
        }
        Ok(Permit::new(call, leaf))
    }

    /// Records something about a call already admitted and waits until it is durable.
    ///
    /// # Errors
    /// The record was refused.
    pub async fn note_durably(
        &self,
        event: Event,
        attachments: Vec<Attachment>,
    ) -> Result<(), Refused> {
        self.leaf(event, attachments, Admission::Conclusion)
            .await
            .map(drop)
    }

    /// Records something new that has no permit (a tool call over a pipe) and waits until it is
    /// durable: only then may it go on.
    ///
    /// # Errors
    /// The record was refused.
    pub async fn admit(&self, event: Event, attachments: Vec<Attachment>) -> Result<(), Refused> {
        self.leaf(event, attachments, Admission::Refusable)
            .await
            .map(drop)
    }

    /// Records how something ended. Does not wait: it is written with the next request or within
    /// [`limits::JOURNAL_LINGER`], and synced with it or within [`limits::JOURNAL_SYNC_LAG`]; a
    /// crash in between leaves "in doubt".
    ///
    /// # Errors
    /// The session is closed.
    pub async fn conclude(
        &self,
        event: Event,
        attachments: Vec<Attachment>,
    ) -> Result<(), Refused> {
        self.leave(event, attachments, Admission::Conclusion).await
    }

    /// Records something that belongs to no admitted call (a refusal, a tunnel) and waits until it
    /// is written; it is synced as in [`Self::conclude`].
    ///
    /// # Errors
    /// The record was refused.
    pub async fn note(&self, event: Event, attachments: Vec<Attachment>) -> Result<(), Refused> {
        self.queue(event, attachments, Admission::Refusable, When::Written)
            .await?
            .durable()
            .await
            .map(drop)
    }

    /// Records something that calls will refer to. Does not wait: it is written before whatever is
    /// recorded after it.
    ///
    /// # Errors
    /// The session is closed.
    pub async fn mention(&self, event: Event, attachments: Vec<Attachment>) -> Result<(), Refused> {
        self.leave(event, attachments, Admission::Refusable).await
    }

    async fn leaf(
        &self,
        event: Event,
        attachments: Vec<Attachment>,
        admission: Admission,
    ) -> Answer {
        self.queue(event, attachments, admission, When::Durable)
            .await?
            .durable()
            .await
    }

    /// Queues a leaf and what belongs to it.
    async fn queue(
        &self,
        event: Event,
        attachments: Vec<Attachment>,
        admission: Admission,
        when: When,
    ) -> Result<Ticket, Refused> {
        let (mut append, bytes) = self.append_of(event, attachments, admission)?;
        let (reply, ticket) = Ticket::awaited();
        append.reply = Some((when, reply));
        self.hand_over(append, bytes).await?;
        Ok(ticket)
    }

    /// Queues a leaf nobody waits for: it may linger until somebody does, or for
    /// [`limits::JOURNAL_LINGER`].
    async fn leave(
        &self,
        event: Event,
        attachments: Vec<Attachment>,
        admission: Admission,
    ) -> Result<(), Refused> {
        let (append, bytes) = self.append_of(event, attachments, admission)?;
        self.hand_over(append, bytes).await
    }

    /// What is queued for a leaf, and its bytes, about.
    fn append_of(
        &self,
        event: Event,
        attachments: Vec<Attachment>,
        admission: Admission,
    ) -> Result<(Append, usize), Refused> {
        let bytes = attachments.iter().map(Attachment::queued_bytes).sum();
        let draft = self.draft(event)?;
        let frames = openings(Vec::new(), attachments);
        Ok((Append::new(frames, Some(draft), admission), bytes))
    }

    /// Queues content in room that was waited for. `reply` comes when it, and all before it, is
    /// written or durable.
    pub(super) fn append(
        &self,
        frames: Vec<Frame>,
        when: When,
        reply: oneshot::Sender<Done>,
        mut room: OwnedSemaphorePermit,
    ) -> Result<(), Refused> {
        let bytes: usize = frames.iter().map(Frame::stored_bytes).sum();
        // Packed, it takes less.
        drop(room.split(room.num_permits().saturating_sub(bytes.max(1))));
        let mut append = Append::new(frames, None, Admission::Refusable);
        append.reply = Some((when, reply));
        self.put(append, room)
    }

    async fn hand_over(&self, append: Append, bytes: usize) -> Result<(), Refused> {
        let room = self.room(bytes).await?;
        self.put(append, room)
    }

    /// Waits for room in the queue.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refused> {
        let share = bytes.clamp(1, limits::JOURNAL_QUEUE_BYTES_MAX) as u32;
        let room = Arc::clone(&self.budget).acquire_many_owned(share).await;
        room.map_err(|_| Refused::Closed)
    }

    fn put(&self, mut append: Append, room: OwnedSemaphorePermit) -> Result<(), Refused> {
        append.budget = Some(room);
        self.messages
            .send(Message::Append(Box::new(append)))
            .map_err(|_| Refused::Closed)?;
        self.give_way();
        Ok(())
    }

    /// Lets the writer have a processor. When all of them are busy making records and the disk has
    /// done its part, a scheduler that lets everybody finish their slice (milliseconds) keeps the
    /// writer waiting longer than the disk did. Where nobody waits this costs next to nothing.
    fn give_way(&self) {
        let before = self.handed.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(GIVES_WAY_EVERY) {
            std::thread::yield_now();
        }
    }

    /// Writes the last leaf, seals the file and ends the thread. Blocks for the last sync.
    ///
    /// Later appends are refused. Returns `None` when the session was already closed.
    pub fn close(&self, mut close: SessionClose) -> Option<Manifest> {
        close.calls = self.calls.load(Ordering::Relaxed);
        let leaf = self.draft(Event::SessionClose(close)).ok();
        let last = Append::new(Vec::new(), leaf, Admission::Close);
        // A send that fails means the thread is gone, and `join` below says how it ended.
        let _ = self.messages.send(Message::Close(Box::new(last)));
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        thread.join().ok()
    }

    fn draft(&self, event: Event) -> Result<Draft, Refused> {
        let mono = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Draft::new(event, Utc::now(), mono)
    }
}
