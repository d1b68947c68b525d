//! Says of most bytes, by looking at few of them, that no needle stands there.
//!
//! Wu and Manber's idea ("A fast algorithm for multi-pattern searching", 1994), cut down to a yes
//! or no. Every needle is at least `shortest` bytes long; of the places that are
//! `shortest - GRAM_BYTES + 1` apart, one therefore falls into the first `shortest` bytes of any
//! needle that stands anywhere, with [`GRAM_BYTES`] of the needle behind it. Only where a known
//! gram stands does somebody have to look. Invariant: a needle is never passed over; what is held
//! up need not be one.

use std::ops::Range;

/// Bytes looked at in one place.
const GRAM_BYTES: usize = 4;
/// 16 KiB of bits: it stays in the processor's first cache, and with fifty needles of forty bytes
/// holds up one place in a hundred.
const SLOT_BITS: u32 = 17;

/// The grams of all needles.
pub(super) struct Sieve {
    slots: Box<[u64]>,
    shortest: usize,
    longest: usize,
}

impl Sieve {
    /// Makes a sieve; none when a needle is too short for one.
    pub(super) fn new(needles: &[Box<[u8]>]) -> Option<Self> {
        let lengths = needles.iter().map(|needle| needle.len());
        let (shortest, longest) = (lengths.clone().min()?, lengths.max()?);
        if shortest < GRAM_BYTES {
            return None;
        }
        let mut slots = vec![0; 1 << (SLOT_BITS - u64::BITS.ilog2())].into_boxed_slice();
        for needle in needles {
            for gram in needle[..shortest].windows(GRAM_BYTES) {
                let (word, bit) = slot(gram);
                slots[word] |= bit;
            }
        }
        Some(Self {
            slots,
            shortest,
            longest,
        })
    }

    /// The parts of `bytes` in which a needle could stand, whole. They do not overlap, so that
    /// nothing is searched twice whatever the bytes are.
    pub(super) fn held_up(&self, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let reach = self.shortest - GRAM_BYTES;
        let mut places = (0..(bytes.len() + 1).saturating_sub(GRAM_BYTES))
            .step_by(reach + 1)
            .filter(|&at| {
                let (word, bit) = slot(&bytes[at..at + GRAM_BYTES]);
                self.slots[word] & bit != 0
            })
            .map(move |at| at.saturating_sub(reach)..bytes.len().min(at + self.longest))
            .peekable();
        std::iter::from_fn(move || {
            let mut part = places.next()?;
            while let Some(next) = places.next_if(|next| next.start <= part.end) {
                part.end = next.end;
            }
            Some(part)
        })
    }
}

/// Where a gram's bit is: word, and mask.
fn slot(gram: &[u8]) -> (usize, u64) {
    let gram = gram
        .first_chunk()
        .map_or(0, |four| u32::from_le_bytes(*four));
    // Fibonacci hashing (Knuth, volume 3, 6.4): the high bits depend on all of the gram.
    let hash = gram.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS);
    (hash as usize / 64, 1 << (hash % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sieve(needles: &[&str]) -> Sieve {
        let needles: Vec<_> = needles.iter().map(|n| n.as_bytes().into()).collect();
        Sieve::new(&needles).unwrap()
    }

    #[test]
    fn text_without_a_needle_passes() {
        let sieve = sieve(&["0123456789abcdef0123456789abcdef"]);
        let text = "a monitor of nothing in particular, said at some length ".repeat(50);
        assert_eq!(sieve.held_up(text.as_bytes()).count(), 0);
    }

    #[test]
    fn short_needles_have_no_sieve() {
        assert!(Sieve::new(&[]).is_none());
        assert!(Sieve::new(&[b"abc"[..].into(), b"abcdefgh"[..].into()]).is_none());
        assert!(Sieve::new(&[b"abcd"[..].into()]).is_some());
    }

    proptest! {
        #[test]
        fn a_needle_is_never_passed_over(
            needles in prop::collection::vec("[a-c]{4,12}", 1..6),
            which in any::<prop::sample::Index>(),
            before in "[a-d]{0,40}",
            after in "[a-d]{0,40}",
        ) {
            let needle = which.get(&needles);
            let all: Vec<&str> = needles.iter().map(String::as_str).collect();
            let text = format!("{before}{needle}{after}");
            let stands = before.len()..before.len() + needle.len();
            let sieve = sieve(&all);
            let mut held_up = sieve.held_up(text.as_bytes());
            prop_assert!(held_up.any(|r| r.start <= stands.start && stands.end <= r.end));
            let parts: Vec<_> = sieve.held_up(text.as_bytes()).collect();
            prop_assert!(parts.windows(2).all(|two| two[0].end < two[1].start));
        }
    }
}
