//! A check under way: takes the record frame by frame, from whoever reads it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::audit::{Audit, Depth, Expected, SIGNATURE_EVERY};
use super::catalog::{Manifest, SessionDir};
use super::content::{self, Opening};
use super::frame::{Frame, Kind};
use super::reader::{self, State};
use super::says::Says;
use super::seal::Signed;
use super::statements::{Statement, Statements};
use super::tail::Tail;
use super::vault::Vault;
use super::verdict::{Fault, Gap};
use super::wal::{self, End, Position};
use super::{JournalError, erase, index};
use crate::record::event::Commitment;
use crate::record::{Event, Leaf};
use crate::tlog::{Checkpoint, Frontier, Hash, VerifierKey, leaf_hash};

/// A check under way: whoever reads the record for another reason can check it meanwhile.
pub(super) struct Auditor<'a> {
    dir: &'a Path,
    expected: &'a Expected,
    audit: Audit,
    live: bool,
    depth: Depth,
    vault: Vault,
    tree: Frontier,
    next_frame: u64,
    /// Roots wanted at sizes that checkpoints kept elsewhere state.
    wanted: BTreeMap<u64, Option<Hash>>,
    /// Pieces of contents whose opening has not come yet.
    pieces: HashMap<u64, Vec<Position>>,
    /// Openings of the leaf that has not come yet.
    opened: HashMap<u64, Vec<(String, Opened)>>,
    /// The last checkpoint with the right root whose signature is still to be checked.
    unchecked: Option<Signed>,
    /// Size at which a signature was last checked.
    checked: u64,
    /// Size under the last checkpoint with the right root.
    agreed: u64,
    tail: Tail,
    statements: Statements,
}

enum Opened {
    Is(Commitment),
    Erased,
    Sealed,
    /// The bytes are there and cannot be unpacked, or are not there.
    Broken,
}

impl<'a> Auditor<'a> {
    pub(super) fn new(
        dir: &'a SessionDir,
        expected: &'a Expected,
        depth: Depth,
    ) -> Result<Self, JournalError> {
        let mut vault = Vault::of(dir, reader::head(dir)?)?;
        vault.unlock(&expected.identities)?;
        Self::with(dir, expected, depth, vault)
    }

    /// The same for whoever has opened the contents already, or has not.
    pub(super) fn with(
        dir: &'a SessionDir,
        expected: &'a Expected,
        depth: Depth,
        vault: Vault,
    ) -> Result<Self, JournalError> {
        let session = reader::head(dir)?;
        let live = reader::is_live(dir)?;
        let mut wanted = BTreeMap::new();
        for note in &expected.checkpoints {
            if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
                wanted.insert(checkpoint.size(), None);
            }
        }
        if let Some((size, _)) = expected.stated {
            wanted.insert(size, None);
        }
        wanted
            .entry(0)
            .and_modify(|root| *root = Some(Frontier::new().root()));
        Ok(Self {
            dir: dir.path(),
            expected,
            live,
            depth,
            vault,
            tree: Frontier::new(),
            next_frame: 0,
            wanted,
            pieces: HashMap::new(),
            opened: HashMap::new(),
            unchecked: None,
            checked: 0,
            agreed: 0,
            tail: Tail::default(),
            statements: Statements::default(),
            audit: Audit::begin(session),
        })
    }

    /// Takes the next frame of the record.
    pub(super) fn frame(
        &mut self,
        seq: u64,
        at: Position,
        frame: &Frame,
    ) -> Result<(), JournalError> {
        // The seal of the segment before has a number too, and a scanner keeps it to itself.
        let is_behind_seal = frame.kind == Kind::Segment && at.segment > 1;
        let expected = self.next_frame + u64::from(is_behind_seal);
        if seq != expected {
            self.fault(Fault::Frames {
                expected,
                found: seq,
            });
        }
        self.next_frame = seq.saturating_add(1);
        match frame.kind {
            Kind::Segment => {
                let named = wal::parse_segment_head(frame).map(|(id, _)| id);
                if named != Some(self.audit.session) {
                    self.fault(Fault::Segment {
                        segment: at.segment,
                    });
                }
            }
            // The first leaf's contents say who acted: always checked.
            Kind::Content | Kind::Opening
                if self.depth == Depth::Leaves && self.tree.size() > 0 => {}
            Kind::Content => {
                if let Some((number, _)) = content::parse_content_header(&frame.header) {
                    self.pieces.entry(number).or_default().push(at);
                }
            }
            Kind::Opening => self.opening(frame),
            Kind::Leaf => self.leaf(&frame.payload),
            Kind::Checkpoint => self.checkpoint(frame),
            Kind::Erased if self.depth == Depth::Leaves && self.tree.size() > 0 => {}
            Kind::Erased => {
                if let Some((leaf, field)) = erase::erased_field(frame) {
                    let opened = self.opened.entry(leaf).or_default();
                    opened.push((field, Opened::Erased));
                }
            }
            Kind::Seal | Kind::Keys => {}
        }
        Ok(())
    }

    /// Says whether the session's gate still writes.
    pub(super) const fn running(&mut self, live: bool) {
        self.live = live;
    }

    /// Takes bytes that are no frame.
    pub(super) fn damage(&mut self, from: Position, to: u64) {
        self.fault(Fault::Damage {
            segment: from.segment,
            from: from.offset,
            to,
        });
    }

    fn fault(&mut self, fault: Fault) {
        self.tail.fault(&fault, self.agreed, &self.audit.findings);
        self.audit.findings.fault(fault);
    }

    fn opening(&mut self, frame: &Frame) {
        let Some(opening) = Opening::parse(&frame.header) else {
            let leaf = self.tree.size();
            return self.fault(Fault::Leaf {
                leaf,
                why: "an opening beside it does not read".into(),
            });
        };
        let opened = self.opened(&opening, frame);
        self.opened
            .entry(opening.leaf)
            .or_default()
            .push((opening.field, opened));
    }

    fn opened(&mut self, opening: &Opening, frame: &Frame) -> Opened {
        if self.vault.is_erasing() {
            return Opened::Erased;
        }
        if frame.is_sealed() && self.vault.cipher().is_none() {
            let is_whole = opening.content == 0 || self.pieces.remove(&opening.content).is_some();
            return if is_whole {
                Opened::Sealed
            } else {
                Opened::Broken
            };
        }
        let plain = self.vault.opened(frame.clone());
        match plain.and_then(|it| Some((Opening::parse(&it.header)?, it))) {
            Some((opening, frame)) => self.commitment(&opening, &frame),
            None => Opened::Broken,
        }
    }

    fn commitment(&mut self, opening: &Opening, frame: &Frame) -> Opened {
        let mut mac = content::Recommit::new(&opening.salt, &opening.field);
        if opening.content == 0 {
            return match content::payload(frame) {
                Ok(plain) => {
                    mac.update(&plain);
                    Opened::Is(mac.finish())
                }
                Err(_) => Opened::Broken,
            };
        }
        let Some(pieces) = self.pieces.remove(&opening.content) else {
            return Opened::Broken;
        };
        for at in pieces {
            match index::plain(self.dir, at, self.vault.cipher()) {
                Ok(plain) => mac.update(&plain),
                Err(_) => return Opened::Broken,
            }
        }
        Opened::Is(mac.finish())
    }

    fn leaf(&mut self, bytes: &[u8]) {
        let leaf = self.tree.size();
        self.tree.push(leaf_hash(bytes));
        if let Some(wanted) = self.wanted.get_mut(&self.tree.size()) {
            *wanted = Some(self.tree.root());
        }
        self.audit.leaves = self.tree.size();
        let Some(says) = Says::of(bytes) else {
            return self.fault(Fault::Leaf {
                leaf,
                why: "it is no JSON object".into(),
            });
        };
        if says.number("i") != Some(leaf) {
            self.fault(Fault::Leaf {
                leaf,
                why: "it says it is another one".into(),
            });
        }
        let statement = Statement {
            kind: says.text("t"),
            call: says.number("call"),
            via: says.text("via"),
            decision: says.text("decision"),
            at: says.text("ts"),
        };
        for fault in self.statements.take(leaf, statement, &mut self.audit) {
            self.fault(fault);
        }
        if leaf == 0 && statement.kind == Some("session.open") {
            self.opens(bytes);
        }
        if self.depth == Depth::Contents || leaf == 0 {
            self.contents(leaf, &says);
        }
    }

    fn opens(&mut self, bytes: &[u8]) {
        let Ok(leaf) = Leaf::from_bytes(bytes) else {
            return self.fault(Fault::Leaf {
                leaf: 0,
                why: "it does not read as the opening of a session".into(),
            });
        };
        let Event::SessionOpen(open) = leaf.event else {
            return;
        };
        if open.session != self.audit.session {
            self.fault(Fault::OtherSession {
                named: open.session,
            });
        }
        self.audit.chain = open.chain;
        let key = open.vkey.as_deref().map(str::parse::<VerifierKey>);
        match key {
            Some(Ok(key)) if key.name() == open.origin => self.audit.key = Some(key),
            Some(_) => self.fault(Fault::Leaf {
                leaf: 0,
                why: "its key does not read, or is another log's".into(),
            }),
            None => self.audit.findings.gap(Gap::NeverSigned),
        }
        if let Some(expected) = &self.expected.key
            && self.audit.key.as_ref() != Some(expected)
        {
            self.fault(Fault::OtherKey {
                expected: expected.to_string(),
            });
        }
        self.audit.origin = Some(open.origin);
    }

    /// Compares what the leaf commits to with what stands beside it.
    fn contents(&mut self, leaf: u64, says: &Says<'_>) {
        let mut opened = self.opened.remove(&leaf).unwrap_or_default();
        let is_unkept = says.has("unkept") || says.has("level");
        for (field, committed) in says.commitments() {
            let at = opened.iter().position(|(name, _)| name == field);
            match at.map(|at| opened.swap_remove(at).1) {
                Some(Opened::Is(found)) if committed.is(&found) => self.audit.contents += 1,
                Some(Opened::Erased) => self.audit.erased += 1,
                Some(Opened::Sealed) => self.audit.sealed += 1,
                Some(Opened::Is(_) | Opened::Broken) => self.fault(Fault::Content {
                    leaf,
                    field: field.to_owned(),
                }),
                None if is_unkept => self.audit.withheld += 1,
                None => self.audit.findings.gap(Gap::Content {
                    leaf,
                    field: field.to_owned(),
                }),
            }
        }
        for (field, _) in opened {
            // Content that no leaf vouches for.
            self.fault(Fault::Content { leaf, field });
        }
    }

    fn checkpoint(&mut self, frame: &Frame) {
        let size = self.tree.size();
        let Some(signed) = Signed::of(frame) else {
            return self.fault(Fault::Root {
                from: self.agreed,
                size,
            });
        };
        self.tail.checkpoint(&signed);
        if signed.size != size || signed.root != self.tree.root() {
            return self.fault(Fault::Root {
                from: self.agreed,
                size: signed.size,
            });
        }
        self.audit.checkpoints += 1;
        self.agreed = size;
        self.unchecked = Some(signed);
        if self.checked == 0 || size - self.checked >= SIGNATURE_EVERY {
            self.check_signature();
        }
    }

    fn check_signature(&mut self) {
        let (Some(signed), Some(key)) = (self.unchecked.take(), &self.audit.key) else {
            return;
        };
        self.checked = signed.size;
        if signed.is_by(key) {
            self.audit.signed = Some(signed);
        } else {
            self.fault(Fault::Signature { size: signed.size });
        }
    }

    /// Ends the check.
    pub(super) fn finish(mut self, end: End) -> Audit {
        self.check_signature();
        if !self.statements.is_closed() && !self.live {
            self.tail.forgive(&mut self.audit.findings);
        }
        let covered = self.audit.signed.map_or(0, |signed| signed.size);
        self.audit.root = self.tree.root();
        self.audit.unanswered = self.statements.unanswered();
        let sealed = end == End::Sealed;
        self.audit.state = match (self.live, self.statements.is_closed()) {
            (true, _) => State::Running,
            (false, true) => State::Closed,
            (false, false) => State::EndedWithoutClosing,
        };
        if self.audit.leaves == 0 {
            self.audit.findings.gap(Gap::Empty);
        }
        let manifest = Manifest::load(self.dir).filter(|_| !self.live);
        if let Some(Manifest { leaves: once, .. }) = manifest
            && once > self.audit.leaves
        {
            let here = self.audit.leaves;
            self.audit.findings.gap(Gap::Shorter { here, once });
        }
        // What a running session has written last is signed next.
        if self.audit.key.is_some() && covered < self.audit.leaves && !self.live {
            self.audit.findings.gap(Gap::Unsigned {
                from: covered,
                to: self.audit.leaves,
            });
        }
        if !self.statements.is_closed() {
            self.audit
                .findings
                .gap(Gap::NotClosed { running: self.live });
        } else if !sealed && !self.live {
            self.audit.findings.gap(Gap::NotSealed);
        }
        if let (End::Torn(at), false) = (end, self.live) {
            self.audit.findings.gap(Gap::Torn {
                segment: at.segment,
                from: at.offset,
            });
        }
        self.anchors();
        self.audit
    }

    /// Compares with what was kept elsewhere.
    fn anchors(&mut self) {
        for note in &self.expected.checkpoints {
            let key = self.expected.key.as_ref().or(self.audit.key.as_ref());
            let Some(key) = key else { continue };
            let checkpoint = match Checkpoint::verify(note, key) {
                Ok(checkpoint) => checkpoint,
                Err(e) => {
                    self.audit
                        .findings
                        .fault(Fault::Anchor { why: e.to_string() });
                    continue;
                }
            };
            let size = checkpoint.size();
            match self.wanted.get(&size).copied().flatten() {
                Some(root) if root == *checkpoint.root() => self.audit.anchored.push(size),
                Some(_) => self.audit.findings.fault(Fault::Fork { size }),
                None => self.audit.findings.fault(Fault::Truncated {
                    anchored: size,
                    here: self.audit.leaves,
                }),
            }
        }
        self.audit.anchored.sort_unstable();
        if let Some((size, stated)) = self.expected.stated {
            match self.wanted.get(&size).copied().flatten() {
                Some(root) if root == stated => self.audit.next_agrees = true,
                Some(_) => self.audit.findings.fault(Fault::NextDiffers { size }),
                None => self.audit.findings.fault(Fault::NextSawMore {
                    stated: size,
                    here: self.audit.leaves,
                }),
            }
        }
    }
}
