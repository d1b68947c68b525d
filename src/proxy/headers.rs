//! Which headers cross a proxy (RFC 9110, 7.6.1), and in what shape.

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};

use crate::redact::Replacer;

/// Content codings the gate can look into; others are never asked for.
const READABLE: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];
const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let fixed = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in named.into_iter().chain(fixed) {
        headers.remove(name);
    }
}

/// Whether the child asks to leave HTTP (RFC 6455); `h2c`, which some clients offer, is ignored.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| {
        value.to_str().is_ok_and(|v| {
            v.split(',')
                .any(|p| p.trim().eq_ignore_ascii_case("websocket"))
        })
    })
}

/// Makes a child's headers fit for Datadog.
pub(super) fn towards_datadog(headers: &mut HeaderMap) {
    let trailers = headers
        .get(TE)
        .is_some_and(|te| te.to_str().is_ok_and(|te| te.contains("trailers")));
    strip_hop_by_hop(headers);
    // The gate answered 100 itself, and frames the body anew.
    for name in [EXPECT, CONTENT_LENGTH, TE] {
        headers.remove(name);
    }
    // What is recorded and judged is the method of the request line; no header may change it.
    for name in METHOD_OVERRIDES {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    narrow_accept_encoding(headers);
}

/// Leaves of `Accept-Encoding` what the gate can read, so that keys in answers are found.
fn narrow_accept_encoding(headers: &mut HeaderMap) {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let readable: Vec<&str> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|item| {
            let coding = item.split(';').next().unwrap_or_default().trim();
            READABLE
                .iter()
                .any(|known| known.eq_ignore_ascii_case(coding))
        })
        .collect();
    let value = match readable.as_slice() {
        [] => HeaderValue::from_static("identity"),
        some => {
            HeaderValue::from_str(&some.join(", ")).unwrap_or(HeaderValue::from_static("identity"))
        }
    };
    headers.insert(ACCEPT_ENCODING, value);
}

/// Makes Datadog's headers fit for the child. `recoded`: the body changes on its way, so its
/// coding and length no longer hold.
pub(super) fn towards_child(headers: &mut HeaderMap, recoded: bool, swap: &Replacer) {
    strip_hop_by_hop(headers);
    // It would invite the child to go round the gate by HTTP/3.
    headers.remove(ALT_SVC);
    if recoded {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
    swap_keys(headers, swap);
}

/// Real keys in values become placeholders.
pub(super) fn swap_keys(headers: &mut HeaderMap, swap: &Replacer) {
    for value in headers.values_mut() {
        if !swap.finds(value.as_bytes()) {
            continue;
        }
        let mut stream = swap.stream();
        let mut swapped = Vec::new();
        stream.push(value.as_bytes(), &mut swapped);
        stream.finish(&mut swapped);
        // A stand-in that is no header value leaves nothing rather than the key.
        *value = HeaderValue::from_bytes(&swapped).unwrap_or(HeaderValue::from_static(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_stay_on_their_hop() {
        let mut headers: HeaderMap = [
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("proxy-authorization", "Basic x"),
            ("upgrade", "h2c"),
            ("te", "trailers, deflate"),
            ("accept-encoding", "gzip;q=0.5, compress, br"),
            ("x-theirs", "2"),
        ]
        .into_iter()
        .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
        .collect();
        towards_datadog(&mut headers);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "accept-encoding: gzip;q=0.5, br",
                "te: trailers",
                "x-theirs: 2"
            ]
        );
    }
}
