//! `NO_PROXY`: the hosts that are reached without the proxy.
//!
//! Entries are separated by commas or spaces: `*`, a domain (itself and what is below it, with or
//! without a leading dot or `*.`), an IP address, or a network (`10.0.0.0/8`), each with an
//! optional `:port`. An entry that is none of these matches nothing.

use std::net::IpAddr;

/// A parsed `NO_PROXY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Domain(String),
    Network(IpAddr, u8),
}

impl NoProxy {
    pub(super) fn parse(text: &str) -> Self {
        Self(
            text.split(|c: char| c == ',' || c.is_whitespace())
                .filter_map(Entry::parse)
                .collect(),
        )
    }

    /// Whether `host` (a name or an address without brackets) goes direct.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| entry.matches(host, port))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if let Some(hosts) = Hosts::parse(text) {
            return Some(Self { hosts, port: None });
        }
        let (hosts, port) = text.rsplit_once(':')?;
        Some(Self {
            hosts: Hosts::parse(hosts)?,
            port: Some(port.parse().ok()?),
        })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|only| only == port) && self.hosts.contain(host)
    }
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Network(address, width(address)));
        }
        if let Some((address, bits)) = bare.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            return (bits <= width(address)).then_some(Self::Network(address, bits));
        }
        let domain = text.trim_start_matches("*.").trim_matches('.');
        let plain = !domain.is_empty() && !domain.contains([':', '/', '*', '[', ']']);
        plain.then(|| Self::Domain(domain.to_ascii_lowercase()))
    }

    fn contain(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host.strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Network(network, bits) => host
                .parse::<IpAddr>()
                .is_ok_and(|address| same_network(address, *network, *bits)),
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn same_network(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differing = match (one, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            u128::from(a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(bits))
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(bits))
        }
        _ => return false,
    };
    // A shift by the whole width leaves nothing to differ: /0 is everything.
    differing.unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn domains_match_themselves_and_what_is_below() {
        for text in [
            "example.test",
            ".example.test",
            "*.example.test",
            "Example.Test.",
        ] {
            let list = NoProxy::parse(text);
            assert!(list.matches("example.test", 443), "{text}");
            assert!(list.matches("A.B.example.test", 443), "{text}");
            assert!(!list.matches("notexample.test", 443), "{text}");
            assert!(!list.matches("example.test.evil", 443), "{text}");
        }
    }

    #[test]
    fn ports_addresses_and_networks() {
        let list = NoProxy::parse("idp.test:8443, 10.0.0.0/8 192.0.2.7,[2001:db8::1]:443 fd00::/8");
        assert!(list.matches("idp.test", 8443) && !list.matches("idp.test", 443));
        assert!(list.matches("10.255.0.1", 1) && !list.matches("11.0.0.1", 1));
        assert!(list.matches("192.0.2.7", 1) && !list.matches("192.0.2.8", 1));
        assert!(list.matches("2001:db8::1", 443) && !list.matches("2001:db8::1", 80));
        assert!(list.matches("fd12::9", 1) && !list.matches("fe80::1", 1));
    }

    #[test]
    fn everything_and_nothing() {
        assert!(NoProxy::parse("a.test,*").matches("b.test", 1));
        assert!(NoProxy::parse("0.0.0.0/0").matches("8.8.8.8", 1));
        for nothing in ["", " , ", "10.0.0.0/33", "http://x", "*foo"] {
            assert!(!NoProxy::parse(nothing).matches("x", 80), "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}", host in "\\PC{0,20}", port: u16) {
            NoProxy::parse(&text).matches(&host, port);
        }

        #[test]
        fn a_network_holds_its_own_address(v6: u128, v4: u32, six in 0u8..=128, four in 0u8..=32) {
            let a = std::net::Ipv6Addr::from(v6);
            let list = NoProxy::parse(&format!("{a}/{six}"));
            prop_assert!(list.matches(&a.to_string(), 1));
            let b = std::net::Ipv4Addr::from(v4);
            let list = NoProxy::parse(&format!("{b}/{four}"));
            prop_assert!(list.matches(&b.to_string(), 1));
        }
    }
}
