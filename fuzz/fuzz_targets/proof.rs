//! Proof files, and their numbers against roots that are not theirs.
#![no_main]

use ddgate_fuzz::VKEY;
use ddgate_fuzz::tlog::{Checkpoint, TlogProof, leaf_hash, verify_consistency, verify_inclusion};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proof) = TlogProof::parse(bytes) else {
        return;
    };
    assert_eq!(proof.to_string().as_bytes(), bytes);
    let leaf = leaf_hash(b"leaf");
    let key = VKEY.parse().unwrap();
    assert!(proof.verify(&leaf, &key).is_err());
    if let Ok(checkpoint) = proof.checkpoint.text().parse::<Checkpoint>() {
        let (index, size, root) = (proof.index, checkpoint.size(), checkpoint.root());
        // Nothing leads from this leaf to a root, but in the tree of this leaf alone. The file
        // says nothing about history; its numbers and hashes serve as well as any.
        let is_included = verify_inclusion(&leaf, index, size, &proof.hashes, root).is_ok();
        let is_continued = verify_consistency(index, &leaf, size, root, &proof.hashes).is_ok();
        assert!(*root == leaf || !(is_included || is_continued));
    }
});
