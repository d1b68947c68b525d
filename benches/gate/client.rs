//! The client: HTTP/1.1 over TCP, over TLS, or over TLS inside a CONNECT. `TCP_NODELAY` always,
//! as the fastest real clients have it. It checks the length of every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Failure;
use super::class::Class;
use super::gate::{KEYS, Keys, World};
use super::upstream;

/// The way by the base URL; the others are named by their host.
pub(crate) const BASE: &str = "base";
pub(crate) const API: &str = "api.datadoghq.com";
/// Where event streams come from: the gate looks into them for the results of tools.
pub(crate) const MCP: &str = "mcp.datadoghq.com";

/// The ways to the fake Datadog that are compared. Those through a proxy are for its child alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// TLS, nobody between.
    Direct,
    /// The gate's base URL: plain on this side.
    Base,
    /// CONNECT through the gate, and TLS inside.
    Connect,
    /// The same two through the least proxy.
    LeastBase,
    LeastConnect,
}

impl Way {
    /// In the order of a round.
    pub(crate) const ALL: [Self; 5] = [
        Self::Direct,
        Self::Base,
        Self::Connect,
        Self::LeastBase,
        Self::LeastConnect,
    ];

    /// The host it is named by to the child that calls; nothing where this process calls.
    pub(crate) fn name(self, class: Class) -> Option<&'static str> {
        match self {
            Self::Direct => None,
            Self::Base | Self::LeastBase => Some(BASE),
            Self::Connect | Self::LeastConnect if class == Class::Events => Some(MCP),
            Self::Connect | Self::LeastConnect => Some(API),
        }
    }
}

/// How to reach it, and with which keys.
#[derive(Clone)]
pub(crate) struct Route {
    address: SocketAddr,
    /// The host that is asked for by CONNECT.
    tunnel: Option<&'static str>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    host: String,
    keys: Keys,
}

impl Route {
    pub(crate) fn direct(world: &World) -> Result<Self, Failure> {
        Ok(Self {
            address: world.upstream.direct,
            tunnel: None,
            tls: Some((
                trusting(world.upstream.ca_pem.as_bytes(), "http/1.1")?,
                ServerName::try_from(upstream::NAME)?,
            )),
            host: upstream::NAME.to_owned(),
            keys: Keys {
                api: KEYS.0.to_owned(),
                app: KEYS.1.to_owned(),
            },
        })
    }

    /// A proxy's base URL, as its child finds it.
    pub(crate) fn base() -> Result<Self, Failure> {
        let address = proxy()?;
        Ok(Self {
            address,
            tunnel: None,
            tls: None,
            host: address.to_string(),
            keys: placeholders()?,
        })
    }

    /// A tunnel through a proxy, as its child opens one.
    pub(crate) fn connect(host: &'static str) -> Result<Self, Failure> {
        let roots = std::fs::read(std::env::var("NODE_EXTRA_CA_CERTS")?)?;
        Ok(Self {
            address: proxy()?,
            tunnel: Some(host),
            tls: Some((trusting(&roots, "http/1.1")?, ServerName::try_from(host)?)),
            host: host.to_owned(),
            keys: placeholders()?,
        })
    }

    /// Opens a connection, ready for the first request.
    pub(crate) async fn open(&self) -> Result<Connection, Failure> {
        let mut tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        if let Some(host) = self.tunnel {
            tunnel(&mut tcp, host).await?;
        }
        let sender = match &self.tls {
            Some((tls, name)) => speak(tls.connect(name.clone(), tcp).await?).await?,
            None => speak(tcp).await?,
        };
        Ok(Connection {
            sender,
            host: self.host.clone(),
            keys: self.keys.clone(),
        })
    }
}

fn proxy() -> Result<SocketAddr, Failure> {
    let base = std::env::var("DD_HOST")?;
    Ok(base.strip_prefix("http://").ok_or("no base URL")?.parse()?)
}

fn placeholders() -> Result<Keys, Failure> {
    Ok(Keys {
        api: std::env::var("DD_API_KEY")?,
        app: std::env::var("DD_APP_KEY")?,
    })
}

/// TLS that trusts these roots and speaks this protocol.
pub(crate) fn trusting(pem: &[u8], protocol: &str) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed handshake would be cheaper than what most clients do.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn tunnel(tcp: &mut TcpStream, host: &str) -> Result<(), Failure> {
    let head = format!("CONNECT {host}:443 HTTP/1.1\r\nhost: {host}:443\r\n\r\n");
    tcp.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if tcp.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    Err(format!("no tunnel: {}", String::from_utf8_lossy(&answer)).into())
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Whatever ends it shows at the next call.
    tokio::spawn(connection);
    Ok(sender)
}

/// One connection, one call at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    keys: Keys,
}

impl Connection {
    fn request(&self, class: Class, body: Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
        Request::builder()
            .method(class.method())
            .uri(class.path())
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("dd-api-key", &self.keys.api)
            .header("dd-application-key", &self.keys.app)
            .body(Full::new(body))
    }

    /// One call, from its first byte to the last of its answer.
    pub(crate) async fn call(&mut self, class: Class, body: Bytes) -> Result<Duration, Failure> {
        let request = self.request(class, body)?;
        let began = Instant::now();
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        let took = began.elapsed();
        if status != StatusCode::OK || Some(bytes) != class.answer_bytes() {
            return Err(format!("{}: {status}, {bytes} bytes", class.name()).into());
        }
        Ok(took)
    }

    /// Reads one stream of events; how late each one was.
    pub(crate) async fn events(&mut self) -> Result<Vec<Duration>, Failure> {
        let request = self.request(Class::Events, Bytes::new())?;
        let mut body = self.sender.send_request(request).await?.into_body();
        let mut late = Vec::new();
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let now = upstream::clock();
            let frame = frame?;
            text.push_str(std::str::from_utf8(frame.data_ref().map_or(b"", |d| d))?);
            while let Some((event, rest)) = text.split_once("\n\n") {
                let sent = event
                    .strip_prefix(upstream::EVENT.0)
                    .and_then(|rest| rest.strip_suffix(upstream::EVENT.1))
                    .ok_or("not an event")?;
                late.push(now.saturating_sub(Duration::from_nanos(sent.parse()?)));
                text = rest.to_owned();
            }
        }
        if late.len() != upstream::EVENTS {
            return Err(format!("{} events", late.len()).into());
        }
        Ok(late)
    }
}
