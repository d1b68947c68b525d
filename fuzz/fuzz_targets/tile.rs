//! Paths of tiles: what parses is written as it was read, and asking a small tree for it is safe.
#![no_main]

use ddgate_fuzz::tlog::{Levels, Tile, TileKind, leaf_hash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let Ok(tile) = path.parse::<Tile>() else {
        return;
    };
    assert_eq!(tile.to_string(), path);
    let mut tree = Levels::new();
    tree.push(leaf_hash(b"leaf"));
    let hashes = tile.hashes(&tree);
    let is_there = tile.kind() == TileKind::Hashes { level: 0 } && tile.index() == 0;
    assert_eq!(hashes.is_ok(), is_there && tile.width() == 1);
    let _ = tile.decode_hashes(path.as_bytes());
});
