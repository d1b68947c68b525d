//! How long an identity holds while a session runs, and what becomes of calls after that:
//! `identity.max_session` and `identity.on_lapse`. Projects may say neither (see `resolve`).

use std::fmt;
use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::settings::Setting;
use super::value::Choice;
use crate::limits::MAX_SESSION_MAX;
use crate::record::OnLapse;

/// Settings about an identity that comes to its end during a session.
#[derive(Clone, Debug)]
pub struct LapseSettings {
    /// `identity.on_lapse`
    pub on_lapse: Setting<OnLapse>,
    /// `identity.max_session`: none for as long as the identity is verified anew.
    pub max_session: Setting<Option<Span>>,
}

/// A length of time, as people write it: `90s`, `45m`, `8h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Unit and its seconds, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Span {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a length of time: write, for example, `90m` or `8h`");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let (_, seconds) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let span = number.checked_mul(*seconds).map(Duration::from_secs);
        match span {
            Some(span) if !span.is_zero() && span <= MAX_SESSION_MAX => Ok(Self(span)),
            _ => Err(format!("`{text}` is not between a second and a year")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        let fits = UNITS.iter().find(|(_, unit)| whole.is_multiple_of(*unit));
        let (name, unit) = fits.unwrap_or(&('s', 1));
        write!(f, "{}{name}", whole / unit)
    }
}

impl Choice for OnLapse {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("refuse", Self::Refuse),
        ("record-unverified", Self::RecordUnverified),
    ];
}

pub(super) fn settings(layers: &Layers<'_>) -> Result<LapseSettings, ConfigError> {
    let on_lapse = layers.pick("identity.on_lapse", None, &[], |value| {
        OnLapse::parse(value.text())
    })?;
    let max_session = layers.pick("identity.max_session", None, &[], |value| {
        Span::parse(value.text()).map(Some)
    })?;
    Ok(LapseSettings {
        on_lapse: on_lapse.unwrap_or(Setting::default(OnLapse::default())),
        max_session: max_session.unwrap_or(Setting::default(None)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, seconds, shown) in [
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("45m", 2700, "45m"),
            ("8h", 28_800, "8h"),
            ("48h", 172_800, "2d"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!(span.0.as_secs(), seconds);
            assert_eq!(span.to_string(), shown);
        }
        for bad in [
            "",
            "8",
            "h",
            "8 h",
            "-1h",
            "1.5h",
            "0s",
            "367d",
            "8H",
            "8hé",
            "99999999999999999999d",
        ] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }
}
