//! Our standard output, shared by what a wrapped child says and what is answered in its place.
//!
//! Invariant: an answer stands on a line of its own, and comes out, whatever the child does: between
//! two lines of the child's where there is such a place; else behind the end of its output, or behind a
//! line that it leaves unfinished for too long and that is ended for it. Without an answer the child's
//! bytes pass unchanged. It does not look at what is written.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::{MCP_LINE_SILENCE, MCP_LINE_WAIT, MCP_MESSAGE_BYTES_MAX};

/// Where both write. Cheap to clone.
pub(super) struct Output<W>(Arc<Mutex<Said<W>>>);

struct Said<W> {
    to: W,
    /// Whether the child has begun a line.
    is_mid_line: bool,
    /// When it last wrote something.
    written: Instant,
    /// Whether it writes no more.
    is_over: bool,
    /// Answers that wait for the end of its line.
    waiting: Vec<u8>,
    /// Since when the first of them does.
    since: Instant,
    /// Whether a thread sees to it that they do not wait for ever.
    is_watched: bool,
}

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W> Output<W> {
    pub(super) fn new(to: W) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Said {
            to,
            is_mid_line: false,
            written: now,
            is_over: false,
            waiting: Vec::new(),
            since: now,
            is_watched: false,
        })))
    }

    fn said(&self) -> MutexGuard<'_, Said<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write + Send + 'static> Output<W> {
    /// Writes a line of ours, as soon as the child is between two of its own.
    pub(super) fn answer(&self, line: &str) -> io::Result<()> {
        let mut said = self.said();
        // Nor do answers pile up behind a line without an end.
        if said.waiting.len() + line.len() >= MCP_MESSAGE_BYTES_MAX {
            said.release()?;
        }
        if said.waiting.is_empty() {
            said.since = Instant::now();
        }
        said.waiting.extend_from_slice(line.as_bytes());
        said.waiting.push(b'\n');
        if !said.is_mid_line || said.is_over {
            return said.release();
        }
        if said.is_watched {
            return Ok(());
        }
        let watched = self.clone();
        let builder = thread::Builder::new().name("ddgate-answers".to_owned());
        match builder.spawn(move || watched.watch()) {
            Ok(_) => said.is_watched = true,
            // Nobody would see to it.
            Err(_) => said.release()?,
        }
        Ok(())
    }

    /// Ends the child's line when answers have waited for that too long.
    fn watch(&self) {
        loop {
            let mut said = self.said();
            let left = match said.waiting.is_empty() {
                true => Duration::ZERO,
                false => said.patience(),
            };
            if left.is_zero() {
                said.is_watched = false;
                // Whoever reads our output may be gone: then nobody waits for answers.
                drop(said.release());
                return;
            }
            drop(said);
            thread::sleep(left);
        }
    }
}

impl<W: Write> Output<W> {
    /// The child writes no more: what waits for the end of its line waits no longer.
    pub(super) fn end(&self) -> io::Result<()> {
        let mut said = self.said();
        said.is_over = true;
        said.release()
    }
}

impl<W: Write> Said<W> {
    /// How much longer answers wait for the end of the child's line.
    fn patience(&self) -> Duration {
        let silent = MCP_LINE_SILENCE.saturating_sub(self.since.max(self.written).elapsed());
        silent.min(MCP_LINE_WAIT.saturating_sub(self.since.elapsed()))
    }

    /// Writes what waits, on lines of its own.
    fn release(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        if std::mem::take(&mut self.is_mid_line) {
            self.to.write_all(b"\n")?;
        }
        self.to.write_all(&waiting)?;
        self.to.flush()
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut said = self.said();
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = match end {
            Some(at) if !said.waiting.is_empty() => &bytes[..=at],
            _ => bytes,
        };
        let n = said.to.write(part)?;
        said.written = Instant::now();
        if let Some(last) = part[..n].last() {
            said.is_mid_line = *last != b'\n';
        }
        if !said.is_mid_line {
            said.release()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.said().to.flush()
    }
}

#[cfg(test)]
pub(super) use tests::Sink;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(in super::super) struct Sink(pub(in super::super) Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(in super::super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

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
        fn an_answer_never_stands_inside_a_line(
            said in proptest::collection::vec("[x\n]{1,6}", 1..8),
            when in proptest::collection::vec(any::<bool>(), 8),
        ) {
            let sink = Sink::default();
            let mut output = Output::new(sink.clone());
            let mut answers = 0;
            for (part, answers_now) in said.iter().zip(when) {
                output.write_all(part.as_bytes()).unwrap();
                if answers_now {
                    output.answer("ours").unwrap();
                    answers += 1;
                }
            }
            output.write_all(b"\n").unwrap();
            let text = sink.text();
            let ours = text.lines().filter(|line| *line == "ours").count();
            prop_assert_eq!(ours, answers);
            let theirs: String = text.replace("ours\n", "");
            prop_assert_eq!(theirs, said.concat() + "\n");
        }
    }

    #[test]
    fn what_waits_when_the_child_has_said_everything_comes_out() {
        let sink = Sink::default();
        let mut output = Output::new(sink.clone());
        output.write_all(b"theirs").unwrap();
        output.answer("ours").unwrap();
        assert_eq!(sink.text(), "theirs");
        output.end().unwrap();
        assert_eq!(sink.text(), "theirs\nours\n");
        output.answer("more").unwrap();
        assert_eq!(sink.text(), "theirs\nours\nmore\n");

        // Nothing is added to what a child said, unless something has to stand behind it.
        let sink = Sink::default();
        let mut output = Output::new(sink.clone());
        output.write_all(b"theirs").unwrap();
        output.end().unwrap();
        assert_eq!(sink.text(), "theirs");
        output.answer("late").unwrap();
        assert_eq!(sink.text(), "theirs\nlate\n");
    }

    #[test]
    fn a_line_without_an_end_holds_an_answer_for_a_while_only() {
        let sink = Sink::default();
        let mut output = Output::new(sink.clone());
        output.write_all(b"your name? ").unwrap();
        output.answer("ours").unwrap();
        let begun = Instant::now();
        while sink.text() != "your name? \nours\n" {
            assert!(begun.elapsed() < MCP_LINE_WAIT, "{:?}", sink.text());
            assert!(["your name? ", "your name? \n"].contains(&sink.text().as_str()));
            thread::sleep(Duration::from_millis(20));
        }
        assert!(begun.elapsed() >= MCP_LINE_SILENCE / 2);
        // What the child says next begins a line.
        output.write_all(b"more\n").unwrap();
        assert_eq!(sink.text(), "your name? \nours\nmore\n");
    }

    #[test]
    fn a_line_that_goes_on_is_waited_for_up_to_a_limit() {
        let mut said = Said {
            to: Sink::default(),
            is_mid_line: true,
            written: Instant::now(),
            is_over: false,
            waiting: b"ours\n".to_vec(),
            since: Instant::now().checked_sub(MCP_LINE_SILENCE * 2).unwrap(),
            is_watched: true,
        };
        assert!(!said.patience().is_zero());
        said.since = Instant::now().checked_sub(MCP_LINE_WAIT).unwrap();
        assert!(said.patience().is_zero());
    }
}
