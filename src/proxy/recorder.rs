//! One body on its way into the record, at the level its operation is recorded at.
//!
//! Invariant: whatever is not kept (below the level `full`, or because it cannot be looked into) is
//! committed to as it passed, with its length, and a body longer than `recording.body_bytes_max`
//! says in the record that only its beginning is there.

use std::sync::Arc;

use bytes::Bytes;

use super::Proxy;
use crate::journal::{Attachment, ContentStream, Journal, Refused, Ticket, Withheld};
use crate::limits;
use crate::record::event::RedactionCount;
use crate::record::{Commitment, Level, Secret};
use crate::redact::{BodyRedactor, KnownSecrets, Redacted};

/// What the record says of a body.
pub(super) struct Recorded {
    pub(super) commitment: Commitment,
    /// The content; none when it is not kept.
    pub(super) attachment: Option<Attachment>,
    pub(super) unkept: Option<String>,
    pub(super) redactions: Vec<RedactionCount>,
    /// The text that was removed by its place.
    pub(super) gone: Vec<Secret<String>>,
}

/// A body under way.
pub(super) struct BodyRecorder {
    level: Level,
    /// What the leaf calls it.
    field: &'static str,
    redactor: BodyRedactor,
    content: ContentStream,
    /// Of what may be recorded, what has come and what is kept.
    shown_bytes: u64,
    kept_bytes: u64,
    kept_bytes_max: u64,
    /// Everything as it passed, where it may turn out that nothing is kept.
    raw: Option<Withheld>,
}

impl BodyRecorder {
    /// Begins a body that the leaf commits to as `field`; `known` and the last three as for
    /// [`BodyRedactor::new`].
    pub(super) fn new(
        proxy: &Proxy,
        known: &KnownSecrets,
        level: Level,
        field: &'static str,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        secret_paths: &'static [&'static str],
    ) -> Self {
        let redactor = BodyRedactor::new(known, content_type, content_encoding, secret_paths);
        let may_be_unkept = level < Level::Full || redactor.may_keep_nothing();
        let salt = || known.key().withheld_salt();
        Self {
            level,
            field,
            redactor,
            content: ContentStream::new(field),
            shown_bytes: 0,
            kept_bytes: 0,
            kept_bytes_max: proxy.recording.body_bytes_max,
            raw: may_be_unkept.then(|| Withheld::new(field, &salt())),
        }
    }

    /// Takes a piece. Waits while the journal's queue is full.
    pub(super) async fn push(
        &mut self,
        journal: &Arc<Journal>,
        piece: Bytes,
    ) -> Result<(), Refused> {
        if !self.redactor.unpacks() {
            return self.take(journal, piece).await;
        }
        for slice in slices(&piece) {
            self.take(journal, slice).await?;
        }
        Ok(())
    }

    async fn take(&mut self, journal: &Arc<Journal>, piece: Bytes) -> Result<(), Refused> {
        if let Some(raw) = &mut self.raw {
            raw.push(&piece);
        }
        if self.level < Level::Full {
            return Ok(());
        }
        let clean = self.redactor.push_bytes(piece);
        self.keep(journal, clean).await
    }

    /// Hands everything taken so far to the journal; the ticket resolves when it is durable.
    pub(super) async fn flush(&mut self, journal: &Arc<Journal>) -> Result<Ticket, Refused> {
        self.content.flush(journal).await
    }

    /// Hands everything taken so far to the journal without waiting for the disk.
    pub(super) async fn settle(&mut self, journal: &Arc<Journal>) -> Result<(), Refused> {
        self.content.settle(journal).await
    }

    /// Ends the body; call it once.
    pub(super) async fn finish(&mut self, journal: &Arc<Journal>) -> Result<Recorded, Refused> {
        if self.level < Level::Full
            && let Some(raw) = self.raw.take()
        {
            return Ok(Recorded {
                commitment: raw.finish(),
                attachment: None,
                unkept: Some(self.level.reason()),
                redactions: Vec::new(),
                gone: Vec::new(),
            });
        }
        let last = self.redactor.finish();
        self.keep(journal, last).await?;
        let summary = self.redactor.summary();
        let unkept = summary.unkept.or_else(|| self.cut());
        if let Some(raw) = self
            .raw
            .take()
            .filter(|_| unkept.is_some() && self.shown_bytes == 0)
        {
            return Ok(Recorded {
                commitment: raw.finish(),
                attachment: None,
                unkept,
                redactions: summary.redactions,
                gone: Vec::new(),
            });
        }
        let content = std::mem::replace(&mut self.content, ContentStream::new(self.field));
        let content = content.finish(journal).await?;
        Ok(Recorded {
            commitment: content.commitment(),
            attachment: Some(content),
            unkept,
            redactions: summary.redactions,
            gone: self.redactor.gone().to_vec(),
        })
    }

    async fn keep(
        &mut self,
        journal: &Arc<Journal>,
        clean: Redacted<Bytes>,
    ) -> Result<(), Refused> {
        self.shown_bytes += clean.get().len() as u64;
        let room = self.kept_bytes_max - self.kept_bytes;
        let clean = clean.first(usize::try_from(room).unwrap_or(usize::MAX));
        self.kept_bytes += clean.get().len() as u64;
        self.content.push(journal, clean).await
    }

    fn cut(&self) -> Option<String> {
        let Self {
            kept_bytes,
            shown_bytes,
            ..
        } = self;
        (kept_bytes < shown_bytes).then(|| format!("cut after {kept_bytes} of {shown_bytes} bytes"))
    }
}

/// Cuts bytes, without copying them, into pieces that are unpacked one at a time.
fn slices(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    let cut = limits::CODED_PIECE_BYTES_MAX;
    (0..bytes.len())
        .step_by(cut)
        .map(move |at| bytes.slice(at..bytes.len().min(at + cut)))
}
