//! Datadog as these tests need it: it remembers what it saw and answers what it is told to.

use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::gate::{Gate, Setup, client_config};
use super::wire::{Head, Message, Wire};

/// Everything an upstream saw, in the order in which it was whole.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Message>>>);

impl Seen {
    pub(crate) fn note(&self, message: Message) {
        self.0.lock().unwrap().push(message);
    }

    pub(crate) fn all(&self) -> Vec<Message> {
        self.0.lock().unwrap().clone()
    }
}

/// A server on the loopback whose every byte a test decides.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    pub(crate) seen: Seen,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection to the upstream.
pub(crate) struct Talk {
    pub(crate) wire: Wire<TcpStream>,
    /// Connections before this one.
    pub(crate) nth: usize,
    pub(crate) seen: Seen,
}

impl Talk {
    /// The next request, whole and noted; none when the gate closed.
    pub(crate) async fn request(&mut self) -> Option<Message> {
        let message = self.wire.request().await.ok()??;
        self.seen.note(message.clone());
        Some(message)
    }

    /// The next head, noted as a message without a body.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let head = self.wire.head().await.ok()??;
        self.seen.note(Message {
            head: head.clone(),
            ..Message::default()
        });
        Some(head)
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(self) {
        self.wire.stream.set_zero_linger().unwrap();
    }
}

impl Upstream {
    /// Every connection is spoken to by `talk`.
    pub(crate) async fn talking<F, T>(talk: F) -> Self
    where
        F: Fn(Talk) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, connections) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let (noted, counted) = (seen.clone(), Arc::clone(&connections));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(talk(Talk {
                    wire: Wire::new(stream),
                    nth: counted.fetch_add(1, Ordering::SeqCst),
                    seen: noted.clone(),
                }));
            }
        });
        Self {
            port,
            seen,
            connections,
            accepting,
        }
    }

    /// Every request gets the bytes that `answer` makes of it.
    pub(crate) async fn answering<F>(answer: F) -> Self
    where
        F: Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    {
        let answer = Arc::new(answer);
        Self::talking(move |mut talk| {
            let answer = Arc::clone(&answer);
            async move {
                while let Some(request) = talk.request().await {
                    if talk.wire.write(answer(&request)).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Every request gets the same bytes.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::answering(move |_| answer.clone()).await
    }

    /// What came, in order.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.seen.all()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A server that speaks TLS, and HTTP/2 only.
pub(crate) struct Secure {
    port: u16,
    certificate: CertificateDer<'static>,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Secure {
    /// Every request, read whole, gets what `answer` makes of it.
    pub(crate) async fn answering<F, B>(answer: F) -> Self
    where
        F: Fn(&Request<Bytes>) -> Response<B> + Send + Sync + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = key.cert.der().clone();
        let private = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], private)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (noted, counted) = (Arc::clone(&seen), Arc::clone(&connections));
        let answer = Arc::new(answer);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request: Request<hyper::body::Incoming>| {
                        let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.unwrap().to_bytes();
                            let request = Request::from_parts(head, body);
                            noted.lock().unwrap().push(request.clone());
                            Ok::<_, Infallible>(answer(&request))
                        }
                    });
                    // The gate may hang up whenever it likes.
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            port,
            certificate,
            seen,
            connections,
            accepting,
        }
    }

    /// A gate to this server, which trusts it.
    pub(crate) async fn gate(&self) -> Gate {
        Gate::with(Setup {
            upstream: Some(format!("https://localhost:{}", self.port)),
            tls: Some(client_config(
                std::slice::from_ref(&self.certificate),
                &["h2", "http/1.1"],
            )),
            ..Setup::default()
        })
        .await
    }

    pub(crate) fn seen(&self) -> Vec<Request<Bytes>> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
