//! Why a workload is not known. No text of a token beyond single, cleaned claims; no answer, no
//! output.

use std::io;
use std::path::PathBuf;

use crate::auth::AuthError;
use crate::net::NetError;

/// Why a workload is not known.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// Nobody said whose token is believed here.
    #[error("nothing says whose identity token is believed in {system}{}", for_others(*others))]
    NotConfigured {
        /// The system.
        system: &'static str,
        /// The file that decides about its jobs.
        file: &'static str,
        /// Workloads that are configured for others.
        others: usize,
        /// What to write into it.
        add: String,
    },
    /// The job has no token, and no way to one.
    #[error("{system} gave no identity token: {missing}")]
    NoToken {
        /// The system.
        system: &'static str,
        /// The file that decides about its jobs.
        file: &'static str,
        /// What is missing.
        missing: &'static str,
        /// What to write into it.
        add: String,
    },
    /// A variable that was named is not there.
    #[error("the identity token is to be in the variable {0}, which is not set")]
    Unset(String),
    /// The audience alone would tell nobody from anybody.
    #[error("one pinned claim is not enough for the audience `{audience}`: {why}")]
    TooFewPins {
        /// The audience.
        audience: String,
        /// Why.
        why: &'static str,
    },
    /// Where the token is asked for is not reached.
    #[error("no identity token could be fetched from {from}")]
    Unreachable {
        /// Host.
        from: String,
        /// Why.
        #[source]
        source: NetError,
    },
    /// It gives none.
    #[error("{from} refused to give an identity token ({status})")]
    Refused {
        /// Host.
        from: String,
        /// HTTP status.
        status: u16,
    },
    /// What came is not what should have.
    #[error("{from} cannot be used: {why}")]
    Answer {
        /// Where it comes from.
        from: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The command that prints the token did not.
    #[error("the command `{program}` printed no identity token ({why})")]
    Command {
        /// Its name.
        program: String,
        /// How it failed.
        why: String,
    },
    /// A file with a token or with keys cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `iss`.
    #[error("the token is signed by `{found}`, and `{accepted}` is accepted")]
    Issuer {
        /// As the token says.
        found: String,
        /// As configured.
        accepted: String,
    },
    /// `aud`.
    #[error("the token is for `{found}`, and `{accepted}` is accepted")]
    Audience {
        /// As the token says.
        found: String,
        /// As configured.
        accepted: String,
    },
    /// A pinned claim.
    #[error(
        "the token {}, which must be `{pinned}`",
        match found {
            Some(found) => format!("says `{found}` for `{claim}`"),
            None => format!("does not say `{claim}`"),
        }
    )]
    Pin {
        /// The claim.
        claim: String,
        /// What it must be.
        pinned: String,
        /// What it is.
        found: Option<String>,
    },
    /// Somebody has a shell in the job.
    #[error("this CircleCI job was started again with SSH: whoever is in it could act as the job")]
    SshRerun,
    /// None of several workloads fits.
    #[error("none of the configured workloads fits: {0}")]
    NoneFits(String),
    /// The token does not hold, or its issuer is not reached.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

fn for_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => " (one workload is configured, for another system)".to_owned(),
        many => format!(" ({many} workloads are configured, for other systems)"),
    }
}

impl WorkloadError {
    /// One error of what was tried.
    pub(super) fn of(mut failures: Vec<(String, Self)>) -> Self {
        if failures.len() == 1
            && let Some((_, only)) = failures.pop()
        {
            return only;
        }
        let each = failures
            .iter()
            .map(|(name, error)| format!("{name}: {error}"));
        Self::NoneFits(each.collect::<Vec<_>>().join("; "))
    }
}
