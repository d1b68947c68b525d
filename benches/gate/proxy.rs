//! A proxy that is measured, with a child that makes calls through it when told to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Duration;

use super::class::Cell;
use super::gate::{World, myself};
use super::{Failure, child};

/// The kernel counts processor time in these.
const TICK: Duration = Duration::from_millis(10);

/// The gate or the least proxy. The gate's child is the gate's: nobody else is answered.
pub(crate) struct Proxy {
    process: Child,
    /// The child that calls, where the proxy did not start it.
    caller: Option<Child>,
    /// The input of the child that calls: its end is the child's.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Proxy {
    pub(crate) fn gate(world: &World) -> Result<Self, Failure> {
        let mut process = world.run(&[&myself()?, child::WORD, child::WORK]).spawn()?;
        Self {
            stdin: process.stdin.take(),
            stdout: said_by(&mut process)?,
            caller: None,
            process,
        }
        .ready()
    }

    pub(crate) fn least(world: &World) -> Result<Self, Failure> {
        let mut process = world.least()?.spawn()?;
        let address = line(&mut said_by(&mut process)?)?;
        let mut caller = world.caller(&address)?.spawn()?;
        Self {
            stdin: caller.stdin.take(),
            stdout: said_by(&mut caller)?,
            caller: Some(caller),
            process,
        }
        .ready()
    }

    fn ready(mut self) -> Result<Self, Failure> {
        match line(&mut self.stdout)?.as_str() {
            child::DONE => Ok(self),
            other => Err(format!("the child that calls did not start: {other}").into()),
        }
    }

    /// Has the child make so many calls by `way`; what [`super::load::run`] gives.
    pub(crate) fn load(
        &mut self,
        way: &str,
        cell: &Cell,
        calls: usize,
    ) -> Result<Vec<Duration>, Failure> {
        let (class, concurrency) = (cell.class.name(), cell.concurrency);
        let stdin = self.stdin.as_mut().ok_or("the child is gone")?;
        writeln!(stdin, "{way}\t{class}\t{concurrency}\t{calls}")?;
        let said = line(&mut self.stdout)?;
        let times: Result<Vec<u64>, _> = said.split(' ').map(str::parse).collect();
        let times = times.map_err(|_| format!("{class}, {way}: {said}"))?;
        Ok(times.into_iter().map(Duration::from_nanos).collect())
    }

    /// Most memory it has had resident so far (`proc_pid_status(5)`).
    pub(crate) fn peak_kib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.ok_or("no VmHWM")?.parse()?)
    }

    /// Processor time so far (`proc_pid_stat(5)`, fields 14 and 15).
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The command's name may hold anything, parentheses included.
        let (_, fields) = stat.rsplit_once(") ").ok_or("no stat")?;
        let ticks: Result<Vec<u32>, _> =
            fields.split(' ').skip(11).take(2).map(str::parse).collect();
        Ok(TICK * ticks?.into_iter().sum::<u32>())
    }

    /// Lets the child end, and the proxy with it.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let ended = self.end()?;
        if ended.success() {
            return Ok(());
        }
        Err(format!("a proxy ended with {ended}").into())
    }

    /// Without its input the child ends. So does the gate with its child, and the least proxy
    /// without its own input.
    fn end(&mut self) -> std::io::Result<std::process::ExitStatus> {
        drop(self.stdin.take());
        if let Some(caller) = &mut self.caller {
            caller.wait()?;
        }
        // Closes what is left of its input.
        self.process.wait()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn said_by(process: &mut Child) -> Result<BufReader<ChildStdout>, Failure> {
    let stdout = process.stdout.take().ok_or("no standard output")?;
    Ok(BufReader::new(stdout))
}

fn line(stdout: &mut BufReader<ChildStdout>) -> Result<String, Failure> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
