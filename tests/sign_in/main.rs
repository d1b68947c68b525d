//! Signing in against a real OpenID Provider, well-behaved and not (`tests/provider`).
//!
//! `flow` is the device flow, `browser` the one with a browser, `session` what happens across runs,
//! `possession` tokens that are tied to a key, `table` every misbehaviour the provider knows.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test fails by panicking, and says what it did"
)]

#[path = "../support/absent.rs"]
mod absent;
mod browser;
mod flow;
mod possession;
#[path = "../provider/start.rs"]
mod provider;
mod session;
mod table;

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use ddgate::auth::AuthError;
use ddgate::auth::identity::{BrowserPrompt, DevicePrompt, IssuerSettings, SignInScreen};
use ddgate::net::{Dialer, HttpsClient};
use provider::TestProvider;

/// What the table's longest silence may last: a hanging provider costs this much.
const LIMIT: Duration = Duration::from_secs(3);

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

    fn address(&self, prompt: &BrowserPrompt) {
        panic!("no browser was asked for: {prompt:?}");
    }

    fn again(&self, why: &AuthError) {
        panic!("nobody has to sign in again: {why}");
    }

    fn foreign_answer(&self) {
        panic!("no browser was asked for");
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
