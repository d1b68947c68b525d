//! Exit codes, documented in `ddgate(1)`. `run` itself ends with the child's own code.

use std::process::ExitCode;

/// What ddgate's exit status means when it is not the child's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: yes, done.
    Success,
    /// 1: the answer is no (nothing matched, denied, tampered).
    No,
    /// 2: `verify`: what is there is as it was signed, but something is not there.
    Incomplete,
    /// 2: the command line or a configuration file is wrong.
    Usage,
    /// 3: not signed in.
    NotSignedIn,
    /// 4: the session cannot be read, or is locked.
    Unreadable,
    /// 5: something remote failed; trying again may help.
    Remote,
    /// 70: a bug in ddgate (BSD `EX_SOFTWARE`).
    Bug,
    /// 125: `run`: ddgate itself failed before or while the child ran.
    GateFailed,
    /// 126: `run`: the command exists but cannot be executed.
    NotExecutable,
    /// 127: `run`: the command was not found.
    NotFound,
    /// The child's own code, or 128+n when a signal ended it.
    Child(u8),
}

impl Exit {
    /// Returns the number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::No => 1,
            Self::Incomplete | Self::Usage => 2,
            Self::NotSignedIn => 3,
            Self::Unreadable => 4,
            Self::Remote => 5,
            Self::Bug => 70,
            Self::GateFailed => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
