//! The child is launched as if ddgate were not there: codes, signals, terminal, pipes.
//!
//! The program under test is this test binary itself, run again as [`probe`]: it does what
//! `ddgate run` does around [`ddgate::launch`], and nothing else. What needs a terminal is
//! driven by `support/terminal.py`, with a real shell on a real pseudo-terminal. Every
//! expectation there is first checked *without* ddgate in between.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy exempts only what stands inside a test function"
)]

#[path = "support/absent.rs"]
mod absent;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use ddgate::exit::Exit;
use ddgate::launch::{self, ChildEnd, Sandbox};

/// Names the command, one argument a line, and makes [`probe`] do something.
const COMMAND: &str = "LAUNCH_PROBE_COMMAND";

/// The program under test. As a test it does nothing.
#[test]
#[ignore = "the program under test: run by the others"]
#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "it is a program, and ends like one"
)]
fn probe() {
    let Ok(command) = std::env::var(COMMAND) else {
        return;
    };
    let command: Vec<OsString> = command.split('\n').map(OsString::from).collect();
    let environment: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name != COMMAND)
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let end = runtime.block_on(async {
        launch::spawn(&command, &environment, &Sandbox::off())?
            .wait()
            .await
    });
    let exit = match end {
        Ok(end) => {
            if let ChildEnd::Signalled(2) = end {
                launch::die_by(2);
            }
            end.exit()
        }
        Err(error) => {
            eprintln!("probe: {error}");
            error.exit()
        }
    };
    std::process::exit(exit.code().into());
}

/// The probe around a command. Its own output begins with a line or two of the test harness.
fn probe_of(command: &[&str]) -> Command {
    let mut probe = Command::new(std::env::current_exe().unwrap());
    probe
        .args(PROBE_ARGUMENTS)
        .env(COMMAND, command.join("\n"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    probe
}

const PROBE_ARGUMENTS: [&str; 6] = [
    "probe",
    "--exact",
    "--ignored",
    "--nocapture",
    "--quiet",
    "--test-threads=1",
];

fn run(command: &[&str]) -> Output {
    probe_of(command).output().unwrap()
}

fn code(command: &[&str]) -> Option<i32> {
    run(command).status.code()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Starts the probe around a shell script and waits until the script says `ready`.
fn start(mut probe: Command) -> Child {
    let mut child = probe.spawn().unwrap();
    let mut said = Vec::new();
    let mut byte = [0];
    let stdout = child.stdout.as_mut().unwrap();
    while !said.ends_with(b"ready\n") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", text(&said));
        said.push(byte[0]);
    }
    child
}

/// Sends a signal to one process, not to its group.
fn kill(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(status.success());
}

fn finish(mut child: Child) -> (ExitStatus, String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    (output.status, text(&output.stdout).to_owned())
}

#[test]
fn codes_are_the_childs_own() {
    assert_eq!(code(&["sh", "-c", "exit 0"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code(&["sh", "-c", "exit 255"]), Some(255));
    for signal in ["TERM", "KILL", "HUP", "USR1"] {
        let by_shell = Command::new("sh")
            .args(["-c", &format!("sh -c 'kill -{signal} $$'; exit $?")])
            .status()
            .unwrap();
        assert_eq!(
            code(&["sh", "-c", &format!("kill -{signal} $$")]),
            by_shell.code(),
            "{signal}"
        );
    }
}

#[test]
fn a_death_by_sigint_is_passed_on_as_such() {
    assert_eq!(run(&["sh", "-c", "kill -INT $$"]).status.signal(), Some(2));
    // But not if the child took it and ended by itself.
    let caught = "trap 'exit 9' INT; kill -INT $$; sleep 5";
    assert_eq!(code(&["sh", "-c", caught]), Some(9));
}

#[test]
fn what_cannot_run_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&path, permissions).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plain = script("plain", "echo", 0o644);
    let orphan = script("orphan", "#!/no/such/interpreter\n", 0o755);
    let bare = script("bare", "exit \"$1\"", 0o755);

    assert_eq!(code(&["no-such-command"]), Some(127));
    assert_eq!(code(&["./no/such/command"]), Some(127));
    assert_eq!(code(&[&orphan]), Some(127));
    assert_eq!(code(&[""]), Some(127));
    assert_eq!(code(&[&plain]), Some(126));
    assert_eq!(code(&[directory.path().to_str().unwrap()]), Some(126));
    assert_eq!(code(&[&bare, "11"]), Some(11), "no `#!`: for the shell");
    let said = run(&["no-such-command"]);
    assert!(text(&said.stderr).contains("cannot find `no-such-command`"));

    // The child's own PATH decides: first what may be executed, else why not.
    let with_path = |path: &str, command: &str| {
        probe_of(&[command, "12"])
            .env("PATH", path)
            .output()
            .unwrap()
            .status
            .code()
    };
    let here = directory.path().display();
    assert_eq!(with_path(&format!("/nowhere:{here}"), "plain"), Some(126));
    assert_eq!(with_path(&format!("{plain}:{here}"), "bare"), Some(12));
    assert_eq!(with_path("/nowhere", "bare"), Some(127));
    std::fs::create_dir(directory.path().join("first")).unwrap();
    script("first/bare", "", 0o644);
    assert_eq!(with_path(&format!("{here}/first:{here}"), "bare"), Some(12));
    let in_working_directory = probe_of(&["bare", "13"])
        .env("PATH", "")
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(in_working_directory.status.code(), Some(13));
    let without_path = probe_of(&["sh", "-c", "exit 14"])
        .env_remove("PATH")
        .output()
        .unwrap();
    assert_eq!(without_path.status.code(), Some(14));
    let bare_without_path = probe_of(&[&bare, "15"])
        .env_remove("PATH")
        .output()
        .unwrap();
    assert_eq!(bare_without_path.status.code(), Some(15));
}

#[test]
fn the_name_is_the_one_that_was_typed() {
    let said = run(&["sh", "-c", "cat /proc/$$/cmdline | tr '\\0' ' '"]);
    if Path::new("/proc/self/cmdline").exists() {
        assert!(text(&said.stdout).contains("sh -c cat"), "{said:?}");
    }
}

#[test]
fn standard_input_and_output_are_the_childs() {
    let mut child = probe_of(&["sh", "-c", "echo ready; cat; echo err >&2"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&b"0123456789abcde\n".repeat(1 << 16)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let (_, piped) = text(&output.stdout).split_once("ready\n").unwrap();
    assert_eq!(piped.len(), 1 << 20);
    assert_eq!(text(&output.stderr), "err\n");
}

#[test]
fn working_directory_group_and_session_are_inherited() {
    let directory = tempfile::tempdir().unwrap();
    let script = "pwd -P; ps -o pgid= -p $$; ps -o pgid= -p $PPID";
    let output = probe_of(&["sh", "-c", script])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let lines: Vec<_> = text(&output.stdout).lines().rev().collect();
    assert_eq!(lines[0].trim(), lines[1].trim(), "one process group");
    assert_eq!(
        Path::new(lines[2]),
        directory.path().canonicalize().unwrap()
    );
}

#[test]
fn signals_sent_to_ddgate_reach_the_child() {
    for (signal, trap) in [
        ("-TERM", "TERM"),
        ("-HUP", "HUP"),
        ("-INT", "INT"),
        ("-QUIT", "QUIT"),
        ("-USR1", "USR1"),
        ("-USR2", "USR2"),
        ("-WINCH", "WINCH"),
        ("-TSTP", "TSTP"),
    ] {
        let script = format!(
            "trap 'echo got {trap}; exit 3' {trap}; echo ready; while :; do sleep 0.05; done"
        );
        // A group of its own, and no terminal in its foreground.
        let mut probe = probe_of(&["sh", "-c", &script]);
        std::os::unix::process::CommandExt::process_group(&mut probe, 0);
        let child = start(probe);
        kill(&child, signal);
        let (status, said) = finish(child);
        assert_eq!(
            (status.code(), said.trim()),
            (Some(3), &*format!("got {trap}"))
        );
    }
}

#[test]
fn an_uncaught_sigterm_ends_both() {
    let mut probe = probe_of(&["sh", "-c", "echo ready; exec sleep 60"]);
    std::os::unix::process::CommandExt::process_group(&mut probe, 0);
    let child = start(probe);
    kill(&child, "-TERM");
    assert_eq!(finish(child).0.code(), Some(128 + 15));
}

#[test]
fn a_sigcont_for_ddgate_alone_continues_the_child() {
    let mut probe = probe_of(&["sh", "-c", "echo ready; kill -STOP $$; exit 8"]);
    std::os::unix::process::CommandExt::process_group(&mut probe, 0);
    let child = start(probe);
    std::thread::sleep(Duration::from_millis(300));
    kill(&child, "-CONT");
    assert_eq!(finish(child).0.code(), Some(8));
}

#[test]
fn ignored_signals_stay_ignored() {
    // `nohup`, and a shell's background job.
    for signal in ["HUP", "INT", "QUIT"] {
        let mut probe = probe_of(&["sh", "-c", "echo ready; sleep 0.5; exit 6"]);
        let program = probe.get_program().to_owned();
        let arguments: Vec<_> = probe.get_args().map(OsString::from).collect();
        let command = probe.get_envs().find(|(name, _)| *name == COMMAND);
        let command = command.unwrap().1.unwrap().to_owned();
        probe = Command::new("sh");
        probe
            .args(["-c", &format!("trap '' {signal}; exec \"$0\" \"$@\"")])
            .arg(program)
            .args(arguments)
            .env(COMMAND, command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        std::os::unix::process::CommandExt::process_group(&mut probe, 0);
        let child = start(probe);
        kill(&child, &format!("-{signal}"));
        assert_eq!(finish(child).0.code(), Some(6), "{signal}");
    }
}

#[test]
fn the_end_is_learnt_even_where_sigchld_is_ignored() {
    if !is_there("python3") {
        return;
    }
    let script = "import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
                  os.execv(sys.argv[1], sys.argv[1:])";
    let status = Command::new("python3")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(PROBE_ARGUMENTS)
        .env(COMMAND, "sh\n-c\nsleep 0.1; exit 5")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(5));
}

#[test]
fn outside_a_runtime_nothing_starts() {
    let error = launch::spawn(&["true".into()], &[], &Sandbox::off()).unwrap_err();
    assert_eq!(error.exit(), Exit::GateFailed);
    let error = launch::spawn(&[], &[], &Sandbox::off()).unwrap_err();
    assert_eq!(error.to_string(), "no command to run");
}

/// Runs one scenario of `terminal.py`, first around nothing and then around the probe.
fn on_a_terminal(scenario: &str) {
    if !["python3", "bash", "pgrep"].into_iter().all(is_there) {
        return;
    }
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/terminal.py");
    for probe in [None, Some(std::env::current_exe().unwrap())] {
        let mut command = Command::new("python3");
        command.args([driver, scenario]);
        if let Some(probe) = &probe {
            command.arg(probe).args(PROBE_ARGUMENTS);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{scenario}, with {probe:?}:\n{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}

/// Whether a program is on this machine; says so if not.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        absent::absent(&format!("{program} is not on this machine"));
    }
    found
}

#[test]
fn ctrl_c_reaches_the_child_once() {
    on_a_terminal("ctrl_c_once");
}

#[test]
fn ctrl_c_stops_the_loop_around_it() {
    on_a_terminal("ctrl_c_stops_loop");
}

#[test]
fn ctrl_backslash_reaches_the_child_once() {
    on_a_terminal("ctrl_backslash_once");
}

#[test]
fn ctrl_z_and_fg_work() {
    on_a_terminal("ctrl_z_fg");
}

#[test]
fn ctrl_z_and_bg_work() {
    on_a_terminal("ctrl_z_bg");
}

#[test]
fn a_child_may_ignore_ctrl_z() {
    on_a_terminal("ctrl_z_ignored");
}

#[test]
fn a_child_that_stops_itself_gives_the_terminal_back() {
    on_a_terminal("stops_itself");
}

#[test]
fn a_background_child_that_reads_is_stopped() {
    on_a_terminal("background_read");
}

#[test]
fn the_window_size_reaches_the_child_once() {
    on_a_terminal("window_size");
}

#[test]
fn an_interactive_shell_inside_keeps_its_own_jobs() {
    on_a_terminal("shell_inside");
}

#[test]
fn the_end_of_the_terminal_reaches_the_child() {
    on_a_terminal("hang_up");
}

#[test]
fn without_a_terminal_the_gate_stays_open() {
    on_a_terminal("no_terminal");
}

#[test]
fn terminal_modes_are_the_childs_to_set() {
    on_a_terminal("raw_mode");
}
