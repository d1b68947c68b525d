//! What this binary is when the gate starts it: a child that tells its environment and waits, or
//! one that makes a single call and says when it was answered. No runtime, no TLS: its own start
//! must weigh as little as possible.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::Failure;

/// The argument that makes this binary a child; the role follows.
pub(crate) const WORD: &str = "--child";
/// Tells the environment, line by line, then waits until standard input ends.
pub(crate) const TELL: &str = "tell";
/// Makes one call to the base URL, says so and ends.
pub(crate) const CALL: &str = "call";
/// Says at once what [`CALL`] says after its call.
pub(crate) const NOTHING: &str = "nothing";
/// Ends what [`TELL`] tells, and what [`CALL`] says.
pub(crate) const DONE: &str = "done";

pub(crate) fn run(role: &str) -> Result<(), Failure> {
    match role {
        TELL => tell(),
        CALL => call(),
        NOTHING => Ok(writeln!(std::io::stdout(), "{DONE}")?),
        other => Err(format!("no such role: {other}").into()),
    }
}

fn tell() -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for (name, value) in std::env::vars() {
        if !value.contains('\n') {
            writeln!(out, "{name}={value}")?;
        }
    }
    writeln!(out, "{DONE}")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn call() -> Result<(), Failure> {
    let base = std::env::var("DD_HOST")?;
    let address = base.strip_prefix("http://").ok_or("no base URL")?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {address}\r\ndd-api-key: {}\r\ndd-application-key: {}\r\n\
         connection: close\r\n\r\n",
        super::class::SMALL_PATH,
        std::env::var("DD_API_KEY")?,
        std::env::var("DD_APP_KEY")?,
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") || answer.len() < super::class::SMALL_BYTES {
        return Err(format!("not answered: {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(writeln!(std::io::stdout(), "{DONE}")?)
}
