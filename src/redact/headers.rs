//! Headers worth recording, by allowlist: one nobody thought of is left out, not kept.

use http::HeaderMap;

use super::{KnownSecrets, Redacted};

/// Lower case, sorted. Never `authorization`, `cookie`, `set-cookie`, `proxy-*` or a Datadog key in
/// either spelling; nor `location` and `link`, whose addresses can be capabilities.
const KEPT: [&str; 37] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "age",
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "dd-request-id",
    "etag",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "last-modified",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "prefer",
    "range",
    "retry-after",
    "server",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "user-agent",
    "vary",
    "warning",
    "x-datadog-mcp-toolsets",
    "x-datadog-trace-id",
    "x-request-id",
];

/// Datadog's rate limits: `x-ratelimit-limit`, `-period`, `-remaining`, `-reset`, `-name`.
const KEPT_PREFIX: &str = "x-ratelimit-";

/// The headers of a request or an answer that go into the record, in their order, names in lower
/// case. Known secrets are cut out of the values; bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn headers(known: &KnownSecrets, headers: &HeaderMap) -> Redacted<Vec<(String, String)>> {
    let kept = headers
        .iter()
        .filter(|(name, _)| is_kept(name.as_str()))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), known.replaced(&value))
        })
        .collect();
    Redacted::new(kept)
}

fn is_kept(name: &str) -> bool {
    KEPT.binary_search(&name).is_ok() || name.starts_with(KEPT_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Secret;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn only_the_allowlist_is_kept_and_values_are_redacted() {
        let secret = "0123456789abcdef0123456789abcdef";
        let known =
            KnownSecrets::new([("dd-api-key".to_owned(), Secret::new(secret.to_owned()))]).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in [
            ("DD-API-KEY", "placeholder"),
            ("DD_API_KEY", "placeholder"),
            ("DD-APPLICATION-KEY", "placeholder"),
            ("DD_APPLICATION_KEY", "placeholder"),
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b"),
            ("Set-Cookie", "a=b"),
            ("Proxy-Authorization", "Basic x"),
            ("X-Unheard-Of", "x"),
            ("Content-Type", "application/json"),
            ("X-RateLimit-Remaining", "9"),
            ("User-Agent", "agent/1 0123456789abcdef0123456789abcdef"),
            ("MCP-Session-Id", "s1"),
        ] {
            map.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_static(value),
            );
        }
        map.append("etag", HeaderValue::from_bytes(b"\xff").unwrap());
        let mut kept = headers(&known, &map).into_inner();
        kept.sort();
        for (_, value) in &mut kept {
            *value = super::super::pseudonym::without_pseudonyms(value);
        }
        let expected = [
            ("content-type", "application/json"),
            ("etag", "\u{fffd}"),
            ("mcp-session-id", "s1"),
            ("user-agent", "agent/1 [REDACTED:dd-api-key]"),
            ("x-ratelimit-remaining", "9"),
        ];
        assert_eq!(
            kept,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn the_list_is_sorted_and_holds_no_credential() {
        assert!(KEPT.is_sorted());
        for name in KEPT {
            for word in ["auth", "cookie", "key", "token", "secret", "proxy"] {
                assert!(!name.contains(word), "{name}");
            }
        }
    }
}
