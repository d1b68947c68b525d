//! Tunnels through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6).
//!
//! The proxy's user name and password go to the proxy and nowhere else: not into errors, not into
//! `Debug`. Bytes behind the proxy's answer are left in the socket.

use std::io;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::NetError;
use crate::limits::{CONNECT_TIMEOUT, PROXY_HEAD_BYTES_MAX};
use crate::record::Secret;

/// The user's proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<Secret<String>>,
}

impl Proxy {
    /// Reads `http://[user[:password]@]host[:port]`; the scheme may be missing, as curl allows.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        }
        .map_err(|_| "it is not a URL")?;
        if url.scheme() != "http" {
            return Err("only http:// proxies are supported");
        }
        let host = url.host_str().ok_or("it names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let mut pair = percent_decoded(url.username());
            pair.push(b':');
            pair.extend(percent_decoded(url.password().unwrap_or_default()));
            Secret::new(format!("Basic {}", BASE64_STANDARD.encode(&pair)))
        });
        Ok(Self {
            host: host.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            authorization,
        })
    }

    /// Says that it is the proxy that is not there, not the host behind it.
    pub(super) fn unreachable(&self, error: &NetError, host: &str, port: u16) -> NetError {
        let why = match error {
            NetError::Connect { source, .. } => format!("cannot connect to it: {source}"),
            other => other.to_string(),
        };
        NetError::Proxy {
            proxy: format!("{}:{}", self.host, self.port),
            host: host.to_owned(),
            port,
            why,
        }
    }

    /// Opens a tunnel over a connection to the proxy.
    pub(super) async fn tunnel(
        &self,
        mut stream: TcpStream,
        host: &str,
        port: u16,
    ) -> Result<TcpStream, NetError> {
        let refused = |why: String| NetError::Proxy {
            proxy: format!("{}:{}", self.host, self.port),
            host: host.to_owned(),
            port,
            why,
        };
        let status = timeout(CONNECT_TIMEOUT, self.ask(&mut stream, host, port))
            .await
            .map_err(|_| refused(format!("no answer within {CONNECT_TIMEOUT:?}")))?
            .map_err(|error| refused(error.to_string()))?;
        match status {
            200..=299 => Ok(stream),
            407 => Err(refused(
                "it wants a user name and password (407)".to_owned(),
            )),
            status => Err(refused(format!("it answered {status}"))),
        }
    }

    /// Sends CONNECT and returns the status of the answer. Bytes behind the answer's head stay
    /// in the socket: they belong to the tunnel.
    async fn ask(&self, stream: &mut TcpStream, host: &str, port: u16) -> io::Result<u16> {
        let authority = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(authorization) = &self.authorization {
            head.push_str("Proxy-Authorization: ");
            head.push_str(authorization.expose());
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        stream
            .write_all(Secret::new(head).expose().as_bytes())
            .await?;

        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while !answer.ends_with(b"\r\n\r\n") {
            let peeked = stream.peek(&mut piece).await?;
            if peeked == 0 {
                return Err(io::Error::other("it closed the connection"));
            }
            let take = head_bytes(&answer, &piece[..peeked]);
            stream.read_exact(&mut piece[..take]).await?;
            answer.extend_from_slice(&piece[..take]);
            if answer.len() > PROXY_HEAD_BYTES_MAX {
                return Err(io::Error::other("its answer has no end"));
            }
        }
        status_of(&answer).ok_or_else(|| io::Error::other("its answer is not HTTP"))
    }
}

/// How many of the `next` bytes belong to a head of which `read` has been read already.
fn head_bytes(read: &[u8], next: &[u8]) -> usize {
    let overlap = &read[read.len().saturating_sub(3)..];
    let window = [overlap, next].concat();
    window
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(next.len(), |at| at + 4 - overlap.len())
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let rest = line
        .strip_prefix("HTTP/1.")?
        .get(1..)?
        .strip_prefix(' ')?
        .get(..3)?;
    rest.parse().ok()
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_head_ends_at_its_blank_line(cut in 0usize..27) {
            let (head, tunnel) = ("HTTP/1.1 200 OK\r\nVia: x\r\n\r\n", "SSH-2.0-tunnel");
            let all = [head, tunnel].concat();
            let (read, next) = all.as_bytes().split_at(cut);
            prop_assert_eq!(head_bytes(read, next), head.len() - cut);
            prop_assert_eq!(head_bytes(b"", &next[..1]), 1);
        }

        #[test]
        fn odd_answers_never_panic(bytes: Vec<u8>) {
            status_of(&bytes);
        }
    }
}
