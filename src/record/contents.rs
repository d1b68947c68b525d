//! What can be seen of a session's content: all of it, nothing for want of a key, nothing any more.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether the committed content of a session can be read. What its leaves state always can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Contents {
    /// It is there, and open.
    #[default]
    Open,
    /// It is encrypted, and no identity was given that opens it.
    Sealed,
    /// It was erased on purpose.
    Erased(Erasure),
    /// Its erasure began and has not ended: some of it may still be there.
    Erasing,
}

/// Who erased a session's content, and when. Said by whoever did it: nothing signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The operating system's user.
    pub by: String,
    /// How many contents.
    pub contents: u64,
}
