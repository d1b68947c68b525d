//! Every misbehaviour the provider knows, each with what a careful client does.
//!
//! `PRESET=id-` runs only the cases whose name begins so.

use std::time::{Duration, Instant};

use ddgate::auth::AuthError;
use ddgate::auth::identity::{self, IssuerSettings, SignIn, Unverified};
use ddgate::record::{Identity, Via};

use super::provider::TestProvider;
use super::{LIMIT, Person, client, nothing_leaks, settings};

/// One case of the provider's own table.
pub(super) struct Preset {
    pub(super) name: String,
    pub(super) expect: String,
}

impl Preset {
    pub(super) fn read(preset: &serde_json::Value) -> Self {
        let text = |member: &str| preset[member].as_str().unwrap().to_owned();
        Self {
            name: text("name"),
            expect: text("expect"),
        }
    }
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
        let preset = Preset::read(preset);
        // Of the other flow: see `browser`.
        if !preset.name.starts_with(&only) || preset.name.starts_with("code-") {
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

pub(super) fn settings_for(provider: &TestProvider, preset: &Preset) -> IssuerSettings {
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
    settings
}

async fn attempt(provider: &TestProvider, preset: &Preset) -> Result<Identity, AuthError> {
    let settings = settings_for(provider, preset);
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
        ..
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

pub(super) fn as_expected(
    preset: &Preset,
    result: &Result<Identity, AuthError>,
    took: Duration,
) -> bool {
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
        "tok-denied" | "tok-200-error" => matches!(result, Err(E::Denied { .. })),
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
        "ref-no-id-token" | "ref-userinfo-jwt" => result
            .as_ref()
            .is_ok_and(|who| who.via == Via::Userinfo && who.groups == ["eng", "oncall"]),
        "ref-no-userinfo" => result.as_ref().is_ok_and(|who| who.via == Via::Device),
        "ref-userinfo-no-groups" => result.as_ref().is_ok_and(|who| who.groups_incomplete),
        "ref-userinfo-sub" => matches!(result, Err(E::Unconfirmed { why, .. })
            if why.is_somebody_else()),
        name if name.starts_with("ref-userinfo-") && result.is_err() => {
            matches!(result, Err(E::Unconfirmed { .. }))
        }
        "ref-sub-changes" => matches!(result, Err(E::Verify(Unverified::SubjectChanged))),
        name if name.starts_with("id-") && result.is_err() => matches!(result, Err(E::Verify(_))),
        _ => true,
    }
}

pub(super) fn short(result: &Result<Identity, AuthError>) -> String {
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
