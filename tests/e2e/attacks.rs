//! Every attack of the table in ddgate-log(5), tried on a session that ddgate recorded, in both
//! shapes a session has on disk: the write-ahead file (checksums and frame numbers made right) and
//! the exported directory (tiles made anew). Each with the files alone, with a checkpoint kept
//! from the middle, and with one kept from the end. `verify --all` sees a session that was deleted
//! whole; that is not tried here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ddgate::export;
use ddgate::journal::catalog::SessionDir;
use ddgate::journal::{Audit, Expected, Fault, Signed, Verdict, audit};
use ddgate::record::SessionId;
use ddgate::tlog::{
    Checkpoint, Hash, Levels, SignedNote, SigningKey, VerifierKey, bundles_of, encode_bundle,
    leaf_hash, tiles_of,
};
use serde_json::Value;

use crate::export::{against, only_session};
use crate::upstream::Upstream;
use crate::world::World;

const LEAF: u8 = 2;
const OPENING: u8 = 3;
const CONTENT: u8 = 4;
const CHECKPOINT: u8 = 6;

/// A frame of the write-ahead file, without its number and checksum.
#[derive(Clone)]
struct Frame {
    kind: u8,
    flags: u8,
    header: Vec<u8>,
    payload: Vec<u8>,
}

fn frames(path: &Path) -> Vec<Frame> {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut frames) = (0, Vec::new());
    while bytes[at..].starts_with(b"DDW1") {
        let header = usize::from(u16::from_le_bytes([bytes[at + 6], bytes[at + 7]]));
        let payload = u32::from_le_bytes(*bytes[at + 8..].first_chunk().unwrap()) as usize;
        let body = at + 24;
        frames.push(Frame {
            kind: bytes[at + 4],
            flags: bytes[at + 5],
            header: bytes[body..body + header].to_vec(),
            payload: bytes[body + header..body + header + payload].to_vec(),
        });
        at = (body + header + payload).next_multiple_of(8);
        if at >= bytes.len() {
            break;
        }
    }
    frames
}

/// Writes the frames as a session of its own, numbers and checksums right.
fn write_frames(frames: &[Frame], sessions: &Path, id: SessionId) -> SessionDir {
    let dir = SessionDir::new(sessions, id);
    fs::create_dir_all(dir.path()).unwrap();
    let mut bytes = Vec::new();
    for (seq, frame) in frames.iter().enumerate() {
        let start = bytes.len();
        bytes.extend_from_slice(b"DDW1");
        bytes.extend_from_slice(&[frame.kind, frame.flags]);
        bytes.extend_from_slice(&(frame.header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(frame.payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(seq as u64).to_le_bytes());
        bytes.extend_from_slice(&frame.header);
        bytes.extend_from_slice(&frame.payload);
        let crc = crc32c::crc32c(&bytes[start..start + 12]);
        let crc = crc32c::crc32c_append(crc, &bytes[start + 16..]);
        bytes[start + 12..start + 16].copy_from_slice(&crc.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    fs::write(dir.path().join("wal-000001.ddw"), bytes).unwrap();
    dir
}

/// A session as an attacker holds it: leaves with what belongs to each, signatures, the rest.
#[derive(Clone)]
struct Log {
    id: SessionId,
    key: VerifierKey,
    head: Frame,
    seal: Option<Frame>,
    leaves: Vec<Leaf>,
    signed: BTreeMap<u64, Signed>,
}

#[derive(Clone)]
struct Leaf {
    bytes: Vec<u8>,
    /// Opening and content frames, in order.
    beside: Vec<Frame>,
}

impl Leaf {
    fn says(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn say(&mut self, says: &Value) {
        self.bytes = serde_json::to_vec(says).unwrap();
    }

    fn call(&self) -> Option<u64> {
        self.says()["call"].as_u64()
    }
}

impl Log {
    fn read(dir: &SessionDir, id: SessionId) -> Self {
        let mut all = frames(&dir.path().join("wal-000001.ddw")).into_iter();
        let head = all.next().unwrap();
        let (mut leaves, mut beside, mut signed, mut seal) =
            (Vec::new(), Vec::new(), BTreeMap::new(), None);
        for frame in all {
            match frame.kind {
                LEAF => leaves.push(Leaf {
                    bytes: frame.payload,
                    beside: std::mem::take(&mut beside),
                }),
                OPENING | CONTENT => beside.push(frame),
                CHECKPOINT => {
                    let (size, synced) = frame.header.split_first_chunk().unwrap();
                    let size = u64::from_le_bytes(*size);
                    let synced = u64::from_le_bytes(synced.try_into().unwrap());
                    let (root, signature) = frame.payload.split_first_chunk::<32>().unwrap();
                    signed.insert(
                        size,
                        Signed {
                            size,
                            root: Hash::from_bytes(*root),
                            signature: signature.try_into().unwrap(),
                            synced,
                        },
                    );
                }
                _ => seal = Some(frame),
            }
        }
        let first: Value = serde_json::from_slice(&leaves[0].bytes).unwrap();
        Self {
            id,
            key: first["vkey"].as_str().unwrap().parse().unwrap(),
            head,
            seal,
            leaves,
            signed,
        }
    }

    fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn levels(&self) -> Levels {
        let mut levels = Levels::new();
        self.leaves
            .iter()
            .for_each(|leaf| levels.push(leaf_hash(&leaf.bytes)));
        levels
    }

    /// A checkpoint as it was kept elsewhere.
    fn note(&self, size: u64) -> SignedNote {
        let note = self.signed[&size].note(&self.key).unwrap();
        SignedNote::parse(note.as_bytes()).unwrap()
    }

    /// The same leaves numbered anew, as an attacker would.
    fn renumber(&mut self) {
        let mut moved = BTreeMap::new();
        for (index, leaf) in self.leaves.iter_mut().enumerate() {
            let mut says = leaf.says();
            moved.insert(says["i"].as_u64().unwrap(), index);
            says["i"] = index.into();
            if let Some(request) = says["re"].as_u64() {
                says["re"] = moved.get(&request).copied().unwrap_or(0).into();
            }
            leaf.say(&says);
            for frame in leaf.beside.iter_mut().filter(|it| it.kind == OPENING) {
                frame.header[..8].copy_from_slice(&(index as u64).to_le_bytes());
            }
        }
    }

    /// The old signatures over the roots of what is there now: the best there is without the key.
    fn reroot(&mut self) {
        let levels = self.levels();
        self.signed.retain(|size, _| *size <= levels.size());
        for (size, signed) in &mut self.signed {
            signed.root = levels.root_at(*size).unwrap();
        }
        let last = *self.signed.values().next_back().unwrap();
        let size = levels.size();
        let root = levels.root_at(size).unwrap();
        self.signed
            .entry(size)
            .or_insert(Signed { size, root, ..last });
    }

    /// Signs every size with a key, as whoever holds the session's could.
    fn sign(&mut self, key: &SigningKey) {
        let mut first = self.leaves[0].says();
        first["vkey"] = key.verifier().to_string().into();
        self.leaves[0].say(&first);
        self.key = key.verifier().clone();
        let levels = self.levels();
        self.signed.clear();
        for size in 1..=levels.size() {
            let root = levels.root_at(size).unwrap();
            let text = Checkpoint::new(key.verifier().name(), size, root).unwrap();
            let signature = text.sign_bytes(key).unwrap();
            self.signed.insert(
                size,
                Signed {
                    size,
                    root,
                    signature,
                    synced: size,
                },
            );
        }
    }

    /// Writes the session as its write-ahead file, and checks it.
    fn as_session(&self, scratch: &Path, expected: &Expected) -> Audit {
        let mut frames = vec![self.head.clone()];
        for (index, leaf) in self.leaves.iter().enumerate() {
            frames.extend(leaf.beside.iter().cloned());
            frames.push(Frame {
                kind: LEAF,
                flags: 0,
                header: Vec::new(),
                payload: leaf.bytes.clone(),
            });
            if let Some(signed) = self.signed.get(&(index as u64 + 1)) {
                let mut payload = signed.root.as_bytes().to_vec();
                payload.extend_from_slice(&signed.signature);
                frames.push(Frame {
                    kind: CHECKPOINT,
                    flags: 0,
                    header: [signed.size.to_le_bytes(), signed.synced.to_le_bytes()].concat(),
                    payload,
                });
            }
        }
        frames.extend(self.seal.clone());
        audit(&write_frames(&frames, scratch, self.id), expected).unwrap()
    }

    /// Writes the session as an export, with everything that needs no key made right, and checks
    /// it. `template` is the honest export, from which lines and blobs are taken.
    fn as_export(&self, scratch: &Path, template: &Path, expected: &Expected) -> Audit {
        let put = |path: &str, bytes: &[u8]| {
            let path = scratch.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put("vkey", format!("{}\n", self.key).as_bytes());
        let levels = self.levels();
        for tile in tiles_of(levels.size()) {
            put(&tile.to_string(), &tile.hashes(&levels).unwrap());
        }
        for tile in bundles_of(levels.size()) {
            let range = tile.range().unwrap();
            let leaves = &self.leaves[range.start as usize..range.end as usize];
            let leaves: Vec<_> = leaves.iter().map(|leaf| &leaf.bytes).collect();
            put(&tile.to_string(), &encode_bundle(&leaves).unwrap());
        }
        for (size, signed) in &self.signed {
            let note = signed.note(&self.key).unwrap();
            put(&format!("checkpoints/{size:020}"), note.as_bytes());
        }
        copy(&template.join("blob"), &scratch.join("blob"));
        let lines = lines_of(template);
        let mut kept = String::new();
        for (index, leaf) in self.leaves.iter().enumerate() {
            for frame in leaf.beside.iter().filter(|it| it.kind == OPENING) {
                // The salt says which line was this one.
                let salt = &frame.header[16..48];
                let line = lines.iter().find(|line| salt_of(line) == salt).unwrap();
                let mut line = line.clone();
                line["i"] = index.into();
                kept.push_str(&format!("{line}\n"));
            }
        }
        put("openings.jsonl", kept.as_bytes());
        export::check(scratch, expected, &mut |_, _| {}).unwrap()
    }
}

fn salt_of(line: &Value) -> Vec<u8> {
    use base64::Engine as _;
    let salt = line["salt"].as_str().unwrap();
    base64::prelude::BASE64_URL_SAFE_NO_PAD
        .decode(salt)
        .unwrap()
}

fn lines_of(export: &Path) -> Vec<Value> {
    let text = fs::read_to_string(export.join("openings.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

/// A session of eight calls that ddgate recorded, and its export.
struct Victim {
    _world: World,
    scratch: tempfile::TempDir,
    export: PathBuf,
    log: Log,
}

impl Victim {
    fn new() -> Self {
        let world = World::new();
        let upstream = Upstream::start();
        let long: String = (0..12_000u32)
            .map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)))
            .collect();
        let mut script = format!("POST /api/v1/monitor {long}\n");
        for n in 2..9 {
            script += &format!("PUT /api/v1/monitor/{n} {{\"name\": \"monitor {n}\"}}\n");
        }
        against(&world, &upstream, &script).succeeds();
        let id: SessionId = only_session(&world).parse().unwrap();
        let dir = SessionDir::new(&world.sessions(), id);
        let export = world.root().join("export");
        export::session::write(&dir, &export, &Default::default(), &mut |_, _| {}).unwrap();
        let log = Log::read(&dir, id);
        // Opened, eight calls (the first with a body of its own leaf), closed.
        assert!(log.size() >= 18, "{}", log.size());
        Self {
            _world: world,
            scratch: tempfile::tempdir().unwrap(),
            export,
            log,
        }
    }

    /// A size that was signed, about in the middle.
    fn middle(&self) -> u64 {
        let middle = self.log.size() / 2;
        *self.log.signed.range(middle..).next().unwrap().0
    }

    /// Both shapes of a session, checked with nothing, with a checkpoint of `of` from the middle, and with one
    /// from the end.
    fn checked(&self, what: &str, log: &Log, of: &Log) -> Vec<(String, [Audit; 3])> {
        let kept = |size| Expected {
            checkpoints: vec![of.note(size)],
            ..Expected::default()
        };
        let all = [Expected::default(), kept(self.middle()), kept(of.size())];
        let scratch = || tempfile::tempdir_in(&self.scratch).unwrap().keep();
        vec![
            (
                format!("{what}, session"),
                all.clone()
                    .map(|expected| log.as_session(&scratch(), &expected)),
            ),
            (
                format!("{what}, export"),
                all.map(|expected| log.as_export(&scratch(), &self.export, &expected)),
            ),
        ]
    }

    #[track_caller]
    fn gives(&self, what: &str, log: &Log, of: &Log, verdicts: [Verdict; 3]) -> Vec<[Audit; 3]> {
        let checked = self.checked(what, log, of);
        for (what, audits) in &checked {
            let found = audits.each_ref().map(Audit::verdict);
            assert_eq!(
                found,
                verdicts,
                "{what}: {:#?}",
                audits.each_ref().map(|it| &it.findings)
            );
        }
        checked.into_iter().map(|(_, audits)| audits).collect()
    }
}

use Verdict::{Incomplete, Tampered, Verified};

#[test]
fn nothing_was_done() {
    let victim = Victim::new();
    let audits = victim.gives("as it is", &victim.log, &victim.log, [Verified; 3]);
    for audits in audits {
        assert_eq!(audits[1].anchored, [victim.middle()]);
        assert_eq!(audits[2].anchored, [victim.log.size()]);
        assert_eq!(audits[0].contents, lines_of(&victim.export).len() as u64);
    }
}

#[test]
fn a_leaf_is_edited_deleted_inserted_moved_without_the_key() {
    let victim = Victim::new();
    type Attack = fn(&mut Log, usize);
    let attacks: [(&str, Attack); 5] = [
        ("edited", |log, at| {
            let mut says = log.leaves[at].says();
            says["ts"] = "2026-01-01T00:00:00.000000Z".into();
            log.leaves[at].say(&says);
        }),
        ("deleted", |log, at| drop(log.leaves.remove(at))),
        ("deleted, the rest numbered anew", |log, at| {
            log.leaves.remove(at);
            log.renumber();
        }),
        ("inserted", |log, at| {
            let mut twice = log.leaves[at].clone();
            // Salts are found by value: the copy has nothing beside it.
            twice.beside.clear();
            log.leaves.insert(at, twice);
            log.renumber();
        }),
        ("moved", |log, at| {
            log.leaves.swap(at, at + 1);
            log.renumber();
        }),
    ];
    // Before the middle, after it, and at the very end.
    let size = victim.log.leaves.len();
    for at in [0, 3, size - 4, size - 2] {
        for (what, attack) in attacks {
            let mut log = victim.log.clone();
            attack(&mut log, at);
            let mut rerooted = log.clone();
            rerooted.reroot();
            for (how, mut log) in [("naive", log), ("roots made right", rerooted)] {
                let last = log.size();
                log.signed.retain(|size, _| *size <= last);
                let what = format!("leaf {at} {what}, {how}");
                if !log.leaves[0].says()["vkey"].is_string() {
                    // Without its opening it is no session at all, in any shape.
                    continue;
                }
                victim.gives(&what, &log, &victim.log, [Tampered; 3]);
            }
        }
    }
}

#[test]
fn the_tail_is_cut_at_a_checkpoint() {
    let victim = Victim::new();
    let cut_to = |size: u64| {
        let mut log = victim.log.clone();
        log.leaves.truncate(size as usize);
        log.signed.retain(|signed, _| *signed <= size);
        log
    };
    let middle = victim.middle();
    for (&size, _) in victim.log.signed.range(middle..victim.log.size()) {
        let what = format!("cut to {size}");
        let verdicts = [Incomplete, Incomplete, Tampered];
        for audits in victim.gives(&what, &cut_to(size), &victim.log, verdicts) {
            let here = size;
            let anchored = victim.log.size();
            assert_eq!(
                audits[2].findings.faults,
                [Fault::Truncated { anchored, here }]
            );
        }
    }
    let (&before, _) = victim.log.signed.range(..middle).next_back().unwrap();
    victim.gives(
        "cut before the middle",
        &cut_to(before),
        &victim.log,
        [Incomplete, Tampered, Tampered],
    );
}

#[test]
fn a_call_is_hidden_with_the_sessions_own_key() {
    let victim = Victim::new();
    // The same session, signed by a key the attacker holds: the record of a person who edits it.
    let key = SigningKey::generate(victim.log.key.name()).unwrap();
    let mut honest = victim.log.clone();
    honest.sign(&key);
    victim.gives("with another key", &honest, &honest, [Verified; 3]);

    let hide = |call: u64| {
        let mut log = honest.clone();
        log.leaves.retain(|leaf| leaf.call() != Some(call));
        assert!(log.size() + 2 <= honest.size());
        log.renumber();
        log.sign(&key);
        log
    };
    let early = victim.gives(
        "call 2 hidden",
        &hide(2),
        &honest,
        [Verified, Tampered, Tampered],
    );
    for audits in early {
        let size = victim.middle();
        assert_eq!(audits[1].findings.faults, [Fault::Fork { size }]);
    }
    victim.gives(
        "call 8 hidden",
        &hide(8),
        &honest,
        [Verified, Verified, Tampered],
    );

    // Cut and closed again: the last leaf is moved up behind what is to be seen.
    let mut closed = honest.clone();
    let close = closed.leaves.pop().unwrap();
    closed.leaves.truncate(victim.middle() as usize + 2);
    closed.leaves.push(close);
    closed.renumber();
    closed.sign(&key);
    victim.gives(
        "cut and closed",
        &closed,
        &honest,
        [Verified, Verified, Tampered],
    );

    // Another key altogether, where the right one is known: seen at once.
    let mut other = victim.log.clone();
    other.sign(&key);
    let expected = Expected {
        key: Some(victim.log.key.clone()),
        ..Expected::default()
    };
    let scratch = || tempfile::tempdir_in(&victim.scratch).unwrap().keep();
    for audit in [
        other.as_session(&scratch(), &expected),
        other.as_export(&scratch(), &victim.export, &expected),
    ] {
        assert_eq!(audit.verdict(), Tampered);
        let fault = &audit.findings.faults;
        assert!(
            fault.iter().any(|it| matches!(it, Fault::OtherKey { .. })),
            "{fault:?}"
        );
    }
}

#[test]
fn what_passes_is_said_plainly() {
    let world = World::new();
    world.agent("GET /api/v1/monitor\n").succeeds();
    world.ddgate(["export", "latest", "-o", "out"]).succeeds();
    for words in [&["verify", "latest"][..], &["verify", "--dir", "out"]] {
        let shown = String::from_utf8(world.ddgate(words).succeeds().stdout).unwrap();
        assert!(
            shown.contains("whether this is the original record"),
            "{shown}"
        );
        assert!(shown.contains("written anew with its own key"), "{shown}");
        assert!(shown.contains("calls made around ddgate"), "{shown}");
    }
}

#[test]
fn an_opening_is_edited_in_the_session() {
    let victim = Victim::new();
    type Attack = fn(&mut Frame);
    let attacks: [(&str, u8, Attack); 4] = [
        ("salt", OPENING, |frame| frame.header[20] ^= 1),
        ("field", OPENING, |frame| frame.header[48] ^= 1),
        ("content", OPENING, |frame| {
            (frame.flags, frame.payload) = (0, b"other".to_vec());
        }),
        ("piece", CONTENT, |frame| {
            (frame.flags, frame.payload) = (0, b"other".to_vec());
        }),
    ];
    for (what, kind, attack) in attacks {
        let mut log = victim.log.clone();
        let mut beside = log.leaves.iter_mut().flat_map(|leaf| &mut leaf.beside);
        attack(beside.find(|frame| frame.kind == kind).unwrap());
        for size in [None, Some(victim.middle()), Some(victim.log.size())] {
            let expected = Expected {
                checkpoints: size.map(|size| victim.log.note(size)).into_iter().collect(),
                ..Expected::default()
            };
            let scratch = tempfile::tempdir_in(&victim.scratch).unwrap();
            let audit = log.as_session(scratch.path(), &expected);
            assert_eq!(audit.verdict(), Tampered, "{what}: {:?}", audit.findings);
        }
    }
    // Taken away without a word, it is missing.
    let mut log = victim.log.clone();
    log.leaves[4].beside.pop();
    let scratch = tempfile::tempdir_in(&victim.scratch).unwrap();
    let audit = log.as_session(scratch.path(), &Expected::default());
    assert_eq!(audit.verdict(), Incomplete, "{:?}", audit.findings);
}

/// Applies something to a copy of the export, and checks it three times.
fn exported(victim: &Victim, what: &str, attack: impl FnOnce(&Path), verdict: Verdict) {
    let scratch = tempfile::tempdir_in(&victim.scratch).unwrap();
    copy(&victim.export, scratch.path());
    attack(scratch.path());
    for size in [None, Some(victim.middle()), Some(victim.log.size())] {
        let expected = Expected {
            checkpoints: size.map(|size| victim.log.note(size)).into_iter().collect(),
            ..Expected::default()
        };
        let audit = export::check(scratch.path(), &expected, &mut |_, _| {}).unwrap();
        assert_eq!(
            audit.verdict(),
            verdict,
            "{what}, {size:?}: {:?}",
            audit.findings
        );
    }
}

#[test]
fn an_opening_or_a_blob_is_edited_in_the_export() {
    let victim = Victim::new();
    let edit = |what: &'static str, value: &'static str| {
        move |dir: &Path| {
            let mut lines = lines_of(dir);
            lines[5][what] = value.into();
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(dir.join("openings.jsonl"), text).unwrap();
        }
    };
    let salt = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    exported(&victim, "content", edit("content", "b3RoZXI"), Tampered);
    exported(&victim, "salt", edit("salt", salt), Tampered);
    exported(&victim, "field", edit("f", "other"), Tampered);
    exported(
        &victim,
        "no opening",
        |dir| fs::remove_file(dir.join("openings.jsonl")).unwrap(),
        Incomplete,
    );
    let more = |dir: &Path| {
        let path = dir.join("openings.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let twice = text.lines().next().unwrap();
        fs::write(&path, format!("{text}{twice}\n")).unwrap();
    };
    exported(&victim, "one too many", more, Tampered);

    let blob = |dir: &Path| {
        fs::read_dir(dir.join("blob"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    };
    let other = |dir: &Path| fs::write(blob(dir), "other").unwrap();
    exported(&victim, "blob", other, Tampered);
    exported(
        &victim,
        "no blob",
        |dir| fs::remove_file(blob(dir)).unwrap(),
        Incomplete,
    );
    // A blob of another content under its right name, and the line led to it.
    let led = |dir: &Path| {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest("other");
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(dir.join("blob").join(&name), "other").unwrap();
        let old = blob(&victim.export)
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let path = dir.join("openings.jsonl");
        let text = fs::read_to_string(&path).unwrap().replace(&old, &name);
        fs::write(path, text).unwrap();
    };
    exported(&victim, "blob exchanged", led, Tampered);
}

#[test]
fn single_files_of_the_export_are_changed() {
    let victim = Victim::new();
    let size = victim.log.size();
    let partial = |kind: &str| format!("tile/{kind}/000.p/{size}");
    let flip = |path: String| {
        move |dir: &Path| {
            let path = dir.join(path);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    };
    exported(&victim, "a leaf", flip(partial("entries")), Tampered);
    exported(&victim, "a hash", flip(partial("0")), Tampered);
    let first = "checkpoints/00000000000000000001";
    exported(&victim, "a checkpoint", flip(first.into()), Tampered);
    for path in [partial("entries"), partial("0")] {
        let gone = |dir: &Path| fs::remove_file(dir.join(&path)).unwrap();
        exported(&victim, &format!("without {path}"), gone, Tampered);
    }
    let wider = |dir: &Path| {
        let path = dir.join(partial("entries"));
        fs::copy(&path, dir.join(format!("tile/entries/000.p/{}", size + 1))).unwrap();
    };
    exported(&victim, "a leaf more", wider, Tampered);
    // The tail cut off without making the tiles right.
    let last = format!("checkpoints/{size:020}");
    exported(
        &victim,
        "without the last checkpoint",
        |dir| fs::remove_file(dir.join(&last)).unwrap(),
        Tampered,
    );
}
