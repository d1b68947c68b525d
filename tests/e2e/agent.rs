//! The agent: this test binary, started by ddgate as a child. A plain HTTP/1.1 client that knows
//! only its environment and does what the file named by [`SCRIPT`] says, a step a line.
//!
//! Steps: `METHOD PATH [BODY]` with the keys it was given; `gzip METHOD PATH BODY` with the body
//! compressed, `typed MEDIA-TYPE METHOD PATH BODY`; `nokey METHOD PATH`; `key K METHOD PATH`;
//! `load THREADS METHOD PATH [BODY]` for ever, `/N` in PATH counting up; `burst CALLS METHOD PATH`
//! all at once; `touch FILE`, `await FILE`,
//! `sleep MS`, `exit CODE`. Each call adds `STATUS VERDICT BODY` to the file [`ANSWERS`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const SCRIPT: &str = "E2E_SCRIPT";
pub(crate) const ANSWERS: &str = "E2E_ANSWERS";

/// The words that start it.
pub(crate) fn command() -> Vec<String> {
    let own = std::env::current_exe().unwrap().into_os_string();
    let mut words = vec![own.into_string().unwrap()];
    words.extend(["agent::play", "--exact", "--ignored", "--nocapture"].map(str::to_owned));
    words
}

#[test]
#[ignore = "the agent: started by ddgate under test"]
fn play() {
    let Ok(path) = std::env::var(SCRIPT) else {
        return;
    };
    let script = std::fs::read_to_string(&path).unwrap();
    // What it holds must not count as something ddgate left behind.
    std::fs::remove_file(path).unwrap();
    for step in script.lines() {
        perform(step.trim());
    }
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "an agent ends as it likes"
)]
fn perform(step: &str) {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    match verb {
        "" => {}
        "nokey" => note(&call(rest, None)),
        "key" => {
            let (key, rest) = rest.split_once(' ').unwrap();
            note(&call(rest, Some((key, key))));
        }
        "gzip" => note(&keyed(rest, "application/json", true)),
        "typed" => {
            let (media, rest) = rest.split_once(' ').unwrap();
            note(&keyed(&rest.replace("\\n", "\n"), media, false));
        }
        "load" => load(rest),
        "burst" => burst(rest),
        "touch" => std::fs::write(rest, "").unwrap(),
        "await" => {
            while !Path::new(rest).exists() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        "sleep" => std::thread::sleep(Duration::from_millis(rest.parse().unwrap())),
        "exit" => std::process::exit(rest.parse().unwrap()),
        _ => {
            let (api, app) = (variable("DD_API_KEY"), variable("DD_APP_KEY"));
            note(&call(step, Some((&api, &app))));
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn note(answer: &Answer) {
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(variable(ANSWERS))
        .unwrap();
    let Answer {
        status,
        verdict,
        body,
    } = answer;
    let line = format!("{status} {verdict} {}\n", String::from_utf8_lossy(body));
    file.write_all(line.as_bytes()).unwrap();
}

/// Calls without end from several threads; `/N` in the path counts up.
fn load(rest: &str) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (threads, request) = rest.split_once(' ').unwrap();
    let keys = (variable("DD_API_KEY"), variable("DD_APP_KEY"));
    std::thread::scope(|scope| {
        for _ in 0..threads.parse().unwrap() {
            scope.spawn(|| {
                loop {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
                    let request = request.replacen("/N", &format!("/{number}"), 1);
                    if try_call(&request, Some((&keys.0, &keys.1))).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// So many calls at the same time, each on a connection of its own.
fn burst(rest: &str) {
    let (calls, request) = rest.split_once(' ').unwrap();
    let keys = (variable("DD_API_KEY"), variable("DD_APP_KEY"));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let call = || call(request, Some((&keys.0, &keys.1)));
        let calls = 0..calls.parse::<u32>().unwrap();
        let calls: Vec<_> = calls.map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for answer in &answers {
        note(answer);
    }
}

struct Answer {
    status: u16,
    verdict: String,
    body: Vec<u8>,
}

/// With the keys it was given.
fn keyed(request: &str, media: &str, gzip: bool) -> Answer {
    let (api, app) = (variable("DD_API_KEY"), variable("DD_APP_KEY"));
    try_send(request, Some((&api, &app)), media, gzip).unwrap()
}

fn call(request: &str, keys: Option<(&str, &str)>) -> Answer {
    try_call(request, keys).unwrap_or_else(|e| Answer {
        status: 0,
        verdict: "-".to_owned(),
        body: e.to_string().into_bytes(),
    })
}

fn try_call(request: &str, keys: Option<(&str, &str)>) -> std::io::Result<Answer> {
    try_send(request, keys, "application/json", false)
}

fn try_send(
    request: &str,
    keys: Option<(&str, &str)>,
    media: &str,
    gzip: bool,
) -> std::io::Result<Answer> {
    let mut words = request.splitn(3, ' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut body = words.next().unwrap_or_default().as_bytes().to_vec();
    let gate = variable("DD_HOST");
    let gate = gate.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(gate)?;
    stream.set_nodelay(true)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {gate}\r\nConnection: close\r\n");
    if let Some((api, app)) = keys {
        head += &format!("DD-API-KEY: {api}\r\nDD-APPLICATION-KEY: {app}\r\n");
    }
    if gzip {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&body)?;
        body = encoder.finish()?;
        head += "Content-Encoding: gzip\r\n";
    }
    if !body.is_empty() {
        let length = body.len();
        head += &format!("Content-Type: {media}\r\nContent-Length: {length}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&body)?;
    read_answer(BufReader::new(stream))
}

fn read_answer(mut stream: BufReader<TcpStream>) -> std::io::Result<Answer> {
    let broken = || std::io::Error::other("not an answer");
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(broken)?;
    let (mut verdict, mut chunked) = ("-".to_owned(), false);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "ddgate-verdict" => verdict = value.trim().to_owned(),
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| broken())?;
            let mut piece = vec![0; size + 2];
            stream.read_exact(&mut piece)?;
            if size == 0 {
                break;
            }
            body.extend(&piece[..size]);
        }
    } else {
        stream.read_to_end(&mut body)?;
    }
    Ok(Answer {
        status,
        verdict,
        body,
    })
}
