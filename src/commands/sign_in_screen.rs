//! What a person sees while they sign in: address and code, a countdown, Enter for the browser. Or,
//! for an editor, the same as events.
//!
//! Invariant: the address is shown before anything is opened, polling is never held up, and when the
//! sign-in is over nothing here reads standard input or draws any more.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::context::Context;
use crate::auth::AuthError;
use crate::auth::identity::{BrowserPrompt, DevicePrompt, SignInScreen};
use crate::cli::SignInArgs;
use crate::config::env;
use crate::launch::browser::{Browser, Surroundings};
use crate::limits::NEW_CODE_WAIT_MAX;
use crate::ui::escape::escape;
use crate::ui::sign_in::{BrowserAddress, DeviceCode};
use crate::ui::{Printer, Progress, Talk, enter, sign_in_events};

/// How a verb wants a sign-in shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// As events on standard output, for a program.
    pub(super) json: bool,
    /// Without opening a browser.
    pub(super) no_browser: bool,
    /// With a QR code.
    pub(super) qr: bool,
}

impl Manner {
    /// As the flags say.
    pub(super) const fn of(args: &SignInArgs) -> Self {
        Self {
            json: false,
            no_browser: args.no_browser,
            qr: args.qr,
        }
    }
}

/// The screen.
pub(super) struct Screen {
    printer: Printer,
    manner: Manner,
    /// What would be opened; none where that makes no sense.
    browser: Option<Browser>,
    is_remote: bool,
    waiting: Mutex<Option<Progress>>,
    /// What Enter opens.
    page: Mutex<Option<String>>,
    /// Any web page can send such answers, and as many as it likes.
    is_foreign_told: AtomicBool,
    /// Rings when there is a page.
    shown: Notify,
}

impl Screen {
    pub(super) fn new(context: &Context) -> Self {
        let manner = context.manner;
        let said = |name| (context.lookup)(name).filter(|value| !value.is_empty());
        let surroundings = Surroundings {
            is_terminal: enter::can_be_pressed() && context.printer.is_watched(),
            is_ci: context.is_ci(),
            is_remote: said(env::SSH_CONNECTION).or(said(env::SSH_TTY)).is_some(),
            is_unwanted: manner.json || manner.no_browser || said(env::DDGATE_NO_BROWSER).is_some(),
            has_display: context.has_display(),
            chosen: said(env::BROWSER),
        };
        Self {
            // Without it nobody could sign in: said even by a quiet run.
            printer: context
                .printer
                .talking(context.printer.talk().max(Talk::Normal)),
            manner,
            browser: Browser::find(&surroundings),
            is_remote: surroundings.is_remote,
            waiting: Mutex::default(),
            page: Mutex::default(),
            is_foreign_told: AtomicBool::new(false),
            shown: Notify::new(),
        }
    }

    /// Runs a sign-in, and watches for Enter beside it.
    pub(super) async fn beside<T>(
        &self,
        sign_in: impl Future<Output = Result<T, AuthError>>,
    ) -> Result<T, AuthError> {
        let result = tokio::select! {
            result = sign_in => result,
            never = self.attend() => match never {},
        };
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Takes the screen away; returns whether there was one.
    pub(super) fn end(&self) -> bool {
        // Rung by a code that nobody attends to any more.
        drop(lock(&self.page).take());
        lock(&self.waiting).take().is_some()
    }

    /// After a code has expired: whether the person wants another one.
    pub(super) async fn wants_another_code(&self) -> bool {
        if self.manner.json || !enter::can_be_pressed() || !self.printer.is_watched() {
            return false;
        }
        self.printer
            .say("the code has expired; press Enter for a new one, Ctrl-C cancels");
        tokio::time::timeout(NEW_CODE_WAIT_MAX, enter::pressed())
            .await
            .is_ok()
    }

    /// Opens the page at the first Enter. What is typed after it is the child's.
    async fn attend(&self) -> Infallible {
        self.shown.notified().await;
        enter::pressed().await;
        if let Some(waiting) = &*lock(&self.waiting) {
            waiting.swallow_enter();
        }
        let page = lock(&self.page).take();
        if let Some(page) = page {
            self.open(&page);
        }
        std::future::pending().await
    }

    /// Opens a page; that it cannot be opened is no failure, since it has been shown.
    fn open(&self, page: &str) {
        if let Some(browser) = self.browser
            && let Err(error) = browser.open(page)
        {
            self.remark(&format!("no browser could be opened: {error}; use any"));
        }
    }

    /// Says something above the spinner.
    fn remark(&self, text: &str) {
        match &*lock(&self.waiting) {
            Some(waiting) => waiting.say(&escape(text)),
            None => self.printer.say(&escape(text)),
        }
    }

    fn wait(&self, what: &str, life: Duration) {
        let end = Instant::now() + life;
        *lock(&self.waiting) = Some(Progress::until(&self.printer, what, end));
    }

    /// Hands an event to whoever drives us. If they have left, the sign-in still counts.
    fn event(&self, line: &str) {
        drop(self.printer.data(line));
    }

    fn trouble_said(&self, text: &str) {
        match self.manner.json {
            true => self.event(&sign_in_events::trouble(text)),
            false => self.remark(text),
        }
    }
}

impl SignInScreen for Screen {
    fn code(&self, prompt: &DevicePrompt) {
        let code = DeviceCode {
            user_code: &prompt.user_code,
            verification_uri: &prompt.verification_uri,
            verification_uri_complete: prompt.verification_uri_complete.as_deref(),
            expires_in: prompt.expires_in,
        };
        if self.manner.json {
            return self.event(&code.json());
        }
        let look = self.printer.talk_look();
        self.printer.say(&code.screen(self.browser.is_some(), look));
        if self.manner.qr {
            match code.qr(look) {
                Some(drawn) => self.printer.say(&drawn),
                None => self.printer.say("the terminal is too narrow for a QR code"),
            }
        }
        self.wait("waiting for approval…", prompt.expires_in);
        if self.browser.is_some() {
            let complete = prompt.verification_uri_complete.as_ref();
            let page = complete.unwrap_or(&prompt.verification_uri);
            *lock(&self.page) = Some(page.clone());
            self.shown.notify_one();
        }
    }

    fn address(&self, prompt: &BrowserPrompt) {
        if self.manner.json {
            let event = sign_in_events::authorization_url(&prompt.url, prompt.expires_in);
            return self.event(&event);
        }
        let address = BrowserAddress {
            url: &prompt.url,
            port: prompt.port,
            is_remote: self.is_remote,
        };
        self.printer.say(&address.screen());
        self.wait("waiting for the browser…", prompt.expires_in);
        self.open(&prompt.url);
    }

    fn trouble(&self, what: &str) {
        self.trouble_said(&format!("network trouble, still trying: {what}"));
    }

    fn again(&self, why: &AuthError) {
        self.trouble_said(&format!("a sign-in anew is needed: {}", why.in_one_line()));
    }

    fn foreign_answer(&self) {
        if self.is_foreign_told.swap(true, Ordering::Relaxed) {
            return;
        }
        self.trouble_said(
            "a browser brought an answer that is not to this sign-in; it was turned away, and the \
             right one is still waited for",
        );
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
