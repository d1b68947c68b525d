//! What this machine gives: room for the record, a way out, certificates, a sandbox.

use std::path::Path;

use super::super::context::{Context, Lookup};
use super::{CERTIFICATES, DATA_DIRECTORY, PROXY, SANDBOX, disk, failed, limited, silent};
use crate::config::env;
use crate::launch::Sandbox;
use crate::net::{Dialer, tls};
use crate::record::{Enforce, Enforcement};
use crate::ui::doctor::Finding;

/// Bundles that programs under the gate may be told to use.
const BUNDLES: [&str; 4] = [
    env::SSL_CERT_FILE,
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];
/// One variable, in both cases: the first counts.
const TWICE: [(&str, &str); 3] = [
    (env::HTTPS_PROXY, "https_proxy"),
    (env::ALL_PROXY, "all_proxy"),
    (env::NO_PROXY, "no_proxy"),
];
/// Where a sandbox is tried out, any port does.
const SOME_PORT: u16 = 1;

/// All of them; those that block, on threads of their own.
pub(super) async fn checks(context: &Context) -> Vec<Finding> {
    let directory = context.config.data_dir.value.clone();
    let (mode, ports) = (
        context.config.enforce.mode.value,
        context.config.enforce.allow_ports.value.clone(),
    );
    let certificates = certificates_named(&context.lookup);
    let (data, roots, held) = tokio::join!(
        limited(
            aside(DATA_DIRECTORY, move || disk::check(&directory)),
            silent(DATA_DIRECTORY)
        ),
        limited(
            aside(CERTIFICATES, move || roots(certificates)),
            silent(CERTIFICATES)
        ),
        limited(
            aside(SANDBOX, move || sandbox(mode, &ports)),
            silent(SANDBOX)
        ),
    );
    let host = format!("api.{}", context.config.datadog.site.value);
    vec![data, roots, held, proxy(&context.lookup, &host)]
}

/// Those that need no settings.
pub(super) fn without_settings(lookup: &Lookup) -> Vec<Finding> {
    vec![
        proxy(lookup, "api.datadoghq.com"),
        roots(certificates_named(lookup)),
        sandbox(Enforce::Auto, &[]),
    ]
}

async fn aside(check: &'static str, work: impl FnOnce() -> Finding + Send + 'static) -> Finding {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Finding::fail(check, "the check broke off", "please report it"))
}

/// The way to Datadog, and what contradicts itself about it. Shows no proxy's password.
fn proxy(lookup: &Lookup, host: &str) -> Finding {
    let set = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    let dialer = match Dialer::from_environment(lookup) {
        Ok(dialer) => dialer,
        Err(error) => return failed(PROXY, &error.into()),
    };
    let way = match dialer.proxy_for(host, 443) {
        Some(proxy) => format!("{host} is reached through {proxy}"),
        None => format!("{host} is reached directly"),
    };
    for (upper, lower) in TWICE {
        if let (Some(one), Some(other)) = (set(upper), set(lower))
            && one.trim() != other.trim()
        {
            return Finding::warn(
                PROXY,
                format!("{way}; {upper} and {lower} say different things, and {upper} counts"),
                format!("unset one of {upper} and {lower}: programs do not agree on which counts"),
            );
        }
    }
    let plain = ["HTTP_PROXY", "http_proxy"]
        .into_iter()
        .find(|name| set(name).is_some());
    if let Some(name) = plain
        && dialer.proxy_for(host, 443).is_none()
        && [env::HTTPS_PROXY, "https_proxy", env::ALL_PROXY, "all_proxy"]
            .iter()
            .all(|name| set(name).is_none())
    {
        return Finding::warn(
            PROXY,
            format!("{way}; {name} is set, but not HTTPS_PROXY"),
            "if https goes through that proxy as well, set HTTPS_PROXY",
        );
    }
    Finding::ok(PROXY, way)
}

/// Files of certificates that variables name and nobody can read.
fn certificates_named(lookup: &Lookup) -> (Option<String>, Vec<String>) {
    let named = |name: &&str| lookup(name).filter(|path| !path.is_empty());
    let broken = BUNDLES.into_iter().filter(|name| {
        named(name).is_some_and(|path| std::fs::File::open(Path::new(&path)).is_err())
    });
    let broken = broken.map(str::to_owned).collect();
    (named(&env::SSL_CERT_FILE), broken)
}

fn roots((file, broken): (Option<String>, Vec<String>)) -> Finding {
    let count = match tls::root_count() {
        Ok(count) => count,
        Err(error) => return failed(CERTIFICATES, &error.into()),
    };
    let place = match file {
        Some(file) => format!("{} ({file})", env::SSL_CERT_FILE),
        None => "the platform's store".to_owned(),
    };
    let found = format!("{count} roots from {place}");
    if broken.is_empty() {
        return Finding::ok(CERTIFICATES, found);
    }
    let names = broken.join(", ");
    Finding::warn(
        CERTIFICATES,
        format!("{found}; {names} cannot be read"),
        format!("let {names} name a file that is there, or unset it"),
    )
}

fn sandbox(mode: Enforce, ports: &[u16]) -> Finding {
    let held: Enforcement = match Sandbox::prepare(mode, SOME_PORT, ports) {
        Ok(sandbox) => sandbox.enforcement().clone(),
        Err(error) => {
            return Finding::fail(
                SANDBOX,
                format!("--enforce={} cannot be had: {error}", mode.word()),
                "--enforce=auto runs all the same, and records that the command was not held",
            );
        }
    };
    match held.why {
        Some(why) => Finding::warn(
            SANDBOX,
            format!("the command would not be held to the gate: {why}"),
            "Linux 6.7 or later with Landlock; without real keys, going round gets a 403",
        ),
        None if held.held.is_empty() => Finding::warn(
            SANDBOX,
            "off, by the settings: the command can go round the gate",
            "`enforce.mode = \"auto\"`",
        ),
        None => Finding::ok(
            SANDBOX,
            format!(
                "held: {}; open: {}",
                held.held.join(", "),
                held.open.join(", ")
            ),
        ),
    }
}
