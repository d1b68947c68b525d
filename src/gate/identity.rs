//! Keeps the identity of a running session: verifies it again before it expires, says when it has
//! lapsed, and when it is back.
//!
//! There is one keeper a session, so that there is one attempt at a time however many calls wait.
//! Attempts run on tasks: one that is exchanging a token when the command ends is waited for, because
//! what comes of it must be put away. Every change is a leaf.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Opening, committed};
use crate::auth::identity::Binding;
use crate::auth::identity::binding::token_kind;
use crate::auth::renewal::{IdentitySource, Renewal};
use crate::auth::standing::{Standing, holds_until};
use crate::journal::{Attachment, Recipients, commit};
use crate::limits::{
    LAPSED_RETRY_MIN, REFRESH_AT_SHARE, RENEWAL_FINISH, RENEWAL_RETRY_MAX, RENEWAL_RETRY_MIN,
    RENEWAL_TICK,
};
use crate::policy::{Grant, NotAdmitted, Requirements};
use crate::proxy::Proxy;
use crate::record::event::SessionOpen;
use crate::record::standing::changes;
use crate::record::{
    BindingMethod, Event, Identity, IdentityLapse, IdentityRefresh, LapseReason, OnLapse,
    SessionBinding, Via,
};
use crate::redact;

/// How an identity is kept while a session runs.
#[derive(Debug)]
pub struct Keeping {
    /// Where it is verified again; none for one that never lapses.
    pub source: Option<Arc<dyn IdentitySource>>,
    /// Whether that can be tried before it lapses: there is a refresh token, or the like.
    pub is_renewable: bool,
    /// What it must meet, whenever it is verified again: groups change.
    pub requirements: Requirements,
    /// The credential the session has, where it depends on groups.
    pub grant: Option<Grant>,
    /// What becomes of calls when it has lapsed.
    pub on_lapse: OnLapse,
    /// How long a session may have it at most.
    pub max_session: Option<Duration>,
}

/// What became of an identity, for whoever is to be told.
#[derive(Debug)]
pub enum News<'a> {
    /// Nobody vouches for it any more.
    Lapsed {
        /// Who it was.
        who: &'a Identity,
        /// Why.
        why: LapseReason,
        /// What went wrong in the last attempt to verify it again.
        trouble: Option<&'a str>,
        /// What becomes of calls.
        calls: OnLapse,
    },
    /// It had lapsed and is verified again.
    Back(&'a Identity),
    /// It could not be verified again; it holds for now, and that is tried again.
    Trouble(&'a str),
}

/// The keeper of one session.
pub(super) struct Keeper<'a> {
    proxy: &'a Proxy,
    keeping: &'a Keeping,
    opening: &'a dyn Opening,
    attempts: Attempts,
    identity: Identity,
    /// When the session has had it for long enough.
    ends: Option<DateTime<Utc>>,
    lapsed: Option<LapseReason>,
    due: DateTime<Utc>,
    /// The pause after the next attempt that brings nothing.
    pause: Duration,
    looked: Option<Instant>,
    trouble: Option<String>,
}

/// What is under way, for as long as the command runs and a little longer.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Attempts {
    /// Ends what is under way, or, where a token is being exchanged, waits for what comes of it.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        // After that it is lost, and the person signs in again.
        let _ = tokio::time::timeout(RENEWAL_FINISH, self.tasks.wait()).await;
    }
}

/// The state calls look at, as it is when a session opens.
pub(super) fn standing(identity: &Identity, keeping: &Keeping, opened: DateTime<Utc>) -> Standing {
    let until = until(identity, ends(keeping, opened));
    Standing::new(until, keeping.on_lapse)
}

fn ends(keeping: &Keeping, opened: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let span = keeping.source.as_ref().and(keeping.max_session)?;
    Some(opened + TimeDelta::from_std(span).ok()?)
}

fn until(identity: &Identity, ends: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    [holds_until(identity), ends].into_iter().flatten().min()
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        proxy: &'a Proxy,
        identity: &Identity,
        keeping: &'a Keeping,
        opened: DateTime<Utc>,
        opening: &'a dyn Opening,
    ) -> Self {
        let now = Utc::now();
        let due = match keeping.is_renewable {
            true => due(identity, now),
            // Only somebody who signs in again can help, and that is looked for when it has lapsed.
            false => holds_until(identity).unwrap_or(DateTime::<Utc>::MAX_UTC),
        };
        Self {
            proxy,
            keeping,
            opening,
            attempts: Attempts::default(),
            identity: identity.clone(),
            ends: ends(keeping, opened),
            lapsed: None,
            due,
            pause: RENEWAL_RETRY_MIN,
            looked: None,
            trouble: None,
        }
    }

    pub(super) fn attempts(&self) -> Attempts {
        self.attempts.clone()
    }

    /// Keeps the identity for as long as `work` takes.
    pub(super) async fn beside<T>(self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = Box::pin(self.keep()) => match never {},
        }
    }

    async fn keep(mut self) -> Infallible {
        let Some(source) = self.keeping.source.clone() else {
            return std::future::pending().await;
        };
        loop {
            self.notice().await;
            if self.lapsed == Some(LapseReason::MaxSession) {
                return std::future::pending().await;
            }
            let now = Utc::now();
            if now >= self.due {
                self.look(&source).await;
                continue;
            }
            let standing = &self.proxy.standing;
            tokio::select! {
                () = tokio::time::sleep(self.nap(now)) => {}
                () = standing.asked() => {
                    let is_fresh = self.looked.is_some_and(|at| at.elapsed() < LAPSED_RETRY_MIN);
                    if !standing.holds() && !is_fresh {
                        self.due = now;
                    }
                }
            }
        }
    }

    /// How long nothing can happen: at most a tick, since a machine that sleeps moves the clock.
    fn nap(&self, now: DateTime<Utc>) -> Duration {
        let lapse = until(&self.identity, self.ends).filter(|_| self.lapsed.is_none());
        let next = lapse.map_or(self.due, |lapse| lapse.min(self.due));
        let span = (next - now).to_std().unwrap_or_default();
        span.clamp(Duration::from_millis(1), RENEWAL_TICK)
    }

    /// Notices that it lapsed by the clock.
    async fn notice(&mut self) {
        if self
            .lapsed
            .is_some_and(|why| why == LapseReason::MaxSession)
        {
            return;
        }
        let is_over = self.ends.is_some_and(|ends| Utc::now() >= ends);
        // A refusal stands: the end of the session would be milder.
        if is_over && !self.lapsed.is_some_and(LapseReason::is_refusal) {
            self.lapse(LapseReason::MaxSession).await;
        } else if self.lapsed.is_none() && !self.proxy.standing.holds() {
            self.lapse(LapseReason::Expired).await;
        }
    }

    /// One attempt, however it ends.
    async fn look(&mut self, source: &Arc<dyn IdentitySource>) {
        let (source, before) = (Arc::clone(source), self.identity.clone());
        let standing = Arc::clone(&self.proxy.standing);
        standing.look();
        self.looked = Some(Instant::now());
        let stop = self.attempts.stop.clone();
        let attempt = async move { source.renew(&before, &stop).await };
        let mut attempt = self.attempts.tasks.spawn(attempt);
        let found = loop {
            let nap = self.nap(Utc::now());
            tokio::select! {
                found = &mut attempt => break found,
                // A provider that takes its time must not hide that the time is over.
                () = tokio::time::sleep(nap), if self.lapsed.is_none() => self.notice().await,
            }
        };
        match found {
            Ok(Ok(Renewal::Verified(identity))) => self.verified(*identity).await,
            // With nothing to exchange, nothing found says nothing.
            Ok(Ok(Renewal::Gone)) if !self.keeping.is_renewable && self.lapsed.is_none() => {}
            Ok(Ok(Renewal::Gone)) => self.ended(LapseReason::SignedOut).await,
            Ok(Ok(Renewal::AnotherPerson)) => self.ended(LapseReason::AnotherPerson).await,
            Ok(Err(error)) => self.failed(&error.in_one_line()),
            Err(_) => self.failed("the attempt broke off"),
        }
        standing.looked();
        self.notice().await;
    }

    async fn verified(&mut self, identity: Identity) {
        let now = Utc::now();
        // The answer had no ID token, or said nothing new: whoever it was still is, and for no longer.
        if identity == self.identity {
            return self.later(holds_until(&self.identity));
        }
        if let Err((why, refused)) = self.may_go_on(&identity) {
            return self.refused(&identity, why, &refused).await;
        }
        let Some(until) = until(&identity, self.ends).filter(|until| *until > now) else {
            // They may go on again, but the session's own time is over.
            if self.ends.is_some_and(|ends| ends <= now) {
                self.lapse(LapseReason::MaxSession).await;
            }
            return self.later(None);
        };
        let who = committed("who", &self.proxy.known, &identity);
        let refresh = IdentityRefresh {
            who: who.commitment(),
            via: identity.via,
            verified_at: DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now),
            expires: identity.expires,
            changed: changes(&self.identity, &identity),
            back: self.lapsed.is_some(),
        };
        // Where this cannot be recorded no call can, and none is sent.
        let leaf = Event::IdentityRefresh(refresh);
        let _ = self.proxy.journal.note(leaf, vec![who]).await;
        self.due = due(&identity, now);
        self.pause = RENEWAL_RETRY_MIN;
        self.trouble = None;
        self.identity = identity;
        self.proxy.standing.extend(until);
        if self.lapsed.take().is_some() {
            self.opening.identity(&News::Back(&self.identity));
        }
    }

    /// Whether whoever was verified meets what the session began with.
    fn may_go_on(&self, identity: &Identity) -> Result<(), (LapseReason, NotAdmitted)> {
        let required = self.keeping.requirements.check(identity);
        let required = required.map_err(|refused| (LapseReason::NotAdmitted, refused));
        let grant = self.keeping.grant.as_ref();
        let granted = grant.map_or(Ok(()), |grant| grant.check(identity));
        let granted = granted.map_err(|refused| (LapseReason::CredentialLost, refused));
        match (required, granted) {
            // What is lost for certain counts before what cannot be told.
            (Err((_, unclear)), Err((why, lost))) if unclear.is_unclear() && !lost.is_unclear() => {
                Err((why, lost))
            }
            (required, granted) => required.and(granted),
        }
    }

    /// Whoever was verified may not go on. Where userinfo only leaves out what a signed token had said,
    /// that holds to its end.
    async fn refused(&mut self, identity: &Identity, why: LapseReason, refused: &NotAdmitted) {
        let is_silent = identity.via == Via::Userinfo && self.identity.via != Via::Userinfo;
        if is_silent && refused.is_unclear() {
            // The keeper can only renew, which would bring the same again.
            self.failed(&format!("{refused}; a new `ddgate run` asks you anew"));
            return self.later(holds_until(&self.identity));
        }
        self.trouble = Some(refused.to_string());
        self.ended(why).await;
    }

    async fn ended(&mut self, why: LapseReason) {
        let is_known = self.lapsed.is_some_and(LapseReason::is_refusal);
        if self.lapsed.is_none() || why.is_refusal() && !is_known {
            self.lapse(why).await;
        }
        self.later(None);
    }

    fn failed(&mut self, why: &str) {
        if self.lapsed.is_none() {
            self.opening.identity(&News::Trouble(why));
        }
        self.trouble = Some(why.to_owned());
        self.later(None);
    }

    /// Tries again after a pause that grows, or then.
    fn later(&mut self, then: Option<DateTime<Utc>>) {
        let now = Utc::now();
        let pause = TimeDelta::from_std(self.pause).unwrap_or_default();
        self.pause = (self.pause * 2).min(RENEWAL_RETRY_MAX);
        self.due = then.unwrap_or(now).max(now + pause);
    }

    async fn lapse(&mut self, why: LapseReason) {
        let is_news = self.lapsed.is_none() || why.is_refusal();
        self.lapsed = Some(why);
        self.proxy.standing.lapse(why);
        let calls = why.calls(self.keeping.on_lapse);
        let leaf = Event::IdentityLapse(IdentityLapse { why, calls });
        let _ = self.proxy.journal.note(leaf, Vec::new()).await;
        // From now on whoever signs in again is looked for soon.
        self.pause = RENEWAL_RETRY_MIN;
        if is_news || why == LapseReason::MaxSession {
            self.opening.identity(&News::Lapsed {
                who: &self.identity,
                why,
                trouble: self.trouble.as_deref(),
                calls,
            });
        }
    }
}

/// Says in the first leaf what ties the session's key to the person; gives what proves it, where that
/// may be kept.
pub(super) fn bind(
    open: &mut SessionOpen,
    binding: &Binding,
    recipients: &Recipients,
) -> Option<Attachment> {
    let vkey = open.vkey.clone().unwrap_or_default();
    let (method, token, why) = match binding {
        Binding::Unbound(why) => (BindingMethod::None, None, Some(why.to_string())),
        Binding::Bound(evidence) => {
            let method = evidence.method();
            let why = recipients.is_empty().then(|| {
                format!(
                    "the proof holds the {}, and is kept only where contents are sealed \
                     (`journal.recipients`)",
                    token_kind(method)
                )
            });
            (method, Some(evidence.token_hash()), why)
        }
    };
    open.binding = Some(SessionBinding { method, token, why });
    let (Binding::Bound(evidence), false) = (binding, recipients.is_empty()) else {
        return None;
    };
    let proof = commit("bind", redact::sealed_proof(&evidence.proof(&vkey)));
    open.bind = Some(proof.commitment());
    Some(proof)
}

/// When an identity that was just verified is to be verified again.
fn due(identity: &Identity, now: DateTime<Utc>) -> DateTime<Utc> {
    let life = identity.expires.map(|expires| expires - now);
    let life = life.and_then(|life| life.to_std().ok()).unwrap_or_default();
    let wait = life.mul_f64(REFRESH_AT_SHARE).max(RENEWAL_RETRY_MIN);
    now + TimeDelta::from_std(wait).unwrap_or_default()
}
