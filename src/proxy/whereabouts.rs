//! At which addresses Datadog answers, so that a tunnel that cannot be looked into is known for what
//! it is.
//!
//! Asked of the system's resolver when a tunnel needs to know; whatever was found stays known for the
//! session, because such names lead to other addresses every minute. Where the names do not resolve
//! (the user's proxy may do that alone), nothing is known and nothing refused. It says nothing of
//! addresses that only pass on what they get: whoever reaches any host has a relay anywhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::Uri;
use tokio::sync::Mutex;

use crate::datadog::Site;
use crate::limits;
use crate::net::dial;

/// The rule of a tunnel to such an address that is not for a host the gate can see.
pub(super) const UNSEEN: &str = "datadog-unseen";
/// The same, for people.
pub(super) const UNSEEN_MESSAGE: &str =
    "refused: it leads to Datadog, and does not say so where the gate could serve it";

/// An address of Datadog's; any port where none is given.
type Place = (IpAddr, Option<u16>);

/// Where Datadog is.
#[derive(Debug)]
pub struct Whereabouts {
    /// Host, and port if only that one is meant.
    hosts: Vec<(String, Option<u16>)>,
    known: Mutex<Known>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    places: BTreeSet<Place>,
    asked: Option<Instant>,
}

impl Whereabouts {
    /// The hosts of a site, and the one to which all are sent, if there is one.
    #[must_use]
    pub fn new(site: &Site, upstream: Option<&Uri>) -> Self {
        let of_site = site.hosts().into_iter().map(|host| (host, None));
        let instead = upstream.and_then(|uri| {
            let default = if uri.scheme_str() == Some("http") {
                80
            } else {
                443
            };
            let port = uri.port_u16().unwrap_or(default);
            Some((uri.host()?.to_owned(), Some(port)))
        });
        Self {
            // First, because names can be slow to resolve, and an address is not.
            hosts: instead.into_iter().chain(of_site).collect(),
            known: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether Datadog answers there.
    pub(super) async fn include(&self, address: SocketAddr) -> bool {
        let mut known = self.known.lock().await;
        let is_old = |asked: Instant| asked.elapsed() > limits::WHEREABOUTS_KEEP;
        if known.asked.is_none_or(is_old) {
            let asking = self.ask(&mut known.places);
            // What was found by then counts.
            let _ = tokio::time::timeout(limits::WHEREABOUTS_TIMEOUT, asking).await;
            while known.places.len() > limits::WHEREABOUTS_MAX {
                known.places.pop_first();
            }
            known.asked = Some(Instant::now());
        }
        let ip = address.ip().to_canonical();
        known.places.contains(&(ip, None)) || known.places.contains(&(ip, Some(address.port())))
    }

    async fn ask(&self, places: &mut BTreeSet<Place>) {
        for (host, port) in &self.hosts {
            let found = dial::resolve(host, port.unwrap_or(443)).await;
            let found = found.unwrap_or_default().into_iter();
            places.extend(found.map(|address| (address.ip().to_canonical(), *port)));
        }
    }

    /// One more tunnel was refused.
    pub(super) fn count(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Tunnels that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hosts_addresses_count_at_any_port_and_a_stand_in_at_its_own() {
        let at = |hosts: &[(String, Option<u16>)]| Whereabouts {
            hosts: hosts.to_vec(),
            known: Mutex::default(),
            refused: AtomicU64::new(0),
        };
        let named = ["no.such.host.invalid", "localhost"].map(|host| (host.to_owned(), None));
        let named = at(&named);
        for (address, is_there) in [
            ("127.0.0.1:443", true),
            ("127.0.0.1:8443", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("127.0.0.2:443", false),
            ("192.0.2.1:443", false),
        ] {
            assert_eq!(
                named.include(address.parse().unwrap()).await,
                is_there,
                "{address}"
            );
        }
        let uri: Uri = "http://127.0.0.1:4000/".parse().unwrap();
        let instead = Whereabouts::new(&Site::default(), Some(&uri)).hosts;
        assert_eq!(instead[0], ("127.0.0.1".to_owned(), Some(4000)));
        let stand_in = at(&instead[..1]);
        assert!(stand_in.include("127.0.0.1:4000".parse().unwrap()).await);
        assert!(!stand_in.include("127.0.0.1:4001".parse().unwrap()).await);
    }
}
