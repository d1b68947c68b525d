//! Wrong settings, wrong places, a full disk: one clear error, a way out, the documented code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::absent::absent;
use crate::normal::normalise;
use crate::world::{World, wait_until};

#[test]
fn settings_that_cannot_be_used() {
    let world = World::new();
    let said = |text: &str| {
        world.settings(text);
        let run = world.run(["true"]).exits(2).said();
        assert_eq!(run, world.ddgate(["sessions"]).exits(2).said());
        run
    };
    insta::assert_snapshot!(said("[identity\n"), @r"
    ddgate: error: [ROOT]/config/ddgate.toml:1:10: unclosed table, expected `]`
    ddgate: hint: the format is TOML: https://toml.io
    ");
    insta::assert_snapshot!(said("[identity]\nisuer = \"https://id.example\"\n"), @r"
    ddgate: error: [ROOT]/config/ddgate.toml:2:1: unknown key `identity.isuer` (did you mean `identity.issuer`?)
    ddgate: hint: to see every key with its value: ddgate config show (without this line)
    ");
    insta::assert_snapshot!(said("[identity]\nissuer = 7\n"), @r"
    ddgate: error: [ROOT]/config/ddgate.toml:2:10: `identity.issuer` must be a string, not an integer
    ddgate: hint: to see every key with its value: ddgate config show (without this line)
    ");
    insta::assert_snapshot!(said("[identity]\nissuer = \"id.example\"\n"), @"ddgate: error: [ROOT]/config/ddgate.toml:2:10: `identity.issuer`: not a URL: it should begin with https:// or http://");
    insta::assert_snapshot!(said("[identity]\nstorage = \"cloud\"\n"), @"ddgate: error: [ROOT]/config/ddgate.toml:2:11: `identity.storage`: `cloud` is not one of auto, keyring, file, memory");
    insta::assert_snapshot!(said("[datadog]\nsite = \"not a site\"\n"), @"ddgate: error: [ROOT]/config/ddgate.toml:2:8: `datadog.site`: `not a site` is not a site: write a domain such as `datadoghq.eu`");
    insta::assert_snapshot!(said("[datadog]\nupstream = \"ftp://x\"\n"), @"ddgate: error: [ROOT]/config/ddgate.toml:2:12: `datadog.upstream`: must begin with http:// or https://, not ftp:");
    insta::assert_snapshot!(said("[datadog]\ncredential_command = \"\"\n"), @"ddgate: error: [ROOT]/config/ddgate.toml:2:22: `datadog.credential_command`: must not be empty");
    insta::assert_snapshot!(said("a = 1\na = 2\n"), @r"
    ddgate: error: [ROOT]/config/ddgate.toml:2:1: duplicate key
    ddgate: hint: the format is TOML: https://toml.io
    ");
}

#[test]
fn settings_that_cannot_be_read() {
    let world = World::new();
    let missing = world.root().join("nowhere.toml");
    let words = [
        "--config".into(),
        missing.into_os_string(),
        "sessions".into(),
    ];
    insta::assert_snapshot!(world.ddgate(words).exits(2).said(), @r"
    ddgate: error: cannot read [ROOT]/nowhere.toml
    ddgate:   caused by: No such file or directory (os error 2)
    ddgate: hint: it was named by --config or DDGATE_CONFIG: is that spelled right?
    ");
    fs::create_dir_all(world.root().join("config/ddgate.toml")).unwrap();
    insta::assert_snapshot!(world.ddgate(["sessions"]).exits(2).said(), @r"
    ddgate: error: cannot read [ROOT]/config/ddgate.toml
    ddgate:   caused by: Is a directory (os error 21)
    ddgate: hint: make it a file you can read, or remove it
    ");
    fs::remove_dir(world.root().join("config/ddgate.toml")).unwrap();
    fs::write(world.root().join("config/ddgate.toml"), b"a = \"\xff\"").unwrap();
    insta::assert_snapshot!(world.ddgate(["sessions"]).exits(2).said(), @r"
    ddgate: error: [ROOT]/config/ddgate.toml:1:6: not UTF-8
    ddgate: hint: is it really a configuration file?
    ");
}

#[test]
fn a_project_may_not_decide() {
    let world = World::new();
    let said = |text: &str| {
        world.file("work/ddgate.toml", text);
        world.run(["true"]).exits(2).said()
    };
    insta::assert_snapshot!(said("[identity]\nmode = \"local\"\n"), @"ddgate: error: [ROOT]/work/ddgate.toml:2:8: `identity.mode` cannot be set by a project: move it to [ROOT]/home/xdg-config/ddgate/ddgate.toml");
    insta::assert_snapshot!(said("[datadog]\nupstream = \"http://evil.example\"\n"), @"ddgate: error: [ROOT]/work/ddgate.toml:2:12: `datadog.upstream` cannot be set by a project: move it to [ROOT]/home/xdg-config/ddgate/ddgate.toml");
    insta::assert_snapshot!(said("[datadog]\ncredential_command = \"steal\"\n"), @"ddgate: error: [ROOT]/work/ddgate.toml:2:22: `datadog.credential_command` cannot be set by a project: move it to [ROOT]/home/xdg-config/ddgate/ddgate.toml");
    insta::assert_snapshot!(said("[datadog]\nsite = \"evil.example\"\n"), @"ddgate: error: [ROOT]/work/ddgate.toml:2:8: `datadog.site`: a project may only choose one of Datadog's own sites, not `evil.example`: move it to [ROOT]/home/xdg-config/ddgate/ddgate.toml");
    assert!(world.session_ids().is_empty());
}

#[test]
fn flags_and_variables_that_cannot_be_used() {
    let world = World::new();
    let said = |flags: &[&str]| world.run_with(flags, ["true"]).exits(2).said();
    insta::assert_snapshot!(said(&["--site", "nowhere"]), @"ddgate: error: --site: `nowhere` is not a site: write a domain such as `datadoghq.eu`");
    insta::assert_snapshot!(said(&["--issuer", "http://id.example", "--client-id", "x"]), @"ddgate: error: --issuer: must be https: http is for loopback addresses only");
    let upstream = [
        "run",
        "--identity",
        "local",
        "--upstream",
        "not a url",
        "--",
        "true",
    ];
    insta::assert_snapshot!(world.ddgate(upstream).keys(&world).exits(2).said(), @"ddgate: error: --upstream: not a URL: it should begin with https:// or http://");
    let upstream = [
        "run",
        "--identity",
        "local",
        "--upstream",
        "http://127.0.0.1:9/prefix",
        "--",
        "true",
    ];
    insta::assert_snapshot!(world.ddgate(upstream).keys(&world).exits(2).said(), @"ddgate: error: --upstream: must have no path: only scheme, host and port");
    insta::assert_snapshot!(world.run(["true"]).env("DDGATE_SITE", "?").exits(2).said(), @"ddgate: error: DDGATE_SITE: `?` is not a site: write a domain such as `datadoghq.eu`");
    insta::assert_snapshot!(world.run(["true"]).env("HTTPS_PROXY", "::::").exits(2).said(), @r"
    ddgate: error: HTTPS_PROXY is not a usable proxy address: it is not a URL
    ddgate: hint: it should look like http://proxy.example:3128; leave it empty if there is none
    ");
    insta::assert_snapshot!(world.run(["true"]).env("DD_API_KEY", "two words").exits(2).said(), @r"
    ddgate: error: the api-key from DD_API_KEY cannot be used: it holds a space or a control character
    ddgate: hint: give the value alone: one word, without quotes
    ");
    assert!(world.session_ids().is_empty());
}

#[test]
fn an_upstream_that_is_not_there() {
    let world = World::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let upstream = format!("http://{nobody}");
    let mut words = vec!["run", "--identity", "local", "--upstream", &upstream, "--"];
    let agent = crate::agent::command();
    words.extend(agent.iter().map(String::as_str));
    let ddgate = world
        .ddgate(words)
        .keys(&world)
        .script(&world, "DELETE /api/v1/monitor/5");
    let outcome = ddgate.succeeds();
    insta::assert_snapshot!(outcome.said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: session [ID]: 1 call (1 delete, 1 failed) as [USER] (unverified), replay with: ddgate replay [ID]
    ");
    let answer = normalise(&world.answers().join("\n"), &world.root());
    insta::assert_snapshot!(answer, @r#"502 failed {"errors":["ddgate: cannot reach api.datadoghq.com: cannot connect to 127.0.0.1 port [PORT]: Connection refused (os error 111)"]}"#);
    let session = world.replay_json("latest");
    assert_eq!(session["calls"][0]["outcome"], "failed");
}

#[test]
fn a_data_directory_that_is_none() {
    let world = World::new();
    world.file("data", "a file");
    insta::assert_snapshot!(world.run(["true"]).exits(125).said(), @r"
    ddgate: error: [ROOT]/data is not a directory
    ddgate: hint: choose another place with --data-dir, or make room for it there
    ");
    insta::assert_snapshot!(world.ddgate(["sessions"]).exits(4).said(), @r"
    ddgate: error: cannot read [ROOT]/data/sessions
    ddgate:   caused by: Not a directory (os error 20)
    ddgate: hint: is there space, and is the directory yours? choose another with --data-dir
    ");
    insta::assert_snapshot!(world.ddgate(["replay", "latest"]).exits(4).said(), @r"
    ddgate: error: cannot read [ROOT]/data/sessions
    ddgate:   caused by: Not a directory (os error 20)
    ddgate: hint: is there space, and is the directory yours? choose another with --data-dir
    ");
}

#[test]
fn a_data_directory_that_may_not_be_written() {
    let world = World::new();
    fs::create_dir(world.data()).unwrap();
    fs::set_permissions(world.data(), Permissions::from_mode(0o500)).unwrap();
    // Root is denied nothing by permissions, only by the file system itself.
    let disk = match fs::write(world.data().join("probe"), "") {
        Ok(()) => SmallDisk::mount(world.data(), "size=1m,ro"),
        Err(_) => None,
    };
    if disk.is_none() && fs::write(world.data().join("probe"), "").is_ok() {
        absent("nobody can be denied writing here");
        return;
    }
    let outcome = world.run(["true"]).exits(125);
    let told = outcome.said();
    assert!(told.contains("cannot create"), "{told}");
    assert!(told.contains("--data-dir"), "{told}");
    assert!(told.contains("nothing was run"), "{told}");
}

#[test]
fn no_home() {
    let world = World::new();
    let outcome = world.ddgate(["sessions"]).env_remove("HOME").go();
    // The account may name one.
    assert!(matches!(outcome.code, Some(0 | 2)), "{outcome:?}");
}

#[test]
fn a_working_directory_that_is_gone() {
    let world = World::new();
    let gone = world.root().join("gone");
    fs::create_dir(&gone).unwrap();
    let script = "cd \"$1\" && rmdir \"$1\" && exec \"$0\" sessions";
    let outcome = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_ddgate")])
        .arg(&gone)
        .env_clear()
        .env("HOME", world.home())
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let text = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(2), "{text}");
    insta::assert_snapshot!(text, @r"
    ddgate: error: cannot tell the working directory
    ddgate:   caused by: No such file or directory (os error 2)
    ddgate: hint: it may have been removed: change to a directory that exists
    ");
}

#[test]
fn a_reader_who_has_seen_enough() {
    let world = World::new();
    world.agent("GET /api/v1/monitor").succeeds();
    for words in [
        &["replay", "latest"][..],
        &["sessions"],
        &["show", "latest", "1"],
        &["config", "show"],
        &["--help"],
        &["completions", "zsh"],
        &["status"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ddgate"))
            .args(words)
            .current_dir(world.work())
            .env_clear()
            .env("HOME", world.home())
            .env("DDGATE_DATA_DIR", world.data())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let outcome = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(0), "{words:?}: {text}");
        assert_eq!(text, "", "{words:?}");
    }
}

#[test]
fn an_output_that_is_full() {
    let world = World::new();
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        absent("there is no /dev/full here");
        return;
    };
    let outcome = Command::new(env!("CARGO_BIN_EXE_ddgate"))
        .args(["config", "show"])
        .env_clear()
        .env("HOME", world.home())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(outcome.stderr).unwrap(), @r"
    ddgate: error: cannot write to standard output
    ddgate:   caused by: No space left on device (os error 28)
    ddgate: hint: is the disk that standard output goes to full?
    ");
}

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount anything, not even through a `sudo` that asks nothing.
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("{options},mode=0777");
        let words = ["mount", "-t", "tmpfs", "-o", &options, "tmpfs"];
        as_root(&words, &at).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "-l"], &self.0);
    }
}

fn as_root(words: &[&str], path: &Path) -> bool {
    let works = |words: &[&str]| {
        let (program, rest) = words.split_first().unwrap();
        let mut command = Command::new(program);
        let ended = command.args(rest).arg(path).stdin(Stdio::null()).output();
        ended.is_ok_and(|output| output.status.success())
    };
    works(words) || works(&[&["sudo", "-n"], words].concat())
}

#[test]
fn a_full_disk() {
    let world = World::new();
    let Some(disk) = SmallDisk::mount(world.data(), "size=4m") else {
        absent("no small disk can be mounted here (not root?)");
        return;
    };
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    insta::assert_snapshot!(world.run(["true"]).exits(125).said(), @r"
    ddgate: this session is recorded as [USER], which nobody has verified
    ddgate: error: cannot write [ROOT]/data/sessions/chain.jsonl
    ddgate:   caused by: No space left on device (os error 28)
    ddgate: hint: is there space, and is the directory yours? choose another with --data-dir
    ddgate: hint: nothing was run: what cannot be recorded is not allowed to happen
    ");
    fs::remove_file(&ballast).unwrap();

    // Full in the middle of a session: refused in plain words; room again: it goes on.
    let [full, refused, free] = ["full", "refused", "free"].map(|name| world.root().join(name));
    let flood: String = (0..60)
        .map(|seed| format!("POST /api/v1/monitor {{\"name\": \"{}\"}}\n", noise(seed)))
        .collect();
    let script = format!(
        "GET /api/v1/monitor\ntouch {}\nawait {}\n{flood}touch {}\nawait {}\nGET /api/v1/dashboard",
        full.display(),
        full.with_extension("done").display(),
        refused.display(),
        free.display(),
    );
    let live = world.agent(&script).spawn();
    wait_until("the disk may fill", || full.exists());
    fill(&ballast);
    fs::write(full.with_extension("done"), "").unwrap();
    wait_until("calls are refused", || refused.exists());
    fs::remove_file(&ballast).unwrap();
    fs::write(free, "").unwrap();
    let outcome = live.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let answers = world.answers();
    let refusals: Vec<_> = answers
        .iter()
        .filter(|line| line.starts_with("503 unrecordable"))
        .collect();
    assert!(!refusals.is_empty(), "{outcome:?}");
    insta::assert_snapshot!(normalise(refusals[0], &world.root()), @r#"503 unrecordable {"errors":["ddgate: not sent, because it cannot be recorded: no space for the record in [ROOT]/data/sessions/[SESSION]/wal-000001.ddw: No space left on device (os error 28)"]}"#);
    let last = answers.last().unwrap();
    assert!(last.starts_with("200"), "{last}");
    let count = refusals.len();
    let warning = format!("ddgate: warning: {count} calls were refused and not sent");
    assert!(outcome.said().contains(&warning), "{outcome:?}");
    let recorded = world.replay_json("latest")["calls"]
        .as_array()
        .unwrap()
        .len();
    assert!(recorded >= world.sandbox.datadog.seen().len());
}

fn fill(ballast: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Text that no compression makes small.
fn noise(seed: u64) -> String {
    let mut state = seed + 1;
    (0..30_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(
                b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
                    [(state >> 58) as usize],
            )
        })
        .collect()
}
