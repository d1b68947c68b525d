//! `cargo bench --bench log`: what the record costs, against a plain append on the same disk and a
//! HAR file of the same calls, and what a very long session takes to record, check and read.
//!
//! `-- --quick` has fewer rounds and a long session of 100,000 calls instead of a million;
//! `-- append`, `bytes`, `bodies` or `long` measures one part alone. Ratios travel between
//! machines, absolute figures do not; on a busy machine neither is worth much.

mod append;
mod bodies;
mod bytes;
mod har;
mod long;
mod process;
mod record;
mod report;
mod samples;
mod traffic;

use std::path::Path;
use std::process::ExitCode;

use report::Report;

/// What goes wrong here ends the bench.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The argument that makes this binary a child; its role follows.
const CHILD: &str = "--child";

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Concurrency, and records of one round.
    appends: [(usize, usize); 3],
    calls: usize,
    long_calls: usize,
    audits: usize,
}

const FULL: Effort = Effort {
    rounds: 7,
    appends: [(1, 1000), (8, 8000), (64, 64_000)],
    calls: 4000,
    long_calls: 1_000_000,
    audits: 3,
};
const QUICK: Effort = Effort {
    rounds: 3,
    appends: [(1, 300), (8, 2400), (64, 19_200)],
    calls: 1000,
    long_calls: 100_000,
    audits: 3,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match words.iter().position(|word| word == CHILD) {
        Some(at) => child(&words[at + 1..]),
        None => bench(&words),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            report::complain(&*why);
            ExitCode::FAILURE
        }
    }
}

fn child(words: &[String]) -> Result<(), Failure> {
    match words {
        [role, rest @ ..] if role == "record" => long::record(rest),
        [role, directory] if role == "samples" => samples::write(Path::new(directory)),
        [way] => bodies::pass(way),
        _ => Err("no such role".into()),
    }
}

fn bench(words: &[String]) -> Result<(), Failure> {
    let is_quick = words.iter().any(|word| word == "--quick");
    let only = words.iter().find(|word| !word.starts_with('-'));
    let effort = if is_quick { QUICK } else { FULL };
    let is_asked_for = |part: &str| only.is_none_or(|word| word == part);
    let home = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut report = Report::begin(is_quick, effort.long_calls);
    if is_asked_for("append") {
        let mut rounds = Vec::new();
        for round in 0..effort.rounds {
            rounds.push(append::round(home.path(), round as u8, &effort.appends)?);
        }
        report.appends(append::content_bytes(), &effort.appends, &rounds);
    }
    if is_asked_for("bytes") {
        report.bytes(&bytes::measure(home.path(), effort.calls)?);
    }
    if is_asked_for("bodies") {
        report.bodies(bodies::measure(home.path())?);
    }
    if is_asked_for("long") {
        let long = long::measure(home.path(), effort.long_calls, effort.audits)?;
        report.long(effort.long_calls, &long);
    }
    report.end();
    Ok(())
}
