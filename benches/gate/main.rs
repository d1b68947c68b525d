//! `cargo bench`: what the gate costs, as ratios to a direct call measured in the same run.
//!
//! One fake Datadog on loopback (TLS, h2 and http/1.1), one client, and the real `ddgate` binary
//! between them; direct, base URL and CONNECT are measured turn by turn, round by round. Every
//! request is on stable storage before it leaves, because the gate has no other way.
//!
//! Ratios travel between machines better than times, and not far: where direct is fast and the disk
//! slow, whatever waits for the disk is many times direct. So each line has two yardsticks. `goal` is
//! fixed, and was measured elsewhere ([`class::Target`]). `least` is the ratio of the least proxy that
//! keeps the gate's promise and does nothing else ([`least`]), measured in the same rounds. A gate that
//! misses its goal and stays within [`class::OVER_THE_LEAST`] times `least` has `~`; one that misses
//! both has `!`. On a busy machine none of it is worth much.
//!
//! `cargo bench -- --quick` is one short round; `cargo bench -- upload` measures only the lines of
//! the table with that word.

mod child;
mod class;
mod client;
mod disk;
mod gate;
mod launch;
mod least;
mod least_disk;
mod load;
mod proxy;
mod report;
mod upstream;

use std::process::ExitCode;

use class::{CELLS, Cell};
use client::{API, BASE, Route, Way};
use gate::World;
use load::Sample;
use proxy::Proxy;
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
        Some(at) => child::run(&words[at + 1..]),
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
    let (mut gate, mut least) = (Proxy::gate(&world)?, Proxy::least(&world)?);
    let direct = Route::direct(&world)?;
    let before = world.upstream.accepted();
    let mut sent = 0;
    let is_asked_for = |cell: &&Cell| only.is_none_or(|word| cell.class.name().contains(word));
    for cell in CELLS.iter().filter(is_asked_for) {
        let mut rounds = Vec::new();
        for _ in 0..effort.rounds {
            let mut round = Vec::new();
            for way in Way::ALL {
                let calls = (cell.calls / effort.calls_divisor).max(cell.concurrency);
                let proxy = match way {
                    Way::LeastBase | Way::LeastConnect => &mut least,
                    Way::Direct | Way::Base | Way::Connect => &mut gate,
                };
                let cpu = proxy.cpu()?;
                let times = match way.name(cell.class) {
                    None => runtime.block_on(load::run(&direct, cell, calls))?,
                    Some(name) => proxy.load(name, cell, calls)?,
                };
                sent += match way {
                    Way::Base | Way::Connect => calls,
                    _ => 0,
                };
                round.push(Sample {
                    times,
                    calls,
                    cpu: proxy.cpu()? - cpu,
                });
            }
            rounds.push(round);
            disk.measure()?;
        }
        report.cell(cell, &rounds);
    }
    report.foot();
    report.connections(world.upstream.accepted() - before, sent);
    gate.stop()?;
    least.stop()?;
    if only.is_none() {
        report.memory(&memory(&world)?);
    }
    report.end(disk.median());
    Ok(())
}

/// Peak memory of fresh proxies: at rest, and with 64 calls of each class under way at once.
fn memory(world: &World) -> Result<Vec<report::Memory>, Failure> {
    let crowded = CELLS.iter().filter(|cell| cell.concurrency == 64);
    std::iter::once(&class::ONE_CALL)
        .chain(crowded)
        .map(|cell| {
            let mut found = report::Memory::of(cell);
            for way in [BASE, API] {
                found.gate_kib.push(peak(Proxy::gate(world)?, way, cell)?);
                found.least_kib.push(peak(Proxy::least(world)?, way, cell)?);
            }
            Ok(found)
        })
        .collect()
}

fn peak(mut proxy: Proxy, way: &str, cell: &Cell) -> Result<u64, Failure> {
    proxy.load(way, cell, cell.calls)?;
    let kib = proxy.peak_kib()?;
    proxy.stop()?;
    Ok(kib)
}
