//! What became of a session's identity while it ran, below the calls of a timeline.

use chrono::{DateTime, Utc};

use super::escape::escape;
use super::style::{Look, Tone};
use crate::record::OnLapse;
use crate::replay::IdentityChange;

/// One line a change that matters: an identity that was only verified again is no news.
pub(super) fn lines(changes: &[(DateTime<Utc>, IdentityChange)], look: &Look) -> String {
    let mut text = String::new();
    for (at, change) in changes {
        let (tone, words) = match change {
            IdentityChange::Refresh(refresh) if refresh.back => {
                (Tone::Plain, "the identity was verified again".to_owned())
            }
            IdentityChange::Refresh(refresh) if !refresh.changed.is_empty() => {
                let changed = escape(&refresh.changed.join(", ")).into_owned();
                (Tone::Plain, format!("verified again, with other {changed}"))
            }
            IdentityChange::Refresh(_) => continue,
            IdentityChange::Lapse(lapse) => {
                let calls = match lapse.calls {
                    OnLapse::Refuse => "calls were refused",
                    OnLapse::RecordUnverified => "calls went on unverified",
                };
                let words = format!("the identity lapsed: {}; {calls}", lapse.why);
                (Tone::Warn, words)
            }
        };
        let line = format!("{} {words}", look.moment(*at, "%H:%M:%S"));
        text.push_str(&look.paint(tone, &line));
        text.push('\n');
    }
    text
}
