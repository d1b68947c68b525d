//! The list of hosts that do without the gate's proxy.
//!
//! Pure. Invariant: loopback is always on the list (tools talk to their own local servers),
//! and nothing on it can exempt a host the gate must see, under any client's way of matching.

use std::ffi::OsStr;

/// Datadog's registrable domains. `browser-intake-*.com` are many, and matched by prefix.
const DATADOG: &[&str] = &[
    "datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "datad0g.com",
];
const BROWSER_INTAKE: &str = "browser-intake-";
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// Merges the user's lists into one value. `site` and `intercepted` are what the gate must
/// see beyond Datadog's own domains.
pub(super) fn merge<'a>(
    lists: impl Iterator<Item = &'a OsStr>,
    site: &str,
    intercepted: &[String],
) -> String {
    let domains: Vec<&str> = DATADOG
        .iter()
        .copied()
        .chain([site])
        .chain(intercepted.iter().map(String::as_str))
        .collect();
    let mut merged: Vec<&str> = LOOPBACK.to_vec();
    for list in lists {
        // Some tools write spaces, some commas. What is not UTF-8 is no host name.
        let entries = list
            .as_encoded_bytes()
            .split(|byte| *byte == b',' || byte.is_ascii_whitespace())
            .filter_map(|entry| std::str::from_utf8(entry).ok());
        for entry in entries {
            if !entry.is_empty() && !merged.contains(&entry) && !exempts(entry, &domains) {
                merged.push(entry);
            }
        }
    }
    merged.join(",")
}

/// Whether an entry could exempt one of the domains or a host below it.
fn exempts(entry: &str, domains: &[&str]) -> bool {
    let entry = entry.to_ascii_lowercase();
    // `.x`, `*.x`, `x.` and `x:443` mean x to somebody.
    let host = match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host
        }
        _ => entry.as_str(),
    };
    let host = host.trim_matches(['.', '*']);
    host.is_empty()
        || host.contains('*')
        || host.contains(BROWSER_INTAKE)
        // `com` exempts everything below it, and for clients that compare plain endings even
        // `hq.com` exempts `datadoghq.com`.
        || domains
            .iter()
            .any(|domain| domain.ends_with(host) || host.contains(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(list: &str) -> String {
        merge(
            [OsStr::new(list)].into_iter(),
            "dd.corp.example",
            &["intercepted.example".to_owned()],
        )
    }

    #[test]
    fn loopback_is_there_and_once() {
        assert_eq!(merged(""), "localhost,127.0.0.1,::1");
        assert_eq!(merged("localhost 127.0.0.1"), "localhost,127.0.0.1,::1");
    }

    #[test]
    fn the_users_own_entries_stay() {
        assert_eq!(
            merged("corp.internal, .svc.local 10.0.0.0/8\tgit.corp:8443 *.other.example"),
            "localhost,127.0.0.1,::1,corp.internal,.svc.local,10.0.0.0/8,git.corp:8443,*.other.example"
        );
    }

    #[test]
    fn what_would_hide_datadog_goes() {
        for entry in [
            "*",
            "datadoghq.com",
            ".DATADOGHQ.com",
            "*.datadoghq.eu",
            "api.us3.datadoghq.com:443",
            "com",
            ".com.",
            "eu",
            "hq.com",
            "api.*.com",
            "https://api.ddog-gov.com",
            "browser-intake-us5-datadoghq.com",
            "corp.example",
            "dd.corp.example",
            "logs.intercepted.example",
            "datad0g.com",
            ":443",
        ] {
            assert_eq!(merged(entry), "localhost,127.0.0.1,::1", "{entry}");
        }
    }

    proptest! {
        /// Python's `requests` compares plain endings, most others whole labels, some globs:
        /// the plain ending is the widest without a star.
        #[test]
        fn no_entry_matches_a_host_of_datadog(
            entries in prop::collection::vec("[*.]{0,2}(api|hq|datadoghq|com|eu|a|\\*)(\\.(com|eu|datadoghq|b))?(:[0-9]{1,2})?", 0..6),
            host in prop::sample::select(vec!["api.datadoghq.com", "http-intake.logs.datadoghq.eu", "dd.corp.example"]),
        ) {
            for entry in merged(&entries.join(",")).split(',') {
                let ending = entry.trim_start_matches(['.', '*']);
                let ending = ending.split_once(':').map_or(ending, |(host, _)| host);
                prop_assert!(ending.is_empty() == entry.starts_with("::"), "{}", entry);
                prop_assert!(ending.is_empty() || !host.ends_with(ending), "{}", entry);
                prop_assert!(!ending.contains('*'), "{}", entry);
            }
        }
    }
}
