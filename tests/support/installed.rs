//! The clients of `tests/interop`, as `setup.sh` installs them.

use std::path::{Path, PathBuf};

use super::absent;

/// Where the drivers are.
pub(crate) fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// Something that `setup.sh` installs, if it did.
pub(crate) fn installed(path: &str) -> Option<PathBuf> {
    let path = here().join(path);
    if path.exists() {
        return Some(path);
    }
    absent::absent("tests/interop/setup.sh was not run");
    None
}
