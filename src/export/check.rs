//! Checks an exported session from its own files: every leaf under every checkpoint, every tile
//! against the leaves, every opening against its commitment. Nothing in the directory is believed
//! because it is there; what is known from elsewhere comes in as [`Expected`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::openings::Openings;
use super::says;
use super::{ExportError, Progress};
use crate::journal::reader::State;
use crate::journal::{Audit, Expected, Fault, Gap, Signed, Statements};
use crate::limits;
use crate::tlog::{
    Checkpoint, Hash, Levels, SignedNote, TILE_WIDTH, Tile, TileKind, VerifierKey, bundles_of,
    decode_bundle, leaf_hash, tiles_of,
};

/// Checks an exported session.
///
/// # Errors
/// The directory is no such export, or cannot be read.
pub fn check(
    dir: &Path,
    expected: &Expected,
    progress: Progress<'_>,
) -> Result<Audit, ExportError> {
    let found = key(dir)?;
    let key = expected.key.clone().unwrap_or_else(|| found.clone());
    let session = found
        .name()
        .rsplit('/')
        .next()
        .and_then(|id| id.parse().ok());
    let Some(session) = session else {
        return Err(not(dir, "its key is not that of a session"));
    };
    let mut audit = Audit::begin(session);
    audit.key = Some(found.clone());
    if found != key {
        audit.findings.fault(Fault::OtherKey {
            expected: key.to_string(),
        });
    }
    let checkpoints = checkpoints(dir, &key, &mut audit)?;
    let size = checkpoints.keys().next_back().copied().unwrap_or(0);
    let mut checker = Checker {
        dir,
        key,
        checkpoints,
        size,
        audit,
        levels: Levels::new(),
        agreed: 0,
        statements: Statements::default(),
    };
    checker.leaves(progress)?;
    checker.tiles()?;
    checker.strays("tile")?;
    checker.finish(expected)
}

pub(super) fn not(dir: &Path, why: impl Into<String>) -> ExportError {
    ExportError::NotAnExport {
        path: dir.to_owned(),
        why: why.into(),
    }
}

/// The key a directory names: not to be trusted for being there.
pub(super) fn key(dir: &Path) -> Result<VerifierKey, ExportError> {
    let path = dir.join("vkey");
    let Some(text) = read(&path, limits::NOTE_BYTES_MAX as u64)? else {
        return Err(not(dir, "it has no file `vkey`"));
    };
    let text = String::from_utf8_lossy(&text);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    text.parse()
        .map_err(|e| not(dir, format!("`vkey` holds no key: {e}")))
}

/// A whole file; none when it is not there. Of a larger one than `max` a byte more than that.
pub(super) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, ExportError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(ExportError::io("read", path))?,
    };
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(ExportError::io("read", path))?;
    Ok(Some(bytes))
}

/// The names in a directory, sorted; none when it is not there.
pub(super) fn names(path: &Path) -> Result<Vec<String>, ExportError> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(ExportError::io("read", path))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ExportError::io("read", path))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// A checkpoint that holds.
struct Held {
    root: Hash,
    /// Its bare signature, when that is the only shape it has.
    signature: Option<[u8; 64]>,
}

/// The checkpoints that are signed, and faults for those that are not.
fn checkpoints(
    dir: &Path,
    key: &VerifierKey,
    audit: &mut Audit,
) -> Result<BTreeMap<u64, Held>, ExportError> {
    let below = dir.join("checkpoints");
    let mut held = BTreeMap::new();
    // Without one that holds, the largest one that was claimed.
    let mut claimed: Option<(u64, Hash)> = None;
    let mut any = false;
    for name in names(&below)? {
        let is_size = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
        let Some(size) = name.parse::<u64>().ok().filter(|_| is_size) else {
            continue;
        };
        any = true;
        let path = below.join(&name);
        let bytes = read(&path, limits::NOTE_BYTES_MAX as u64)?.unwrap_or_default();
        let note = SignedNote::parse(&bytes);
        if let Some(stated) = note.as_ref().ok().and_then(stated)
            && claimed.is_none_or(|(size, _)| size < stated.0)
        {
            claimed = Some(stated);
        }
        let verified = note.and_then(|note| {
            let checkpoint = Checkpoint::verify(&note, key)?;
            let line = note.signatures().iter().find(|line| line.is_of(key));
            Ok((
                checkpoint,
                line.and_then(|line| line.signature().try_into().ok()),
            ))
        });
        match verified {
            Ok((checkpoint, signature)) if checkpoint.size() == size => {
                let root = *checkpoint.root();
                held.insert(size, Held { root, signature });
            }
            Ok(_) => audit.findings.fault(Fault::File {
                path: format!("checkpoints/{name}"),
                why: "it states another size".into(),
            }),
            Err(_) => audit.findings.fault(Fault::Signature { size }),
        }
    }
    if !any {
        return Err(not(dir, "it has no checkpoint"));
    }
    if let (true, Some((size, root))) = (held.is_empty(), claimed) {
        // The fault is on record; what the files hold can still be said.
        let signature = None;
        held.insert(size, Held { root, signature });
    }
    Ok(held)
}

/// Size and root of a checkpoint, whoever signed it.
fn stated(note: &SignedNote) -> Option<(u64, Hash)> {
    let checkpoint: Checkpoint = note.text().parse().ok()?;
    Some((checkpoint.size(), *checkpoint.root()))
}

struct Checker<'a> {
    dir: &'a Path,
    key: VerifierKey,
    checkpoints: BTreeMap<u64, Held>,
    /// Leaves under the last checkpoint.
    size: u64,
    audit: Audit,
    levels: Levels,
    /// Leaves under the last checkpoint whose root agrees.
    agreed: u64,
    statements: Statements,
}

impl Checker<'_> {
    fn fault(&mut self, path: &str, why: impl Into<String>) {
        self.audit.findings.fault(Fault::File {
            path: path.to_owned(),
            why: why.into(),
        });
    }

    /// All leaves, in order, as far as there are whole bundles of them.
    fn leaves(&mut self, progress: Progress<'_>) -> Result<(), ExportError> {
        let mut openings = Openings::open(self.dir)?;
        for tile in bundles_of(self.size) {
            let path = tile.to_string();
            let bytes = read(&self.dir.join(&path), limits::EXPORT_BUNDLE_BYTES_MAX)?;
            let Some(bytes) = bytes else {
                self.fault(&path, "it is missing");
                break;
            };
            let leaves = match decode_bundle(&bytes, tile.width()) {
                Ok(leaves) => leaves,
                Err(e) => {
                    self.fault(&path, e.to_string());
                    break;
                }
            };
            for leaf in leaves {
                self.leaf(leaf, &mut openings)?;
            }
            progress(self.levels.size(), self.size);
        }
        if self.levels.size() < self.size {
            self.audit.findings.fault(Fault::Root {
                from: self.agreed,
                size: self.size,
            });
            return Ok(());
        }
        openings.finish(&mut self.audit)
    }

    fn leaf(&mut self, bytes: &[u8], openings: &mut Openings) -> Result<(), ExportError> {
        let index = self.levels.size();
        if let Some(says) = says::object(index, bytes, &mut self.audit) {
            let (statements, audit) = (&mut self.statements, &mut self.audit);
            says::leaf(index, &says, bytes, &self.key, statements, audit);
            openings.compare(index, &says, &mut self.audit)?;
        }
        self.levels.push(leaf_hash(bytes));
        let size = self.levels.size();
        let Some(held) = self.checkpoints.get(&size) else {
            return Ok(());
        };
        if held.root == self.levels.root_at(size)? {
            self.agreed = size;
            self.audit.checkpoints += 1;
            if let Some(signature) = held.signature {
                self.audit.signed = Some(Signed {
                    size,
                    root: held.root,
                    signature,
                    synced: size,
                });
            }
        } else {
            self.audit.findings.fault(Fault::Root {
                from: self.agreed,
                size,
            });
        }
        Ok(())
    }

    /// The hashes others would read in place of the leaves.
    fn tiles(&mut self) -> Result<(), ExportError> {
        if self.levels.size() < self.size {
            return Ok(());
        }
        for tile in tiles_of(self.size) {
            let path = tile.to_string();
            let wanted = tile.hashes(&self.levels)?;
            match read(&self.dir.join(&path), wanted.len() as u64)? {
                None => self.fault(&path, "it is missing"),
                Some(bytes) if bytes != wanted => {
                    self.fault(&path, "its hashes are not those of the leaves")
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Tiles and bundles of leaves that no checkpoint covers.
    fn strays(&mut self, directory: &str) -> Result<(), ExportError> {
        for name in names(&self.dir.join(directory))? {
            let path = format!("{directory}/{name}");
            // A link is not followed: it may lead round in a circle.
            let data = fs::symlink_metadata(self.dir.join(&path));
            if data.is_ok_and(|data| data.is_dir()) {
                self.strays(&path)?;
            } else if path.parse().is_ok_and(|tile| !self.covers(&tile)) {
                self.fault(&path, "no checkpoint covers it");
            }
        }
        Ok(())
    }

    fn covers(&self, tile: &Tile) -> bool {
        let level = match tile.kind() {
            TileKind::Hashes { level } => u32::from(level) * 8,
            TileKind::Entries => 0,
        };
        let nodes = self.size.checked_shr(level).unwrap_or(0);
        let width = u64::from(TILE_WIDTH);
        let place = (tile.index(), u64::from(tile.width()));
        (place.0 < nodes / width && place.1 == width) || place == (nodes / width, nodes % width)
    }

    fn finish(mut self, expected: &Expected) -> Result<Audit, ExportError> {
        self.audit.leaves = self.levels.size();
        self.audit.root = self.levels.root_at(self.audit.leaves)?;
        self.audit.unanswered = self.statements.unanswered();
        if self.statements.is_closed() {
            self.audit.state = State::Closed;
        } else {
            self.audit.findings.gap(Gap::CutShort);
        }
        if self.dir.join("BROKEN").exists() {
            self.audit.findings.gap(Gap::ExportedBroken);
        }
        for note in &expected.checkpoints {
            self.anchor(note)?;
        }
        self.audit.anchored.sort_unstable();
        Ok(self.audit)
    }

    /// Compares with what was kept elsewhere.
    fn anchor(&mut self, note: &SignedNote) -> Result<(), ExportError> {
        let fault = match Checkpoint::verify(note, &self.key) {
            Err(e) => Fault::Anchor { why: e.to_string() },
            Ok(kept) if kept.size() > self.audit.leaves => Fault::Truncated {
                anchored: kept.size(),
                here: self.audit.leaves,
            },
            Ok(kept) if *kept.root() != self.levels.root_at(kept.size())? => {
                Fault::Fork { size: kept.size() }
            }
            Ok(kept) => {
                self.audit.anchored.push(kept.size());
                return Ok(());
            }
        };
        self.audit.findings.fault(fault);
        Ok(())
    }
}
