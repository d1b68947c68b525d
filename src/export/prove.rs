//! One call of a session with a proof for each of its leaves, and nothing else of the session: to
//! show what was done without showing what else was done.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Deserialize;

use super::line::{self, Kept};
use super::session::{checked, take_of, to_open};
use super::tree::Tree;
use super::{ExportError, Progress};
use crate::journal::catalog::SessionDir;
use crate::journal::walk::{FieldOpening, Found, walk};
use crate::journal::{Audit, Identities, JournalError, Signed};
use crate::record::CallNumber;
use crate::tlog::{Levels, SignedNote, TlogProof, leaf_hash};

/// Leaves between two words about progress.
const TOLD_EVERY: u64 = 256;

/// What was written.
#[derive(Clone, Debug)]
pub struct Proven {
    /// What the check of the record found.
    pub audit: Audit,
    /// The signature every proof leads to.
    pub signed: Signed,
    /// Indices of the call's leaves.
    pub leaves: Vec<u64>,
    /// Openings written.
    pub openings: u64,
    /// Openings that were left out because their content cannot be read.
    pub unreadable: u64,
    /// Leaves of the call that are not signed yet, and so not here.
    pub left_out: u64,
}

impl Proven {
    /// Whether the record is not as it was signed.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        !self.audit.findings.faults.is_empty() || self.unreadable > 0
    }
}

#[derive(Deserialize)]
struct OfCall {
    call: Option<u64>,
}

/// Writes the proof of a call to the directory `to`, which must not be there or be empty.
///
/// # Errors
/// There is no such call, it is not signed, the record cannot be read, or the directory cannot be
/// written: then it does not appear.
pub fn write(
    dir: &SessionDir,
    number: CallNumber,
    to: &Path,
    identities: &Identities,
    progress: Progress<'_>,
) -> Result<Proven, ExportError> {
    let mut tree = Tree::begin(to)?;
    let (audit, signed, key) = checked(dir, identities)?;
    let identities = to_open(&audit, identities);
    let session = audit.session;
    tree.write("vkey", format!("{key}\n").as_bytes())?;
    let mut lines = BufWriter::new(tree.create("openings.jsonl")?);
    let mut levels = Levels::new();
    let mut pending: Vec<FieldOpening> = Vec::new();
    let mut proven = Proven {
        audit,
        signed,
        leaves: Vec::new(),
        openings: 0,
        unreadable: 0,
        left_out: 0,
    };
    for found in walk(dir, session, &identities)? {
        let leaf = match found? {
            Found::Opening(opening) => {
                pending.push(opening);
                continue;
            }
            Found::Checkpoint(_) => continue,
            Found::Leaf(leaf) => leaf,
        };
        let index = levels.size();
        let openings = take_of(&mut pending, index);
        let of_call =
            serde_json::from_slice(&leaf).is_ok_and(|OfCall { call }| call == Some(number.0));
        if index >= signed.size {
            proven.left_out += u64::from(of_call);
            levels.push(leaf_hash(&leaf));
            continue;
        }
        levels.push(leaf_hash(&leaf));
        if index.is_multiple_of(TOLD_EVERY) {
            progress(index, signed.size);
        }
        if !of_call {
            continue;
        }
        proven.leaves.push(index);
        tree.write(&format!("leaf/{index}"), &leaf)?;
        for opening in openings {
            match line::write(&opening, &mut tree, &mut lines)? {
                Kept::Erased => {}
                Kept::Inline | Kept::Blob(_) | Kept::Sealed(_) => proven.openings += 1,
                Kept::Unreadable => proven.unreadable += 1,
            }
        }
    }
    let path = tree.path("openings.jsonl");
    lines.flush().map_err(ExportError::io("write", &path))?;
    drop(lines);
    let session = session.short();
    if levels.size() < signed.size || levels.root_at(signed.size)? != signed.root {
        return Err(ExportError::Changed(session));
    }
    if proven.leaves.is_empty() {
        let call = number.0;
        return Err(match proven.left_out {
            0 => JournalError::NoSuchCall {
                session,
                number: call,
            }
            .into(),
            _ => ExportError::Unsigned {
                what: format!("call {call} of session {session}"),
            },
        });
    }
    let checkpoint = SignedNote::parse(signed.note(&key)?.as_bytes())?;
    for index in &proven.leaves {
        let proof = TlogProof {
            index: *index,
            hashes: levels.inclusion(*index, signed.size)?,
            checkpoint: checkpoint.clone(),
            extra: Vec::new(),
        };
        let path = format!("proof/{index}.tlog-proof");
        tree.write(&path, proof.to_string().as_bytes())?;
    }
    tree.finish()?;
    Ok(proven)
}
