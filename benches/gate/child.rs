//! What this binary is when it is started as a child, mostly by the gate: one that makes calls as it
//! is told, or the least proxy, or one that makes a single call and says when it was answered. That
//! one has no runtime and no TLS: its own start must weigh as little as possible.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::client::{API, BASE, MCP, Route};
use super::{Failure, class, least, load};

/// The argument that makes this binary a child; the role follows.
pub(crate) const WORD: &str = "--child";
/// Makes the calls that standard input asks for, until it ends: a line each, and a line of times in
/// nanoseconds for each.
pub(crate) const WORK: &str = "work";
/// Makes one call to the base URL, says so and ends.
pub(crate) const CALL: &str = "call";
/// Says at once what [`CALL`] says after its call.
pub(crate) const NOTHING: &str = "nothing";
/// Is the least proxy, until standard input ends; the fake Datadog's address follows.
pub(crate) const LEAST: &str = "least";
/// What [`WORK`] says when it is ready, and [`CALL`] when it was answered.
pub(crate) const DONE: &str = "done";

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    match word(0) {
        WORK => work(),
        CALL => call(),
        LEAST => least::run(word(1).parse()?),
        NOTHING => Ok(writeln!(std::io::stdout(), "{DONE}")?),
        other => Err(format!("no such role: {other}").into()),
    }
}

fn work() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let routes = [
        (BASE, Route::base()?),
        (API, Route::connect(API)?),
        (MCP, Route::connect(MCP)?),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(out, "{DONE}")?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let mut words = line.split('\t');
        let mut word = || words.next().ok_or("a word is missing");
        let way = word()?;
        let route = routes.iter().find(|(name, _)| *name == way);
        let (_, route) = route.ok_or("no such way")?;
        let cell = class::asked(word()?, word()?.parse()?).ok_or("no such cell")?;
        match runtime.block_on(load::run(route, cell, word()?.parse()?)) {
            Ok(times) => {
                let times: Vec<_> = times
                    .iter()
                    .map(|time| time.as_nanos().to_string())
                    .collect();
                writeln!(out, "{}", times.join(" "))?;
            }
            Err(why) => writeln!(out, "{why}")?,
        }
    }
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
        class::SMALL_PATH,
        std::env::var("DD_API_KEY")?,
        std::env::var("DD_APP_KEY")?,
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") || answer.len() < class::SMALL_BYTES {
        return Err(format!("not answered: {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(writeln!(std::io::stdout(), "{DONE}")?)
}
