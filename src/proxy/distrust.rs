//! Who came for a Datadog host, and went away at the sight of the session's certificate.
//!
//! Such a client has authorities of its own, and obeys no variable that names others. Nothing of it
//! was sent, so nothing is on record, and only here can it be learnt that it tried. It does not know
//! which process that was.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::limits;

/// Counts, by host. Shared by all connections.
#[derive(Debug, Default)]
pub struct Distrust {
    hosts: Mutex<BTreeMap<String, Tried>>,
}

/// What became of connections to one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Ended while certificates were exchanged, most with an alert that says why.
    pub refused: u64,
    /// Closed by the client right behind that, before any request: so Node does it.
    pub left: u64,
    /// Others to the same host made requests.
    is_served: bool,
}

impl Distrust {
    /// The handshake failed; whether for want of trust, the error tells.
    pub(super) fn failed(&self, host: &str, error: &io::Error) {
        let rustls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let is_refusal = match rustls {
            Some(rustls::Error::AlertReceived(_)) => true,
            // Nothing in common, or nonsense: that is not about trust.
            Some(_) => false,
            None => matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            ),
        };
        if is_refusal {
            self.note(host, |tried| tried.refused += 1);
        }
    }

    /// The client closed before a request.
    pub(super) fn left(&self, host: &str) {
        self.note(host, |tried| tried.left += 1);
    }

    /// The client trusts the certificate: it says something.
    pub(super) fn served(&self, host: &str) {
        self.note(host, |tried| tried.is_served = true);
    }

    /// The hosts some client did not trust the certificate for. Clients that left without a word
    /// count only where nobody stayed: many open more connections than they come to need.
    #[must_use]
    pub fn hosts(&self) -> Vec<(String, Tried)> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let told = hosts.iter().map(|(host, tried)| {
            let left = if tried.is_served { 0 } else { tried.left };
            (host.clone(), Tried { left, ..*tried })
        });
        told.filter(|(_, tried)| tried.refused + tried.left > 0)
            .collect()
    }

    fn note(&self, host: &str, change: impl FnOnce(&mut Tried)) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() < limits::DISTRUST_HOSTS_MAX || hosts.contains_key(host) {
            change(hosts.entry(host.to_owned()).or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_want_of_trust_counts() {
        let distrust = Distrust::default();
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        distrust.failed("a", &io::Error::new(io::ErrorKind::InvalidData, alert));
        distrust.failed("a", &io::ErrorKind::UnexpectedEof.into());
        let other = rustls::Error::NoApplicationProtocol;
        distrust.failed("b", &io::Error::new(io::ErrorKind::InvalidData, other));
        distrust.left("c");
        distrust.left("d");
        distrust.served("d");
        distrust.failed("d", &io::ErrorKind::ConnectionReset.into());
        let told: Vec<_> = distrust.hosts();
        let told: Vec<_> = told
            .iter()
            .map(|(host, tried)| (host.as_str(), tried.refused, tried.left))
            .collect();
        assert_eq!(told, [("a", 2, 0), ("c", 0, 1), ("d", 1, 0)]);
    }

    #[test]
    fn hosts_are_bounded() {
        let distrust = Distrust::default();
        for n in 0..2 * limits::DISTRUST_HOSTS_MAX {
            distrust.left(&n.to_string());
        }
        distrust.left("0");
        assert_eq!(distrust.hosts().len(), limits::DISTRUST_HOSTS_MAX);
        assert_eq!(distrust.hosts()[0].1.left, 2);
    }
}
