//! Sites and hosts: which names are Datadog's, and which host a base-URL request is for.
//!
//! The host rule is a superset of the names Datadog's clients use, but only of names that stand
//! under a domain Datadog owns: what it accepts is sent the real keys. It never resolves a name.

use http::Method;

/// Datadog's public sites, as its clients list them.
const SITES: [&str; 9] = [
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "us2.ddog-gov.com",
];

/// Every Datadog host stands at or under one of these. The browser intake has registrable names
/// of its own. They are listed one by one, because anybody can register
/// `browser-intake-something-datadoghq.com`, and what matches here is trusted with keys.
const DOMAINS: [&str; 14] = [
    "datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "datad0g.com",
    "browser-intake-datadoghq.com",
    "browser-intake-us3-datadoghq.com",
    "browser-intake-us5-datadoghq.com",
    "browser-intake-ap1-datadoghq.com",
    "browser-intake-ap2-datadoghq.com",
    "browser-intake-uk1-datadoghq.com",
    "browser-intake-datadoghq.eu",
    "browser-intake-ddog-gov.com",
    "browser-intake-us2-ddog-gov.com",
    "browser-intake-datad0g.com",
];

/// A Datadog site: what people put into `DD_SITE`. Lower case, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site(String);

/// A text is not a site.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// Not a DNS name of at least two labels.
    #[error("{0:?} is not a Datadog site: a site is a domain name such as datadoghq.eu")]
    NotADomain(String),
    /// A host of a known site, for example `app.datadoghq.com`.
    #[error("{host} is a host of the site {site}, not a site")]
    HostOfSite {
        /// What was given.
        host: String,
        /// The site it belongs to.
        site: &'static str,
    },
}

impl Site {
    /// Reads a site name, in any case, with or without a trailing dot. A name that is not in
    /// Datadog's list is accepted (private deployments), unless it is a host of a listed site.
    ///
    /// # Errors
    /// [`SiteError`]: not a domain name, or `api.` or `app.` in front of a known site.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let name = canonical(text.trim());
        if !is_domain(&name) {
            return Err(SiteError::NotADomain(text.to_owned()));
        }
        let parent = name
            .strip_prefix("api.")
            .or_else(|| name.strip_prefix("app."));
        if let Some(site) = parent.and_then(|parent| SITES.into_iter().find(|site| *site == parent))
        {
            return Err(SiteError::HostOfSite { host: name, site });
        }
        Ok(Self(name))
    }

    /// The name, for example `us5.datadoghq.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of Datadog's public sites; otherwise its hosts must be named as extra.
    #[must_use]
    pub fn is_known(&self) -> bool {
        SITES.contains(&self.as_str())
    }

    /// The hosts of it that answer calls: each has addresses of its own.
    #[must_use]
    pub fn hosts(&self) -> [String; 5] {
        [
            "api",
            "app",
            "mcp",
            "http-intake.logs",
            "event-management-intake",
        ]
        .map(|host| format!("{host}.{self}"))
    }

    /// Datadog's public sites.
    #[must_use]
    pub const fn known() -> &'static [&'static str] {
        &SITES
    }
}

impl Default for Site {
    fn default() -> Self {
        Self(SITES[0].to_owned())
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Site {
    type Err = SiteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Whether a host (without port) belongs to Datadog: at or under one of its domains, or under one
/// of `extra` (the domains of a private deployment). Case and one trailing dot do not matter.
#[must_use]
pub fn is_datadog_host(host: &str, extra: &[String]) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    DOMAINS.iter().any(|domain| is_at_or_under(host, domain))
        || extra.iter().any(|domain| {
            let domain = domain.strip_suffix('.').unwrap_or(domain);
            is_at_or_under(host, domain)
        })
}

/// The host a request to the gate's base URL is for: such a request has lost it, and only method
/// and path are left to tell. (The method counts: posting an event and listing events share a path.)
#[must_use]
pub fn base_host(site: &Site, method: &Method, path: &str) -> String {
    let logs = ["/api/v2/logs", "/v1/input"];
    let is = |known: &str| path.strip_suffix('/').unwrap_or(path) == known;
    let host = if logs.into_iter().any(is) || path.starts_with("/v1/input/") {
        "http-intake.logs"
    } else if *method == Method::POST && is("/api/v2/events") {
        "event-management-intake"
    } else {
        "api"
    };
    format!("{host}.{site}")
}

/// The DNS subtrees (RFC 5280, 4.2.1.10) a gate's certificate authority may vouch for: the same
/// names [`is_datadog_host`] accepts, so that the authority is worthless for any other host.
#[must_use]
pub fn name_constraints(extra: &[String]) -> Vec<String> {
    let mut subtrees: Vec<String> = DOMAINS.iter().map(|&domain| domain.to_owned()).collect();
    for domain in extra.iter().map(|domain| canonical(domain)) {
        if is_domain(&domain) && !subtrees.iter().any(|known| is_at_or_under(&domain, known)) {
            subtrees.push(domain);
        }
    }
    subtrees
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether `host` is `domain` or ends in `.domain`; a match inside a label does not count.
fn is_at_or_under(host: &str, domain: &str) -> bool {
    // An empty extra would be under every name that ends in a dot.
    let (host, domain) = (host.as_bytes(), domain.as_bytes());
    let Some(front) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    !domain.is_empty()
        && host[front..].eq_ignore_ascii_case(domain)
        && (front == 0 || (front > 1 && host[front - 1] == b'.'))
}

/// Letters, digits and inner hyphens in two or more labels of at most 63 (RFC 1123, 2.1), the last
/// not all digits, so that an IPv4 address is none.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && name
            .rsplit_once('.')
            .is_some_and(|(_, top)| !top.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sites_are_read_as_people_write_them() {
        for (text, site) in [
            ("datadoghq.com", "datadoghq.com"),
            (" US5.DatadogHQ.com. ", "us5.datadoghq.com"),
            ("dd.example.test", "dd.example.test"),
        ] {
            assert_eq!(Site::parse(text).unwrap().as_str(), site);
        }
        assert!(Site::default().is_known());
        assert!(!Site::parse("dd.example.test").unwrap().is_known());
        for known in Site::known() {
            assert!(known.parse::<Site>().unwrap().is_known());
            assert!(is_datadog_host(known, &[]));
        }
    }

    #[test]
    fn what_is_not_a_site_is_refused_with_the_reason() {
        for text in [
            "",
            "com",
            "https://datadoghq.com",
            "datadoghq.com/",
            "datadoghq.com:443",
            "a..b",
            ".datadoghq.com",
            "datadoghq.com..",
            "-a.com",
            "a b.com",
            "127.0.0.1",
        ] {
            assert_eq!(
                Site::parse(text),
                Err(SiteError::NotADomain(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            Site::parse("App.datadoghq.eu").unwrap_err().to_string(),
            "app.datadoghq.eu is a host of the site datadoghq.eu, not a site"
        );
    }

    #[test]
    fn datadogs_hosts_are_known_and_look_alikes_are_not() {
        let extra = ["dd.example.test.".to_owned(), String::new()];
        for host in [
            "api.datadoghq.com",
            "API.DATADOGHQ.COM.",
            "datadoghq.eu",
            "http-intake.logs.us5.datadoghq.com",
            "navy.oncall.datadoghq.com",
            "api.us2.ddog-gov.com",
            "app.datad0g.com",
            "browser-intake-datadoghq.com",
            "rum.browser-intake-us5-datadoghq.com",
            "browser-intake-datadoghq.eu",
            "api.dd.example.test",
            "dd.example.test",
        ] {
            assert!(is_datadog_host(host, &extra), "{host}");
        }
        for host in [
            "",
            ".",
            "com",
            "evil-datadoghq.com",
            "evildatadoghq.com",
            "datadoghq.com.evil.test",
            "api.datadoghq.com..",
            ".datadoghq.com",
            "datadoghq.co",
            "browser-intake-evil-datadoghq.com",
            "browser-intake-.com",
            "browser-intake-datadoghq.com.evil.test",
            "api.datadoghq.com:443",
            "xdd.example.test",
            "example.test",
        ] {
            assert!(!is_datadog_host(host, &extra), "{host}");
        }
    }

    #[test]
    fn a_base_url_request_finds_its_host() {
        let site = Site::parse("datadoghq.eu").unwrap();
        for (method, path, host) in [
            (Method::POST, "/api/v2/logs", "http-intake.logs"),
            (Method::POST, "/api/v2/logs/", "http-intake.logs"),
            (Method::POST, "/v1/input", "http-intake.logs"),
            (Method::POST, "/v1/input/0123", "http-intake.logs"),
            (Method::POST, "/api/v2/logs/events/search", "api"),
            (Method::POST, "/api/v2/events", "event-management-intake"),
            (Method::GET, "/api/v2/events", "api"),
            (Method::GET, "/", "api"),
            (Method::GET, "/api/v1/monitor/1", "api"),
        ] {
            let expected = format!("{host}.datadoghq.eu");
            assert_eq!(base_host(&site, &method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn constraints_cover_every_host_and_nothing_twice() {
        let extra = [
            "DD.example.test".to_owned(),
            "api.datadoghq.com".to_owned(),
            "not a name".to_owned(),
        ];
        let subtrees = name_constraints(&extra);
        assert_eq!(subtrees.len(), DOMAINS.len() + 1);
        assert_eq!(subtrees.last().unwrap(), "dd.example.test");
    }

    proptest! {
        #[test]
        fn a_host_is_datadogs_exactly_when_a_constraint_holds_it(
            front in "[a-z.-]{0,12}",
            domain in prop::sample::select(&DOMAINS[..]),
            back in "(\\.|\\.evil\\.test)?",
        ) {
            let host = format!("{front}{domain}{back}");
            let bare = host.strip_suffix('.').unwrap_or(&host);
            let held = name_constraints(&[]).iter().any(|tree| {
                bare == tree || bare.strip_suffix(tree.as_str()).is_some_and(|f| f.len() > 1 && f.ends_with('.'))
            });
            prop_assert_eq!(is_datadog_host(&host, &[]), held);
        }
    }
}
