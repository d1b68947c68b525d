//! How text looks: tones instead of colours, and the facts of the stream it goes to.
//!
//! Renderers take a [`Look`] and stay pure; only [`Look::of`] asks the environment.

use chrono::{DateTime, FixedOffset, Local, Utc};

use crate::record::Contents;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorWish {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special: reads, answers.
    #[default]
    Plain,
    /// Beside the point.
    Dim,
    /// Headings, names.
    Strong,
    /// It worked, it is verified.
    Good,
    /// It changes something.
    Write,
    /// It removes something, it failed.
    Destroy,
    /// The gate refused it.
    Denied,
    /// Look twice.
    Warn,
}

impl Tone {
    /// The SGR parameters (ECMA-48 8.3.117) of the tone.
    const fn sgr(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Strong => "1",
            Self::Good => "32",
            Self::Write | Self::Warn => "33",
            Self::Destroy => "31",
            Self::Denied => "1;35",
        }
    }
}

/// In which time zone people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The machine's.
    Local,
    /// A fixed one, for tests.
    Fixed(FixedOffset),
}

/// Why content that is not shown is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It was erased.
    #[default]
    Erased,
    /// It is sealed, and no key was given.
    Sealed,
}

impl Missing {
    /// What stands in its place.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Erased => "(erased)",
            Self::Sealed => "(sealed)",
        }
    }
}

impl From<&Contents> for Missing {
    fn from(contents: &Contents) -> Self {
        match contents {
            Contents::Sealed => Self::Sealed,
            Contents::Open | Contents::Erased(_) | Contents::Erasing => Self::Erased,
        }
    }
}

/// What is known of the place the text goes to, and of what cannot be put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether tones become escape sequences.
    pub color: bool,
    /// Columns to keep within; none when it is not a terminal, and then nothing is cut.
    pub width: Option<usize>,
    /// The reader's time zone.
    pub zone: Zone,
    /// Why content is missing, where it is.
    pub missing: Missing,
}

impl Look {
    /// Plain text without bounds, in local time: what a file or a pipe gets.
    pub const PLAIN: Self = Self {
        color: false,
        width: None,
        zone: Zone::Local,
        missing: Missing::Erased,
    };

    /// Looks at a stream: `is_terminal` and its `width`, and the environment.
    #[must_use]
    pub fn of(wish: ColorWish, is_terminal: bool, width: Option<usize>) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let surroundings = Surroundings {
            is_terminal,
            no_color: set("NO_COLOR"),
            dumb: std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
            // A Windows console may not know escape sequences; these two do.
            ansi: !cfg!(windows) || set("WT_SESSION") || set("TERM"),
        };
        Self {
            color: surroundings.color(wish),
            width: width.filter(|_| is_terminal),
            zone: Zone::Local,
            missing: Missing::Erased,
        }
    }

    /// Dresses text in a tone. The text must have been escaped before.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() || tone.sgr().is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", tone.sgr())
    }

    /// Dresses a line that is light on dark by itself, so that it is on a light terminal too.
    #[must_use]
    pub fn light_on_dark(&self, line: &str) -> String {
        match self.color {
            true => format!("\x1b[97;40m{line}\x1b[0m"),
            false => line.to_owned(),
        }
    }

    /// The reader's distance from UTC at a moment.
    #[must_use]
    pub fn offset(&self, at: DateTime<Utc>) -> FixedOffset {
        match self.zone {
            Zone::Local => *at.with_timezone(&Local).offset(),
            Zone::Fixed(zone) => zone,
        }
    }

    /// Writes a moment in the reader's zone, in a `chrono` format.
    #[must_use]
    pub fn moment(&self, at: DateTime<Utc>, format: &str) -> String {
        at.with_timezone(&self.offset(at))
            .format(format)
            .to_string()
    }
}

/// What the choice of colour depends on.
struct Surroundings {
    is_terminal: bool,
    no_color: bool,
    dumb: bool,
    ansi: bool,
}

impl Surroundings {
    const fn color(&self, wish: ColorWish) -> bool {
        match wish {
            ColorWish::Always => true,
            ColorWish::Never => false,
            ColorWish::Auto => self.is_terminal && !self.no_color && !self.dumb && self.ansi,
        }
    }
}

/// A look for tests: no colour, no bound, two hours east of Greenwich.
#[cfg(test)]
pub(crate) fn test_look() -> Look {
    Look {
        zone: Zone::Fixed(FixedOffset::east_opt(7200).unwrap()),
        ..Look::PLAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_follows_the_wish_then_the_terminal() {
        let terminal = Surroundings {
            is_terminal: true,
            no_color: false,
            dumb: false,
            ansi: true,
        };
        assert!(terminal.color(ColorWish::Auto));
        assert!(!terminal.color(ColorWish::Never));
        let cases = [
            Surroundings {
                is_terminal: false,
                ..terminal
            },
            Surroundings {
                no_color: true,
                ..terminal
            },
            Surroundings {
                dumb: true,
                ..terminal
            },
            Surroundings {
                ansi: false,
                ..terminal
            },
        ];
        for case in cases {
            assert!(!case.color(ColorWish::Auto));
            assert!(case.color(ColorWish::Always));
        }
    }

    #[test]
    fn a_width_counts_only_on_a_terminal() {
        assert_eq!(Look::of(ColorWish::Never, false, Some(80)).width, None);
        assert_eq!(Look::of(ColorWish::Never, true, Some(80)).width, Some(80));
    }

    #[test]
    fn paint_is_silent_without_color() {
        let mut look = test_look();
        assert_eq!(look.paint(Tone::Denied, "x"), "x");
        look.color = true;
        assert_eq!(look.paint(Tone::Denied, "x"), "\x1b[1;35mx\x1b[0m");
        assert_eq!(look.paint(Tone::Plain, "x"), "x");
        assert_eq!(look.paint(Tone::Good, ""), "");
    }

    #[test]
    fn moments_are_in_the_readers_zone() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(
            test_look().moment(at, "%Y-%m-%d %H:%M:%S %:z"),
            "2027-01-15 10:00:00 +02:00"
        );
    }
}
