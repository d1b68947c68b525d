//! A Java trust store: the only way to make a JVM trust one more authority without touching it.
//!
//! Pure. The format is JDK's JKS, version 2, with nothing but trusted certificates: every JDK since
//! 1.2 reads it without being told its type. No key ever stands in it.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;
const CERTIFICATE_TYPE: &str = "X.509";
/// What the checksum at the end begins with, after the password. It protects nothing.
const SALT: &[u8] = b"Mighty Aphrodite";
/// What every JDK's own store is opened with; it guards no secret.
pub(super) const PASSWORD: &str = "changeit";

/// Writes a store of certificates (DER).
pub(super) fn store<C: AsRef<[u8]>>(certificates: &[C]) -> Vec<u8> {
    let mut text = Vec::new();
    text.extend(MAGIC.to_be_bytes());
    text.extend(VERSION.to_be_bytes());
    text.extend(length(certificates.len()).to_be_bytes());
    for (at, certificate) in certificates.iter().enumerate() {
        text.extend(TRUSTED_CERTIFICATE.to_be_bytes());
        utf(&mut text, &format!("ddgate-{at}"));
        // When it was put in, which nobody reads.
        text.extend(0_u64.to_be_bytes());
        utf(&mut text, CERTIFICATE_TYPE);
        text.extend(length(certificate.as_ref().len()).to_be_bytes());
        text.extend(certificate.as_ref());
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for unit in PASSWORD.encode_utf16() {
        digest.update(&unit.to_be_bytes());
    }
    digest.update(SALT);
    digest.update(&text);
    text.extend(digest.finish().as_ref());
    text
}

/// Files this is made from are bounded far below 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// `DataOutput.writeUTF`, of short ASCII.
fn utf(text: &mut Vec<u8>, word: &str) {
    text.extend(u16::try_from(word.len()).unwrap_or(u16::MAX).to_be_bytes());
    text.extend(word.as_bytes());
}
