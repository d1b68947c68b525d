//! Blocking work beside the async runtime.
//!
//! A plain thread, not the runtime's own pool: a runtime waits for its pool when it shuts down,
//! and a hung keyring would then hang the exit of ddgate.

use std::io;

/// Runs `work` on a thread of its own. Dropping the future leaves the thread to end by itself.
///
/// # Errors
/// The thread cannot be started, or the work panicked.
pub(super) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (give, take) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody waits any more if this fails.
            drop(give.send(work()));
        })?;
    take.await
        .map_err(|_| io::Error::other(format!("the {name} thread ended early")))
}
