//! Signing in against a real OpenID Provider, well-behaved and not (`tests/provider`).

#[path = "provider/start.rs"]
mod provider;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ddgate::auth::AuthError;
use ddgate::auth::identity::{
    self, DevicePrompt, IssuerSettings, Revocation, SignIn, SignInScreen, Unverified,
};
use ddgate::auth::secret_store::{SecretStore, Storage, StoreSettings, refresh_token_name};
use ddgate::auth::session::{self, HowKept, Prompting};
use ddgate::net::tls::client_config_trusting;
use ddgate::net::{Dialer, HttpsClient, NetError};
use ddgate::record::{Identity, Secret, Via};
use provider::TestProvider;
use rustls::RootCertStore;
use serde_json::Value;

/// What the table's longest silence may last: a hanging provider costs this much.
const LIMIT: Duration = Duration::from_secs(1);

fn client() -> HttpsClient {
    HttpsClient::for_tests(Dialer::direct(), None, LIMIT)
}

fn settings(provider: &TestProvider) -> IssuerSettings {
    let mut settings = IssuerSettings::new(&provider.issuer, "ddgate-cli");
    settings.scopes.push("groups".to_owned());
    settings.time_scale = 20;
    settings
}

/// A screen whose person acts at once, in a way of choice.
struct Person<'a> {
    act: Box<dyn Fn() + Send + Sync + 'a>,
    prompts: Mutex<Vec<DevicePrompt>>,
    troubles: Mutex<Vec<String>>,
}

impl<'a> Person<'a> {
    fn who(act: impl Fn() + Send + Sync + 'a) -> Self {
        Self {
            act: Box::new(act),
            prompts: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    fn approving(provider: &'a TestProvider) -> Self {
        Self::who(|| provider.decide("approve", "alice"))
    }

    fn nobody() -> Self {
        Self::who(|| panic!("nobody is to be asked"))
    }
}

impl SignInScreen for Person<'_> {
    fn code(&self, prompt: &DevicePrompt) {
        self.prompts.lock().unwrap().push(prompt.clone());
        (self.act)();
    }

    fn trouble(&self, what: &str) {
        self.troubles.lock().unwrap().push(what.to_owned());
    }
}

/// Nothing the provider gave out may be seen in what we say about it.
fn nothing_leaks(provider: &TestProvider, shown: &dyn Debug, also: &str) {
    let text = format!("{shown:?} {shown:#?} {also}");
    for secret in provider.issued() {
        assert!(!text.contains(&secret), "a secret is shown: {text}");
    }
}

fn polls(provider: &TestProvider) -> Vec<i64> {
    let log = provider.read("log");
    let entries = log.as_array().unwrap().iter();
    entries
        .filter(|entry| entry["point"] == "token")
        .map(|entry| entry["t"].as_i64().unwrap())
        .collect()
}

fn store(directory: &std::path::Path) -> SecretStore {
    SecretStore::new(StoreSettings {
        storage: Storage::File,
        directory: directory.to_owned(),
        desktop: false,
    })
}

#[tokio::test]
async fn a_person_approves() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    let (settings, http) = (settings(&provider), client());
    let person = Person::approving(&provider);
    let sign_in = identity::sign_in(&settings, &http, &person).await.unwrap();
    let identity = &sign_in.identity;
    assert_eq!(identity.issuer, provider.issuer);
    assert_eq!(identity.subject, "u-alice");
    assert_eq!(identity.name.as_deref(), Some("Alice Example"));
    assert_eq!(identity.label(), "alice@example.test");
    assert_eq!(identity.email_verified, Some(true));
    assert_eq!(identity.groups, ["eng", "oncall"]);
    assert_eq!(identity.via, Via::Device);
    assert!(identity.expires.is_some() && sign_in.refresh_token.is_some());
    nothing_leaks(&provider, &sign_in, "");

    let prompts = person.prompts.lock().unwrap();
    let [prompt] = prompts.as_slice() else {
        panic!("one code is shown: {prompts:?}");
    };
    assert_eq!(
        prompt.verification_uri,
        format!("{}/device", provider.issuer)
    );
    let complete = prompt.verification_uri_complete.as_ref().unwrap();
    assert!(complete.contains(&prompt.user_code), "{complete}");
    assert_eq!(prompt.expires_in, Duration::from_secs(600));

    let log = provider.read("log");
    for entry in log.as_array().unwrap() {
        assert_eq!(entry["accept_encoding"], Value::Null, "{entry}");
        assert!(
            entry["agent"].as_str().unwrap().starts_with("ddgate/"),
            "{entry}"
        );
        if entry["point"] == "device" {
            let scope = "openid profile email offline_access groups";
            assert_eq!(entry["params"]["scope"], scope, "{entry}");
        }
    }
}

#[tokio::test]
async fn pending_denied_expired() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "2"]) else {
        return;
    };
    let provider = Arc::new(provider);
    let (settings, http) = (settings(&provider), client());
    let later = Person::who(|| {
        let provider = Arc::clone(&provider);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(450));
            provider.decide("approve", "zoe");
        });
    });
    let sign_in = identity::sign_in(&settings, &http, &later).await.unwrap();
    assert_eq!(sign_in.identity.groups, ["dév", "équipe"]);
    assert!(polls(&provider).len() >= 4, "{:?}", polls(&provider));

    for (verb, expected) in [("deny", "denied"), ("expire", "expired")] {
        let person = Person::who(|| provider.decide(verb, ""));
        let error = identity::sign_in(&settings, &http, &person)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{verb}: {error:?}");
        nothing_leaks(&provider, &error, &error.to_string());
    }

    // Nobody does anything, and the provider never says that it is over.
    provider.fault(r#"device.patch={"expires_in":10}"#);
    let began = Instant::now();
    let person = Person::who(|| {});
    let error = identity::sign_in(&settings, &http, &person)
        .await
        .unwrap_err();
    assert!(matches!(error, AuthError::Expired), "{error:?}");
    assert!(began.elapsed() >= Duration::from_millis(480));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn polling_keeps_the_pace_it_is_told() {
    // In real time, with a provider that punishes haste.
    let Some(provider) = TestProvider::start(&["--interval", "1"]) else {
        return;
    };
    let mut settings = settings(&provider);
    settings.time_scale = 1;
    let provider = Arc::new(provider);
    let later = Person::who(|| {
        let provider = Arc::clone(&provider);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            provider.decide("approve", "alice");
        });
    });
    identity::sign_in(&settings, &client(), &later)
        .await
        .unwrap();
    let times = polls(&provider);
    assert_eq!(times.len(), 3, "{times:?}");
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= 990),
        "{times:?}"
    );
}

#[tokio::test]
async fn slow_down_adds_five_seconds_and_they_stay() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "1"]) else {
        return;
    };
    provider.fault("token@device_code.error:1=slow_down");
    provider.fault("token@device_code.error:1=authorization_pending");
    provider.fault("token@device_code.error:1=slow_down");
    let person = Person::approving(&provider);
    let signed_in = identity::sign_in(&settings(&provider), &client(), &person).await;
    signed_in.unwrap();
    // A twentieth of 6, 6 and 11 seconds.
    let times = polls(&provider);
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    assert!(
        gaps[0] >= 295 && gaps[1] >= 295 && gaps[2] >= 545,
        "{gaps:?}"
    );
}

#[tokio::test]
async fn trouble_is_told_and_outlasted() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "1"]) else {
        return;
    };
    provider.fault("token@device_code.drop:2");
    provider.fault("token@device_code.status:2=503");
    let person = Person::approving(&provider);
    identity::sign_in(&settings(&provider), &client(), &person)
        .await
        .unwrap();
    let troubles = person.troubles.lock().unwrap();
    assert_eq!(troubles.len(), 2, "{troubles:?}");
    assert!(troubles[1].contains("503"), "{troubles:?}");
}

#[tokio::test]
async fn keys_change_between_discovery_and_token() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    for body in [r#"{"keep_old":true}"#, r#"{"keep_old":false}"#] {
        let body: Value = serde_json::from_str(body).unwrap();
        let person = Person::who(|| {
            provider.write("rotate", &body);
            provider.decide("approve", "alice");
        });
        identity::sign_in(&settings(&provider), &client(), &person)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn other_algorithms_shapes_and_a_client_secret() {
    for (alg, style, sources) in [
        ("ES256", "keycloak", "/realm_access/roles"),
        ("EdDSA", "auth0", "https://example.test/groups"),
        ("PS256", "cognito", "cognito:groups"),
    ] {
        let args = [
            "--no-enforce-interval",
            "--prefix",
            "/realms/dev",
            "--alg",
            alg,
        ];
        let args = [&args[..], &["--style", style]].concat();
        let Some(provider) = TestProvider::start(&args) else {
            return;
        };
        let mut settings = settings(&provider);
        settings.groups_claims = vec![sources.to_owned()];
        settings.client_id = "ddgate-conf".to_owned();
        let secret = "conf-secret-0123456789-0123456789";
        settings.client_secret = Some(Secret::new(secret.to_owned()));
        let http = client();
        let person = Person::approving(&provider);
        let sign_in = identity::sign_in(&settings, &http, &person).await.unwrap();
        assert_eq!(sign_in.identity.groups, ["eng", "oncall"], "{alg} {style}");
        let token = sign_in.refresh_token.unwrap();
        let revoked = identity::revoke(&settings, &http, &token).await.unwrap();
        assert_eq!(revoked, Revocation::Done);
        let log = provider.read("log");
        let posts = log.as_array().unwrap().iter();
        assert!(
            posts
                .filter(|entry| entry["method"] == "POST")
                .all(|entry| entry["basic_auth"] == true),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let args = [
        "--tls-cert",
        cert,
        "--tls-key",
        key,
        "--auto-approve",
        "bob",
    ];
    let args = [&args[..], &["--no-enforce-interval", "--interval", "1"]].concat();
    let Some(provider) = TestProvider::start(&args) else {
        return;
    };
    let trusting = |roots| {
        let config = client_config_trusting(Arc::new(roots)).unwrap();
        HttpsClient::for_tests(Dialer::direct(), Some(Arc::new(config)), LIMIT)
    };
    let settings = settings(&provider);
    let http = trusting(RootCertStore::empty());
    let error = identity::sign_in(&settings, &http, &Person::nobody())
        .await
        .unwrap_err();
    let AuthError::Discovery { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(source, NetError::Handshake { .. }), "{error:?}");
    let reason = std::error::Error::source(source).unwrap().to_string();
    assert!(reason.contains("UnknownIssuer"), "{reason}");

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let http = trusting(roots);
    let person = Person::who(|| {});
    let sign_in = identity::sign_in(&settings, &http, &person).await.unwrap();
    assert_eq!(sign_in.identity.subject, "u-bob");
    assert!(sign_in.identity.groups.is_empty() && !sign_in.identity.groups_incomplete);
    let token = sign_in.refresh_token.unwrap();
    let revoked = identity::revoke(&settings, &http, &token).await.unwrap();
    assert_eq!(revoked, Revocation::Done);
    let error = identity::refresh(&settings, &http, &token, None).await;
    assert!(
        matches!(error, Err(AuthError::SignedOut { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_session_outlives_runs_and_ends_when_its_token_is_used_twice() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let (settings, http) = (settings(&provider), client());
    let name = refresh_token_name(&settings.issuer, &settings.client_id);
    let kept = || {
        let kept = store(home.path()).get(&name).unwrap();
        kept.map(|kept| serde_json::from_str::<Value>(kept.expose()).unwrap())
    };
    let establish = async |person: &Person<'_>, prompting| {
        let store = store(home.path());
        session::establish(&settings, &store, &http, person, prompting).await
    };
    let nobody = Person::nobody();

    let error = establish(&nobody, Prompting::Forbidden).await.unwrap_err();
    assert!(matches!(error, AuthError::NotSignedIn { .. }), "{error:?}");

    let person = Person::approving(&provider);
    let (first, how) = establish(&person, Prompting::Allowed).await.unwrap();
    assert_eq!(first.identity.via, Via::Device);
    assert!(
        matches!(&how, HowKept::Kept { place } if place.starts_with("file ")),
        "{how:?}"
    );
    let oldest = kept().unwrap()["rt"].as_str().unwrap().to_owned();
    assert_eq!(&oldest, first.refresh_token.unwrap().expose());

    let (second, _) = establish(&nobody, Prompting::Allowed).await.unwrap();
    assert_eq!(second.identity.via, Via::Refresh);
    assert_eq!(second.identity.groups, ["eng", "oncall"]);
    let newer = kept().unwrap()["rt"].as_str().unwrap().to_owned();
    assert_ne!(oldest, newer, "the rotated token is kept");
    assert_eq!(&newer, second.refresh_token.unwrap().expose());
    let stored = session::stored(&settings, &store(home.path()))
        .await
        .unwrap();
    assert_eq!(stored.unwrap().label(), "alice@example.test");

    // Several at once: the lock keeps each from using a token another has just used up.
    let all = std::iter::repeat_with(|| establish(&nobody, Prompting::Forbidden)).take(5);
    for renewed in join(all.collect()).await {
        renewed.unwrap();
    }

    // An outage costs nothing.
    provider.fault("token@refresh_token.status=503");
    let error = establish(&nobody, Prompting::Allowed).await.unwrap_err();
    assert!(matches!(error, AuthError::Unreachable { .. }), "{error:?}");
    provider.clear("faults");
    establish(&nobody, Prompting::Forbidden).await.unwrap();

    // Somebody uses an old copy: the provider ends the whole sign-in.
    let stolen = Secret::new(oldest);
    let error = identity::refresh(&settings, &http, &stolen, None).await;
    assert!(
        matches!(error, Err(AuthError::SignedOut { .. })),
        "{error:?}"
    );
    let error = establish(&nobody, Prompting::Forbidden).await.unwrap_err();
    assert!(matches!(error, AuthError::SignedOut { .. }), "{error:?}");
    nothing_leaks(&provider, &error, &error.to_string());
    assert!(kept().is_none(), "a dead token is forgotten");
}

/// Runs futures side by side (there is no such function in the crates we use).
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn signing_out_forgets_here_even_if_the_provider_does_not() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let (settings, http, store) = (settings(&provider), client(), store(home.path()));
    let nothing = session::sign_out(&settings, &store, &http).await.unwrap();
    assert!(nothing.is_none());
    for (fault, works) in [(None, true), (Some("rev-500"), false)] {
        let person = Person::approving(&provider);
        let allowed = Prompting::Allowed;
        let established = session::establish(&settings, &store, &http, &person, allowed).await;
        let token = established.unwrap().0.refresh_token.unwrap();
        if let Some(fault) = fault {
            provider.fault(fault);
        }
        let out = session::sign_out(&settings, &store, &http).await.unwrap();
        let out = out.unwrap();
        assert_eq!(out.who.subject, "u-alice");
        assert_eq!(out.revocation.is_ok(), works, "{out:?}");
        nothing_leaks(&provider, &out, "");
        assert!(session::stored(&settings, &store).await.unwrap().is_none());
        let again = identity::refresh(&settings, &http, &token, None).await;
        assert_eq!(again.is_err(), works, "{again:?}");
    }
}

/// One case of the provider's own table.
struct Preset {
    name: String,
    expect: String,
}

#[tokio::test]
async fn the_whole_table_of_misbehaviour() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval", "--interval", "1"]) else {
        return;
    };
    let only = std::env::var("PRESET").unwrap_or_default();
    let presets = provider.read("presets");
    let mut unexpected = Vec::new();
    let mut tried = 0;
    for preset in presets.as_array().unwrap() {
        let text = |member: &str| preset[member].as_str().unwrap().to_owned();
        let preset = Preset {
            name: text("name"),
            expect: text("expect"),
        };
        if !preset.name.starts_with(&only) {
            continue;
        }
        tried += 1;
        provider.clear("faults");
        let began = Instant::now();
        let result = attempt(&provider, &preset).await;
        let took = began.elapsed();
        if let Err(error) = &result {
            nothing_leaks(&provider, error, &error.to_string());
        }
        println!(
            "{:26} {:9} {took:>7.2?} {}",
            preset.name,
            preset.expect,
            short(&result)
        );
        if !as_expected(&preset, &result, took) {
            unexpected.push(format!("{}: {}", preset.name, short(&result)));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(tried > 120 || !only.is_empty(), "{tried} presets");
    let log = provider.read("log");
    let trapped = log
        .as_array()
        .unwrap()
        .iter()
        .any(|entry| entry["trap"] == true);
    assert!(!trapped, "a redirect or a key from a token was followed");
}

async fn attempt(provider: &TestProvider, preset: &Preset) -> Result<Identity, AuthError> {
    let mut settings = settings(provider);
    settings.groups_claims = [
        "groups",
        "/realm_access/roles",
        "cognito:groups",
        "https://example.test/groups",
    ]
    .map(str::to_owned)
    .to_vec();
    if preset.name.starts_with("id-google") {
        settings.hosted_domain = Some("example.test".to_owned());
    }
    let http = client();
    // An interval of a day only matters to somebody who is not approved at once.
    let person = match preset.name.as_str() {
        "dev-interval-huge" => Person::who(|| {}),
        _ => Person::approving(provider),
    };
    let later = preset.name.starts_with("ref-") || preset.name.starts_with("rev-");
    if !later {
        provider.fault(&preset.name);
    }
    let signed_in = identity::sign_in(&settings, &http, &person).await;
    for prompt in person.prompts.lock().unwrap().iter() {
        assert!(!format!("{prompt:?}").contains("\\u{1b}"), "{prompt:?}");
    }
    let SignIn {
        identity,
        refresh_token,
    } = signed_in?;
    if !later {
        return Ok(identity);
    }
    provider.fault(&preset.name);
    let token = refresh_token.unwrap();
    if preset.name.starts_with("rev-") {
        let error = identity::revoke(&settings, &http, &token)
            .await
            .unwrap_err();
        nothing_leaks(provider, &error, &error.to_string());
        return Ok(identity);
    }
    let refreshed = identity::refresh(&settings, &http, &token, Some(&identity)).await?;
    let newest = refreshed.refresh_token.unwrap();
    let kept = newest.expose() == token.expose();
    assert_eq!(kept, preset.name == "ref-no-rotation", "{}", preset.name);
    Ok(refreshed.identity)
}

fn as_expected(preset: &Preset, result: &Result<Identity, AuthError>, took: Duration) -> bool {
    let in_general = match (preset.expect.as_str(), result) {
        ("reject", Err(_)) | ("strip", Err(_)) | ("accept" | "recover", Ok(_)) => true,
        ("bounded", Err(_)) | ("either", _) => took < LIMIT * 3,
        ("nogroups", Ok(identity)) => identity.groups.is_empty(),
        ("strip", Ok(identity)) => !format!("{identity:?}").contains("\\u{1b}"),
        _ => false,
    };
    in_general && in_particular(&preset.name, result)
}

/// What a few presets must lead to, beyond yes or no.
fn in_particular(name: &str, result: &Result<Identity, AuthError>) -> bool {
    use AuthError as E;
    let groups = |expected: &[&str]| result.as_ref().is_ok_and(|who| who.groups == expected);
    match name {
        "disc-issuer-mismatch" | "disc-issuer-slash" => {
            matches!(result, Err(E::IssuerMismatch { .. }))
        }
        "disc-no-device" => matches!(result, Err(E::NoDeviceEndpoint { .. })),
        "disc-500" | "disc-hang" | "disc-drip" | "disc-huge" | "disc-redirect" => {
            matches!(result, Err(E::Discovery { .. }))
        }
        "dev-unauthorized" => matches!(result, Err(E::Refused { code, .. })
            if code == "unauthorized_client"),
        "tok-denied" | "tok-200-error" => matches!(result, Err(E::Denied)),
        "tok-expired" | "tok-slow-down-forever" | "dev-interval-huge" => {
            matches!(result, Err(E::Expired))
        }
        "tok-no-id-token" => matches!(result, Err(E::NoIdToken { .. })),
        "tok-redirect" | "tok-huge" => matches!(result, Err(E::Unreachable { source, .. })
            if !source.is_transient()),
        "id-unknown-kid" => matches!(result, Err(E::Verify(Unverified::UnknownKey))),
        "id-alg-none" | "id-stripped" | "id-corrupt" | "id-foreign" | "id-foreign-jwk" => {
            matches!(result, Err(E::Verify(Unverified::Signature(_))))
        }
        name if name.starts_with("id-hs256") => {
            matches!(result, Err(E::Verify(Unverified::Algorithm)))
        }
        "id-expired" => matches!(result, Err(E::Verify(Unverified::Expired))),
        "id-groups-string" | "id-cognito" | "id-auth0" => groups(&["eng"]),
        "id-keycloak" => groups(&["eng", "oncall"]),
        "id-groups-many" => result
            .as_ref()
            .is_ok_and(|who| who.groups.len() == 1000 && who.groups_incomplete),
        "id-groups-overage" | "id-hasgroups" | "id-groups-object" | "id-groups-mixed" => {
            result.as_ref().is_ok_and(|who| who.groups_incomplete)
        }
        "id-groups-empty" => result.as_ref().is_ok_and(|who| !who.groups_incomplete),
        "id-email-unverified" => result
            .as_ref()
            .is_ok_and(|who| who.email_verified == Some(false)),
        "ref-invalid-grant" => matches!(result, Err(E::SignedOut { .. })),
        "ref-sub-changes" => matches!(result, Err(E::Verify(Unverified::SubjectChanged))),
        name if name.starts_with("id-") && result.is_err() => matches!(result, Err(E::Verify(_))),
        _ => true,
    }
}

fn short(result: &Result<Identity, AuthError>) -> String {
    let text = match result {
        Ok(who) => format!(
            "OK {} {:?}",
            who.subject,
            &who.groups[..who.groups.len().min(3)]
        ),
        Err(error) => format!("{error} {error:?}"),
    };
    text.escape_debug().take(230).collect()
}
