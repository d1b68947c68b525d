//! A small HTTP/1.1 server on 127.0.0.1, for the two parties the demo plays.
//!
//! Every bound is in `limits`: connections, head, body, silence, life. A handler is a plain
//! function from a request with its body to an answer; it never sees a socket. Not a general
//! server: no TLS, no h2, no streaming answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::limits;

/// What a handler gives back; its body is sent with a length.
pub(super) type Answer = Response<Bytes>;

/// How a request body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// All of it is in [`Body::bytes`].
    Whole,
    /// It was read to its end but is too large to look into.
    TooLarge,
    /// The client stopped in the middle, or fell silent.
    Broken,
}

/// A request body, read and digested.
pub(super) struct Body {
    /// The bytes as they came, still compressed; empty unless [`BodyEnd::Whole`].
    pub(super) bytes: Bytes,
    /// Bytes received, whatever became of them.
    pub(super) length: u64,
    /// SHA-256 of the bytes received.
    pub(super) sha256: [u8; 32],
    /// How it ended.
    pub(super) end: BodyEnd,
}

/// A bound listener whose address is known before it serves.
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    stop: CancellationToken,
}

/// A running server; it stops when this is dropped.
pub(super) struct Loopback {
    _stop_on_drop: DropGuard,
}

/// Takes a free port on 127.0.0.1.
///
/// # Errors
/// When the system grants no loopback socket.
pub(super) async fn bind() -> io::Result<Bound> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok(Bound {
        listener,
        address,
        stop: CancellationToken::new(),
    })
}

impl Bound {
    /// Returns the address others connect to.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a token that is cancelled when the server stops.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Begins to serve with `handler`, until the returned value is dropped.
    pub(super) fn serve<H>(self, handler: H) -> Loopback
    where
        H: Fn(&Parts, &Body) -> Answer + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        tokio::spawn(accept(self.listener, handler, self.stop.clone()));
        Loopback {
            _stop_on_drop: self.stop.drop_guard(),
        }
    }
}

async fn accept<H>(listener: TcpListener, handler: Arc<H>, stop: CancellationToken)
where
    H: Fn(&Parts, &Body) -> Answer + Send + Sync + 'static,
{
    let room = Arc::new(Semaphore::new(limits::DEMO_CONNECTIONS_MAX));
    let serve = async {
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            match listener.accept().await {
                Ok((socket, _)) => {
                    let (handler, stop) = (Arc::clone(&handler), stop.clone());
                    tokio::spawn(converse(socket, handler, stop, permit));
                }
                // Out of file descriptors, or the client was gone before we looked: neither may
                // spin nor end the server.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    stop.run_until_cancelled(serve).await;
}

async fn converse<H>(
    socket: TcpStream,
    handler: Arc<H>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) where
    H: Fn(&Parts, &Body) -> Answer + Send + Sync + 'static,
{
    // Without it a small answer may wait 40 ms for the other side's acknowledgement.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let (parts, body) = request.into_parts();
            let body = read(body).await;
            Ok::<_, std::convert::Infallible>(handler(&parts, &body).map(Full::new))
        }
    });
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::REQUEST_HEAD_TIMEOUT)
            .max_buf_size(limits::HTTP1_BUFFER_BYTES)
            .serve_connection(TokioIo::new(socket), service)
    );
    tokio::select! {
        // Errors here are the client's business: it is told by the closed connection.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(limits::DEMO_CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits::DEMO_STOP_TIMEOUT, connection).await;
}

async fn read(mut incoming: Incoming) -> Body {
    let mut kept = BytesMut::new();
    let (mut length, mut digest, mut end) = (0u64, Sha256::new(), BodyEnd::Whole);
    loop {
        let frame = match timeout(limits::DEMO_BODY_IDLE_TIMEOUT, incoming.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) | Err(_) => {
                end = BodyEnd::Broken;
                break;
            }
        };
        let Ok(piece) = frame.into_data() else {
            continue; // trailers mean nothing here
        };
        length += piece.len() as u64;
        digest.update(&piece);
        if length > limits::DEMO_UPLOAD_BYTES_MAX {
            end = BodyEnd::Broken;
            break;
        }
        if kept.len() + piece.len() > limits::DEMO_BODY_BYTES_MAX {
            end = BodyEnd::TooLarge;
        }
        if end == BodyEnd::Whole {
            kept.extend_from_slice(&piece);
        }
    }
    if end != BodyEnd::Whole {
        kept = BytesMut::new();
    }
    Body {
        bytes: kept.freeze(),
        length,
        sha256: digest.finalize().into(),
        end,
    }
}

/// Makes an answer that no cache keeps.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    headers.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    answer
}

/// Makes a JSON answer.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(
        status,
        "application/json",
        Bytes::from(value.to_string().into_bytes()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn echo() -> (Loopback, SocketAddr) {
        let bound = bind().await.unwrap();
        let address = bound.address();
        let server = bound.serve(|_, body| {
            let text = format!("{:?} {}", body.end, body.length);
            answer(StatusCode::OK, "text/plain", Bytes::from(text))
        });
        (server, address)
    }

    async fn say(address: SocketAddr, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut said = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = timeout(Duration::from_secs(5), socket.read_to_end(&mut said)).await;
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn reads_chunked_and_sized_bodies() {
        let (_server, address) = echo().await;
        let said = say(
            address,
            b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        assert!(said.ends_with("Whole 3"), "{said}");
    }

    #[tokio::test]
    async fn survives_nonsense_and_goes_on() {
        let (_server, address) = echo().await;
        for nonsense in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551616\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(nonsense).await.unwrap();
        }
        let said = say(
            address,
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert!(said.ends_with("Whole 0"), "{said}");
    }

    #[tokio::test]
    async fn stops_when_dropped() {
        let (server, address) = echo().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut some = [0u8; 64];
        assert!(idle.read(&mut some).await.unwrap() > 0);
        drop(server);
        let mut rest = Vec::new();
        timeout(Duration::from_secs(3), idle.read_to_end(&mut rest))
            .await
            .expect("an idle connection is closed")
            .unwrap();
        // Whether a new connection is refused at once or closed unanswered, it gets no answer.
        let said = match TcpStream::connect(address).await {
            Err(_) => String::new(),
            Ok(_) => say(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await,
        };
        assert_eq!(said, "");
    }
}
