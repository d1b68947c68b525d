//! Standard input and output of a child, passed through line by line.
//!
//! Invariant: bytes pass in their order, unchanged, and whoever looks at a line has seen all of it
//! before its end is passed on. Nothing is held but, towards the child, the last byte of a line
//! under way, and a copy of the line up to a bound. It knows nothing of what the lines say.

use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::limits::{BODY_PIECE_BYTES_MAX, MCP_MESSAGE_BYTES_MAX};

/// Looks at a line without its end, before that is passed on; none for one that is too long. An
/// error ends the passage: nothing of the line's end, nor what follows, is passed on.
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
    to_child: Look,
    from_child: Look,
) -> io::Result<Passage> {
    let (done, output) = oneshot::channel();
    let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let builder = thread::Builder::new().name(name.to_owned());
        builder.spawn(work).map(drop)
    };
    // Ends with our standard input; it may wait there when everything else is over.
    let inward = move || drop(move_lines(io::stdin(), stdin, Hold::LastByte, to_child));
    start("ddgate-stdin", Box::new(inward))?;
    let outward = move || {
        // Whoever reads our output may be gone: then the child hears of it by its own pipe.
        drop(move_lines(stdout, io::stdout(), Hold::Nothing, from_child));
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

/// What of a line under way waits for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Some end a message without the end of its line, when they have nothing more to say: so the
    /// last byte waits, and with it what could be acted upon.
    LastByte,
    /// Only the end itself.
    Nothing,
}

/// Passes bytes until the end of `from`.
fn move_lines(
    mut from: impl Read,
    mut to: impl Write,
    hold: Hold,
    mut look: Look,
) -> io::Result<()> {
    let mut piece = vec![0; BODY_PIECE_BYTES_MAX];
    let mut line = Line::default();
    loop {
        let n = match from.read(&mut piece) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let Some(mut rest) = piece.get(..n).filter(|rest| !rest.is_empty()) else {
            break;
        };
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let (part, later) = rest.split_at(at);
            line.extend(part);
            look(line.text())?;
            to.write_all(&line.unpassed(part))?;
            to.write_all(b"\n")?;
            line = Line::default();
            rest = later.get(1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            line.extend(rest);
            let (last, now) = match rest.split_last() {
                Some((last, before)) if hold == Hold::LastByte => (Some(*last), before),
                _ => (None, rest),
            };
            to.write_all(&line.unpassed(now))?;
            line.last = last;
        }
        to.flush()?;
    }
    if line.is_begun() {
        look(line.text())?;
        to.write_all(&line.unpassed(&[]))?;
    }
    to.flush()
}

/// A line under way.
#[derive(Default)]
struct Line {
    /// A copy of it, as long as it is not too long.
    copy: Vec<u8>,
    is_too_long: bool,
    /// The byte that was not passed on.
    last: Option<u8>,
}

impl Line {
    fn extend(&mut self, part: &[u8]) {
        if self.is_too_long || self.copy.len() + part.len() > MCP_MESSAGE_BYTES_MAX {
            self.is_too_long = true;
            self.copy = Vec::new();
        } else {
            self.copy.extend_from_slice(part);
        }
    }

    fn is_begun(&self) -> bool {
        self.is_too_long || !self.copy.is_empty()
    }

    fn text(&self) -> Option<&[u8]> {
        (!self.is_too_long).then_some(&self.copy)
    }

    /// The byte that waits, and what follows it.
    fn unpassed(&mut self, part: &[u8]) -> Vec<u8> {
        self.last
            .take()
            .into_iter()
            .chain(part.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};

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

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn all_passes_and_no_line_before_it_was_looked_at(
            input in "[a-c\n]{0,60}",
            cuts in proptest::collection::vec(1_usize..9, 1..5),
            hold in prop_oneof![Just(Hold::LastByte), Just(Hold::Nothing)],
        ) {
            let sink = Sink::default();
            let (passed, seen) = (sink.clone(), Arc::new(Mutex::new(Vec::new())));
            let lines = Arc::clone(&seen);
            let look: Look = Box::new(move |line| {
                let mut lines = lines.lock().unwrap();
                lines.extend_from_slice(line.unwrap());
                // Not even the last byte of a line is there before it was looked at.
                let there = passed.0.lock().unwrap().len();
                let may_be_there = match hold {
                    Hold::LastByte if line != Some(b"") => lines.len() - 1,
                    Hold::LastByte | Hold::Nothing => lines.len(),
                };
                assert!(there <= may_be_there, "{there}");
                lines.push(b'\n');
                Ok(())
            });
            move_lines(Pieces(input.clone().into(), cuts), sink.clone(), hold, look).unwrap();
            prop_assert_eq!(&*sink.0.lock().unwrap(), input.as_bytes());
            let mut expected = input.clone();
            if !input.is_empty() && !input.ends_with('\n') {
                expected.push('\n');
            }
            prop_assert_eq!(&*seen.lock().unwrap(), expected.as_bytes());
        }
    }

    #[test]
    fn a_line_that_may_not_pass_does_not_end() {
        let hold = Hold::LastByte;
        let sink = Sink::default();
        let look: Look = Box::new(|line| match line {
            Some(b"no") => Err(io::Error::other("no")),
            _ => Ok(()),
        });
        let input = b"yes\nno\nlater\n".to_vec();
        assert!(move_lines(Pieces(input, vec![2]), sink.clone(), hold, look).is_err());
        assert_eq!(&*sink.0.lock().unwrap(), b"yes\nn");
    }

    #[test]
    fn a_line_that_is_too_long_passes_and_is_told() {
        let hold = Hold::LastByte;
        let sink = Sink::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&seen);
        let look: Look = Box::new(move |line| {
            lines.lock().unwrap().push(line.map(<[u8]>::len));
            Ok(())
        });
        let long = MCP_MESSAGE_BYTES_MAX + 7;
        let input = ["x".repeat(long), "after".into(), String::new()].join("\n");
        move_lines(
            Pieces(input.clone().into(), vec![1 << 20]),
            sink.clone(),
            hold,
            look,
        )
        .unwrap();
        assert_eq!(&*sink.0.lock().unwrap(), input.as_bytes());
        assert_eq!(*seen.lock().unwrap(), [None, Some(5)]);
    }
}
