//! One opening as a line of `openings.jsonl`, there and back.
//!
//! `{"i":leaf,"f":field,"salt":base64url,"content":base64url}`; content beyond a bound stands in a
//! file named by its SHA-256, and the line says `"blob":hex` in place of `content`. A line with
//! `sealed` belongs to an encrypted session: it names the age file that holds salt and content. One
//! with `erased` says that both were taken away on purpose.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ExportError;
use super::tree::Tree;
use crate::journal::walk::{AgeFile, FieldOpening, Shut};
use crate::journal::{JournalError, Recommit};
use crate::limits;
use crate::record::Commitment;

/// Under this name a blob is written until its own is known.
const UNNAMED: &str = "blob/.part";

#[derive(Debug, Default, Deserialize, Serialize)]
struct Line {
    i: u64,
    f: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<String>,
    /// Of the age file of `sealed` and each of `blobs`: how the content in it is compressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    codings: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
}

/// What became of the content of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is in the line.
    Inline,
    /// It is in a blob; false when another opening had put the same one there.
    Blob(bool),
    /// It is sealed, in so many blobs.
    Sealed(u64),
    /// It was erased: the line says so.
    Erased,
    /// It cannot be read: there is no line.
    Unreadable,
}

/// Writes an opening: its blob, if it needs one, and its line.
pub(super) fn write(
    opening: &FieldOpening,
    tree: &mut Tree,
    lines: &mut impl Write,
) -> Result<Kept, ExportError> {
    if let Some(shut) = opening.shut() {
        return write_shut(opening, shut, tree, lines);
    }
    let mut line = Line {
        i: opening.leaf,
        f: opening.field.clone(),
        salt: Some(BASE64_URL_SAFE_NO_PAD.encode(opening.salt)),
        ..Line::default()
    };
    let mut start = Vec::new();
    let mut pieces = opening.pieces();
    let kept = loop {
        match pieces.next() {
            Some(Err(_)) => return Ok(Kept::Unreadable),
            Some(Ok(piece)) => start.extend_from_slice(&piece),
            None => {
                line.content = Some(BASE64_URL_SAFE_NO_PAD.encode(&start));
                break Kept::Inline;
            }
        }
        if start.len() > limits::EXPORT_INLINE_BYTES_MAX {
            let Some((name, is_new)) = blob(&start, pieces, tree)? else {
                return Ok(Kept::Unreadable);
            };
            line.blob = Some(name);
            break Kept::Blob(is_new);
        }
    };
    put(&line, tree, lines)?;
    Ok(kept)
}

/// Writes what is there of content that cannot be read here: its age files, or that it was erased.
fn write_shut(
    opening: &FieldOpening,
    shut: Shut<impl Iterator<Item = Result<AgeFile, JournalError>>>,
    tree: &mut Tree,
    lines: &mut impl Write,
) -> Result<Kept, ExportError> {
    let mut line = Line {
        i: opening.leaf,
        f: opening.field.clone(),
        ..Line::default()
    };
    let files = match shut {
        Shut::Erased => {
            line.erased = true;
            put(&line, tree, lines)?;
            return Ok(Kept::Erased);
        }
        Shut::Sealed(files) => files,
    };
    for file in files {
        let Ok(file) = file else {
            return Ok(Kept::Unreadable);
        };
        let nothing = std::iter::empty::<Result<Vec<u8>, JournalError>>();
        let Some((name, _)) = blob(&file.bytes, nothing, tree)? else {
            return Ok(Kept::Unreadable);
        };
        line.codings
            .push(if file.is_zstd { "zstd" } else { "identity" }.into());
        match &line.sealed {
            None => line.sealed = Some(name),
            Some(_) => line.blobs.push(name),
        }
    }
    put(&line, tree, lines)?;
    Ok(Kept::Sealed(line.codings.len() as u64))
}

fn put(line: &Line, tree: &mut Tree, lines: &mut impl Write) -> Result<(), ExportError> {
    let path = tree.path("openings.jsonl");
    let mut text = serde_json::to_vec(line)
        .map_err(|e| ExportError::io("write", &path)(io::Error::other(e)))?;
    text.push(b'\n');
    tree.count(text.len() as u64);
    lines
        .write_all(&text)
        .map_err(ExportError::io("write", &path))
}

/// Writes a blob and returns its name, and whether it is new; none when the content breaks off.
fn blob<E>(
    start: &[u8],
    rest: impl Iterator<Item = Result<Vec<u8>, E>>,
    tree: &mut Tree,
) -> Result<Option<(String, bool)>, ExportError> {
    let path = tree.path(UNNAMED);
    let write = |e| ExportError::io("write", &path)(e);
    let mut file = tree.create(UNNAMED)?;
    let mut digest = Sha256::new();
    let mut bytes = 0;
    let mut take = |piece: &[u8]| {
        digest.update(piece);
        bytes += piece.len() as u64;
        file.write_all(piece)
    };
    take(start).map_err(write)?;
    for piece in rest {
        match piece {
            Ok(piece) => take(&piece).map_err(write)?,
            Err(_) => {
                tree.discard(UNNAMED)?;
                return Ok(None);
            }
        }
    }
    let name = hex(&digest.finalize());
    let is_new = tree.settle(UNNAMED, &format!("blob/{name}"))?;
    if is_new {
        tree.count(bytes);
    }
    Ok(Some((name, is_new)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line, read back and looked into.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) leaf: u64,
    pub(super) field: String,
    pub(super) content: Content,
}

/// What a line's content turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It has this commitment.
    Is(Commitment),
    /// Only the session's recipients can read it; its files are whole.
    Sealed,
    /// It was erased on purpose.
    Erased,
    /// Its file is not there.
    Missing,
    /// The line, or its file, is not what it says it is.
    Wrong,
}

/// Reads a line, and the content it speaks of, below `dir`. None when it is no line at all.
pub(super) fn read(text: &[u8], dir: &Path) -> Result<Option<Opened>, ExportError> {
    let Ok(line) = serde_json::from_slice::<Line>(text) else {
        return Ok(None);
    };
    let content = content(&line, dir)?;
    Ok(Some(Opened {
        leaf: line.i,
        field: line.f,
        content,
    }))
}

fn content(line: &Line, dir: &Path) -> Result<Content, ExportError> {
    let salt = line.salt.as_deref().and_then(decode);
    let salt = salt.and_then(|salt| <[u8; 32]>::try_from(salt).ok());
    match (salt, &line.content, &line.blob, &line.sealed) {
        (None, None, None, None) if line.erased && line.salt.is_none() => Ok(Content::Erased),
        _ if line.erased => Ok(Content::Wrong),
        (Some(salt), Some(content), None, None) => Ok(match decode(content) {
            Some(content) => {
                let mut mac = Recommit::new(&salt, &line.f);
                mac.update(&content);
                Content::Is(mac.finish())
            }
            None => Content::Wrong,
        }),
        (Some(salt), None, Some(name), None) => {
            let mut mac = Recommit::new(&salt, &line.f);
            Ok(match read_blob(dir, name, |piece| mac.update(piece))? {
                Blob::Whole => Content::Is(mac.finish()),
                Blob::Missing => Content::Missing,
                Blob::Wrong => Content::Wrong,
            })
        }
        (None, None, None, Some(first)) => {
            for name in std::iter::once(first).chain(&line.blobs) {
                match read_blob(dir, name, |_| {})? {
                    Blob::Whole => {}
                    Blob::Missing => return Ok(Content::Missing),
                    Blob::Wrong => return Ok(Content::Wrong),
                }
            }
            Ok(Content::Sealed)
        }
        _ => Ok(Content::Wrong),
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

enum Blob {
    Whole,
    Missing,
    Wrong,
}

fn read_blob(dir: &Path, name: &str, mut take: impl FnMut(&[u8])) -> Result<Blob, ExportError> {
    // Anything else could lead out of the directory.
    let is_digest = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if name.len() != 64 || !name.bytes().all(is_digest) {
        return Ok(Blob::Wrong);
    }
    let path = dir.join("blob").join(name);
    let mut file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Blob::Missing),
        other => other.map_err(ExportError::io("read", &path))?,
    };
    let mut digest = Sha256::new();
    let mut window = vec![0; limits::BODY_PIECE_BYTES_MAX];
    loop {
        let read = file
            .read(&mut window)
            .map_err(ExportError::io("read", &path))?;
        let Some(piece) = window.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        digest.update(piece);
        take(piece);
    }
    Ok(if hex(&digest.finalize()) == name {
        Blob::Whole
    } else {
        Blob::Wrong
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_lie_about_themselves_are_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let salt = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        let line = |rest: &str| format!("{{\"i\":1,\"f\":\"body\",{rest}}}");
        let read = |text: String| read(text.as_bytes(), dir.path()).unwrap().unwrap().content;
        let mut mac = Recommit::new(&[7; 32], "body");
        mac.update(b"hi");
        assert_eq!(
            read(line(&format!("\"salt\":\"{salt}\",\"content\":\"aGk\""))),
            Content::Is(mac.finish())
        );
        let absent = "0".repeat(64);
        for (rest, content) in [
            (
                format!("\"salt\":\"{salt}\",\"blob\":\"{absent}\""),
                Content::Missing,
            ),
            (
                format!("\"salt\":\"{salt}\",\"blob\":\"../vkey\""),
                Content::Wrong,
            ),
            (format!("\"salt\":\"{salt}\""), Content::Wrong),
            ("\"salt\":\"aGk\",\"content\":\"\"".into(), Content::Wrong),
            (
                format!("\"salt\":\"{salt}\",\"content\":\"aGk=\""),
                Content::Wrong,
            ),
            (format!("\"sealed\":\"{absent}\""), Content::Missing),
            ("\"erased\":true".into(), Content::Erased),
            ("\"erased\":true,\"content\":\"aGk\"".into(), Content::Wrong),
            ("\"erased\":false".into(), Content::Wrong),
        ] {
            assert_eq!(read(line(&rest)), content, "{rest}");
        }
        assert!(super::read(b"nonsense", dir.path()).unwrap().is_none());
    }
}
