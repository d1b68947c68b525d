//! Targets (path and query) and the names a call is filed under.
//!
//! Credentials in a query are removed by the parameter's name, whatever the value: placeholders and
//! keys nobody told us about included. A key that stands in the path is removed where the catalogue
//! says so; in a path the catalogue does not know, whatever has the shape of a key is.

use std::borrow::Cow;

use super::{KnownSecrets, PseudonymKey, Redacted};
use crate::limits::RESOURCE_ID_BYTES_MAX;
use crate::record::{Operation, Resource, Secret};

/// Parameters that carry a credential, compared in lower case with `-` as `_`.
const SECRET_NAMES: [&str; 17] = [
    "access_key",
    "apikey",
    "app_key",
    "appkey",
    "application_key",
    "authorization",
    "bearer",
    "credential",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
    "x_amz_credential",
];

/// The same as the end of a longer name.
const SECRET_ENDINGS: [&str; 8] = [
    "_secret",
    "_password",
    "_signature",
    "_token",
    "api_key",
    "app_key",
    "application_key",
    "secret_key",
];

/// Names that end like a secret and are places in a list.
const PLACES: [&str; 5] = [
    "continuation_token",
    "cursor_token",
    "next_page_token",
    "next_token",
    "page_token",
];

/// An API key is 32 hex digits; nothing readable in a path is that long.
const KEY_DIGITS_MIN: usize = 32;

/// What a call is filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The path template; empty for a path the catalogue does not know.
    pub route: String,
    /// The objects the path names, identifiers cut to [`RESOURCE_ID_BYTES_MAX`].
    pub resources: Vec<Resource>,
}

/// Redacts the path and query of a call.
#[must_use]
pub fn target(
    known: &KnownSecrets,
    operation: &Operation,
    path_and_query: &str,
) -> Redacted<String> {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut shown = path_shown(operation, path, known.key());
    if let Some(query) = query {
        shown.push('?');
        shown.push_str(&pairs_shown(query, known.key()).0);
    }
    known.text(&shown)
}

/// The text that [`target`] removes from a path and query because of where it stands.
#[must_use]
pub fn gone_from_target(operation: &Operation, path_and_query: &str) -> Vec<Secret<String>> {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    let known = parameters(operation, path).map(|(_, segment)| segment);
    let unknown = path
        .split('/')
        .filter(|segment| operation.id.is_none() && is_key_like(segment));
    let segments = known.chain(unknown).map(parameter_value);
    segments.map(text).chain(pairs_gone(query)).collect()
}

/// Redacts what a call to `path` is filed under. An unknown path is no route: it stands in the
/// target only.
#[must_use]
pub fn names(known: &KnownSecrets, operation: &Operation, path: &str) -> Redacted<Names> {
    let shown = |text: &str| known.replaced(text);
    let id_shown = |id: &str| {
        let mut id = id.to_owned();
        for (name, segment) in parameters(operation, path) {
            // What the catalogue leaves in place of a key in the path.
            let bare = format!("[REDACTED:{name}]");
            id = id.replace(&bare, &parameter_marker(known.key(), name, segment));
        }
        shown(&id)
    };
    Redacted::new(Names {
        route: operation
            .id
            .map(|_| shown(&operation.route))
            .unwrap_or_default(),
        resources: operation
            .resources
            .iter()
            .map(|resource| Resource {
                kind: shown(&resource.kind),
                id: cut(id_shown(&resource.id)),
            })
            .collect(),
    })
}

fn cut(mut id: String) -> String {
    if id.len() > RESOURCE_ID_BYTES_MAX {
        let ellipsis = '…';
        let room = RESOURCE_ID_BYTES_MAX - ellipsis.len_utf8();
        let end = (0..=room).rev().find(|&at| id.is_char_boundary(at));
        id.truncate(end.unwrap_or_default());
        id.push(ellipsis);
    }
    id
}

fn path_shown(operation: &Operation, path: &str, key: &PseudonymKey) -> String {
    let mut template = operation.id.map(|_| operation.route.split('/'));
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| match &mut template {
            Some(template) => template
                .next()
                .and_then(|place| place.strip_prefix('{')?.strip_suffix('}'))
                .filter(|name| is_secret_parameter(operation, name))
                .map_or(Cow::Borrowed(segment), |name| {
                    Cow::Owned(parameter_marker(key, name, segment))
                }),
            None if is_key_like(segment) => Cow::Owned(key.marker("key-like", segment.as_bytes())),
            None => Cow::Borrowed(segment),
        })
        .collect();
    segments.join("/")
}

/// The parameters of a known path that are secret, with the segments that hold them.
fn parameters<'a>(
    operation: &'a Operation,
    path: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let template = operation.id.map(|_| operation.route.split('/'));
    let places = template.into_iter().flatten().zip(path.split('/'));
    places.filter_map(|(place, segment)| {
        let name = place.strip_prefix('{')?.strip_suffix('}')?;
        is_secret_parameter(operation, name).then_some((name, segment))
    })
}

/// A segment as the server reads it has the same pseudonym as anywhere else.
fn parameter_marker(key: &PseudonymKey, name: &str, segment: &str) -> String {
    key.marker(name, &parameter_value(segment))
}

/// Percent-decoding is that of forms, but for `+`, which is itself in a path.
fn parameter_value(segment: &str) -> Vec<u8> {
    decoded(&segment.replace('+', "%2B"))
}

fn text(bytes: Vec<u8>) -> Secret<String> {
    Secret::new(String::from_utf8_lossy(&bytes).into_owned())
}

/// A value as the server will read it.
fn decoded(value: &str) -> Vec<u8> {
    // As a value without a name: `&` and `=` in it would end it, and cannot stand there.
    let named = format!("v={}", value.replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(named.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned().into_bytes())
        .unwrap_or_default()
}

fn is_secret_parameter(operation: &Operation, parameter: &str) -> bool {
    operation
        .secret_request
        .iter()
        .chain(operation.secret_response)
        .any(|secret| secret.strip_prefix("path:") == Some(parameter))
}

fn is_key_like(segment: &str) -> bool {
    segment.len() >= KEY_DIGITS_MIN && segment.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Redacts `name=value` pairs joined by `&` (a query, a form) and counts what it removed.
pub(super) fn pairs_shown(pairs: &str, key: &PseudonymKey) -> (String, u64) {
    let mut removed = 0;
    let shown: Vec<_> = pairs
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
                removed += 1;
                let marker = key.marker(&plain_name(name), &decoded(value));
                Cow::Owned(format!("{name}={marker}"))
            }
            _ => Cow::Borrowed(pair),
        })
        .collect();
    (shown.join("&"), removed)
}

/// The values that [`pairs_shown`] removes.
pub(super) fn pairs_gone(pairs: &str) -> impl Iterator<Item = Secret<String>> {
    pairs
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, value)| !value.is_empty() && is_secret_name(name))
        .map(|(_, value)| text(decoded(value)))
}

fn is_secret_name(name: &str) -> bool {
    let name = plain_name(name);
    // `auth[token]` and `auth.token` are about a token.
    let last = name
        .rsplit(['[', '.'])
        .map(|part| part.trim_end_matches(']'))
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let ends = |name: &str| SECRET_ENDINGS.iter().any(|end| name.ends_with(end));
    SECRET_NAMES.contains(&last) || (ends(last) && !PLACES.contains(&last))
}

/// A parameter's name as the server will read it, in lower case with `-` as `_`.
fn plain_name(name: &str) -> String {
    url::form_urlencoded::parse(name.as_bytes())
        .next()
        .map(|(name, _)| name.to_ascii_lowercase().replace('-', "_"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::pseudonym::without_pseudonyms;
    use super::*;
    use crate::datadog::classify;
    use http::Method;
    use proptest::prelude::*;

    const API: &str = "api.datadoghq.com";
    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn known() -> KnownSecrets {
        KnownSecrets::new([
            ("dd-api-key".to_owned(), Secret::new(KEY.to_owned())),
            ("other".to_owned(), Secret::new("s/e?c&r=e t".to_owned())),
        ])
        .unwrap()
    }

    fn shown(method: &Method, path_and_query: &str) -> String {
        let path = path_and_query.split('?').next().unwrap();
        let operation = classify(method, API, path);
        without_pseudonyms(target(&known(), &operation, path_and_query).get())
    }

    #[test]
    fn credentials_are_removed_by_name_whatever_the_value() {
        for (query, expected) in [
            ("api_key=abc", "api_key=[REDACTED:api_key]"),
            (
                "a=1&application_key=x&b=2",
                "a=1&application_key=[REDACTED:application_key]&b=2",
            ),
            ("DD-API-KEY=x", "DD-API-KEY=[REDACTED:dd_api_key]"),
            ("%61pi_key=x", "%61pi_key=[REDACTED:api_key]"),
            ("access_token=a=b", "access_token=[REDACTED:access_token]"),
            ("auth[token]=x", "auth[token]=[REDACTED:auth[token]]"),
            ("api_key=", "api_key="),
            ("api_key", "api_key"),
            (
                "page_token=x&monitor_tags=key:v",
                "page_token=x&monitor_tags=key:v",
            ),
            ("query=token", "query=token"),
            ("from=1&&to=2", "from=1&&to=2"),
            ("", ""),
        ] {
            let got = shown(&Method::GET, &format!("/api/v1/query?{query}"));
            assert_eq!(got, format!("/api/v1/query?{expected}"));
        }
    }

    #[test]
    fn known_secrets_are_removed_anywhere() {
        let got = shown(&Method::GET, &format!("/api/v1/query?query={KEY}"));
        assert_eq!(got, "/api/v1/query?query=[REDACTED:dd-api-key]");
        let got = shown(&Method::GET, "/api/v1/tags/hosts/s%2Fe%3Fc%26r%3De%20t");
        assert_eq!(got, "/api/v1/tags/hosts/[REDACTED:other]");
    }

    #[test]
    fn keys_in_the_path_are_removed() {
        let other = "f".repeat(32);
        for (path, expected) in [
            (
                format!("/api/v1/api_key/{other}"),
                "/api/v1/api_key/[REDACTED:key]",
            ),
            (
                format!("/api/v1/api_key/{other}/"),
                "/api/v1/api_key/[REDACTED:key]/",
            ),
            (
                "/api/v1/dashboard/public/tok/invitation?a=b".to_owned(),
                "/api/v1/dashboard/public/[REDACTED:token]/invitation?a=b",
            ),
            (
                format!("//api/v1/api_key/{other}"),
                "//api/v1/api_key/[REDACTED:key-like]",
            ),
            ("/api/v1/monitor/1".to_owned(), "/api/v1/monitor/1"),
        ] {
            assert_eq!(shown(&Method::DELETE, &path), expected);
        }
        let operation = classify(
            &Method::POST,
            "http-intake.logs.datadoghq.com",
            "/v1/input/k1",
        );
        let got = target(&known(), &operation, "/v1/input/k1");
        let got = without_pseudonyms(got.get());
        assert_eq!(got, "/v1/input/[REDACTED:api_key]");
    }

    #[test]
    fn names_hold_no_secret_no_unknown_path_and_no_novel() {
        let operation = classify(&Method::GET, API, &format!("/api/v1/monitor/{KEY}"));
        let got = names(&known(), &operation, "").into_inner();
        assert_eq!(got.route, "/api/v1/monitor/{monitor_id}");
        let id = without_pseudonyms(&got.resources[0].id);
        assert_eq!(id, "[REDACTED:dd-api-key]");
        let operation = classify(&Method::GET, API, "/unknown");
        assert_eq!(names(&known(), &operation, "/unknown").get().route, "");
        let long = format!("/api/v1/monitor/{}", "é".repeat(300).replace('é', "%C3%A9"));
        let got = names(&known(), &classify(&Method::GET, API, &long), &long).into_inner();
        assert!(got.resources[0].id.len() <= RESOURCE_ID_BYTES_MAX);
        assert!(got.resources[0].id.ends_with("é…"));
    }

    #[test]
    fn a_key_has_one_pseudonym_wherever_it_stands() {
        let (known, key) = (known(), "k+ =é-of-somebody-else");
        let path: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let path = format!("/api/v1/api_key/{}", path.replace('+', "%20"));
        let operation = classify(&Method::DELETE, API, &path);
        let pseudonym = known.key().pseudonym(key.as_bytes());
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("api_key", key)
            .finish();
        let shown = target(&known, &operation, &format!("{path}?{query}")).into_inner();
        assert_eq!(
            shown,
            format!(
                "/api/v1/api_key/[REDACTED:key:{pseudonym}]?api_key=[REDACTED:api_key:{pseudonym}]"
            )
        );
        let names = names(&known, &operation, &path).into_inner();
        assert_eq!(names.resources[0].id, format!("[REDACTED:key:{pseudonym}]"));
        let mut document = serde_json::json!({ "key": key });
        super::super::json::cut(&mut document, "key", known.key(), &mut Vec::new());
        assert_eq!(document["key"], format!("[REDACTED:key:{pseudonym}]"));
        // In the answer too.
        let gone = gone_from_target(&operation, &format!("{path}?{query}"));
        let echo = known.and(&gone).text(&format!("no key {key} here"));
        assert_eq!(
            echo.get(),
            &format!("no key [REDACTED:echo:{pseudonym}] here")
        );
    }

    proptest! {
        #[test]
        fn no_credential_survives_in_a_query(
            name in "(api_key|application_key|token|x-auth-token|app_key)",
            value in "[!-%'-~]{7,40}",
            before in "[a-z=&]{0,10}",
            after in "[a-z=&]{0,10}",
        ) {
            let query = format!("{before}&{name}={value}&{after}");
            let (shown, removed) = pairs_shown(&query, known().key());
            prop_assert!(removed >= 1);
            prop_assert!(!shown.contains(&value), "{}", shown);
        }

        #[test]
        fn any_target_is_survived(path_and_query in "\\PC{0,80}") {
            let _ = shown(&Method::GET, &path_and_query);
        }
    }
}
