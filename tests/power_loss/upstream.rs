//! A Datadog that notes, the moment it has a request whole, how long the block log is: whatever is
//! to be durable before Datadog can act has to be in the log by then. Some answers are long.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::device::BlockLog;

pub(crate) type Sha = [u8; 32];

/// A request that arrived whole.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Length of the block log when it had.
    pub(crate) position: usize,
    /// The number at the end of its path: which thread of which agent, and its how-manieth.
    pub(crate) number: usize,
    /// `METHOD TARGET`.
    pub(crate) request: String,
    pub(crate) body: (usize, Sha),
}

pub(crate) fn digest(body: &[u8]) -> (usize, Sha) {
    (body.len(), Sha256::digest(body).into())
}

/// Which agent's thread made a call, and its place among the calls of that thread.
pub(crate) const fn thread_and_turn(number: usize) -> (usize, usize) {
    (number / 10_000, number % 10_000)
}

/// Runs as long as the process; its connections end with their peers.
pub(crate) struct Upstream {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    pub(crate) fn start(log: &BlockLog) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (log, noted) = (log.clone(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, noted) = (log.clone(), Arc::clone(&noted));
                std::thread::spawn(move || {
                    // A connection that breaks off is a request that was not seen.
                    let _ = converse(&stream, &log, &noted);
                });
            }
        });
        Self { url, seen }
    }

    /// What was seen, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn converse(stream: &TcpStream, log: &BlockLog, noted: &Mutex<Vec<Seen>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let body = body(&mut reader)?;
        // First the position: a flush that comes meanwhile must not count.
        let position = log.position();
        let request = request.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        let path = request.split('?').next().unwrap();
        let number = path.rsplit('/').next().and_then(|n| n.parse().ok());
        let number = number.unwrap_or_else(|| panic!("no number: {request}"));
        noted.lock().unwrap().push(Seen {
            position,
            number,
            request,
            body: digest(&body),
        });
        let long = if number % 6 == 5 {
            40_000 * (1 + number % 7)
        } else {
            0
        };
        let text = format!("{{\"data\": \"{}\"}}", "long ".repeat(long / 5));
        write!(
            writer,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}

fn body(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let (mut length, mut is_chunked, mut line) = (0, false, String::new());
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        is_chunked |= lower.starts_with("transfer-encoding:");
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while is_chunked {
        line.clear();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        reader.read_exact(&mut body[start..])?;
        body.truncate(start + size);
        is_chunked = size > 0;
    }
    Ok(body)
}
