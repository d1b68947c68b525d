//! What wrapping a command costs: from `ddgate run` to the first answered call, and around `true`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Failure;
use super::child;
use super::gate::{World, myself};

/// Times of each kind of start.
#[derive(Default)]
pub(crate) struct Launches {
    /// `ddgate run` to the child's word that its first call was answered.
    pub(crate) first_answer: Vec<Duration>,
    /// The same child, calling nobody, without a gate.
    pub(crate) bare_child: Vec<Duration>,
    /// `ddgate run -- true`, to its end.
    pub(crate) wrapped: Vec<Duration>,
    /// `true`, to its end.
    pub(crate) bare: Vec<Duration>,
}

pub(crate) fn measure(world: &World, launches: usize) -> Result<Launches, Failure> {
    let mut found = Launches::default();
    let me = myself()?;
    for launch in 0..=launches {
        let call = until_done(&mut world.run(&[&me, child::WORD, child::CALL]))?;
        let nothing = until_done(Command::new(&me).args([child::WORD, child::NOTHING]))?;
        let wrapped = until_ended(&mut world.run(&["true"]))?;
        let bare = until_ended(&mut Command::new("true"))?;
        // The first finds nothing in the page cache.
        if launch > 0 {
            found.first_answer.push(call);
            found.bare_child.push(nothing);
            found.wrapped.push(wrapped);
            found.bare.push(bare);
        }
    }
    Ok(found)
}

fn until_done(command: &mut Command) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let stdout = process.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let took = began.elapsed();
    let ended = process.wait()?;
    if !ended.success() || line.trim_end() != child::DONE {
        return Err(format!("a launch ended with {ended}").into());
    }
    Ok(took)
}

fn until_ended(command: &mut Command) -> Result<Duration, Failure> {
    let began = Instant::now();
    let ended = command.stdout(Stdio::null()).status()?;
    let took = began.elapsed();
    if ended.success() {
        return Ok(took);
    }
    Err(format!("a launch ended with {ended}").into())
}
