//! The table. Ratios are medians over the rounds; what has a target says how it fares.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use super::class::{Cell, Class, OVER_THE_LEAST, Target};
use super::client::Way;
use super::launch::Launches;
use super::load::Sample;

/// Longer than any delayed acknowledgement waits for: a call this long that has nothing to do
/// was held up by small writes without `TCP_NODELAY`.
const STALL: Duration = Duration::from_millis(40);
const LAUNCH_MAX: Duration = Duration::from_millis(25);
const WRAP_MAX: Duration = Duration::from_millis(20);
const MEMORY_MAX_KIB: u64 = 48 << 10;
/// Calls in a hundred that may be this slow for other reasons, on a machine that does other work.
const STALLED_PERCENT_MAX: usize = 1;

/// Peak memory under one class of calls: of the gate and of the least proxy, by base URL and by
/// CONNECT.
pub(crate) struct Memory {
    class: Class,
    concurrency: usize,
    pub(crate) gate_kib: Vec<u64>,
    pub(crate) least_kib: Vec<u64>,
}

impl Memory {
    pub(crate) const fn of(cell: &Cell) -> Self {
        Self {
            class: cell.class,
            concurrency: cell.concurrency,
            gate_kib: Vec::new(),
            least_kib: Vec::new(),
        }
    }
}

/// Prints as it goes.
pub(crate) struct Report {
    began: Instant,
    launched: Option<(Duration, Duration)>,
    /// Calls at concurrency 1 that should take no time, and how many of them took long.
    quick_calls: usize,
    stalled: usize,
    connections: (usize, usize),
    memory_kib: Option<u64>,
}

pub(crate) fn complain(why: &dyn Display) {
    // If even this cannot be said, the exit code says it.
    let _ = writeln!(std::io::stderr(), "the bench cannot go on: {why}");
}

fn say(line: impl Display) {
    // A reader that went away has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The value below which `percent` in a hundred are.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "ok" } else { "miss" }
}

impl Report {
    pub(crate) fn begin(rounds: usize) -> Self {
        say(format_args!(
            "ddgate bench: {rounds} rounds, direct, gate and least proxy by turns; medians; times in ms"
        ));
        Self {
            began: Instant::now(),
            launched: None,
            quick_calls: 0,
            stalled: 0,
            connections: (0, 0),
            memory_kib: None,
        }
    }

    pub(crate) fn launches(&mut self, found: &Launches) {
        say("\n                                   p50     p90");
        for (name, times) in [
            ("launch to first answer", &found.first_answer),
            ("  the child alone, no call", &found.bare_child),
            ("ddgate run -- true", &found.wrapped),
            ("  true alone", &found.bare),
        ] {
            say(format_args!(
                "{name:<30} {:>7.2} {:>7.2}",
                ms(percentile(times, 50)),
                ms(percentile(times, 90))
            ));
        }
        let p50 = |times: &[Duration]| percentile(times, 50);
        self.launched = Some((
            p50(&found.first_answer),
            p50(&found.wrapped).saturating_sub(p50(&found.bare)),
        ));
    }

    /// Above the lines of [`Self::cell`].
    pub(crate) fn head(&self) {
        let way = "     p50     p99  ratio  goal  least    cpu/least";
        say(format_args!(
            "\n{:>35}{:>27}{:>49}\n{:>24}     p50     p99{way}{way}",
            "direct", "base URL", "CONNECT", "at"
        ));
    }

    /// One line: `rounds` holds of each round what [`Way::ALL`] lists.
    pub(crate) fn cell(&mut self, cell: &Cell, rounds: &[Vec<Sample>]) {
        let of = |way: Way, percent: usize| {
            let times = rounds.iter().filter_map(|round| round.get(way as usize));
            median(times.map(|s| ms(percentile(&s.times, percent))).collect())
        };
        let direct = of(Way::Direct, 50);
        let mut line = format!(
            "{:<21} {:>2} {direct:>7.3} {:>7.2}",
            cell.class.name(),
            cell.concurrency,
            of(Way::Direct, 99)
        );
        for (way, least) in [
            (Way::Base, Way::LeastBase),
            (Way::Connect, Way::LeastConnect),
        ] {
            let (gated, goal) = (ratio(rounds, way), goal(cell, way, direct));
            let floor = ratio(rounds, least);
            let mark = match gated {
                _ if gated <= goal => ' ',
                _ if gated <= OVER_THE_LEAST * floor => '~',
                _ => '!',
            };
            line += &format!(
                " {:>7.3} {:>7.2} {gated:>6.2} {goal:>5.1} {floor:>6.2}{mark} {:>5.2}/{:<5.2}",
                of(way, 50),
                of(way, 99),
                cpu(rounds, way),
                cpu(rounds, least),
            );
        }
        say(line.trim_end());
        self.look_for_stalls(cell, rounds);
    }

    /// Below them.
    pub(crate) fn foot(&self) {
        say(format_args!(
            "goal: {OVER_THE_LEAST} x the least proxy of another day; least: its ratio in this run; \
             ~ above goal, but within {OVER_THE_LEAST} x least; ! above both; cpu: ms a call"
        ));
    }

    fn look_for_stalls(&mut self, cell: &Cell, rounds: &[Vec<Sample>]) {
        let is_quick = matches!(cell.class, Class::Small | Class::Page | Class::Fresh);
        if cell.concurrency == 1 && is_quick {
            let ways = [Way::Base, Way::Connect];
            let gated = rounds
                .iter()
                .flat_map(|round| ways.iter().filter_map(|way| round.get(*way as usize)));
            for time in gated.flat_map(|sample| &sample.times) {
                self.quick_calls += 1;
                self.stalled += usize::from(*time >= STALL);
            }
        }
    }

    pub(crate) fn connections(&mut self, accepted: usize, calls: usize) {
        self.connections = (accepted, calls);
    }

    pub(crate) fn memory(&mut self, found: &[Memory]) {
        say("\npeak memory, MiB           at  base URL   least   CONNECT   least");
        for memory in found {
            let ways = memory.gate_kib.iter().zip(&memory.least_kib);
            let columns: String = ways
                .map(|(gate, least)| format!("  {:>8.1}{:>8.1}", mib(*gate), mib(*least)))
                .collect();
            say(format_args!(
                "{:<26} {:>2}{columns}",
                memory.class.name(),
                memory.concurrency
            ));
            let peak_kib = memory.gate_kib.iter().copied().max();
            self.memory_kib = self.memory_kib.max(peak_kib);
        }
    }

    /// The targets that must be met, and whether they are.
    pub(crate) fn end(&self, sync: Duration) {
        say(format_args!(
            "\nS, the median of 4 KiB appended with fdatasync: {:.3} ms; the run took {:.0} s\n",
            ms(sync),
            self.began.elapsed().as_secs_f64()
        ));
        let target = |name: &str, found: String, wanted: String, is_met: bool| {
            say(format_args!(
                "{:<4} {name:<38} {found:>22}   target {wanted}",
                verdict(is_met)
            ));
        };
        if let Some((first_answer, wrapping)) = self.launched {
            target(
                "launch to first answer",
                format!("{:.1} ms", ms(first_answer)),
                format!("{:.0} ms", ms(LAUNCH_MAX)),
                first_answer <= LAUNCH_MAX,
            );
            let most = WRAP_MAX + 2 * sync;
            target(
                "wrapping `true`, less `true`",
                format!("{:.1} ms", ms(wrapping)),
                format!("20 ms + 2 S = {:.1} ms", ms(most)),
                wrapping <= most,
            );
        }
        if let Some(peak_kib) = self.memory_kib {
            target(
                "memory, 64 calls of any class",
                format!("{:.1} MiB", mib(peak_kib)),
                format!("{} MiB", MEMORY_MAX_KIB >> 10),
                peak_kib <= MEMORY_MAX_KIB,
            );
        }
        target(
            "quick calls that took 40 ms or more",
            format!("{} of {}", self.stalled, self.quick_calls),
            format!("{STALLED_PERCENT_MAX} in a hundred"),
            self.stalled * 100 <= self.quick_calls * STALLED_PERCENT_MAX,
        );
        let (accepted, calls) = self.connections;
        target(
            "connections to Datadog, warm and re-used",
            format!("{accepted} for {calls} calls"),
            "64".into(),
            accepted <= 64,
        );
    }
}

/// The median over the rounds of what a median call takes by `way`, as a ratio to a direct one.
fn ratio(rounds: &[Vec<Sample>], way: Way) -> f64 {
    let p50 = |round: &[Sample], way: Way| {
        let times = round.get(way as usize).map(|sample| &sample.times[..]);
        ms(percentile(times.unwrap_or_default(), 50))
    };
    let of = |round: &Vec<Sample>| p50(round, way) / p50(round, Way::Direct);
    median(rounds.iter().map(of).collect())
}

/// Processor time of a call by `way`, in milliseconds.
fn cpu(rounds: &[Vec<Sample>], way: Way) -> f64 {
    let samples = rounds.iter().filter_map(|round| round.get(way as usize));
    let (cpu, calls) = samples.fold((Duration::ZERO, 0), |(cpu, calls), sample| {
        (cpu + sample.cpu, calls + sample.calls)
    });
    ms(cpu) / calls as f64
}

/// The goal as a ratio: shown and not judged, since it moves with the machine's disk and load.
fn goal(cell: &Cell, way: Way, direct_ms: f64) -> f64 {
    let Target { base, connect } = cell.target;
    if cell.class == Class::Events {
        return (direct_ms + EVENT_DELAY_MS_MAX) / direct_ms;
    }
    if way == Way::Base { base } else { connect }
}

/// What may be added to an event's way.
const EVENT_DELAY_MS_MAX: f64 = 2.0;
