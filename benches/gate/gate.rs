//! The real binary, started as a user would start it, with this bench as its child; and the least
//! proxy, started in the same place.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::upstream::{self, Upstream};
use super::{Failure, child, least};

/// Datadog's keys, as only the gate and the fake Datadog know them.
pub(crate) const KEYS: (&str, &str) = (
    "0c7e52a1f4b94d6e8a3b1c2d4e5f6071",
    "5b1d9e3f7a2c4860b1d3f5a7c9e0b2d4f6a81c3e",
);
/// What a child holds in their place; the least proxy asks for none.
const PLACEHOLDERS: (&str, &str) = (
    "00000000000000000000000000000000",
    "0000000000000000000000000000000000000000",
);
/// Where distributions keep their roots: the gate should read as many as it would in life.
const PLATFORM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A pair of keys, real or not.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) api: String,
    pub(crate) app: String,
}

/// In the home: roots that know the fake Datadog.
pub(crate) const ROOTS: &str = "roots.pem";

/// What all proxies of a run share: a home, a fake Datadog, roots that know it.
pub(crate) struct World {
    home: TempDir,
    pub(crate) upstream: Upstream,
}

impl World {
    pub(crate) fn create() -> Result<Self, Failure> {
        let home = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let upstream = Upstream::start()?;
        let mut roots = std::fs::read(PLATFORM_ROOTS).unwrap_or_default();
        roots.extend_from_slice(upstream.ca_pem.as_bytes());
        std::fs::write(home.path().join(ROOTS), roots)?;
        Ok(Self { home, upstream })
    }

    /// On the disk that sessions are written to.
    pub(crate) fn directory(&self) -> &Path {
        self.home.path()
    }

    /// The least proxy, with the fake Datadog behind it.
    pub(crate) fn least(&self) -> Result<Command, Failure> {
        let mut least = self.bare(&myself()?);
        least
            .args([child::WORD, child::LEAST])
            .arg(self.upstream.direct.to_string());
        Ok(least)
    }

    /// The child that calls through the least proxy at `address`: the same as the gate's.
    pub(crate) fn caller(&self, address: &str) -> Result<Command, Failure> {
        let mut caller = self.bare(&myself()?);
        caller
            .args([child::WORD, child::WORK])
            .env("DD_HOST", format!("http://{address}"))
            .env("NODE_EXTRA_CA_CERTS", least::AUTHORITY)
            .env("DD_API_KEY", PLACEHOLDERS.0)
            .env("DD_APP_KEY", PLACEHOLDERS.1);
        Ok(caller)
    }

    /// A command in an environment that holds nothing of this machine's.
    fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory())
            .current_dir(self.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    /// `ddgate run` around `command`.
    pub(crate) fn run(&self, command: &[&str]) -> Command {
        let mut run = self.bare(env!("CARGO_BIN_EXE_ddgate"));
        run.env("SSL_CERT_FILE", self.directory().join(ROOTS))
            .env("DD_API_KEY", KEYS.0)
            .env("DD_APP_KEY", KEYS.1)
            .args(["run", "--identity", "local", "-q", "--upstream"])
            .arg(format!(
                "https://{}:{}",
                upstream::NAME,
                self.upstream.gated.port()
            ))
            .arg("--")
            .args(command);
        run
    }
}

/// This very binary.
pub(crate) fn myself() -> Result<String, Failure> {
    let path = std::env::current_exe()?.into_os_string();
    path.into_string().map_err(|_| "an unreadable path".into())
}
