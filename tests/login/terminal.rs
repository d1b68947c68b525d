//! Signing in at a terminal: a real one, driven by `support/person.py`.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::{env, fs};

use super::Desk;
use crate::absent::absent;

/// An opener that writes down what it was given, and by how many arguments.
const OPENER: &str =
    "#!/bin/sh\nenv >\"$HOME/surroundings\"\nprintf '%s %s\\n' \"$#\" \"$*\" >>\"$HOME/opened\"\n";
/// A key in a variable that only a `[[credential]]` knows.
const SRE_KEY: &str = "fedcba9876543210fedcba9876543210";

/// Plays one scenario of the driver. Outside its own directory nothing is opened.
fn play(scenario: &str, provider: &[&str]) {
    let Some(desk) = Desk::with(provider) else {
        return;
    };
    if Command::new("python3").arg("-V").output().is_err() {
        return absent("python3");
    }
    let home = desk.home.path();
    if scenario == "browser" {
        let path = home.join("ddgate.toml");
        let entry = "[[credential]]\nname = \"sre\"\nenv = { api_key = \"SRE_KEY\", app_key = \"SRE_KEY\" }\n";
        let settings = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{settings}\n{entry}")).unwrap();
    }
    let programs = home.join("programs");
    fs::create_dir(&programs).unwrap();
    let opener = programs.join("xdg-open");
    fs::write(&opener, OPENER).unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/person.py");
    let played = Command::new("python3")
        .args([driver, scenario, env!("CARGO_BIN_EXE_ddgate")])
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("TMPDIR", home.join("tmp"))
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .env("DISPLAY", ":0")
        .env("DDGATE_CONFIG", home.join("ddgate.toml"))
        .env("DD_API_KEY", "0123456789abcdef0123456789abcdef")
        .env("DD_APP_KEY", "0123456789abcdef0123456789abcdef01234567")
        .env("SRE_KEY", SRE_KEY)
        .env("ISSUER", &desk.provider.issuer)
        .current_dir(home)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&played.stdout), text(&played.stderr));
    assert!(played.status.success(), "{scenario}:\n{said}{complained}");
    // A browser is a program like others: no business of its own with what the gate holds.
    let surroundings = fs::read_to_string(home.join("surroundings")).unwrap_or_default();
    assert!(!surroundings.contains("0123456789abcdef"), "{surroundings}");
    let is_named = fs::read_to_string(home.join("ddgate.toml"))
        .unwrap()
        .contains("SRE_KEY");
    assert_eq!(
        surroundings.contains(SRE_KEY),
        !surroundings.is_empty() && !is_named,
        "{surroundings}"
    );
}

#[test]
fn enter_opens_the_browser_while_it_counts_down() {
    play("enter", &["--interval", "1"]);
}

#[test]
fn what_is_typed_for_the_command_reaches_it() {
    play("child_input", &["--interval", "1"]);
}

#[test]
fn an_expired_code_is_followed_by_another() {
    play("expired", &["--interval", "1"]);
}

#[test]
fn where_no_browser_makes_sense_none_is_offered() {
    play("no_browser", &["--interval", "1"]);
}

#[test]
fn a_sign_in_can_be_cancelled() {
    play("cancelled", &["--interval", "1"]);
}

#[test]
fn the_browser_flow_opens_one_by_itself() {
    play("browser", &[]);
}
