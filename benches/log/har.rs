//! The same calls as HAR 1.2 without any blanks: what a proxy that records to a file would keep.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::traffic::Exchange;

/// A HAR file being written.
pub(crate) struct Har {
    out: std::io::BufWriter<std::fs::File>,
    entries: u64,
}

impl Har {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        write!(
            out,
            r#"{{"log":{{"version":"1.2","creator":{{"name":"ddgate bench","version":"1"}},"entries":["#
        )?;
        Ok(Self { out, entries: 0 })
    }

    pub(crate) fn push(&mut self, exchange: &Exchange) -> Result<(), Failure> {
        if self.entries > 0 {
            self.out.write_all(b",")?;
        }
        self.entries += 1;
        serde_json::to_writer(&mut self.out, &entry(exchange))?;
        Ok(())
    }

    /// Ends the file; its bytes.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        self.out.write_all(b"]}}")?;
        self.out.flush()?;
        Ok(self.out.get_ref().metadata()?.len())
    }
}

fn headers(pairs: &[(&'static str, String)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn entry(exchange: &Exchange) -> Value {
    let query: Vec<Value> = exchange
        .target
        .split_once('?')
        .map_or("", |(_, query)| query)
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let text = String::from_utf8_lossy(&exchange.response_body);
    let mut entry = json!({
        "startedDateTime": "2026-11-24T08:00:00.123456+00:00", "time": 184.713,
        "request": {
            "method": exchange.method,
            "url": format!("https://api.datadoghq.com{}", exchange.target),
            "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": headers(&exchange.request_headers),
            "queryString": query, "headersSize": 420, "bodySize": exchange.request_body.len(),
        },
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": headers(&exchange.response_headers),
            "content": {"size": text.len(), "mimeType": "application/json", "text": text},
            "redirectURL": "", "headersSize": 640, "bodySize": text.len(),
        },
        "cache": {},
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0.21,
            "wait": 171.3, "receive": 13.2},
        "serverIPAddress": "3.233.158.25",
    });
    if !exchange.request_body.is_empty() {
        let text = String::from_utf8_lossy(&exchange.request_body);
        entry["request"]["postData"] = json!({"mimeType": "application/json", "text": text});
    }
    entry
}
