//! HTTP/1.1 written and read by hand, so that a test controls and sees every byte.

use std::io;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a body digest looks like.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A start line and its headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').expect("a header has a colon");
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        Self { line, headers }
    }

    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    pub(crate) fn status(&self) -> u16 {
        self.target().parse().unwrap()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The one header of this name; more than one is a failure.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times", all.len());
        all.first().copied()
    }
}

/// How a body ends (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    pub(crate) fn of_request(head: &Head) -> Self {
        if head.one("transfer-encoding") == Some("chunked") {
            assert_eq!(head.one("content-length"), None, "two framings");
            return Self::Chunked;
        }
        Self::Length(
            head.one("content-length")
                .map_or(0, |length| length.parse().unwrap()),
        )
    }

    pub(crate) fn of_answer(head: &Head, method: &str) -> Self {
        let opened = method == "CONNECT" && head.status() == 200;
        if opened || method == "HEAD" || [204, 304].contains(&head.status()) {
            return Self::Length(0);
        }
        match head.one("content-length") {
            _ if head.one("transfer-encoding") == Some("chunked") => Self::Chunked,
            Some(length) => Self::Length(length.parse().unwrap()),
            None => Self::UntilClose,
        }
    }
}

/// A whole message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One end of a connection.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Writes where the other side must still be there.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes).await.expect("the other side is there");
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        let read = self.stream.read_buf(&mut self.buffer);
        let n = tokio::time::timeout(PATIENCE, read)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "nothing came"))??;
        Ok(n > 0)
    }

    /// The next head; none when the connection ends before it.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.buffer.split_off(at + 4);
                let head = std::mem::replace(&mut self.buffer, rest);
                // A value may hold any byte (RFC 9110, 5.5).
                return Ok(Some(Head::parse(&String::from_utf8_lossy(&head))));
            }
            if !self.more().await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Whatever has come, at least one byte; empty at the end.
    pub(crate) async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.more().await?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// So many bytes, of which some may have come with what was read before.
    pub(crate) async fn exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(n);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.exactly(at + 2).await?;
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// One chunk of a chunked body; none at its end, with the trailers read into `trailers`.
    pub(crate) async fn chunk(
        &mut self,
        trailers: &mut Vec<(String, String)>,
    ) -> io::Result<Option<Vec<u8>>> {
        let size = self.line().await?;
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
        if size > 0 {
            let mut data = self.exactly(size + 2).await?;
            assert_eq!(&data[size..], b"\r\n");
            data.truncate(size);
            return Ok(Some(data));
        }
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(None);
            }
            let (name, value) = line.split_once(':').unwrap();
            trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A body, given to `sink` as it comes; returns the trailers.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        mut sink: impl FnMut(&[u8]),
    ) -> io::Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        match framing {
            Framing::Length(mut left) => {
                while left > 0 {
                    if self.buffer.is_empty() && !self.more().await? {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let n = self.buffer.len().min(usize::try_from(left).unwrap());
                    sink(&self.buffer[..n]);
                    self.buffer.drain(..n);
                    left -= n as u64;
                }
            }
            Framing::Chunked => {
                while let Some(data) = self.chunk(&mut trailers).await? {
                    sink(&data);
                }
            }
            Framing::UntilClose => loop {
                sink(&self.buffer);
                self.buffer.clear();
                if !self.more().await? {
                    break;
                }
            },
        }
        Ok(trailers)
    }

    /// A whole request; none when the connection ends before it.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Message>> {
        let Some(head) = self.head().await? else {
            return Ok(None);
        };
        let framing = Framing::of_request(&head);
        self.message(head, framing).await.map(Some)
    }

    /// A whole answer to a request with this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> io::Result<Message> {
        let head = self.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let framing = Framing::of_answer(&head, method);
        self.message(head, framing).await
    }

    async fn message(&mut self, head: Head, framing: Framing) -> io::Result<Message> {
        let mut body = Vec::new();
        let trailers = self
            .body(framing, |data| body.extend_from_slice(data))
            .await?;
        Ok(Message {
            head,
            body,
            trailers,
        })
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        self.send(request).await;
        let method = request.split(|b| *b == b' ').next().unwrap();
        let method = std::str::from_utf8(method).unwrap();
        self.answer_to(method).await.expect("an answer")
    }

    /// Whether the other side has closed and nothing is left; it is not when nothing comes at all.
    pub(crate) async fn is_over(&mut self) -> bool {
        match self.some().await {
            Ok(bytes) => bytes.is_empty(),
            Err(e) => e.kind() != io::ErrorKind::TimedOut,
        }
    }
}

/// An answer with a length.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let n = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status} X\r\n{headers}content-length: {n}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A chunk of a chunked body.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// `n` bytes that do not compress and that nobody confuses with a shifted copy.
pub(crate) fn pattern(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}
