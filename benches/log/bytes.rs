//! What a working agent's session takes on the disk, against the same calls in a HAR file.

use std::path::Path;

use ddgate::record::event::Durability;

use super::Failure;
use super::har::Har;
use super::long::session_bytes;
use super::record::Session;
use super::traffic::{SHOP, Traffic};

/// Bytes of so many calls, each way.
pub(crate) struct Bytes {
    pub(crate) calls: usize,
    pub(crate) bodies: u64,
    pub(crate) har: u64,
    pub(crate) wal: u64,
    pub(crate) index: u64,
}

/// One call after the other, as an agent makes them.
pub(crate) fn measure(directory: &Path, calls: usize) -> Result<Bytes, Failure> {
    let mut traffic = Traffic::new(&SHOP, 11);
    let mut har = Har::create(&directory.join("calls.har"))?;
    let session = Session::create(&directory.join("sizes"), 0xb1, Durability::Process)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut bodies = 0;
    for _ in 0..calls {
        let exchange = traffic.next();
        bodies += (exchange.request_body.len() + exchange.response_body.len()) as u64;
        har.push(&exchange)?;
        runtime.block_on(session.record(&exchange))?;
    }
    let (wal, index) = session_bytes(&session.close()?)?;
    Ok(Bytes {
        calls,
        bodies,
        har: har.finish()?,
        wal,
        index,
    })
}
