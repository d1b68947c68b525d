//! Samples for the dictionary of small contents, of an installation that is not measured. Made into
//! a dictionary with `zstd --train`; `src/journal/dictionary.rs` says how.

use std::path::Path;

use ddgate::journal::SessionReader;
use ddgate::record::event::Durability;

use super::Failure;
use super::record::Session;
use super::traffic::{BANK, Traffic};

const CALLS: usize = 600;
const FIELDS: [&str; 3] = ["target", "headers", "body"];
/// Larger contents carry what a dictionary would give them in themselves.
const SAMPLE_BYTES_MAX: usize = 24 << 10;

/// Writes one file for every leaf and every content of a session.
pub(crate) fn write(directory: &Path) -> Result<(), Failure> {
    let mut traffic = Traffic::new(&BANK, 77);
    let session = Session::create(&directory.join("sessions"), 0xd1, Durability::Process)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for _ in 0..CALLS {
        runtime.block_on(session.record(&traffic.next()))?;
    }
    let reader = SessionReader::open(session.close()?)?;
    let samples = directory.join("samples");
    std::fs::create_dir(&samples)?;
    for leaf in reader.leaves(0) {
        let leaf = leaf?;
        std::fs::write(
            samples.join(format!("{:05}-leaf", leaf.i)),
            leaf.to_bytes()?,
        )?;
        for name in FIELDS {
            if let Some(field) = reader.field(leaf.i, name)?
                && field.content.len() <= SAMPLE_BYTES_MAX
            {
                let path = samples.join(format!("{:05}-{name}", leaf.i));
                std::fs::write(path, field.content)?;
            }
        }
    }
    Ok(())
}
