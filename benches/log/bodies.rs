//! Memory of the real binary while one large body passes: down to the child, and up from it. The
//! child is this bench, and so is the Datadog it reaches: plain HTTP on loopback, by hand, because
//! neither may weigh anything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use super::process;
use super::traffic::{SHOP, Traffic};
use super::{CHILD, Failure};

/// Bytes of the body.
const BODY_BYTES: usize = 100 << 20;

/// Peaks in KiB: download, upload.
pub(crate) fn measure(home: &Path) -> Result<[u64; 2], Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let upstream = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let me = std::env::current_exe()?;
    let mut peaks = [0; 2];
    for (peak, way) in peaks.iter_mut().zip(["download", "upload"]) {
        let mut command = process::ddgate(home);
        command
            .env("DD_API_KEY", "0c7e52a1f4b94d6e8a3b1c2d4e5f6071")
            .env("DD_APP_KEY", "5b1d9e3f7a2c4860b1d3f5a7c9e0b2d4f6a81c3e")
            .args([
                "run",
                "--identity",
                "local",
                "-q",
                "--upstream",
                &upstream,
                "--",
            ])
            .arg(&me)
            .args([CHILD, way]);
        *peak = process::run(command)?.peak_kib;
    }
    Ok(peaks)
}

/// One page of logs, again and again: it compresses as such do.
fn piece() -> Vec<u8> {
    let mut traffic = Traffic::new(&SHOP, 5);
    let mut piece = Vec::new();
    while piece.len() < 256 << 10 {
        piece.extend_from_slice(&traffic.logs().response_body);
    }
    piece.truncate(256 << 10);
    piece
}

fn send(out: &mut impl Write) -> std::io::Result<()> {
    let piece = piece();
    for _ in 0..BODY_BYTES / piece.len() {
        out.write_all(&piece)?;
    }
    out.flush()
}

/// Reads a head; the length of the body behind it.
fn head(stream: &mut BufReader<TcpStream>) -> std::io::Result<(String, usize)> {
    let (mut first, mut bytes) = (String::new(), 0);
    stream.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok((first, bytes));
        }
        let line = line.to_ascii_lowercase();
        if let Some(length) = line.strip_prefix("content-length:") {
            bytes = length.trim().parse().unwrap_or(0);
        }
    }
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (first, bytes) = head(&mut stream)?;
        if first.is_empty() {
            return Ok(());
        }
        std::io::copy(&mut (&mut stream).take(bytes as u64), &mut std::io::sink())?;
        let length = if first.starts_with("GET") {
            BODY_BYTES
        } else {
            2
        };
        let out = stream.get_mut();
        write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )?;
        match length {
            2 => out.write_all(b"{}")?,
            _ => send(out)?,
        }
    }
}

/// The child's part: one call with a large body.
pub(crate) fn pass(way: &str) -> Result<(), Failure> {
    let base = std::env::var("DD_HOST")?;
    let address = base.strip_prefix("http://").ok_or("no base URL")?;
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    let (method, path, length) = match way {
        "upload" => ("POST", "/api/v2/logs", BODY_BYTES),
        _ => ("GET", "/api/v2/logs/events", 0),
    };
    let out = stream.get_mut();
    write!(
        out,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         dd-api-key: {}\r\ndd-application-key: {}\r\ncontent-length: {length}\r\n\r\n",
        std::env::var("DD_API_KEY")?,
        std::env::var("DD_APP_KEY")?,
    )?;
    if length > 0 {
        send(out)?;
    }
    let (first, bytes) = head(&mut stream)?;
    let got = std::io::copy(&mut stream.take(bytes as u64), &mut std::io::sink())?;
    let expected = if length > 0 { 2 } else { BODY_BYTES as u64 };
    if !first.starts_with("HTTP/1.1 200") || got != expected {
        return Err(format!("{way}: {} and {got} bytes", first.trim_end()).into());
    }
    Ok(writeln!(std::io::stdout(), "done")?)
}
