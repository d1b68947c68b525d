//! Bodies on their way into the record: how they are cut changes nothing, and no secret survives.

#![no_main]

use std::sync::LazyLock;

use ddgate::record::Secret;
use ddgate::redact::{BodyRedactor, KnownSecrets};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "0c7e52a1f4b94d6e8a3b1c2d4e5f6071";
const PATHS: &[&str] = &["data.attributes.key", "api_keys.key"];

static KNOWN: LazyLock<Option<KnownSecrets>> = LazyLock::new(|| {
    let secret = ("dd-api-key".to_owned(), Secret::new(SECRET.to_owned()));
    KnownSecrets::new([secret]).ok()
});

fn shown(kind: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let Some(known) = &*KNOWN else {
        return Vec::new();
    };
    let media = [
        "application/json",
        "text/event-stream",
        "application/x-www-form-urlencoded",
    ];
    let media = media[usize::from(kind) % 3];
    let paths = if kind & 0x40 == 0 { &[][..] } else { PATHS };
    let mut redactor = BodyRedactor::new(known, Some(media), None, paths);
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(redactor.push(piece).get());
    }
    out.extend_from_slice(redactor.finish().get());
    out
}

fuzz_target!(|raw: &[u8]| {
    let [kind, cut, hidden, body @ ..] = raw else {
        return;
    };
    let mut body = body.to_vec();
    let at = usize::from(*hidden).min(body.len());
    body.splice(at..at, SECRET.bytes());
    let cut = usize::from(*cut).min(body.len());
    let (front, back) = body.split_at(cut);
    let whole = shown(*kind, &[&body]);
    assert_eq!(whole, shown(*kind, &[front, back]));
    let secret = SECRET.as_bytes();
    assert!(!whole.windows(secret.len()).any(|bytes| bytes == secret));
});
