//! Sessions whose contents are sealed for age recipients: nothing in the open on disk, readable
//! with an identity, and by age itself without ddgate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use age::secrecy::ExposeSecret;
use ddgate::journal::catalog::Catalog;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::absent::absent;
use crate::world::{World, wait_until};

/// Stands in every body, and in a path.
pub(crate) const MARK: &str = "only-for-the-security-team";

/// A key pair: recipient, and the file with its identity.
pub(crate) fn pair(world: &World, name: &str) -> (String, PathBuf) {
    let identity = age::x25519::Identity::generate();
    let secret = format!("{}\n", identity.to_string().expose_secret());
    let recipient = identity.to_public().to_string();
    (recipient, world.file(name, &secret))
}

/// Calls with a small body, one of 5 MiB, and an unknown path.
pub(crate) fn script() -> String {
    let mut long = format!("[{{\"message\": \"{MARK} 0\"}}");
    let mut number = 0u64;
    while long.len() < 5 << 20 {
        number += 1;
        // Not the same over and over: zstd would leave nothing of it.
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        long += &format!(", {{\"message\": \"{MARK} {noise}\"}}");
    }
    format!(
        "POST /api/v1/monitor {{\"name\": \"{MARK}\"}}\nPOST /api/v2/logs {long}]\n\
         GET /api/v9/{MARK}?q={MARK}\n"
    )
}

/// Every file below a directory.
pub(crate) fn holds(directory: &Path, what: &str) -> Option<PathBuf> {
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(what.len()).any(|it| it == what.as_bytes()) {
                return Some(path);
            }
        }
    }
    None
}

/// Of what is sealed nothing is below a directory: bodies, paths, command line, where it ran.
#[track_caller]
pub(crate) fn nothing_in_the_open(world: &World, directory: &Path) {
    for what in [MARK, "agent::play", world.work().to_str().unwrap()] {
        assert_eq!(holds(directory, what), None, "{what}");
    }
}

/// A slip in the path is told even where there is nothing to open.
#[test]
fn an_identity_file_has_to_be_there() {
    let world = World::new();
    world.agent(&script()).succeeds();
    for verb in [
        &["replay", "latest"][..],
        &["show", "latest", "1"],
        &["sessions"],
        &["verify", "--all"],
        &["export", "latest", "-o", "out"],
    ] {
        let words = verb.iter().chain(&["--age-identity", "no-such-key.txt"]);
        let refused = world.ddgate(words).exits(2);
        let said = refused.said();
        assert!(said.contains("no-such-key.txt"), "{verb:?}: {said}");
    }
}

#[test]
fn contents_are_for_recipients_alone() {
    let world = World::new();
    let (recipient, file) = pair(&world, "key");
    let (_, other) = pair(&world, "other");
    world.settings(&format!("[journal]\nrecipients = [\"{recipient}\"]\n"));
    let (reached, go) = (world.root().join("reached"), world.root().join("go"));
    let wait = format!("touch {}\nawait {}\n", reached.display(), go.display());
    let live = world.agent(&(script() + &wait)).spawn();
    wait_until("the calls are made", || reached.exists());
    let sealed = |state: &str| {
        nothing_in_the_open(&world, &world.data());
        let session = world.replay_json("latest");
        assert_eq!(session["state"], state);
        assert_eq!(session["sealed"], true);
        for name in ["who", "command", "host", "erased"] {
            assert_eq!(session[name], Value::Null, "{name}");
        }
        assert_eq!(session["calls"][2]["target"], Value::Null);
        assert_eq!(session["calls"][0]["operation"], "CreateMonitor");
        let flag = ["replay", "latest", "--json", "--age-identity"].map(Into::into);
        let words = flag.into_iter().chain([file.clone().into_os_string()]);
        let session = world.ddgate(words).succeeds().json();
        assert_eq!(session["sealed"], false);
        assert!(session["who"]["label"].is_string() && session["host"]["cwd"].is_string());
        let target = format!("/api/v9/{MARK}?q={MARK}");
        assert_eq!(session["calls"][2]["target"], target);
    };
    sealed("running");
    std::fs::write(go, "").unwrap();
    let ended = live.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    sealed("closed");
    sealed("closed");

    let replay = world.ddgate(["replay", "latest"]).succeeds();
    insta::assert_snapshot!(replay.said(), @"
    ddgate: the contents of session [ID] are sealed: --age-identity FILE of one of its recipients opens them
    ddgate: verified: 10 leaves as they were signed; see what that leaves open with: ddgate verify [ID]
    ");
    insta::assert_snapshot!(replay.shown(), @"
    session  [ID]  [SESSION]
    who  (sealed)
    when  [WHEN] +00:00, for [TIME]
    command  (sealed)
    site  datadoghq.com
    calls  3: 2 writes, 1 unclassified, 3 error answers

    #  TIME  EFFECT  METHOD  OPERATION  RESOURCE  STATUS  TOOK
    1  [AT]  write  POST  CreateMonitor  monitor  400  [TIME]
    2  [AT]  write  POST  SubmitLog  log  400  [TIME]
    3  [AT]  unknown  GET  api.datadoghq.com  404  [TIME]

    the command ended well (exit 0)
    ");
    let show = world.ddgate(["show", "latest", "1"]).succeeds();
    insta::assert_snapshot!(show.shown(), @"
    call  1 of session [ID]
    request  POST https://api.datadoghq.com/api/v1/monitor (path sealed)
    operation  CreateMonitor (write)
    resource  monitor
    who  (sealed)
    by  the command itself, pid [PID]
    at  [WHEN] +00:00, [AT] into the session
    decision  allowed by rule default
    outcome  400 after [TIME] (first byte after [TIME])

    request headers
      sealed: readable by the session's recipients

    request body
      sealed: readable by the session's recipients (38 B)

    response headers
      sealed: readable by the session's recipients

    response body
      sealed: readable by the session's recipients (48 B)
    ");
    let json = world
        .ddgate(["show", "latest", "1", "--json"])
        .succeeds()
        .json();
    assert_eq!(
        (&json["sealed"], &json["who"]),
        (&Value::Bool(true), &Value::Null)
    );
    assert_eq!(json["request"]["headers"], Value::Null);
    assert_eq!(json["request"]["body"]["state"], "sealed");
    let missing = world
        .ddgate(["show", "latest", "1", "--body", "request"])
        .exits(1);
    insta::assert_snapshot!(missing.said(), @"
    ddgate: the contents of session [ID] are sealed: --age-identity FILE of one of its recipients opens them
    ddgate: error: the request of call 1 is sealed
    ");
    let list = world.ddgate(["sessions"]).succeeds().shown();
    assert!(
        list.contains("(sealed)") && !list.contains("(erased)"),
        "{list}"
    );

    // With an identity: by flag, by environment, by the settings.
    let body = ["show", "latest", "2", "--body", "request"];
    let by_variable = world
        .ddgate(body)
        .env("DDGATE_AGE_IDENTITY", &file)
        .succeeds();
    let sent = script().lines().nth(1).unwrap().to_owned();
    let sent = sent.strip_prefix("POST /api/v2/logs ").unwrap();
    assert!(
        by_variable.stdout == sent.as_bytes(),
        "the 5 MiB come back as they were"
    );
    assert!(
        !by_variable.said().contains("sealed"),
        "{}",
        by_variable.said()
    );
    world.settings(&format!(
        "[journal]\nage_identities = [\"{}\", \"{}\"]\n",
        other.display(),
        file.display()
    ));
    assert!(world.ddgate(body).succeeds().stdout == sent.as_bytes());
    let list = world.ddgate(["sessions", "--json"]).succeeds().json();
    assert!(list[0]["who"]["label"].is_string(), "{list}");

    // The check counts what it cannot open, and checks what it can.
    let seeing = world
        .ddgate(["verify", "latest", "--json"])
        .succeeds()
        .json();
    assert_eq!(
        (&seeing["contents"]["sealed"], &seeing["verdict"]),
        (&0.into(), &"VERIFIED".into()),
        "{seeing}"
    );
    world.settings("");
    let blind = world.ddgate(["verify", "latest"]).succeeds();
    let blind = blind.shown();
    assert!(blind.contains(", 0 contents, 18 sealed\n"), "{blind}");
    assert!(blind.contains("verdict  VERIFIED to leaf 10\n"), "{blind}");
    assert!(blind.contains("18 contents that only the session's recipients can read"));

    // One that does not fit: an error where it was named for this command, and no obstacle where
    // it is there for other sessions.
    let wrong = world
        .ddgate(
            ["show", "latest", "1", "--age-identity"]
                .map(Path::new)
                .into_iter()
                .chain([&*other]),
        )
        .exits(4);
    insta::assert_snapshot!(wrong.said(), @"
    ddgate: error: the contents of session [ID] are sealed for others: no identity given opens them
    ddgate: hint: only those named in `journal.recipients` when it ran can read them; without --age-identity you see everything else
    ");
    world.settings(&format!(
        "[journal]\nage_identities = [\"{}\"]\n",
        other.display()
    ));
    assert_eq!(world.replay_json("latest")["sealed"], true);
    let not = world.file("not", "hunter2\n");
    let not = world
        .ddgate(
            ["replay", "latest", "--age-identity"]
                .map(Path::new)
                .into_iter()
                .chain([&*not]),
        )
        .exits(2);
    insta::assert_snapshot!(not.said(), @"
    ddgate: error: [ROOT]/not is no identity file: identity file contains non-identity data on line 1
    ddgate: hint: name a file that `age-keygen` wrote: lines that begin with AGE-SECRET-KEY-1
    ");
}

#[test]
fn a_wrong_recipient_is_refused_before_anything_runs() {
    let world = World::new();
    world.settings("[journal]\nrecipients = [\"age1nobody\"]\n");
    let refused = world.agent("GET /api/v1/monitor").exits(2);
    insta::assert_snapshot!(refused.said(), @"ddgate: error: [ROOT]/config/ddgate.toml:2:14: `journal.recipients`: `age1nobody` is no age recipient ddgate knows, or mistyped: invalid Bech32 encoding");
    assert!(world.session_ids().is_empty());
    world.settings("");
    world.file("work/ddgate.toml", "[journal]\nrecipients = []\n");
    let refused = world.agent("GET /api/v1/monitor").exits(2);
    assert!(
        refused.said().contains("cannot be set by a project"),
        "{refused:?}"
    );
}

/// A frame, read as the format is described in `src/journal/frame.rs`.
struct Frame {
    kind: u8,
    flags: u8,
    header: Vec<u8>,
    payload: Vec<u8>,
}

fn frames(session: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(session.join("wal-000001.ddw")).unwrap();
    let (mut frames, mut at) = (Vec::new(), 0);
    while bytes[at..].starts_with(b"DDW1") {
        let head = &bytes[at..at + 24];
        let header = usize::from(u16::from_le_bytes(head[6..8].try_into().unwrap()));
        let payload = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        let (from, to) = (at + 24 + header, at + 24 + header + payload);
        frames.push(Frame {
            kind: head[4],
            flags: head[5],
            header: bytes[at + 24..from].to_vec(),
            payload: bytes[from..to].to_vec(),
        });
        at = to.next_multiple_of(8);
        if at >= bytes.len() {
            break;
        }
    }
    frames
}

fn program(name: &str) -> bool {
    let mut command = Command::new(name);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What `age --decrypt` makes of these bytes.
fn age(identity: &Path, file: &Path, bytes: &[&[u8]]) -> Vec<u8> {
    std::fs::write(file, bytes.concat()).unwrap();
    let output = Command::new("age")
        .arg("--decrypt")
        .arg("--identity")
        .args([identity, file])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Without ddgate: frames, header and commitments from their description, secrets from age itself.
#[test]
fn age_itself_opens_every_frame() {
    if !program("age") || !program("age-keygen") {
        return absent("age (Debian: age)");
    }
    let world = World::new();
    let key = world.root().join("key");
    let made = Command::new("age-keygen").arg("-o").arg(&key).output();
    assert!(made.unwrap().status.success());
    let recipient = Command::new("age-keygen").arg("-y").arg(&key).output();
    let recipient = String::from_utf8(recipient.unwrap().stdout).unwrap();
    let (second, _) = pair(&world, "second");
    world
        .agent(&script())
        .env(
            "DDGATE_RECIPIENTS",
            format!("{} {second}", recipient.trim()),
        )
        .succeeds();
    let session = Catalog::new(world.sessions()).find("latest").unwrap();
    let frames = frames(session.path());
    let keys = &frames[1];
    assert_eq!((frames[0].kind, keys.kind), (1, 7), "segment, then keys");
    assert!(frames.iter().skip(2).all(|it| it.kind != 7));

    let file = world.root().join("frame.age");
    let unzip = |frame: &Frame, bytes: &[u8]| match frame.flags & 5 {
        0 => bytes.to_vec(),
        _ => unpacked(bytes, ddgate::journal::DICTIONARY),
    };
    let (mut pieces, mut openings, mut checked) = (Vec::new(), Vec::new(), 0);
    let mut longest = 0;
    for frame in &frames {
        match frame.kind {
            3 | 4 => {
                assert_eq!(frame.flags & 2, 2, "sealed");
                let plain = age(&key, &file, &[&keys.payload, &frame.payload]);
                if frame.kind == 4 {
                    let number = u64::from_le_bytes(frame.header[..8].try_into().unwrap());
                    pieces.push((number, unzip(frame, &plain)));
                    continue;
                }
                assert_eq!(frame.header[16..48], [0; 32], "no salt in the open");
                let number = u64::from_le_bytes(frame.header[8..16].try_into().unwrap());
                let field = String::from_utf8(frame.header[48..].to_vec()).unwrap();
                let content = match number {
                    0 => unzip(frame, &plain[32..]),
                    _ => {
                        let its = pieces.iter().filter(|(of, _)| *of == number);
                        its.flat_map(|(_, piece)| piece.clone()).collect()
                    }
                };
                longest = longest.max(content.len());
                let mut mac = Hmac::<Sha256>::new_from_slice(&plain[..32]).unwrap();
                mac.update(b"ddgate/v1/");
                mac.update(field.as_bytes());
                mac.update(&[0]);
                mac.update(&content);
                openings.push((field, base64(&mac.finalize().into_bytes())));
            }
            2 => {
                let leaf: Value = serde_json::from_slice(&frame.payload).unwrap();
                for (field, tag) in openings.drain(..) {
                    assert_eq!(leaf[&field]["c"], tag, "{field}");
                    checked += 1;
                }
            }
            _ => {}
        }
    }
    assert!(longest > 5 << 20, "{longest}");
    assert!(checked > 12, "{checked} openings");

    // What is exported is sealed too, and opens the same way.
    world.ddgate(["export", "latest", "-o", "out"]).succeeds();
    let out = world.work().join("out");
    nothing_in_the_open(&world, &out);
    let verified = world
        .ddgate(["verify", "--dir", "out", "--json"])
        .succeeds();
    let verified = verified.json();
    assert_eq!(verified["verdict"], "VERIFIED", "{verified}");
    assert_eq!(verified["contents"]["sealed"], 18, "{verified}");
    let lines = std::fs::read_to_string(out.join("openings.jsonl")).unwrap();
    let mut bodies = 0;
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let names = [&line["sealed"]].into_iter();
        let names = names.chain(line["blobs"].as_array().into_iter().flatten());
        let codings = line["codings"].as_array().unwrap();
        let mut content = Vec::new();
        for (number, (name, coding)) in names.zip(codings).enumerate() {
            let blob = out.join("blob").join(name.as_str().unwrap());
            let plain = age(&key, &file, &[&std::fs::read(blob).unwrap()]);
            let plain = &plain[if number == 0 { 32 } else { 0 }..];
            match coding.as_str().unwrap() {
                "identity" => content.extend(plain),
                "zstd" => content.extend(unpacked(plain, &[])),
                named => {
                    let dictionary = std::fs::read(out.join(named)).unwrap();
                    content.extend(unpacked(plain, &dictionary));
                }
            }
        }
        bodies += usize::from(content.len() > 5 << 20);
    }
    assert_eq!(bodies, 1);
}

/// What zstd makes of it, with the dictionary that stands beside it.
fn unpacked(bytes: &[u8], dictionary: &[u8]) -> Vec<u8> {
    let mut unpacker = zstd::bulk::Decompressor::with_dictionary(dictionary).unwrap();
    unpacker.decompress(bytes, 4 << 20).unwrap()
}

#[test]
fn an_export_hands_the_seals_on() {
    if !program("age") || !program("age-keygen") {
        return absent("age (Debian: age)");
    }
    let world = World::new();
    let identity = world.root().join("identity");
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(&identity)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    let recipient = said.trim().rsplit(' ').next().unwrap();
    world
        .agent("POST /api/v1/monitor {\"name\": \"quarterly numbers\"}")
        .env("DDGATE_RECIPIENTS", recipient)
        .succeeds();
    let out = world.root().join("out");
    world
        .ddgate(["export", "latest", "-o", out.to_str().unwrap()])
        .succeeds();
    let checked = world
        .ddgate(["verify", "--dir", out.to_str().unwrap(), "--json"])
        .succeeds();
    assert_eq!(checked.json()["contents"]["verified"], 0);
    assert!(checked.json()["contents"]["sealed"].as_u64().unwrap() > 4);
    let lines = std::fs::read_to_string(out.join("openings.jsonl")).unwrap();
    let mut opened = String::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["salt"].is_null() && line["content"].is_null(),
            "{line}"
        );
        let file = out.join("blob").join(line["sealed"].as_str().unwrap());
        let plain = age(&identity, &file, &[&std::fs::read(&file).unwrap()]);
        if line["codings"][0] == "identity" {
            // Behind the salt.
            opened += &String::from_utf8_lossy(&plain[32..]);
        }
    }
    assert!(opened.contains("quarterly numbers"), "{opened}");
    // Erased here, it is gone from the next export, and the proofs stay.
    world.ddgate(["erase", "latest", "--yes"]).succeeds();
    let bare = world.root().join("bare");
    world
        .ddgate(["export", "latest", "-o", bare.to_str().unwrap()])
        .succeeds();
    assert_eq!(
        std::fs::read_dir(bare.join("blob")).map_or(0, Iterator::count),
        0
    );
    let checked = world
        .ddgate(["verify", "--dir", bare.to_str().unwrap(), "--json"])
        .succeeds();
    assert!(checked.json()["contents"]["erased"].as_u64().unwrap() > 4);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
