//! Whether whoever a session runs for is still verified: what each call asks, in nanoseconds.
//!
//! One keeper (`gate::identity`) verifies anew and moves the end; calls look at it. A call that
//! finds the identity lapsed asks the keeper to look once more, and waits for that a moment: so a
//! machine that slept, or a sign-in in another terminal, costs no refused call. However many calls
//! wait, the keeper tries once. Nothing here speaks with a provider.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};

use crate::limits::{CLOCK_LEEWAY, LAPSED_CALL_WAIT, LAPSED_RETRY_MIN};
use crate::record::{Identity, LapseReason, OnLapse};

/// The state of one session's identity.
#[derive(Debug)]
pub struct Standing {
    /// Milliseconds since 1970 at which it lapses.
    until_ms: AtomicI64,
    on_lapse: OnLapse,
    state: watch::Sender<State>,
    wake: Notify,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Why it does not hold; what lapsed by the clock alone has no reason yet.
    why: Option<LapseReason>,
    /// When the keeper last began to look.
    began: Option<Instant>,
    /// Whether it is still at it.
    looking: bool,
    /// How often it has looked.
    looks: u64,
}

impl Default for Standing {
    fn default() -> Self {
        Self::endless()
    }
}

impl Standing {
    /// An identity that nobody vouched for has nothing to lapse.
    #[must_use]
    pub fn endless() -> Self {
        Self::new(None, OnLapse::Refuse)
    }

    /// An identity that holds until then.
    #[must_use]
    pub fn new(until: Option<DateTime<Utc>>, on_lapse: OnLapse) -> Self {
        let (state, _) = watch::channel(State {
            why: None,
            began: None,
            looking: false,
            looks: 0,
        });
        Self {
            until_ms: AtomicI64::new(until.map_or(i64::MAX, |until| until.timestamp_millis())),
            on_lapse,
            state,
            wake: Notify::new(),
        }
    }

    /// Whether it holds at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        Utc::now().timestamp_millis() < self.until_ms.load(Ordering::Relaxed)
    }

    /// What becomes of calls while it does not.
    #[must_use]
    pub const fn on_lapse(&self) -> OnLapse {
        self.on_lapse
    }

    /// Asks for a call that comes now. Waits at most [`LAPSED_CALL_WAIT`], and only where it does
    /// not hold.
    ///
    /// # Errors
    /// It has lapsed: why.
    pub async fn check(&self) -> Result<(), LapseReason> {
        if self.holds() {
            return Ok(());
        }
        let mut state = self.state.subscribe();
        let now = *state.borrow_and_update();
        if now.why != Some(LapseReason::MaxSession) {
            let looked = now.began.map(|began| began.elapsed());
            let wait = match looked {
                Some(since) if now.looking => LAPSED_CALL_WAIT.saturating_sub(since),
                // Just looked: another look would find the same.
                Some(since) if since < LAPSED_RETRY_MIN => Duration::ZERO,
                _ => {
                    self.wake.notify_one();
                    LAPSED_CALL_WAIT
                }
            };
            let over = state.wait_for(|state| state.looks > now.looks);
            // Whether it came in time is seen below.
            drop(tokio::time::timeout(wait, over).await);
        }
        if self.holds() {
            return Ok(());
        }
        Err(self.why())
    }

    /// Why it does not hold.
    #[must_use]
    pub fn why(&self) -> LapseReason {
        self.state.borrow().why.unwrap_or(LapseReason::Expired)
    }

    /// It holds until then.
    pub fn extend(&self, until: DateTime<Utc>) {
        self.until_ms
            .store(until.timestamp_millis(), Ordering::Relaxed);
        self.state.send_modify(|state| state.why = None);
    }

    /// It holds no more.
    pub fn lapse(&self, why: LapseReason) {
        self.until_ms.store(i64::MIN, Ordering::Relaxed);
        self.state.send_modify(|state| state.why = Some(why));
    }

    /// The keeper begins to look.
    pub fn look(&self) {
        self.state.send_modify(|state| {
            state.began = Some(Instant::now());
            state.looking = true;
        });
    }

    /// It has looked.
    pub fn looked(&self) {
        self.state.send_modify(|state| {
            state.looking = false;
            state.looks += 1;
        });
    }

    /// Resolves when a call needs the keeper to look.
    pub async fn asked(&self) {
        self.wake.notified().await;
    }
}

/// When an identity lapses: its token's `exp`, with the tolerance its verification had. None for a
/// workload that has one token and no way to another: it was verified at the start, and what it was
/// verified for goes on for longer than its token.
#[must_use]
pub fn holds_until(identity: &Identity) -> Option<DateTime<Utc>> {
    if identity.workload.as_ref().is_some_and(|it| !it.renewable) {
        return None;
    }
    let leeway = TimeDelta::from_std(CLOCK_LEEWAY).unwrap_or_default();
    Some(identity.expires? + leeway)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn calls_ask_once_and_wait_a_moment() {
        let gone = Utc::now() - TimeDelta::seconds(1);
        let standing = Arc::new(Standing::new(Some(gone), OnLapse::Refuse));
        assert_eq!(standing.why(), LapseReason::Expired);
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let standing = Arc::clone(&standing);
                tokio::spawn(async move { standing.check().await })
            })
            .collect();
        // However many ask, it is one look.
        standing.asked().await;
        standing.look();
        standing.extend(Utc::now() + TimeDelta::hours(1));
        standing.looked();
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok(()));
        }
        assert!(standing.holds());
    }

    #[tokio::test]
    async fn who_asks_right_after_a_look_does_not_wait() {
        let standing = Standing::new(None, OnLapse::Refuse);
        assert_eq!(standing.check().await, Ok(()));
        standing.lapse(LapseReason::SignedOut);
        standing.look();
        standing.looked();
        let began = Instant::now();
        assert_eq!(standing.check().await, Err(LapseReason::SignedOut));
        assert!(began.elapsed() < LAPSED_CALL_WAIT / 2);
        // Nothing can bring that back, so nobody waits for it.
        standing.lapse(LapseReason::MaxSession);
        assert_eq!(standing.check().await, Err(LapseReason::MaxSession));
        assert!(began.elapsed() < LAPSED_CALL_WAIT / 2);
    }

    #[tokio::test]
    async fn a_keeper_that_does_not_answer_holds_nobody_up() {
        let standing = Standing::new(None, OnLapse::Refuse);
        standing.lapse(LapseReason::Expired);
        let began = Instant::now();
        assert_eq!(standing.check().await, Err(LapseReason::Expired));
        let waited = began.elapsed();
        assert!(
            waited >= LAPSED_CALL_WAIT && waited < LAPSED_CALL_WAIT * 3,
            "{waited:?}"
        );
    }
}
