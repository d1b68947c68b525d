//! Loop devices and mounts, given back when dropped, in a mount namespace that ends with the
//! process: whatever happens to a test, nothing of it stays mounted.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::absent::absent;
use crate::device::Device;

/// Says that this process has mounts of its own.
const APART: &str = "DDGATE_POWER_LOSS_APART";
/// Where the programs are; a test's own `PATH` need not name the administrator's.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

impl std::fmt::Display for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FileSystem {
    const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// As small as it can be: every image is built and mounted.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Ext4 => 96 << 20,
            // mkfs makes no smaller ones.
            Self::Xfs => 320 << 20,
        }
    }

    /// Makes the file system on an empty device, whole from the start: nothing is initialised
    /// later, beside what the test does.
    pub(crate) fn make(self, device: &Path) -> io::Result<()> {
        let words: &[&str] = match self {
            Self::Ext4 => &[
                "mkfs.ext4",
                "-q",
                "-E",
                "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
            ],
            Self::Xfs => &["mkfs.xfs", "-q", "-K"],
        };
        run(words, &[device]).map(drop)
    }

    const fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "noatime,errors=remount-ro",
            Self::Xfs => "noatime,nouuid",
        }
    }
}

/// Runs a program; what it printed, or what it complained of.
fn run(words: &[&str], paths: &[&Path]) -> io::Result<String> {
    let output = Command::new(words[0])
        .env("PATH", PATH)
        .args(&words[1..])
        .args(paths)
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{words:?} {paths:?}: {said}")))
}

fn is_there(program: &str) -> bool {
    let mut places = PATH.split(':');
    places.any(|place| Path::new(place).join(program).exists())
}

/// Whether the test that calls this should go on. At first it should not: it is then run once more
/// in a process with mounts of its own. Where it cannot be run at all, says so.
pub(crate) fn apart(programs: &[&str]) -> bool {
    if std::env::var_os(APART).is_some() {
        return true;
    }
    let common = ["losetup", "mount", "umount", "unshare"];
    let missing = common.iter().chain(programs).find(|name| !is_there(name));
    if let Some(name) = missing {
        absent(&format!("{name} is not on this machine"));
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        absent("only root can mount file systems");
        return false;
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            absent(&format!("there is no {device}"));
            return false;
        }
    }
    let own_mounts = ["unshare", "--mount", "--propagation", "private", "--"];
    if let Err(e) = run(&own_mounts, &[Path::new("true")]) {
        absent(&format!("this root may not mount: {e}"));
        return false;
    }
    let current = std::thread::current();
    let status = Command::new(own_mounts[0])
        .args(&own_mounts[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", current.name().unwrap(), "--nocapture"])
        .env("PATH", PATH)
        .env(APART, "1")
        .status();
    assert!(status.unwrap().success(), "see above");
    false
}

/// A file system on a device of ours, mounted.
pub(crate) struct Mounted {
    pub(crate) at: PathBuf,
    // Dropped last: the device under the mount.
    pub(crate) device: Device,
    _directory: tempfile::TempDir,
}

impl Mounted {
    /// Mounts what `content` holds; `make` makes a file system there first.
    pub(crate) fn new(system: FileSystem, content: Vec<u8>, make: bool) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("power-loss-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (below, at) = (directory.path().join("below"), directory.path().join("at"));
        std::fs::create_dir(&below)?;
        std::fs::create_dir(&at)?;
        let device = Device::mount(&below, content)?;
        let attached = Attached::new(&device.file())?;
        if make {
            system.make(&attached.0)?;
        }
        run(
            &["mount", "-t", system.name(), "-o", system.options()],
            &[&attached.0, &at],
        )?;
        let mounted = Self {
            at,
            device,
            _directory: directory,
        };
        // From here on the loop device goes when its mount goes.
        drop(attached);
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Somebody may still have a file open there for a moment; at worst the mount goes when
        // they do.
        for _ in 0..50 {
            if run(&["umount"], &[&self.at]).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = run(&["umount", "--lazy"], &[&self.at]);
    }
}

/// A file as a loop device; detached when dropped, or as soon as it is no longer mounted.
struct Attached(PathBuf);

impl Attached {
    fn new(file: &Path) -> io::Result<Self> {
        // Directly, so that no cache of the device's own stands between.
        let direct = ["losetup", "--find", "--show", "--direct-io=on"];
        let name = run(&direct, &[file]).or_else(|_| run(&direct[..3], &[file]))?;
        Ok(Self(name.into()))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = run(&["losetup", "--detach"], &[&self.0]);
    }
}
