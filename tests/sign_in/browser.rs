//! The authorization code flow: a browser on this machine, played by the provider's own walk through
//! its pages, and everything else that may knock at the loopback listener.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ddgate::auth::AuthError;
use ddgate::auth::identity::binding::{Binding, check};
use ddgate::auth::identity::{
    self, BrowserPrompt, DevicePrompt, Flow, IssuerSettings, SignIn, SignInScreen, Unverified,
};
use ddgate::auth::secret_store::{SecretStore, Storage, StoreSettings};
use ddgate::auth::session::{self, Prompting};
use ddgate::record::Via;
use serde_json::{Value, json};
use url::Url;

use super::provider::TestProvider;
use super::table::{Preset, as_expected, settings_for, short};
use super::{LIMIT, client, nothing_leaks, settings};

/// What is done with the address, on a thread of its own as a browser would.
type Visit = dyn Fn(&TestProvider, &BrowserPrompt) + Send + Sync;

/// A screen with a browser behind it.
struct Desk {
    provider: Arc<TestProvider>,
    visit: Arc<Visit>,
    prompts: Mutex<Vec<BrowserPrompt>>,
    foreign: Mutex<u32>,
    browsers: Mutex<Vec<JoinHandle<()>>>,
}

impl Desk {
    fn new(
        provider: &Arc<TestProvider>,
        visit: impl Fn(&TestProvider, &BrowserPrompt) + Send + Sync + 'static,
    ) -> Self {
        Self {
            provider: Arc::clone(provider),
            visit: Arc::new(visit),
            prompts: Mutex::default(),
            foreign: Mutex::default(),
            browsers: Mutex::default(),
        }
    }

    async fn sign_in(&self, settings: &IssuerSettings) -> Result<SignIn, AuthError> {
        let result = identity::sign_in(settings, &client(), self).await;
        for browser in self.browsers.lock().unwrap().drain(..) {
            browser.join().unwrap();
        }
        result
    }
}

impl SignInScreen for Desk {
    fn code(&self, prompt: &DevicePrompt) {
        panic!("no code was asked for: {prompt:?}");
    }

    fn address(&self, prompt: &BrowserPrompt) {
        self.prompts.lock().unwrap().push(prompt.clone());
        let (provider, visit, prompt) = (
            Arc::clone(&self.provider),
            Arc::clone(&self.visit),
            prompt.clone(),
        );
        let browser = std::thread::spawn(move || visit(&provider, &prompt));
        self.browsers.lock().unwrap().push(browser);
    }

    fn trouble(&self, what: &str) {
        panic!("nothing is polled: {what}");
    }

    fn again(&self, why: &AuthError) {
        panic!("nobody has to sign in again: {why}");
    }

    fn foreign_answer(&self) {
        *self.foreign.lock().unwrap() += 1;
    }
}

/// Signs alice in at the address, with the parameters of the answer patched.
fn walk(provider: &TestProvider, prompt: &BrowserPrompt, patch: Value) -> Value {
    let body = json!({ "url": prompt.url, "login": "alice", "patch": patch });
    provider.write("walk", &body)
}

/// A request to the listener, as it is; returns the answer.
fn knock(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn asked(prompt: &BrowserPrompt, name: &str) -> String {
    let url = Url::parse(&prompt.url).unwrap();
    let found = url.query_pairs().find(|(known, _)| known == name);
    found.unwrap().1.into_owned()
}

fn in_browser(provider: &TestProvider) -> IssuerSettings {
    let mut settings = settings(provider);
    settings.flow = Flow::Browser;
    settings
}

fn started() -> Option<Arc<TestProvider>> {
    TestProvider::start(&["--no-enforce-interval"]).map(Arc::new)
}

#[tokio::test]
async fn a_person_signs_in_with_a_browser() {
    let Some(provider) = started() else { return };
    let seen = Arc::new(Mutex::new(Value::Null));
    let page = Arc::clone(&seen);
    let desk = Desk::new(&provider, move |provider, prompt| {
        *page.lock().unwrap() = walk(provider, prompt, json!({}));
    });
    let settings = in_browser(&provider);
    let sign_in = desk.sign_in(&settings).await.unwrap();
    let identity = &sign_in.identity;
    assert_eq!(identity.subject, "u-alice");
    assert_eq!(identity.groups, ["eng", "oncall"]);
    assert_eq!(identity.via, Via::Browser);
    assert!(sign_in.refresh_token.is_some());
    nothing_leaks(&provider, &sign_in, &format!("{:?}", desk.prompts));

    let page = seen.lock().unwrap().take();
    assert_eq!(page["status"], 200, "{page}");
    let html = page["html"].as_str().unwrap();
    assert!(html.contains("You may close this window"), "{html}");

    let prompts = desk.prompts.lock().unwrap().clone();
    let [prompt] = prompts.as_slice() else {
        panic!("one address is shown: {prompts:?}");
    };
    for (name, expected) in [
        ("response_type", "code".to_owned()),
        ("code_challenge_method", "S256".to_owned()),
        (
            "redirect_uri",
            format!("http://127.0.0.1:{}/callback", prompt.port),
        ),
        (
            "scope",
            "openid profile email offline_access groups".to_owned(),
        ),
        ("client_id", "ddgate-cli".to_owned()),
    ] {
        assert_eq!(asked(prompt, name), expected);
    }
    // RFC 7636: 43 characters of base64url are 256 bits.
    assert_eq!(asked(prompt, "code_challenge").len(), 43);
    assert!(asked(prompt, "state").len() >= 22 && asked(prompt, "nonce").len() >= 22);
    assert!(
        TcpStream::connect(("127.0.0.1", prompt.port)).is_err(),
        "nobody listens any more"
    );

    // It refreshes like any other.
    let token = sign_in.refresh_token.unwrap();
    let refreshed = identity::refresh(&settings, &client(), &token, Some(identity)).await;
    assert_eq!(refreshed.unwrap().identity.via, Via::Refresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ties_the_key_of_a_session_to_the_person_today_and_later() {
    let Some(provider) = started() else {
        return;
    };
    let desk = Desk::new(&provider, |provider, prompt| {
        walk(provider, prompt, json!({}));
    });
    let home = tempfile::tempdir().unwrap();
    let store = SecretStore::new(StoreSettings {
        storage: Storage::File,
        directory: home.path().to_owned(),
        desktop: false,
    });
    let settings = in_browser(&provider);
    for via in [Via::Browser, Via::Refresh] {
        let http = client();
        let allowed = Prompting::Allowed;
        let established = session::establish(&settings, &store, &http, &desk, allowed, &|_| None);
        let (sign_in, _) = Box::pin(established).await.unwrap();
        assert_eq!(sign_in.identity.via, via);
        let Binding::Bound(evidence) = &sign_in.binding else {
            panic!("{:?}", sign_in.binding);
        };
        let proof = evidence.proof("some-key");
        let check = |key| check(proof.expose().as_bytes(), key, chrono::Utc::now());
        assert_eq!(check("some-key").unwrap().subject, "u-alice");
        assert!(check("another-key").is_err());
        nothing_leaks(&provider, &sign_in, "");
    }
}

#[tokio::test]
async fn what_is_not_the_answer_changes_nothing() {
    let Some(provider) = started() else { return };
    let desk = Desk::new(&provider, |provider, prompt| {
        let port = prompt.port;
        // Never says a word, and must not be waited for.
        let _silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let host = format!("Host: 127.0.0.1:{port}\r\n\r\n");
        let state = asked(prompt, "state");
        for request in [
            format!("GET /favicon.ico HTTP/1.1\r\n{host}"),
            format!("GET /callback?code=x&state=y HTTP/1.1\r\n{host}"),
            format!("GET /callback?error=access_denied HTTP/1.1\r\n{host}"),
            format!("POST /callback?code=x&state={state} HTTP/1.1\r\n{host}"),
            format!("GET /callback?code=x&state={state} HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
            format!("GET /callback?code=x&code=y&state={state} HTTP/1.1\r\n{host}"),
            "nonsense\r\n\r\n".to_owned(),
        ] {
            let answer = knock(port, &request);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
            assert!(!answer.contains(&state), "{answer}");
        }
        let wrong = walk(provider, prompt, json!({ "state": "of-another-sign-in" }));
        assert_eq!(wrong["status"], 400, "{wrong}");
        let right = walk(provider, prompt, json!({}));
        assert_eq!(right["status"], 200, "{right}");
    });
    let sign_in = desk.sign_in(&in_browser(&provider)).await.unwrap();
    assert_eq!(sign_in.identity.subject, "u-alice");
    // Those that looked like an answer; the others are noise.
    assert_eq!(*desk.foreign.lock().unwrap(), 3);
}

#[tokio::test]
async fn answers_that_end_it() {
    let Some(provider) = started() else { return };
    let settings = in_browser(&provider);
    let attempt = async |patch: Value| {
        let desk = Desk::new(&provider, move |provider, prompt| {
            let page = walk(provider, prompt, patch.clone());
            let html = page["html"].as_str().unwrap();
            assert!(html.contains("Not signed in"), "{html}");
        });
        let error = desk.sign_in(&settings).await.unwrap_err();
        nothing_leaks(&provider, &error, &error.to_string());
        error
    };
    // RFC 9207: this provider names itself, so an answer that does not comes from somewhere else.
    for patch in [
        json!({"iss": null}),
        json!({"iss": "https://other.example"}),
    ] {
        let error = attempt(patch).await;
        assert!(
            matches!(&error, AuthError::Answer { why, .. } if why.contains("iss")),
            "{error:?}"
        );
    }
    // Also when it is an error: nobody else may end a sign-in.
    let error = attempt(json!({"iss": null, "code": null, "error": "access_denied"})).await;
    assert!(matches!(&error, AuthError::Answer { .. }), "{error:?}");
    let denied = json!({
        "code": null, "error": "access_denied", "error_description": "not \u{1b}[2J today",
    });
    let error = attempt(denied).await;
    assert!(matches!(&error, AuthError::Denied { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the sign-in was denied (not \u{fffd}[2J today)"
    );
    let error = attempt(json!({"code": null, "error": "unauthorized_client"})).await;
    assert!(error.is_about_the_flow(), "{error:?}");
    let error = attempt(json!({"code": null})).await;
    assert!(
        error.to_string().contains("neither a code nor an error"),
        "{error}"
    );
    // A code of nobody, or another's.
    let error = attempt(json!({"code": "made-up"})).await;
    assert!(
        matches!(&error, AuthError::Refused { code, .. } if code == "invalid_grant"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_person_may_say_no_in_the_browser() {
    let Some(provider) = started() else { return };
    let desk = Desk::new(&provider, |provider, prompt| {
        let denied = json!({ "code": null, "error": "access_denied" });
        walk(provider, prompt, denied);
    });
    let error = desk.sign_in(&in_browser(&provider)).await.unwrap_err();
    assert!(matches!(error, AuthError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_comes() {
    let Some(provider) = started() else { return };
    let mut settings = in_browser(&provider);
    // Ten minutes in three tenths of a second.
    settings.time_scale = 2000;
    let desk = Desk::new(&provider, |_, _| {});
    let began = Instant::now();
    let error = desk.sign_in(&settings).await.unwrap_err();
    assert!(matches!(error, AuthError::NobodyCame), "{error:?}");
    assert!((Duration::from_millis(290)..Duration::from_secs(5)).contains(&began.elapsed()));
}

/// `PRESET=id-` runs only the cases whose name begins so.
#[tokio::test]
async fn the_table_of_misbehaviour_in_the_browser() {
    let Some(provider) = started() else { return };
    let only = std::env::var("PRESET").unwrap_or_default();
    let presets = provider.read("presets");
    let (mut unexpected, mut tried) = (Vec::new(), 0);
    for preset in presets.as_array().unwrap() {
        let preset = Preset::read(preset);
        let kind = preset.name.split('-').next().unwrap();
        // The others of `tok` are about polling.
        let is_any_answer = [
            "tok-no-id-token",
            "tok-no-refresh",
            "tok-type-mac",
            "tok-200-error",
        ]
        .contains(&&*preset.name);
        let is_ours = (is_any_answer || ["disc", "id", "jwks", "code"].contains(&kind))
            && preset.name != "disc-no-device";
        if !is_ours || !preset.name.starts_with(&only) {
            continue;
        }
        tried += 1;
        provider.clear("faults");
        provider.fault(&preset.name);
        let desk = Desk::new(&provider, |provider, prompt| {
            // Where the provider is broken, its pages may be too.
            walk(provider, prompt, json!({}));
        });
        let mut settings = settings_for(&provider, &preset);
        settings.flow = Flow::Browser;
        let began = Instant::now();
        let result = desk
            .sign_in(&settings)
            .await
            .map(|sign_in| sign_in.identity);
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
        let nonce = preset.name.contains("nonce");
        let is_right_reason =
            !nonce || matches!(&result, Err(AuthError::Verify(Unverified::Nonce)));
        // The pages before the answer take a while.
        if !as_expected(&preset, &result, took.saturating_sub(LIMIT)) || !is_right_reason {
            unexpected.push(format!("{}: {}", preset.name, short(&result)));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(tried > 100 || !only.is_empty(), "{tried} presets");
    let log = provider.read("log");
    let trapped = log
        .as_array()
        .unwrap()
        .iter()
        .any(|entry| entry["trap"] == true);
    assert!(!trapped, "a redirect or a key from a token was followed");
}
