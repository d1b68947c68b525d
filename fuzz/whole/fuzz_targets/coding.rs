//! Compressed bodies, cut anywhere: decoded the same however they are cut, within their bound.

#![no_main]

use ddgate::content_coding::Decoder;
use libfuzzer_sys::fuzz_target;

const BOUND: u64 = 1 << 20;

fn decoded(coding: &str, pieces: &[&[u8]]) -> Option<(Vec<u8>, bool)> {
    let mut decoder = Decoder::new(coding, BOUND).ok()??;
    let mut out = Vec::new();
    let mut is_whole = true;
    for piece in pieces {
        is_whole &= decoder.push(piece, &mut out).is_ok();
    }
    Some((out, is_whole & decoder.finish().is_ok()))
}

fuzz_target!(|raw: &[u8]| {
    let [which, cut, body @ ..] = raw else { return };
    let coding = ["gzip", "deflate", "br", "zstd", "gzip, br"][usize::from(*which) % 5];
    let cut = usize::from(*cut).min(body.len());
    let (front, back) = body.split_at(cut);
    let whole = decoded(coding, &[body]);
    let parts = decoded(coding, &[front, back]);
    if let (Some((whole, true)), Some((parts, _))) = (&whole, &parts) {
        assert!(whole == parts && whole.len() as u64 <= BOUND);
    }
});
