//! Event streams (WHATWG HTML, 9.2.6), read as they come.
//!
//! Invariant: the events are the same however the stream is cut into pieces, and no more than one
//! event of bounded size is held. What ends in the middle is no event, as the standard has it.

/// One event that was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The lines of its data, joined; none when they were too long to be held.
    pub data: Option<Vec<u8>>,
}

/// An event stream under way.
#[derive(Debug)]
pub struct EventStream {
    /// The line under way, without its end.
    line: Vec<u8>,
    /// It is longer than may be held.
    line_is_cut: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    is_first_line: bool,
    data: Vec<u8>,
    has_data: bool,
    data_is_cut: bool,
    bytes_max: usize,
}

impl EventStream {
    /// Begins a stream. Of an event that is longer than `bytes_max` only that it was there is told.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            line: Vec::new(),
            line_is_cut: false,
            after_cr: false,
            is_first_line: true,
            data: Vec::new(),
            has_data: false,
            data_is_cut: false,
            bytes_max,
        }
    }

    /// Bytes held now.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.line.len() + self.data.len()
    }

    /// Takes the next piece; gives the events that end in it.
    #[must_use]
    pub fn push(&mut self, mut piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(first) = piece.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                piece = &piece[1..];
                continue;
            }
            let end = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, rest) = piece.split_at(end.unwrap_or(piece.len()));
            self.extend(part);
            piece = rest;
            if let Some((end, rest)) = rest.split_first() {
                self.after_cr = *end == b'\r';
                events.extend(self.end_of_line());
                piece = rest;
            }
        }
        events
    }

    fn extend(&mut self, part: &[u8]) {
        if self.line_is_cut || self.line.len() + part.len() > self.bytes_max {
            // Its beginning still says whether it is data.
            self.line.truncate(16);
            self.line_is_cut = true;
        } else {
            self.line.extend_from_slice(part);
        }
        if self.line_is_cut && self.line.len() < 16 {
            let room = 16 - self.line.len();
            self.line.extend(part.iter().take(room));
        }
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let is_cut = std::mem::take(&mut self.line_is_cut);
        let mut line = line.as_slice();
        if std::mem::take(&mut self.is_first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            self.take_data(value, is_cut);
        }
        None
    }

    fn take_data(&mut self, value: &[u8], is_cut: bool) {
        if is_cut || self.data.len() + value.len() + 1 > self.bytes_max {
            self.data_is_cut = true;
            self.data = Vec::new();
        } else if !self.data_is_cut {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
        }
        self.has_data = true;
    }

    fn dispatch(&mut self) -> Option<Event> {
        let data = std::mem::take(&mut self.data);
        let is_cut = std::mem::take(&mut self.data_is_cut);
        std::mem::take(&mut self.has_data).then_some(Event {
            data: (!is_cut).then_some(data),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 1 << 10;

    fn whole(stream: &[u8]) -> Vec<String> {
        in_pieces(stream, &[stream.len()], ROOM)
    }

    /// Feeds a stream cut at the lengths of `cuts`, again and again.
    fn in_pieces(stream: &[u8], cuts: &[usize], room: usize) -> Vec<String> {
        let mut reader = EventStream::new(room);
        let (mut rest, mut events) = (stream, Vec::new());
        for length in cuts.iter().cycle() {
            let (piece, later) = rest.split_at((*length).max(1).min(rest.len()));
            events.extend(reader.push(piece));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let shown = |event: Event| match event.data {
            Some(data) => String::from_utf8_lossy(&data).into_owned(),
            None => "(too long)".into(),
        };
        events.into_iter().map(shown).collect()
    }

    /// The standard's algorithm on a stream known in whole, without bounds.
    fn as_the_standard_says(stream: &str) -> Vec<String> {
        let text = stream.strip_prefix('\u{feff}').unwrap_or(stream);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let (mut data, mut events) = (String::new(), Vec::new());
        let mut lines: Vec<&str> = text.split('\n').collect();
        // What stands behind the last end of a line is no line.
        lines.pop();
        for line in lines {
            if line.is_empty() {
                if let Some(whole) = data.strip_suffix('\n') {
                    events.push(whole.to_owned());
                }
                data.clear();
            } else if !line.starts_with(':') {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                if name == "data" {
                    data.push_str(value.strip_prefix(' ').unwrap_or(value));
                    data.push('\n');
                }
            }
        }
        events
    }

    #[test]
    fn the_standards_own_examples() {
        assert_eq!(
            whole(b"data: YHOO\ndata: +2\ndata: 10\n\n"),
            ["YHOO\n+2\n10"]
        );
        assert_eq!(
            whole(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"),
            ["first event", "second event", " third event"]
        );
        assert_eq!(whole(b"data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
        assert_eq!(whole(b"data:test\n\ndata: test\n\n"), ["test", "test"]);
    }

    #[test]
    fn every_end_of_line_and_a_mark_at_the_beginning() {
        assert_eq!(
            whole(b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata: c\n\n"),
            ["a", "b", "c"]
        );
        // The mark is one at the very beginning only.
        assert_eq!(whole(b"data: a\n\n\xef\xbb\xbfdata: b\n\n"), ["a"]);
    }

    #[test]
    fn what_is_too_long_is_told_and_not_held() {
        let long = format!("data: {}\ndata: more\n\ndata: ok\n\n", "x".repeat(100));
        let cuts = [7, 1];
        assert_eq!(in_pieces(long.as_bytes(), &cuts, 50), ["(too long)", "ok"]);
        let lines = format!("{}\n\ndata: ok\n\n", "data: 123456789\n".repeat(20));
        assert_eq!(in_pieces(lines.as_bytes(), &cuts, 50), ["(too long)", "ok"]);
        let comment = format!(":{}\n\ndata: ok\n\n", "x".repeat(100));
        assert_eq!(in_pieces(comment.as_bytes(), &cuts, 50), ["ok"]);
        let mut reader = EventStream::new(50);
        for _ in 0..1000 {
            let _ = reader.push(b"data: 12345678901234567890");
            assert!(reader.held_bytes() <= 60, "{}", reader.held_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_events(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("data"), Just(":"), Just(" "), Just("\n"), Just("\r"), Just("\r\n"),
                    Just("\n\n"), Just("id: 7"), Just("event: message"), Just("{}"),
                    Just("\u{feff}"), Just("data: x"), Just("é"), Just("retry"),
                ],
                0..60,
            ),
            cuts in proptest::collection::vec(1_usize..7, 1..6),
        ) {
            let stream = words.concat();
            let expected = as_the_standard_says(&stream);
            prop_assert_eq!(whole(stream.as_bytes()), expected.clone());
            prop_assert_eq!(in_pieces(stream.as_bytes(), &cuts, ROOM), expected);
        }

        #[test]
        fn nothing_makes_it_panic_or_hold_more(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            cuts in proptest::collection::vec(1_usize..40, 1..6),
            room in 0_usize..80,
        ) {
            let whole = in_pieces(&bytes, &[bytes.len()], room);
            prop_assert_eq!(in_pieces(&bytes, &cuts, room), whole);
        }
    }
}
