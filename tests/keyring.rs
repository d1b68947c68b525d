//! The OS keyring as it is met in life: absent, mute, locked, and working (Linux).
//!
//! Which keyring a process talks to is decided by its environment, once; so each case runs this
//! very test binary again as a child with an environment of its own.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/absent.rs"]
mod absent;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ddgate::auth::secret_store::{SecretStore, Storage, StoreError, StoreSettings};
use ddgate::record::Secret;

const NAME: &str = "refresh-token:https://idp.test|ddgate";

fn store(storage: Storage) -> SecretStore {
    SecretStore::new(StoreSettings {
        storage,
        directory: std::env::temp_dir().join("ddgate-keyring-test-unused"),
        desktop: false,
    })
}

/// Not a test by itself: what the children run. The variable says which case it is.
#[test]
fn child() {
    let Ok(case) = std::env::var("DDGATE_KEYRING_CASE") else {
        return;
    };
    let secret = Secret::new("rt".repeat(1000));
    match case.as_str() {
        "works" => {
            let store = store(Storage::Auto);
            store.prove().unwrap();
            assert!(store.get(NAME).unwrap().is_none());
            store.set(NAME, &secret).unwrap();
            store
                .set("datadog:api-key", &Secret::new("k".to_owned()))
                .unwrap();
            assert_eq!(store.fallback(), None);
            assert_eq!(store.describe(), "OS keyring (Secret Service)");
        }
        "works-later" => {
            let store = store(Storage::Keyring);
            assert_eq!(store.get(NAME).unwrap().unwrap().expose(), secret.expose());
            assert!(store.delete(NAME).unwrap());
            assert!(!store.delete(NAME).unwrap());
            assert!(store.get(NAME).unwrap().is_none());
            assert!(store.delete("datadog:api-key").unwrap());
        }
        "falls" => {
            let began = Instant::now();
            let auto = store(Storage::Auto);
            auto.prove().unwrap();
            assert!(auto.fallback().is_some());
            auto.set(NAME, &secret).unwrap();
            assert_eq!(auto.get(NAME).unwrap().unwrap().expose(), secret.expose());
            assert_eq!(auto.describe(), "memory, this run only");
            let error = store(Storage::Keyring).set(NAME, &secret).unwrap_err();
            assert!(matches!(
                error,
                StoreError::Keyring { .. } | StoreError::KeyringSilent { .. }
            ));
            // Two limits of two seconds, and room for a slow machine.
            assert!(
                began.elapsed() < Duration::from_secs(15),
                "{:?}",
                began.elapsed()
            );
            println!("fell: {}", auto.fallback().unwrap());
        }
        other => panic!("{other}"),
    }
}

/// Runs a case in a home of its own, behind `wrapper` if there is one.
fn run(case: &str, home: &Path, bus: Option<&str>, wrapper: &[&str]) -> String {
    let myself = std::env::current_exe().unwrap();
    let mut words = wrapper
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<&std::ffi::OsStr>>();
    words.push(myself.as_os_str());
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["--exact", "child", "--nocapture"])
        .env("DDGATE_KEYRING_CASE", case)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY");
    match bus {
        Some(bus) => command.env("DBUS_SESSION_BUS_ADDRESS", bus),
        None => command.env_remove("DBUS_SESSION_BUS_ADDRESS"),
    };
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{case}: {text}");
    assert!(text.contains("1 passed"), "{text}");
    text
}

#[test]
fn without_a_session_bus() {
    let home = tempfile::tempdir().unwrap();
    let text = run("falls", home.path(), None, &[]);
    assert!(
        text.contains("fell: the OS keyring does not work"),
        "{text}"
    );
}

#[test]
fn with_a_bus_that_never_answers() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bus");
    let _listener = UnixListener::bind(&path).unwrap();
    let bus = format!("unix:path={}", path.display());
    let text = run("falls", home.path(), Some(&bus), &[]);
    assert!(
        text.contains("fell: the OS keyring did not answer within 2s"),
        "{text}"
    );
}

/// What a person sees who stores a key, and how soon: exit status, everything said, and the shortest
/// of a few tries, because a machine may be busy.
fn keys_set(home: &Path, bus: Option<&str>, wrapper: &[&str]) -> (Option<i32>, String, Duration) {
    let ddgate = env!("CARGO_BIN_EXE_ddgate");
    let script = "began=$(date +%s%N); printf key | \"$0\" keys set api-key; status=$?; \
                  echo \"took $(( ($(date +%s%N) - began) / 1000000 )) ms\"; exit $status";
    let words: Vec<&str> = wrapper
        .iter()
        .copied()
        .chain(["sh", "-c", script, ddgate])
        .collect();
    let mut soonest = Duration::MAX;
    let (mut code, mut said) = (None, String::new());
    for _ in 0..3 {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("XDG_DATA_HOME", home.join("data"));
        if let Some(bus) = bus {
            command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let took = stdout.split("took ").nth(1).unwrap();
        let millis = took.split(' ').next().unwrap().parse().unwrap();
        soonest = soonest.min(Duration::from_millis(millis));
        code = output.status.code();
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        if soonest < SOON {
            break;
        }
    }
    (code, said, soonest)
}

/// Whoever waits longer thinks that it hangs.
const SOON: Duration = Duration::from_secs(3);

#[track_caller]
fn says(found: &(Option<i32>, String, Duration), code: i32, sentence: &str) {
    let (status, said, soonest) = found;
    assert_eq!(*status, Some(code), "{said}");
    assert!(said.contains(sentence), "{said}");
    assert!(*soonest < SOON, "{soonest:?}: {said}");
    if code != 0 {
        assert!(said.contains("identity.storage = \"file\""), "{said}");
    }
}

#[test]
fn a_person_hears_soon_and_in_words_what_is_the_matter() {
    let home = tempfile::tempdir().unwrap();
    let none = keys_set(home.path(), None, &[]);
    says(&none, 1, "there is no session bus to reach it by");

    let path = home.path().join("mute");
    let _listener = UnixListener::bind(&path).unwrap();
    let bus = format!("unix:path={}", path.display());
    let mute = keys_set(home.path(), Some(&bus), &[]);
    says(&mute, 1, "the OS keyring did not answer within 2s");

    if !has_secret_service() {
        return;
    }
    let within = |script| ["dbus-run-session", "--", "sh", "-c", script, "sh"];
    let empty = keys_set(home.path(), None, &within(LOCKED));
    says(
        &empty,
        1,
        "it was never set up, and here is nobody to do that",
    );
    let home = tempfile::tempdir().unwrap();
    let works = keys_set(home.path(), None, &within(UNLOCKED));
    says(&works, 0, "api-key kept in OS keyring (Secret Service)");
    let locked = keys_set(home.path(), None, &within(LOCKED));
    says(&locked, 1, "it is locked, and nobody unlocked it");
}

/// A throw-away Secret Service; `$0` unlocks it first if asked.
const UNLOCKED: &str =
    "printf test-only | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; \"$@\"";
const LOCKED: &str = "gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1; \"$@\"";

#[test]
fn with_a_secret_service_unlocked_and_locked() {
    if !has_secret_service() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let within = |script| ["dbus-run-session", "--", "sh", "-c", script, "sh"];
    run("works", home.path(), None, &within(UNLOCKED));
    run("works-later", home.path(), None, &within(UNLOCKED));
    // The same keyring, but nobody has unlocked it and there is no display to ask on.
    run("falls", home.path(), None, &within(LOCKED));
    // A session without any keyring yet.
    let empty = tempfile::tempdir().unwrap();
    run("falls", empty.path(), None, &within(LOCKED));
}

fn has_secret_service() -> bool {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let both = there("dbus-run-session") && there("gnome-keyring-daemon");
    if !both {
        absent::absent("dbus-run-session and gnome-keyring-daemon are not on this machine");
    }
    both
}
