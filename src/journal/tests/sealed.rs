//! Contents that are sealed, and contents that were erased: nothing of them is on disk in the
//! open, what is proven stays proven, and an erasure that is stopped anywhere can be finished.

use std::path::Path;

use super::super::crypt::tests::pair;
use super::super::erase::erase_watched;
use super::super::frame::{Frame, Kind, PREFIX_BYTES, Prefix};
use super::*;
use crate::record::Contents;

/// In every content of [`recorded`], at the beginning of every piece.
const MARK: &[u8] = b"what-only-the-security-team-reads";

fn bodies() -> Vec<Bytes> {
    // Around every edge: inline, in the index or not, one piece, several; not compressible.
    [
        40,
        700,
        2048,
        2049,
        16 << 10,
        (16 << 10) + 1,
        (64 << 10) - 1,
        64 << 10,
        (64 << 10) + 1,
        400_000,
    ]
    .into_iter()
    .map(|n| {
        let mut body = vec![0; n];
        getrandom::fill(&mut body).unwrap();
        for piece in body
            .chunks_mut(64 << 10)
            .filter(|it| it.len() >= MARK.len())
        {
            piece[..MARK.len()].copy_from_slice(MARK);
        }
        body.into()
    })
    .collect()
}

/// Calls with these bodies, each in a leaf that is returned.
async fn recorded(journal: &Arc<Journal>, bodies: &[Bytes]) -> Vec<u64> {
    let mut leaves = Vec::new();
    for body in bodies {
        let permit = one_call(journal, body.clone()).await;
        leaves.push(permit.request_leaf());
        let answer = journal.note_durably(answered(&permit), Vec::new());
        answer.await.unwrap();
    }
    leaves
}

/// Whether any file below `dir` has these bytes in it.
fn is_anywhere(dir: &Path, what: &[u8]) -> bool {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if contains(&std::fs::read(&path).unwrap(), what) {
                return true;
            }
        }
    }
    false
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn audited(dir: &SessionDir, identities: &Identities) -> Audit {
    let expected = Expected {
        identities: identities.clone(),
        ..Expected::default()
    };
    audit(dir, &expected).unwrap()
}

fn none() -> Identities {
    Identities::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_contents_are_read_by_recipients_alone() {
    let home = tempfile::tempdir().unwrap();
    let (recipients, file) = pair(home.path(), "1");
    let (_, other) = pair(home.path(), "2");
    let ours = Identities::read([&*file]).unwrap();
    let theirs = Identities::read([&*other]).unwrap();
    let sessions = home.path().join("sessions");
    let (dir, journal) = session_for(&sessions, 1, &recipients);
    let bodies = bodies();
    let leaves = recorded(&journal, &bodies).await;
    let check = || {
        assert!(!is_anywhere(dir.path(), MARK));
        assert!(!is_anywhere(dir.path(), b"alice"));
        assert!(!is_anywhere(dir.path(), br#"["agent"]"#));
        assert!(is_anywhere(dir.path(), b"CreateMonitor"), "leaves are open");
        let mut reader = SessionReader::open(dir.clone()).unwrap();
        assert_eq!(reader.contents(), Contents::Sealed);
        assert_eq!(reader.field(0, "who").unwrap(), None);
        let mut out = Vec::new();
        assert!(!reader.write_content(leaves[9], "body", &mut out).unwrap());
        reader.unlock(&none()).unwrap();
        assert_eq!(reader.contents(), Contents::Sealed);
        let refused = reader.unlock(&theirs).unwrap_err();
        assert!(
            matches!(refused, JournalError::NotARecipient(_)),
            "{refused}"
        );
        reader.unlock(&ours).unwrap();
        assert_eq!(reader.contents(), Contents::Open);
        assert_eq!(reader.field(0, "who").unwrap().unwrap().content, b"alice");
        for (body, leaf) in bodies.iter().zip(&leaves) {
            assert_eq!(body_of(&reader, *leaf), body[..]);
        }
    };
    check();
    journal.close(closing()).unwrap();
    check();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    check();
    let contents = 3 + 3 * bodies.len() as u64;
    let blind = audited(&dir, &none());
    assert_eq!(blind.verdict(), Verdict::Verified, "{:?}", blind.findings);
    assert_eq!((blind.contents, blind.sealed), (0, contents));
    let seeing = audited(&dir, &ours);
    assert_eq!(seeing.verdict(), Verdict::Verified, "{:?}", seeing.findings);
    assert_eq!((seeing.contents, seeing.sealed), (contents, 0));
    assert_eq!(seeing.root, blind.root);
    let expected = Expected {
        identities: theirs,
        ..Expected::default()
    };
    assert!(audit(&dir, &expected).is_err());
}

/// Rewrites every frame of the first segment.
fn edit(dir: &SessionDir, mut change: impl FnMut(&mut Frame)) {
    let path = dir.path().join("wal-000001.ddw");
    let bytes = std::fs::read(&path).unwrap();
    let (mut at, mut out) = (0, Vec::new());
    while let Some(head) = bytes.get(at..at + PREFIX_BYTES) {
        let prefix = Prefix::parse(head.try_into().unwrap()).unwrap();
        let mut frame = prefix.frame(&bytes[at..]).unwrap();
        at += prefix.stored_bytes();
        change(&mut frame);
        frame.encode(prefix.seq, &mut out);
    }
    std::fs::write(path, out).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_or_exchanged_sealed_content_is_found_with_an_identity() {
    let home = tempfile::tempdir().unwrap();
    let (recipients, file) = pair(home.path(), "1");
    let ours = Identities::read([&*file]).unwrap();
    let record = async |byte| {
        let (dir, journal) = session_for(home.path(), byte, &recipients);
        recorded(&journal, &bodies()).await;
        journal.close(closing()).unwrap();
        dir
    };
    let is_found = |dir: &SessionDir| {
        let found = audited(dir, &ours).findings.faults;
        found.iter().any(|it| matches!(it, Fault::Content { .. }))
    };
    for (byte, kind) in [(1, Kind::Opening), (2, Kind::Content)] {
        let dir = record(byte).await;
        let mut left = 5;
        edit(&dir, |frame| {
            if frame.kind == kind {
                left -= 1;
                if left == 0 {
                    *frame.payload.last_mut().unwrap() ^= 1;
                }
            }
        });
        assert!(is_found(&dir), "{kind:?}");
    }
    // Whole payloads in each other's place open well, and are not what the leaves commit to.
    let dir = record(3).await;
    let mut kept = None;
    edit(&dir, |frame| {
        if frame.kind == Kind::Opening && frame.header.ends_with(b"target") {
            std::mem::swap(
                kept.get_or_insert(frame.payload.clone()),
                &mut frame.payload,
            );
        }
    });
    assert!(is_found(&dir));
    // A header that was changed opens nothing, and says so.
    let dir = record(4).await;
    edit(&dir, |frame| {
        if frame.kind == Kind::Keys {
            let at = frame.payload.len() - 10;
            frame.payload[at] ^= 1;
        }
    });
    let mut reader = SessionReader::open(dir).unwrap();
    let refused = reader.unlock(&ours).unwrap_err();
    assert!(matches!(refused, JournalError::KeyDamaged(_)), "{refused}");
}

/// What must be the same before and after.
fn proof(audit: &Audit) -> String {
    let Audit {
        root,
        leaves,
        checkpoints,
        signed,
        calls,
        unanswered,
        ..
    } = audit;
    format!(
        "{root} {leaves} {checkpoints} {signed:?} {calls} {unanswered} {:?}",
        audit.verdict()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_leaves_every_proof_and_no_content() {
    let home = tempfile::tempdir().unwrap();
    let (sealed, file) = pair(home.path(), "1");
    let ours = Identities::read([&*file]).unwrap();
    for (byte, recipients) in [(1, Recipients::default()), (2, sealed)] {
        let (dir, journal) = session_for(home.path(), byte, &recipients);
        let bodies = bodies();
        let leaves = recorded(&journal, &bodies).await;
        assert!(matches!(erase(&dir, "root"), Err(JournalError::Running(_))));
        journal.close(closing()).unwrap();
        drop(SessionReader::open(dir.clone()).unwrap());
        assert_eq!(is_anywhere(dir.path(), MARK), recipients.is_empty());
        assert_eq!(erasure_state(&dir), Contents::Open);
        let before = audited(&dir, &ours);
        let done = erase(&dir, "root").unwrap();
        let after = audited(&dir, &ours);
        assert_eq!(proof(&after), proof(&before));
        assert_eq!(after.verdict(), Verdict::Verified, "{:?}", after.findings);
        assert_eq!(
            (after.erased, after.contents, after.sealed),
            (before.contents, 0, 0)
        );
        assert_eq!((done.by.as_str(), done.contents), ("root", before.contents));
        for what in [MARK, b"alice", br#"["agent"]"#, b"age-encryption"] {
            assert!(!is_anywhere(dir.path(), what));
        }
        let mut reader = SessionReader::open(dir.clone()).unwrap();
        reader.unlock(&ours).unwrap();
        assert_eq!(reader.contents(), Contents::Erased(done.clone()));
        assert_eq!(reader.field(0, "who").unwrap(), None);
        assert_eq!(reader.field(leaves[9], "body").unwrap(), None);
        assert_eq!(reader.state(), State::Closed);
        assert_eq!(
            reader.leaves(0).map(Result::unwrap).count() as u64,
            after.leaves
        );
        drop(reader);
        assert_eq!(erase(&dir, "other").unwrap(), done, "twice is once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_stops_anywhere_is_finished_by_the_next() {
    let home = tempfile::tempdir().unwrap();
    let (recipients, file) = pair(home.path(), "1");
    let ours = Identities::read([&*file]).unwrap();
    for byte in 0..40 {
        // Now sealed, now not: what is left open in the middle must not be taken for the whole.
        let sealed = if byte % 2 == 0 {
            &recipients
        } else {
            &Recipients::default()
        };
        let (dir, journal) = session_for(home.path(), byte, sealed);
        let leaves = recorded(&journal, &bodies()[4..]).await;
        journal.close(closing()).unwrap();
        drop(SessionReader::open(dir.clone()).unwrap());
        let before = audited(&dir, &ours);
        let mut left = byte / 2;
        let stopped = erase_watched(&dir, "first", &mut |_| {
            if left == 0 {
                return Err(io::Error::other("stopped"));
            }
            left -= 1;
            Ok(())
        });
        if stopped.is_ok() {
            assert!(byte >= 16, "the steps were met: {byte}");
            return;
        }
        let between = audited(&dir, &ours);
        assert_eq!(proof(&between), proof(&before), "stopped at {}", byte / 2);
        let begun = erasure_state(&dir) == Contents::Erasing;
        assert_eq!(begun, byte / 2 > 0);
        if begun {
            assert_eq!((between.erased, between.contents), (before.contents, 0));
            let mut reader = SessionReader::open(dir.clone()).unwrap();
            // While it is not finished nobody sees half of it.
            if reader.unlock(&ours).is_ok() {
                assert_eq!(reader.field(leaves[0], "body").unwrap(), None);
            }
            assert_eq!(reader.contents(), Contents::Erasing);
        }
        let done = erase(&dir, "second").unwrap();
        assert_eq!(done.by, if begun { "first" } else { "second" });
        assert_eq!(done.contents, before.contents);
        assert_eq!(proof(&audited(&dir, &ours)), proof(&before));
        assert!(!is_anywhere(dir.path(), MARK));
        let names = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = names.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "erased.json",
                "index",
                "lock",
                "manifest.json",
                "wal-000001.ddw"
            ]
        );
    }
    panic!("it never got to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_segment_of_a_dead_session_is_erased_torn_end_and_holes_too() {
    let home = tempfile::tempdir().unwrap();
    let (dir, journal) = session(home.path(), 1);
    let mut noise = vec![0; 34 << 20];
    getrandom::fill(&mut noise).unwrap();
    noise[..MARK.len()].copy_from_slice(MARK);
    recorded(&journal, &[noise.clone().into(), noise.into()]).await;
    // Only now: the segment rolls over behind the second body.
    recorded(&journal, &bodies()).await;
    journal.close(closing()).unwrap();
    let (first, second) = (
        dir.path().join("wal-000001.ddw"),
        dir.path().join("wal-000002.ddw"),
    );
    // A hole in the first: one byte of the frame in which the mark stands is wrong.
    let mut bytes = std::fs::read(&first).unwrap();
    let at = bytes.windows(MARK.len()).position(|it| it == MARK).unwrap();
    bytes[at + MARK.len()] ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    // The second is cut in the middle of a content.
    let bytes = std::fs::read(&second).unwrap();
    let at = bytes
        .windows(MARK.len())
        .rposition(|it| it == MARK)
        .unwrap();
    std::fs::write(&second, &bytes[..at + 100]).unwrap();
    std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let before = audited(&dir, &none());
    assert_eq!(before.verdict(), Verdict::Tampered, "the hole");
    erase(&dir, "root").unwrap();
    assert!(!is_anywhere(dir.path(), MARK));
    let after = audited(&dir, &none());
    assert_eq!(proof(&after), proof(&before));
    assert!(std::fs::metadata(&first).unwrap().len() < 1 << 20);
    let holes = |audit: &Audit| {
        let faults = audit.findings.faults.iter();
        faults
            .filter(|it| matches!(it, Fault::Damage { .. }))
            .count()
    };
    assert_eq!((holes(&before), holes(&after)), (1, 1));
    let is_torn = |it: &Gap| matches!(it, Gap::Torn { .. });
    assert!(
        after.findings.gaps.iter().any(is_torn),
        "{:?}",
        after.findings
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_reads_is_not_half_erased_in_silence() {
    let home = tempfile::tempdir().unwrap();
    let (dir, journal) = session(home.path(), 1);
    recorded(&journal, &bodies()[..2]).await;
    journal.close(closing()).unwrap();
    let reader = SessionReader::open(dir.clone()).unwrap();
    let refused = erase(&dir, "root").unwrap_err();
    assert!(matches!(refused, JournalError::BeingRead(_)), "{refused}");
    assert_eq!(erasure_state(&dir), Contents::Erasing);
    drop(reader);
    erase(&dir, "root").unwrap();
    assert!(!is_anywhere(dir.path(), MARK));
}

/// A copy with a name of its own (a backup of hard links) is not written over.
#[cfg(unix)]
#[tokio::test]
async fn a_linked_copy_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let (dir, journal) = session(&home.path().join("sessions"), 1);
    journal.close(closing()).unwrap();
    let (wal, copy) = (dir.path().join("wal-000001.ddw"), home.path().join("copy"));
    std::fs::hard_link(&wal, &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    erase(&dir, "root").unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    assert_ne!(std::fs::read(&wal).unwrap(), before);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let (dir, journal) = session(&home.path().join("sessions"), 1);
    journal.close(closing()).unwrap();
    erase(&dir, "root").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o700);
    for name in ["lock", "manifest.json", "erased.json", "wal-000001.ddw"] {
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
}
