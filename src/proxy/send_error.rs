//! Why a call got no answer that could be passed on, and what that means for the record: whether it
//! cannot have taken effect, or may have.

use std::io;
use std::time::Duration;

use http::StatusCode;

use super::intake::UploadBroke;
use crate::record::Outcome;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// No connection: nothing was sent.
    #[error("cannot reach {host}: {why}")]
    Unreachable { host: String, why: String },
    /// The connection broke before an answer began: it may or may not have taken effect.
    #[error("{host} broke the connection before answering: {why}")]
    Broken { host: String, why: String },
    /// No answer in time: it may or may not have taken effect.
    #[error("{host} did not answer within {} s", .after.as_secs())]
    Silent { host: String, after: Duration },
    /// The answer leaves HTTP, which nobody asked for: it may or may not have taken effect.
    #[error("{host} answered {}, which ends HTTP on its connection", .status.as_u16())]
    Switched { host: String, status: StatusCode },
    /// The request never became whole, so it cannot have taken effect.
    #[error(transparent)]
    Upload(UploadBroke),
    /// The request cannot be put into HTTP: nothing was sent.
    #[error("the request cannot be sent: {0}")]
    Malformed(#[from] http::Error),
    /// The session ended meanwhile: it may or may not have taken effect.
    #[error("the session ended before the answer")]
    Stopped,
}

impl SendError {
    /// How such a call ends on record.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Unreachable { .. } | Self::Upload(_) | Self::Malformed(_) => Outcome::Failed,
            Self::Broken { .. } | Self::Silent { .. } | Self::Switched { .. } | Self::Stopped => {
                Outcome::InDoubt
            }
        }
    }

    /// What Datadog said, if it said anything.
    pub(super) const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Switched { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Status and verdict for the child.
    pub(super) const fn verdict(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Upload(UploadBroke::Record(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unrecordable")
            }
            _ => (StatusCode::BAD_GATEWAY, "failed"),
        }
    }

    /// What an error of the HTTP client means for the call.
    pub(super) fn of(host: String, error: &hyper_util::client::legacy::Error) -> Self {
        if let Some(broke) = upload_broke(error) {
            return Self::Upload(broke);
        }
        let why = reasons(error);
        if error.is_connect() {
            Self::Unreachable { host, why }
        } else {
            Self::Broken { host, why }
        }
    }
}

/// Why the body of a request ended early, if that is what is behind an error.
fn upload_broke(error: &(dyn std::error::Error + 'static)) -> Option<UploadBroke> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An `io::Error` shows what it wraps only this way.
        if let Some(broke) = error
            .downcast_ref::<io::Error>()
            .and_then(|e| e.get_ref()?.downcast_ref())
        {
            return Some(UploadBroke::clone(broke));
        }
        next = error.source();
    }
    None
}

/// The reasons behind an error, outermost first: hyper's own first line says too little.
pub(super) fn reasons(error: &dyn std::error::Error) -> String {
    let mut all = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if all.last() != Some(&text) {
            all.push(text);
        }
        next = error.source();
    }
    all.join(": ")
}
