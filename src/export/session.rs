//! A whole session as a directory that anyone can check: C2SP tiles and checkpoints, the openings
//! of its commitments, and the contents too large for a line.
//!
//! Two passes: the first checks the record and finds its last signature, the second writes what
//! that signature covers and compares the root. A running session thus gives a snapshot, and a
//! broken one what is still proven of it, marked with a file `BROKEN`.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::line::{self, Kept};
use super::tree::Tree;
use super::{ExportError, Progress};
use crate::journal::catalog::SessionDir;
use crate::journal::walk::{FieldOpening, Found, walk};
use crate::journal::{Audit, Expected, Identities, Signed, audit};
use crate::tlog::{
    Levels, TILE_WIDTH, Tile, TileKind, VerifierKey, encode_bundle, leaf_hash, tiles_of,
};

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What the check of the record found.
    pub audit: Audit,
    /// The last signature, which covers all that was written.
    pub signed: Signed,
    /// Leaves after it: not signed, so left out.
    pub left_out: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Openings written.
    pub openings: u64,
    /// Those of them that are written as they are sealed.
    pub sealed: u64,
    /// Blobs written.
    pub blobs: u64,
    /// Openings that were left out because their content cannot be read.
    pub unreadable: u64,
    /// Files written.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Written {
    /// Whether the record is not as it was signed.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        !self.audit.findings.faults.is_empty() || self.unreadable > 0
    }
}

/// Checks a record, and gives the signature that counts and its key.
pub(super) fn checked(
    dir: &SessionDir,
    identities: &Identities,
) -> Result<(Audit, Signed, VerifierKey), ExportError> {
    let expected = Expected {
        identities: identities.clone(),
        ..Expected::default()
    };
    let audit = audit(dir, &expected)?;
    match (audit.signed, audit.key.clone()) {
        (Some(signed), Some(key)) => Ok((audit, signed, key)),
        _ => Err(ExportError::Unsigned {
            what: format!("session {}", audit.session.short()),
        }),
    }
}

/// Of a record that somebody changed nothing is opened: what a field is called is part of what they
/// may have changed, and one of them holds the person's ID token.
#[must_use]
pub fn to_open(audit: &Audit, identities: &Identities) -> Identities {
    if audit.findings.faults.is_empty() {
        identities.clone()
    } else {
        Identities::default()
    }
}

/// Writes a session to the directory `to`, which must not be there or be empty. What `identities`
/// open is written in the open, but for what binds the session's key to a person.
///
/// # Errors
/// Nothing is signed, the record cannot be read, or the directory cannot be written: then it does
/// not appear.
pub fn write(
    dir: &SessionDir,
    to: &Path,
    identities: &Identities,
    progress: Progress<'_>,
) -> Result<Written, ExportError> {
    let mut tree = Tree::begin(to)?;
    let (audit, signed, key) = checked(dir, identities)?;
    let identities = to_open(&audit, identities);
    tree.write("vkey", format!("{key}\n").as_bytes())?;
    let left_out = audit.leaves.saturating_sub(signed.size);
    let session = audit.session;
    let lines = tree.create("openings.jsonl")?;
    let mut writer = Writer {
        tree,
        lines: BufWriter::new(lines),
        key,
        levels: Levels::new(),
        bundle: Vec::new(),
        pending: Vec::new(),
        due: 0,
        is_sealed: false,
        done: Written {
            audit,
            signed,
            left_out,
            checkpoints: 0,
            openings: 0,
            sealed: 0,
            blobs: 0,
            unreadable: 0,
            files: 0,
            bytes: 0,
        },
    };
    for found in walk(dir, session, &identities)? {
        let is_last = writer.take(found?)?;
        if is_last {
            break;
        }
        if writer.bundle.is_empty() {
            progress(writer.levels.size(), signed.size);
        }
    }
    writer.finish()
}

struct Writer {
    tree: Tree,
    lines: BufWriter<std::fs::File>,
    key: VerifierKey,
    levels: Levels,
    /// Leaves of the bundle that is not full yet.
    bundle: Vec<Vec<u8>>,
    /// Openings of leaves to come.
    pending: Vec<FieldOpening>,
    /// The next checkpoint of this size or more is written.
    due: u64,
    /// The last checkpoint is written.
    is_sealed: bool,
    done: Written,
}

impl Writer {
    /// Takes what comes next; true when that was the last signature.
    fn take(&mut self, found: Found) -> Result<bool, ExportError> {
        match found {
            Found::Opening(opening) => self.pending.push(opening),
            Found::Leaf(leaf) if self.levels.size() < self.done.signed.size => self.leaf(leaf)?,
            Found::Leaf(_) => return Ok(true),
            Found::Checkpoint(signed) => self.checkpoint(&signed)?,
        }
        Ok(self.is_sealed)
    }

    fn leaf(&mut self, leaf: Vec<u8>) -> Result<(), ExportError> {
        let index = self.levels.size();
        for opening in take_of(&mut self.pending, index) {
            match line::write(&opening, &mut self.tree, &mut self.lines)? {
                // An erased one is counted by the check, and is no content any more.
                Kept::Erased => {}
                Kept::Inline => self.done.openings += 1,
                Kept::Sealed(blobs) => {
                    self.done.openings += 1;
                    self.done.sealed += 1;
                    self.done.blobs += blobs;
                }
                Kept::Blob(is_new) => {
                    self.done.openings += 1;
                    self.done.blobs += u64::from(is_new);
                }
                Kept::Unreadable => self.done.unreadable += 1,
            }
        }
        self.levels.push(leaf_hash(&leaf));
        self.bundle.push(leaf);
        if self.bundle.len() == usize::from(TILE_WIDTH) {
            self.write_bundle()?;
        }
        Ok(())
    }

    fn write_bundle(&mut self) -> Result<(), ExportError> {
        // At most 256 fit a bundle.
        let width = u16::try_from(self.bundle.len()).unwrap_or(TILE_WIDTH);
        let index = (self.levels.size() - 1) / u64::from(TILE_WIDTH);
        let tile = Tile::new(TileKind::Entries, index, width)?;
        let bytes = encode_bundle(&self.bundle)?;
        self.tree.write(&tile.to_string(), &bytes)?;
        self.bundle.clear();
        Ok(())
    }

    /// Writes the first checkpoint, the last one, and the first at or after every 256th leaf.
    fn checkpoint(&mut self, signed: &Signed) -> Result<(), ExportError> {
        let last = self.done.signed.size;
        let is_here = signed.size == self.levels.size() && signed.size > 0;
        let is_due = signed.size >= self.due || signed.size == last;
        if !is_here || !is_due || signed.size > last {
            return Ok(());
        }
        // One that does not hold was found by the check, and the next one serves as well.
        if signed.root != self.levels.root_at(signed.size)? || !signed.is_by(&self.key) {
            return Ok(());
        }
        let path = format!("checkpoints/{:020}", signed.size);
        self.tree.write(&path, signed.note(&self.key)?.as_bytes())?;
        self.done.checkpoints += 1;
        let width = u64::from(TILE_WIDTH);
        self.due = (signed.size / width + 1) * width;
        self.is_sealed = signed.size == last;
        Ok(())
    }

    fn finish(mut self) -> Result<Written, ExportError> {
        let signed = self.done.signed;
        if self.levels.size() != signed.size || self.levels.root_at(signed.size)? != signed.root {
            return Err(ExportError::Changed(self.done.audit.session.short()));
        }
        if !self.bundle.is_empty() {
            self.write_bundle()?;
        }
        for tile in tiles_of(signed.size) {
            let bytes = tile.hashes(&self.levels)?;
            self.tree.write(&tile.to_string(), &bytes)?;
        }
        let path = self.tree.path("openings.jsonl");
        self.lines
            .flush()
            .map_err(ExportError::io("write", &path))?;
        if self.done.is_broken() {
            self.tree.write("BROKEN", broken(&self.done).as_bytes())?;
        }
        self.done.files = self.tree.files();
        self.done.bytes = self.tree.bytes();
        drop(self.lines);
        self.tree.finish()?;
        Ok(self.done)
    }
}

/// The openings of leaf `index`; those of leaves before it, which nothing vouches for, are dropped.
pub(super) fn take_of(pending: &mut Vec<FieldOpening>, index: u64) -> Vec<FieldOpening> {
    let (now, later): (Vec<_>, Vec<_>) = std::mem::take(pending)
        .into_iter()
        .filter(|opening| opening.leaf >= index)
        .partition(|opening| opening.leaf == index);
    *pending = later;
    now
}

/// The text of the file that marks an export of a broken record.
fn broken(written: &Written) -> String {
    let findings = &written.audit.findings;
    let mut text = format!(
        "The record this was exported from is not as it was signed. What is here is what is still \
         proven:\nleaves 0 to {} of {}.\n\n",
        written.signed.size, written.audit.leaves
    );
    for fault in &findings.faults {
        text.push_str(&format!("{fault}\n"));
    }
    for (number, what) in [
        (findings.more, "more findings"),
        (written.unreadable, "contents that cannot be read"),
    ] {
        if number > 0 {
            text.push_str(&format!("and {number} {what}\n"));
        }
    }
    text
}
