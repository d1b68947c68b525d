//! gzip (RFC 1952): members one after the other, each a header, DEFLATE data, checksum and length.
//!
//! Written out, because the wrapping must be read in any chunking and the bare inflater is the only
//! part of the library that shows how far it came.

use flate2::{Crc, Decompress};

use super::stage::{Progress, Why, inflate};

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The part of a member the next byte belongs to.
enum Place {
    /// The ten fixed bytes, so many seen.
    Fixed(u8),
    /// The two bytes of the extra field's length.
    ExtraLength {
        seen: u8,
        length: u16,
    },
    Extra(u16),
    Name,
    Comment,
    /// The header's own checksum, so many bytes left; nobody checks it.
    HeaderChecksum(u8),
    Data,
    /// Checksum and length, little-endian, so many seen.
    Trailer {
        seen: u8,
        value: u64,
    },
}

/// A gzip body under way.
pub(super) struct Gzip {
    place: Place,
    flags: u8,
    inflater: Box<Decompress>,
    checksum: Crc,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Fixed(0),
            flags: 0,
            inflater: Box::new(Decompress::new(false)),
            checksum: Crc::new(),
        }
    }

    /// Between members; before the first one counts too, the caller knows whether it began.
    pub(super) const fn may_end(&self) -> bool {
        matches!(self.place, Place::Fixed(0))
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Why> {
        if !matches!(self.place, Place::Data) {
            for (index, &byte) in input.iter().enumerate() {
                self.wrapping(byte)?;
                if matches!(self.place, Place::Data) {
                    return Ok(Progress {
                        consumed: index + 1,
                        produced: 0,
                    });
                }
            }
            return Ok(Progress {
                consumed: input.len(),
                produced: 0,
            });
        }
        let (progress, ended) = inflate(&mut self.inflater, input, output)?;
        self.checksum.update(&output[..progress.produced]);
        if ended {
            self.place = Place::Trailer { seen: 0, value: 0 };
        }
        Ok(progress)
    }

    /// Reads one byte of header or trailer.
    fn wrapping(&mut self, byte: u8) -> Result<(), Why> {
        self.place = match self.place {
            Place::Fixed(seen) => {
                match (seen, byte) {
                    (0, 0x1f) | (1, 0x8b) | (2, 8) | (4.., _) => {}
                    (3, flags) if flags & RESERVED == 0 => self.flags = flags,
                    _ => return Err("not a gzip header".to_owned()),
                }
                if seen == 9 {
                    self.after_fixed()
                } else {
                    Place::Fixed(seen + 1)
                }
            }
            Place::ExtraLength { seen: 0, .. } => Place::ExtraLength {
                seen: 1,
                length: byte.into(),
            },
            Place::ExtraLength { length, .. } => match length | u16::from(byte) << 8 {
                0 => self.after_extra(),
                length => Place::Extra(length),
            },
            Place::Extra(1) => self.after_extra(),
            Place::Extra(left) => Place::Extra(left - 1),
            Place::Name if byte == 0 => self.after_name(),
            Place::Comment if byte == 0 => self.after_comment(),
            Place::Name => Place::Name,
            Place::Comment => Place::Comment,
            Place::HeaderChecksum(2) => Place::HeaderChecksum(1),
            Place::HeaderChecksum(_) | Place::Data => Place::Data,
            Place::Trailer { seen, value } => {
                let value = value | u64::from(byte) << (8 * seen);
                if seen == 7 {
                    self.end_member(value)?
                } else {
                    Place::Trailer {
                        seen: seen + 1,
                        value,
                    }
                }
            }
        };
        Ok(())
    }

    const fn after_fixed(&self) -> Place {
        if self.flags & FEXTRA != 0 {
            return Place::ExtraLength { seen: 0, length: 0 };
        }
        self.after_extra()
    }

    const fn after_extra(&self) -> Place {
        if self.flags & FNAME != 0 {
            return Place::Name;
        }
        self.after_name()
    }

    const fn after_name(&self) -> Place {
        if self.flags & FCOMMENT != 0 {
            return Place::Comment;
        }
        self.after_comment()
    }

    const fn after_comment(&self) -> Place {
        if self.flags & FHCRC != 0 {
            return Place::HeaderChecksum(2);
        }
        Place::Data
    }

    /// Compares the trailer (CRC-32, then length modulo 2^32) and gets ready for another member.
    fn end_member(&mut self, trailer: u64) -> Result<Place, Why> {
        let expected = u64::from(self.checksum.sum()) | u64::from(self.checksum.amount()) << 32;
        if trailer != expected {
            return Err("checksum does not match".to_owned());
        }
        self.inflater.reset(false);
        self.checksum.reset();
        Ok(Place::Fixed(0))
    }
}
