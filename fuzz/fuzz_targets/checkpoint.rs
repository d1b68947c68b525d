//! Checkpoints, bare and signed: what parses is written as it was read.
#![no_main]

use ddgate_fuzz::VKEY;
use ddgate_fuzz::tlog::{Checkpoint, SignedNote};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(checkpoint) = text.parse::<Checkpoint>()
    {
        assert_eq!(checkpoint.to_text(), text);
    }
    if let Ok(note) = SignedNote::parse(bytes) {
        let key = VKEY.parse().unwrap();
        let _ = Checkpoint::verify(&note, &key);
    }
});
