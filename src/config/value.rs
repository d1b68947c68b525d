//! What the text of a setting means: sites, URLs, and the words of each choice.
//!
//! Pure. Every function returns the value, or a lower-case fragment that says what is wrong.
//! A URL is never repeated in a message: it may carry a password.

use std::net::IpAddr;

use url::{Host, Url};

use crate::datadog::Site;
use crate::record::event::Durability;
use crate::record::{EgressRule, Enforce, WorkloadSystem};

/// Who opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityMode {
    /// A person signed in by OpenID Connect.
    Oidc,
    /// The operating system's user, verified by nobody.
    Local,
}

/// Where a sign-in and Datadog keys are kept between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The keyring if it works, else memory.
    Auto,
    /// The operating system's keyring or nothing.
    Keyring,
    /// A file only the user can read.
    File,
    /// This run only.
    Memory,
}

/// When a person may be asked something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// When there is a terminal and no CI.
    Auto,
    /// Even without a terminal.
    Always,
    /// Not at all: what would ask fails instead.
    Never,
}

/// How a person signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// With a code, on any device.
    Device,
    /// With a browser on this machine.
    Browser,
}

/// Whether a sign-in proves that it has its key (RFC 9449).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dpop {
    /// Where the provider offers that.
    Auto,
    /// Nowhere.
    Off,
}

/// A setting that is one of a few words.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];

    /// Finds what a word stands for.
    fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, choice)) = Self::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*choice);
        }
        let words = Self::WORDS.iter().map(|(word, _)| *word);
        let list = words.clone().collect::<Vec<_>>().join(", ");
        Err(match closest(text, words) {
            Some(word) => format!("`{text}` is not one of {list} (did you mean `{word}`?)"),
            None => format!("`{text}` is not one of {list}"),
        })
    }

    /// The word for a choice.
    fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, choice)| *choice == self)
            .map_or("", |(word, _)| *word)
    }
}

impl Choice for IdentityMode {
    const WORDS: &'static [(&'static str, Self)] = &[("oidc", Self::Oidc), ("local", Self::Local)];
}

impl Choice for Durability {
    const WORDS: &'static [(&'static str, Self)] =
        &[("power-loss", Self::PowerLoss), ("process", Self::Process)];
}

impl Choice for Enforce {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("on", Self::On),
        ("strict", Self::Strict),
        ("off", Self::Off),
    ];
}

impl Choice for EgressRule {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("any", Self::Any),
        ("listed", Self::Listed),
        ("datadog-only", Self::DatadogOnly),
    ];
}

impl Choice for WorkloadSystem {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("github", Self::Github),
        ("gitlab", Self::Gitlab),
        ("circleci", Self::Circleci),
        ("buildkite", Self::Buildkite),
        ("azure-devops", Self::AzureDevops),
        ("bitbucket", Self::Bitbucket),
        ("kubernetes", Self::Kubernetes),
        ("google", Self::Google),
        ("other", Self::Other),
    ];
}

impl Choice for Storage {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("keyring", Self::Keyring),
        ("file", Self::File),
        ("memory", Self::Memory),
    ];
}

impl Choice for Prompt {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("always", Self::Always),
        ("never", Self::Never),
    ];
}

impl Choice for Flow {
    const WORDS: &'static [(&'static str, Self)] =
        &[("device", Self::Device), ("browser", Self::Browser)];
}

impl Choice for Dpop {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("off", Self::Off)];
}

/// Reads a Datadog site: a DNS name, lower case. Private deployments have their own.
pub(super) fn site(text: &str) -> Result<String, String> {
    let site = text.trim().trim_end_matches('.').to_ascii_lowercase();
    // People paste the address of the web page, or of the API.
    let is_address = text.contains(['/', ':'])
        || ["api.", "app.", "mcp.", "www."]
            .iter()
            .any(|host| site.starts_with(host));
    if let Some(known) = site_of_url(text).filter(|_| is_address) {
        return Err(format!(
            "`{text}` is a host of the site `{known}`: write `{known}`"
        ));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if site.len() > 253
        || !site.contains('.')
        || !site.split('.').all(label)
        || site.parse::<IpAddr>().is_ok()
    {
        return Err(format!(
            "`{text}` is not a site: write a domain such as `datadoghq.eu`"
        ));
    }
    Ok(site)
}

/// Returns the Datadog site a URL or host belongs to, if it is one of Datadog's own.
pub(super) fn site_of_url(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let url = Url::parse(text)
        .ok()
        .filter(Url::has_host)
        .or_else(|| Url::parse(&format!("https://{text}")).ok())?;
    let host = url.host_str()?.trim_end_matches('.');
    Site::known()
        .iter()
        .copied()
        .filter(|site| {
            host.strip_suffix(site)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
        // `api.us3.datadoghq.com` also ends in `datadoghq.com`: the longest is meant.
        .max_by_key(|site| site.len())
}

/// Reads an upstream: scheme, host and port, nothing else.
pub(super) fn upstream(text: &str) -> Result<Url, String> {
    let url = plain_url(text)?;
    if !matches!(url.path(), "" | "/") {
        return Err("must have no path: only scheme, host and port".to_owned());
    }
    Ok(url)
}

/// Reads an issuer, and keeps it letter for letter: OpenID Connect compares issuers as text.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let url = plain_url(text)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("must be https: http is for loopback addresses only".to_owned());
    }
    Ok(text.to_owned())
}

/// Any text that says something and fits on a line.
pub(super) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Words without spaces, at least one.
pub(super) fn words(list: &[String]) -> Result<Vec<String>, String> {
    if list.is_empty() {
        return Err("must not be empty".to_owned());
    }
    list.iter()
        .map(|word| match text(word) {
            Ok(word) if word.contains(char::is_whitespace) => {
                Err(format!("`{word}` must not hold spaces"))
            }
            other => other,
        })
        .collect()
}

fn plain_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            "not a URL: it should begin with https:// or http://".to_owned()
        }
        other => format!("not a URL: {other}"),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "must begin with http:// or https://, not {}:",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query or fragment".to_owned());
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Finds the word somebody probably meant: at most a third of it mistyped.
pub(super) fn closest<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    words
        .map(|word| (distance(&typed, word), word))
        .filter(|(distance, word)| *distance <= word.chars().count().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sites_are_domains() {
        assert_eq!(site("DatadogHQ.eu").unwrap(), "datadoghq.eu");
        assert_eq!(
            site("us2.ddog-gov.com.").unwrap(),
            "us2.ddog-gov.com",
            "a trailing dot is DNS's own spelling"
        );
        assert_eq!(site("dd.corp.example").unwrap(), "dd.corp.example");
        assert_eq!(
            site("ap9.datadoghq.com").unwrap(),
            "ap9.datadoghq.com",
            "a region younger than ddgate"
        );
        for bad in [
            "",
            "eu",
            "a b.com",
            "-a.com",
            "a..com",
            "dd.example:443",
            "dd.example/x",
            "10.0.0.1",
        ] {
            assert!(site(bad).is_err(), "{bad}");
        }
        for host in [
            "https://app.datadoghq.eu/dashboards",
            "api.datadoghq.eu",
            "datadoghq.eu:443",
        ] {
            assert!(
                site(host).unwrap_err().contains("write `datadoghq.eu`"),
                "{host}"
            );
        }
    }

    #[test]
    fn every_known_site_is_a_site_and_its_own() {
        for known in Site::known() {
            assert_eq!(site(known).unwrap(), *known);
            assert_eq!(site_of_url(known), Some(*known));
            assert_eq!(site_of_url(&format!("https://api.{known}/")), Some(*known));
            assert_ne!(
                site_of_url(&format!("https://evil-{known}/")),
                Some(*known),
                "another name, not a subdomain"
            );
        }
        assert_eq!(site_of_url("http://127.0.0.1:4000"), None);
    }

    #[test]
    fn upstreams_are_scheme_host_port() {
        assert_eq!(
            upstream("http://127.0.0.1:9/").unwrap().as_str(),
            "http://127.0.0.1:9/"
        );
        for bad in [
            "",
            "127.0.0.1:9",
            "ftp://h",
            "http://h/x",
            "http://h?q",
            "http://h#f",
        ] {
            assert!(upstream(bad).is_err(), "{bad}");
        }
        let refused = upstream("https://me:hunter2@h").unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn issuers_are_https_or_loopback_and_kept_letter_for_letter() {
        for good in [
            "https://idp.example",
            "https://idp.example/realms/a",
            "http://localhost:1",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert_eq!(issuer(good).unwrap(), good);
        }
        for bad in [
            "http://idp.example",
            "https://u@idp.example",
            "https://idp.example?x",
            "idp.example",
        ] {
            assert!(issuer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_found_and_suggested() {
        assert_eq!(Storage::parse("keyring"), Ok(Storage::Keyring));
        assert!(
            Storage::parse("keyrign")
                .unwrap_err()
                .contains("did you mean `keyring`?")
        );
        assert!(!Storage::parse("xyz").unwrap_err().contains("did you mean"));
        for (word, choice) in Prompt::WORDS {
            assert_eq!(choice.word(), *word);
        }
    }

    proptest! {
        #[test]
        fn distance_is_a_distance(a in "[a-c]{0,6}", b in "[a-c]{0,6}") {
            prop_assert_eq!(distance(&a, &a), 0);
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
        }

        #[test]
        fn a_site_is_its_own_site(text in ".{0,40}") {
            if let Ok(site) = site(&text) {
                prop_assert_eq!(super::site(&site), Ok(site.clone()));
            }
        }

        #[test]
        fn urls_never_panic(text in ".{0,60}") {
            let _ = (upstream(&text), issuer(&text), site_of_url(&text));
        }
    }
}
