//! Notes and the keys they are checked with: what parses is written as it was read.
#![no_main]

use ddgate_fuzz::VKEY;
use ddgate_fuzz::tlog::{SignedNote, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = SignedNote::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        let key = VKEY.parse().unwrap();
        let _ = note.verify(&key);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(key) = text.parse::<VerifierKey>()
    {
        assert_eq!(key.to_string(), text);
    }
});
