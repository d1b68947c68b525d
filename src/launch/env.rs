//! The child's environment: what is taken away, what is put in, what is left alone.
//!
//! Pure. Invariant: no real secret in any value, every Datadog client that can be steered by
//! a variable is steered to the gate, and a variable that concerns neither stays byte for
//! byte as it was. Which files the variables name is decided here, what stands in them in
//! `files`.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::Path;

use super::scrub::Scrubber;
use super::{ChildFiles, chain, jks, no_proxy};

/// What the child holds instead of real credentials. Random for each session.
#[derive(Clone, Debug)]
pub struct Placeholders {
    /// 32 lower-case hex digits.
    pub api_key: String,
    /// 40 lower-case hex digits.
    pub app_key: String,
    /// Stands in for an OAuth or personal access token.
    pub bearer: String,
    /// Whether the child is offered one it did not ask for: a token is what the gate holds.
    pub offers_token: bool,
}

/// Everything [`build`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The gate: one loopback port for base URL, proxy and direct TLS.
    pub gate: SocketAddr,
    /// The real Datadog site.
    pub site: &'a str,
    /// What the child holds instead of keys.
    pub placeholders: &'a Placeholders,
    /// Knows the real secrets.
    pub scrubber: &'a Scrubber,
    /// The session's files.
    pub files: &'a ChildFiles,
    /// Domains the gate intercepts beyond Datadog's own.
    pub intercepted: &'a [String],
}

const API_KEYS: &[&str] = &["DD_API_KEY", "DATADOG_API_KEY"];
const APP_KEYS: &[&str] = &[
    "DD_APP_KEY",
    "DATADOG_APP_KEY",
    "DD_APPLICATION_KEY",
    "DATADOG_APPLICATION_KEY",
];
/// Replaced only where the parent has one: a client that finds a token prefers it to keys.
const BEARERS: &[&str] = &["DD_ACCESS_TOKEN", "DD_BEARER_TOKEN", "DATADOG_BEARER_TOKEN"];
/// Set where the gate holds a token and no application key. One is enough: clients that know keys
/// alone work with the placeholders of those.
const OFFERED_BEARER: &str = "DD_ACCESS_TOKEN";
const SITES: &[&str] = &["DD_SITE", "DATADOG_SITE"];
const HOSTS: &[&str] = &["DD_HOST", "DATADOG_HOST"];
/// Both cases: wget reads only the lower, some only the upper; Ruby takes `http_proxy` for
/// https as well.
const PROXIES: &[&str] = &["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// Adds nothing where the four above are set, so it is only ever overridden.
const ALL_PROXIES: &[&str] = &["ALL_PROXY", "all_proxy"];
const NO_PROXIES: &[&str] = &["NO_PROXY", "no_proxy"];
/// Every variable that replaces a client's root certificates.
const BUNDLES: &[&str] = &[
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "DENO_CERT",
    "npm_config_cafile",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CODEX_CA_CERTIFICATE",
];

/// Other ways to a Datadog credential: keys wrapped by a cloud's key service, and Terraform's
/// exchange of cloud credentials for a Datadog token.
const KEY_SOURCES: &[&str] = &[
    "DD_KMS_API_KEY",
    "DD_API_KEY_SECRET_ARN",
    "DD_API_KEY_SSM_ARN",
    "DD_CLOUD_PROVIDER_TYPE",
    "DATADOG_CLOUD_PROVIDER_TYPE",
    "DD_ORG_UUID",
    "DATADOG_ORG_UUID",
];
/// With these a CI job asks for identity tokens: the child would mint identities of its own.
const IDENTITY_SOURCES: &[&str] = &[
    "SYSTEM_ACCESSTOKEN",
    "SYSTEM_OIDCREQUESTURI",
    "BITBUCKET_STEP_OIDC_TOKEN",
];
/// The same, by how the name begins.
const IDENTITY_SOURCE_PREFIXES: &[&str] = &[
    "ACTIONS_ID_TOKEN_REQUEST_",
    "CIRCLE_OIDC_TOKEN",
    "CI_JOB_JWT",
    "DDGATE_ID_TOKEN",
];
/// Names the variable that holds the token, where it has a name of the user's choice.
const IDENTITY_SOURCE_NAME: &str = "DDGATE_ID_TOKEN_ENV";
/// Of these the ones whose values are tokens, and not addresses or names.
const IDENTITY_TOKENS: &[&str] = &[
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "BITBUCKET_STEP_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
    "DDGATE_ID_TOKEN",
    "SYSTEM_ACCESSTOKEN",
];
/// ddgate's own secrets, and where they are.
const OWN_SECRETS: &[&str] = &[
    "DDGATE_AGE_IDENTITY",
    "DDGATE_CLIENT_SECRET",
    "DDGATE_REDACTION_KEY",
];

/// Makes the child's environment from the parent's.
///
/// Of a name that stands twice the first counts, as for `getenv`; order is kept.
#[must_use]
pub fn build(parent: &[(OsString, OsString)], inputs: &Inputs<'_>) -> Vec<(OsString, OsString)> {
    let mut child = ChildEnvironment::inherit(parent, inputs.scrubber);

    child.set_all(API_KEYS, &inputs.placeholders.api_key);
    child.set_all(APP_KEYS, &inputs.placeholders.app_key);
    child.override_all(BEARERS, &inputs.placeholders.bearer);
    if inputs.placeholders.offers_token {
        child.set(OFFERED_BEARER, &inputs.placeholders.bearer);
    }

    let gate = format!("http://{}", inputs.gate);
    child.set_all(SITES, inputs.site);
    child.set_all(HOSTS, &gate);
    if cfg!(any(windows, target_os = "macos")) {
        // Neither reads SSL_CERT_FILE there; the base URL is the only way in.
        child.set("PUP_MOCK_SERVER", &gate);
    }
    if child.value("DD_MCP_DOMAIN").is_none() {
        child.set("DD_MCP_DOMAIN", format!("mcp.{}", inputs.site));
    }
    child.set("PUP_CONFIG_DIR", &inputs.files.pup);
    child.set("DD_TOKEN_STORAGE", "file");

    child.set_all(PROXIES, &gate);
    child.override_all(ALL_PROXIES, &gate);
    let exempt = no_proxy::merge(
        NO_PROXIES.iter().filter_map(|name| child.value(name)),
        inputs.site,
        inputs.intercepted,
    );
    child.set_all(NO_PROXIES, &exempt);
    child.set("NODE_USE_ENV_PROXY", "1");
    child.set("DDGATE_TLS_PORT", inputs.gate.port().to_string());

    child.set_all(BUNDLES, &inputs.files.bundle);
    child.set("NODE_EXTRA_CA_CERTS", &inputs.files.ca);
    child.set("WGETRC", &inputs.files.wgetrc);

    child.preload(inputs.files);
    child.steer_java(inputs.gate, &inputs.files.jks);
    if cfg!(unix)
        && let Some(path) = child.value("PATH")
    {
        let path = chain::list(&inputs.files.launchers, Some(path));
        child.set("PATH", path);
    }
    child.variables
}

/// Looks a variable up in an environment, the way the platform compares names.
#[must_use]
pub fn value<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    environment
        .iter()
        .find(|(other, _)| is_same_name(other, name))
        .map(|(_, value)| value.as_os_str())
}

struct ChildEnvironment {
    variables: Vec<(OsString, OsString)>,
}

impl ChildEnvironment {
    /// What is left of the parent's environment before anything is added.
    fn inherit(parent: &[(OsString, OsString)], scrubber: &Scrubber) -> Self {
        let mut seen = std::collections::HashSet::new();
        let named = value(parent, IDENTITY_SOURCE_NAME).and_then(OsStr::to_str);
        let is_named = |name: &OsStr| named.is_some_and(|named| is_same_name(name, named));
        let variables = parent
            .iter()
            .filter(|(name, _)| !is_taken_away(name) && !is_named(name) && seen.insert(name))
            .map(|(name, value)| {
                let clean = scrubber.scrub(value).unwrap_or_else(|| value.clone());
                (name.clone(), clean)
            })
            .collect();
        Self { variables }
    }

    /// A value that says something: an empty one is as good as none.
    fn value(&self, name: &str) -> Option<&OsStr> {
        value(&self.variables, name).filter(|value| !value.is_empty())
    }

    fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let value = value.as_ref().to_owned();
        match self
            .variables
            .iter_mut()
            .find(|(other, _)| is_same_name(other, name))
        {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.into(), value)),
        }
    }

    /// Names the files that Python, Node and Ruby load before the program.
    fn preload(&mut self, files: &ChildFiles) {
        let python = chain::list(&files.python, self.value("PYTHONPATH"));
        self.set("PYTHONPATH", python);

        // In quotes, a path may have spaces.
        let mut node = OsString::from("--require=\"");
        node.push(quotable(&files.node));
        node.push("\"");
        let options = self.value("NODE_OPTIONS");
        let options = chain::options(options, &node, "--require=\"", "ddgate-preload.cjs\"");
        self.set("NODE_OPTIONS", options);

        // Here nothing quotes a space: then the file's name alone, and where to look for it.
        let ruby = files.ruby.with_extension("");
        let name = if !has_space(&ruby) {
            ruby.as_os_str()
        } else {
            let directory = ruby.parent().unwrap_or(&ruby);
            let directories = chain::list(directory, self.value("RUBYLIB"));
            self.set("RUBYLIB", directories);
            ruby.file_name().unwrap_or_default()
        };
        let mut require = OsString::from("-r");
        require.push(name);
        let options = self.value("RUBYOPT");
        let options = chain::options(options, &require, "-r", "ddgate_preload");
        self.set("RUBYOPT", options);
    }

    /// A JVM reads no variable for a proxy or for certificates, but it reads options. It says so on
    /// its standard error, which is the price (ARCHITECTURE.md, "Clients").
    fn steer_java(&mut self, gate: SocketAddr, jks: &Path) {
        let (host, port) = (gate.ip(), gate.port());
        let start = format!("-Dhttps.proxyHost={host} -Dhttps.proxyPort=");
        let mut ours = OsString::from(format!(
            "{start}{port} -Dhttp.proxyHost={host} -Dhttp.proxyPort={port} "
        ));
        let theirs = self.value("JAVA_TOOL_OPTIONS");
        let users = chain::users(theirs, &start, "ddgate-trust.jks");
        let store = b"javax.net.ssl.trustStore";
        if users
            .as_encoded_bytes()
            .windows(store.len())
            .any(|window| window == store)
        {
            // What they say of their own store must not be held against ours.
            ours.push(format!(
                "-Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStorePassword={} ",
                jks::PASSWORD
            ));
        }
        ours.push("-Djavax.net.ssl.trustStore=");
        let directory = jks.parent().unwrap_or(jks);
        let quote = if has_space(directory) { "\"" } else { "" };
        ours.push(quote);
        ours.push(directory);
        ours.push(quote);
        // Outside the quotes, so that it ends the same way with and without.
        ours.push(format!("{}ddgate-trust.jks", std::path::MAIN_SEPARATOR));
        let options = chain::options(theirs, &ours, &start, "ddgate-trust.jks");
        self.set("JAVA_TOOL_OPTIONS", options);
    }

    fn set_all(&mut self, names: &[&str], value: impl AsRef<OsStr>) {
        for name in names {
            self.set(name, &value);
        }
    }

    /// Sets only those that already say something.
    fn override_all(&mut self, names: &[&str], value: impl AsRef<OsStr>) {
        for name in names {
            if self.value(name).is_some() {
                self.set(name, &value);
            }
        }
    }
}

fn has_space(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().any(u8::is_ascii_whitespace)
}

/// A path as Node reads it in quotes, where a backslash escapes; Windows takes both kinds.
fn quotable(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) if cfg!(windows) => text.replace('\\', "/").into(),
        _ => path.as_os_str().to_owned(),
    }
}

fn is_taken_away(name: &OsStr) -> bool {
    let whole = [KEY_SOURCES, IDENTITY_SOURCES, OWN_SECRETS];
    whole
        .iter()
        .flat_map(|names| names.iter())
        .any(|taken| is_same_name(name, taken))
        || IDENTITY_SOURCE_PREFIXES.iter().any(|prefix| {
            let name = name.as_encoded_bytes();
            name.get(..prefix.len())
                .is_some_and(|start| is_same(start, prefix.as_bytes()))
        })
}

fn is_same_name(name: &OsStr, other: &str) -> bool {
    is_same(name.as_encoded_bytes(), other.as_bytes())
}

/// Windows does not tell cases apart in names of variables.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if cfg!(windows) {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

/// The credentials an environment holds, Datadog's and those of a CI job's identity, each with the
/// name the record has for its kind.
pub fn credentials(
    environment: &[(OsString, OsString)],
) -> impl Iterator<Item = (&'static str, &str)> {
    let named = value(environment, IDENTITY_SOURCE_NAME).and_then(OsStr::to_str);
    environment.iter().filter_map(move |(name, value)| {
        let name = name.to_str()?;
        let kind = if API_KEYS.contains(&name) {
            "dd-api-key"
        } else if APP_KEYS.contains(&name) {
            "dd-application-key"
        } else if BEARERS.contains(&name) {
            "dd-bearer"
        } else if IDENTITY_TOKENS.contains(&name) || named == Some(name) {
            "id-token"
        } else {
            return None;
        };
        Some((kind, value.to_str()?.trim())).filter(|(_, value)| !value.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::super::scrub::Replacement;
    use super::*;
    use crate::record::Secret;
    use proptest::prelude::*;

    const REAL: &str = "0123456789abcdef0123456789abcdef";
    const API: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const APP: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const BEARER: &str = "cccccccccccccccccccccccccccccccccccccccc";
    const GATE: &str = "http://127.0.0.1:4000";

    fn child(parent: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let scrubber = Scrubber::new([Replacement {
            secret: Secret::new(REAL.to_owned()),
            placeholder: API.to_owned(),
        }]);
        build(
            parent,
            &Inputs {
                gate: "127.0.0.1:4000".parse().unwrap(),
                site: "datadoghq.eu",
                placeholders: &Placeholders {
                    api_key: API.to_owned(),
                    app_key: APP.to_owned(),
                    bearer: BEARER.to_owned(),
                    offers_token: false,
                },
                scrubber: &scrubber,
                files: &ChildFiles::below(Path::new("/s")),
                intercepted: &["intercepted.example".to_owned()],
            },
        )
    }

    fn pairs(parent: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        parent
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn shown(environment: &[(OsString, OsString)]) -> String {
        let mut lines: Vec<_> = environment
            .iter()
            .map(|(name, value)| format!("{}={}\n", name.display(), value.display()))
            .collect();
        lines.sort();
        lines.concat()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_empty_parent_yields_the_whole_recommendation() {
        insta::assert_snapshot!(shown(&child(&[])), @r#"
        AWS_CA_BUNDLE=/s/bundle.pem
        CARGO_HTTP_CAINFO=/s/bundle.pem
        CODEX_CA_CERTIFICATE=/s/bundle.pem
        CURL_CA_BUNDLE=/s/bundle.pem
        DATADOG_API_KEY=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        DATADOG_APPLICATION_KEY=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        DATADOG_APP_KEY=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        DATADOG_HOST=http://127.0.0.1:4000
        DATADOG_SITE=datadoghq.eu
        DDGATE_TLS_PORT=4000
        DD_API_KEY=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        DD_APPLICATION_KEY=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        DD_APP_KEY=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        DD_HOST=http://127.0.0.1:4000
        DD_MCP_DOMAIN=mcp.datadoghq.eu
        DD_SITE=datadoghq.eu
        DD_TOKEN_STORAGE=file
        DENO_CERT=/s/bundle.pem
        GIT_SSL_CAINFO=/s/bundle.pem
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=/s/bundle.pem
        HTTPS_PROXY=http://127.0.0.1:4000
        HTTP_PROXY=http://127.0.0.1:4000
        JAVA_TOOL_OPTIONS=-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4000 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4000 -Djavax.net.ssl.trustStore=/s/ddgate-trust.jks
        NODE_EXTRA_CA_CERTS=/s/ca.pem
        NODE_OPTIONS=--require="/s/ddgate-preload.cjs"
        NODE_USE_ENV_PROXY=1
        NO_PROXY=localhost,127.0.0.1,::1
        PIP_CERT=/s/bundle.pem
        PUP_CONFIG_DIR=/s/pup
        PYTHONPATH=/s/ddgate-python
        REQUESTS_CA_BUNDLE=/s/bundle.pem
        RUBYOPT=-r/s/ddgate_preload
        SSL_CERT_FILE=/s/bundle.pem
        WGETRC=/s/wgetrc
        http_proxy=http://127.0.0.1:4000
        https_proxy=http://127.0.0.1:4000
        no_proxy=localhost,127.0.0.1,::1
        npm_config_cafile=/s/bundle.pem
        "#);
    }

    #[test]
    fn what_gives_credentials_is_taken_away() {
        let parent: Vec<_> = KEY_SOURCES
            .iter()
            .chain(IDENTITY_SOURCES)
            .chain(OWN_SECRETS)
            .chain(&[
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
                "CIRCLE_OIDC_TOKEN",
                "CIRCLE_OIDC_TOKEN_V2",
                "DDGATE_ID_TOKEN",
                "DDGATE_ID_TOKEN_FILE",
            ])
            .map(|name| (*name, "x"))
            .collect();
        assert_eq!(shown(&child(&pairs(&parent))), shown(&child(&[])));
    }

    #[test]
    fn tokens_and_other_proxies_are_replaced_only_where_there_are_some() {
        let built = child(&pairs(&[
            ("DD_ACCESS_TOKEN", "real"),
            ("DD_BEARER_TOKEN", ""),
            ("all_proxy", "socks5://corp"),
            ("HTTPS_PROXY", "http://user:password@corp"),
        ]));
        assert_eq!(value(&built, "DD_ACCESS_TOKEN"), Some(OsStr::new(BEARER)));
        assert_eq!(value(&built, "DD_BEARER_TOKEN"), Some(OsStr::new("")));
        assert_eq!(value(&built, "DATADOG_BEARER_TOKEN"), None);
        assert_eq!(value(&built, "all_proxy"), Some(OsStr::new(GATE)));
        assert_eq!(value(&built, "ALL_PROXY"), None);
        assert_eq!(value(&built, "HTTPS_PROXY"), Some(OsStr::new(GATE)));
    }

    #[test]
    fn the_users_own_wishes_stay_where_they_do_no_harm() {
        let built = child(&pairs(&[
            ("DD_MCP_DOMAIN", "mcp.mine.example"),
            ("no_proxy", "a.corp,*"),
            ("NO_PROXY", "b.corp a.corp intercepted.example"),
            ("SSL_CERT_DIR", "/mine"),
        ]));
        assert_eq!(
            value(&built, "DD_MCP_DOMAIN"),
            Some(OsStr::new("mcp.mine.example"))
        );
        for name in NO_PROXIES {
            assert_eq!(
                value(&built, name),
                Some(OsStr::new("localhost,127.0.0.1,::1,b.corp,a.corp"))
            );
        }
        assert_eq!(value(&built, "SSL_CERT_DIR"), Some(OsStr::new("/mine")));
    }

    #[cfg(unix)]
    #[test]
    fn the_users_own_options_and_directories_are_kept() {
        let parent = pairs(&[
            ("PATH", "/v/bin::/usr/bin"),
            ("PYTHONPATH", "/mine"),
            ("NODE_OPTIONS", "--max-old-space-size=4096"),
            ("RUBYOPT", "-W0"),
            (
                "JAVA_TOOL_OPTIONS",
                "-Xmx1g -Djavax.net.ssl.trustStore=/corp.p12",
            ),
        ]);
        let built = child(&parent);
        let said = |name| value(&built, name).unwrap().to_str().unwrap();
        assert_eq!(said("PATH"), "/s/ddgate-bin:/v/bin::/usr/bin");
        assert_eq!(said("PYTHONPATH"), "/s/ddgate-python:/mine");
        let node = "--max-old-space-size=4096 --require=\"/s/ddgate-preload.cjs\"";
        assert_eq!(said("NODE_OPTIONS"), node);
        assert_eq!(said("RUBYOPT"), "-W0 -r/s/ddgate_preload");
        assert_eq!(
            said("JAVA_TOOL_OPTIONS"),
            "-Xmx1g -Djavax.net.ssl.trustStore=/corp.p12 -Dhttps.proxyHost=127.0.0.1 \
             -Dhttps.proxyPort=4000 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4000 \
             -Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStorePassword=changeit \
             -Djavax.net.ssl.trustStore=/s/ddgate-trust.jks"
        );
        assert_eq!(shown(&child(&built)), shown(&built), "a gate inside a gate");
        // Nothing to launch from, nothing in front of it.
        assert_eq!(value(&child(&[]), "PATH"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_path_with_spaces_is_written_as_each_reads_it() {
        let mut child = ChildEnvironment {
            variables: pairs(&[("RUBYLIB", "/mine")]),
        };
        let files = ChildFiles::below(Path::new("/a b"));
        child.preload(&files);
        child.steer_java("127.0.0.1:4000".parse().unwrap(), &files.jks);
        let said = |name| child.value(name).unwrap().to_str().unwrap();
        assert_eq!(
            said("NODE_OPTIONS"),
            "--require=\"/a b/ddgate-preload.cjs\""
        );
        assert_eq!(said("RUBYOPT"), "-rddgate_preload");
        assert_eq!(said("RUBYLIB"), "/a b:/mine");
        let java = said("JAVA_TOOL_OPTIONS");
        assert!(
            java.ends_with("trustStore=\"/a b\"/ddgate-trust.jks"),
            "{java}"
        );
    }

    #[test]
    fn real_keys_go_whatever_the_variable_is_called() {
        let built = child(&pairs(&[
            ("TF_VAR_whatever", REAL),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                &format!("a=b,dd-api-key={REAL}"),
            ),
        ]));
        assert_eq!(value(&built, "TF_VAR_whatever"), Some(OsStr::new(API)));
        assert_eq!(
            value(&built, "OTEL_EXPORTER_OTLP_HEADERS"),
            Some(OsStr::new(&format!("a=b,dd-api-key={API}")))
        );
    }

    #[cfg(unix)]
    fn text() -> impl Strategy<Value = OsString> {
        use std::os::unix::ffi::OsStringExt;
        prop::collection::vec(1_u8.., 0..24).prop_map(OsString::from_vec)
    }

    #[cfg(unix)]
    fn name() -> impl Strategy<Value = OsString> {
        prop_oneof![
            "[A-Za-z_]{1,8}".prop_map(OsString::from),
            prop::sample::select(
                [
                    API_KEYS,
                    APP_KEYS,
                    BEARERS,
                    HOSTS,
                    PROXIES,
                    NO_PROXIES,
                    BUNDLES,
                    KEY_SOURCES,
                    &[
                        "PATH",
                        "LOCAL_AGENT",
                        "CIRCLE_OIDC_TOKEN_V9",
                        "NODE_EXTRA_CA_CERTS"
                    ]
                ]
                .concat()
            )
            .prop_map(OsString::from),
        ]
    }

    #[cfg(unix)]
    proptest! {
        #[test]
        fn only_what_concerns_the_gate_changes(
            parent in prop::collection::vec((name(), text()), 0..12),
            secret_at in prop::option::of(0_usize..12),
        ) {
            let mut parent = parent;
            if let Some((_, value)) = secret_at.and_then(|at| parent.get_mut(at)) {
                value.push(REAL);
            }
            let bare = child(&[]);
            let built = child(&parent);
            for (at, (name, got)) in built.iter().enumerate() {
                prop_assert!(built[..at].iter().all(|(other, _)| other != name), "twice");
                prop_assert!(!is_taken_away(name));
                let bytes = got.as_encoded_bytes();
                prop_assert!(!bytes.windows(REAL.len()).any(|w| w == REAL.as_bytes()));
                let ours = bare.iter().any(|(other, _)| other == name)
                    || BEARERS.iter().any(|bearer| name == bearer)
                    // What was there stands behind the launchers: see `chain`.
                    || name == "PATH";
                if !ours {
                    let (_, before) = parent.iter().find(|(other, _)| other == name).unwrap();
                    if !before.as_encoded_bytes().ends_with(REAL.as_bytes()) {
                        prop_assert_eq!(got, before);
                    }
                }
            }
            for (name, _) in &parent {
                prop_assert!(is_taken_away(name) || built.iter().any(|(other, _)| other == name));
            }
            // Building twice changes nothing: a gate inside a gate is one gate.
            prop_assert_eq!(shown(&child(&built)), shown(&built));
        }
    }
}
