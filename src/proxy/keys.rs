//! The child's placeholders and the real keys behind them.
//!
//! Invariant: a real key is added only where its placeholder stood. A placeholder doubles as the
//! right to use the gate: whoever cannot show one is refused. One exception, and only towards
//! Datadog's MCP server: an agent that signed in there by itself comes with a token of its own, or
//! with none yet. Such a call passes as it is; no key of the gate is ever added to it.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use subtle::ConstantTimeEq;

use crate::record::Secret;

/// The header names keys travel under; the underscored ones come from Datadog's own MCP plugin.
const API_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("dd-api-key"),
    HeaderName::from_static("dd_api_key"),
];
const APP_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("dd-application-key"),
    HeaderName::from_static("dd_application_key"),
];
const API_PARAM: &str = "api_key";
const APP_PARAM: &str = "application_key";

/// One key: what the child holds, and what Datadog gets.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The placeholder. Not secret from the child, but never recorded.
    pub placeholder: Secret<String>,
    /// The real key, if the gate holds one.
    pub real: Option<Secret<String>>,
}

impl Slot {
    fn fits(&self, shown: &str) -> bool {
        // A placeholder is a password on the loopback: no early exit for whoever measures.
        bool::from(self.placeholder.expose().as_bytes().ct_eq(shown.as_bytes()))
    }
}

/// The keys of one session.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `DD-API-KEY`.
    pub api: Slot,
    /// `DD-APPLICATION-KEY`.
    pub app: Slot,
    /// `Authorization: Bearer`.
    pub bearer: Slot,
    /// Real keys that were seen in files the child can read, with the name of the file.
    pub elsewhere: Vec<(Secret<String>, String)>,
}

/// Why a call may not pass. The wording is for the agent that reads the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoRight {
    /// It shows no key.
    NoKey,
    /// It shows a key that is no placeholder of this session; the file it stands in, if known.
    ForeignKey(Option<String>),
    /// It shows only placeholders for keys the gate does not hold.
    NotHeld(&'static str),
}

impl NoRight {
    pub(super) const fn rule(&self) -> &'static str {
        match self {
            Self::NoKey => "no-key",
            Self::ForeignKey(_) => "foreign-key",
            Self::NotHeld(_) => "key-not-held",
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::ForeignKey(Some(file)) => format!(
                "this call carries the key in {file}, which ddgate did not hand out; use \
                 DD_API_KEY and DD_APP_KEY from the environment ddgate gave you instead"
            ),
            Self::NoKey => "this call carries no Datadog key; use DD_API_KEY and DD_APP_KEY \
                            from the environment ddgate gave you"
                .into(),
            Self::ForeignKey(None) => "this call carries a key that ddgate did not hand out; use \
                                 DD_API_KEY and DD_APP_KEY from the environment ddgate gave you, \
                                 not a key found elsewhere (~/.dogrc, .env, an MCP configuration)"
                .into(),
            Self::NotHeld(which) => format!(
                "ddgate holds no {which}; the person who runs it can add one with \
                 `ddgate keys set {which}`"
            ),
        }
    }
}

/// Proof that every key of a request is a placeholder of this session; or that none is, and none
/// of the gate's.
#[derive(Debug)]
pub(super) struct Right(Holder);

#[derive(Debug)]
enum Holder {
    Gate,
    Agent(Option<Secret<String>>),
}

impl Right {
    /// The rule that lets the call pass, where that is not the session's policy.
    pub(super) const fn rule(&self) -> Option<&'static str> {
        match self.0 {
            Holder::Gate => None,
            Holder::Agent(Some(_)) => Some("own-token"),
            Holder::Agent(None) => Some("no-token"),
        }
    }

    /// The agent's own token, which is nobody's to record.
    pub(super) const fn own_token(&self) -> Option<&Secret<String>> {
        match &self.0 {
            Holder::Agent(token) => token.as_ref(),
            Holder::Gate => None,
        }
    }
}

impl Keys {
    /// Checks every place a key can stand in.
    pub(super) fn identify(
        &self,
        headers: &HeaderMap,
        target: &PathAndQuery,
    ) -> Result<Right, NoRight> {
        let mut missing = None;
        let mut is_held = false;
        let mut check = |slot: &Slot, value: &str, which: &'static str| {
            if !slot.fits(value) {
                return Err(NoRight::ForeignKey(self.file_with(value)));
            }
            // Where no such key is held, an access token does as well.
            match slot.real.as_ref().or(self.bearer.real.as_ref()) {
                Some(_) => is_held = true,
                None => missing = Some(which),
            }
            Ok(())
        };
        for (names, slot, which) in [
            (API_HEADERS, &self.api, "api-key"),
            (APP_HEADERS, &self.app, "app-key"),
        ] {
            for value in names.iter().flat_map(|name| headers.get_all(name)) {
                check(slot, value.to_str().unwrap_or_default(), which)?;
            }
        }
        for value in headers.get_all(AUTHORIZATION) {
            match bearer(value) {
                Some("") => {}
                Some(token) => check(&self.bearer, token, "bearer")?,
                None => return Err(NoRight::ForeignKey(None)),
            }
        }
        for (name, value) in url::form_urlencoded::parse(target.query().unwrap_or("").as_bytes()) {
            match &*name {
                API_PARAM => check(&self.api, &value, "api-key")?,
                APP_PARAM => check(&self.app, &value, "app-key")?,
                _ => {}
            }
        }
        match missing {
            _ if is_held => Ok(Right(Holder::Gate)),
            Some(which) => Err(NoRight::NotHeld(which)),
            None => Err(NoRight::NoKey),
        }
    }

    fn file_with(&self, shown: &str) -> Option<String> {
        let mut files = self.elsewhere.iter();
        let found = files.find(|(key, _)| key.expose() == shown);
        found.map(|(_, file)| file.clone())
    }

    /// The right of a call to Datadog's MCP server that shows no key: with a token that the agent
    /// got there by itself, or without one, as when it asks how to sign in. None when there is
    /// anything else: a key, a second token, or one that this gate knows.
    pub(super) fn own(&self, headers: &HeaderMap, target: &PathAndQuery) -> Option<Right> {
        let mut names = API_HEADERS.into_iter().chain(APP_HEADERS);
        let query = target.query().unwrap_or_default();
        let mut params = url::form_urlencoded::parse(query.as_bytes());
        if names.any(|name| headers.contains_key(name))
            || params.any(|(name, _)| [API_PARAM, APP_PARAM].contains(&&*name))
        {
            return None;
        }
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let token = match (shown.next(), shown.next()) {
            (None, _) => return Some(Right(Holder::Agent(None))),
            (Some(value), None) => bearer(value).filter(|token| !token.is_empty())?,
            (Some(_), Some(_)) => return None,
        };
        // A key of the gate that turns up here was found somewhere; so was a placeholder's twin.
        let is_known = self.named().any(|(_, slot)| {
            slot.fits(token)
                || slot
                    .real
                    .as_ref()
                    .is_some_and(|real| real.expose() == token)
        });
        let token = Secret::new(token.to_owned());
        (!is_known).then_some(Right(Holder::Agent(Some(token))))
    }

    /// Puts the real keys where the placeholders stand, and takes away placeholders of keys that
    /// are not held: clients send an application key along where an API key alone would do. If an
    /// access token is held, it goes in the place of keys that are not: Datadog takes it alone, and
    /// so every client that knows keys works with a token. Returns the new target.
    pub(super) fn arm(
        &self,
        right: Right,
        headers: &mut HeaderMap,
        target: &PathAndQuery,
    ) -> Result<PathAndQuery, http::Error> {
        if matches!(right.0, Holder::Agent(_)) {
            return Ok(target.clone());
        }
        let mut wants_token = self.lacks_key_in(target);
        for (names, slot) in [(API_HEADERS, &self.api), (APP_HEADERS, &self.app)] {
            for name in names {
                if headers.remove(&name).is_none() {
                    continue;
                }
                match &slot.real {
                    Some(real) => drop(headers.insert(name, sensitive(real.expose())?)),
                    None => wants_token = true,
                }
            }
        }
        // Datadog's Ruby client sends an empty one beside its keys: that one just goes.
        let shown = headers.remove(AUTHORIZATION);
        wants_token |= shown.is_some_and(|it| bearer(&it).is_some_and(|token| !token.is_empty()));
        if wants_token && let Some(real) = &self.bearer.real {
            let value = sensitive(&format!("Bearer {}", real.expose()))?;
            headers.insert(AUTHORIZATION, value);
        }
        self.arm_query(target)
    }

    /// Whether the query shows the placeholder of a key that is not held.
    fn lacks_key_in(&self, target: &PathAndQuery) -> bool {
        let query = target.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| match &*name {
            API_PARAM => self.api.real.is_none(),
            APP_PARAM => self.app.real.is_none(),
            _ => false,
        })
    }

    fn arm_query(&self, target: &PathAndQuery) -> Result<PathAndQuery, http::Error> {
        let Some(query) = target.query() else {
            return Ok(target.clone());
        };
        let armed: Vec<String> = query
            .split('&')
            .filter_map(|pair| {
                let name = pair.split_once('=').map_or(pair, |(name, _)| name);
                // Compared decoded, as `identify` compares: `api%5Fkey` is a key too.
                let decoded = url::form_urlencoded::parse(name.as_bytes())
                    .next()
                    .map(|(name, _)| name.into_owned());
                let slot = match decoded.as_deref() {
                    Some(API_PARAM) => &self.api,
                    Some(APP_PARAM) => &self.app,
                    _ => return Some(pair.to_owned()),
                };
                let real = slot.real.as_ref()?.expose();
                let value: String = url::form_urlencoded::byte_serialize(real.as_bytes()).collect();
                Some(format!("{name}={value}"))
            })
            .collect();
        let path = target.path();
        Ok(format!("{path}?{}", armed.join("&")).parse()?)
    }

    /// Every real key with the name the record shows for it and the placeholder that replaces it.
    pub fn reals(&self) -> impl Iterator<Item = (&'static str, &Secret<String>, &Secret<String>)> {
        self.named()
            .filter_map(|(name, slot)| Some((name, slot.real.as_ref()?, &slot.placeholder)))
    }

    /// Every slot with the name the record shows for it.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Slot)> {
        [
            ("dd-api-key", &self.api),
            ("dd-application-key", &self.app),
            ("dd-bearer", &self.bearer),
        ]
        .into_iter()
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let value = value.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn sensitive(value: &str) -> Result<HeaderValue, http::Error> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(placeholder: &str, real: Option<&str>) -> Slot {
        Slot {
            placeholder: Secret::new(placeholder.to_owned()),
            real: real.map(|real| Secret::new(real.to_owned())),
        }
    }

    fn keys() -> Keys {
        Keys {
            api: slot("pa", Some("REAL-A")),
            app: slot("pp", Some("REAL/P")),
            bearer: slot("pb", None),
            elsewhere: Vec::new(),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn verdict(
        pairs: &[(&'static str, &'static str)],
        target: &'static str,
    ) -> Result<(), NoRight> {
        keys()
            .identify(&headers(pairs), &PathAndQuery::from_static(target))
            .map(drop)
    }

    #[test]
    fn every_key_shown_must_be_a_placeholder() {
        let api = ("dd-api-key", "pa");
        assert_eq!(verdict(&[], "/"), Err(NoRight::NoKey));
        assert_eq!(verdict(&[api], "/"), Ok(()));
        assert_eq!(
            verdict(&[("dd_api_key", "pa"), ("dd_application_key", "pp")], "/"),
            Ok(())
        );
        assert_eq!(
            verdict(&[("dd-api-key", "REAL-A")], "/"),
            Err(NoRight::ForeignKey(None))
        );
        assert_eq!(
            verdict(&[("dd-api-key", "pp")], "/"),
            Err(NoRight::ForeignKey(None))
        );
        assert_eq!(
            verdict(&[api, ("dd-application-key", "x")], "/"),
            Err(NoRight::ForeignKey(None))
        );
        assert_eq!(verdict(&[], "/v?api_key=pa&application_key=pp"), Ok(()));
        assert_eq!(
            verdict(&[api], "/v?api%5Fkey=stolen"),
            Err(NoRight::ForeignKey(None))
        );
        assert_eq!(verdict(&[api, ("authorization", "Bearer ")], "/"), Ok(()));
        assert_eq!(verdict(&[api, ("authorization", "Bearer")], "/"), Ok(()));
        assert_eq!(
            verdict(&[api, ("authorization", "Basic eA==")], "/"),
            Err(NoRight::ForeignKey(None))
        );
        assert_eq!(
            verdict(&[("authorization", "bearer pb")], "/"),
            Err(NoRight::NotHeld("bearer"))
        );
    }

    #[test]
    fn a_token_of_the_agents_own_passes_alone_and_unchanged() {
        let keys = keys();
        let own = |pairs: &[(&'static str, &'static str)], target: &'static str| {
            let right = keys.own(&headers(pairs), &PathAndQuery::from_static(target));
            right.map(|right| right.rule())
        };
        let token = ("authorization", "Bearer of-its-own");
        assert_eq!(own(&[token], "/v1/mcp"), Some(Some("own-token")));
        assert_eq!(own(&[], "/v1/mcp"), Some(Some("no-token")));
        for shown in [
            &[token, ("dd-api-key", "x")][..],
            &[token, ("dd_application_key", "pp")],
            &[token, token],
            &[("authorization", "Basic eA==")],
            &[("authorization", "Bearer REAL-A")],
            &[("authorization", "Bearer pb")],
            &[("authorization", "Bearer ")],
        ] {
            assert_eq!(own(shown, "/v1/mcp"), None, "{shown:?}");
        }
        assert_eq!(own(&[token], "/v1/mcp?api%5Fkey=x"), None);
        let mut map = headers(&[token]);
        let target = PathAndQuery::from_static("/v1/mcp?toolsets=core");
        let right = keys.own(&map, &target).unwrap();
        assert_eq!(keys.arm(right, &mut map, &target).unwrap(), target);
        assert_eq!(map, headers(&[token]));
    }

    #[test]
    fn real_keys_stand_only_where_placeholders_stood() {
        let keys = keys();
        let mut map = headers(&[("dd-api-key", "pa"), ("authorization", "Bearer ")]);
        let target = PathAndQuery::from_static("/v?a=1&application%5Fkey=pp&b=%20");
        let right = keys.identify(&map, &target).unwrap();
        let armed = keys.arm(right, &mut map, &target).unwrap();
        assert_eq!(map["dd-api-key"], "REAL-A");
        assert!(!map.contains_key("dd-application-key"));
        assert!(!map.contains_key("authorization"));
        assert_eq!(armed, "/v?a=1&application%5Fkey=REAL%2FP&b=%20");
    }

    #[test]
    fn a_token_stands_in_for_keys_that_are_not_held() {
        let mut keys = keys();
        keys.api.real = None;
        keys.app.real = None;
        keys.bearer.real = Some(Secret::new("REAL-B".to_owned()));
        for (shown, target) in [
            (
                &[("dd-api-key", "pa"), ("dd-application-key", "pp")][..],
                "/",
            ),
            (
                &[("dd-application-key", "pp"), ("authorization", "Bearer ")],
                "/",
            ),
            (&[("authorization", "Bearer pb")], "/"),
            (&[], "/?api_key=pa&application_key=pp"),
        ] {
            let (mut map, target) = (headers(shown), PathAndQuery::from_static(target));
            let right = keys.identify(&map, &target).unwrap();
            assert_eq!(keys.arm(right, &mut map, &target).unwrap().path(), "/");
            assert_eq!(map.len(), 1, "{map:?}");
            assert_eq!(map["authorization"], "Bearer REAL-B");
        }
        let forged = headers(&[("dd-api-key", "pa"), ("dd-application-key", "x")]);
        let refused = keys.identify(&forged, &PathAndQuery::from_static("/"));
        assert_eq!(refused.map(drop), Err(NoRight::ForeignKey(None)));
        // A key that is held goes as itself, and the token only where one is missing.
        keys.api.real = Some(Secret::new("REAL-A".to_owned()));
        let target = PathAndQuery::from_static("/");
        let mut map = headers(&[("dd-api-key", "pa")]);
        let right = keys.identify(&map, &target).unwrap();
        keys.arm(right, &mut map, &target).unwrap();
        assert_eq!(map, headers(&[("dd-api-key", "REAL-A")]));
    }

    #[test]
    fn placeholders_of_keys_not_held_go_no_further() {
        let mut keys = keys();
        keys.app.real = None;
        let mut map = headers(&[("dd-api-key", "pa"), ("dd-application-key", "pp")]);
        let target = PathAndQuery::from_static("/v?application_key=pp&a=1");
        let right = keys.identify(&map, &target).unwrap();
        let armed = keys.arm(right, &mut map, &target).unwrap();
        assert_eq!(map["dd-api-key"], "REAL-A");
        assert!(!map.contains_key("dd-application-key"));
        assert_eq!(armed, "/v?a=1");
        let alone = headers(&[("dd-application-key", "pp")]);
        let not_held = keys.identify(&alone, &PathAndQuery::from_static("/"));
        assert_eq!(not_held.map(drop), Err(NoRight::NotHeld("app-key")));
    }
}
