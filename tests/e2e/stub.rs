//! A Datadog that answers what it is told to: what the pretend one does not know.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// An answer: whether it is compressed, its media type, its body.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) gzip: bool,
    pub(crate) media: &'static str,
    pub(crate) body: Vec<u8>,
}

/// Answers by `METHOD path`; anything else with 404. Returns its address; it ends with the test.
pub(crate) fn serve(answers: HashMap<String, Answer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || talk(stream, &answers));
        }
    });
    address
}

/// Until the other side hangs up.
fn talk(stream: TcpStream, answers: &HashMap<String, Answer>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = request(&mut reader) {
        let answer = match answers.get(&asked) {
            Some(answer) => answer.clone(),
            None => Answer {
                gzip: false,
                media: "missing",
                body: format!("{{\"errors\": [\"no {asked}\"]}}").into_bytes(),
            },
        };
        let status = if answer.media == "missing" { 404 } else { 200 };
        let (body, coding) = match answer.gzip {
            true => (packed(&answer.body), "content-encoding: gzip\r\n"),
            false => (answer.body, ""),
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: {}\r\n{coding}content-length: {}\r\n\r\n",
            answer.media,
            body.len()
        );
        if writer
            .write_all(&[head.as_bytes(), &body].concat())
            .is_err()
        {
            return;
        }
    }
}

/// Reads a request to its end: `METHOD path`.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let asked = format!("{method} {}", target.split('?').next()?);
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    assert!(!chunked, "bodies here have a length");
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(asked)
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
