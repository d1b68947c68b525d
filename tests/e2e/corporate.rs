//! Behind a company's own proxy: the gate goes out through it, for Datadog and for everybody else,
//! and the command learns neither its address nor its password.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;

use crate::world::World;

/// A proxy that knows CONNECT alone, and leads everything to one address. What it was asked: first
/// line and password, one text a connection.
fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || drop(lead(stream, to, &heard)));
        }
    });
    (address, asked)
}

fn lead(child: TcpStream, to: SocketAddr, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(child.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        if lines.is_empty()
            || line
                .to_ascii_lowercase()
                .starts_with("proxy-authorization:")
        {
            lines.push(line);
        }
    }
    heard.lock().unwrap().push(lines.join("; "));
    let mut child = child;
    child.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let upstream = TcpStream::connect(to)?;
    let (mut to_child, mut from_upstream) = (child.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_upstream, &mut to_child);
        let _ = to_child.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut reader, &mut &upstream)?;
    upstream.shutdown(Shutdown::Write)
}

#[test]
fn the_gate_goes_out_through_it_and_the_command_does_not_know() {
    let world = World::new();
    let datadog = world.sandbox.upstream();
    let datadog = datadog.trim_start_matches("http://").trim_end_matches('/');
    let (address, asked) = proxy(datadog.parse().unwrap());
    let url = format!("http://sam:pass-of-sam@{address}");
    // One call to Datadog, and one to somebody else, whom the gate does not read.
    let script = r#"
        status=$(curl -s -o /dev/null -w '%{http_code}' -H "dd-api-key: $DD_API_KEY" \
            -H "dd-application-key: $DD_APP_KEY" https://api.datadoghq.com/api/v1/monitor)
        curl -s -o /dev/null --max-time 5 -p -x "$HTTPS_PROXY" http://other.example:8080/
        echo "$status"; env"#;
    let outcome = world
        .ddgate([
            "run",
            "--identity",
            "local",
            "--upstream",
            "http://datadog.corp.example:8080",
            "--",
            "sh",
            "-c",
            script,
        ])
        .keys(&world)
        .env("HTTPS_PROXY", &url)
        .env("HTTP_PROXY", &url)
        .env("NO_PROXY", "intern.example")
        .succeeds();
    let said = String::from_utf8(outcome.stdout.clone()).unwrap();
    assert!(said.starts_with("200\n"), "{outcome:?}");
    assert!(!said.contains("pass-of-sam") && !said.contains(&address.to_string()));
    let basic = base64::engine::general_purpose::STANDARD.encode("sam:pass-of-sam");
    let asked = asked.lock().unwrap();
    for host in ["datadog.corp.example:8080", "other.example:8080"] {
        let wanted = format!("CONNECT {host} HTTP/1.1");
        let found = asked.iter().find(|line| line.starts_with(&wanted));
        let found = found.unwrap_or_else(|| panic!("{wanted}: {asked:?}"));
        assert!(found.ends_with(&format!("Basic {basic}")), "{found}");
    }
}
