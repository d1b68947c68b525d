//! The power goes: whatever Datadog had seen by then is on record when it comes back.
//!
//! `ddgate run` works on a real file system whose block device logs every write and every flush
//! ([`device`]), while a fake Datadog in this process notes how long that log was whenever it had
//! seen a call whole ([`upstream`]). Afterwards the power is cut at any position of the log, again
//! and again ([`image`]): everything before the last flush has survived; of what was written since
//! none, some, torn or all. A call seen at position p must be in every image cut at p or later
//! ([`check`]). In some images the power goes once more while ddgate reads what was left.
//!
//! Controls make the same record with syncs, or every other one, that do nothing; they have to lose
//! calls: otherwise this would prove nothing. Needs root, `/dev/fuse`, loop devices and mkfs.
//!
//! `DDGATE_POWER_LOSS_IMAGES` asks for more images, `DDGATE_POWER_LOSS_XFS_IMAGES` for some on
//! XFS, `DDGATE_POWER_LOSS_SEED` for the calls and cuts of an earlier run; its timing never comes
//! back quite the same.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

#[path = "../support/absent.rs"]
mod absent;
mod agent;
mod check;
mod device;
#[path = "../support/dice.rs"]
mod dice;
mod image;
mod mounts;
mod recording;
mod upstream;

use std::collections::BTreeMap;

use dice::{Dice, asked};
use image::{Cut, Survivors};
use mounts::FileSystem;
use recording::{Recording, Syncs};

/// Images cut from one recording; more ask for another.
const IMAGES_A_RECORDING: u64 = 150;
/// Of the images in which something had been seen, so many in a hundred have to show a loss when no
/// sync does anything. The rest is what the file system wrote by itself in time.
const LOSSES_WITHOUT: usize = 80;
/// The same when every other sync does nothing, so that a call is missing only until the next.
const LOSSES_WITH_HALF: usize = 5;

/// What became of many images.
#[derive(Default)]
struct Tally {
    images: usize,
    /// Images in which the power went once more while ddgate read what was left.
    again: usize,
    /// Images in which at least one call had to be.
    telling: usize,
    /// Calls that had to be there, over all images.
    required: usize,
    /// Images that lack some of them.
    lossy: usize,
    /// What images lacked, and whatever else was wrong.
    complaints: Vec<String>,
    /// How often ddgate said what of a record.
    said: BTreeMap<String, usize>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} images ({} cut again while read), {} with calls that had to be there ({} in all); \
             {} lack some; said: {:?}",
            self.images, self.again, self.telling, self.required, self.lossy, self.said
        )
    }
}

/// Cuts `images` out of recordings and checks each.
fn cut(images: u64, system: FileSystem, syncs: Syncs, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut recording = None;
    for number in 0..images {
        if number % IMAGES_A_RECORDING == 0 {
            recording = Some(Recording::make(system, syncs, seed.wrapping_add(number)));
        }
        let recording = recording.as_ref().unwrap();
        let mut dice = Dice::new(seed.wrapping_add(number << 20));
        let cut = if number % IMAGES_A_RECORDING == 0 {
            Cut::end(&recording.entries)
        } else {
            Cut::roll(&recording.entries, recording.began, &mut dice)
        };
        let verdict = check::image(recording, &cut, system, &mut dice);
        tally.images += 1;
        tally.again += usize::from(verdict.again);
        tally.required += verdict.required;
        tally.telling += usize::from(verdict.required > 0);
        tally.lossy += usize::from(!verdict.lost.is_empty());
        for words in verdict.said {
            *tally.said.entry(words).or_default() += 1;
        }
        let complaints = verdict.lost.into_iter().chain(verdict.wrong);
        tally.complaints.extend(
            complaints.map(|complaint| format!("seed {seed}, image {number}, {cut}: {complaint}")),
        );
    }
    tally
}

fn nothing_is_lost(system: FileSystem, images: u64) {
    let seed = asked("DDGATE_POWER_LOSS_SEED", 1);
    let tally = cut(images, system, Syncs::Real, seed);
    println!("power loss, {system}: {tally}");
    assert!(tally.complaints.is_empty(), "{:#?}", tally.complaints);
    assert!(
        tally.telling * 2 > tally.images,
        "hardly anything was seen: {tally}"
    );
}

#[test]
fn what_was_seen_is_on_record() {
    if mounts::apart(&["mkfs.ext4"]) {
        nothing_is_lost(FileSystem::Ext4, asked("DDGATE_POWER_LOSS_IMAGES", 60));
    }
}

#[test]
fn what_was_seen_is_on_record_on_xfs() {
    let images = asked("DDGATE_POWER_LOSS_XFS_IMAGES", 0);
    if images > 0 && mounts::apart(&["mkfs.xfs"]) {
        nothing_is_lost(FileSystem::Xfs, images);
    }
}

/// The proof that a loss would be noticed.
fn losses_are_noticed(syncs: Syncs, hundredth: usize) {
    let seed = asked("DDGATE_POWER_LOSS_SEED", 1);
    let images = asked("DDGATE_POWER_LOSS_IMAGES", 60).div_ceil(4);
    let tally = cut(images, FileSystem::Ext4, syncs, seed);
    println!("power loss, control {syncs:?}: {tally}");
    assert!(
        tally.telling * 2 > tally.images,
        "hardly anything was seen: {tally}"
    );
    assert!(
        tally.lossy * 100 >= tally.telling * hundredth,
        "losses are not noticed, so nothing here proves anything: {tally}"
    );
}

#[test]
fn control_without_syncs() {
    if mounts::apart(&["mkfs.ext4", "strace"]) {
        losses_are_noticed(Syncs::Ignored, LOSSES_WITHOUT);
    }
}

#[test]
fn control_with_every_other_sync() {
    if mounts::apart(&["mkfs.ext4", "strace"]) {
        losses_are_noticed(Syncs::HalfIgnored, LOSSES_WITH_HALF);
    }
}

/// Cuts that are not random: what an image is made of.
#[test]
fn an_image_is_what_a_device_may_hold() {
    use device::Entry;
    let write = |offset: usize, byte: u8| Entry::Write {
        offset,
        data: vec![byte; 4096].into(),
    };
    let log = [
        write(0, 1),
        Entry::Flush,
        write(4096, 2),
        write(8192, 3),
        Entry::Flush,
        write(0, 4),
    ];
    let image = |at, survivors| Cut { at, survivors }.apply(&log, vec![0; 3 * 4096]);
    let bytes = |image: Vec<u8>| [image[0], image[4096], image[8192]];
    assert_eq!(bytes(image(4, Survivors::None)), [1, 0, 0]);
    assert_eq!(bytes(image(4, Survivors::All)), [1, 2, 3]);
    assert_eq!(bytes(image(3, Survivors::All)), [1, 2, 0]);
    assert_eq!(bytes(image(6, Survivors::None)), [1, 2, 3]);
    assert_eq!(bytes(image(6, Survivors::All)), [4, 2, 3]);
    assert_eq!(bytes(image(1, Survivors::None)), [0, 0, 0]);
    let torn = (0..50).map(|seed| image(6, Survivors::Some { seed, torn: 512 }));
    let torn: Vec<_> = torn.map(|image| image[..4096].to_vec()).collect();
    assert!(torn.iter().any(|sectors| sectors.iter().all(|b| *b == 1)));
    assert!(torn.iter().any(|s| s.contains(&1) && s.contains(&4)));
}
