//! Opens a page in the person's own browser, where that makes sense.
//!
//! Invariant: the address reaches the opener as one argument, without a shell, and only if it is
//! https, or http on this machine. Never a browser that would draw on the terminal, never on a
//! machine the person is not in front of, never in CI. The opener is no part of the session: it is
//! not waited for, and Ctrl-C in the terminal does not reach it.

use std::process::Stdio;
use std::{io, thread};

/// What decides whether there is a browser to be opened.
pub struct Surroundings<'a> {
    /// Looks up a variable of the environment.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Standard input and standard error are a terminal.
    pub is_terminal: bool,
    /// Nobody is there: a CI job.
    pub is_ci: bool,
    /// The person wants none.
    pub is_unwanted: bool,
}

impl Surroundings<'_> {
    /// Whether this is a session on another machine, by SSH: a browser opened here would be there.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        ["SSH_CONNECTION", "SSH_TTY"]
            .iter()
            .any(|name| self.is_set(name))
    }

    /// Whether [`open`] would show a page to the person.
    #[must_use]
    pub fn has_browser(&self) -> bool {
        self.is_terminal
            && !self.is_ci
            && !self.is_unwanted
            && !self.is_remote()
            && platform::has_display(&|name| self.is_set(name))
            && !(self.lookup)("BROWSER").is_some_and(|browsers| draws_on_terminals(&browsers))
    }

    fn is_set(&self, name: &str) -> bool {
        (self.lookup)(name).is_some_and(|value| !value.is_empty())
    }
}

/// Whether `BROWSER` names a text browser first. It is a list, with `:` between.
fn draws_on_terminals(browsers: &str) -> bool {
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
    ];
    text.contains(&name)
}

/// Opens a page. It may still fail later: the opener is not waited for.
///
/// # Errors
/// The address is none that may be opened, or there is no opener.
pub fn open(address: &str) -> io::Result<()> {
    if !is_page(address) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the address is not an https page",
        ));
    }
    let mut opener = platform::opener(address);
    opener
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for name in OURS {
        opener.env_remove(name);
    }
    let mut opener = opener.spawn()?;
    // Some openers become the browser, and last as long as it does.
    thread::Builder::new()
        .name("ddgate-opener".to_owned())
        .spawn(move || opener.wait())?;
    Ok(())
}

/// What the gate holds and a browser has no use for.
const OURS: [&str; 11] = [
    "DDGATE_CLIENT_SECRET",
    "DDGATE_REDACTION_KEY",
    "DD_API_KEY",
    "DD_APP_KEY",
    "DD_APPLICATION_KEY",
    "DATADOG_API_KEY",
    "DATADOG_APP_KEY",
    "DATADOG_APPLICATION_KEY",
    "DD_ACCESS_TOKEN",
    "DD_BEARER_TOKEN",
    "DATADOG_BEARER_TOKEN",
];

/// https, or http to this machine; nothing an opener or a system could take for something else.
fn is_page(address: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let host = |scheme: &str| address.strip_prefix(scheme)?.split(['/', '?', '#']).next();
    let is_local = |host: &str| {
        let name = match host.strip_prefix("[::1]") {
            Some("") => return true,
            Some(port) => return port.starts_with(':'),
            None => host.split(':').next().unwrap_or_default(),
        };
        name == "127.0.0.1" || name == "localhost"
    };
    let is_https = host("https://").is_some_and(|host| !host.is_empty() && !host.contains('@'));
    address.bytes().all(is_plain) && (is_https || host("http://").is_some_and(is_local))
}

#[cfg(all(unix, not(target_os = "macos")))]
mod platform {
    //! freedesktop.org.

    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    pub(super) fn has_display(is_set: &dyn Fn(&str) -> bool) -> bool {
        is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
    }

    pub(super) fn opener(address: &str) -> Command {
        let mut command = Command::new("xdg-open");
        command.arg(address).process_group(0);
        if std::env::var_os("BROWSER").is_none_or(|value| value.is_empty()) {
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

    pub(super) fn has_display(_is_set: &dyn Fn(&str) -> bool) -> bool {
        true
    }

    pub(super) fn opener(address: &str) -> Command {
        let mut command = Command::new("/usr/bin/open");
        command.arg(address).process_group(0);
        command
    }
}

#[cfg(not(unix))]
mod platform {
    //! Windows. Not `start`, which is a word of a shell.

    use std::process::Command;

    pub(super) fn has_display(_is_set: &dyn Fn(&str) -> bool) -> bool {
        true
    }

    pub(super) fn opener(address: &str) -> Command {
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
            assert!(open(bad).is_err(), "{bad}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_browser_is_opened_only_in_front_of_a_person() {
        let has = |variables: &[(&str, &str)], is_terminal, is_ci, is_unwanted| {
            let lookup = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let surroundings = Surroundings {
                lookup: &lookup,
                is_terminal,
                is_ci,
                is_unwanted,
            };
            surroundings.has_browser()
        };
        let desk = [("DISPLAY", ":0")];
        assert!(has(&desk, true, false, false));
        assert!(has(&[("WAYLAND_DISPLAY", "wayland-0")], true, false, false));
        assert!(!has(&desk, false, false, false));
        assert!(!has(&desk, true, true, false));
        assert!(!has(&desk, true, false, true));
        assert!(!has(&[("DISPLAY", "")], true, false, false));
        for (name, value) in [
            ("SSH_CONNECTION", "1 2 3 4"),
            ("SSH_TTY", "/dev/pts/1"),
            ("BROWSER", "/usr/bin/w3m -N"),
        ] {
            assert!(
                !has(&[desk[0], (name, value)], true, false, false),
                "{name}"
            );
        }
        assert!(has(
            &[desk[0], ("BROWSER", "firefox:w3m")],
            true,
            false,
            false
        ));
    }
}
