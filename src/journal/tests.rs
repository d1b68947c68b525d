//! The journal as a whole: what goes in comes out, in every state a session can be in.

use std::sync::Arc;

use bytes::Bytes;

mod sealed;
mod streams;

use super::catalog::{Catalog, SessionDir};
use super::reader::State;
use super::*;
use crate::record::event::*;
use crate::record::{Effect, Event, Leaf, Outcome, SessionId};
use crate::redact::{KnownSecrets, Redacted};

fn clean(bytes: impl Into<Bytes>) -> Redacted<Bytes> {
    let nothing_secret = KnownSecrets::new([]).unwrap();
    nothing_secret.bytes(&bytes.into())
}

fn session(sessions: &std::path::Path, byte: u8) -> (SessionDir, Arc<Journal>) {
    session_for(sessions, byte, &Recipients::default())
}

fn session_for(
    sessions: &std::path::Path,
    byte: u8,
    recipients: &Recipients,
) -> (SessionDir, Arc<Journal>) {
    let id = SessionId::from_bytes([byte; 16]);
    let dir = SessionDir::new(sessions, id);
    let who = commit("who", clean("alice"));
    let cmd = commit("cmd", clean(r#"["agent"]"#));
    let host = commit("host", clean("{}"));
    let open = SessionOpen {
        session: id,
        origin: format!("host/ddgate/{id}"),
        who: who.commitment(),
        cmd: cmd.commitment(),
        host: host.commitment(),
        tool: Tool {
            version: "0".into(),
        },
        dd: DatadogSide {
            site: "datadoghq.com".into(),
            credential: "test".into(),
            credential_name: None,
        },
        durability: Durability::default(),
        policy: None,
        enforce: None,
        egress: crate::record::EgressRule::Any,
        binding: None,
        bind: None,
        vkey: None,
        chain: None,
    };
    let journal = Journal::create_for(&dir, open, vec![who, cmd, host], recipients).unwrap();
    let journal = Arc::new(journal);
    (dir, journal)
}

async fn one_call(journal: &Arc<Journal>, body: Bytes) -> Permit {
    let mut stream = ContentStream::new("body");
    for piece in body.chunks(10_000) {
        let piece = clean(Bytes::copy_from_slice(piece));
        stream.push(journal, piece).await.unwrap();
    }
    let content = stream.finish(journal).await.unwrap();
    call_with(journal, content).await
}

/// A call with this body.
async fn call_with(journal: &Journal, content: Attachment) -> Permit {
    let target = commit("target", clean("/api/v1/monitor"));
    let headers = commit("headers", clean("[]"));
    let request = CallRequest {
        call: journal.next_call(),
        method: "POST".into(),
        host: "api.datadoghq.com".into(),
        route: "/api/v1/monitor".into(),
        op: Some("CreateMonitor".into()),
        access: Effect::Write,
        res: Vec::new(),
        decision: Decision::Allow,
        rule: "default".into(),
        by: None,
        level: None,
        target: target.commitment(),
        headers: headers.commitment(),
        body: Some(content.commitment()),
        streamed: false,
        unkept: None,
        redactions: Vec::new(),
    };
    journal
        .intend(request, vec![target, headers, content])
        .await
        .unwrap()
}

fn answered(permit: &Permit) -> Event {
    Event::CallResponse(CallResponse {
        call: permit.call(),
        re: permit.request_leaf(),
        outcome: Outcome::Answered,
        status: Some(200),
        dur_us: 1,
        wait_us: Some(1),
        headers: None,
        body: None,
        unkept: None,
        error: None,
        redactions: Vec::new(),
    })
}

fn closing() -> SessionClose {
    SessionClose {
        calls: 0,
        reason: "exit".into(),
        exit: Some(0),
    }
}

fn body_of(reader: &SessionReader, leaf: u64) -> Vec<u8> {
    let field = reader.field(leaf, "body").unwrap().unwrap();
    let committed = match reader.leaf(leaf).unwrap().unwrap().event {
        Event::CallRequest(request) => request.body.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(field.commitment, committed);
    field.content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_in_comes_out_live_closed_and_rebuilt() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 1);
    // Sizes around every edge: nothing, inline, pieces, more than one piece, incompressible.
    let mut bodies: Vec<Bytes> = [0, 1, 700, 701, 16 << 10, (16 << 10) + 1, 64 << 10, 300_000]
        .into_iter()
        .map(|n| vec![b'x'; n].into())
        .collect();
    let mut noise = vec![0; 200_000];
    getrandom::fill(&mut noise).unwrap();
    bodies.push(noise.into());

    let mut leaves = Vec::new();
    for body in &bodies {
        let permit = one_call(&journal, body.clone()).await;
        leaves.push(permit.request_leaf());
        journal
            .note_durably(answered(&permit), Vec::new())
            .await
            .unwrap();
    }
    let check = |state| {
        let reader = SessionReader::open(dir.clone()).unwrap();
        assert_eq!(reader.state(), state);
        assert_eq!(reader.trouble(), Vec::<String>::new());
        assert_eq!(reader.field(0, "who").unwrap().unwrap().content, b"alice");
        for (body, leaf) in bodies.iter().zip(&leaves) {
            assert_eq!(body_of(&reader, *leaf), body[..]);
        }
        let n = reader.leaves(0).map(Result::unwrap).count();
        let calls = bodies.len();
        assert_eq!(n, 1 + 2 * calls + usize::from(state == State::Closed));
        assert_eq!(reader.call(crate::record::CallNumber(3)).unwrap().len(), 2);
    };
    check(State::Running);
    let manifest = journal.close(closing()).unwrap();
    assert_eq!(manifest.counts.calls, bodies.len() as u64);
    assert_eq!(manifest.trouble, None);
    check(State::Closed);
    // Without its index, and with a broken one, a session is as readable as before.
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    check(State::Closed);
    check(State::Closed);
    std::fs::write(dir.path().join("index/db"), b"nonsense").unwrap();
    check(State::Closed);
    assert!(journal.close(closing()).is_none());
    assert!(matches!(
        journal
            .conclude(Event::SessionClose(closing()), Vec::new())
            .await,
        Err(Refused::Closed)
    ));
}

#[tokio::test]
async fn an_index_nobody_made_durable_is_not_trusted() {
    use super::db::Db;
    use super::index::{applied_row, index_path};
    use super::wal::Position;
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 6);
    let _permit = one_call(&journal, Bytes::from_static(b"{}")).await;
    journal.close(closing()).unwrap();
    let index = index_path(dir.path());
    // As sled was seen to come back after a power cut: all of it applied, most of it missing.
    std::fs::remove_dir_all(&index).unwrap();
    let end = Position {
        segment: 1,
        offset: 1 << 20,
    };
    Db::open(&index)
        .unwrap()
        .apply(vec![applied_row(end)])
        .unwrap();
    for is_whole in [false, true] {
        if is_whole {
            assert!(Db::open(&index).unwrap().is_whole());
        }
        let reader = SessionReader::open(dir.clone()).unwrap();
        assert_eq!(reader.leaves(0).map(Result::unwrap).count(), 3);
        assert_eq!(reader.field(0, "who").unwrap().unwrap().content, b"alice");
    }
    // More is applied: until that is durable, it is not whole again.
    let db = Db::open(&index).unwrap();
    db.apply(vec![applied_row(end)]).unwrap();
    assert!(!db.is_whole() && !index.join("whole-2").exists());
    db.flush().unwrap();
    assert!(db.is_whole() && index.join("whole-2").exists());
}

#[tokio::test]
async fn damage_is_told_at_every_open_and_hides_only_what_it_hit() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 5);
    for _ in 0..3 {
        let permit = one_call(&journal, Bytes::from_static(b"{}")).await;
        journal
            .note_durably(answered(&permit), Vec::new())
            .await
            .unwrap();
    }
    journal.close(closing()).unwrap();
    let wal = dir.path().join("wal-000001.ddw");
    let whole = std::fs::read(&wal).unwrap();
    let without_index = |bytes: &[u8]| {
        std::fs::write(&wal, bytes).unwrap();
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    };
    let open = || SessionReader::open(dir.clone()).unwrap();
    let leaves = |reader: &SessionReader| -> Vec<u64> {
        reader.leaves(0).map(|leaf| leaf.unwrap().i).collect()
    };

    without_index(&whole);
    for _ in 0..3 {
        let reader = open();
        assert_eq!(reader.state(), State::Closed);
        assert_eq!(leaves(&reader), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(reader.trouble().is_empty());
    }

    let mut damaged = whole.clone();
    let third = br#""call":2,"#;
    let at = whole.windows(third.len()).position(|bytes| bytes == third);
    damaged[at.unwrap()] ^= 1;
    without_index(&damaged);
    for _ in 0..3 {
        let reader = open();
        assert_eq!(leaves(&reader), [0, 1, 2, 4, 5, 6, 7]);
        assert_eq!(reader.state(), State::Closed);
        assert_eq!(reader.trouble().len(), 1, "{:?}", reader.trouble());
    }

    // Cut exactly before the close, as if it had never come.
    let close = br#""session.close""#;
    let at = whole.windows(close.len()).position(|bytes| bytes == close);
    let frame = whole[..at.unwrap()].windows(4).rposition(|b| b == b"DDW1");
    without_index(&whole[..frame.unwrap()]);
    for _ in 0..3 {
        let reader = open();
        assert_eq!(reader.state(), State::EndedWithoutClosing);
        assert_eq!(reader.trouble().len(), 1, "{:?}", reader.trouble());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_calls_lose_and_reorder_nothing() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 2);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let permit = one_call(&journal, Bytes::from_static(b"{}")).await;
                    journal
                        .conclude(answered(&permit), Vec::new())
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    journal.close(closing()).unwrap();
    let reader = SessionReader::open(dir).unwrap();
    let leaves: Vec<_> = reader.leaves(0).map(Result::unwrap).collect();
    assert_eq!(leaves.len(), 2 + 2 * 64 * 20);
    for (i, leaf) in leaves.iter().enumerate() {
        assert_eq!(leaf.i, i as u64);
    }
    for number in 1..=64 * 20 {
        assert_eq!(
            reader
                .call(crate::record::CallNumber(number))
                .unwrap()
                .len(),
            2
        );
    }
}

#[tokio::test]
async fn a_session_whose_gate_died_is_read_as_such() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 3);
    let _permit = one_call(&journal, Bytes::from_static(b"{}")).await;
    drop(journal); // the queue closes without a close leaf, as if the process were gone
    for _ in 0..200 {
        let reader = SessionReader::open(dir.clone()).unwrap();
        if reader.state() == State::EndedWithoutClosing {
            assert_eq!(reader.call(crate::record::CallNumber(1)).unwrap().len(), 1);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the lock was never given back");
}

#[tokio::test]
async fn the_catalog_finds_latest_and_prefixes() {
    let sessions = tempfile::tempdir().unwrap();
    let catalog = Catalog::new(sessions.path());
    assert!(matches!(
        catalog.find("latest"),
        Err(JournalError::NoSessions(_))
    ));
    for byte in [0xaa, 0xab, 0xc0] {
        let (_, journal) = session(sessions.path(), byte);
        journal.close(closing()).unwrap();
    }
    std::fs::create_dir(sessions.path().join("not-a-session")).unwrap();
    assert_eq!(catalog.list().unwrap().len(), 3);
    let newest = catalog.find("latest").unwrap();
    assert!(newest.path().ends_with("c0".repeat(16)));
    assert_eq!(catalog.find("C0").unwrap(), newest);
    assert!(matches!(
        catalog.find("a"),
        Err(JournalError::Ambiguous { count: 2, .. })
    ));
    assert!(matches!(
        catalog.find("d"),
        Err(JournalError::NoSuchSession(_))
    ));
    assert!(matches!(
        catalog.find(""),
        Err(JournalError::NoSuchSession(_))
    ));
}

#[tokio::test]
async fn two_readers_at_once_see_the_same_and_spoil_nothing() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 4);
    let _permit = one_call(&journal, Bytes::from_static(b"{}")).await;
    journal.close(closing()).unwrap();
    let first = SessionReader::open(dir.clone()).unwrap();
    let second = SessionReader::open(dir.clone()).unwrap();
    for reader in [&first, &second, &first] {
        assert_eq!(reader.state(), State::Closed);
        assert_eq!(reader.leaves(0).map(Result::unwrap).count(), 3);
    }
    drop((first, second));
    assert!(dir.path().join("index/db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_several_files_is_checked_and_walked_as_one() {
    let sessions = tempfile::tempdir().unwrap();
    let (dir, journal) = session(sessions.path(), 5);
    let mut noise = vec![0; 4 << 20];
    getrandom::fill(&mut noise).unwrap();
    let noise = Bytes::from(noise);
    let calls = crate::limits::JOURNAL_SEGMENT_BYTES / noise.len() as u64 + 1;
    for _ in 0..calls {
        let permit = one_call(&journal, noise.clone()).await;
        journal
            .conclude(answered(&permit), Vec::new())
            .await
            .unwrap();
    }
    journal.close(closing()).unwrap();
    assert!(dir.path().join("wal-000002.ddw").exists());
    let audit = audit(&dir, &Expected::default()).unwrap();
    assert_eq!(audit.verdict(), Verdict::Verified, "{:?}", audit.findings);

    let (mut leaves, mut bodies) = (0, 0);
    for found in walk::walk(&dir, SessionId::from_bytes([5; 16]), &Identities::default()).unwrap() {
        match found.unwrap() {
            walk::Found::Leaf(bytes) => {
                assert_eq!(Leaf::from_bytes(&bytes).unwrap().i, leaves);
                leaves += 1;
            }
            walk::Found::Opening(opening) => {
                assert_eq!(opening.leaf, leaves);
                if opening.field == "body" {
                    let pieces: Vec<_> = opening.pieces().map(Result::unwrap).collect();
                    assert_eq!(pieces.concat(), noise);
                    bodies += 1;
                }
            }
            walk::Found::Checkpoint(signed) => assert_eq!(signed.size, leaves),
        }
    }
    assert_eq!((leaves, bodies), (audit.leaves, calls));
}
