//! Entry bundles: the first byte is the width, the rest is read, and written again the same.
#![no_main]

use ddgate_fuzz::tlog::{decode_bundle, encode_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((width, bundle)) = bytes.split_first() else {
        return;
    };
    let width = u16::from(*width) + 1;
    if let Ok(leaves) = decode_bundle(bundle, width) {
        assert_eq!(leaves.len(), usize::from(width));
        assert_eq!(encode_bundle(&leaves).unwrap(), bundle);
    }
});
