//! The files of an exported directory, all from the same bytes: checked without a panic.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use ddgate::export;
use ddgate::journal::Expected;
use libfuzzer_sys::fuzz_target;

const VKEY: &[u8] = b"sum.golang.org/ddgate/07070707070707070707070707070707+00000000+AA==\n";

static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let made = tempfile::tempdir().map(tempfile::TempDir::keep);
    made.unwrap_or_default()
});

fuzz_target!(|raw: &[u8]| {
    let at = |name: &str| DIR.join(name);
    for below in [
        "tile/entries",
        "tile/0",
        "checkpoints",
        "blob",
        "leaf",
        "proof",
    ] {
        let _ = std::fs::create_dir_all(at(below));
    }
    let half = raw.len() / 2;
    let (one, other) = raw.split_at(half);
    let _ = std::fs::write(at("vkey"), if half % 2 == 0 { VKEY } else { one });
    let _ = std::fs::write(at("openings.jsonl"), one);
    let _ = std::fs::write(at("tile/entries/000"), other);
    let _ = std::fs::write(at("tile/0/000"), one);
    let _ = std::fs::write(at("checkpoints/00000000000000000001"), other);
    let _ = std::fs::write(at("leaf/0"), one);
    let _ = std::fs::write(at("proof/0.tlog-proof"), other);
    let _ = export::check(&DIR, &Expected::default(), &mut |_, _| {});
    let _ = export::proof::check(&DIR, None);
});
