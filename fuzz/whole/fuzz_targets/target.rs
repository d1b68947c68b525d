//! Paths and queries of a hostile child: classified and redacted without a panic, and a key that
//! stands in one never comes out.

#![no_main]

use std::sync::LazyLock;

use ddgate::record::Secret;
use ddgate::{datadog, redact};
use http::Method;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "0c7e52a1f4b94d6e8a3b1c2d4e5f6071";

static KNOWN: LazyLock<Option<redact::KnownSecrets>> = LazyLock::new(|| {
    let secret = ("dd-api-key".to_owned(), Secret::new(SECRET.to_owned()));
    redact::KnownSecrets::new([secret]).ok()
});

fuzz_target!(|raw: &str| {
    let Some(known) = &*KNOWN else { return };
    let (path, _) = raw.split_once('?').unwrap_or((raw, ""));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let operation = datadog::classify(&method, "api.datadoghq.com", path);
        let with_key = format!("{raw}{SECRET}");
        let shown = redact::target(known, &operation, &with_key).into_inner();
        assert!(!shown.contains(SECRET), "{shown}");
        let _ = redact::names(known, &operation, path);
    }
});
