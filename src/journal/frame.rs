//! One frame of the write-ahead file, to and from bytes. Pure.
//!
//! ```text
//!  0  magic "DDW1"     8  payload length, u32      16  sequence number, u64
//!  4  kind, u8        12  CRC-32C, u32             24  header, payload, zeros to a multiple of 8
//!  5  flags, u8           (of everything but itself and the padding)
//!  6  header length, u16                           all integers little-endian
//! ```
//! The checksum finds accidents (torn writes, flipped bits); it is no defence against an editor
//! of the file. That is the business of the leaves' commitments.

use crate::limits;

/// First bytes of every frame.
pub(super) const MAGIC: [u8; 4] = *b"DDW1";
/// Bytes before header and payload.
pub(super) const PREFIX_BYTES: usize = 24;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// The payload is compressed with zstd.
pub(super) const FLAG_ZSTD: u8 = 1;
/// It is compressed with the dictionary whose number the zstd frame names: see [`super::pack`].
pub(super) const FLAG_DICTIONARY: u8 = 4;

/// The payload is encrypted; what is encrypted may be compressed.
pub(super) const FLAG_SEALED: u8 = 2;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Begins a segment: session id, format, segment number.
    Segment = 1,
    /// One leaf.
    Leaf = 2,
    /// The opening of one committed field.
    Opening = 3,
    /// One piece of content too large for its opening.
    Content = 4,
    /// Ends a segment; nothing may follow.
    Seal = 5,
    /// Size, root and signature of the tree over the leaves so far.
    Checkpoint = 6,
    /// The age header of a session whose contents are sealed. Stands right behind its beginning.
    Keys = 7,
    /// Stands where content was erased: see [`mod@super::erase`].
    Erased = 8,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Segment,
            2 => Self::Leaf,
            3 => Self::Opening,
            4 => Self::Content,
            5 => Self::Seal,
            6 => Self::Checkpoint,
            7 => Self::Keys,
            8 => Self::Erased,
            _ => return None,
        })
    }
}

/// A frame before it has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Bytes on disk, padding included.
    pub(super) fn stored_bytes(&self) -> usize {
        stored_bytes(self.header.len(), self.payload.len())
    }

    /// Whether the payload is encrypted.
    pub(super) const fn is_sealed(&self) -> bool {
        self.flags & FLAG_SEALED != 0
    }

    /// Appends the frame to `out`.
    pub(super) fn encode(&self, seq: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.push(self.kind as u8);
        out.push(self.flags);
        out.extend_from_slice(&(self.header.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&self.header);
        out.extend_from_slice(&self.payload);
        let crc = checksum(&out[start..]);
        out[start + 12..start + 16].copy_from_slice(&crc.to_le_bytes());
        out.resize(start + self.stored_bytes(), 0);
    }
}

/// Bytes on disk of a frame with these lengths.
const fn stored_bytes(header: usize, payload: usize) -> usize {
    (PREFIX_BYTES + header + payload).next_multiple_of(ALIGN)
}

fn checksum(frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&frame[..12]);
    crc32c::crc32c_append(crc, &frame[16..])
}

/// The lengths a prefix announces, if it is one.
pub(super) struct Prefix {
    kind: Kind,
    flags: u8,
    header_bytes: usize,
    payload_bytes: usize,
    crc: u32,
    pub(super) seq: u64,
}

impl Prefix {
    /// Reads a prefix; `None` when these bytes do not begin a frame.
    pub(super) fn parse(bytes: &[u8; PREFIX_BYTES]) -> Option<Self> {
        let [
            m0,
            m1,
            m2,
            m3,
            kind,
            flags,
            h0,
            h1,
            p0,
            p1,
            p2,
            p3,
            c0,
            c1,
            c2,
            c3,
            seq @ ..,
        ] = *bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return None;
        }
        let payload = u32::from_le_bytes([p0, p1, p2, p3]);
        if payload > limits::FRAME_BYTES_MAX {
            return None;
        }
        Some(Self {
            kind: Kind::from_byte(kind)?,
            flags,
            header_bytes: usize::from(u16::from_le_bytes([h0, h1])),
            payload_bytes: payload as usize,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            seq: u64::from_le_bytes(seq),
        })
    }

    /// Bytes on disk of the whole frame.
    pub(super) const fn stored_bytes(&self) -> usize {
        stored_bytes(self.header_bytes, self.payload_bytes)
    }

    /// Reads the frame that `bytes` (from the prefix on) holds; `None` when the checksum differs.
    pub(super) fn frame(&self, bytes: &[u8]) -> Option<Frame> {
        let end = PREFIX_BYTES + self.header_bytes + self.payload_bytes;
        let bytes = bytes.get(..end)?;
        if checksum(bytes) != self.crc {
            return None;
        }
        let (header, payload) = bytes[PREFIX_BYTES..].split_at(self.header_bytes);
        Some(Frame {
            kind: self.kind,
            flags: self.flags,
            header: header.to_vec(),
            payload: payload.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Option<(u64, Frame)> {
        let prefix = Prefix::parse(bytes.get(..PREFIX_BYTES)?.try_into().ok()?)?;
        Some((prefix.seq, prefix.frame(bytes)?))
    }

    proptest! {
        #[test]
        fn round_trips(header in prop::collection::vec(any::<u8>(), 0..80),
                       payload in prop::collection::vec(any::<u8>(), 0..300), seq: u64, flags: u8) {
            let frame = Frame { kind: Kind::Opening, flags, header, payload };
            let mut bytes = Vec::new();
            frame.encode(seq, &mut bytes);
            prop_assert_eq!(bytes.len() % ALIGN, 0);
            prop_assert_eq!(bytes.len(), frame.stored_bytes());
            prop_assert_eq!(parse(&bytes), Some((seq, frame)));
        }

        #[test]
        fn one_flipped_bit_is_always_found(payload in prop::collection::vec(any::<u8>(), 0..100),
                                          at: prop::sample::Index, bit in 0u8..8) {
            let frame = Frame { kind: Kind::Leaf, flags: 0, header: vec![1, 2, 3], payload };
            let mut bytes = Vec::new();
            frame.encode(9, &mut bytes);
            let covered = PREFIX_BYTES + 3 + frame.payload.len();
            bytes[at.index(covered)] ^= 1 << bit;
            prop_assert_eq!(parse(&bytes), None);
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
