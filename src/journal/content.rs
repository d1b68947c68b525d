//! Committed content: what stands beside a leaf so that it can be read, and later erased.
//!
//! A leaf holds `HMAC-SHA-256(salt, "ddgate/v1/" || field || 0x00 || content)` with a fresh salt
//! per field; salt and content are kept in opening and content frames. Invariant: only redacted
//! bytes come in.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::crypt::Cipher;
use super::frame::{FLAG_SEALED, Frame, Kind};
use super::pack;
use crate::record::Commitment;
use crate::redact::Redacted;

const DOMAIN: &[u8] = b"ddgate/v1/";
/// Content up to here travels inside its opening.
pub(super) const INLINE_BYTES_MAX: usize = 16 << 10;

/// The salt of one committed field.
pub(super) type Salt = [u8; 32];

/// A committed field, ready to be appended with its leaf.
#[derive(Debug)]
pub struct Attachment {
    pub(super) field: &'static str,
    pub(super) salt: Salt,
    pub(super) body: AttachmentBody,
    pub(super) commitment: Commitment,
}

#[derive(Debug)]
pub(super) enum AttachmentBody {
    /// Flags and payload of the opening, made by whoever commits, not by the one writer.
    Inline(u8, Vec<u8>),
    /// Number of the content, and its last piece, which travels with the leaf: a body of one piece
    /// need not be written before that.
    Stored(u64, Option<Frame>),
}

impl Attachment {
    /// What the leaf says of this field.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        self.commitment.clone()
    }

    /// Bytes this will take in the queue, about.
    pub(super) fn queued_bytes(&self) -> usize {
        128 + match &self.body {
            AttachmentBody::Inline(_, payload) => payload.len(),
            AttachmentBody::Stored(_, last) => last.as_ref().map_or(0, Frame::stored_bytes),
        }
    }

    /// What of a long content is still to be written, once: it has to stand before the opening.
    pub(super) const fn last_piece(&mut self) -> Option<Frame> {
        match &mut self.body {
            AttachmentBody::Inline(..) => None,
            AttachmentBody::Stored(_, last) => last.take(),
        }
    }

    /// The opening frame of this field, of a leaf that has no place yet: see [`belong_to`].
    pub(super) fn opening(self) -> Frame {
        let (content, flags, payload) = match self.body {
            AttachmentBody::Inline(flags, payload) => (0, flags, payload),
            AttachmentBody::Stored(content, _) => (content, 0, Vec::new()),
        };
        let mut header = Vec::with_capacity(Opening::HEADER_BYTES + self.field.len());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&content.to_le_bytes());
        header.extend_from_slice(&self.salt);
        header.extend_from_slice(self.field.as_bytes());
        Frame {
            kind: Kind::Opening,
            flags,
            header,
            payload,
        }
    }
}

/// Makes an opening one of leaf `i`; other frames stay as they are.
pub(super) fn belong_to(frame: &mut Frame, i: u64) {
    if let (Kind::Opening, Some(leaf)) = (frame.kind, frame.header.first_chunk_mut()) {
        *leaf = i.to_le_bytes();
    }
}

/// An opening frame, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) leaf: u64,
    /// Number of the content frames, or 0 when the content is the payload.
    pub(super) content: u64,
    pub(super) salt: Salt,
    pub(super) field: String,
}

impl Opening {
    const HEADER_BYTES: usize = 48;

    /// Where the salt stands.
    fn salt_of(header: &mut [u8]) -> Option<&mut Salt> {
        header.get_mut(16..)?.first_chunk_mut()
    }

    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let (leaf, rest) = header.split_first_chunk::<8>()?;
        let (content, rest) = rest.split_first_chunk::<8>()?;
        let (salt, field) = rest.split_first_chunk::<32>()?;
        Some(Self {
            leaf: u64::from_le_bytes(*leaf),
            content: u64::from_le_bytes(*content),
            salt: *salt,
            field: std::str::from_utf8(field).ok()?.to_owned(),
        })
    }
}

/// The header of a content frame, read back: content number and piece number.
pub(super) fn parse_content_header(header: &[u8]) -> Option<(u64, u32)> {
    let (content, rest) = header.split_first_chunk::<8>()?;
    let (piece, _) = rest.split_first_chunk::<4>()?;
    Some((u64::from_le_bytes(*content), u32::from_le_bytes(*piece)))
}

/// Seals the frames that hold content. The salt of an opening is sealed with it, and its place
/// zeroed: with salt and commitment in the open, whoever reads the leaves could test guesses.
pub(super) fn seal(mut frame: Frame, cipher: &Cipher) -> io::Result<Frame> {
    match frame.kind {
        Kind::Opening => {
            let salt = Opening::salt_of(&mut frame.header).ok_or_else(unreadable)?;
            frame.payload = cipher.seal(&[&*salt, &frame.payload])?;
            salt.fill(0);
        }
        Kind::Content => frame.payload = cipher.seal(&[&frame.payload])?,
        _ => return Ok(frame),
    }
    frame.flags |= FLAG_SEALED;
    Ok(frame)
}

/// Undoes [`seal`]; a frame that is not sealed stays as it is.
pub(super) fn unseal(mut frame: Frame, cipher: &Cipher) -> io::Result<Frame> {
    if !frame.is_sealed() {
        return Ok(frame);
    }
    let mut plain = cipher.open(&frame.payload).ok_or_else(unreadable)?;
    if frame.kind == Kind::Opening {
        let salt = Opening::salt_of(&mut frame.header).ok_or_else(unreadable)?;
        let (sealed_salt, _) = plain.split_first_chunk().ok_or_else(unreadable)?;
        *salt = *sealed_salt;
        plain.drain(..salt.len());
    }
    frame.payload = plain;
    frame.flags &= !FLAG_SEALED;
    Ok(frame)
}

fn unreadable() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a frame cannot be opened with the session's key",
    )
}

/// What a frame holds, unpacked. What is sealed has to be unsealed before.
pub(super) fn payload(frame: &Frame) -> io::Result<Vec<u8>> {
    if frame.is_sealed() {
        return Err(unreadable());
    }
    pack::unpack(frame.flags, &frame.payload)
}

pub(super) fn inline(content: &[u8]) -> AttachmentBody {
    let (flags, payload) = pack::pack(content);
    AttachmentBody::Inline(flags, payload)
}

pub(super) fn fresh_mac(field: &str) -> (Salt, Hmac<Sha256>) {
    let salt = SALTS.with_borrow_mut(Salts::next);
    (salt, keyed(&salt, field))
}

thread_local! {
    static SALTS: RefCell<Salts> = const { RefCell::new(Salts { ahead: [[0; 32]; SALTS_AHEAD], left: 0 }) };
}

/// Salts asked for at once: each would be a system call, three or four times a call.
const SALTS_AHEAD: usize = 32;

struct Salts {
    ahead: [Salt; SALTS_AHEAD],
    left: usize,
}

impl Salts {
    fn next(&mut self) -> Salt {
        if self.left == 0 {
            // Without randomness nothing can be hidden behind a commitment; the system has none
            // left to give only when it is broken, and then stopping is right.
            #[expect(clippy::expect_used, reason = "no way on without randomness")]
            getrandom::fill(self.ahead.as_flattened_mut())
                .expect("the operating system gives random bytes");
            self.left = SALTS_AHEAD;
        }
        self.left -= 1;
        std::mem::take(&mut self.ahead[self.left])
    }
}

fn keyed(salt: &Salt, field: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).expect("32 bytes are a key");
    mac.update(DOMAIN);
    mac.update(field.as_bytes());
    mac.update(&[0]);
    mac
}

pub(super) fn finish(mac: Hmac<Sha256>, n: u64) -> Commitment {
    use base64::Engine;
    let tag = mac.finalize().into_bytes();
    Commitment {
        c: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(tag),
        n,
    }
}

/// A commitment recomputed from an opening, piece by piece.
#[derive(Debug)]
pub struct Recommit {
    mac: Hmac<Sha256>,
    total_bytes: u64,
}

impl Recommit {
    /// Begins the content of a field.
    #[must_use]
    pub fn new(salt: &[u8; 32], field: &str) -> Self {
        Self {
            mac: keyed(salt, field),
            total_bytes: 0,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, piece: &[u8]) {
        self.mac.update(piece);
        self.total_bytes += piece.len() as u64;
    }

    /// Ends the content.
    #[must_use]
    pub fn finish(self) -> Commitment {
        finish(self.mac, self.total_bytes)
    }
}

/// Recomputes a commitment from an opening.
pub(super) fn recompute(salt: &Salt, field: &str, content: &[u8]) -> Commitment {
    let mut mac = keyed(salt, field);
    mac.update(content);
    finish(mac, content.len() as u64)
}

/// Commits to one small field.
#[must_use]
pub fn commit(field: &'static str, content: Redacted<Bytes>) -> Attachment {
    let (salt, mut mac) = fresh_mac(field);
    let content = content.into_inner();
    mac.update(&content);
    Attachment {
        field,
        salt,
        commitment: finish(mac, content.len() as u64),
        body: inline(&content),
    }
}

/// Commits to bytes that are not kept, raw as they may be: only length and tag come out, under a
/// salt that is not in the record (see [`crate::redact::PseudonymKey::withheld_salt`]).
#[derive(Debug)]
pub struct Withheld {
    mac: Hmac<Sha256>,
    total_bytes: u64,
}

impl Withheld {
    /// Begins the content of `field`.
    #[must_use]
    pub fn new(field: &'static str, salt: &[u8; 32]) -> Self {
        Self {
            mac: keyed(salt, field),
            total_bytes: 0,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.mac.update(bytes);
        self.total_bytes += bytes.len() as u64;
    }

    /// Ends the content.
    #[must_use]
    pub fn finish(self) -> Commitment {
        finish(self.mac, self.total_bytes)
    }
}
