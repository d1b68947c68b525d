//! Whom the child may reach through the gate, beside Datadog.
//!
//! Two questions: may this host be asked for at all (`egress.rule`), and may the address it leads
//! to be dialled? The second matters where the system holds the child to the gate: then a tunnel
//! would be its only way to servers on this very machine, and to the metadata servers of clouds,
//! which give credentials to whoever can reach them. Invariant: the address that is looked at is
//! the one that is dialled. Where the user's own proxy resolves names, only literal addresses can
//! be looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::NetError;
use crate::record::{EgressRule, HostRule};

/// Addresses beyond link-local ones at which clouds answer questions about credentials: AWS by
/// IPv6, Alibaba.
const METADATA: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];
/// NAT64 (RFC 6052): an IPv4 address stands in the last 32 bits.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The rules of one session.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// Whom the child may ask for.
    pub rule: EgressRule,
    /// Hosts that are allowed by name.
    pub hosts: Vec<HostRule>,
    /// Whether the system holds the child to the gate.
    pub confined: bool,
}

/// What becomes of one host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Dial whatever address it leads to.
    Anywhere,
    /// Dial it unless it leads to this machine.
    Outside,
}

/// Why a host is refused. The wording is for the agent that reads the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// One word, for the record and the verdict.
    pub(super) rule: &'static str,
    pub(super) message: String,
}

impl Egress {
    /// Whether the gate is to be the only way: then nothing may pass to Datadog that it cannot look
    /// into. Otherwise whoever wants to can go without it.
    pub(super) fn is_only_way(&self) -> bool {
        self.confined || self.rule != EgressRule::Any
    }

    pub(super) fn admit(&self, host: &str, port: u16) -> Result<Admission, Closed> {
        let listed = self.hosts.iter().any(|rule| rule.matches(host, port));
        match self.rule {
            EgressRule::DatadogOnly => Err(Closed {
                rule: "egress-datadog-only",
                message: format!(
                    "{host}:{port} is not reached: this session may reach Datadog only \
                     (--egress datadog-only)"
                ),
            }),
            EgressRule::Listed if !listed => Err(Closed {
                rule: "egress-listed",
                message: format!(
                    "{host}:{port} is not reached: it is not among the hosts this session may \
                     reach; the person who runs it can add --allow-host {host}:{port}"
                ),
            }),
            EgressRule::Any | EgressRule::Listed if listed || !self.confined => {
                Ok(Admission::Anywhere)
            }
            EgressRule::Any | EgressRule::Listed => Ok(Admission::Outside),
        }
    }
}

impl Admission {
    pub(super) fn covers(self, address: IpAddr) -> bool {
        self == Self::Anywhere || !is_local(address)
    }

    /// What to say when no address of a host was covered.
    pub(super) fn closed(error: &NetError, port: u16) -> Option<Closed> {
        let NetError::NotAdmitted { host } = error else {
            return None;
        };
        Some(Closed {
            rule: "egress-local",
            message: format!(
                "{host}:{port} is not reached: it leads to this machine or to a metadata server, \
                 and this session is held to the gate; the person who runs it can add \
                 --allow-host {host}:{port}"
            ),
        })
    }
}

/// This machine, its links, and metadata servers.
fn is_local(address: IpAddr) -> bool {
    if METADATA.contains(&address) {
        return true;
    }
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.octets()[0] == 0
                || METADATA.contains(&IpAddr::V4(v4))
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            let embedded = Ipv4Addr::from(u32::from(segments[6]) << 16 | u32::from(segments[7]));
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unicast_link_local()
                || (segments[..6] == NAT64 && is_local(IpAddr::V4(embedded)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(rule: EgressRule, hosts: &[&str], confined: bool) -> Egress {
        Egress {
            rule,
            hosts: hosts
                .iter()
                .map(|it| HostRule::parse(it).unwrap())
                .collect(),
            confined,
        }
    }

    #[test]
    fn the_rule_says_who_may_be_asked_for() {
        let any = egress(EgressRule::Any, &["localhost:3000"], true);
        assert_eq!(any.admit("example.com", 443), Ok(Admission::Outside));
        assert_eq!(any.admit("localhost", 3000), Ok(Admission::Anywhere));
        assert_eq!(any.admit("localhost", 3001), Ok(Admission::Outside));
        let free = egress(EgressRule::Any, &[], false);
        assert_eq!(free.admit("localhost", 1), Ok(Admission::Anywhere));
        let listed = egress(EgressRule::Listed, &["*.example.com"], true);
        assert!(listed.admit("api.example.com", 443).is_ok());
        assert_eq!(
            listed.admit("example.org", 443).unwrap_err().rule,
            "egress-listed"
        );
        let only = egress(EgressRule::DatadogOnly, &["*.example.com"], false);
        let refused = only.admit("api.example.com", 443).unwrap_err();
        assert_eq!(refused.rule, "egress-datadog-only");
    }

    #[test]
    fn local_addresses_are_known_in_all_spellings() {
        for yes in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
            "::ffff:100.100.100.200",
        ] {
            let address = yes.parse().unwrap();
            assert!(!Admission::Outside.covers(address), "{yes}");
            assert!(Admission::Anywhere.covers(address), "{yes}");
        }
        for no in [
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::808:808",
        ] {
            assert!(Admission::Outside.covers(no.parse().unwrap()), "{no}");
        }
    }
}
