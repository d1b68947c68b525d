//! What a device may hold after the power went: all up to the last flush, and of what was written
//! since none, all, or some, in sectors that were written or were not.

use crate::device::Entry;
use crate::dice::Dice;

/// What no file system tears: the sector of the oldest disks.
const SECTOR_BYTES: usize = 512;
/// The sector of newer ones.
const BLOCK_BYTES: usize = 4096;

/// A moment, and what of the writes since the last flush survives it.
pub(crate) struct Cut {
    /// Entries of the log that came before it.
    pub(crate) at: usize,
    pub(crate) survivors: Survivors,
}

pub(crate) enum Survivors {
    None,
    All,
    /// A random half of the writes, and of these some only in parts of this size.
    Some {
        seed: u64,
        torn: usize,
    },
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.survivors {
            Survivors::None => write!(f, "cut at {}, none since", self.at),
            Survivors::All => write!(f, "cut at {}, all since", self.at),
            Survivors::Some { torn, .. } => {
                write!(f, "cut at {}, some since, torn at {torn}", self.at)
            }
        }
    }
}

impl Cut {
    /// The end, and everything survives.
    pub(crate) const fn end(log: &[Entry]) -> Self {
        Self {
            at: log.len(),
            survivors: Survivors::All,
        }
    }

    /// Any moment of a log from `began` on.
    pub(crate) fn roll(log: &[Entry], began: usize, dice: &mut Dice) -> Self {
        let survivors = match dice.below(4) {
            0 => Survivors::None,
            1 => Survivors::All,
            half => Survivors::Some {
                seed: dice.roll(),
                torn: if half == 2 { SECTOR_BYTES } else { BLOCK_BYTES },
            },
        };
        Self {
            at: began + dice.below(log.len() - began + 1),
            survivors,
        }
    }

    /// What is left on a device that held `image` when the log began.
    pub(crate) fn apply(&self, log: &[Entry], mut image: Vec<u8>) -> Vec<u8> {
        let before = &log[..self.at];
        let flushed = before
            .iter()
            .rposition(|entry| matches!(entry, Entry::Flush));
        let (sure, since) = before.split_at(flushed.unwrap_or(0));
        for entry in sure {
            put(&mut image, entry, |_| true);
        }
        match self.survivors {
            Survivors::None => {}
            Survivors::All => since
                .iter()
                .for_each(|entry| put(&mut image, entry, |_| true)),
            Survivors::Some { seed, torn } => {
                let mut dice = Dice::new(seed);
                for entry in since {
                    let (is_lost, is_torn) = (dice.once_in(2), dice.once_in(2));
                    let mut part = (usize::MAX, false);
                    put(&mut image, entry, |at| {
                        if part.0 != at / torn {
                            part = (at / torn, dice.once_in(2));
                        }
                        !is_lost && (!is_torn || part.1)
                    });
                }
            }
        }
        image
    }
}

/// Applies those sectors of a write for whose offset `survives` says so.
fn put(image: &mut [u8], entry: &Entry, mut survives: impl FnMut(usize) -> bool) {
    let Entry::Write { offset, data } = entry else {
        return;
    };
    for (number, sector) in data.chunks(SECTOR_BYTES).enumerate() {
        let at = offset + number * SECTOR_BYTES;
        if survives(at) {
            image[at..at + sector.len()].copy_from_slice(sector);
        }
    }
}
