//! Standard input and output of a child, passed through line by line.
//!
//! Invariant: bytes pass in their order, unchanged, and whoever looks at a line has seen all of it
//! before its end is passed on. Towards the child nothing of a line passes before it was looked at: it
//! may be answered in the child's place, and then the child never sees it. What is answered so stands
//! on a line of its own among the child's (`output`). A line is held up to a bound; it ends at `\n`,
//! and who looks at it knows what else ends one. It knows nothing of what the lines say.

use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::output::Output;
use crate::limits::{BODY_PIECE_BYTES_MAX, MCP_MESSAGE_BYTES_MAX};

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onward {
    /// It passes.
    Passes,
    /// It does not; whoever said it is answered with this line, if there is something to answer.
    Stays(Option<String>),
}

/// Decides about a line towards the child, without its end, before any of it is passed on; none for one
/// that is too long. An error ends the passage: nothing of the line, nor what follows, is passed on.
pub type Judge = Box<dyn FnMut(Option<&[u8]>) -> io::Result<Onward> + Send>;

/// Looks at a line of the child's, without its end, before that is passed on; none for one that is too
/// long. An error ends the passage.
pub type Look = Box<dyn FnMut(Option<&[u8]>) -> io::Result<()> + Send>;

/// Both directions under way.
#[derive(Debug)]
pub struct Passage {
    output: oneshot::Receiver<()>,
}

/// Begins to pass our standard input to `stdin`, and `stdout` to our standard output.
///
/// # Errors
/// The system has no thread to spare.
pub fn pass(
    stdin: ChildStdin,
    stdout: ChildStdout,
    to_child: Judge,
    from_child: Look,
) -> io::Result<Passage> {
    let (done, output) = oneshot::channel();
    let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let builder = thread::Builder::new().name(name.to_owned());
        builder.spawn(work).map(drop)
    };
    let ours = Output::new(io::stdout());
    let answers = ours.clone();
    // Ends with our standard input; it may wait there when everything else is over.
    let inward = move || drop(judge_lines(io::stdin(), stdin, to_child, &answers));
    start("ddgate-stdin", Box::new(inward))?;
    let outward = move || {
        // Whoever reads our output may be gone: then the child hears of it by its own pipe.
        drop(move_lines(stdout, ours.clone(), from_child));
        drop(ours.end());
        let _ = done.send(());
    };
    start("ddgate-stdout", Box::new(outward))?;
    Ok(Passage { output })
}

impl Passage {
    /// Waits until everything the child wrote is passed on; for `patience` at most, because a
    /// process it left behind may hold the pipe.
    pub async fn drained(self, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.output).await;
    }
}

/// The first line of our standard input; none when it ends before, or takes longer. Nothing else
/// may read it afterwards.
#[must_use]
pub fn first_line(patience: Duration) -> Option<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    let read = move || {
        let mut line = Vec::new();
        let mut byte = [0];
        let mut input = io::stdin().lock();
        while line.len() < BODY_PIECE_BYTES_MAX
            && matches!(input.read(&mut byte), Ok(1))
            && byte != *b"\n"
        {
            line.extend_from_slice(&byte);
        }
        drop(tell.send(line));
    };
    let started = thread::Builder::new().name("ddgate-stdin".to_owned());
    started.spawn(read).ok()?;
    told.recv_timeout(patience)
        .ok()
        .filter(|line| !line.is_empty())
}

/// Reads the next piece; none at the end.
fn next<'p>(from: &mut impl Read, piece: &'p mut [u8]) -> io::Result<Option<&'p [u8]>> {
    let n = loop {
        match from.read(piece) {
            Ok(n) => break n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    };
    Ok(piece.get(..n).filter(|rest| !rest.is_empty()))
}

/// Passes what the child says, until the end of `from`.
fn move_lines(mut from: impl Read, mut to: impl Write, mut look: Look) -> io::Result<()> {
    let mut piece = vec![0; BODY_PIECE_BYTES_MAX];
    let mut line = Line::default();
    while let Some(said) = next(&mut from, &mut piece)? {
        for part in said.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = without_end(part);
            line.extend(text);
            if is_whole {
                look(line.text())?;
                line = Line::default();
            }
            to.write_all(part)?;
        }
        to.flush()?;
    }
    if line.is_begun() {
        look(line.text())?;
    }
    Ok(())
}

/// Passes what the child is told, as far as it may be, until the end of `from`.
fn judge_lines<W: Write + Send + 'static>(
    mut from: impl Read,
    mut to: impl Write,
    mut judge: Judge,
    answers: &Output<W>,
) -> io::Result<()> {
    let mut piece = vec![0; BODY_PIECE_BYTES_MAX];
    let mut line = Line::default();
    // Of a line that is too long: whether it passes.
    let mut passes = None;
    let mut decide = |text: Option<&[u8]>| match judge(text)? {
        Onward::Passes => Ok(true),
        Onward::Stays(answer) => {
            answer.map_or(Ok(()), |answer| answers.answer(&answer))?;
            io::Result::Ok(false)
        }
    };
    while let Some(said) = next(&mut from, &mut piece)? {
        for part in said.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = without_end(part);
            let held = line.extend(text);
            match (passes, held) {
                (Some(true), _) => to.write_all(part)?,
                (Some(false), _) => {}
                (None, Some(held)) => {
                    let may = decide(None)?;
                    if may {
                        to.write_all(&held)?;
                        to.write_all(part)?;
                    }
                    passes = Some(may);
                }
                (None, None) if is_whole => {
                    if decide(line.text())? {
                        line.copy.push(b'\n');
                        to.write_all(&line.copy)?;
                    }
                }
                (None, None) => {}
            }
            if is_whole {
                (line, passes) = (Line::default(), None);
            }
        }
        to.flush()?;
    }
    // Some end a message without the end of its line, when they have nothing more to say.
    if passes.is_none() && line.is_begun() && decide(line.text())? {
        to.write_all(&line.copy)?;
    }
    to.flush()
}

/// A part without the end of its line, and whether it has one.
fn without_end(part: &[u8]) -> (&[u8], bool) {
    match part.split_last() {
        Some((b'\n', text)) => (text, true),
        _ => (part, false),
    }
}

/// A line under way.
#[derive(Default)]
struct Line {
    /// A copy of it, as long as it is not too long.
    copy: Vec<u8>,
    is_too_long: bool,
}

impl Line {
    /// Adds a part; gives back what was held when it becomes too long.
    fn extend(&mut self, part: &[u8]) -> Option<Vec<u8>> {
        if self.is_too_long {
            return None;
        }
        if self.copy.len() + part.len() > MCP_MESSAGE_BYTES_MAX {
            self.is_too_long = true;
            return Some(std::mem::take(&mut self.copy));
        }
        self.copy.extend_from_slice(part);
        None
    }

    fn is_begun(&self) -> bool {
        self.is_too_long || !self.copy.is_empty()
    }

    fn text(&self) -> Option<&[u8]> {
        (!self.is_too_long).then_some(&self.copy)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::output::Sink;
    use super::*;
    use proptest::prelude::*;

    /// Gives what it has in pieces of these lengths.
    struct Pieces(Vec<u8>, Vec<usize>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1.rotate_left(1);
            let n = self.1[0].min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
    }

    proptest! {
        #[test]
        fn what_a_child_says_passes_and_no_line_before_it_was_looked_at(
            input in "[a-c\n]{0,60}",
            cuts in proptest::collection::vec(1_usize..9, 1..5),
        ) {
            let sink = Sink::default();
            let (passed, seen) = (sink.clone(), Arc::new(Mutex::new(Vec::new())));
            let lines = Arc::clone(&seen);
            let look: Look = Box::new(move |line| {
                let mut lines = lines.lock().unwrap();
                lines.extend_from_slice(line.unwrap());
                // The end of the line is not there yet.
                assert!(passed.text().len() <= lines.len());
                lines.push(b'\n');
                Ok(())
            });
            move_lines(Pieces(input.clone().into(), cuts), sink.clone(), look).unwrap();
            prop_assert_eq!(&sink.text(), &input);
            let seen = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
            prop_assert_eq!(seen, whole(&input));
        }

        #[test]
        fn a_child_is_told_what_may_pass_and_not_a_byte_of_the_rest(
            input in "[a-c\n]{0,60}",
            cuts in proptest::collection::vec(1_usize..9, 1..5),
        ) {
            let (sink, answers) = (Sink::default(), Sink::default());
            let (passed, seen) = (sink.clone(), Arc::new(Mutex::new(String::new())));
            let lines = Arc::clone(&seen);
            let judge: Judge = Box::new(move |line| {
                let line = std::str::from_utf8(line.unwrap()).unwrap();
                let mut lines = lines.lock().unwrap();
                // Nothing of it is there before it was judged.
                assert_eq!(passed.text(), allowed(&lines));
                lines.push_str(line);
                lines.push('\n');
                Ok(match line.contains('b') {
                    true => Onward::Stays(line.contains('c').then(|| format!("no {line}"))),
                    false => Onward::Passes,
                })
            });
            let output = Output::new(answers.clone());
            judge_lines(Pieces(input.clone().into(), cuts), sink.clone(), judge, &output).unwrap();
            prop_assert_eq!(sink.text(), allowed(&input));
            let both = |line: &&str| line.contains('b') && line.contains('c');
            let expected: Vec<String> =
                input.lines().filter(both).map(|line| format!("no {line}\n")).collect();
            prop_assert_eq!(answers.text(), expected.concat());
        }
    }

    /// The lines without a `b`.
    fn allowed(lines: &str) -> String {
        let lines = lines.split_inclusive('\n');
        lines.filter(|line| !line.contains('b')).collect()
    }

    /// With the end of its last line, if that has begun.
    fn whole(input: &str) -> String {
        match input.is_empty() || input.ends_with('\n') {
            true => input.to_owned(),
            false => format!("{input}\n"),
        }
    }

    #[test]
    fn nothing_of_a_line_that_cannot_be_recorded_passes_nor_what_follows() {
        let sink = Sink::default();
        let judge: Judge = Box::new(|line| match line {
            Some(b"no") => Err(io::Error::other("no")),
            _ => Ok(Onward::Passes),
        });
        let input = b"yes\nno\nlater\n".to_vec();
        let output = Output::new(Sink::default());
        assert!(judge_lines(Pieces(input, vec![2]), sink.clone(), judge, &output).is_err());
        assert_eq!(sink.text(), "yes\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_told_before_it_passes() {
        let long = MCP_MESSAGE_BYTES_MAX + 7;
        let input = ["x".repeat(long), "after".into(), String::new()].join("\n");
        for (passes, told) in [(true, input.as_str()), (false, "after\n")] {
            let sink = Sink::default();
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (lines, passed) = (Arc::clone(&seen), sink.clone());
            let judge: Judge = Box::new(move |line| {
                assert_eq!(
                    line.is_none(),
                    passed.text().is_empty() && lines.lock().unwrap().is_empty()
                );
                lines.lock().unwrap().push(line.map(<[u8]>::len));
                Ok(match line.is_some() || passes {
                    true => Onward::Passes,
                    false => Onward::Stays(None),
                })
            });
            let output = Output::new(Sink::default());
            let pieces = Pieces(input.clone().into(), vec![1 << 20]);
            judge_lines(pieces, sink.clone(), judge, &output).unwrap();
            assert_eq!(sink.text(), told);
            assert_eq!(*seen.lock().unwrap(), [None, Some(5)]);
        }
        // What a child says passes, whatever its length.
        let sink = Sink::default();
        let look: Look = Box::new(|_| Ok(()));
        let pieces = Pieces(input.clone().into(), vec![1 << 20]);
        move_lines(pieces, sink.clone(), look).unwrap();
        assert_eq!(sink.text(), input);
    }
}
