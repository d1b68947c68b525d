//! A body on its way into the file, piece by piece, in bounded memory.
//!
//! Packing takes longer than anything else that is done to a long body. One that comes alone has its
//! pieces packed by a task of its own, on another processor, while the next ones come; where several
//! come at once, they keep all processors busy as it is. Invariants: pieces reach the file in their
//! order, and before the leaf that commits to them; whatever is committed to is handed over, also
//! where somebody loses patience in the middle (everything here may be cancelled).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::append::{Done, When};
use super::content::{self, Attachment, AttachmentBody, INLINE_BYTES_MAX, Salt};
use super::frame::{Frame, Kind};
use super::handle::{Journal, Refused, Ticket};
use super::pack;
use crate::limits;
use crate::redact::Redacted;

/// Commits to a body of any length while it passes, in bounded memory.
#[derive(Debug)]
pub struct ContentStream {
    field: &'static str,
    salt: Salt,
    mac: Hmac<Sha256>,
    total_bytes: u64,
    pending: Vec<u8>,
    stored: Option<u64>,
    pieces: u32,
    /// Pieces on their way to the file: packing need not wait for writing.
    under_way: VecDeque<Ticket>,
    /// Why a piece is missing: then there is no content to commit to.
    lost: Option<Refused>,
    /// Set once there was a whole piece.
    long: Option<LongBody>,
    /// None where there is no processor to spare.
    packer: Option<Packer>,
}

impl ContentStream {
    /// Begins the content of `field`.
    #[must_use]
    pub fn new(field: &'static str) -> Self {
        let (salt, mac) = content::fresh_mac(field);
        Self {
            field,
            salt,
            mac,
            total_bytes: 0,
            pending: Vec::new(),
            stored: None,
            pieces: 0,
            under_way: VecDeque::new(),
            lost: None,
            long: None,
            packer: None,
        }
    }

    /// Takes the next redacted bytes. Waits while the journal's queue is full.
    ///
    /// # Errors
    /// The journal refuses: nothing more of this body may be relied on.
    pub async fn push(
        &mut self,
        journal: &Arc<Journal>,
        bytes: Redacted<Bytes>,
    ) -> Result<(), Refused> {
        let bytes = bytes.into_inner();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = limits::BODY_PIECE_BYTES_MAX - self.pending.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.take(now);
            rest = later;
            if self.pending.len() == limits::BODY_PIECE_BYTES_MAX {
                if self.long.is_none() {
                    let (long, packer) = LongBody::begin(journal);
                    (self.long, self.packer) = (Some(long), packer);
                }
                self.hand_over(journal).await?;
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.mac.update(bytes);
        self.total_bytes += bytes.len() as u64;
        if self.stored.is_some() && self.pending.capacity() == 0 {
            // There will be a whole piece, most likely.
            self.pending.reserve_exact(limits::BODY_PIECE_BYTES_MAX);
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Hands what is pending to the journal, behind the pieces before it.
    async fn hand_over(&mut self, journal: &Arc<Journal>) -> Result<(), Refused> {
        // One more where there is one being packed.
        let most = 1 + usize::from(self.packer.is_some());
        self.written(most - 1).await?;
        let ticket = self.submit(journal, When::Written).await?;
        self.under_way.push_back(ticket);
        Ok(())
    }

    /// Hands everything taken so far to the journal; the ticket resolves when it is durable.
    ///
    /// # Errors
    /// The journal refuses.
    pub async fn flush(&mut self, journal: &Arc<Journal>) -> Result<Ticket, Refused> {
        let ticket = self.submit(journal, When::Durable).await?;
        Ok(ticket.behind(self.under_way.drain(..)))
    }

    /// Hands everything taken so far to the journal and waits until it is written, not for the
    /// disk: for streams whose next byte may be long in coming.
    ///
    /// # Errors
    /// The journal refuses.
    pub async fn settle(&mut self, journal: &Arc<Journal>) -> Result<(), Refused> {
        if !self.pending.is_empty() {
            self.hand_over(journal).await?;
        }
        self.written(0).await
    }

    /// Waits until so many pieces, at most, are under way.
    async fn written(&mut self, most: usize) -> Result<(), Refused> {
        while self.under_way.len() > most
            && let Some(first) = self.under_way.front_mut()
        {
            let written = first.ready().await;
            self.under_way.pop_front();
            self.lost = self.lost.take().or(written.err());
        }
        self.lost.clone().map_or(Ok(()), Err)
    }

    /// Ends the content.
    ///
    /// # Errors
    /// The journal refuses.
    pub async fn finish(mut self, journal: &Arc<Journal>) -> Result<Attachment, Refused> {
        let body = match self.stored {
            None if self.pending.len() <= INLINE_BYTES_MAX => {
                content::inline(&std::mem::take(&mut self.pending))
            }
            _ => {
                let last = self.piece(journal);
                let last = last.map(Piece::packed);
                self.written(0).await?;
                if let Some(packer) = self.packer.take() {
                    packer.end().await;
                }
                AttachmentBody::Stored(self.stored.unwrap_or_default(), last)
            }
        };
        Ok(Attachment {
            field: self.field,
            salt: self.salt,
            body,
            commitment: content::finish(self.mac, self.total_bytes),
        })
    }

    /// Has what is pending packed and queued.
    async fn submit(&mut self, journal: &Arc<Journal>, when: When) -> Result<Ticket, Refused> {
        let (reply, ticket) = Ticket::awaited();
        // Waits first, and takes the piece when nothing can come between.
        if let Some(packer) = &self.packer {
            let place = packer.jobs.clone().reserve_owned().await;
            let place = place.map_err(|_| Refused::Closed)?;
            let piece = self.piece(journal);
            place.send(Job { piece, when, reply });
        } else {
            let room = journal.room(self.pending.len()).await?;
            let frames = self.piece(journal).map(Piece::packed);
            journal.append(frames.into_iter().collect(), when, reply, room)?;
        }
        Ok(ticket)
    }

    /// What is pending, if anything is.
    fn piece(&mut self, journal: &Journal) -> Option<Piece> {
        // Taken, not cleared: many bodies wait for their next bytes at once, and must not wait with
        // a buffer each.
        let bytes = std::mem::take(&mut self.pending);
        if bytes.is_empty() {
            return None;
        }
        let content = *self.stored.get_or_insert_with(|| journal.next_content());
        let number = self.pieces;
        self.pieces += 1;
        Some(Piece {
            content,
            number,
            bytes,
        })
    }
}

/// A piece of a body, redacted.
struct Piece {
    content: u64,
    number: u32,
    bytes: Vec<u8>,
}

impl Piece {
    fn packed(self) -> Frame {
        let (flags, payload) = pack::pack(&self.bytes);
        let mut header = Vec::with_capacity(12);
        header.extend_from_slice(&self.content.to_le_bytes());
        header.extend_from_slice(&self.number.to_le_bytes());
        Frame {
            kind: Kind::Content,
            flags,
            header,
            payload,
        }
    }
}

/// Packs one body's pieces on a task of its own, and queues them.
#[derive(Debug)]
struct Packer {
    jobs: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

impl Packer {
    fn start(journal: &Arc<Journal>) -> Self {
        let (jobs, asked) = mpsc::channel(1);
        let task = tokio::spawn(pack_all(Arc::clone(journal), asked));
        Self { jobs, task }
    }

    /// Waits until everything is queued.
    async fn end(self) {
        drop(self.jobs);
        // What did not come that far was refused: whoever holds its ticket is told.
        let _ = self.task.await;
    }
}

/// What a packer is asked for; without a piece, to answer when all before it is done.
struct Job {
    piece: Option<Piece>,
    when: When,
    reply: oneshot::Sender<Done>,
}

async fn pack_all(journal: Arc<Journal>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { piece, when, reply }) = jobs.recv().await {
        let bytes = piece.as_ref().map_or(0, |piece| piece.bytes.len());
        let Ok(room) = journal.room(bytes).await else {
            return;
        };
        let frames = piece.map(Piece::packed).into_iter().collect();
        if journal.append(frames, when, reply, room).is_err() {
            return;
        }
    }
}

/// A long body among those under way; it is one of them until it is dropped.
#[derive(Debug)]
struct LongBody(Arc<AtomicUsize>);

impl LongBody {
    /// One more; with a packer, if it is the only one.
    fn begin(journal: &Arc<Journal>) -> (Self, Option<Packer>) {
        let bodies = journal.long_bodies();
        let is_alone = bodies.fetch_add(1, Ordering::Relaxed) == 0;
        let packer = is_alone.then(|| Packer::start(journal));
        (Self(Arc::clone(bodies)), packer)
    }
}

impl Drop for LongBody {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
