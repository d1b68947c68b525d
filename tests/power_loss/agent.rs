//! The agent: this test binary, started by `ddgate run`. Each of its threads makes calls one after
//! the other, each with a number of its own in its path, with bodies of all sizes: none, empty,
//! small, around the bound up to which a body stands in its leaf, far above it; at once or in
//! chunks with a pause. Some calls have the wrong key: those the gate records and does not send.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::dice::Dice;

/// `SEED RUN THREADS CALLS`.
pub(crate) const PLAN: &str = "POWER_LOSS_PLAN";
/// The bound up to which a body is gathered.
const INLINE_BYTES: usize = ddgate::limits::REQUEST_INLINE_BYTES_MAX;

/// The words that start it.
pub(crate) fn command() -> Vec<String> {
    let own = std::env::current_exe().unwrap().into_os_string();
    let mut words = vec![own.into_string().unwrap()];
    words.extend(["agent::work", "--exact", "--ignored"].map(str::to_owned));
    words
}

#[test]
#[ignore = "the agent: started by ddgate under test"]
fn work() {
    let Ok(plan) = std::env::var(PLAN) else {
        return;
    };
    let plan: Vec<usize> = plan.split(' ').map(|word| word.parse().unwrap()).collect();
    let [seed, run, threads, calls] = plan[..] else {
        panic!("{plan:?}");
    };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let first = (run * 100 + thread) * 10_000;
                let mut dice = Dice::new((seed + first) as u64);
                for number in first..first + calls {
                    call(number, &mut dice).unwrap();
                }
            });
        }
    });
}

fn call(number: usize, dice: &mut Dice) -> io::Result<()> {
    let gate = std::env::var("DD_HOST").unwrap();
    let gate = gate.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(gate)?;
    stream.set_nodelay(true)?;
    let mut head = match dice.below(10) {
        0..3 => format!("GET /api/v1/monitor/{number}"),
        3 => format!("DELETE /api/v1/monitor/{number}?force=true"),
        4..8 => format!("PUT /api/v1/monitor/{number}"),
        _ => format!("POST /api/v9/thing/{number}"),
    };
    let has_body = head.starts_with('P');
    let is_denied = dice.once_in(16);
    if is_denied {
        // Long enough to be no row of the index.
        head += &format!("?why={}", text(3000, dice));
    }
    let key = std::env::var(if is_denied { "HOME" } else { "DD_API_KEY" }).unwrap();
    let application_key = std::env::var("DD_APP_KEY").unwrap();
    head += &format!(
        " HTTP/1.1\r\nhost: {gate}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         dd-api-key: {key}\r\ndd-application-key: {application_key}\r\n"
    );
    if !has_body {
        write!(stream, "{head}\r\n")?;
        return answer(stream);
    }
    let size = match dice.below(12) {
        0 => 0,
        1..6 => 1 + dice.below(400),
        6..9 => dice.below(20_000),
        9 => INLINE_BYTES - 40 + dice.below(80),
        10 => dice.below(100_000),
        _ => INLINE_BYTES + dice.below(140_000),
    };
    let body = format!("{{\"message\": \"{}\"}}", text(size, dice));
    let body = &body.as_bytes()[..if size == 0 { 0 } else { body.len() }];
    if !dice.once_in(6) {
        write!(stream, "{head}content-length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        return answer(stream);
    }
    write!(stream, "{head}transfer-encoding: chunked\r\n\r\n")?;
    for (turn, chunk) in body.chunks(1 + size / 3).enumerate() {
        if turn == 1 {
            // Longer than a gate gathers: this one is streamed.
            std::thread::sleep(Duration::from_millis(60));
        }
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")?;
    answer(stream)
}

/// Text of that length: half of it packs well, half does not.
fn text(size: usize, dice: &mut Dice) -> String {
    let mut text = String::with_capacity(size + 16);
    while text.len() < size {
        if dice.once_in(2) {
            text += "the same again, ";
        } else {
            text += &format!("{:016x}", dice.roll());
        }
    }
    text.truncate(size);
    text.replace(' ', "_")
}

/// Reads the answer whole: the next call begins only then.
fn answer(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert!(line.starts_with("HTTP/1.1 "), "{line:?}");
    reader.read_to_end(&mut Vec::new())?;
    Ok(())
}
