//! What secrets look like that nobody told us about: words with a beginning of their own.
//!
//! A beginning is looked for anywhere, not only where a word begins: what stands before it may be
//! an escape (`\n`, `%3D`). Each check reads a bounded stretch and says [`Verdict::More`] while
//! bytes yet to come could change the answer. Invariant: but for PEM blocks no shape spans a line.

/// The longest word or block looked at; the rest of a longer one is dropped unseen. Tokens that
/// travel in headers are shorter, and so is the PEM block of a 16384-bit RSA key.
pub(super) const SHAPE_BYTES_MAX: usize = 16 << 10;

/// A set of bytes.
pub(super) type ByteSet = fn(u8) -> bool;

/// The answer about one place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// No secret begins here.
    No,
    /// It depends on what follows.
    More,
    /// A secret ends here.
    Match {
        /// Behind its last byte.
        end: usize,
        /// It is longer than [`SHAPE_BYTES_MAX`]: these bytes behind it belong to it too.
        rest: Option<ByteSet>,
    },
    /// No secret begins here, nor does a [`Kind::Jwt`] before this place.
    NoneBefore(usize),
}

/// A kind of secret.
pub(super) struct Shape {
    /// The name of the rule.
    pub(super) rule: &'static str,
    /// How it begins.
    pub(super) prefix: &'static str,
    pub(super) kind: Kind,
}

/// What follows the beginning.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// At least so many of these bytes, and all of them that follow.
    AtLeast(usize, ByteSet),
    /// Exactly so many, and then another byte.
    Exactly(usize, ByteSet),
    /// RFC 7519: parts of base64url with dots between them.
    Jwt,
    /// RFC 7468: a private key, down to its last line.
    Pem,
}

const fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

const fn word_or_dot(byte: u8) -> bool {
    word(byte) || byte == b'.'
}

const fn underscored(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn hyphened(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

const fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

const fn capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const fn shape(rule: &'static str, prefix: &'static str, kind: Kind) -> Shape {
    Shape { rule, prefix, kind }
}

/// Datadog's own first; then what engineers hold beside it.
pub(super) const SHAPES: [Shape; 17] = [
    shape("datadog-app-key", "ddapp_", Kind::AtLeast(34, alphanumeric)),
    shape("datadog-token", "ddpat_", Kind::AtLeast(16, underscored)),
    shape("datadog-token", "ddsat_", Kind::AtLeast(16, underscored)),
    shape("aws-access-key-id", "AKIA", Kind::Exactly(16, capital)),
    shape("aws-access-key-id", "ASIA", Kind::Exactly(16, capital)),
    shape("github-token", "ghp_", Kind::AtLeast(36, alphanumeric)),
    shape("github-token", "gho_", Kind::AtLeast(36, alphanumeric)),
    shape("github-token", "ghu_", Kind::AtLeast(36, alphanumeric)),
    shape("github-token", "ghs_", Kind::AtLeast(36, alphanumeric)),
    shape("github-token", "ghr_", Kind::AtLeast(36, alphanumeric)),
    shape(
        "github-token",
        "github_pat_",
        Kind::AtLeast(22, underscored),
    ),
    shape("slack-token", "xoxa-", Kind::AtLeast(10, hyphened)),
    shape("slack-token", "xoxb-", Kind::AtLeast(10, hyphened)),
    shape("slack-token", "xoxp-", Kind::AtLeast(10, hyphened)),
    shape("slack-token", "xoxr-", Kind::AtLeast(10, hyphened)),
    shape(
        "age-secret-key",
        "AGE-SECRET-KEY-1",
        Kind::AtLeast(50, capital),
    ),
    shape("private-key", "-----BEGIN", Kind::Pem),
];

/// Apart, because its beginning is short and stands in much base64.
pub(super) const JWT: Shape = shape("jwt", "eyJ", Kind::Jwt);

impl Shape {
    /// Whether `bytes[at..]`, which begins as it should, is such a secret. `open`: more may follow.
    pub(super) fn check(&self, bytes: &[u8], at: usize, open: bool) -> Verdict {
        let from = at + self.prefix.len();
        match self.kind {
            Kind::AtLeast(least, set) => {
                let end = run(bytes, from, from + SHAPE_BYTES_MAX, set);
                if end == from + SHAPE_BYTES_MAX {
                    found(end, Some(set))
                } else if open && end == bytes.len() {
                    Verdict::More
                } else if end - from >= least {
                    found(end, None)
                } else {
                    Verdict::No
                }
            }
            Kind::Exactly(length, set) => {
                let end = run(bytes, from, from + length + 1, set);
                if end - from > length {
                    Verdict::No
                } else if open && end == bytes.len() {
                    Verdict::More
                } else if end - from == length {
                    found(end, None)
                } else {
                    Verdict::No
                }
            }
            Kind::Jwt => jwt(bytes, at, open),
            Kind::Pem => pem(bytes, from, open),
        }
    }
}

const fn found(end: usize, rest: Option<ByteSet>) -> Verdict {
    Verdict::Match { end, rest }
}

/// Where the bytes of a set end that begin at `from`; not beyond `to`.
fn run(bytes: &[u8], from: usize, to: usize, set: ByteSet) -> usize {
    let to = to.min(bytes.len());
    let part = bytes.get(from..to).unwrap_or_default();
    let length = part.iter().position(|&byte| !set(byte));
    length.map_or(to.max(from), |length| from + length)
}

/// The shortest header is `{"alg":"…"}`, and a payload is at least `{}`.
const JWT_HEADER_BYTES_MIN: usize = 12;
const JWT_PAYLOAD_BYTES_MIN: usize = 3;
/// Encrypted ones (RFC 7516) have five parts.
const JWT_PARTS_MAX: usize = 5;

fn jwt(bytes: &[u8], at: usize, open: bool) -> Verdict {
    let limit = at + SHAPE_BYTES_MAX;
    let mut begin = at;
    for part in 0..JWT_PARTS_MAX {
        let end = run(bytes, begin, limit, word);
        if end == limit {
            // Two parts of it, or as much base64 as no header is long.
            return match part {
                0 => Verdict::NoneBefore(limit),
                _ => found(end, Some(word_or_dot)),
            };
        }
        if open && end == bytes.len() {
            return Verdict::More;
        }
        let length = end - begin;
        let goes_on = bytes.get(end) == Some(&b'.');
        match part {
            // Who begins later in the same word meets the same end.
            0 if !goes_on => return Verdict::NoneBefore(end),
            0 if length < JWT_HEADER_BYTES_MIN => return Verdict::NoneBefore(end),
            1 if !goes_on || length < JWT_PAYLOAD_BYTES_MIN => {
                return Verdict::NoneBefore(begin - 1);
            }
            0 | 1 => {}
            // The dot of a sentence is not one of the token.
            _ if part > 2 && length == 0 => return found(begin - 1, None),
            _ if !goes_on || part + 1 == JWT_PARTS_MAX => return found(end, None),
            _ => {}
        }
        begin = end + 1;
    }
    Verdict::No
}

/// The longest label between `BEGIN` and the dashes: `ENCRYPTED PRIVATE KEY`, with escapes.
const LABEL_BYTES_MAX: usize = 64;
const DASHES: &[u8] = b"-----";
/// A key this short is a word about keys.
const PEM_BYTES_MIN: usize = 32;

/// The label: capitals and blanks, the latter also as `+` and `%20`.
const fn label(byte: u8) -> bool {
    capital(byte) || matches!(byte, b' ' | b'+' | b'%')
}

/// Base64, line ends as they are or escaped, and header lines (RFC 1421): no quotes.
const fn block(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte.is_ascii_whitespace()
        || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b'%' | b':' | b',' | b'.')
}

fn pem(bytes: &[u8], from: usize, open: bool) -> Verdict {
    let begun = match private_label(bytes, from, open) {
        Ok(end) => end,
        Err(verdict) => return verdict,
    };
    let limit = from + SHAPE_BYTES_MAX;
    let mut end = begun;
    loop {
        end = run(bytes, end, limit, block);
        if end >= limit {
            return found(end, Some(block));
        }
        let rest = &bytes[end..];
        if rest.starts_with(b"-----END") {
            return match private_label(bytes, end + b"-----END".len(), open) {
                Ok(end) => found(end, None),
                Err(Verdict::More) => Verdict::More,
                Err(_) => found(end, None),
            };
        }
        if open && b"-----END".starts_with(rest) {
            return Verdict::More;
        }
        // `DEK-Info: AES-128-CBC`
        if rest.first() == Some(&b'-') && !rest.starts_with(DASHES) {
            end += 1;
            continue;
        }
        // Cut off, by a quote for example: what there is of a key is a key.
        return match end - begun {
            0..PEM_BYTES_MIN => Verdict::No,
            _ => found(end, None),
        };
    }
}

/// Where a label of private keys ends, dashes included.
fn private_label(bytes: &[u8], from: usize, open: bool) -> Result<usize, Verdict> {
    let end = run(bytes, from, from + LABEL_BYTES_MAX, label);
    let dashes = bytes.get(end..).unwrap_or_default();
    if end < from + LABEL_BYTES_MAX && open && dashes.len() < DASHES.len() {
        if DASHES.starts_with(dashes) {
            return Err(Verdict::More);
        }
        return Err(Verdict::No);
    }
    let text = &bytes[from.min(end)..end];
    let private = text.windows(7).any(|window| window == b"PRIVATE");
    match private && dashes.starts_with(DASHES) {
        true => Ok(end + DASHES.len()),
        false => Err(Verdict::No),
    }
}
