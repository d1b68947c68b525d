//! `ddgate erase`: asks, refuses, and leaves nothing but what is proven, wherever it is killed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ddgate::journal::catalog::Catalog;
use ddgate::journal::{Expected, Verdict, audit};

use crate::absent::absent;
use crate::sealed::{MARK, holds, nothing_in_the_open, pair, script};
use crate::world::{World, wait_until};

/// Root, leaves and verdict of the latest session of a data directory, and what became of contents.
fn proof(data: &Path) -> (String, u64, u64) {
    let dir = Catalog::new(data.join("sessions")).find("latest").unwrap();
    let audit = audit(&dir, &Expected::default()).unwrap();
    assert_eq!(audit.verdict(), Verdict::Verified, "{:?}", audit.findings);
    let kept = audit.contents + audit.sealed;
    (
        format!("{} {}", audit.root, audit.leaves),
        kept,
        audit.erased,
    )
}

#[test]
fn contents_go_and_proofs_stay() {
    for sealed in [false, true] {
        let world = World::new();
        let (recipient, file) = pair(&world, "key");
        let mut agent = world.agent(&script());
        if sealed {
            agent = agent.env("DDGATE_RECIPIENTS", recipient);
        }
        agent.succeeds();
        world.replay_json("latest");
        assert_eq!(holds(&world.data(), MARK).is_none(), sealed);
        let (before, kept, erased) = proof(&world.data());
        assert_eq!(erased, 0);

        let refused = world.ddgate(["erase", "latest"]).exits(2);
        insta::allow_duplicates!(insta::assert_snapshot!(refused.said(), @"
        ddgate: warning: this removes headers, bodies, paths, identity, command line and host of session [ID] for ever; it does not reach what was exported or uploaded, backups, snapshots of the file system, or what a disk keeps of overwritten blocks
        ddgate: error: nothing was erased: there is no terminal to ask at
        ddgate: hint: to erase without being asked: ddgate erase [ID] --yes
        "));
        assert_eq!(proof(&world.data()), (before.clone(), kept, 0));
        let done = world.ddgate(["erase", "latest", "--yes"]).succeeds();
        insta::allow_duplicates!(insta::assert_snapshot!(done.said(), @"
        ddgate: 18 contents of session [ID] erased; what happened and when still stands, and verifies
        ddgate: not reached: what was exported or uploaded, backups, snapshots of the file system, and what a disk keeps of overwritten blocks
        "));
        assert!(done.stdout.is_empty());

        nothing_in_the_open(&world, &world.data());
        assert_eq!(proof(&world.data()), (before, 0, kept));
        let replay = world.ddgate(["replay", "latest"]).succeeds();
        let said = replay.said();
        assert!(
            said.starts_with("ddgate: the contents of session [ID] ("),
            "{said}"
        );
        assert!(said.contains("were erased [WHEN] +00:00 by "), "{said}");
        insta::allow_duplicates!(insta::assert_snapshot!(replay.shown(), @"
        session  [ID]  [SESSION]
        who  (erased)
        when  [WHEN] +00:00, for [TIME]
        command  (erased)
        site  datadoghq.com
        calls  3: 2 writes, 1 unclassified, 3 error answers

        #  TIME  EFFECT  METHOD  OPERATION  RESOURCE  STATUS  TOOK
        1  [AT]  write  POST  CreateMonitor  monitor  400  [TIME]
        2  [AT]  write  POST  SubmitLog  log  400  [TIME]
        3  [AT]  unknown  GET  api.datadoghq.com  404  [TIME]

        the command ended well (exit 0)
        "));
        let verify = world.ddgate(["verify", "latest"]).succeeds();
        let verify = verify.shown();
        assert!(verify.contains(", 0 contents, 18 erased\n"), "{verify}");
        assert!(
            verify.contains("verdict  VERIFIED to leaf 10\n"),
            "{verify}"
        );
        world.ddgate(["export", "latest", "-o", "out"]).succeeds();
        let exported = world
            .ddgate(["verify", "--dir", "out", "--json"])
            .succeeds();
        let exported = exported.json();
        assert_eq!(exported["verdict"], "VERIFIED", "{exported}");
        assert_eq!(exported["contents"]["erased"], 18, "{exported}");
        let show = world.ddgate(["show", "latest", "2"]).succeeds();
        insta::allow_duplicates!(insta::assert_snapshot!(show.shown(), @"
        call  2 of session [ID]
        request  POST https://http-intake.logs.datadoghq.com/api/v2/logs (path erased)
        operation  SubmitLog (write)
        resource  log
        who  (erased)
        by  the command itself, pid [PID]
        at  [WHEN] +00:00, [AT] into the session
        decision  allowed by rule default
        outcome  400 after [TIME] (first byte after [TIME])

        request headers
          erased since

        request body
          erased since (5.0 MiB)

        response headers
          erased since

        response body
          erased since (48 B)
        "));
        let json = world
            .ddgate(["show", "latest", "2", "--json"])
            .env("DDGATE_AGE_IDENTITY", &file)
            .succeeds()
            .json();
        assert_eq!(
            (&json["sealed"], &json["erased"]["contents"]),
            (&false.into(), &kept.into())
        );
        assert_eq!(json["request"]["body"]["state"], "erased");
        let list = world.ddgate(["sessions"]).succeeds().shown();
        assert!(list.contains("(erased)"), "{list}");
        let again = world.ddgate(["erase", "latest"]).succeeds();
        assert!(again.said().contains("were erased"), "{again:?}");
    }
}

#[test]
fn a_running_session_is_not_touched() {
    let world = World::new();
    let (reached, go) = (world.root().join("reached"), world.root().join("go"));
    let live = world
        .agent(&format!(
            "POST /api/v1/monitor {{\"name\": \"{MARK}\"}}\ntouch {}\nawait {}",
            reached.display(),
            go.display()
        ))
        .spawn();
    wait_until("the call is made", || reached.exists());
    let refused = world.ddgate(["erase", "latest", "--yes"]).exits(4);
    insta::assert_snapshot!(refused.said(), @"
    ddgate: error: session [ID] is running
    ddgate: hint: end its command first
    ");
    std::fs::write(go, "").unwrap();
    assert_eq!(live.end().code, Some(0));
    let monitor = ["show", "latest", "1", "--body", "request"];
    let body = world.ddgate(monitor).succeeds().stdout;
    assert!(String::from_utf8(body).unwrap().contains(MARK));
}

/// Copies a directory of files and directories.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn killed_at_any_moment_it_is_finished_by_the_next() {
    let world = World::new();
    world.agent(&script().repeat(3)).succeeds();
    world.replay_json("latest");
    let (before, kept, _) = proof(&world.data());
    let try_at = |name: &str| {
        let data = world.root().join(name);
        copy(&world.data(), &data);
        data
    };
    let erase = |data: &Path| {
        world
            .ddgate(["erase", "latest", "--yes"])
            .env("DDGATE_DATA_DIR", data)
    };
    let data = try_at("whole");
    let start = Instant::now();
    erase(&data).succeeds();
    let whole = start.elapsed();
    const KILLS: u32 = 24;
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let data = try_at(&format!("killed-{kill}"));
        let mut live = erase(&data).spawn();
        std::thread::sleep(whole * kill / KILLS);
        live.kill();
        live.end();
        let session = Catalog::new(data.join("sessions")).find("latest").unwrap();
        let (between, left, gone) = proof(&data);
        assert_eq!((&between, left + gone), (&before, kept), "kill {kill}");
        if session.path().join("erasing").exists() {
            interrupted += 1;
            let list = world
                .ddgate(["sessions"])
                .env("DDGATE_DATA_DIR", &data)
                .succeeds();
            let said = list.said();
            assert!(
                said.contains("broke off: finish it with: ddgate erase"),
                "{said}"
            );
            let replay = world
                .ddgate(["replay", "latest", "--json"])
                .env("DDGATE_DATA_DIR", &data)
                .succeeds();
            assert_eq!(replay.json()["erasing"], true);
            assert!(!String::from_utf8_lossy(&replay.stdout).contains(MARK));
        }
        erase(&data).succeeds();
        nothing_in_the_open(&world, &data);
        assert_eq!(proof(&data), (before.clone(), 0, kept), "kill {kill}");
        std::fs::remove_dir_all(data).unwrap();
    }
    assert!(
        interrupted > 0,
        "no kill came in the middle; whole: {whole:?}"
    );
}

/// On a terminal it asks, and takes no for an answer.
#[test]
fn on_a_terminal_it_asks() {
    const ANSWER: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
answered = False
while True:
    try:
        more = os.read(fd, 4096)
    except OSError:
        break
    if not more:
        break
    shown += more
    if b"[yes/no]" in shown and not answered:
        os.write(fd, sys.argv[1].encode() + b"\n")
        answered = True
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    if Command::new("python3").arg("-c").arg("").status().is_err() {
        return absent("python3");
    }
    let world = World::new();
    world
        .agent("POST /api/v1/monitor {\"name\": \"x\"}")
        .succeeds();
    let answered = |answer: &str| {
        let output = Command::new("python3")
            .args([
                "-c",
                ANSWER,
                answer,
                env!("CARGO_BIN_EXE_ddgate"),
                "erase",
                "latest",
            ])
            .env_clear()
            .env("HOME", world.home())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("DDGATE_DATA_DIR", world.data())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("backups, snapshots of the file system"),
            "{text}"
        );
        (output.status.code(), text)
    };
    let (code, text) = answered("no");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("nothing was erased"), "{text}");
    assert_eq!(proof(&world.data()).2, 0);
    let (code, text) = answered("yes");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(proof(&world.data()).1, 0);
}

/// It waits for those who read, and says so when they do not end.
#[test]
fn who_reads_holds_it_up_and_it_is_said() {
    let world = World::new();
    world
        .agent("POST /api/v1/monitor {\"name\": \"x\"}")
        .succeeds();
    let dir = Catalog::new(world.sessions()).find("latest").unwrap();
    let reader = ddgate::journal::SessionReader::open(dir).unwrap();
    let refused = world.ddgate(["erase", "latest", "--yes"]).exits(4);
    insta::assert_snapshot!(refused.said(), @"
    ddgate: error: session [ID] is being read: what is left of its contents is not erased yet
    ddgate: hint: end whatever replays or shows it, then finish with: ddgate erase [ID]
    ");
    drop(reader);
    std::thread::sleep(Duration::from_millis(50));
    world.ddgate(["erase", "latest", "--yes"]).succeeds();
}
