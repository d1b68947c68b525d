//! Encryption at rest: age for the session's key, the age payload format for each frame.
//!
//! A session with recipients has one age header. Header and sealed payload, put one behind the
//! other, are a complete age file (<https://age-encryption.org/v1>): any age tool with one of the
//! identities opens what ddgate wrote. The crate `age` does what it is good at, wrapping the file
//! key and unwrapping it; the payloads are sealed here, since a session has thousands of them under
//! one header.
//! Invariant: the file key is made for the session, lives in memory only, and is zeroised.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use age::secrecy::ExposeSecret;
use age::x25519;
use age_core::format::{FileKey, Stanza};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::JournalError;
use crate::limits;

/// Before each payload, and the salt of its key.
const NONCE_BYTES: usize = 16;
/// Behind each payload.
const TAG_BYTES: usize = 16;
/// What a sealed frame is longer than what was sealed.
pub(super) const SEAL_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// The only chunk of a STREAM is its last: counter 0, last-chunk flag 1.
const CHUNK_NONCE: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The longest chunk of a STREAM.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// How the one kind of recipient begins, and how its secret does.
const RECIPIENT: &str = "age1";
const SECRET: &str = "AGE-SECRET-KEY-";

type Key = Zeroizing<[u8; 16]>;

/// Who can read what sessions hold. Without any, sessions are not encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads recipients as `age-keygen` prints them.
    ///
    /// # Errors
    /// One of them is none; it is named, unless it is a secret.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut recipients = Vec::new();
        for word in words {
            let recipient = recipient(word)?;
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
        }
        if recipients.len() > limits::RECIPIENTS_MAX {
            let most = limits::RECIPIENTS_MAX;
            return Err(format!("more than {most} recipients"));
        }
        Ok(Self(recipients))
    }

    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(" "))
    }
}

fn recipient(word: &str) -> Result<x25519::Recipient, String> {
    if word.to_ascii_uppercase().starts_with(SECRET) {
        return Err(
            "a secret key stands where a recipient belongs: `age-keygen -y FILE` prints the \
             recipient of a secret key"
                .into(),
        );
    }
    word.parse().map_err(|why| {
        let word = word.escape_debug();
        let rest = word.to_string().strip_prefix(RECIPIENT).map(str::to_owned);
        match rest {
            Some(_) => format!("`{word}` is no age recipient ddgate knows, or mistyped: {why}"),
            None => format!("`{word}` is no age recipient: those begin with `{RECIPIENT}`"),
        }
    })
}

/// What opens sealed sessions: secret keys, read from files.
#[derive(Clone, Default)]
pub struct Identities(Vec<Arc<dyn age::Identity + Send + Sync>>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl Identities {
    /// Reads identity files as `age-keygen` writes them.
    ///
    /// # Errors
    /// One of them cannot be read, or holds something else.
    pub fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Self, JournalError> {
        let mut identities = Vec::new();
        for path in paths {
            identities.extend(identity_file(path)?);
        }
        Ok(Self(identities))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether such files are there. Does not read them: a pipe gives what it holds once.
    ///
    /// # Errors
    /// One of them is not.
    pub fn are_there<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), JournalError> {
        paths.into_iter().try_for_each(|path| {
            let about = std::fs::metadata(path);
            about.map(drop).map_err(|e| no_identity(path, &e))
        })
    }
}

fn no_identity(path: &Path, why: &dyn fmt::Display) -> JournalError {
    JournalError::Identity {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn identity_file(path: &Path) -> Result<Vec<Arc<dyn age::Identity + Send + Sync>>, JournalError> {
    let not = |why: &str| no_identity(path, &why);
    // Allocated once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(limits::IDENTITY_BYTES_MAX + 1));
    File::open(path)
        .and_then(|file| {
            file.take(limits::IDENTITY_BYTES_MAX as u64 + 1)
                .read_to_end(&mut text)
        })
        .map_err(|e| no_identity(path, &e))?;
    if text.len() > limits::IDENTITY_BYTES_MAX {
        return Err(not("it is too large"));
    }
    if text.starts_with(b"age-encryption.org/") || text.starts_with(b"-----BEGIN AGE ENCRYPTED") {
        return Err(not("it is protected by a passphrase"));
    }
    if text.starts_with(b"-----BEGIN ") {
        return Err(not("only age's own identities are read, no SSH keys"));
    }
    // What the crate says names the line and not what stands there.
    let file = age::IdentityFile::from_buffer(&text[..]).map_err(|e| not(&e.to_string()))?;
    let found = file
        .into_identities()
        .map_err(|_| not("it cannot be used"))?;
    if found.is_empty() {
        return Err(not("it holds no identity"));
    }
    Ok(found.into_iter().map(Arc::from).collect())
}

/// Why a session's header could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locked {
    /// None of the identities is one of its recipients.
    NotOurs,
    /// The header was changed, or is none.
    Damaged,
}

/// The key of one session.
pub(super) struct Cipher(Key);

impl Cipher {
    /// Makes the key of a session, and the header that gives it to the recipients.
    pub(super) fn for_session(recipients: &Recipients) -> io::Result<(Self, Vec<u8>)> {
        let all = Everyone {
            recipients,
            caught: RefCell::new(None),
        };
        let one: &dyn age::Recipient = &all;
        let encryptor = age::Encryptor::with_recipients(std::iter::once(one))
            .map_err(|_| io::Error::other("no header can be made for the recipients"))?;
        let mut header = Vec::new();
        // Writes the header and the nonce of a payload that never comes.
        drop(encryptor.wrap_output(&mut header)?);
        header.truncate(header.len().saturating_sub(NONCE_BYTES));
        let key = all.caught.into_inner();
        let key = key.ok_or_else(|| io::Error::other("the recipients were not asked"))?;
        Ok((Self(key), header))
    }

    /// Opens a header with whichever identity fits.
    pub(super) fn unlock(header: &[u8], identities: &Identities) -> Result<Self, Locked> {
        let tries: Vec<Try<'_>> = identities
            .0
            .iter()
            .map(|identity| Try {
                identity: &**identity,
                caught: RefCell::new(None),
            })
            .collect();
        let mut file = header.to_vec();
        file.resize(header.len() + NONCE_BYTES, 0);
        let decryptor = age::Decryptor::new_buffered(&file[..]).map_err(|_| Locked::Damaged)?;
        // Succeeds only when the header's MAC is that of the key.
        let opened = decryptor.decrypt(tries.iter().map(|it| it as &dyn age::Identity));
        opened.map(drop).map_err(|e| match e {
            age::DecryptError::NoMatchingKeys => Locked::NotOurs,
            _ => Locked::Damaged,
        })?;
        let key = tries.into_iter().find_map(|it| it.caught.into_inner());
        key.map(Self).ok_or(Locked::NotOurs)
    }

    /// Seals the parts, one behind the other: the payload of an age file.
    pub(super) fn seal(&self, parts: &[&[u8]]) -> io::Result<Vec<u8>> {
        let plain_bytes: usize = parts.iter().map(|part| part.len()).sum();
        if plain_bytes > CHUNK_BYTES_MAX {
            return Err(io::Error::other("more than fits one sealed frame"));
        }
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|e| io::Error::other(e.to_string()))?;
        let mut sealed = Vec::with_capacity(plain_bytes + SEAL_BYTES);
        sealed.extend_from_slice(&nonce);
        for part in parts {
            sealed.extend_from_slice(part);
        }
        let tag = self
            .payload_key(&nonce)
            .and_then(|key| {
                let plain = sealed.get_mut(NONCE_BYTES..)?;
                let nonce = Nonce::assume_unique_for_key(CHUNK_NONCE);
                key.seal_in_place_separate_tag(nonce, Aad::empty(), plain)
                    .ok()
            })
            .ok_or_else(|| io::Error::other("a frame cannot be sealed"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made; none when it is not what was sealed under this key.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, chunk) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let key = self.payload_key(nonce)?;
        let mut plain = chunk.to_vec();
        let nonce = Nonce::assume_unique_for_key(CHUNK_NONCE);
        let plain_bytes = key
            .open_in_place(nonce, Aad::empty(), &mut plain)
            .ok()?
            .len();
        plain.truncate(plain_bytes);
        Some(plain)
    }

    /// A key for one payload alone: its nonce is fixed, so that no key may be used twice.
    fn payload_key(&self, nonce: &[u8; NONCE_BYTES]) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, nonce).extract(&self.0[..]);
        let okm = secret.expand(&[b"payload"], &CHACHA20_POLY1305).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

/// All recipients as one, so that the file key can be kept when it passes.
struct Everyone<'a> {
    recipients: &'a Recipients,
    caught: RefCell<Option<Key>>,
}

impl age::Recipient for Everyone<'_> {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let (mut stanzas, mut labels) = (Vec::new(), HashSet::new());
        for recipient in &self.recipients.0 {
            let (more, its) = recipient.wrap_file_key(file_key)?;
            stanzas.extend(more);
            labels.extend(its);
        }
        *self.caught.borrow_mut() = Some(Zeroizing::new(*file_key.expose_secret()));
        Ok((stanzas, labels))
    }
}

/// An identity, so that the file key can be kept when it passes.
struct Try<'a> {
    identity: &'a (dyn age::Identity + Send + Sync),
    caught: RefCell<Option<Key>>,
}

impl age::Identity for Try<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.keep(self.identity.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        self.keep(self.identity.unwrap_stanzas(stanzas))
    }
}

impl Try<'_> {
    fn keep(
        &self,
        unwrapped: Option<Result<FileKey, age::DecryptError>>,
    ) -> Option<Result<FileKey, age::DecryptError>> {
        if let Some(Ok(key)) = &unwrapped {
            *self.caught.borrow_mut() = Some(Zeroizing::new(*key.expose_secret()));
        }
        unwrapped
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A key pair: what a session is sealed for, and a file that opens it.
    pub(in super::super) fn pair(dir: &Path, name: &str) -> (Recipients, std::path::PathBuf) {
        let identity = x25519::Identity::generate();
        let path = dir.join(name);
        let text = format!(
            "# made by a test\n{}\n",
            identity.to_string().expose_secret()
        );
        std::fs::write(&path, text).unwrap();
        (Recipients(vec![identity.to_public()]), path)
    }

    fn read(path: &Path) -> Identities {
        Identities::read([path]).unwrap()
    }

    #[test]
    fn recipients_are_read_and_a_bad_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (one, _) = pair(dir.path(), "1");
        let (two, _) = pair(dir.path(), "2");
        let (a, b) = (one.to_string(), two.to_string());
        let both = Recipients::parse([&*a, &*b, &*a]).unwrap();
        assert_eq!(both.to_string(), format!("{a} {b}"), "twice is once");
        assert!(Recipients::parse([]).unwrap().is_empty());
        let refusal = |word: &str| Recipients::parse([&*a, word]).unwrap_err();
        assert_eq!(
            refusal("alice"),
            "`alice` is no age recipient: those begin with `age1`"
        );
        // One letter changed, to another one than stands there.
        let last = if b.ends_with('q') { 'p' } else { 'q' };
        let mistyped = format!("{}{last}", &b[..b.len() - 1]);
        assert!(refusal(&mistyped).contains(&mistyped));
        let secret = refusal("AGE-SECRET-KEY-1QQQQ");
        assert!(
            !secret.contains("QQQQ") && secret.contains("age-keygen -y"),
            "{secret}"
        );
        let many: Vec<_> = (0..=limits::RECIPIENTS_MAX)
            .map(|_| x25519::Identity::generate().to_public().to_string())
            .collect();
        assert!(Recipients::parse(many.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn identity_files_are_read_and_others_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let refusal = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let refused = Identities::read([&*path]).unwrap_err().to_string();
            assert!(refused.contains(&path.display().to_string()), "{refused}");
            refused
        };
        assert!(refusal("# nothing\n").contains("no identity"));
        let wrong = refusal("# x\nhunter2\n");
        assert!(
            wrong.contains("line 2") && !wrong.contains("hunter2"),
            "{wrong}"
        );
        assert!(refusal("age-encryption.org/v1\n-> scrypt").contains("passphrase"));
        assert!(refusal("-----BEGIN OPENSSH PRIVATE KEY-----\n").contains("SSH"));
        assert!(refusal(&"#".repeat(limits::IDENTITY_BYTES_MAX + 1)).contains("too large"));
        assert!(Identities::read([dir.path().join("none").as_path()]).is_err());
        assert!(!format!("{:?}", read(&pair(dir.path(), "1").1)).contains("SECRET"));
    }

    #[test]
    fn every_recipient_opens_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let (one, one_file) = pair(dir.path(), "1");
        let (two, two_file) = pair(dir.path(), "2");
        let (_, other_file) = pair(dir.path(), "3");
        let both = Recipients([one.0, two.0].concat());
        let (cipher, header) = Cipher::for_session(&both).unwrap();
        assert!(header.starts_with(b"age-encryption.org/v1\n-> X25519 "));
        assert!(header.ends_with(b"\n"));
        let sealed = cipher.seal(&[b"salt", b"content"]).unwrap();
        assert_eq!(sealed.len(), 11 + SEAL_BYTES);
        for file in [&one_file, &two_file] {
            let opened = Cipher::unlock(&header, &read(file)).unwrap();
            assert_eq!(opened.open(&sealed).unwrap(), b"saltcontent");
        }
        let wrong = Cipher::unlock(&header, &read(&other_file));
        assert_eq!(wrong.err(), Some(Locked::NotOurs));
        let none = Cipher::unlock(&header, &Identities::default());
        assert_eq!(none.err(), Some(Locked::NotOurs));
        let several = Identities::read([&*other_file, &*two_file]).unwrap();
        assert!(Cipher::unlock(&header, &several).is_ok());
        for at in 0..header.len() {
            let mut changed = header.clone();
            changed[at] ^= 1;
            assert!(
                Cipher::unlock(&changed, &read(&two_file)).is_err(),
                "byte {at}"
            );
        }
        let (fresh, _) = Cipher::for_session(&both).unwrap();
        assert_eq!(
            fresh.open(&sealed),
            None,
            "each session has a key of its own"
        );
    }

    /// The crate's own reader takes header and payload as one file.
    #[test]
    fn a_sealed_payload_behind_its_header_is_an_age_file() {
        let dir = tempfile::tempdir().unwrap();
        let (recipients, file) = pair(dir.path(), "1");
        let (cipher, header) = Cipher::for_session(&recipients).unwrap();
        for plain_bytes in [0, 1, 32, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX] {
            let plain = vec![7; plain_bytes];
            let whole = [header.clone(), cipher.seal(&[&plain]).unwrap()].concat();
            let decryptor = age::Decryptor::new_buffered(&whole[..]).unwrap();
            let identities = read(&file);
            let identity: &dyn age::Identity = &*identities.0[0];
            let mut out = Vec::new();
            decryptor
                .decrypt(std::iter::once(identity))
                .unwrap()
                .read_to_end(&mut out)
                .unwrap();
            assert_eq!(out, plain);
        }
        assert!(cipher.seal(&[&vec![0; CHUNK_BYTES_MAX + 1]]).is_err());
    }

    /// What sealing costs; `cargo test --release -- --ignored --nocapture what_a_seal_costs`.
    #[test]
    #[ignore = "a measurement"]
    fn what_a_seal_costs() {
        let dir = tempfile::tempdir().unwrap();
        let (recipients, _) = pair(dir.path(), "1");
        let (cipher, _) = Cipher::for_session(&recipients).unwrap();
        let micros = |times: u32, work: &dyn Fn()| {
            let start = std::time::Instant::now();
            (0..times).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
        };
        for plain_bytes in [200, 2 << 10, 16 << 10, 64 << 10] {
            let plain = vec![7; plain_bytes];
            let sealed = cipher.seal(&[&plain]).unwrap();
            let seal = micros(5_000, &|| drop(cipher.seal(&[&plain]).unwrap()));
            let open = micros(5_000, &|| drop(cipher.open(&sealed).unwrap()));
            println!("{plain_bytes:6} bytes: seal {seal:.2} µs, open {open:.2} µs");
        }
        let header = micros(200, &|| drop(Cipher::for_session(&recipients).unwrap()));
        println!("a session's header: {header:.0} µs");
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_always_found(plain in prop::collection::vec(any::<u8>(), 0..200),
                                         at: prop::sample::Index, bit in 0u8..8) {
            let cipher = Cipher(Zeroizing::new([9; 16]));
            let mut sealed = cipher.seal(&[&plain]).unwrap();
            prop_assert_eq!(cipher.open(&sealed), Some(plain));
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(cipher.open(&sealed), None);
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Cipher(Zeroizing::new([9; 16])).open(&bytes);
            let _ = Cipher::unlock(&bytes, &Identities::default());
        }
    }
}
