//! What the operating system was asked to hold the command to, and what it does hold it to.
//!
//! Words for settings and for the first leaf; how it is done is in `launch::sandbox`. Invariant:
//! what stands here as held was tried out on this kernel before the session opened.

use serde::{Deserialize, Serialize};

/// What a session asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforce {
    /// As much as the system can, without a word against it if that is nothing.
    #[default]
    Auto,
    /// TCP leads to the gate alone, or the command does not run.
    On,
    /// The same, and no UDP.
    Strict,
    /// Nothing.
    Off,
}

impl Enforce {
    /// As settings and leaves spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Strict => "strict",
            Self::Off => "off",
        }
    }

    /// Whether the command must not run without it.
    #[must_use]
    pub const fn is_demand(self) -> bool {
        matches!(self, Self::On | Self::Strict)
    }
}

/// TCP connections lead to the gate, and to ports the user allowed.
pub const TCP: &str = "tcp";
/// No raw, packet or unusual sockets, and no `io_uring`: ways by which TCP rules are passed by.
pub const SOCKETS: &str = "sockets";
/// No UDP.
pub const UDP: &str = "udp";
/// No memory, environment or descriptors of processes that are not the command's own, the gate's
/// among them.
pub const PROCESSES: &str = "processes";
/// No signals to processes that are not the command's own.
pub const SIGNALS: &str = "signals";
/// Sockets in the file system: what listens there may do anything for the command.
pub const UNIX: &str = "unix";
/// Files: the command reads and writes what the user may, the record's files among it.
pub const FILES: &str = "files";

/// What holds, in `session.open`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// What was asked for.
    pub asked: Enforce,
    /// What the system holds the command to, in the words above; empty: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// What it does not hold it to; left out where it holds it to nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
    /// TCP ports, on any host, that stay open beside the gate's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// Why nothing is held, where something was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Enforcement {
    /// What follows from what is held: the rest is open.
    #[must_use]
    pub fn holding(asked: Enforce, held: &[&str], ports: &[u16]) -> Self {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        let all = [TCP, SOCKETS, UDP, PROCESSES, SIGNALS, UNIX, FILES];
        let open = all.into_iter().filter(|word| !held.contains(word));
        Self {
            asked,
            held: owned(held.to_vec()),
            open: owned(open.collect()),
            ports: ports.to_vec(),
            why: None,
        }
    }

    /// Nothing, and why.
    #[must_use]
    pub fn nothing(asked: Enforce, why: Option<String>) -> Self {
        Self {
            asked,
            why,
            ..Self::default()
        }
    }

    /// Whether the command is held to this.
    #[must_use]
    pub fn holds(&self, word: &str) -> bool {
        self.held.iter().any(|held| held == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_held_is_open() {
        let some = Enforcement::holding(Enforce::Auto, &[TCP, SOCKETS], &[5432]);
        assert!(some.holds(TCP) && !some.holds(UDP));
        assert_eq!(
            serde_json::to_string(&some).unwrap(),
            r#"{"asked":"auto","held":["tcp","sockets"],"open":["udp","processes","signals","unix","files"],"ports":[5432]}"#
        );
        let none = Enforcement::nothing(Enforce::Off, None);
        assert_eq!(serde_json::to_string(&none).unwrap(), r#"{"asked":"off"}"#);
        assert_eq!(
            serde_json::from_str::<Enforcement>(r#"{"asked":"off"}"#).unwrap(),
            none
        );
    }
}
