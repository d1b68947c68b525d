//! Which headers cross a proxy (RFC 9110, 7.6.1), and in what shape.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};

use http::uri::PathAndQuery;
use url::form_urlencoded;

use crate::redact::Replacer;

/// Content codings the gate can look into; others are never asked for.
const READABLE: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];
/// Headers that some servers take for the method.
const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];
/// A parameter that some servers take for it.
const METHOD_PARAMETER: &str = "_method";
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

/// Whether a request asks to be taken for one with another method. Whether Datadog obeys is not
/// known: where a policy decides by the method, nothing can be said about such a request.
pub(super) fn overrides_method(headers: &HeaderMap, target: &PathAndQuery) -> bool {
    // An escaped letter is still one to whoever reads the parameter.
    let is_method =
        |(name, _): (Cow<'_, str>, Cow<'_, str>)| name.eq_ignore_ascii_case(METHOD_PARAMETER);
    let parameters = target.query().unwrap_or_default().split(';');
    headers.keys().any(is_method_override)
        || parameters
            .flat_map(|part| form_urlencoded::parse(part.as_bytes()))
            .any(is_method)
}

/// Servers that pass headers on as variables take `_` and `-` for the same.
fn is_method_override(name: &HeaderName) -> bool {
    let name = name.as_str();
    METHOD_OVERRIDES.contains(&name)
        || name.contains('_') && METHOD_OVERRIDES.contains(&name.replace('_', "-").as_str())
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
    let overriding: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_method_override(name))
        .cloned()
        .collect();
    for name in overriding {
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
    fn other_methods_in_disguise_are_known() {
        let none = HeaderMap::new();
        for (target, is_one) in [
            ("/api/v1/monitor", false),
            ("/api/v1/monitor?method=x&a_method=y&b=_method", false),
            ("/api/v1/monitor?_method=DELETE", true),
            ("/api/v1/monitor?a=b&_Method=DELETE", true),
            ("/api/v1/monitor?a=b;%5Fmethod=DELETE", true),
        ] {
            let target = PathAndQuery::from_static(target);
            assert_eq!(overrides_method(&none, &target), is_one, "{target}");
        }
        let target = PathAndQuery::from_static("/");
        for (name, is_one) in [
            ("x-http-method-override", true),
            ("x_http_method_override", true),
            ("x-http-method", true),
            ("x-method-override", true),
            ("x-http-methods", false),
        ] {
            let value = HeaderValue::from_static("DELETE");
            let mut headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
            assert_eq!(overrides_method(&headers, &target), is_one, "{name}");
            towards_datadog(&mut headers);
            assert_eq!(headers.is_empty(), is_one, "{name} goes on");
        }
    }

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
