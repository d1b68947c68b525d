//! Opens a page in the person's own browser, where that makes sense.
//!
//! Invariant: the address reaches the opener as one argument, without a shell, and only if it is
//! https, or http on this machine. Never a browser that would draw on the terminal, never on a
//! machine the person is not in front of, never in CI. The opener is no part of the session: it is
//! not waited for, and Ctrl-C in the terminal does not reach it.

use std::process::Stdio;
use std::{io, thread};

use url::{Host, Url};

/// What decides whether there is a browser to be opened.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Standard input and standard error are a terminal.
    pub is_terminal: bool,
    /// Nobody is there: a CI job.
    pub is_ci: bool,
    /// This is a session on another machine (SSH): a browser opened here would be there.
    pub is_remote: bool,
    /// The person wants none.
    pub is_unwanted: bool,
    /// A display server is named. Only asked for where there may be none.
    pub has_display: bool,
    /// `BROWSER`: programs of the person's choice, with `:` between.
    pub chosen: Option<String>,
}

/// The person's own browser.
#[derive(Clone, Copy, Debug)]
pub struct Browser {
    /// The opener finds a choice of theirs in `BROWSER`.
    is_chosen: bool,
}

impl Browser {
    /// Finds it, if opening it would show a page to the person.
    #[must_use]
    pub fn find(surroundings: &Surroundings) -> Option<Self> {
        let Surroundings {
            is_terminal,
            is_ci,
            is_remote,
            is_unwanted,
            has_display,
            chosen,
        } = surroundings;
        let chosen = chosen.as_deref().filter(|browsers| !browsers.is_empty());
        let may = *is_terminal && !is_ci && !is_remote && !is_unwanted;
        let can =
            (*has_display || !platform::NEEDS_DISPLAY) && !chosen.is_some_and(is_for_terminals);
        (may && can).then_some(Self {
            is_chosen: chosen.is_some(),
        })
    }

    /// Opens a page. It may still fail later: the opener is not waited for. It gets neither ddgate's
    /// and Datadog's variables nor those that are `held`: what the gate holds is no business of a
    /// browser.
    ///
    /// # Errors
    /// The address is none that may be opened, or there is no opener.
    pub fn open(self, address: &str, held: &[String]) -> io::Result<()> {
        if !is_page(address) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the address is not an https page",
            ));
        }
        let mut opener = platform::opener(address, self.is_chosen);
        opener
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let spelled = name.to_string_lossy();
            let is_ours = ["DD_", "DATADOG_", "DDGATE_"]
                .iter()
                .any(|start| spelled.starts_with(start));
            if is_ours || held.iter().any(|held| *held == spelled) {
                opener.env_remove(&name);
            }
        }
        let mut opener = opener.spawn()?;
        // Some openers become the browser, and last as long as it does.
        thread::Builder::new()
            .name("ddgate-opener".to_owned())
            .spawn(move || opener.wait())?;
        Ok(())
    }
}

/// Whether the first choice is a browser that draws on the terminal, or none.
fn is_for_terminals(browsers: &str) -> bool {
    let first = browsers.split(':').next().unwrap_or_default();
    let program = first.split_whitespace().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    let text = [
        "w3m",
        "lynx",
        "links",
        "links2",
        "elinks",
        "browsh",
        "www-browser",
        "none",
        "false",
        "true",
    ];
    text.contains(&name)
}

/// https, or http to this machine; nothing an opener or a system could take for something else, and
/// no user information, which makes one host look like another.
fn is_page(address: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let Ok(url) = Url::parse(address) else {
        return false;
    };
    let is_local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_named = url.username().is_empty() && url.password().is_none();
    let is_fit = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_local,
        _ => false,
    };
    address.bytes().all(is_plain) && is_named && is_fit
}

#[cfg(all(unix, not(target_os = "macos")))]
mod platform {
    //! freedesktop.org.

    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    pub(super) const NEEDS_DISPLAY: bool = true;

    pub(super) fn opener(address: &str, is_chosen: bool) -> Command {
        let mut command = Command::new("xdg-open");
        command.arg(address).process_group(0);
        if !is_chosen {
            // Its own list, where no desktop is known, ends with browsers for terminals.
            command.env(
                "BROWSER",
                "x-www-browser:firefox:chromium:chromium-browser:google-chrome:microsoft-edge:\
                 brave-browser:epiphany:konqueror:falkon",
            );
        }
        command
    }
}

#[cfg(target_os = "macos")]
mod platform {
    //! macOS.

    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    pub(super) const NEEDS_DISPLAY: bool = false;

    pub(super) fn opener(address: &str, _is_chosen: bool) -> Command {
        let mut command = Command::new("/usr/bin/open");
        command.arg(address).process_group(0);
        command
    }
}

#[cfg(not(unix))]
mod platform {
    //! Windows. Not `start`, which is a word of a shell.

    use std::process::Command;

    pub(super) const NEEDS_DISPLAY: bool = false;

    pub(super) fn opener(address: &str, _is_chosen: bool) -> Command {
        let mut command = Command::new("rundll32");
        command.args(["url.dll,FileProtocolHandler", address]);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_are_opened() {
        for good in [
            "https://idp.example/device?user_code=ABCD-EFGH",
            "http://127.0.0.1:4000/auth?x=y&z=%20",
            "http://localhost/",
            "http://[::1]:8/",
        ] {
            assert!(is_page(good), "{good}");
        }
        for bad in [
            "",
            "--version",
            "javascript:alert(1)",
            "http://127.0.0.1:x@evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "https://idp.example@evil.example/",
            "file:///etc/passwd",
            "http://192.0.2.1/",
            "http://127.0.0.1.evil.example/",
            "http://localhost@evil.example/",
            "http://[::1]evil/",
            "https://",
            "https://a@b/",
            "https://idp.example/\n",
            "https://idp.example/ x",
            "https://idp.example/'x",
            "https://idp.example/\u{202e}",
        ] {
            assert!(!is_page(bad), "{bad}");
            let browser = Browser { is_chosen: false };
            assert!(browser.open(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_browser_is_opened_only_in_front_of_a_person() {
        let desk = Surroundings {
            is_terminal: true,
            has_display: true,
            ..Surroundings::default()
        };
        let has = |change: fn(&mut Surroundings)| {
            let mut surroundings = desk.clone();
            change(&mut surroundings);
            Browser::find(&surroundings).is_some()
        };
        assert!(has(|_| {}));
        assert!(!has(|at| at.is_terminal = false));
        assert!(!has(|at| at.is_ci = true));
        assert!(!has(|at| at.is_remote = true));
        assert!(!has(|at| at.is_unwanted = true));
        assert_eq!(has(|at| at.has_display = false), !platform::NEEDS_DISPLAY);
        assert!(!has(|at| at.chosen = Some("/usr/bin/w3m -N".to_owned())));
        assert!(has(|at| at.chosen = Some("firefox:w3m".to_owned())));
        assert!(has(|at| at.chosen = Some(String::new())));
    }
}
