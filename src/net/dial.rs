//! Opening TCP connections, directly or through the user's own proxy.
//!
//! A host's addresses are tried in turn, the next one beginning while a slow one is still waited
//! for (RFC 8305). Loopback and `NO_PROXY` hosts never go through the proxy. No TLS here, and no
//! pooling.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::NetError;
use super::no_proxy::NoProxy;
use super::proxy_tunnel::Proxy;
use crate::limits::{CONNECT_ADDRESSES_MAX, CONNECT_STAGGER, CONNECT_TIMEOUT};

/// Opens TCP connections the way the user's environment asks for.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    proxy: Option<Arc<Proxy>>,
    exempt: Arc<NoProxy>,
}

/// The variables that may name a proxy, the first one set wins.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

impl Dialer {
    /// Makes a dialer that uses no proxy.
    #[must_use]
    pub fn direct() -> Self {
        Self::default()
    }

    /// Reads the proxy from `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case.
    ///
    /// # Errors
    /// The address is malformed, or not that of an `http://` proxy.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, NetError> {
        let set = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let proxy = PROXY_VARIABLES
            .into_iter()
            .find_map(|variable| set(variable).map(|value| (variable, value)));
        let Some((variable, value)) = proxy else {
            return Ok(Self::direct());
        };
        let proxy =
            Proxy::parse(value.trim()).map_err(|why| NetError::ProxyVariable { variable, why })?;
        let exempt = set("NO_PROXY").or_else(|| set("no_proxy"));
        Ok(Self {
            proxy: Some(Arc::new(proxy)),
            exempt: Arc::new(NoProxy::parse(exempt.as_deref().unwrap_or_default())),
        })
    }

    /// Host and port of the proxy on the way to a host, if there is one: never a password.
    #[must_use]
    pub fn proxy_for(&self, host: &str, port: u16) -> Option<String> {
        let proxy = self.proxy.as_deref()?;
        let direct = is_loopback(host) || self.exempt.matches(host, port);
        (!direct).then(|| format!("{}:{}", proxy.host, proxy.port))
    }

    /// The port of the proxy, where it is on this machine: another ddgate's, it may be.
    #[must_use]
    pub fn local_proxy(&self) -> Option<u16> {
        let proxy = self.proxy.as_deref()?;
        is_loopback(&proxy.host).then_some(proxy.port)
    }

    /// Connects to a host (a name, or an address with or without brackets); small writes leave at
    /// once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// The name does not resolve, no address answers, or the proxy opens no tunnel. Each address
    /// gets [`CONNECT_TIMEOUT`].
    pub async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, NetError> {
        self.tcp_where(host, port, |_| true).await
    }

    /// The same, but only to addresses that `admits` takes. Where the user's proxy resolves the
    /// name, only a host that is an address can be asked about.
    ///
    /// # Errors
    /// Also when no address of the host is admitted.
    pub async fn tcp_where(
        &self,
        host: &str,
        port: u16,
        admits: impl Fn(IpAddr) -> bool + Send + Sync,
    ) -> Result<TcpStream, NetError> {
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        // The name goes into the head of CONNECT: nothing in it may end a line or a word.
        if host.is_empty()
            || !host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c))
        {
            return Err(NetError::Host {
                host: host.to_owned(),
            });
        }
        if host.parse::<IpAddr>().is_ok_and(|address| !admits(address)) {
            return Err(NetError::NotAdmitted {
                host: host.to_owned(),
            });
        }
        match &self.proxy {
            Some(proxy) if !is_loopback(host) && !self.exempt.matches(host, port) => {
                let stream = Box::pin(connect(&proxy.host, proxy.port, &|_| true))
                    .await
                    .map_err(|error| proxy.unreachable(&error, host, port))?;
                Box::pin(proxy.tunnel(stream, host, port)).await
            }
            _ => Box::pin(connect(host, port, &admits)).await,
        }
    }
}

/// Whether a host name or address (without brackets) is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

async fn connect(
    host: &str,
    port: u16,
    admits: &(impl Fn(IpAddr) -> bool + Send + Sync),
) -> Result<TcpStream, NetError> {
    let mut addresses = resolve(host, port).await?;
    if !addresses.is_empty() {
        addresses.retain(|address| admits(address.ip()));
        if addresses.is_empty() {
            return Err(NetError::NotAdmitted {
                host: host.to_owned(),
            });
        }
    }
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut last = io::Error::other("the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            running.push(Box::pin(attempt(address)));
        }
        if running.is_empty() {
            return Err(NetError::Connect {
                host: host.to_owned(),
                port,
                source: last,
            });
        }
        // While addresses are left a slow attempt is not waited for, only run beside the next.
        let ended = if waiting.len() > 0 {
            timeout(CONNECT_STAGGER, first_of(&mut running)).await.ok()
        } else {
            Some(first_of(&mut running).await)
        };
        match ended {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{address} did not answer within {CONNECT_TIMEOUT:?}"),
            )
        })??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits until one attempt ends, and removes it.
async fn first_of(running: &mut Vec<Attempt>) -> io::Result<TcpStream> {
    poll_fn(|context| {
        for at in 0..running.len() {
            if let Poll::Ready(ended) = running[at].as_mut().poll(context) {
                drop(running.swap_remove(at));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |source| NetError::Resolve {
        host: host.to_owned(),
        source,
    };
    let found = timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| {
            failed(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {CONNECT_TIMEOUT:?}"),
            ))
        })?
        .map_err(failed)?;
    Ok(interleaved(found.take(CONNECT_ADDRESSES_MAX).collect()))
}

/// Alternates between the address families, beginning with the one the system prefers, so that a
/// broken one costs one stagger and not sixteen (RFC 8305, section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let v6_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == v6_first);
    let mut mixed = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    loop {
        let before = mixed.len();
        mixed.extend(one.next());
        mixed.extend(other.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn dialer(variables: &[(&str, &str)]) -> Result<Dialer, NetError> {
        Dialer::from_environment(&|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_names_the_proxy() {
        assert!(dialer(&[]).unwrap().proxy.is_none());
        assert!(dialer(&[("HTTPS_PROXY", " ")]).unwrap().proxy.is_none());
        let read = dialer(&[
            ("all_proxy", "other:1"),
            ("https_proxy", "http://Proxy.Test"),
            ("no_proxy", "a.test"),
        ])
        .unwrap();
        let proxy = read.proxy.as_ref().unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.test", 80));
        assert!(proxy.authorization.is_none());
        assert!(read.exempt.matches("x.a.test", 443));
        let bare = dialer(&[("ALL_PROXY", "[::1]:3128")]).unwrap();
        let proxy = bare.proxy.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("::1", 3128));
    }

    #[test]
    fn a_bad_proxy_names_the_variable_and_hides_the_password() {
        for bad in [
            "http://user:hunter2@",
            "socks5://user:hunter2@proxy:1",
            "http://user:hunter2@proxy:99999",
            "https://user:hunter2@proxy",
        ] {
            let error = dialer(&[("HTTPS_PROXY", bad)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("HTTPS_PROXY"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let good = dialer(&[("HTTPS_PROXY", "http://user:hun%3Ater2@proxy:8080")]).unwrap();
        let secret = good.proxy.clone().unwrap();
        assert_eq!(
            secret.authorization.as_ref().unwrap().expose(),
            &format!("Basic {}", BASE64_STANDARD.encode("user:hun:ter2"))
        );
        assert!(!format!("{good:?}").contains(secret.authorization.as_ref().unwrap().expose()));
    }

    #[test]
    fn loopback_is_known_in_all_spellings() {
        for yes in [
            "localhost",
            "LocalHost.",
            "api.localhost",
            "127.8.9.1",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.test", "128.0.0.1", "::2", "mylocalhost", ""] {
            assert!(!is_loopback(no), "{no}");
        }
    }

    #[test]
    fn families_alternate() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let sorted = interleaved(vec![
            at("[::1]:1"),
            at("[::2]:1"),
            at("1.1.1.1:1"),
            at("[::3]:1"),
        ]);
        assert_eq!(
            sorted,
            [at("[::1]:1"), at("1.1.1.1:1"), at("[::2]:1"), at("[::3]:1")]
        );
    }

    /// A proxy that accepts one tunnel, answers, and returns what was asked.
    async fn fake_proxy(answer: &'static [u8]) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        (port, asked)
    }

    #[tokio::test]
    async fn a_tunnel_keeps_the_bytes_behind_the_head() {
        let (port, asked) = fake_proxy(b"HTTP/1.1 200 fine\r\nA: b\r\n\r\nhello").await;
        let dialer = dialer(&[("HTTPS_PROXY", &format!("http://u:p@127.0.0.1:{port}"))]).unwrap();
        let mut stream = dialer.tcp("api.example.test", 443).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "hello");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example"));
        assert!(asked.contains("Proxy-Authorization: Basic dTpw\r\n"));
    }

    #[tokio::test]
    async fn a_refusing_proxy_is_named_without_its_password() {
        for (answer, word) in [
            (&b"HTTP/1.1 407 no\r\n\r\n"[..], "407"),
            (b"HTTP/1.0 502 no\r\n\r\n", "502"),
            (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\r\n", "closed"),
        ] {
            let (port, _asked) = fake_proxy(answer).await;
            let proxy = format!("http://user:hunter2@127.0.0.1:{port}");
            let error = dialer(&[("HTTPS_PROXY", &proxy)])
                .unwrap()
                .tcp("::2", 443)
                .await
                .unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(word), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn loopback_goes_direct_and_is_told_apart_from_nobody_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialer = dialer(&[("HTTPS_PROXY", "http://127.0.0.1:1")]).unwrap();
        let stream = dialer.tcp("127.0.0.1", port).await.unwrap();
        assert!(stream.nodelay().unwrap());
        drop(listener);
        let error = dialer.tcp("127.0.0.1", port).await.unwrap_err();
        assert!(matches!(error, NetError::Connect { .. }), "{error:?}");
        assert!(error.is_transient());
    }

    #[tokio::test]
    async fn a_dead_address_does_not_hide_a_living_one() {
        // Where `localhost` is `::1` too, that one refuses first.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Dialer::direct().tcp("localhost", port).await.unwrap();
    }

    #[tokio::test]
    async fn a_name_cannot_smuggle_a_header() {
        for bad in ["", "a b", "a\r\nX: y", "a/b", "a@b", "\u{e9}.test"] {
            let error = Dialer::direct().tcp(bad, 1).await.unwrap_err();
            assert!(matches!(error, NetError::Host { .. }), "{bad:?}");
        }
    }
}
