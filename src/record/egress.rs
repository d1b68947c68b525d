//! Which hosts beside Datadog's a command may reach through the gate: the rule, and the list.
//!
//! Pure. A host is compared as it was asked for, by name or address; which address a name leads to
//! is looked at where it is dialled (`proxy::egress`).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Who may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EgressRule {
    /// Everybody.
    #[default]
    Any,
    /// The hosts of the list.
    Listed,
    /// Datadog alone.
    DatadogOnly,
}

impl EgressRule {
    /// As settings and leaves spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Listed => "listed",
            Self::DatadogOnly => "datadog-only",
        }
    }

    /// Whether it is the rule nobody has to be told of.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// `HOST[:PORT]`: a name, `*.name` for every name below it, or an address (IPv6 with a port in
/// brackets). Without a port, every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    Below(String),
    Address(IpAddr),
}

impl HostRule {
    /// Reads one.
    ///
    /// # Errors
    /// A fragment that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOST or HOST:PORT, such as `*.example.com:443`");
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self {
                host: Host::Address(address.to_canonical()),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        if port == Some(0) {
            return Err(wrong());
        }
        let bare = bare(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            let host = Host::Address(address.to_canonical());
            return Ok(Self { host, port });
        }
        let (name, below) = match bare.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (bare, false),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
            return Err(wrong());
        }
        let host = if below {
            Host::Below(name)
        } else {
            Host::Name(name)
        };
        Ok(Self { host, port })
    }

    /// Whether this host and port are meant. `host` may have brackets, and a dot at its end.
    #[must_use]
    pub fn matches(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        let asked = bare(host).trim_end_matches('.').to_ascii_lowercase();
        match &self.host {
            Host::Name(name) => asked == *name,
            Host::Below(name) => asked
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Host::Address(address) => asked
                .parse::<IpAddr>()
                .is_ok_and(|asked| asked.to_canonical() == *address),
        }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Name(name), _) => f.write_str(name)?,
            (Host::Below(name), _) => write!(f, "*.{name}")?,
            (Host::Address(IpAddr::V6(address)), Some(_)) => write!(f, "[{address}]")?,
            (Host::Address(address), _) => write!(f, "{address}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_mean_what_people_write() {
        for (rule, host, port, meant) in [
            ("api.example.com", "API.example.com.", 443, true),
            ("api.example.com", "x.api.example.com", 443, false),
            ("api.example.com:8443", "api.example.com", 443, false),
            ("api.example.com:8443", "api.example.com", 8443, true),
            ("*.example.com", "a.b.example.com", 1, true),
            ("*.example.com", "example.com", 1, false),
            ("*.example.com", "evil-example.com", 1, false),
            ("*.example.com", ".example.com", 1, false),
            ("127.0.0.1", "[::ffff:127.0.0.1]", 1, true),
            ("127.0.0.1:80", "127.0.0.2", 80, false),
            ("::1", "[::1]", 9, true),
            ("[::1]:80", "::1", 80, true),
            ("localhost:3000", "localhost", 3000, true),
        ] {
            let parsed = HostRule::parse(rule).unwrap();
            assert_eq!(parsed.matches(host, port), meant, "{rule} {host}:{port}");
            assert_eq!(parsed.to_string(), rule);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "", ":", ":80", "a:", "a:0", "a:70000", "a:b", "*", "*.", "a*b", "a/b", "a b", "..a",
            "http://a", "[::1", "a@b",
        ] {
            assert!(HostRule::parse(bad).is_err(), "{bad}");
        }
    }
}
