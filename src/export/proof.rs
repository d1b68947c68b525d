//! Checks the proof of one call: each leaf against the signed checkpoint its proof leads to, each
//! opening against its commitment.
//!
//! What is proven: that the session's key signed a log in which these leaves stand at these places.
//! What is not: that the key is the right one, unless it is known from elsewhere.

use std::path::Path;

use serde_json::{Map, Value};

use super::check::{key, names, not, read};
use super::openings::Openings;
use super::{ExportError, says};
use crate::journal::{Audit, Fault, Gap, Signed, Verdict};
use crate::limits;
use crate::tlog::{TlogProof, VerifierKey, leaf_hash};

/// What the check of a proof found.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The key all signatures were held against.
    pub key: VerifierKey,
    /// Number of the call.
    pub call: Option<u64>,
    /// Its leaves: index and type.
    pub leaves: Vec<(u64, String)>,
    /// Counts and findings; `signed` is the largest checkpoint.
    pub audit: Audit,
}

impl Proof {
    /// What follows from what was found.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.audit.verdict()
    }
}

/// Checks the proof of a call.
///
/// # Errors
/// The directory is no such proof, or cannot be read.
pub fn check(dir: &Path, expected: Option<&VerifierKey>) -> Result<Proof, ExportError> {
    let found = key(dir)?;
    let session = found
        .name()
        .rsplit('/')
        .next()
        .and_then(|id| id.parse().ok());
    let Some(session) = session else {
        return Err(not(dir, "its key is not that of a session"));
    };
    let mut proof = Proof {
        key: expected.unwrap_or(&found).clone(),
        call: None,
        leaves: Vec::new(),
        audit: Audit::begin(session),
    };
    proof.audit.origin = Some(found.name().to_owned());
    proof.audit.key = Some(found.clone());
    if proof.key != found {
        proof.audit.findings.fault(Fault::OtherKey {
            expected: proof.key.to_string(),
        });
    }
    let mut indices: Vec<u64> = Vec::new();
    for name in names(&dir.join("leaf"))? {
        let index = name.parse().ok().filter(|i: &u64| i.to_string() == name);
        indices.push(index.ok_or_else(|| not(dir, format!("`leaf/{name}` is no leaf")))?);
    }
    if indices.is_empty() {
        return Err(not(dir, "it has no leaf"));
    }
    indices.sort_unstable();
    let mut openings = Openings::open(dir)?;
    for index in &indices {
        proof.leaf(dir, *index, &indices, &mut openings)?;
    }
    openings.finish(&mut proof.audit)?;
    Ok(proof)
}

impl Proof {
    fn leaf(
        &mut self,
        dir: &Path,
        index: u64,
        all: &[u64],
        openings: &mut Openings,
    ) -> Result<(), ExportError> {
        let path = dir.join(format!("leaf/{index}"));
        let bytes = read(&path, limits::LEAF_BYTES_MAX as u64)?.unwrap_or_default();
        self.audit.leaves += 1;
        if let Err(why) = self.proven(dir, index, &bytes)? {
            let fault = Fault::Proof { leaf: index, why };
            self.audit.findings.fault(fault);
        }
        let Some(says) = says::object(index, &bytes, &mut self.audit) else {
            return Ok(());
        };
        let kind = says.get("t").and_then(Value::as_str).unwrap_or("?");
        self.leaves.push((index, kind.to_owned()));
        self.one_call(index, &says, all);
        openings.compare(index, &says, &mut self.audit)
    }

    /// Whether a leaf is where its proof says; why not, if not.
    fn proven(
        &mut self,
        dir: &Path,
        index: u64,
        leaf: &[u8],
    ) -> Result<Result<(), String>, ExportError> {
        let path = dir.join(format!("proof/{index}.tlog-proof"));
        let Some(bytes) = read(&path, limits::PROOF_BYTES_MAX as u64)? else {
            return Ok(Err("its proof is missing".into()));
        };
        let verified = TlogProof::parse(&bytes).and_then(|proof| {
            let checkpoint = proof.verify(&leaf_hash(leaf), &self.key)?;
            let lines = proof.checkpoint.signatures();
            let line = lines.iter().find(|line| line.is_of(&self.key));
            Ok((
                proof.index,
                checkpoint,
                line.and_then(|line| line.signature().try_into().ok()),
            ))
        });
        let (stated, checkpoint, signature) = match verified {
            Ok(verified) => verified,
            Err(e) => return Ok(Err(e.to_string())),
        };
        if stated != index {
            return Ok(Err(format!("its proof is one of leaf {stated}")));
        }
        let is_larger = |signed: &Signed| signed.size < checkpoint.size();
        if let Some(signature) = signature
            && self.audit.signed.as_ref().is_none_or(is_larger)
        {
            self.audit.root = *checkpoint.root();
            self.audit.signed = Some(Signed {
                size: checkpoint.size(),
                root: *checkpoint.root(),
                signature,
                synced: checkpoint.size(),
            });
        }
        Ok(Ok(()))
    }

    /// Whether the leaves are of one call, and none that another one names is missing.
    fn one_call(&mut self, index: u64, says: &Map<String, Value>, all: &[u64]) {
        let call = says.get("call").and_then(Value::as_u64);
        if call.is_none() || self.call.is_some_and(|one| call != Some(one)) {
            self.audit.findings.fault(Fault::Leaf {
                leaf: index,
                why: "it is not of the same call as the others".into(),
            });
        }
        self.call = self.call.or(call);
        let request = says.get("re").and_then(Value::as_u64);
        if let Some(leaf) = request.filter(|leaf| !all.contains(leaf)) {
            self.audit.findings.gap(Gap::Leaf { leaf });
        }
    }
}
