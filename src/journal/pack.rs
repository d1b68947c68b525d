//! Makes small contents small: zstd with a dictionary that knows the shapes of headers and of
//! Datadog's JSON. Without one, contents of a few hundred bytes hardly shrink.
//!
//! The dictionary is part of the format: it is never changed, a better one gets the next number, and
//! every packed frame names the number it needs. It was made from a generated session of an
//! installation that does not exist (`benches/log/samples.rs`), and holds nothing of anybody's:
//! `cargo bench --bench log -- --child samples DIR`, then
//! `zstd --train DIR/samples/* --maxdict=16384 --dictID=1 -1 -o src/journal/dictionary-1.zdict`.

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::frame::{FLAG_DICTIONARY, FLAG_ZSTD};
use crate::limits;

/// The dictionary, for whoever unpacks without ddgate.
pub static DICTIONARY: &[u8] = include_bytes!("dictionary-1.zdict");
const LEVEL: i32 = 1;
/// From here on contents are packed without the dictionary: they hold enough of their own to refer
/// to, come out smaller, and take half the time.
const PLAIN_BYTES_MIN: usize = 8 << 10;
/// Below this there is little to save, and the file can be read without us.
const PACK_BYTES_MIN: usize = 64;
/// What is packed without taking memory for it first.
const ROOM_BYTES: usize = 4 << 10;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    /// Kept, because making one takes five times as long as packing a small body with it.
    static PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    /// For what is long enough to do without a dictionary.
    static PLAIN_PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    /// For what was compressed without a dictionary.
    static PLAIN: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// How contents are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// With zstd (RFC 8878).
    Zstd,
    /// With zstd and the dictionary whose number is 1.
    ZstdDictionary1,
}

impl Coding {
    /// As exports spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
            Self::ZstdDictionary1 => "zstd-dictionary-1",
        }
    }
}

/// What the flags of a frame say of its packing.
pub(super) const fn coding(flags: u8) -> Coding {
    match (flags & FLAG_ZSTD != 0, flags & FLAG_DICTIONARY != 0) {
        (false, _) => Coding::Identity,
        (true, false) => Coding::Zstd,
        (true, true) => Coding::ZstdDictionary1,
    }
}

/// Packs what a frame holds; the flags say how.
pub(super) fn pack(bytes: &[u8]) -> (u8, Vec<u8>) {
    let flags = match bytes.len() {
        ..PACK_BYTES_MIN => 0,
        PACK_BYTES_MIN..PLAIN_BYTES_MIN => FLAG_ZSTD | FLAG_DICTIONARY,
        PLAIN_BYTES_MIN.. => FLAG_ZSTD,
    };
    match packed(flags, bytes) {
        Some(small) => (flags, small),
        None => (0, bytes.to_vec()),
    }
}

/// The bytes packed as the flags say; none where that gains nothing.
fn packed(flags: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let (packer, make): (_, fn() -> io::Result<Compressor<'static>>) = match coding(flags) {
        Coding::Identity => return None,
        Coding::Zstd => (&PLAIN_PACKER, || Compressor::new(LEVEL)),
        Coding::ZstdDictionary1 => (&PACKER, || Compressor::with_prepared_dictionary(&ENCODER)),
    };
    // No room for more than what is there: what does not fit was not worth it.
    let mut room = [0; ROOM_BYTES];
    let mut large = Vec::new();
    let room = match room.get_mut(..bytes.len()) {
        Some(room) => room,
        None => {
            large.resize(bytes.len(), 0);
            &mut large[..]
        }
    };
    let n = packer.with_borrow_mut(|kept| {
        let packer = match kept {
            Some(packer) => packer,
            None => kept.insert(make().ok()?),
        };
        packer.compress_to_buffer(bytes, room).ok()
    })?;
    room.get(..n)
        .filter(|small| small.len() < bytes.len())
        .map(<[u8]>::to_vec)
}

/// Undoes [`pack`].
///
/// # Errors
/// The bytes are not what was packed, or would be larger than any frame.
pub(super) fn unpack(flags: u8, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let most = limits::FRAME_BYTES_MAX as usize;
    match (flags & FLAG_ZSTD != 0, flags & FLAG_DICTIONARY != 0) {
        (false, _) => Ok(bytes.to_vec()),
        (true, true) => UNPACKER.with_borrow_mut(|kept| match kept {
            Some(unpacker) => unpacker.decompress(bytes, most),
            None => kept
                .insert(Decompressor::with_prepared_dictionary(&DECODER)?)
                .decompress(bytes, most),
        }),
        (true, false) => PLAIN.with_borrow_mut(|kept| match kept {
            Some(unpacker) => unpacker.decompress(bytes, most),
            None => kept.insert(Decompressor::new()?).decompress(bytes, most),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_dictionary_is_the_one_of_the_format() {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(DICTIONARY);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "2ae4645c41376c4cd2f6a59beacd83274afe1b701c674966e9625faba23bd132"
        );
    }

    #[test]
    fn small_contents_shrink_and_what_cannot_shrink_is_left() {
        let headers = br#"[["host","api.datadoghq.com"],["accept","application/json"],["te","x"]]"#;
        let (flags, packed) = pack(headers);
        assert_eq!(flags, FLAG_ZSTD | FLAG_DICTIONARY);
        assert!(packed.len() * 2 < headers.len(), "{}", packed.len());
        let mut noise = [0; 400];
        getrandom::fill(&mut noise).unwrap();
        assert_eq!(pack(&noise), (0, noise.to_vec()));
        assert_eq!(pack(b"{}"), (0, b"{}".to_vec()));
    }

    #[test]
    fn what_was_compressed_without_a_dictionary_still_reads() {
        let plain = vec![b'x'; 5000];
        let small = zstd::bulk::compress(&plain, 1).unwrap();
        assert_eq!(unpack(FLAG_ZSTD, &small).unwrap(), plain);
    }

    proptest! {
        #[test]
        fn round_trips(bytes in prop::collection::vec(any::<u8>(), 0..3000), times in 1usize..5) {
            let bytes = bytes.repeat(times);
            let (flags, packed) = pack(&bytes);
            prop_assert_eq!(unpack(flags, &packed).unwrap(), bytes);
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..300), flags: u8) {
            let _ = unpack(flags, &bytes);
        }
    }
}
