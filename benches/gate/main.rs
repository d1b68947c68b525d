//! `cargo bench`: what the gate costs, as ratios to a direct call measured in the same run.
//!
//! One fake Datadog on loopback (TLS, h2 and http/1.1), one client, and the real `ddgate` binary
//! between them; direct, base URL and CONNECT are measured turn by turn, round by round. Every
//! request is on stable storage before it leaves, because the gate has no other way. Ratios travel
//! between machines, absolute times do not; on a busy machine neither is worth much.
//!
//! `cargo bench -- --quick` is one short round; `cargo bench -- upload` measures only the lines of
//! the table with that word.

mod child;
mod class;
mod client;
mod disk;
mod gate;
mod launch;
mod load;
mod report;
mod upstream;

use std::process::ExitCode;

use class::{CELLS, Cell, Class};
use client::{API, BASE, MCP, Route, Way};
use gate::{Gate, World};
use load::Sample;
use report::Report;

/// What goes wrong here ends the bench.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Calls of a cell are divided by this.
    calls_divisor: usize,
    launches: usize,
}

const FULL: Effort = Effort {
    rounds: 3,
    calls_divisor: 1,
    launches: 21,
};
const QUICK: Effort = Effort {
    rounds: 1,
    calls_divisor: 4,
    launches: 5,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match words.iter().position(|word| word == child::WORD) {
        Some(at) => child::run(words.get(at + 1).map_or("", String::as_str)),
        None => {
            let is_quick = words.iter().any(|word| word == "--quick");
            let only = words.iter().find(|word| !word.starts_with('-'));
            bench(
                if is_quick { QUICK } else { FULL },
                only.map(String::as_str),
            )
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            report::complain(&*why);
            ExitCode::FAILURE
        }
    }
}

fn bench(effort: Effort, only: Option<&str>) -> Result<(), Failure> {
    let mut report = Report::begin(effort.rounds);
    let world = World::create()?;
    let mut disk = disk::Disk::open(world.directory())?;
    disk.measure()?;
    if only.is_none() {
        report.launches(&launch::measure(&world, effort.launches)?);
        disk.measure()?;
    }
    report.head();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut gate = Gate::start(&world)?;
    let direct = Route::direct(&world)?;
    let before = world.upstream.accepted();
    let mut sent = 0;
    let is_asked_for = |cell: &&Cell| only.is_none_or(|word| cell.class.name().contains(word));
    for cell in CELLS.iter().filter(is_asked_for) {
        let mut rounds = Vec::new();
        for _ in 0..effort.rounds {
            let mut round = Vec::new();
            for way in [Way::Direct, Way::Base, Way::Connect] {
                let cpu = gate.cpu()?;
                let calls = (cell.calls / effort.calls_divisor).max(cell.concurrency);
                let times = match way {
                    Way::Direct => runtime.block_on(load::run(&direct, cell, calls))?,
                    Way::Base => gate.load(BASE, cell, calls)?,
                    Way::Connect if cell.class == Class::Events => gate.load(MCP, cell, calls)?,
                    Way::Connect => gate.load(API, cell, calls)?,
                };
                sent += if way == Way::Direct { 0 } else { calls };
                round.push(Sample {
                    times,
                    calls,
                    gate_cpu: gate.cpu()? - cpu,
                });
            }
            rounds.push(round);
            disk.measure()?;
        }
        report.cell(cell, &rounds);
    }
    report.connections(world.upstream.accepted() - before, sent);
    gate.stop()?;
    if only.is_none() {
        report.memory(&memory(&world)?);
    }
    report.end(disk.median());
    Ok(())
}

/// Peak memory of a fresh gate: after one call, and with 64 uploads under way, by either way in.
fn memory(world: &World) -> Result<Vec<report::Memory>, Failure> {
    let mut found = Vec::new();
    for (way, name) in [("base URL", BASE), ("CONNECT", API)] {
        let mut gate = Gate::start(world)?;
        gate.load(name, &class::ONE_CALL, 1)?;
        let idle_kib = gate.peak_kib()?;
        gate.load(name, &class::UPLOADS, class::UPLOADS.calls)?;
        found.push(report::Memory {
            way,
            idle_kib,
            peak_kib: gate.peak_kib()?,
        });
        gate.stop()?;
    }
    Ok(found)
}
