//! ddgate is killed at the n-th call of each system call that storage is made of, for every n: where
//! random moments hardly ever hit, such as between two writes while a session is opened or closed.
//!
//! `strace` counts by thread, and lets go of the agent when ddgate starts it.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use crate::absent::absent;
use crate::crash::{against, whole_after};
use crate::dice::asked;
use crate::upstream::Upstream;
use crate::world::World;

/// The last group: what other processors than x86-64 have instead.
const CALLS: &[&str] = &[
    "fdatasync",
    "fsync",
    "fallocate",
    "pwrite64",
    "write",
    "?rename,?renameat,?renameat2",
    "ftruncate",
    "?mkdir,?mkdirat",
    "?unlink,?unlinkat",
    "sync_file_range",
    "flock",
    "openat",
];
/// Time for all of it, unless more points are asked for.
const USUALLY: Duration = Duration::from_secs(45);

/// Some calls of each kind, and a body that is streamed.
fn script() -> String {
    let long = "noise, ".repeat(12_000);
    format!(
        "PUT /api/v1/monitor/1 {{\"name\": \"noise\"}}\nGET /api/v1/monitor/2\n\
         PUT /api/v1/monitor/3 {{\"message\": \"{long}\"}}\nDELETE /api/v1/monitor/4\n\
         nokey GET /api/v1/monitor/5\nGET /api/v1/monitor/6"
    )
}

/// Runs a session that is killed at that point; whether it came to it.
fn killed_at(world: &World, call: &str, n: u64, seen: &mut usize) -> bool {
    let upstream = Upstream::start();
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let trace = format!("trace={call}");
    let strace = [
        "strace",
        "-f",
        "--detach-on=execve",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let outcome = world
        .under(&strace, against(&upstream))
        .keys(world)
        .script(world, &script())
        .go();
    let is_killed = outcome.signal == Some(9);
    assert!(
        is_killed || outcome.code == Some(0),
        "{call} {n}: {outcome:?}"
    );
    *seen += whole_after(world, &upstream, &format!("killed at {call} {n}"));
    is_killed
}

/// `DDGATE_KILL_POINTS` asks for that many points of each call.
#[test]
fn killed_at_every_system_call_of_storage() {
    let world = World::new();
    let mut probe = std::process::Command::new("strace");
    probe.args(["-qq", "--detach-on=execve", "--seccomp-bpf", "-f", "true"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        return absent("strace is not on this machine, too old, or may not trace");
    }
    let most = asked("DDGATE_KILL_POINTS", 0);
    let deadline = (most == 0).then(|| Instant::now() + USUALLY);
    let (mut points, mut seen) = (0, 0);
    // The n-th of each in turn: if time runs out, it does for all alike.
    let mut open = CALLS.to_vec();
    let mut reached = vec![0; CALLS.len()];
    for n in 1..=if most == 0 { u64::MAX } else { most } {
        open.retain(|call| {
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return false;
            }
            let is_killed = killed_at(&world, call, n, &mut seen);
            points += usize::from(is_killed);
            let at = CALLS.iter().position(|known| known == call).unwrap();
            reached[at] += u64::from(is_killed);
            is_killed
        });
        if open.is_empty() {
            break;
        }
    }
    let by_call: Vec<_> = CALLS.iter().zip(reached).collect();
    println!("killed at {points} points, {seen} calls seen, nothing lost: {by_call:?}");
    assert!(
        points > CALLS.len(),
        "hardly any point was met: {by_call:?}"
    );
}
