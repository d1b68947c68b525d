//! The lines of `openings.jsonl`, in the order of the leaves, compared with what the leaves commit
//! to. One line is held at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ExportError;
use super::line::{self, Content, Opened};
use crate::journal::{Audit, Fault, Gap};
use crate::limits;
use crate::record::Commitment;

/// The openings of an exported record.
pub(super) struct Openings {
    dir: PathBuf,
    /// None when the file is not there, or not worth reading on.
    lines: Option<BufReader<File>>,
    next: Option<Opened>,
    line: u64,
}

impl Openings {
    pub(super) fn open(dir: &Path) -> Result<Self, ExportError> {
        let path = dir.join("openings.jsonl");
        let lines = match File::open(&path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(ExportError::io("read", &path)(e)),
        };
        Ok(Self {
            dir: dir.to_owned(),
            lines,
            next: None,
            line: 0,
        })
    }

    /// Compares the openings of a leaf with its commitments, and counts them in `audit`.
    pub(super) fn compare(
        &mut self,
        leaf: u64,
        says: &Map<String, Value>,
        audit: &mut Audit,
    ) -> Result<(), ExportError> {
        let mut opened = Vec::new();
        while let Some(next) = self.peek(audit)? {
            if next.leaf > leaf {
                break;
            }
            if next.leaf < leaf {
                unvouched(next, audit);
            } else {
                opened.push((
                    next.field.clone(),
                    std::mem::replace(&mut next.content, Content::Wrong),
                ));
            }
            self.next = None;
        }
        // Said by the leaf itself: not everything it commits to was kept.
        let is_unkept = says.contains_key("unkept") || says.contains_key("level");
        for (field, committed) in says.iter().filter_map(commitment_of) {
            let at = opened.iter().position(|(name, _)| name == field);
            let field = field.clone();
            match at.map(|at| opened.swap_remove(at).1) {
                Some(Content::Is(found)) if found == committed => audit.contents += 1,
                Some(Content::Sealed) => audit.sealed += 1,
                Some(Content::Erased) => audit.erased += 1,
                Some(Content::Is(_) | Content::Wrong) => {
                    audit.findings.fault(Fault::Content { leaf, field });
                }
                None if is_unkept => audit.withheld += 1,
                None | Some(Content::Missing) => audit.findings.gap(Gap::Content { leaf, field }),
            }
        }
        for (field, _) in opened {
            audit.findings.fault(Fault::Content { leaf, field });
        }
        Ok(())
    }

    /// Ends the comparison: whatever is left, no leaf vouches for.
    pub(super) fn finish(mut self, audit: &mut Audit) -> Result<(), ExportError> {
        while let Some(next) = self.peek(audit)? {
            unvouched(next, audit);
            self.next = None;
        }
        Ok(())
    }

    fn peek(&mut self, audit: &mut Audit) -> Result<Option<&mut Opened>, ExportError> {
        while self.next.is_none() {
            let Some(lines) = &mut self.lines else { break };
            let mut text = Vec::new();
            let path = self.dir.join("openings.jsonl");
            lines
                .take(limits::EXPORT_LINE_BYTES_MAX)
                .read_until(b'\n', &mut text)
                .map_err(ExportError::io("read", &path))?;
            if text.is_empty() {
                self.lines = None;
                break;
            }
            self.line += 1;
            self.next = match text.strip_suffix(b"\n") {
                Some(text) => line::read(text, &self.dir)?,
                None => None,
            };
            if self.next.is_none() {
                let line = self.line;
                audit.findings.fault(Fault::File {
                    path: "openings.jsonl".into(),
                    why: format!("line {line} is no opening"),
                });
            }
        }
        Ok(self.next.as_mut())
    }
}

fn unvouched(opened: &Opened, audit: &mut Audit) {
    audit.findings.fault(Fault::Content {
        leaf: opened.leaf,
        field: opened.field.clone(),
    });
}

fn commitment_of<'a>((name, value): (&'a String, &'a Value)) -> Option<(&'a String, Commitment)> {
    let value = value.as_object()?;
    Some((
        name,
        Commitment {
            c: value.get("c")?.as_str()?.to_owned(),
            n: value.get("n")?.as_u64()?,
        },
    ))
}
