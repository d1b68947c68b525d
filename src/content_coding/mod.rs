//! Undoes `Content-Encoding` (RFC 9110, 8.4) piece by piece, so that a body can be read on its way.
//!
//! Invariants: what can be decoded from the bytes so far comes out at once (an event stream is not
//! delayed); memory is bounded by the codings' windows and one buffer a layer, whatever the body
//! claims; the output is bounded, in all by the caller and for one piece by
//! [`DECODED_BURST_BYTES_MAX`]. Nothing is ever encoded here.

mod gzip;
mod stage;

use crate::limits::DECODED_BURST_BYTES_MAX;
use stage::{Progress, Stage};

/// Codings in one list; nobody stacks more, and each costs memory.
const LAYERS_MAX: usize = 4;
/// Output of one step.
const BUFFER_BYTES: usize = 16 << 10;

/// A coding this room cannot undo.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The name, as sent, is not one of ours.
    #[error("content-encoding {0} is unknown")]
    Coding(String),
    /// More codings on top of each other than [`Decoder`] undoes.
    #[error("content-encoding lists more than {LAYERS_MAX} codings")]
    TooManyLayers,
    /// The decoder could not be made.
    #[error("content-encoding {coding} cannot be decoded: {why}")]
    Unavailable {
        /// The coding.
        coding: &'static str,
        /// The library's reason.
        why: String,
    },
}

/// A body is not what its coding says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not of the coding.
    #[error("not valid {coding}: {why}")]
    Corrupt {
        /// The coding.
        coding: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The body ends in the middle.
    #[error("{coding} data ends too early")]
    Truncated {
        /// The coding.
        coding: &'static str,
    },
    /// The decoded body exceeds the caller's bound.
    #[error("decodes to more than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// One piece decodes to more than may be held at once.
    #[error("one piece decodes to more than {DECODED_BURST_BYTES_MAX} bytes")]
    Burst,
}

/// Decodes one body. Pieces go in with [`Decoder::push`] and come out decoded.
pub struct Decoder {
    /// Outermost coding first: the order of decoding.
    layers: Vec<Layer>,
    limit: u64,
    failed: Option<DecodeError>,
}

struct Layer {
    stage: Stage,
    buffer: Box<[u8]>,
    /// Bytes that came out of this layer.
    produced: u64,
    /// Whether anything came in: an empty body is empty in every coding (answers to HEAD).
    touched: bool,
}

impl Decoder {
    /// Makes a decoder for the value of `Content-Encoding`, which may be a list (`gzip, br`, in the
    /// order they were applied). None if there is nothing to undo. `limit` bounds, in bytes, what
    /// comes out of each coding. `zstd1` is what Datadog's clients call `zstd`.
    ///
    /// # Errors
    /// [`Unsupported`] names the coding that stops us.
    pub fn new(coding: &str, limit: u64) -> Result<Option<Self>, Unsupported> {
        let mut layers = Vec::new();
        for name in coding.rsplit(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            if layers.len() == LAYERS_MAX {
                return Err(Unsupported::TooManyLayers);
            }
            layers.push(Layer {
                stage: Stage::new(name)?,
                buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
                produced: 0,
                touched: false,
            });
        }
        Ok((!layers.is_empty()).then_some(Self {
            layers,
            limit,
            failed: None,
        }))
    }

    /// Decodes a piece and appends everything it yields to `out`.
    ///
    /// # Errors
    /// [`DecodeError`], the same one again for every later piece. What was decoded before the fault
    /// is in `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let full = out.len() + DECODED_BURST_BYTES_MAX;
        let done = feed(&mut self.layers, piece, self.limit, full, out);
        self.failed = done.clone().err();
        done
    }

    /// Says that the body is complete. Everything decodable is already out.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], or the error an earlier piece met.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self
            .layers
            .iter()
            .find(|layer| layer.touched && !layer.stage.may_end())
        {
            Some(layer) => Err(DecodeError::Truncated {
                coding: layer.stage.name(),
            }),
            None => Ok(()),
        }
    }
}

/// Runs a piece through the first layer and what comes out through the rest, until `out` is `full`.
fn feed(
    layers: &mut [Layer],
    mut piece: &[u8],
    limit: u64,
    full: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        if out.len() + piece.len() > full {
            return Err(DecodeError::Burst);
        }
        out.extend_from_slice(piece);
        return Ok(());
    };
    layer.touched |= !piece.is_empty();
    loop {
        let Progress { consumed, produced } = layer.stage.step(piece, &mut layer.buffer)?;
        piece = &piece[consumed..];
        layer.produced += produced as u64;
        if layer.produced > limit {
            return Err(DecodeError::TooLarge { limit });
        }
        if produced > 0 {
            feed(inner, &layer.buffer[..produced], limit, full, out)?;
        } else if piece.is_empty() {
            return Ok(());
        } else if consumed == 0 {
            return Err(layer.stage.corrupt("no progress"));
        }
    }
}

/// Encodes for the tests of other rooms, which do not know the library.
#[cfg(test)]
pub(crate) fn gzip_for_test(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::gzip_for_test as gzip;
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    const LIMIT: u64 = 1 << 24;

    fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" => gzip(data),
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            "raw deflate" => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            "zstd" => zstd::encode_all(data, 3).unwrap(),
            "br" => stored_brotli(data),
            _ => unreachable!("{coding}"),
        }
    }

    /// Brotli without compression (RFC 7932, 9.2): there is no encoder among our dependencies.
    fn stored_brotli(data: &[u8]) -> Vec<u8> {
        // WBITS = 16 is the single bit 0; then metablocks, each aligned to a byte.
        let mut coded = Vec::new();
        let mut first = true;
        for chunk in data.chunks(1 << 16) {
            // ISLAST=0, MNIBBLES=0 (four), MLEN-1, ISUNCOMPRESSED=1.
            let header = (chunk.len() as u32 - 1) << 3 | 1 << 19;
            let bytes = if first { header << 1 } else { header }.to_le_bytes();
            coded.extend_from_slice(&bytes[..3]);
            coded.extend_from_slice(chunk);
            first = false;
        }
        // ISLAST=1, ISLASTEMPTY=1, behind WBITS if nothing came before.
        coded.push(if first { 0b110 } else { 0b11 });
        coded
    }

    fn decode(coding: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, DecodeError> {
        let coding = coding.strip_prefix("raw ").unwrap_or(coding);
        let mut decoder = Decoder::new(coding, LIMIT).unwrap().unwrap();
        let mut out = Vec::new();
        for piece in pieces {
            decoder.push(piece, &mut out)?;
        }
        decoder.finish()?;
        Ok(out)
    }

    const CODINGS: [&str; 5] = ["gzip", "deflate", "raw deflate", "br", "zstd"];

    #[test]
    fn nothing_to_undo_needs_no_decoder() {
        for coding in ["", "identity", " Identity , ", ","] {
            assert!(Decoder::new(coding, LIMIT).unwrap().is_none(), "{coding}");
        }
    }

    #[test]
    fn what_we_cannot_undo_is_named() {
        let error = Decoder::new("gzip, snappy", LIMIT).err().unwrap();
        assert_eq!(error.to_string(), "content-encoding snappy is unknown");
        let error = Decoder::new("gzip,br,gzip,br,gzip", LIMIT).err().unwrap();
        assert_eq!(error, Unsupported::TooManyLayers);
    }

    #[test]
    fn every_coding_round_trips_under_every_name() {
        let data = b"{\"query\":\"avg:system.cpu.user{*}\"}".repeat(5000);
        for coding in CODINGS {
            assert_eq!(decode(coding, &[&encode(coding, &data)]).unwrap(), data);
        }
        assert_eq!(decode("zstd1", &[&encode("zstd", &data)]).unwrap(), data);
        assert_eq!(decode("X-GZip", &[&encode("gzip", &data)]).unwrap(), data);
    }

    #[test]
    fn compressed_brotli_decodes() {
        // By the reference encoder (libbrotli, quality 11).
        let coded = [
            0x1b, 0x1e, 0x00, 0xf8, 0x8d, 0x94, 0x6e, 0xde, 0x44, 0xa9, 0x50, 0x86, 0x96, 0x6c,
            0x20, 0x6f, 0xa5, 0x08, 0x3d, 0x71, 0x40, 0x3a, 0x0e,
        ];
        let text = b"hello hello hello hello hello \n";
        assert_eq!(decode("br", &[&coded]).unwrap(), text);
        let bytes: Vec<_> = coded.chunks(1).collect();
        assert_eq!(decode("br", &bytes).unwrap(), text);
    }

    #[test]
    fn stacked_codings_are_undone_in_reverse() {
        let data = b"one two three".repeat(3000);
        let coded = encode("br", &encode("gzip", &data));
        assert_eq!(decode("gzip, identity, br", &[&coded]).unwrap(), data);
        assert!(decode("br, gzip", &[&coded]).is_err());
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        for coding in ["gzip", "zstd"] {
            let coded = [
                encode(coding, b"one "),
                encode(coding, b""),
                encode(coding, b"two"),
            ];
            assert_eq!(decode(coding, &[&coded.concat()]).unwrap(), b"one two");
        }
    }

    #[test]
    fn an_empty_body_is_empty_in_every_coding() {
        for coding in CODINGS {
            assert_eq!(decode(coding, &[]).unwrap(), b"");
            assert_eq!(decode(coding, &[b""]).unwrap(), b"");
            assert_eq!(decode(coding, &[&encode(coding, b"")]).unwrap(), b"");
        }
    }

    #[test]
    fn cut_short_anywhere_is_an_error() {
        let data = b"the quick brown fox jumps over the lazy dog".repeat(9);
        for coding in CODINGS {
            let coded = encode(coding, &data);
            for end in 1..coded.len() {
                assert!(
                    matches!(
                        decode(coding, &[&coded[..end]]),
                        Err(DecodeError::Truncated { .. })
                    ),
                    "{coding} cut at {end} of {}",
                    coded.len()
                );
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_an_error() {
        for coding in CODINGS {
            let mut coded = encode(coding, b"data");
            coded.extend_from_slice(b"trailing");
            let error = decode(coding, &[&coded]).unwrap_err();
            assert!(matches!(error, DecodeError::Corrupt { .. }), "{coding}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut coded = encode("gzip", b"data");
        let crc = coded.len() - 8;
        coded[crc] ^= 1;
        let error = decode("gzip", &[&coded]).unwrap_err();
        assert_eq!(error.to_string(), "not valid gzip: checksum does not match");
    }

    #[test]
    fn optional_gzip_header_fields_are_skipped() {
        let plain = encode("gzip", b"data");
        let mut coded = plain[..10].to_vec();
        coded[3] = 0b1_1110; // FEXTRA, FNAME, FCOMMENT, FHCRC
        coded.extend_from_slice(&[3, 0, b'e', b'x', b't']);
        coded.extend_from_slice(b"name\0comment\0");
        coded.extend_from_slice(&[0, 0]);
        coded.extend_from_slice(&plain[10..]);
        assert_eq!(decode("gzip", &[&coded]).unwrap(), b"data");
        let bytes: Vec<_> = coded.chunks(1).collect();
        assert_eq!(decode("gzip", &bytes).unwrap(), b"data");
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_stays_stopped() {
        for coding in CODINGS {
            let coded = encode(coding, &vec![0; 1 << 20]);
            let name = coding.strip_prefix("raw ").unwrap_or(coding);
            let mut decoder = Decoder::new(name, 100_000).unwrap().unwrap();
            let mut out = Vec::new();
            let limit = DecodeError::TooLarge { limit: 100_000 };
            assert_eq!(
                decoder.push(&coded, &mut out),
                Err(limit.clone()),
                "{coding}"
            );
            assert!(out.len() <= 100_000);
            assert_eq!(decoder.push(b"more", &mut out), Err(limit.clone()));
            assert_eq!(decoder.finish(), Err(limit));
        }
    }

    #[test]
    fn one_piece_cannot_take_all_memory() {
        let zeros = vec![0; DECODED_BURST_BYTES_MAX + 1];
        let coded = encode("zstd", &zeros);
        let mut decoder = Decoder::new("zstd", u64::MAX).unwrap().unwrap();
        let mut out = vec![1];
        assert_eq!(decoder.push(&coded, &mut out), Err(DecodeError::Burst));
        assert!(out.len() <= DECODED_BURST_BYTES_MAX + 1);
        // Twice: a bomb inside a bomb is not unpacked either.
        let coded = encode("gzip", &encode("gzip", &zeros));
        let mut decoder = Decoder::new("gzip, gzip", u64::MAX).unwrap().unwrap();
        assert_eq!(decoder.push(&coded, &mut out), Err(DecodeError::Burst));
    }

    #[test]
    fn a_flushed_event_comes_out_at_once() {
        let event = b"data: {\"id\":1}\n\n";
        let mut gzipped = GzEncoder::new(Vec::new(), Compression::default());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        let mut zstd = zstd::Encoder::new(Vec::new(), 3).unwrap();
        let mut decoders = ["gzip", "deflate", "zstd", "br"]
            .map(|coding| Decoder::new(coding, LIMIT).unwrap().unwrap());
        // By the reference encoder, flushed after each event.
        let brotli: [&[u8]; 2] = [
            b"\x8b\x07\x80data: {\"id\":1}\n\n",
            &[
                0x78, 0x00, 0x80, 0x5f, 0x02, 0x20, 0x84, 0x89, 0x01, 0x34, 0x00,
            ],
        ];
        for brotli in brotli {
            gzipped.write_all(event).unwrap();
            gzipped.flush().unwrap();
            zlib.write_all(event).unwrap();
            zlib.flush().unwrap();
            zstd.write_all(event).unwrap();
            zstd.flush().unwrap();
            let pieces = [
                std::mem::take(gzipped.get_mut()),
                std::mem::take(zlib.get_mut()),
                std::mem::take(zstd.get_mut()),
                brotli.to_vec(),
            ];
            for (decoder, piece) in decoders.iter_mut().zip(pieces) {
                let mut out = Vec::new();
                decoder.push(&piece, &mut out).unwrap();
                assert_eq!(out, event);
            }
        }
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            data in prop::collection::vec(any::<u8>(), 0..3000),
            repeat in 1..40_usize,
            cuts in prop::collection::vec(1..700_usize, 1..20),
        ) {
            let data = data.repeat(repeat);
            for coding in CODINGS {
                let coded = encode(coding, &data);
                let mut pieces = Vec::new();
                let mut rest = &coded[..];
                for &cut in cuts.iter().cycle() {
                    let (piece, after) = rest.split_at(cut.min(rest.len()));
                    pieces.push(piece);
                    rest = after;
                    if rest.is_empty() {
                        break;
                    }
                }
                prop_assert_eq!(decode(coding, &pieces).unwrap(), &data[..], "{}", coding);
            }
        }

        #[test]
        fn garbage_is_survived_the_same_way_in_any_chunking(
            garbage in prop::collection::vec(any::<u8>(), 0..200),
            valid in 0..60_usize,
            cut in 0..200_usize,
        ) {
            for coding in CODINGS {
                let mut bytes = encode(coding, b"a fair beginning, then rubbish");
                bytes.truncate(valid);
                bytes.extend_from_slice(&garbage);
                let (front, back) = bytes.split_at(cut.min(bytes.len()));
                let whole = decode(coding, &[&bytes]);
                let split = decode(coding, &[front, back]);
                prop_assert_eq!(whole.ok(), split.ok(), "{}", coding);
            }
        }
    }
}
