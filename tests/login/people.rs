//! With a browser, as events, in profiles: the ways of signing in beside the plain code, through the
//! real binary.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{Desk, NOT_SIGNED_IN, Screen, grants, sandbox, says};
use crate::gate::{Ran, Running};
use crate::provider::TestProvider;

/// The address that a sign-in with a browser shows.
fn address(said: &str) -> Option<String> {
    let rest = said.split_once("ddgate: to sign in, open    ")?.1;
    let (address, _) = rest.split_once('\n')?;
    Some(address.to_owned())
}

/// Plays the person and their browser at this address; returns the page they end up with.
fn walk(provider: &TestProvider, address: &str, login: &str) -> Value {
    let page = provider.write("walk", &json!({ "url": address, "login": login }));
    assert_eq!(page["status"], 200, "{page}");
    page
}

/// Signs somebody in with a browser.
pub(crate) fn in_browser(desk: &Desk, arguments: &[&str], login: &str) -> Ran {
    let mut running = desk.home.start(desk.ddgate(arguments));
    let address = says(&mut running, address);
    walk(&desk.provider, &address, login);
    running.finish()
}

/// The events so far on standard output.
fn events(stdout: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Starts a login that speaks events, and waits for its first one.
fn begin_events(desk: &Desk, arguments: &[&str]) -> (Running, Value) {
    let mut running = desk.home.start(desk.ddgate(arguments));
    let stdout = running.stderr.with_extension("stdout");
    let first = says(&mut running, |_| {
        let text = fs::read_to_string(&stdout).unwrap();
        let (line, _) = text.split_once('\n')?;
        Some(serde_json::from_str(line).unwrap())
    });
    (running, first)
}

#[test]
fn with_a_browser_from_sign_in_to_sign_out() {
    let Some(desk) = Desk::with(&[]) else { return };
    let (_runtime, upstream, keys) = sandbox();

    // A run may sign in by itself; its command starts when the browser is back.
    let mut command = desk.agent(&upstream, &keys, "always");
    command.env("DDGATE_FLOW", "browser");
    let mut running = desk.home.start(command);
    let address = says(&mut running, address);
    assert!(
        upstream.seen().is_empty(),
        "the command waits for the person"
    );
    let page = walk(&desk.provider, &address, "alice");
    assert!(
        page["html"].as_str().unwrap().contains("Signed in"),
        "{page}"
    );
    let ran = running.finish();
    assert!(ran.status.success(), "{ran:?}");
    let record = desk.json(&["replay", "latest", "--json"]);
    assert_eq!(record["who"]["via"], "browser");
    assert_eq!(record["who"]["verified"], true);
    assert_eq!(record["who"]["subject"], "u-alice");
    let ran = desk.run(&["verify", "latest"]);
    assert!(ran.status.success(), "{ran:?}");

    // It is kept as any other, and renewed without a browser.
    let ran = desk.home.run(desk.agent(&upstream, &keys, "never"));
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(grants(&desk.provider, "refresh_token").len(), 1);
    assert!(grants(&desk.provider, "device_code").is_empty());
    let ran = desk.run(&["logout"]);
    assert!(
        ran.stderr.contains(", revoked at http://127.0.0.1:"),
        "{ran:?}"
    );

    let ran = in_browser(&desk, &["login", "--browser"], "bob");
    assert!(ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    assert!(
        ran.stderr.contains("✓ signed in as bob@example.test"),
        "{ran:?}"
    );
    desk.nothing_leaked();
    desk.home
        .holds_nowhere(&[keys.api.expose(), keys.application.expose()]);
}

#[test]
fn a_person_on_another_machine_is_told_of_the_way_back() {
    let Some(desk) = Desk::with(&[]) else { return };
    let mut command = desk.ddgate(&["login", "--browser"]);
    command.env("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
    let mut running = desk.home.start(command);
    let said = says(&mut running, |said| {
        said.contains("waiting").then(|| said.to_owned())
    });
    let address = address(&said).unwrap();
    let (_, port) = address
        .split_once("redirect_uri=http%3A%2F%2F127.0.0.1%3A")
        .unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    assert!(
        said.contains(&format!("ssh -L {port}:127.0.0.1:{port}")),
        "{said}"
    );
    // Through such a tunnel the browser comes to the same port.
    walk(&desk.provider, &address, "alice");
    assert!(running.finish().status.success());
}

#[test]
fn an_editor_is_told_by_events() {
    let Some(desk) = Desk::with(&["--interval", "1"]) else {
        return;
    };
    let (running, first) = begin_events(&desk, &["login", "--json"]);
    assert_eq!(first["event"], "device_code");
    assert_eq!(first["expires_in"], 600);
    let screen = Screen {
        code: first["user_code"].as_str().unwrap().to_owned(),
        complete: first["verification_uri_complete"]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    assert!(
        screen
            .complete
            .starts_with(first["verification_uri"].as_str().unwrap())
    );
    desk.decide("approve", &screen);
    let ran = running.finish();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    let [_, last] = &events(&ran.stdout)[..] else {
        panic!("two events: {ran:?}");
    };
    assert_eq!(last["event"], "signed_in");
    assert_eq!(
        (&last["subject"], &last["email"], &last["email_verified"]),
        (
            &json!("u-alice"),
            &json!("alice@example.test"),
            &json!(true)
        )
    );
    assert!(
        last["kept_in"].as_str().unwrap().starts_with("file "),
        "{last}"
    );

    // Already signed in: nothing to ask.
    let ran = desk.run(&["login", "--json"]);
    let said = events(&ran.stdout);
    assert_eq!((said.len(), &said[0]["event"]), (1, &json!("signed_in")));
    desk.run(&["logout"]);

    let (running, first) = begin_events(&desk, &["login", "--json", "--browser"]);
    assert_eq!(first["event"], "authorization_url");
    walk(&desk.provider, first["url"].as_str().unwrap(), "alice");
    let ran = running.finish();
    assert_eq!(events(&ran.stdout)[1]["event"], "signed_in");
    desk.run(&["logout"]);

    // Three polls fail, and it goes on.
    desk.provider.fault("token@device_code.drop:3");
    let (running, first) = begin_events(&desk, &["login", "--json"]);
    let stdout = running.stderr.with_extension("stdout");
    let mut running = running;
    says(&mut running, |_| {
        fs::read_to_string(&stdout)
            .unwrap()
            .contains("\"trouble\"")
            .then_some(())
    });
    let screen = Screen {
        code: first["user_code"].as_str().unwrap().to_owned(),
        complete: String::new(),
    };
    desk.decide("deny", &screen);
    let ran = running.finish();
    assert_eq!(ran.status.code(), Some(NOT_SIGNED_IN), "{ran:?}");
    let said = events(&ran.stdout);
    let last = said.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit"]),
        (&json!("failed"), &json!(3))
    );
    assert!(
        last["message"]
            .as_str()
            .unwrap()
            .starts_with("the sign-in was denied"),
        "{last}"
    );
    assert!(
        ran.stderr
            .starts_with("ddgate: error: the sign-in was denied"),
        "{ran:?}"
    );
    desk.nothing_leaked();
}

#[test]
fn a_telephone_gets_a_qr_code() {
    let Some(desk) = Desk::with(&["--interval", "1"]) else {
        return;
    };
    let mut running = desk.home.start(desk.ddgate(&["login", "--qr"]));
    let screen = says(&mut running, Screen::read);
    let said = says(&mut running, |said| {
        said.contains("waiting").then(|| said.to_owned())
    });
    let drawn = said.lines().filter(|line| line.contains('█'));
    let drawn: Vec<_> = drawn
        .map(|line| line.trim_start_matches("ddgate: "))
        .collect();
    // Version 3 or more: 29 modules and the margin, two to a line.
    assert!(drawn.len() > 14, "{said}");
    let width = drawn[0].chars().count();
    assert!(
        drawn.iter().all(|line| line.chars().count() == width),
        "{said}"
    );
    desk.decide("approve", &screen);
    assert!(running.finish().status.success());
    let refused = desk.run(&["login", "--browser", "--qr"]);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "its address is of no use elsewhere: {refused:?}"
    );
}

#[test]
fn where_a_code_is_not_allowed_a_browser_is_suggested() {
    let Some(desk) = Desk::with(&[]) else { return };
    let blocked = r#"device.error={"error":"invalid_grant","error_description":"AADSTS53003: Access has been blocked by Conditional Access policies."}"#;
    for fault in [
        "device.error=unauthorized_client",
        "disc-no-device",
        blocked,
    ] {
        desk.provider.clear("faults");
        desk.provider.fault(fault);
        let ran = desk.run(&["login"]);
        assert_eq!(ran.status.code(), Some(NOT_SIGNED_IN), "{ran:?}");
        assert!(ran.stderr.contains("--browser"), "{fault}: {ran:?}");
    }
    // And there it works.
    let ran = in_browser(&desk, &["login", "--browser"], "alice");
    assert!(ran.status.success(), "{ran:?}");
}

#[test]
fn profiles_are_people_of_their_own() {
    let Some(desk) = Desk::with(&[]) else { return };
    let (_runtime, upstream, keys) = sandbox();
    let file = desk.home.path().join("ddgate.toml");
    let settings = fs::read_to_string(&file).unwrap()
        + "[profile.work.identity]\nflow = \"browser\"\n[profile.work.datadog]\nsite = \
           \"datadoghq.eu\"\n[profile.home.identity]\nflow = \"browser\"\n";
    fs::write(&file, settings).unwrap();

    // The same provider and the same client, but two people.
    for (profile, login) in [("work", "alice"), ("home", "bob")] {
        let ran = in_browser(&desk, &["login", "--profile", profile], login);
        assert!(ran.status.success(), "{ran:?}");
    }
    let who = |arguments: &[&str]| desk.json(arguments)["signed_in"]["subject"].clone();
    assert_eq!(who(&["status", "--json", "--profile", "work"]), "u-alice");
    assert_eq!(who(&["status", "--json", "--profile", "home"]), "u-bob");
    assert!(
        who(&["status", "--json"]).is_null(),
        "nobody is signed in without a profile"
    );
    let all = desk.json(&["status", "--all", "--json"]);
    let line = |at: usize| {
        (
            all[at]["profile"].clone(),
            all[at]["signed_in"]["subject"].clone(),
        )
    };
    assert_eq!(line(0), (Value::Null, Value::Null));
    assert_eq!(line(1), (json!("work"), json!("u-alice")));
    assert_eq!(line(2), (json!("home"), json!("u-bob")));
    assert_eq!(all[1]["site"], "datadoghq.eu");
    let shown = desk.run(&["status", "--all"]);
    assert!(
        String::from_utf8_lossy(&shown.stdout).contains("bob@example.test"),
        "{shown:?}"
    );

    // A run is its profile's, named by flag or variable; each renews its own token.
    for _ in 0..2 {
        for (profile, subject) in [("home", "u-bob"), ("work", "u-alice")] {
            let mut command = desk.agent(&upstream, &keys, "never");
            command.env("DDGATE_PROFILE", profile);
            let ran = desk.home.run(command);
            assert!(ran.status.success(), "{ran:?}");
            let record = desk.json(&["replay", "latest", "--json"]);
            assert_eq!(record["who"]["subject"], subject);
        }
    }
    // Without one, nobody is signed in; and a profile that is not there is no profile.
    let ran = desk.home.run(desk.agent(&upstream, &keys, "never"));
    assert_eq!(ran.status.code(), Some(NOT_SIGNED_IN), "{ran:?}");
    let ran = desk.run(&["status", "--profile", "wrok"]);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    let said = "--profile: there is no profile `wrok`, only work, home (did you mean `work`?)";
    assert!(ran.stderr.contains(said), "{ran:?}");

    let ran = desk.run(&["logout", "--profile", "work"]);
    assert!(
        ran.stderr
            .contains("signed out alice@example.test of profile work"),
        "{ran:?}"
    );
    assert_eq!(who(&["status", "--json", "--profile", "home"]), "u-bob");
    let mut command = desk.agent(&upstream, &keys, "never");
    command.env("DDGATE_PROFILE", "work");
    let ran = desk.home.run(command);
    let hint = "the profile `work` has a sign-in of its own: ddgate login --profile work";
    assert!(ran.stderr.contains(hint), "{ran:?}");
    let ran = desk.run(&["logout", "--all"]);
    assert!(
        ran.stderr
            .contains("signed out bob@example.test of profile home"),
        "{ran:?}"
    );
    assert_eq!(
        desk.run(&["logout", "--all"]).stderr,
        "ddgate: nobody was signed in\n"
    );
    desk.nothing_leaked();
}

#[test]
fn keys_belong_to_the_profile_they_were_kept_in() {
    let Some(desk) = Desk::with(&[]) else { return };
    let file = desk.home.path().join("ddgate.toml");
    let settings = fs::read_to_string(&file).unwrap() + "[profile.work.identity]\n";
    fs::write(&file, settings).unwrap();
    let key = "0123456789abcdef0123456789abcdef";
    let input = desk.home.path().join("tmp/input");
    fs::write(&input, key).unwrap();
    let mut command: Command = desk.ddgate(&["keys", "set", "api-key", "--profile", "work"]);
    command.stdin(fs::File::open(&input).unwrap());
    let ran = desk.home.run(command);
    assert!(ran.status.success(), "{ran:?}");
    let source = |arguments: &[&str]| desk.json(arguments)[0]["source"].clone();
    assert!(source(&["keys", "list", "--json"]).is_null());
    assert!(source(&["keys", "list", "--json", "--profile", "work"]).is_string());
}
