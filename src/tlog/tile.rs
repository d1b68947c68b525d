//! The published form of a tree (C2SP tlog-tiles): files of up to 256 hashes or leaves, and where
//! they stand. Full ones never change; the last of each level is partial, and its path says how
//! wide it is.
//!
//! Knows paths and bytes, and touches no files.

use std::fmt;
use std::str::FromStr;

use super::checkpoint::decimal;
use super::hash::{HASH_BYTES, Hash};
use super::{Levels, TlogError};

/// Hashes or leaves in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree in one tile: `2^8` is its width.
const TILE_HEIGHT: u32 = 8;
/// The highest level a path may name.
const LEVEL_MAX: u8 = 63;
/// A longer path names no 64-bit number: `tile/entries/`, seven groups, `.p/255`.
const PATH_BYTES_MAX: usize = 64;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of subtrees of `256^level` leaves.
    Hashes {
        /// The level, at most 63.
        level: u8,
    },
    /// The leaves themselves ("entry bundle").
    Entries,
}

/// Which tile. Displays as its path, `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`, and
/// parses only from what it would display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl Tile {
    /// The `index`-th tile of its level, with the first `width` of its 256 places filled.
    ///
    /// # Errors
    ///
    /// If there are no such levels or widths.
    pub const fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, TlogError> {
        if width == 0 || width > TILE_WIDTH {
            return Err(TlogError::TilePath("a width outside 1 to 256"));
        }
        if let TileKind::Hashes { level } = kind
            && level > LEVEL_MAX
        {
            return Err(TlogError::TilePath("a level above 63"));
        }
        Ok(Self { kind, index, width })
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its place among the tiles of its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How much it holds, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The leaves of an entry bundle, or the hashes of level 0: the first, and the one after the
    /// last. The same arithmetic holds for the nodes of higher levels.
    ///
    /// # Errors
    ///
    /// If no tree has that many.
    pub fn range(&self) -> Result<std::ops::Range<u64>, TlogError> {
        let start = self.index.checked_mul(u64::from(TILE_WIDTH));
        let end = start.and_then(|start| start.checked_add(u64::from(self.width)));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(self.unfit("no tree has that many leaves"));
        };
        Ok(start..end)
    }

    /// The bytes of a tile of hashes.
    ///
    /// # Errors
    ///
    /// If the tree is not that large, or this is a bundle of entries.
    pub fn hashes(&self, tree: &Levels) -> Result<Vec<u8>, TlogError> {
        let TileKind::Hashes { level } = self.kind else {
            return Err(self.unfit("it holds entries, not hashes"));
        };
        let level = u32::from(level) * TILE_HEIGHT;
        let mut bytes = Vec::with_capacity(usize::from(self.width) * HASH_BYTES);
        for index in self.range()? {
            let hash = tree.hash_at(level, index);
            let hash = hash.ok_or_else(|| self.unfit("the tree is smaller"))?;
            bytes.extend_from_slice(hash.as_bytes());
        }
        Ok(bytes)
    }

    /// Reads the bytes of a tile of hashes.
    ///
    /// # Errors
    ///
    /// If they are more or fewer than its width says, or this is a bundle of entries.
    pub fn decode_hashes(&self, bytes: &[u8]) -> Result<Vec<Hash>, TlogError> {
        if self.kind == TileKind::Entries {
            return Err(self.unfit("it holds entries, not hashes"));
        }
        let (chunks, rest) = bytes.as_chunks::<HASH_BYTES>();
        if chunks.len() != usize::from(self.width) || !rest.is_empty() {
            return Err(self.unfit("more or fewer bytes than its hashes have"));
        }
        Ok(chunks.iter().copied().map(Hash::from_bytes).collect())
    }

    const fn unfit(&self, why: &'static str) -> TlogError {
        TlogError::Tile {
            width: self.width,
            why,
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}")?,
            TileKind::Entries => f.write_str("tile/entries")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        // All but the last begin with x, so that no file is in the way of a directory.
        for (place, group) in groups.iter().enumerate().rev() {
            let mark = if place > 0 { "x" } else { "" };
            write!(f, "/{mark}{group:03}")?;
        }
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for Tile {
    type Err = TlogError;

    fn from_str(path: &str) -> Result<Self, TlogError> {
        let wrong = TlogError::TilePath;
        if path.len() > PATH_BYTES_MAX {
            return Err(wrong("too long"));
        }
        let rest = path.strip_prefix("tile/").ok_or(wrong("not in `tile`"))?;
        let (level, rest) = rest.split_once('/').ok_or(wrong("no index"))?;
        let kind = if level == "entries" {
            TileKind::Entries
        } else {
            let level = decimal(level).and_then(|level| u8::try_from(level).ok());
            let level = level.ok_or(wrong("the level is not a number"))?;
            TileKind::Hashes { level }
        };
        let (groups, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((groups, width)) => {
                let width = decimal(width).and_then(|width| u16::try_from(width).ok());
                (groups, width.ok_or(wrong("the width is not a number"))?)
            }
        };
        let mut index: u64 = 0;
        for group in groups.split('/') {
            let digits = decimal_group(group).ok_or(wrong("not groups of three digits"))?;
            let next = index.checked_mul(1000);
            let next = next.and_then(|next| next.checked_add(digits));
            index = next.ok_or(wrong("the index is too large"))?;
        }
        let tile = Self::new(kind, index, width)?;
        // What is left: marks in the wrong places, groups of zeros in front, `.p/256`.
        if tile.to_string() != path {
            return Err(wrong("not as it would be written"));
        }
        Ok(tile)
    }
}

/// Three digits, with or without the mark before them.
fn decimal_group(group: &str) -> Option<u64> {
    let digits = group.strip_prefix('x').unwrap_or(group);
    let is_group = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_group.then(|| digits.parse().ok())?
}

/// Every tile of hashes that a published tree of `size` leaves has.
pub fn tiles_of(size: u64) -> impl Iterator<Item = Tile> {
    let levels = (0..=LEVEL_MAX).map_while(move |level| {
        let nodes = size.checked_shr(u32::from(level) * TILE_HEIGHT)?;
        (nodes > 0).then_some((level, nodes))
    });
    levels.flat_map(|(level, nodes)| row(TileKind::Hashes { level }, nodes))
}

/// Every entry bundle that a published tree of `size` leaves has.
pub fn bundles_of(size: u64) -> impl Iterator<Item = Tile> {
    row(TileKind::Entries, size)
}

/// The tiles over `nodes` hashes or leaves, the partial one last.
fn row(kind: TileKind, nodes: u64) -> impl Iterator<Item = Tile> {
    let full = nodes / u64::from(TILE_WIDTH);
    let tile = move |index, width| Tile { kind, index, width };
    // The remainder is below 256.
    let partial = u16::try_from(nodes % u64::from(TILE_WIDTH)).ok();
    let partial = partial.filter(|width| *width > 0);
    let full_tiles = (0..full).map(move |index| tile(index, TILE_WIDTH));
    full_tiles.chain(partial.map(move |width| tile(full, width)))
}

/// Writes leaves as an entry bundle: each after its length in two bytes, big-endian.
///
/// # Errors
///
/// If there are none or more than 256, or one is longer than 65,535 bytes.
pub fn encode_bundle<L: AsRef<[u8]>>(leaves: &[L]) -> Result<Vec<u8>, TlogError> {
    if leaves.is_empty() || leaves.len() > usize::from(TILE_WIDTH) {
        return Err(TlogError::Bundle("not 1 to 256 entries"));
    }
    let mut bytes = Vec::new();
    for leaf in leaves.iter().map(AsRef::as_ref) {
        let length = u16::try_from(leaf.len());
        let length = length.map_err(|_| TlogError::Bundle("an entry longer than 65,535 bytes"))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    Ok(bytes)
}

/// Reads an entry bundle of `width` leaves.
///
/// # Errors
///
/// If it holds more or fewer, or ends within one.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TlogError> {
    let wrong = |why| TlogError::Tile { width, why };
    if width == 0 || width > TILE_WIDTH {
        return Err(wrong("no bundle has that width"));
    }
    let mut leaves = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk().ok_or(wrong("it ends early"))?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (leaf, after) = after
            .split_at_checked(length)
            .ok_or(wrong("it ends early"))?;
        leaves.push(leaf);
        rest = after;
    }
    if rest.is_empty() {
        Ok(leaves)
    } else {
        Err(wrong("something follows its last entry"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::LEAF_BYTES_MAX;
    use crate::tlog::leaf_hash;
    use crate::tlog::tests::{edited, tree};

    fn kinds() -> impl Strategy<Value = TileKind> {
        prop_oneof![
            (0..=LEVEL_MAX).prop_map(|level| TileKind::Hashes { level }),
            Just(TileKind::Entries),
        ]
    }

    /// The path as `tlog_tiles` has it: with the height, and `data` for entries.
    fn their_path(path: &str) -> String {
        let path = path.replacen("tile/entries/", "tile/data/", 1);
        path.replacen("tile/", "tile/8/", 1)
    }

    #[test]
    fn paths_of_the_specification() {
        let entries = |index, width| Tile::new(TileKind::Entries, index, width).unwrap();
        let hashes = |level, index| Tile::new(TileKind::Hashes { level }, index, 256).unwrap();
        for (tile, path) in [
            (hashes(0, 0), "tile/0/000"),
            (hashes(63, 999), "tile/63/999"),
            (entries(1000, 256), "tile/entries/x001/000"),
            (entries(1_234_067, 8), "tile/entries/x001/x234/067.p/8"),
            (
                entries(u64::MAX, 255),
                "tile/entries/x018/x446/x744/x073/x709/x551/615.p/255",
            ),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(path.parse(), Ok(tile));
        }
    }

    #[test]
    fn paths_that_are_none() {
        for wrong in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/1",
            "tile/0/0001",
            "tile/64/000",
            "tile/00/000",
            "tile/+1/000",
            "tile/-1/000",
            "tile/256/000",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0//000",
            "tile/0/x000",
            "tile/0/x000/001",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/x01/000",
            "tile/0/xx01/000",
            "tile/0/+01",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/data/000",
            "tile/0/../000",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
            "tile/0/\u{661}\u{661}\u{661}",
            "tile/entries/x999/x999/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(wrong.parse::<Tile>().is_err(), "{wrong:?}");
        }
        assert!(Tile::new(TileKind::Hashes { level: 64 }, 0, 1).is_err());
        assert!(Tile::new(TileKind::Entries, 0, 0).is_err());
        assert!(Tile::new(TileKind::Entries, 0, 257).is_err());
    }

    #[test]
    fn the_tiles_of_the_specification() {
        let paths = |size| {
            tiles_of(size)
                .map(|tile| tile.to_string())
                .collect::<Vec<_>>()
        };
        assert!(paths(0).is_empty() && bundles_of(0).next().is_none());
        assert_eq!(paths(256), ["tile/0/000", "tile/1/000.p/1"]);
        let large = paths(70_000);
        assert_eq!(large.len(), 277);
        assert_eq!(
            large[272..],
            [
                "tile/0/272",
                "tile/0/273.p/112",
                "tile/1/000",
                "tile/1/001.p/17",
                "tile/2/000.p/1",
            ]
        );
        assert_eq!(
            bundles_of(70_000).last().unwrap().to_string(),
            "tile/entries/273.p/112"
        );
        // The largest size is counted through lazily, and does not overflow.
        assert_eq!(tiles_of(u64::MAX).next().unwrap().to_string(), "tile/0/000");
    }

    #[test]
    fn what_a_tile_cannot_hold() {
        let tree = tree(300);
        let of = |path: &str| path.parse::<Tile>().unwrap();
        let partial = of("tile/0/001.p/44");
        let bytes = partial.hashes(&tree).unwrap();
        assert_eq!(bytes.len(), 44 * HASH_BYTES);
        assert_eq!(
            partial.decode_hashes(&bytes).unwrap()[0],
            leaf_hash(&256_u64.to_be_bytes())
        );
        assert!(partial.decode_hashes(&bytes[1..]).is_err());
        assert!(
            partial
                .decode_hashes(&[bytes.as_slice(), &[0; 32]].concat())
                .is_err()
        );
        for absent in [
            "tile/0/001.p/45",
            "tile/1/000.p/2",
            "tile/63/000.p/1",
            "tile/entries/000",
            "tile/0/x018/x446/x744/x073/x709/x551/615",
        ] {
            assert!(of(absent).hashes(&tree).is_err(), "{absent}");
        }
        assert!(of("tile/entries/000").decode_hashes(&[0; 8192]).is_err());
        assert!(
            of("tile/0/x018/x446/x744/x073/x709/x551/615")
                .range()
                .is_err()
        );
        assert_eq!(partial.range(), Ok(256..300));
    }

    #[test]
    fn bundles_that_are_none() {
        let longest = vec![7; LEAF_BYTES_MAX];
        let bundle = encode_bundle(&[longest.as_slice(), b""]).unwrap();
        assert_eq!(bundle.len(), 2 + LEAF_BYTES_MAX + 2);
        assert_eq!(
            decode_bundle(&bundle, 2).unwrap(),
            [longest.as_slice(), b""]
        );
        for width in [0, 1, 3, 256, 257, u16::MAX] {
            assert!(decode_bundle(&bundle, width).is_err(), "{width}");
        }
        assert!(encode_bundle(&[vec![0; LEAF_BYTES_MAX + 1]]).is_err());
        assert!(encode_bundle::<Vec<u8>>(&[]).is_err());
        assert!(encode_bundle(&[b"x"; 257]).is_err());
        assert!(encode_bundle(&[b"x"; 256]).is_ok());
    }

    proptest! {
        #[test]
        fn paths_are_those_of_tlog_tiles(kind in kinds(), index in any::<u64>(), width in 1..=256_u16) {
            let ours = Tile::new(kind, index, width).unwrap();
            let (level, is_data) = match kind {
                TileKind::Hashes { level } => (level, false),
                TileKind::Entries => (0, true),
            };
            let theirs = tlog_tiles::Tile::new(8, level, index, u32::from(width), is_data);
            prop_assert_eq!(their_path(&ours.to_string()), theirs.path());
            prop_assert_eq!(ours.to_string().parse(), Ok(ours));
        }

        #[test]
        fn any_path_is_safe(
            path in prop_oneof![
                "tile/(entries|[0-9]{1,2})(/x?[0-9]{3}){1,8}(\\.p/[0-9]{1,3})?",
                edited(b"tile/entries/x001/x234/067.p/8".to_vec())
                    .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                ".{0,80}",
            ],
        ) {
            if let Ok(tile) = path.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), path.as_str());
                prop_assert!(tlog_tiles::Tile::from_path(&their_path(&path)).is_ok());
            }
        }

        #[test]
        fn tiles_are_those_of_tlog_tiles(size in 0..200_000_u64) {
            let ours: Vec<_> = tiles_of(size).map(|tile| their_path(&tile.to_string())).collect();
            let theirs = tlog_tiles::Tile::new_tiles(8, 0, size);
            prop_assert_eq!(ours, theirs.iter().map(tlog_tiles::Tile::path).collect::<Vec<_>>());
        }

        #[test]
        fn bundles_come_back(leaves in prop::collection::vec(any::<Vec<u8>>(), 1..=256)) {
            let bytes = encode_bundle(&leaves).unwrap();
            let width = u16::try_from(leaves.len()).unwrap();
            prop_assert_eq!(decode_bundle(&bytes, width).unwrap(), leaves);
        }

        #[test]
        fn any_bundle_is_safe(
            bytes in prop_oneof![
                edited(encode_bundle(&["one", "", "three"]).unwrap()),
                any::<Vec<u8>>(),
            ],
            width in 0..300_u16,
        ) {
            for width in [width, 3] {
                if let Ok(leaves) = decode_bundle(&bytes, width) {
                    prop_assert_eq!(encode_bundle(&leaves).unwrap(), bytes.as_slice());
                }
            }
        }
    }
}
