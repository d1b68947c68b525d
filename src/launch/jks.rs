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

/// The trusted certificates (DER) of a store, whatever its password; nothing if it is none, or broken.
pub(super) fn certificates(store: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = store;
    let number = |rest: &mut &[u8]| {
        take(rest, 4).map(|bytes| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
    };
    if number(&mut rest)? != MAGIC as usize || number(&mut rest)? != VERSION as usize {
        return None;
    }
    let mut found = Vec::new();
    for _ in 0..number(&mut rest)? {
        let is_certificate = number(&mut rest)? == TRUSTED_CERTIFICATE as usize;
        take_utf(&mut rest)?;
        take(&mut rest, 8)?;
        let mut count = 1;
        if !is_certificate {
            // A key of the user's, which is passed over with its certificates.
            let length = number(&mut rest)?;
            take(&mut rest, length)?;
            count = number(&mut rest)?;
        }
        for _ in 0..count {
            take_utf(&mut rest)?;
            let length = number(&mut rest)?;
            let certificate = take(&mut rest, length)?;
            if is_certificate {
                found.push(certificate);
            }
        }
    }
    Some(found)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_utf<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 2)?;
    take(rest, usize::from(length[0]) << 8 | usize::from(length[1]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_torn_store_is_none() {
        let certificates_in = [b"one".as_slice(), &[7; 70_000], b""];
        let text = store(&certificates_in);
        assert_eq!(certificates(&text).unwrap(), certificates_in);
        // The checksum at the end is not looked at.
        for length in 0..text.len() - 20 {
            assert_eq!(certificates(&text[..length]), None, "{length}");
        }
        assert_eq!(certificates(b"0\x82 a PKCS #12 store"), None);
    }
}
