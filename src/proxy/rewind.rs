//! A stream whose first bytes were looked at and put back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::listener::TLS_HANDSHAKE;
use crate::limits;

/// Gives the bytes already read first, then the stream.
pub(super) struct Rewind<S> {
    first: Vec<u8>,
    given: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> Rewind<S> {
    /// Reads one byte ahead; `None` when the stream ends before it.
    pub(super) async fn look(mut stream: S) -> io::Result<(Option<u8>, Self)> {
        let mut first = vec![0];
        let n = stream.read(&mut first).await?;
        first.truncate(n);
        let byte = first.first().copied();
        let rewound = Self {
            first,
            given: 0,
            stream,
        };
        Ok((byte, rewound))
    }
}

impl<S> Rewind<S> {
    /// Nothing was read so far.
    pub(super) const fn new(stream: S) -> Self {
        Self {
            first: Vec::new(),
            given: 0,
            stream,
        }
    }
}

impl<S: AsyncRead + Unpin> Rewind<S> {
    /// The server name in a TLS handshake (RFC 6066, section 3), in lower case, from as much as has to
    /// be read for it; none when there is none, or no handshake. May be cancelled: what was read is
    /// put back in any case.
    pub(super) async fn server_name(&mut self) -> Option<String> {
        loop {
            if self.first.len() > limits::CLIENT_HELLO_BYTES_MAX
                || self.stream.read_buf(&mut self.first).await.ok()? == 0
                || self.first.first() != Some(&TLS_HANDSHAKE)
            {
                return None;
            }
            let mut acceptor = Acceptor::default();
            let mut read = &self.first[..];
            while !read.is_empty() {
                acceptor.read_tls(&mut read).ok()?;
            }
            if let Some(accepted) = acceptor.accept().ok()? {
                let hello = accepted.client_hello();
                return Some(hello.server_name()?.to_ascii_lowercase());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.first[this.given..];
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let n = left.len().min(buf.remaining());
        buf.put_slice(&left[..n]);
        this.given += n;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
