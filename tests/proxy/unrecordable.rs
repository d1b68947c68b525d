//! What cannot be recorded is not sent.

use std::path::Path;
use std::process::Command;

use ddgate::journal::{ContentStream, Expected, audit};

use super::gate::*;
use super::session::Session;
use super::upstream::{Talk, Upstream};
use super::wire::*;

fn assert_unrecordable(answer: &Message) {
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.head.one("ddgate-verdict"), Some("unrecordable"));
    let said = answer.text();
    assert!(said.contains("because it cannot be recorded"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_record_is_closed_nothing_is_sent() {
    let upstream = Upstream::saying(answer(200, "", "{}")).await;
    let gate = Gate::to(&upstream).await;
    gate.close_journal();
    let mut child = gate.child().await;
    for size in [0, 10, 200_000] {
        let answer = child
            .ask(gate.keyed("POST /api/v1/monitor", pattern(size)))
            .await;
        assert_unrecordable(&answer);
    }
    // A refusal that cannot be recorded either says so.
    let answer = child.ask(gate.request("GET /api/v1/monitor", "", "")).await;
    assert_unrecordable(&answer);
    assert_eq!(upstream.connections(), 0);
}

/// A small file system that goes away with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            other => {
                eprintln!("SKIPPED: no small disk to fill (mounting needs root): {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all space that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        let block = vec![1; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_is_sent_and_with_space_it_goes_on() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let upstream = Upstream::saying(answer(200, "", pattern(2000))).await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        sessions: Some(disk.path().join("sessions")),
        ..Setup::default()
    })
    .await;
    let mut child = gate.child().await;
    let mut sent = 0;
    for round in 0..2 {
        let answer = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        sent += 1;
        disk.fill();
        // Space taken ahead is used up first; then every call is refused.
        let mut refused = 0;
        for _ in 0..200 {
            let body = pattern(15_000);
            let answer = child.ask(gate.keyed("POST /api/v1/monitor", body)).await;
            if answer.status() == 200 {
                sent += 1;
                assert_eq!(refused, 0, "round {round}");
            } else {
                assert_unrecordable(&answer);
                assert!(answer.text().contains("no space"), "{}", answer.text());
                refused += 1;
            }
        }
        assert!(refused > 20, "round {round}: {refused}");
        assert_eq!(upstream.requests().len(), sent, "round {round}");
        disk.free();
    }
    let answer = child.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.status(), 200);
    drop(child);
    let session = gate.finish().await;
    let calls = session.calls();
    assert_eq!(calls.len(), sent + 1);
    for call in &calls {
        assert_eq!(session.answer_body(call).len(), 2000, "{}", call.error());
    }
}

/// More answers come than the reserve has room for: their calls stay in doubt, and nothing breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_do_not_fit_leave_their_calls_in_doubt_and_the_session_whole() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Upstream::talking(move |mut talk: Talk| {
        let mut gone = gone.clone();
        async move {
            while talk.request().await.is_some() {
                gone.wait_for(|gone| *gone).await.unwrap();
                talk.wire.send(answer(200, "", pattern(15_000))).await;
            }
        }
    })
    .await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        sessions: Some(disk.path().join("sessions")),
        ..Setup::default()
    })
    .await;
    let mut children = Vec::new();
    for _ in 0..40 {
        let mut child = gate.child().await;
        child.send(gate.keyed("GET /api/v1/monitor", "")).await;
        children.push(child);
    }
    gate.until(|session| session.calls().len() == 40).await;
    disk.fill();
    // What is left of the space taken ahead.
    let mut denied = gate.child().await;
    let mut status = 403;
    while status == 403 {
        let request = gate.request("GET /api/v1/monitor", "", "");
        status = denied.ask(request).await.status();
    }
    // Refusals do not live off the reserve, which is for the ends of what was sent.
    assert_eq!(status, 503);
    go.send(true).unwrap();
    for child in &mut children {
        // The child gets its answer whatever becomes of the record's end.
        assert_eq!(child.answer_to("GET").await.unwrap().status(), 200);
    }
    let answer = denied.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_unrecordable(&answer);
    disk.free();
    let answer = denied.ask(gate.keyed("GET /api/v1/monitor", "")).await;
    assert_eq!(answer.status(), 200);
    drop((children, denied));
    let session = gate.finish().await;
    let calls = session.calls();
    let sent: Vec<_> = calls.iter().filter(|call| !call.denied).collect();
    assert_eq!(sent.len(), 41);
    let ended = sent.iter().filter(|call| call.response.is_some()).count();
    assert!((10..30).contains(&ended), "{ended} ends");
}

/// The disk fills in the middle of an upload: its end never leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_outgrows_the_disk_never_ends() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let upstream = Upstream::saying(answer(200, "", "well")).await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        sessions: Some(disk.path().join("sessions")),
        ..Setup::default()
    })
    .await;
    let mut child = gate.child().await;
    let answer = child
        .ask(gate.keyed("POST /api/v2/logs", pattern(8 << 20)))
        .await;
    assert_unrecordable(&answer);
    assert_eq!(upstream.requests().len(), 0);
    drop(child);
    gate.proxy.draining.cancel();
    gate.proxy.tasks.close();
    gate.proxy.tasks.wait().await;
    gate.close_journal();
    let session = Session::open(&gate.dir);
    let call = session.call();
    assert!(call.error().contains("no space"), "{}", call.error());
    // What is missing was never kept; nobody changed it.
    let found = audit(&gate.dir, &Expected::default()).unwrap().findings;
    assert!(!found.is_broken(), "{found:?}");
}

/// The same of an answer: the child does not take it for whole, nor the reader for changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_outgrows_the_disk_breaks_off() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let upstream = Upstream::saying(answer(200, "", pattern(8 << 20))).await;
    let gate = Gate::with(Setup {
        upstream: Some(format!("http://127.0.0.1:{}", upstream.port)),
        sessions: Some(disk.path().join("sessions")),
        ..Setup::default()
    })
    .await;
    // Another long body, or the answer would be packed elsewhere, one piece ahead.
    let mut company = ContentStream::new("body");
    let bytes = gate.proxy.known.bytes(&[0; 100_000]);
    company.push(&gate.proxy.journal, bytes).await.unwrap();
    let mut child = gate.child().await;
    child.send(gate.keyed("GET /api/v1/monitor", "")).await;
    assert!(child.answer_to("GET").await.is_err());
    drop(child);
    gate.proxy.draining.cancel();
    gate.proxy.tasks.close();
    gate.proxy.tasks.wait().await;
    gate.close_journal();
    let found = audit(&gate.dir, &Expected::default()).unwrap().findings;
    assert!(!found.is_broken(), "{found:?}");
}
