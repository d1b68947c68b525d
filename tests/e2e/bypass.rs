//! A command that tries to go round the gate: by every way we know of, on real sockets. Held, each
//! attempt fails; not held, the same attempts succeed, so the test can tell the difference.
//!
//! What is left open is said, stands in the session's first leaf, and is tried here as well.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::absent::absent;
use crate::world::{Ddgate, Outcome, World};

/// Local servers that count who came.
struct Outside {
    ports: Value,
    came: Arc<AtomicUsize>,
}

impl Outside {
    fn new(world: &World) -> Self {
        let came = Arc::new(AtomicUsize::new(0));
        let tcp = |address: &str, answer: &'static str| {
            let listener = TcpListener::bind(address).ok()?;
            let port = listener.local_addr().unwrap().port();
            let came = Arc::clone(&came);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    came.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.read(&mut [0; 1024]);
                    let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
                }
            });
            Some(port)
        };
        let http = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let path = world.root().join("outside.sock");
        let unix = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            // Not counted: nobody says that this way is shut.
            for stream in unix.incoming() {
                let _ = stream.unwrap().read(&mut [0; 16]);
            }
        });
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = json!({
            "v4": tcp("0.0.0.0:0", ""), "v6": tcp("[::1]:0", ""), "http": tcp("127.0.0.1:0", http),
            "udp": udp.local_addr().unwrap().port(), "unix": path,
        });
        Self { ports, came }
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    fn port(&self, name: &str) -> String {
        self.ports[name].to_string()
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e")
        .join(name)
}

/// Whether this machine can play these games at all.
fn is_possible() -> bool {
    let python = std::process::Command::new("/usr/bin/env")
        .args(["python3", "-c", ""])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .status();
    if !python.is_ok_and(|status| status.success()) {
        absent("python3 is not on this machine");
        return false;
    }
    if !cfg!(target_os = "linux") {
        absent("only Linux holds a command to anything");
        return false;
    }
    true
}

/// The same where the kernel cannot.
fn is_held() -> bool {
    let outcome = World::new().run_with(&["--enforce=on"], ["true"]).go();
    if outcome.code == Some(125) {
        absent("this kernel has no Landlock rules for TCP");
        return false;
    }
    true
}

fn attempts(world: &World, outside: &Outside, flags: &[&str]) -> Ddgate {
    let script = source("bypass.py").into_os_string().into_string().unwrap();
    let own = ["run", "--identity", "local"];
    let words = [&own, flags, &["--", "python3", &script]].concat();
    world
        .under(&["python3", &script, "start"], words)
        .keys(world)
        .env("BYPASS_PORTS", outside.ports.to_string())
}

/// What was tried, in the order of names, one a line.
fn listed(outcome: &Outcome) -> String {
    let tried = outcome.json();
    let lines = tried.as_object().unwrap().iter();
    lines
        .map(|(what, how)| format!("{what}: {}\n", how.as_str().unwrap()))
        .collect()
}

/// What was said of it at the start.
fn told(outcome: &Outcome) -> String {
    let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("ddgate: the command "));
    line.unwrap_or_default().to_owned()
}

fn opened(world: &World, outcome: &Outcome) -> Value {
    world.replay_json(&outcome.session())["enforcement"].clone()
}

#[test]
fn a_held_command_finds_no_way_round() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let outside = Outside::new(&world);
    let outcome = attempts(&world, &outside, &["--enforce"]).succeeds();
    insta::assert_snapshot!(listed(&outcome), @r"
    descriptors of the gate: EACCES
    environ of the gate: EACCES
    environ of the gate's parent: EACCES
    grandchild: EACCES
    io_uring: EPERM
    memory of the gate: EACCES
    multipath tcp: EPERM
    no proxy variable: EACCES
    packet socket: EPERM
    ptrace of the gate: EPERM
    raw socket: EPERM
    signal to itself: passed
    signal to the gate: EPERM
    tcp by address: EACCES
    tcp by ipv6: EACCES
    tcp by name: EACCES
    tcp fast open: EPERM
    tcp to another address: EACCES
    the gate: passed
    tunnel to this machine: 403
    udp: passed
    unix socket: passed
    ");
    assert_eq!(outside.came(), 0, "nobody got through");
    insta::assert_snapshot!(opened(&world, &outcome), @r#"{"asked":"on","held":["tcp","sockets","processes","signals"],"open":["udp","unix","files"]}"#);
    insta::assert_snapshot!(told(&outcome), @"ddgate: the command reaches the network by TCP only through the gate, UDP is not held back; sudo does not work in it (--enforce=off lifts this)");
}

#[test]
fn without_being_told_to_it_holds_as_much_as_it_can() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let outside = Outside::new(&world);
    let outcome = attempts(&world, &outside, &[]).succeeds();
    assert_eq!(outcome.json()["tcp by address"], "EACCES");
    assert_eq!(outside.came(), 0);
    assert_eq!(opened(&world, &outcome)["asked"], "auto");
    let quiet = attempts(&world, &outside, &["--quiet"]).succeeds();
    assert_eq!(quiet.stderr, b"", "{quiet:?}");
}

#[test]
fn not_held_the_same_attempts_succeed_but_for_the_gates_own_secrets() {
    let world = World::new();
    if !is_possible() {
        return;
    }
    let outside = Outside::new(&world);
    let outcome = attempts(&world, &outside, &["--enforce=off"]).succeeds();
    let tried = outcome.json();
    for way in [
        "tcp by address",
        "tcp by name",
        "grandchild",
        "no proxy variable",
        "tunnel to this machine",
        "udp",
    ] {
        assert_eq!(tried[way], "passed", "{way}");
    }
    for way in [
        "environ of the gate's parent",
        "signal to the gate",
        "tcp fast open",
    ] {
        assert_eq!(tried[way], "passed", "{way}");
    }
    // The gate shields itself, Landlock or not.
    for way in [
        "environ of the gate",
        "memory of the gate",
        "descriptors of the gate",
    ] {
        assert_eq!(tried[way], "EACCES", "{way}");
    }
    assert_eq!(tried["ptrace of the gate"], "EPERM");
    assert!(outside.came() >= 5);
    insta::assert_snapshot!(opened(&world, &outcome), @r#"{"asked":"off"}"#);
    assert_eq!(told(&outcome), "", "who says off knows");
}

#[test]
fn strict_leaves_no_udp_either() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let outside = Outside::new(&world);
    let outcome = attempts(&world, &outside, &["--enforce=strict"]).succeeds();
    let tried = outcome.json();
    assert_eq!(tried["udp"], "EPERM");
    assert_eq!(tried["the gate"], "passed");
    insta::assert_snapshot!(opened(&world, &outcome), @r#"{"asked":"strict","held":["tcp","sockets","udp","processes","signals"],"open":["unix","files"]}"#);
    assert!(told(&outcome).contains("and not by UDP"), "{outcome:?}");
}

#[test]
fn a_port_that_is_allowed_is_open_and_says_so() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let outside = Outside::new(&world);
    let port = outside.port("v4");
    let outcome = attempts(&world, &outside, &["--enforce", "--allow-port", &port]).succeeds();
    let tried = outcome.json();
    for way in [
        "tcp by address",
        "tcp by name",
        "tcp to another address",
        "grandchild",
    ] {
        assert_eq!(tried[way], "passed", "{way}");
    }
    assert_eq!(tried["no proxy variable"], "EACCES", "another port");
    assert_eq!(opened(&world, &outcome)["ports"][0].to_string(), port);
    assert!(
        told(&outcome).contains(&format!("(and to port {port} itself)")),
        "{outcome:?}"
    );
}

#[test]
fn what_a_held_command_may_reach_through_the_gate_is_a_rule_and_on_record() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let outside = Outside::new(&world);
    let here = format!("localhost:{}", outside.port("v4"));
    let flags = ["--enforce", "--allow-host", &here, "--egress=listed"];
    let outcome = attempts(&world, &outside, &flags).succeeds();
    assert_eq!(outcome.json()["tunnel to this machine"], "passed");
    assert_eq!(outcome.json()["tcp by name"], "EACCES", "not by itself");
    assert_eq!(outside.came(), 1);
    let session = world.replay_json(&outcome.session());
    assert_eq!(session["egress"], "listed");
    assert_eq!(session["tunnels"][0]["host"], here);
    assert_eq!(session["tunnels"][0]["rule"], Value::Null);
    assert!(session["tunnels"][0]["by"]["pid"].is_u64(), "{session}");

    let outcome = attempts(&world, &outside, &["--egress=datadog-only"]).succeeds();
    assert_eq!(outcome.json()["tunnel to this machine"], "403");
    let session = world.replay_json(&outcome.session());
    assert_eq!(session["tunnels"][0]["rule"], "egress-datadog-only");
}

/// Asks the gate for a tunnel to an address, and speaks HTTP in it without naming anybody first.
const UNSEEN: &str = r#"
import os, socket, sys
from urllib.parse import urlsplit
gate, there = urlsplit(os.environ["HTTPS_PROXY"]), sys.argv[1]
tunnel = socket.create_connection((gate.hostname, gate.port), timeout=30)
tunnel.sendall(f"CONNECT {there} HTTP/1.1\r\nhost: {there}\r\n\r\n".encode())
print(tunnel.recv(4096).split()[1].decode())
tunnel.sendall(b"GET /api/v1/monitor HTTP/1.1\r\nhost: api.datadoghq.com\r\n\r\n")
print(len(tunnel.recv(4096)))
"#;

#[test]
fn a_tunnel_to_where_datadog_answers_is_no_way_past_the_gate() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let upstream = world.sandbox.upstream();
    let there = upstream.strip_prefix("http://").unwrap();
    let outcome = world
        .run_with(
            &["--enforce", "--allow-host", "127.0.0.1"],
            ["python3", "-c", UNSEEN, there],
        )
        .succeeds();
    assert_eq!(
        outcome.stdout, b"200\n0\n",
        "nothing comes back: {outcome:?}"
    );
    let said = outcome.said();
    assert!(
        said.contains("1 tunnel to an address of Datadog's was refused (rule datadog-unseen)"),
        "{said}"
    );
    let session = world.replay_json(&outcome.session());
    assert_eq!(session["tunnels"][0]["rule"], "datadog-unseen");
    assert_eq!(session["tunnels"][0]["sent"], 0);
}

/// Takes a system call away from whatever it starts, as an old kernel would: seccomp, by hand.
const WITHOUT_LANDLOCK: &str = r"
import ctypes, os, struct, sys
op = lambda code, jt, jf, k: struct.pack('HBBI', code, jt, jf, k)
# Load the number; is it landlock_create_ruleset? ENOSYS; else allow.
code = op(0x20, 0, 0, 0) + op(0x15, 0, 1, 444) + op(0x06, 0, 0, 0x50026) + op(0x06, 0, 0, 0x7fff0000)
text = ctypes.create_string_buffer(code)
program = struct.pack('HxxxxxxQ', 4, ctypes.addressof(text))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_kernel_that_cannot_is_said_and_recorded_and_a_demand_fails() {
    let world = World::new();
    if !is_possible() {
        return;
    }
    let old = ["python3", "-c", WITHOUT_LANDLOCK];
    let words = |how| ["run", "--identity", "local", how, "--", "echo", "ran"];
    let outcome = world
        .under(&old, words("--enforce=auto"))
        .keys(&world)
        .succeeds();
    assert_eq!(outcome.stdout, b"ran\n");
    insta::assert_snapshot!(told(&outcome), @"ddgate: the command is not held to the gate and could go round it: this kernel has no Landlock rules for TCP (Linux 6.7 and later, where enabled)");
    insta::assert_snapshot!(opened(&world, &outcome), @r#"{"asked":"auto","why":"this kernel has no Landlock rules for TCP (Linux 6.7 and later, where enabled)"}"#);
    for demand in ["--enforce", "--enforce=strict"] {
        let outcome = world.under(&old, words(demand)).keys(&world).exits(125);
        assert_eq!(outcome.stdout, b"", "it must not run");
        insta::allow_duplicates! {
            insta::assert_snapshot!(outcome.said(), @r"
            ddgate: this session is recorded as [USER], which nobody has verified
            ddgate: error: the command cannot be held to the gate here: this kernel has no Landlock rules for TCP (Linux 6.7 and later, where enabled)
            ddgate: hint: --enforce=auto runs it all the same, and records that it was not held
            ");
        }
    }
}

#[test]
fn a_held_command_cannot_stop_the_gate_and_what_it_does_to_the_files_shows() {
    let world = World::new();
    if !is_possible() || !is_held() {
        return;
    }
    let script = r#"
kill -TERM $PPID 2>/dev/null && echo killed
kill -KILL $PPID 2>/dev/null && echo killed
wal=$(ls "$RECORD"/*/wal-000001.ddw)
printf 'nothing happened' | dd of="$wal" bs=1 seek=200 conv=notrunc && echo written
"#;
    let outcome = world
        .run_with(&["--enforce"], ["sh", "-c", script])
        .env("RECORD", world.sessions())
        .succeeds();
    assert_eq!(outcome.stdout, b"written\n", "{outcome:?}");
    // Files are not held: but no change of theirs goes unseen.
    let verdict = world.ddgate(["verify", &outcome.session()]).exits(1);
    assert!(
        String::from_utf8_lossy(&verdict.stdout).contains("TAMPERED"),
        "{verdict:?}"
    );
}
