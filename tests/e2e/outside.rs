//! What `export` and `prove` write, checked by programs that know nothing of ddgate: Go's checksum
//! database, and a Python program written from the specifications (`interop/tlog/`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::absent::absent;
use crate::export::{against, only_session};
use crate::upstream::Upstream;
use crate::world::{World, wait_until};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/tlog")
}

/// The Go verifier, compiled once; none where there is no Go, or not the two packages.
fn go() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = scratch.join("tlog-verify");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(here().join("verify.go"))
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .env("GOCACHE", scratch.join("go-cache"))
            .env("GOFLAGS", "")
            .stdin(Stdio::null())
            .output();
        match built {
            Ok(output) if output.status.success() => Some(program),
            Ok(output) => {
                absent(&format!(
                    "Go cannot build tests/interop/tlog/verify.go: {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
                None
            }
            Err(_) => {
                absent("go is not on this machine");
                None
            }
        }
    });
    built.as_deref()
}

/// Runs the Python verifier: what it counted, or what it says is wrong.
fn python(words: &[&Path]) -> Option<Result<Value, String>> {
    let mut command = Command::new("python3");
    command.arg(here().join("verify.py")).args(words);
    ended(command, "python3 is not on this machine")
}

fn ended(mut command: Command, missing: &str) -> Option<Result<Value, String>> {
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        absent(missing);
        return None;
    };
    Some(if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    })
}

/// Both outside verifiers, and ddgate's own, accept an export and have seen all of it.
fn accepted(world: &World, directory: &Path, summary: &Value, code: i32) {
    let leaves = &summary["leaves"];
    if let Some(counted) = python(&[directory]) {
        let counted = counted.unwrap();
        assert_eq!(&counted["leaves"], leaves);
        assert_eq!(counted["checkpoints"], summary["checkpoints"]);
        assert_eq!(counted["openings"], summary["openings"]);
        assert_eq!(counted["closed"], summary["state"] == "closed");
    }
    if let Some(program) = go() {
        let mut command = Command::new(program);
        command.arg(directory);
        let counted = ended(command, "it was just built").unwrap().unwrap();
        assert_eq!(&counted["leaves"], leaves);
        assert_eq!(counted["checkpoints"], summary["checkpoints"]);
    }
    let own = world.ddgate(
        ["verify", "--json", "--dir"]
            .map(Path::new)
            .into_iter()
            .chain([directory]),
    );
    let own = own.exits(code).json();
    assert_eq!(
        (&own["leaves"], &own["faults"]),
        (leaves, &Value::Array(Vec::new()))
    );
}

/// Exports the latest session of `data`.
fn export(world: &World, data: &Path, to: &Path) -> Value {
    let words = [
        "--data-dir".as_ref(),
        data,
        "export".as_ref(),
        "latest".as_ref(),
    ];
    let rest = ["--json".as_ref(), "-o".as_ref(), to];
    world
        .ddgate(words.into_iter().chain(rest))
        .succeeds()
        .json()
}

/// Proves a call of the latest session, and has it checked.
fn proven(world: &World, data: &Path, call: u64) {
    let to = world.root().join(format!("call-{call}"));
    let number = call.to_string();
    let words = [
        "--data-dir".as_ref(),
        data,
        "prove".as_ref(),
        "latest".as_ref(),
    ];
    let rest = [
        number.as_ref(),
        "--json".as_ref(),
        "-o".as_ref(),
        to.as_path(),
    ];
    let summary = world
        .ddgate(words.into_iter().chain(rest))
        .succeeds()
        .json();
    if let Some(counted) = python(&["--proof".as_ref(), &to]) {
        let counted = counted.unwrap();
        assert_eq!(counted["openings"], summary["openings"]);
        assert_eq!(counted["size"], summary["size"]);
        let leaves = summary["leaves"].as_array().unwrap().len();
        assert_eq!(counted["leaves"], leaves as u64);
    }
    let own = world.ddgate(
        ["verify", "--proof"]
            .map(Path::new)
            .into_iter()
            .chain([to.as_path()]),
    );
    own.succeeds();
}

#[test]
fn the_demo() {
    let world = World::new();
    let data = world.root().join("demo");
    world
        .ddgate(["demo".as_ref(), "--data-dir".as_ref(), data.as_path()])
        .succeeds();
    let to = world.root().join("out");
    let summary = export(&world, &data, &to);
    assert_eq!(summary["calls"], 13);
    accepted(&world, &to, &summary, 0);
    (1..=13).for_each(|call| proven(&world, &data, call));
}

#[test]
fn streamed_bodies() {
    let world = World::new();
    let upstream = Upstream::start();
    // Not the same byte over and over: what compresses to nothing is stored as one piece.
    let text: String = (0..60_000u32)
        .map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)))
        .collect();
    let script = format!(
        "POST /api/v1/monitor {text}\nPUT /api/v1/monitor/1 {}\n",
        &text[..20_000]
    );
    against(&world, &upstream, &script).succeeds();
    let to = world.root().join("out");
    let summary = export(&world, &world.data(), &to);
    assert!(summary["blobs"].as_u64() >= Some(2), "{summary:#}");
    let blobs = std::fs::read_dir(to.join("blob")).unwrap();
    let sizes: Vec<u64> = blobs
        .map(|it| it.unwrap().metadata().unwrap().len())
        .collect();
    assert!(
        sizes.contains(&(text.len() as u64)) && sizes.contains(&20_000),
        "{sizes:?}"
    );
    accepted(&world, &to, &summary, 0);
    (1..=2).for_each(|call| proven(&world, &world.data(), call));
}

#[test]
fn killed() {
    let world = World::new();
    let upstream = Upstream::start();
    let load = "load 4 PUT /api/v1/monitor/N {\"name\": \"x\"}";
    let mut live = against(&world, &upstream, load).spawn();
    wait_until("calls are made", || upstream.seen().len() > 40);
    live.kill();
    live.end();
    let to = world.root().join("out");
    let summary = export(&world, &world.data(), &to);
    assert_eq!(summary["state"], "not_closed");
    accepted(&world, &to, &summary, 2);
    proven(&world, &world.data(), 7);
}

/// What they cannot read they take as it is: leaves, tree and signatures stand without it.
#[test]
fn sealed_and_then_erased() {
    let world = World::new();
    let (recipient, _) = crate::sealed::pair(&world, "key");
    world.settings(&format!("[journal]\nrecipients = [\"{recipient}\"]\n"));
    world.agent(&crate::sealed::script()).succeeds();
    let to = world.root().join("out");
    let summary = export(&world, &world.data(), &to);
    crate::sealed::nothing_in_the_open(&world, &to);
    assert!(summary["sealed"].as_u64() > Some(10), "{summary:#}");
    assert_eq!(summary["openings"], summary["sealed"]);
    accepted(&world, &to, &summary, 0);
    (1..=3).for_each(|call| proven(&world, &world.data(), call));

    // They do look at what is sealed.
    let blob = std::fs::read_dir(to.join("blob")).unwrap().next().unwrap();
    std::fs::write(blob.unwrap().path(), "x").unwrap();
    if let Some(refused) = python(&[&to]) {
        refused.unwrap_err();
    }

    world.ddgate(["erase", "latest", "--yes"]).succeeds();
    let to = world.root().join("erased");
    let summary = export(&world, &world.data(), &to);
    assert_eq!(
        (&summary["openings"], &summary["sealed"]),
        (&0.into(), &0.into())
    );
    assert!(summary["erased"].as_u64() > Some(10), "{summary:#}");
    accepted(&world, &to, &summary, 0);
}

/// Whoever can open them may hand them on in the open, if they say so for this one command.
#[test]
fn sealed_and_opened_on_the_way_out() {
    let world = World::new();
    let (recipient, key) = crate::sealed::pair(&world, "key");
    let key = key.to_str().unwrap();
    world.settings(&format!(
        "[journal]\nrecipients = [\"{recipient}\"]\nage_identities = [\"{key}\"]\n"
    ));
    world.agent(&crate::sealed::script()).succeeds();
    // Settings that name an identity are for looking.
    let to = world.root().join("sealed");
    let shut = export(&world, &world.data(), &to);
    crate::sealed::nothing_in_the_open(&world, &to);

    let to = world.root().join("opened");
    let flags = ["export", "latest", "--json", "--age-identity", key, "-o"];
    let told = world
        .ddgate(flags.into_iter().chain(to.to_str()))
        .succeeds();
    let summary = told.json();
    assert_eq!(summary["sealed"], 0, "{summary:#}");
    assert_eq!(summary["openings"], shut["openings"]);
    let said = told.said();
    assert!(said.contains("is in the open there"), "{said}");
    assert!(crate::sealed::holds(&to, crate::sealed::MARK).is_some());
    accepted(&world, &to, &summary, 0);

    let to = world.root().join("call");
    let flags = ["prove", "latest", "2", "--age-identity", key, "-o"];
    world
        .ddgate(flags.into_iter().chain(to.to_str()))
        .succeeds();
    // The body of 5 MiB: its pieces were sealed one by one.
    assert!(crate::sealed::holds(&to, crate::sealed::MARK).is_some());
    if let Some(counted) = python(&["--proof".as_ref(), &to]) {
        counted.unwrap();
    }
    world
        .ddgate(["verify", "--proof", to.to_str().unwrap()])
        .succeeds();

    // Of a record that somebody changed nothing is opened: also the names of its fields may be others.
    let path = world
        .sessions()
        .join(only_session(&world))
        .join("wal-000001.ddw");
    let mut bytes = std::fs::read(&path).unwrap();
    let text = b"\"call\":2";
    let at = bytes.windows(text.len()).position(|it| it == text).unwrap();
    bytes[at + 7] = b'7';
    std::fs::write(&path, bytes).unwrap();
    let to = world.root().join("changed");
    let flags = ["export", "latest", "--age-identity", key, "-o"];
    let told = world.ddgate(flags.into_iter().chain(to.to_str())).exits(1);
    assert!(told.said().contains("what is sealed stays so"), "{told:?}");
    crate::sealed::nothing_in_the_open(&world, &to);
}

#[test]
fn more_than_two_full_tiles() {
    let world = World::new();
    let upstream = Upstream::start();
    let script: String = (0..310)
        .map(|n| format!("GET /api/v1/monitor/{n}\n"))
        .collect();
    against(&world, &upstream, &script).succeeds();
    let to = world.root().join("out");
    let summary = export(&world, &world.data(), &to);
    assert_eq!(summary["leaves"], 623);
    assert!(summary["checkpoints"].as_u64() >= Some(4), "{summary:#}");
    for tile in [
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/111",
        "tile/1/000.p/2",
        "tile/entries/001",
    ] {
        assert!(to.join(tile).is_file(), "{tile}");
    }
    accepted(&world, &to, &summary, 0);
    for call in [1, 127, 128, 129, 310] {
        proven(&world, &world.data(), call);
    }

    // They do look: with one byte of one leaf changed, neither accepts it.
    let path = to.join("tile/entries/001");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    if let Some(refused) = python(&[&to]) {
        refused.unwrap_err();
    }
    if let Some(program) = go() {
        let mut command = Command::new(program);
        command.arg(&to);
        ended(command, "it was just built").unwrap().unwrap_err();
    }
}
