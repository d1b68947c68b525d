//! The table: what was measured, the target beside it, and how it fares.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use super::append::Pair;
use super::bytes::Bytes;
use super::long::Long;
use super::process::Ran;

/// Targets.
const ALONE_RATIO_MAX: f64 = 2.0;
const MANY_RATE_RATIO_MIN: f64 = 0.5;
const LEAVES_PER_SECOND_MIN: f64 = 200_000.0;
const BYTES_SHARE_MAX: f64 = 0.2;
const BODY_PEAK_KIB_MAX: u64 = 64 << 10;
const LONG_PEAK_KIB_MAX: u64 = 256 << 10;
const FIRST_LINE_MAX: Duration = Duration::from_millis(300);

/// Prints as it goes.
pub(crate) struct Report {
    began: Instant,
    missed: usize,
}

pub(crate) fn complain(why: &dyn Display) {
    // If even this cannot be said, the exit code says it.
    let _ = writeln!(std::io::stderr(), "the bench cannot go on: {why}");
}

fn say(line: impl Display) {
    // A reader that went away has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(at)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

impl Report {
    pub(crate) fn begin(is_quick: bool, calls: usize) -> Self {
        say(format_args!(
            "ddgate log bench{}: a long session has {calls} calls here",
            if is_quick { ", quick" } else { "" }
        ));
        say(format_args!("\n{:<52} {:>18}   target", "", "found"));
        Self {
            began: Instant::now(),
            missed: 0,
        }
    }

    fn line(&mut self, name: &str, found: &str, judged: Option<(&str, bool)>) {
        let (target, verdict) = match judged {
            Some((target, true)) => (target, "ok"),
            Some((target, false)) => (target, "miss"),
            None => ("", ""),
        };
        self.missed += usize::from(verdict == "miss");
        say(
            format_args!("{name:<52} {found:>18}   {target:<16} {verdict}")
                .to_string()
                .trim_end(),
        );
    }

    /// `rounds` of pairs, one pair for each cell.
    pub(crate) fn appends(&mut self, bytes: usize, cells: &[(usize, usize)], rounds: &[Vec<Pair>]) {
        for (at, (concurrency, _)) in cells.iter().enumerate() {
            let pairs = || rounds.iter().map(|round| &round[at]);
            let of = |percent| {
                median(pairs().map(|it| {
                    percentile(&it.journal.times, percent) / percentile(&it.plain.times, percent)
                }))
            };
            let name = format!("durable record of {bytes} B, {concurrency} at once");
            let p50 = of(50);
            let judged = (*concurrency == 1).then_some(("<= 2.0", p50 <= ALONE_RATIO_MAX));
            self.line(
                &format!("{name}, p50"),
                &format!("{p50:.2} x plain"),
                judged,
            );
            self.line(
                &format!("{name}, p99"),
                &format!("{:.2} x plain", of(99)),
                None,
            );
            let rate = median(pairs().map(|it| it.journal.per_second() / it.plain.per_second()));
            let judged = (*concurrency == 64).then_some((">= 0.5", rate >= MANY_RATE_RATIO_MIN));
            self.line(
                &format!("{name}, records/s"),
                &format!("{rate:.2} x plain"),
                judged,
            );
            self.line(
                "  in ms p50, plain and ours; ours a second",
                &format!(
                    "{:.3} {:.3} {:.0}",
                    median(pairs().map(|it| percentile(&it.plain.times, 50))),
                    median(pairs().map(|it| percentile(&it.journal.times, 50))),
                    median(pairs().map(|it| it.journal.per_second())),
                ),
                None,
            );
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &Bytes) {
        let each = |total: u64| total as f64 / bytes.calls as f64;
        self.line(
            "bytes a call, bodies alone",
            &format!("{:.0}", each(bytes.bodies)),
            None,
        );
        self.line(
            "bytes a call, HAR without blanks",
            &format!("{:.0}", each(bytes.har)),
            None,
        );
        for (name, total) in [
            ("the record", bytes.wal),
            ("record and index", bytes.wal + bytes.index),
        ] {
            let share = total as f64 / bytes.har as f64;
            self.line(
                &format!("bytes a call, {name}: {:.0}", each(total)),
                &format!("{share:.3} of HAR"),
                Some(("<= 0.2", share <= BYTES_SHARE_MAX)),
            );
        }
    }

    pub(crate) fn bodies(&mut self, peaks: [u64; 2]) {
        for (way, peak) in ["down", "up"].into_iter().zip(peaks) {
            self.line(
                &format!("memory while 100 MiB pass {way}"),
                &mib(peak),
                Some(("< 64 MiB", peak < BODY_PEAK_KIB_MAX)),
            );
        }
    }

    pub(crate) fn long(&mut self, calls: usize, long: &Long) {
        let each = |total: u64| total as f64 / calls as f64;
        let memory = |peak| Some(("< 256 MiB", peak < LONG_PEAK_KIB_MAX));
        let Ran {
            whole, peak_kib, ..
        } = &long.recording;
        self.line(
            "long session: memory of recording it",
            &mib(*peak_kib),
            memory(*peak_kib),
        );
        let rate = calls as f64 / whole.as_secs_f64();
        self.line("  calls/s recorded, unsynced", &format!("{rate:.0}"), None);
        self.line(
            "  bytes a call, record and index",
            &format!(
                "{:.0} + {:.0}",
                each(long.wal_bytes),
                each(long.index_bytes)
            ),
            None,
        );
        self.line(
            "  first open, catching the index up",
            &milliseconds(long.caught_up),
            None,
        );
        let seconds = long.audit.as_secs_f64();
        let leaves = long.leaves as f64 / seconds;
        self.line(
            "verify, leaves/s, every content checked",
            &format!("{leaves:.0}"),
            Some((">= 200000", leaves >= LEAVES_PER_SECOND_MIN)),
        );
        let alone = long.leaves as f64 / long.audit_cpu.as_secs_f64();
        self.line(
            "  leaves a second of processor time",
            &format!("{alone:.0}"),
            None,
        );
        let contents = long.contents as f64 / seconds;
        self.line("  contents/s", &format!("{contents:.0}"), None);
        for (name, is_prompt, ran) in &long.verbs {
            let judged = is_prompt.then_some(("<= 300 ms", ran.first_line <= FIRST_LINE_MAX));
            self.line(
                &format!("{name}: first line"),
                &milliseconds(ran.first_line),
                judged,
            );
            self.line(
                &format!("{name}: memory"),
                &mib(ran.peak_kib),
                memory(ran.peak_kib),
            );
            self.line("  to its end", &milliseconds(ran.whole), None);
        }
    }

    pub(crate) fn end(&self) {
        let took = self.began.elapsed().as_secs();
        say(format_args!(
            "\n{} missed; the run took {took} s",
            self.missed
        ));
    }
}
