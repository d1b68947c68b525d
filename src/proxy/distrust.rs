//! Who came for a Datadog host, and went away at the sight of the session's certificate.
//!
//! Such a client has authorities of its own, and obeys no variable that names others. Nothing of it
//! was sent, so there is no call to record: what it tried is a leaf of its own. The first refusals of
//! each host are recorded as they come, with the process; the rest, and those who left without a
//! word, are summed up when the session ends.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::limits;
use crate::record::Distrusted;

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
    /// Of those who refused, so many have a leaf of their own.
    stated: u64,
}

impl Distrust {
    /// The handshake failed; whether for want of trust, the error tells. Gives what is to be
    /// recorded of it now.
    pub(super) fn failed(
        &self,
        host: &str,
        error: &io::Error,
        by: Option<u64>,
    ) -> Option<Distrusted> {
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
        let mut is_stated = false;
        if is_refusal {
            self.note(host, |tried| {
                tried.refused += 1;
                is_stated = tried.stated < limits::DISTRUST_STATED_MAX;
                tried.stated += u64::from(is_stated);
            });
        }
        is_stated.then(|| Distrusted {
            host: host.to_owned(),
            connections: 1,
            left: false,
            by,
        })
    }

    /// What is still to be recorded when the session ends.
    #[must_use]
    pub fn rest(&self) -> Vec<Distrusted> {
        let mut rest = Vec::new();
        for (host, tried) in self.hosts() {
            for (connections, left) in [(tried.refused - tried.stated, false), (tried.left, true)] {
                if connections > 0 {
                    rest.push(Distrusted {
                        host: host.clone(),
                        connections,
                        left,
                        by: None,
                    });
                }
            }
        }
        rest
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
        let alert = io::Error::new(io::ErrorKind::InvalidData, alert);
        let stated = distrust.failed("a", &alert, Some(3)).unwrap();
        assert_eq!((stated.connections, stated.by), (1, Some(3)));
        distrust.failed("a", &io::ErrorKind::UnexpectedEof.into(), None);
        let other = rustls::Error::NoApplicationProtocol;
        let other = io::Error::new(io::ErrorKind::InvalidData, other);
        assert_eq!(distrust.failed("b", &other, None), None);
        distrust.left("c");
        distrust.left("d");
        distrust.served("d");
        distrust.failed("d", &io::ErrorKind::ConnectionReset.into(), None);
        let told: Vec<_> = distrust.hosts();
        let told: Vec<_> = told
            .iter()
            .map(|(host, tried)| (host.as_str(), tried.refused, tried.left))
            .collect();
        assert_eq!(told, [("a", 2, 0), ("c", 0, 1), ("d", 1, 0)]);
        let rest = distrust.rest();
        assert_eq!(rest.len(), 1, "refusals have their leaves: {rest:?}");
        assert_eq!((rest[0].host.as_str(), rest[0].left), ("c", true));
    }

    #[test]
    fn all_are_recorded_and_the_first_one_by_one() {
        let distrust = Distrust::default();
        let more = 5;
        let stated = (0..limits::DISTRUST_STATED_MAX + more)
            .filter_map(|_| distrust.failed("a", &io::ErrorKind::UnexpectedEof.into(), None))
            .count() as u64;
        let rest: u64 = distrust.rest().iter().map(|it| it.connections).sum();
        assert_eq!((stated, rest), (limits::DISTRUST_STATED_MAX, more));
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
