//! How programs that obey no proxy variable come to the gate, and that the others do not notice.
//!
//! The clients themselves are driven by `tests/interop.rs`; here are the preload files, the
//! launchers under the filters of agents, and what is said of who cannot be led.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::absent::absent;
use crate::world::World;

/// What agents leave of the environment of an MCP server: the MCP SDK, and Codex.
const MCP_SDK: &[&str] = &["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];
const CODEX: &[&str] = &[
    "HOME", "LOGNAME", "PATH", "SHELL", "USER", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ",
];
/// Gemini CLI drops names with these words in them.
const GEMINI_DROPS: &str = "KEY|CERT|AUTH|TOKEN|SECRET|PASSWORD|CREDENTIAL|PRIVATE";

/// Lists monitors through urllib, which obeys `HTTPS_PROXY`, or by hand, which obeys nothing.
const BY_HAND: &str = r#"
import os, socket, ssl, sys
context = ssl.create_default_context()
host = "api." + os.environ.get("DD_SITE", "datadoghq.com")
with context.wrap_socket(socket.create_connection((host, 443)), server_hostname=host) as stream:
    stream.sendall(("GET /api/v1/monitor HTTP/1.1\r\nhost: %s\r\nconnection: close\r\ndd-api-key: %s\r\ndd-application-key: %s\r\n\r\n"
                    % (host, os.environ["DD_API_KEY"], os.environ["DD_APP_KEY"])).encode())
    print(stream.recv(15).decode(), *sys.argv[1:])
"#;

fn has(program: &str) -> bool {
    let path = std::env::split_paths("/usr/local/bin:/usr/bin:/bin");
    let there = path
        .into_iter()
        .any(|directory| directory.join(program).exists());
    if !there {
        absent(&format!("{program} is not on this machine"));
    }
    there
}

fn calls(world: &World) -> usize {
    let session = world.replay_json("latest");
    session["calls"].as_array().unwrap().len()
}

#[test]
fn a_program_that_was_started_without_its_environment_gets_it_back() {
    if !has("python3") {
        return;
    }
    let keep = |names: &[&str]| {
        let pairs: Vec<_> = names.iter().map(|n| format!("{n}=\"${n}\"")).collect();
        format!(
            "exec env -i {} python3 -c \"$0\" 'an argument' \"'\"",
            pairs.join(" ")
        )
    };
    let gemini = format!(
        "for n in $(env | cut -d= -f1 | grep -E '{GEMINI_DROPS}'); do unset $n; done; \
         exec python3 -c \"$0\" 'an argument' \"'\""
    );
    for (agent, script) in [
        ("sdk", keep(MCP_SDK)),
        ("codex", keep(CODEX)),
        ("gemini", gemini),
    ] {
        let world = World::new();
        let outcome = world.run(["sh", "-c", &script, BY_HAND]).succeeds();
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
        assert_eq!(
            said, "HTTP/1.1 200 OK an argument '\n",
            "{agent}: {outcome:?}"
        );
        assert_eq!(calls(&world), 1, "{agent}");
    }
}

#[test]
fn a_launcher_is_the_program() {
    if !has("python3") {
        return;
    }
    let world = World::new();
    let run = |code: &str| {
        world
            .run(["env", "python3", "-c", code])
            .env("MINE", "\u{e9}")
            .go()
    };
    assert_eq!(run("raise SystemExit(7)").code, Some(7));
    let died = run("import os, signal; os.kill(os.getpid(), signal.SIGTERM)");
    assert_eq!(died.code, Some(128 + 15), "{died:?}");
    // It became the program: no launcher is left between, and the child's parent is ddgate.
    let seen =
        run("import os, sys; print(sys.executable, open('/proc/%d/comm' % os.getppid()).read())");
    let seen = String::from_utf8(seen.stdout).unwrap();
    let (executable, parent) = seen.trim().split_once(' ').unwrap();
    assert!(!executable.contains("ddgate-bin"), "{seen}");
    // What it runs is hidden from everybody, but not how it is called.
    assert_eq!(parent, "ddgate");
    // Variables that a shell would lose, and one that is there.
    let outcome = world
        .run([
            "env",
            "DD_SITE=mine.example",
            "a.b=c",
            "python3",
            "-c",
            "import os; print(os.environ['a.b'], os.environ['DD_SITE'])",
        ])
        .succeeds();
    assert_eq!(outcome.stdout, b"c mine.example\n");
}

#[test]
fn gates_within_gates_do_not_loop() {
    if !has("python3") {
        return;
    }
    let world = World::new();
    let own = env!("CARGO_BIN_EXE_ddgate");
    let inner = [
        own,
        "run",
        "--identity",
        "local",
        "--upstream",
        "http://127.0.0.1:9",
        "--",
    ];
    let code = "import os; print([os.environ[n].count('ddgate') for n in ('PATH', 'PYTHONPATH', 'NODE_OPTIONS', 'RUBYOPT', 'JAVA_TOOL_OPTIONS')], os.environ['PATH'].count('ddgate-bin'))";
    let outcome = world
        .run(inner.iter().chain(&["python3", "-c", code]))
        .succeeds();
    let said = String::from_utf8(outcome.stdout).unwrap();
    assert!(said.ends_with(" 1\n"), "{said}");
    // By hand, and in a circle.
    let twice = "PATH=$PATH:$(dirname $(command -v python3)) exec python3 -c 'print(1)'";
    assert_eq!(world.run(["sh", "-c", twice]).succeeds().stdout, b"1\n");
    // Only launchers, and no program.
    let none = "PATH=$(dirname $(command -v python3)); python3 -c 'print(1)'";
    let outcome = world.run(["sh", "-c", none]).exits(127);
    assert!(
        outcome.said().contains("cannot find `python3`"),
        "{outcome:?}"
    );
}

#[test]
fn the_users_own_preloads_are_loaded_as_well() {
    let world = World::new();
    let python = world.file("own/sitecustomize.py", "import sys\nsys.own = 'own'\n");
    let own = python.parent().unwrap();
    let node = world.file("own/own.cjs", "globalThis.own = 'own'\n");
    let ruby = world.file("own/own.rb", "$own = 'own'\n");
    let run = |words: [&str; 3]| {
        let outcome = world
            .run(words)
            .env("PYTHONPATH", own)
            .env("NODE_OPTIONS", format!("--require={}", node.display()))
            .env("RUBYOPT", format!("-W0 -r{}", ruby.display()))
            .succeeds();
        String::from_utf8(outcome.stdout).unwrap()
    };
    if has("python3") {
        let code = "import sys; print(sys.own, sys.modules['sitecustomize'].__file__, 'socket' in sys.modules, any('ddgate-python' in p for p in sys.path))";
        let said = run(["python3", "-c", code]);
        assert_eq!(said, format!("own {} False False\n", python.display()));
    }
    if has("node") {
        let code = "console.log(own, Object.keys(require.cache).some(name => name.includes('ddgate-preload')))";
        assert_eq!(run(["node", "-e", code]), "own false\n");
    }
    if has("ruby") {
        assert_eq!(run(["ruby", "-e", "puts $own"]), "own\n");
    }
}

#[test]
fn without_one_of_the_users_own_python_has_none() {
    if !has("python3") {
        return;
    }
    let world = World::new();
    let code = "import sys; print(sorted(sys.modules), sys.path, 'sitecustomize' in sys.modules)";
    let home = format!("HOME={}", world.home().display());
    let bare = Command::new("/usr/bin/env")
        .args([
            "-i",
            &home,
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "python3",
            "-c",
            code,
        ])
        .output()
        .unwrap();
    let outcome = world.run(["python3", "-c", code]).succeeds();
    let (bare, led) = [bare.stdout, outcome.stdout]
        .map(|o| String::from_utf8(o).unwrap())
        .into();
    assert_eq!(led, bare);
    // What stands in its place in an error is not ours, either.
    let broken = world.file("own/sitecustomize.py", "1 / 0\n");
    let outcome = world
        .run(["python3", "-c", "print(1)"])
        .env("PYTHONPATH", broken.parent().unwrap())
        .succeeds();
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(
        said.contains("Error in sitecustomize") && said.contains("ZeroDivisionError"),
        "{said}"
    );
    assert_eq!(outcome.stdout, b"1\n");
}

#[test]
fn what_is_not_datadogs_is_left_alone() {
    let world = World::new();
    world.settings("[enforce]\nmode = \"off\"\n");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let mut expected = 0;
    if has("python3") {
        let code = "import socket, sys; socket.create_connection(('localhost', int(sys.argv[1]))); \
                    print(socket.getaddrinfo('127.0.0.1', 443)[0][4], socket.gethostbyname('localhost'))\n\
                    try: socket.getaddrinfo('evil-datadoghq.com.invalid', 443); print('?')\nexcept socket.gaierror: pass";
        let outcome = world.run(["python3", "-c", code, &port]).succeeds();
        assert_eq!(outcome.stdout, b"('127.0.0.1', 443) 127.0.0.1\n");
        expected += 1;
    }
    if has("node") {
        let code = "const s = require('net').connect({port: process.argv[1], host: '127.0.0.1'}, () => { console.log(s.remotePort == process.argv[1], require('net').Socket.prototype.connect.name); s.destroy() })";
        let outcome = world.run(["node", "-e", code, &port]).succeeds();
        assert_eq!(outcome.stdout, b"true connect\n");
        expected += 1;
    }
    if has("ruby") {
        let code = "require 'socket'; print TCPSocket.open('127.0.0.1', ARGV[0].to_i).remote_address.ip_port == ARGV[0].to_i, Socket.tcp('127.0.0.1', ARGV[0]).remote_address.ip_port == ARGV[0].to_i";
        let outcome = world.run(["ruby", "-e", code, &port]).succeeds();
        assert_eq!(outcome.stdout, b"truetrue");
        expected += 2;
    }
    server.set_nonblocking(true).unwrap();
    assert_eq!(
        server.incoming().take_while(Result::is_ok).count(),
        expected
    );
}

#[test]
fn verification_stays_on_and_who_does_not_trust_is_named() {
    if !has("python3") {
        return;
    }
    let world = World::new();
    let code = r#"
import socket, ssl
context = ssl.create_default_context(cafile="/dev/null") if False else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
for host in ["api.datadoghq.com"] * 2 + ["http-intake.logs.datadoghq.com"]:
    try:
        context.wrap_socket(socket.create_connection((host, 443)), server_hostname=host)
    except ssl.SSLCertVerificationError:
        print("refused")
"#;
    let outcome = world.run(["python3", "-c", code]).succeeds();
    assert_eq!(
        outcome.stdout, b"refused\nrefused\nrefused\n",
        "{outcome:?}"
    );
    let said = outcome.said();
    for line in [
        "2 connections to api.datadoghq.com did not trust the session's certificate, and nothing of them was sent",
        "1 connection to http-intake.logs.datadoghq.com did not trust",
        "the base URL in $DD_HOST",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(calls(&world), 0);
    // Whoever looks later sees it as well, and which program it was.
    let session = world.replay_json("latest");
    let told: Vec<_> = session["distrusted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["host"], &it["refused"], it["by"].as_array().unwrap()))
        .collect();
    assert_eq!(told.len(), 2, "{session}");
    assert_eq!(
        (told[0].0, told[0].1),
        (&json!("api.datadoghq.com"), &json!(2))
    );
    if cfg!(target_os = "linux") {
        let by = &told[0].2[0]["exe"];
        assert!(by.as_str().unwrap().contains("python3"), "{session}");
        assert_eq!(told[0].2.len(), 1, "one program, named once: {session}");
    }
    let text = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(text.contains("2 connections refused it (by "), "{text}");
    world.ddgate(["verify", "latest"]).succeeds();
    // Node shakes hands first, and looks at the certificate then.
    if has("node") {
        let code = "require('https').get('https://api.datadoghq.com/', {ca: []}).on('error', e => console.log(e.code))";
        let outcome = world.run(["node", "-e", code]).succeeds();
        assert!(
            outcome.said().contains("1 connection to api.datadoghq.com"),
            "{outcome:?}"
        );
        let session = world.replay_json("latest");
        assert_eq!(session["distrusted"][0]["host"], "api.datadoghq.com");
    }
}

#[test]
fn agents_sandboxes_are_told_of_once() {
    let world = World::new();
    let outcome = world
        .run(["true"])
        .env("CODEX_SANDBOX_NETWORK_DISABLED", "1")
        .succeeds();
    assert_eq!(outcome.said().matches("inside Codex's sandbox").count(), 1);
    assert!(!world.run(["true"]).succeeds().said().contains("sandbox"));
}

/// A Node that is told to load a file which is gone does not start.
#[cfg(target_os = "linux")]
#[test]
fn files_stay_as_long_as_a_process_names_them() {
    let world = World::new();
    let script = "sleep 1000 >/dev/null 2>&1 </dev/null & echo $! $(dirname \"$SSL_CERT_FILE\")";
    let outcome = world.run(["sh", "-c", script]).succeeds();
    let said = String::from_utf8(outcome.stdout).unwrap();
    let (pid, directory) = said.trim().split_once(' ').unwrap();
    let age = || {
        let aged = Command::new("touch")
            .args(["-d", "2 days ago", directory])
            .status();
        assert!(aged.unwrap().success());
        world.run(["true"]).succeeds();
        Path::new(directory).exists()
    };
    let stayed = age();
    let killed = Command::new("kill").args(["-9", pid]).status().unwrap();
    assert!(stayed && killed.success());
    crate::world::wait_until("nobody names it any more", || !age());
}
