//! S: what one durable write costs on the disk of this run: 4 KiB appended, `fdatasync`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Failure;
use super::report::percentile;

const WRITES: usize = 15;

/// A file that is only ever appended to.
pub(crate) struct Disk {
    file: File,
    times: Vec<Duration>,
}

impl Disk {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        Ok(Self {
            file: File::create(directory.join("appended"))?,
            times: Vec::new(),
        })
    }

    /// Some more writes, spread over the run as the disk's moods are.
    pub(crate) fn measure(&mut self) -> Result<(), Failure> {
        for _ in 0..WRITES {
            let began = Instant::now();
            self.file.write_all(&[0x5a; 4096])?;
            self.file.sync_data()?;
            self.times.push(began.elapsed());
        }
        Ok(())
    }

    pub(crate) fn median(&self) -> Duration {
        percentile(&self.times, 50)
    }
}
