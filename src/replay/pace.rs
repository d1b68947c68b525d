//! How long to wait before each call of a paced replay. Computes; somebody else sleeps.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::limits::REPLAY_PAUSE_MAX;

/// How much faster than life, for example `4x`: more than 0, at most 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

/// The text is not a speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a speed is a number above 0 and up to 1000000, like 4x, 1x or 0.5x")]
pub struct NotASpeed;

impl FromStr for Speed {
    type Err = NotASpeed;

    fn from_str(text: &str) -> Result<Self, NotASpeed> {
        let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
        // `f64` would also take `inf`, `nan` and `1e3`.
        if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(NotASpeed);
        }
        let factor: f64 = number.parse().map_err(|_| NotASpeed)?;
        if factor > 0.0 && factor <= 1_000_000.0 {
            Ok(Self(factor))
        } else {
            Err(NotASpeed)
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// When the next call is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// At once.
    #[default]
    AtOnce,
    /// As in life, faster or slower.
    Timed(Speed),
    /// When the reader asks.
    Step,
}

impl Pace {
    /// How long to wait between two calls, given their `mono_ns`. Capped, so that an hour of
    /// silence does not take one; nothing for calls that overlap.
    #[must_use]
    pub fn wait(self, before_ns: u64, at_ns: u64) -> Duration {
        let Self::Timed(Speed(factor)) = self else {
            return Duration::ZERO;
        };
        let gap = Duration::from_nanos(at_ns.saturating_sub(before_ns));
        Duration::try_from_secs_f64(gap.as_secs_f64() / factor)
            .unwrap_or(REPLAY_PAUSE_MAX)
            .min(REPLAY_PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn speeds_parse_or_say_what_they_are() {
        for (text, shown) in [
            ("4x", "4x"),
            ("1", "1x"),
            ("0.5X", "0.5x"),
            (".25x", "0.25x"),
        ] {
            assert_eq!(text.parse::<Speed>().unwrap().to_string(), shown);
        }
        for bad in [
            "", "x", "0", "0x", "-1x", "inf", "nan", "1e3", "4xx", "fast", "1000001",
        ] {
            assert_eq!(bad.parse::<Speed>(), Err(NotASpeed), "{bad}");
        }
    }

    #[test]
    fn waits_scale_and_are_capped() {
        let pace = |speed: &str| Pace::Timed(speed.parse().unwrap());
        let second = 1_000_000_000;
        assert_eq!(
            pace("4x").wait(second, 3 * second),
            Duration::from_millis(500)
        );
        assert_eq!(pace("0.5x").wait(0, second), Duration::from_secs(2));
        assert_eq!(pace("1x").wait(0, 3600 * second), REPLAY_PAUSE_MAX);
        assert_eq!(pace("1x").wait(second, 0), Duration::ZERO);
        assert_eq!(Pace::AtOnce.wait(0, second), Duration::ZERO);
        assert_eq!(Pace::Step.wait(0, second), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_cap(speed in "[0-9.]{1,12}x?", from in any::<u64>(), to in any::<u64>()) {
            if let Ok(speed) = speed.parse() {
                prop_assert!(Pace::Timed(speed).wait(from, to) <= REPLAY_PAUSE_MAX);
            }
        }
    }
}
