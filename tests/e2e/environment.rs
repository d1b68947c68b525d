//! What the command finds in its environment.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;

use crate::world::{Ddgate, World};

/// The environment of a child.
fn environment_of(ddgate: Ddgate) -> BTreeMap<String, String> {
    let outcome = ddgate.succeeds();
    let text = String::from_utf8(outcome.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_hex(value: &str, length: usize) -> bool {
    value.len() == length
        && value
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn placeholders_instead_of_keys() {
    let world = World::new();
    let child = environment_of(world.run(["env"]));
    let (api, application) = world.keys();
    for name in ["DD_API_KEY", "DATADOG_API_KEY"] {
        assert!(is_hex(&child[name], 32) && child[name] != api, "{name}");
        assert_eq!(child[name], child["DD_API_KEY"]);
    }
    for name in ["DD_APP_KEY", "DATADOG_APP_KEY", "DD_APPLICATION_KEY"] {
        assert!(
            is_hex(&child[name], 40) && child[name] != application,
            "{name}"
        );
    }
    assert!(!child.contains_key("DD_ACCESS_TOKEN"), "there was none");
    let again = environment_of(world.run(["env"]));
    assert_ne!(
        child["DD_API_KEY"], again["DD_API_KEY"],
        "each session has its own"
    );
}

#[test]
fn real_keys_hide_nowhere() {
    let world = World::new();
    let (api, application) = world.keys();
    let percent: String = api.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let base64 = base64::engine::general_purpose::STANDARD;
    let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let child = environment_of(
        world
            .run(["env"])
            .env("MY_BACKUP", format!("before {api} after"))
            .env(
                "MY_URL",
                format!("https://x.example/?api_key={percent}&a=1"),
            )
            .env("MY_HEADER", base64.encode(format!("user:{application}")))
            .env("MY_HEADER_2", url_safe.encode(format!("xy:{api}")))
            .env("MY_JSON", format!("{{\"k\": \"{application}\"}}"))
            .env("DD_ACCESS_TOKEN", "ddpat_0123456789abcdefghijklmnop")
            .env("DATADOG_API_KEY", "feedfacefeedfacefeedfacefeedface"),
    );
    for (name, value) in &child {
        let decoded = [
            base64.decode(value).unwrap_or_default(),
            url_safe.decode(value).unwrap_or_default(),
        ];
        for secret in [
            api.as_str(),
            &application,
            &percent,
            "ddpat_0123",
            "feedface",
        ] {
            assert!(!value.contains(secret), "{name}={value}");
            for decoded in &decoded {
                assert!(
                    !String::from_utf8_lossy(decoded).contains(secret),
                    "{name}={value}"
                );
            }
        }
    }
    assert_eq!(
        child["MY_BACKUP"],
        format!("before {} after", child["DD_API_KEY"])
    );
}

#[test]
fn the_way_leads_through_the_gate() {
    let world = World::new();
    let child = environment_of(
        world
            .run(["sh", "-c", "env; for f in \"$SSL_CERT_FILE\" \"$NODE_EXTRA_CA_CERTS\" \"$WGETRC\" \"$PUP_CONFIG_DIR\"; do test -e \"$f\" || echo \"MISSING=$f\"; done; echo CA_IN_BUNDLE=$(grep -c 'BEGIN CERT' \"$SSL_CERT_FILE\") ; echo CA_ALONE=$(grep -c 'BEGIN CERT' \"$NODE_EXTRA_CA_CERTS\")"])
            .env("NO_PROXY", "localhost,internal.example,.datadoghq.com,api.datadoghq.eu,*")
            .env("ALL_PROXY", "http://127.0.0.1:9"),
    );
    assert_eq!(child.get("MISSING"), None);
    assert_eq!(child["CA_ALONE"], "1");
    let bundled: u32 = child["CA_IN_BUNDLE"].parse().unwrap();
    assert!(bundled >= 1);
    let gate = &child["DD_HOST"];
    assert!(gate.starts_with("http://127.0.0.1:"), "{gate}");
    for name in [
        "DATADOG_HOST",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    ] {
        assert_eq!(&child[name], gate, "{name}");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(child[name], "localhost,127.0.0.1,::1,internal.example");
    }
    let ca = std::fs::read_to_string(&child["NODE_EXTRA_CA_CERTS"]).unwrap();
    let bundle = std::fs::read_to_string(&child["SSL_CERT_FILE"]).unwrap();
    assert!(
        bundle.contains(ca.trim()),
        "the session's CA is in the bundle"
    );
    assert!(!bundle.contains("PRIVATE KEY"));
    for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        assert_eq!(child[name], child["SSL_CERT_FILE"], "{name}");
    }
    assert!(Path::new(&child["SSL_CERT_FILE"]).starts_with(world.root()));
}

#[test]
fn what_would_make_other_credentials_is_gone() {
    let world = World::new();
    let taken = [
        "DDGATE_CLIENT_SECRET",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "CIRCLE_OIDC_TOKEN_V2",
        "BITBUCKET_STEP_OIDC_TOKEN",
        "CI_JOB_JWT_V2",
        "SYSTEM_ACCESSTOKEN",
        "DDGATE_AGE_IDENTITY",
        "DD_KMS_API_KEY",
    ];
    let mut ddgate = world.run(["env"]).env("MY_OWN", "kept as it is = \u{e9}");
    for name in taken {
        ddgate = ddgate.env(name, "secret-of-its-own");
    }
    let child = environment_of(ddgate);
    for name in taken {
        assert!(!child.contains_key(name), "{name}");
    }
    assert!(
        child
            .values()
            .all(|value| !value.contains("secret-of-its-own"))
    );
    assert_eq!(child["MY_OWN"], "kept as it is = \u{e9}");
}

#[test]
fn no_key_travels_in_the_arguments() {
    // Whatever stands in the command line is what the person typed; the record must not keep it.
    let world = World::new();
    let (api, _) = world.keys();
    world.run(["sh", "-c", ": $0", &api]).succeeds();
    let session = world.replay_json("latest");
    assert!(!session.to_string().contains(&api), "{session}");
}
