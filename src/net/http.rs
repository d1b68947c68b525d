//! A small HTTP/1.1 client for identity providers.
//!
//! https only (http to loopback, and to a cloud's metadata server by a client made for it), certificates verified, no redirects, no content coding, one
//! time limit and one size limit for everything. A connection is driven by the request that uses
//! it: nothing runs in the background, and dropping a request drops its connection. Not for
//! Datadog: those bytes go through `proxy`.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use http::header::DATE;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::dial::{Dialer, is_loopback};
use super::link::{Link, Target, prepared};
use super::{NetError, tls};
use crate::limits::{METADATA_TIMEOUT, PROVIDER_IDLE_KEEP, PROVIDER_IDLE_MAX, PROVIDER_TIMEOUT};

/// Where Google's metadata server is, by name and by number.
const METADATA_HOSTS: [&str; 2] = ["metadata.google.internal", "169.254.169.254"];

/// Whether an address is that of a cloud's metadata server, which speaks plain http: no byte of it
/// leaves the machine's own link. A loopback address may stand for it, as an emulator's does.
fn is_metadata(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "http" && (METADATA_HOSTS.contains(&host) || is_allowed(url))
}

fn is_on_this_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback(),
    }
}

/// The client. Clones share connections.
#[derive(Clone)]
pub struct HttpsClient(Arc<Shared>);

struct Shared {
    dialer: Dialer,
    /// Which addresses it asks.
    is_allowed: fn(&Url) -> bool,
    /// Which addresses their names may lead to.
    admits: fn(IpAddr) -> bool,
    /// Made on first use: reading the platform's roots takes milliseconds.
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    limit: Duration,
    idle: Mutex<Vec<Link>>,
    /// Seconds the last server's clock is ahead of ours; `i64::MIN` before the first answer.
    clock_ahead: AtomicI64,
}

/// Whether an address may be asked, or shown: https, or http to a loopback address, and no user
/// name or password in it.
#[must_use]
pub fn is_allowed(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    url.username().is_empty()
        && url.password().is_none()
        && match url.scheme() {
            "https" => !host.is_empty(),
            "http" => is_loopback(bare),
            _ => false,
        }
}

impl Shared {
    fn new(dialer: Dialer, tls: OnceLock<Arc<rustls::ClientConfig>>, limit: Duration) -> Self {
        Self {
            dialer,
            is_allowed,
            admits: |_| true,
            tls,
            limit,
            idle: Mutex::default(),
            clock_ahead: AtomicI64::new(i64::MIN),
        }
    }
}

impl HttpsClient {
    /// Makes a client over this dialer.
    #[must_use]
    pub fn new(dialer: Dialer) -> Self {
        Self::with(dialer, OnceLock::new(), PROVIDER_TIMEOUT)
    }

    /// Makes a client for a cloud's metadata server and nothing else: plain http, through no proxy,
    /// and only to addresses of this machine's link.
    #[must_use]
    pub fn for_metadata() -> Self {
        Self(Arc::new(Shared {
            is_allowed: is_metadata,
            admits: is_on_this_link,
            ..Shared::new(Dialer::direct(), OnceLock::new(), METADATA_TIMEOUT)
        }))
    }

    /// The same with other TLS settings and another time limit: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn for_tests(
        dialer: Dialer,
        tls: Option<Arc<rustls::ClientConfig>>,
        limit: Duration,
    ) -> Self {
        Self::with(
            dialer,
            tls.map_or_else(OnceLock::new, OnceLock::from),
            limit,
        )
    }

    fn with(dialer: Dialer, tls: OnceLock<Arc<rustls::ClientConfig>>, limit: Duration) -> Self {
        Self(Arc::new(Shared::new(dialer, tls, limit)))
    }

    /// How far the clock of the server that answered last is ahead of ours (its `Date` header).
    #[must_use]
    pub fn clock_ahead(&self) -> Option<TimeDelta> {
        TimeDelta::try_seconds(self.0.clock_ahead.load(Ordering::Relaxed))
    }

    /// Sends one request and gathers the answer.
    ///
    /// # Errors
    /// The address is not allowed, the server is not reached, or it breaks one of the limits.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, NetError> {
        let target = Target::of(request.uri(), self.0.is_allowed)?;
        let limit = self.0.limit;
        let exchange = Box::pin(self.exchange(&target, request));
        let out_of_time = || NetError::Timeout {
            host: target.host.clone(),
            limit,
        };
        timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(out_of_time()))
    }

    async fn exchange(
        &self,
        target: &Target,
        request: HttpRequest,
    ) -> Result<HttpResponse, NetError> {
        let mut request = prepared(request, target);
        loop {
            let (mut link, used_before) = match self.idle_link(target).await {
                Some(link) => (link, true),
                None => (self.open(target).await?, false),
            };
            match link.call(request, target).await {
                Ok(response) => return Ok(self.finished(link, response)),
                // Never sent: the server had closed the idle connection.
                Err((_, Some(unsent))) if used_before => request = unsent,
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn finished(&self, mut link: Link, response: HttpResponse) -> HttpResponse {
        if let Some(ahead) = clock_ahead(response.headers(), Utc::now()) {
            self.0
                .clock_ahead
                .store(ahead.num_seconds(), Ordering::Relaxed);
        }
        link.idle_since = Instant::now();
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.truncate(PROVIDER_IDLE_MAX - 1);
        idle.push(link);
        drop(idle);
        response
    }

    /// Takes an idle connection to the target that still lives.
    async fn idle_link(&self, target: &Target) -> Option<Link> {
        loop {
            let mut link = {
                let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.retain(|link| link.idle_since.elapsed() < PROVIDER_IDLE_KEEP);
                let at = idle.iter().position(|link| link.origin == target.origin)?;
                idle.swap_remove(at)
            };
            if link.is_alive().await {
                return Some(link);
            }
        }
    }

    async fn open(&self, target: &Target) -> Result<Link, NetError> {
        let (dialer, admits) = (&self.0.dialer, self.0.admits);
        let stream = dialer.tcp_where(&target.host, target.port, admits);
        let stream = stream.await?;
        if !target.secure {
            return Link::begin(stream, target).await;
        }
        let failed = |source| NetError::Handshake {
            host: target.host.clone(),
            source,
        };
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(self.tls()?)
            .connect(name, stream)
            .await
            .map_err(failed)?;
        Link::begin(stream, target).await
    }

    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, NetError> {
        if let Some(config) = self.0.tls.get() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(tls::client_config()?);
        Ok(Arc::clone(self.0.tls.get_or_init(|| config)))
    }
}

impl<'c> AsyncHttpClient<'c> for HttpsClient {
    type Error = NetError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NetError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// How far the server is ahead, if it says what time it is (RFC 9110, section 6.6.1).
fn clock_ahead(headers: &http::HeaderMap, now: DateTime<Utc>) -> Option<TimeDelta> {
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc() - now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;
    use std::sync::atomic::AtomicUsize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn which_addresses_are_allowed() {
        for yes in [
            "https://idp.test/x",
            "http://127.0.0.1:80/",
            "http://[::1]:80/",
            "http://localhost/",
        ] {
            assert!(is_allowed(&Url::parse(yes).unwrap()), "{yes}");
        }
        for no in [
            "http://idp.test/",
            "https://user@idp.test/",
            "https://:pw@idp.test/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://192.0.2.1/",
            "ftp://localhost/",
        ] {
            assert!(!is_allowed(&Url::parse(no).unwrap()), "{no}");
        }
    }

    #[test]
    fn the_exception_for_the_metadata_server_is_narrow() {
        for yes in [
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://169.254.169.254/",
            "http://127.0.0.1:8080/",
        ] {
            assert!(is_metadata(&Url::parse(yes).unwrap()), "{yes}");
        }
        for no in [
            "http://metadata.google.internal.evil.test/",
            "http://169.254.169.253/",
            "http://192.0.2.1/",
            "https://metadata.google.internal/",
            "http://user@192.0.2.1/",
        ] {
            assert!(!is_metadata(&Url::parse(no).unwrap()), "{no}");
        }
        let google = Url::parse("http://metadata.google.internal/").unwrap();
        assert!(!is_allowed(&google), "for no other client");
        for (address, admitted) in [
            ("169.254.169.254", true),
            ("127.0.0.1", true),
            ("203.0.113.1", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_on_this_link(address.parse().unwrap()), admitted);
        }
    }

    #[test]
    fn the_date_header_tells_the_clock() {
        let now = DateTime::parse_from_rfc3339("2026-11-23T10:00:00Z")
            .unwrap()
            .to_utc();
        let with = |value: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_static(value));
            clock_ahead(&headers, now)
        };
        assert_eq!(
            with("Mon, 23 Nov 2026 12:00:00 GMT"),
            Some(TimeDelta::hours(2))
        );
        assert_eq!(with("soon"), None);
    }

    /// Serves fixed answers, one per request; counts connections.
    async fn server(answers: &'static [&'static [u8]], per_connection: usize) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            let mut answers = answers.iter();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                for _ in 0..per_connection {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => break,
                        }
                    }
                    let Some(answer) = answers.next() else { return };
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
        Served { url, connections }
    }

    struct Served {
        url: String,
        connections: Arc<AtomicUsize>,
    }

    fn get(url: &str) -> HttpRequest {
        http::Request::get(url).body(Vec::new()).unwrap()
    }

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

    #[tokio::test]
    async fn a_connection_serves_the_next_request_too() {
        let served = server(&[OK, OK], 2).await;
        let client = HttpsClient::new(Dialer::direct());
        for _ in 0..2 {
            assert_eq!(client.send(get(&served.url)).await.unwrap().body(), b"hi");
        }
        assert_eq!(served.connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_connection_the_server_closed_is_replaced() {
        let served = server(&[OK, OK], 1).await;
        let client = HttpsClient::new(Dialer::direct());
        for _ in 0..2 {
            assert_eq!(client.send(get(&served.url)).await.unwrap().body(), b"hi");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(served.connections.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_is_refused() {
        type Fits = fn(&NetError) -> bool;
        let cases: [(&'static [&'static [u8]], Fits); 5] = [
            (&[b"HTTP/1.1 302 no\r\nLocation: /x\r\n\r\n"], |e| {
                matches!(e, NetError::Redirect { status: 302, .. })
            }),
            (
                &[b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"],
                |e| matches!(e, NetError::Encoding { .. }),
            ),
            (&[b"SSH-2.0-x\r\n\r\n"], |e| !e.is_transient()),
            (&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"], |e| {
                matches!(e, NetError::Timeout { .. }) && e.is_transient()
            }),
            (
                &[b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\nhi"],
                |e| matches!(e, NetError::TooLarge { .. }),
            ),
        ];
        for (answers, fits) in cases {
            let served = server(answers, 2).await;
            let client = HttpsClient::for_tests(Dialer::direct(), None, Duration::from_millis(300));
            let error = client.send(get(&served.url)).await.unwrap_err();
            assert!(fits(&error), "{error:?}");
        }
    }

    #[tokio::test]
    async fn cleartext_is_refused_before_anything_is_dialled() {
        let client = HttpsClient::new(Dialer::direct());
        let error = client
            .send(get("http://192.0.2.1/token"))
            .await
            .unwrap_err();
        assert!(matches!(error, NetError::Scheme { .. }), "{error:?}");
    }
}
