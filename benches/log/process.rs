//! Other processes: how much memory they had, and when they said their first line.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Failure;

/// Peaks only grow, so that looking this often misses little.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The kernel counts processor time in these.
const TICK: Duration = Duration::from_millis(10);

/// What a process did.
pub(crate) struct Ran {
    pub(crate) first_line: Duration,
    pub(crate) whole: Duration,
    pub(crate) peak_kib: u64,
}

/// The real binary, with data in `home` and an environment that holds nothing of this machine's.
pub(crate) fn ddgate(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddgate"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("DDGATE_DATA_DIR", home)
        .current_dir(home);
    command
}

/// This binary, in another role.
pub(crate) fn myself(words: &[&str]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words);
    Ok(command)
}

/// Runs it to its end, reading all it says.
pub(crate) fn run(mut command: Command) -> Result<Ran, Failure> {
    let began = Instant::now();
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let watch = Watch::start(process.id());
    let stderr = process.stderr.take().ok_or("no standard error")?;
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        let _ = BufReader::new(stderr).read_to_string(&mut said);
        said
    });
    let mut stdout = BufReader::with_capacity(1 << 20, process.stdout.take().ok_or("no output")?);
    let mut line = Vec::new();
    stdout.read_until(b'\n', &mut line)?;
    let first_line = began.elapsed();
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let ended = process.wait()?;
    let ran = Ran {
        first_line,
        whole: began.elapsed(),
        peak_kib: watch.stop(),
    };
    if ended.success() {
        return Ok(ran);
    }
    Err(format!(
        "{command:?} ended with {ended}: {}",
        said.join().unwrap_or_default()
    )
    .into())
}

/// Looks at the peak memory of a process until told to stop.
pub(crate) struct Watch {
    peak_kib: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(process: u32) -> Self {
        let (peak_kib, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (theirs, told) = (Arc::clone(&peak_kib), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                theirs.fetch_max(peak_kib_of(process).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self {
            peak_kib,
            stop,
            thread,
        }
    }

    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.peak_kib.load(Ordering::Relaxed)
    }
}

/// Processor time of this process so far (`proc_pid_stat(5)`, fields 14 and 15).
pub(crate) fn own_cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The command's name may hold anything, parentheses included.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no stat")?;
    let ticks: Result<Vec<u32>, _> = fields.split(' ').skip(11).take(2).map(str::parse).collect();
    Ok(TICK * ticks?.into_iter().sum::<u32>())
}

/// Most memory it has had resident so far (`proc_pid_status(5)`); none once it has ended.
fn peak_kib_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
