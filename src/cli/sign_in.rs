//! The flags of whatever may sign a person in, and the verbs around it. No logic beyond words.

use clap::Args;

use super::ProviderArgs;

/// How a person signs in.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Signing in")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct SignInArgs {
    /// Sign in with a browser on this machine (authorization code with PKCE)
    #[arg(long, conflicts_with = "device")]
    pub browser: bool,
    /// Sign in with a code, on any device (the default)
    #[arg(long)]
    pub device: bool,
    /// Open no browser, only show the address
    #[arg(long)]
    pub no_browser: bool,
    /// Show the address as a QR code as well
    #[arg(long, conflicts_with = "browser")]
    pub qr: bool,
}

impl SignInArgs {
    /// The flow that was asked for, with the flag that did.
    #[must_use]
    pub fn flow(&self) -> Option<(&'static str, String)> {
        match (self.browser, self.device) {
            (true, _) => Some(("--browser", "browser".to_owned())),
            (false, true) => Some(("--device", "device".to_owned())),
            (false, false) => None,
        }
    }
}

/// What follows `ddgate login`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate login
  ddgate login --browser                         With a browser on this machine
  ddgate login --profile work
  ddgate login --json                            Events for an editor, see ddgate-sign-in(5)
  ddgate login --issuer https://id.example.com --client-id ddgate")]
pub struct LoginArgs {
    /// The identity provider to sign in with
    #[command(flatten)]
    pub provider: ProviderArgs,
    /// How to sign in
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// Print events, one JSON object a line, instead of the screen; no browser is opened
    #[arg(long)]
    pub json: bool,
}

/// What follows `ddgate logout`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate logout
  ddgate logout --profile work
  ddgate logout --all")]
pub struct LogoutArgs {
    /// Sign out of every profile, and of none
    #[arg(long, conflicts_with = "profile")]
    pub all: bool,
}

/// What follows `ddgate status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ddgate status
  ddgate status --all                            Every profile, a line each
  ddgate status --json | jq .keys")]
pub struct StatusArgs {
    /// List every profile
    #[arg(long, conflicts_with = "profile")]
    pub all: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}
