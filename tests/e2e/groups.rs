//! Who may open a session, and which credential they get: groups, issuer, address, and the list of
//! credentials. The demo's person is in `checkout-team` and `oncall`.

use std::time::Duration;

use crate::world::{Ddgate, Outcome, World};

/// A world in which somebody is signed in, and these settings.
fn signed_in(settings: &str) -> World {
    let world = World::new();
    world.settings("[identity]\nstorage = \"file\"\n");
    world.sandbox.approve_next(Duration::from_millis(50));
    world.ddgate(["login"]).issuer(&world).succeeds();
    write(&world, settings);
    world
}

/// Replaces the settings; the table `[identity]` is open at the beginning.
fn write(world: &World, settings: &str) {
    world.settings(&format!("[identity]\nstorage = \"file\"\n{settings}\n"));
}

/// A run as whoever has signed in, with an agent that reads the monitors once.
fn run(world: &World, flags: &[&str]) -> Ddgate {
    let upstream = world.sandbox.upstream();
    let mut words = vec!["run".to_owned(), "--upstream".to_owned(), upstream];
    words.extend(flags.iter().map(|&flag| flag.to_owned()));
    words.push("--".to_owned());
    words.extend(crate::agent::command());
    world
        .ddgate(words)
        .issuer(world)
        .script(world, "GET /api/v1/monitor")
}

fn refused(world: &World, flags: &[&str]) -> Outcome {
    let seen = world.sandbox.datadog.seen().len();
    let sessions = world.session_ids().len();
    let outcome = run(world, flags).keys(world).exits(3);
    assert_eq!(world.sandbox.datadog.seen().len(), seen, "nothing was sent");
    assert_eq!(world.session_ids().len(), sessions, "nothing was opened");
    outcome
}

#[test]
fn groups_decide_who_may() {
    let world = signed_in("require_groups = [\"sre\", \"oncall\"]\nrequire_verified_email = true");
    run(&world, &[]).keys(&world).succeeds();
    assert_eq!(world.sandbox.datadog.seen().len(), 1);

    write(&world, "require_groups = [\"sre\", \"dba\"]");
    insta::assert_snapshot!(refused(&world, &[]).said(), @r"
    ddgate: error: sam.rivera@example.com is in none of the groups that the settings require (sre, dba); the sign-in shows the groups checkout-team, oncall
    ddgate: hint: ask whoever runs the identity provider for one of them; it counts from the next run on
    ddgate: hint: what is required stands in: user file [ROOT]/config/ddgate.toml:3
    ");

    // A claim that is not there shows no groups.
    write(
        &world,
        "require_groups = [\"oncall\"]\ngroups_claims = [\"roles\"]",
    );
    let said = refused(&world, &[]).said();
    assert!(said.contains("the sign-in shows no groups"), "{said}");
    assert!(
        said.contains("does `identity.groups_claims` name the claim?"),
        "{said}"
    );

    // An MCP server is no way round.
    write(&world, "require_groups = [\"sre\"]");
    let outcome = world
        .ddgate(["mcp", "--", "true"])
        .issuer(&world)
        .keys(&world)
        .input(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n")
        .exits(3);
    let answer = outcome.json();
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("none of the groups"), "{message}");
}

#[test]
fn whom_nobody_verified_may_not() {
    let world = signed_in("require_groups = [\"oncall\"]");
    insta::assert_snapshot!(refused(&world, &["--identity", "local"]).said().replace(&user(), "[USER]"), @r#"
    ddgate: error: [USER] is the operating system's user, whom nobody has verified, and the settings require one of the groups oncall
    ddgate: hint: sign in as a person: leave out `--identity local` (`identity.mode = "oidc"`)
    ddgate: hint: what is required stands in: user file [ROOT]/config/ddgate.toml:3
    "#);
    write(&world, "require_verified_email = true");
    refused(&world, &["--identity", "local"]);
}

fn user() -> String {
    let own = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let mut accounts = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    accounts
        .find(|fields| fields.get(2) == Some(&own.as_str()))
        .unwrap()[0]
        .to_owned()
}

#[test]
fn another_issuer_is_refused_before_anybody_signs_in() {
    let world = World::new();
    write(&world, "require_issuer = \"https://id.corp.example\"");
    // Nobody is signed in, and nobody is asked.
    insta::assert_snapshot!(refused(&world, &["--prompt", "always"]).said(), @r#"
    ddgate: error: the settings require a sign-in at https://id.corp.example, and this one is at http://127.0.0.1:[PORT]
    ddgate: hint: sign in there: `identity.issuer = "https://id.corp.example"`, or --issuer, then ddgate login
    ddgate: hint: what is required stands in: user file [ROOT]/config/ddgate.toml:3
    "#);
}

#[test]
fn a_project_asks_for_more_and_never_for_less() {
    let world = signed_in("require_groups = [\"oncall\"]");
    world.file(
        "work/ddgate.toml",
        "[identity]\nrequire_groups = [\"dba\"]\n",
    );
    let said = refused(&world, &[]).said();
    assert!(said.contains("settings require (dba)"), "{said}");
    assert!(
        said.contains("project file [ROOT]/work/ddgate.toml:2"),
        "{said}"
    );

    // What the project would let pass, the user's file does not.
    write(
        &world,
        "require_groups = [\"dba\"]\nrequire_verified_email = true",
    );
    world.file(
        "work/ddgate.toml",
        "[identity]\nrequire_groups = [\"oncall\"]\nrequire_verified_email = false\n",
    );
    let said = refused(&world, &[]).said();
    assert!(said.contains("settings require (dba)"), "{said}");
    let shown = world.ddgate(["config", "show"]).succeeds().shown();
    assert!(
        shown.contains("identity.require_groups  dba; and oncall"),
        "{shown}"
    );
    assert!(
        shown.contains("identity.require_verified_email  true  user file"),
        "{shown}"
    );
}

const LIST: &str = r#"
[[credential]]
name = "sre"
groups = ["sre"]
env = { api_key = "SRE_API", app_key = "SRE_APP" }

[[credential]]
name = "on-call"
groups = ["dba", "oncall"]
env = { api_key = "ONCALL_API", app_key = "ONCALL_APP" }

[[credential]]
name = "rest"
command = ["false"]
"#;

#[test]
fn the_first_credential_that_fits_is_used_and_named() {
    let world = signed_in(LIST);
    let (api, app) = world.keys();
    let outcome = run(&world, &[])
        .env("ONCALL_API", &api)
        .env("ONCALL_APP", &app)
        .env("SRE_API", "0123456789abcdef0123456789abcdef")
        .succeeds();
    assert!(
        outcome.said().contains("ddgate: credential: on-call\n"),
        "{outcome:?}"
    );
    let seen = world.sandbox.datadog.seen();
    assert!(
        seen[0].real_api_key && seen[0].real_application_key,
        "{seen:?}"
    );
    let record = world.replay_json("latest");
    assert_eq!(record["credential_name"], "on-call");
    assert_eq!(record["credential"], "environment ONCALL_API, ONCALL_APP");

    // Neither these keys nor those of others reach the command.
    let upstream = world.sandbox.upstream();
    let child = world
        .ddgate(["run", "--upstream", &upstream, "--", "env"])
        .issuer(&world)
        .env("ONCALL_API", &api)
        .env("ONCALL_APP", &app)
        .env("SRE_API", "0123456789abcdef0123456789abcdef")
        .succeeds();
    let environment = String::from_utf8(child.stdout).unwrap();
    assert!(environment.contains("SRE_API="), "{environment}");
    for secret in [&*api, &*app, "0123456789abcdef0123456789abcdef"] {
        assert!(!environment.contains(secret), "{environment}");
    }
}

#[test]
fn nobodys_credential() {
    let world = signed_in(
        LIST.split("[[credential]]\nname = \"on-call\"")
            .next()
            .unwrap(),
    );
    insta::assert_snapshot!(refused(&world, &[]).said(), @r"
    ddgate: error: no credential is for sam.rivera@example.com: those there are need one of the groups sre; the sign-in shows the groups checkout-team, oncall
    ddgate: hint: ask for one of those groups; or add a [[credential]] for one that they have, or one without groups, at the end of the list
    ");
    // The one for everybody is taken when its turn comes, and its own failure is told.
    write(&world, LIST);
    let outcome = run(&world, &["--identity", "local"]).exits(125);
    let said = outcome.said();
    assert!(
        said.contains("the credential command `false` failed"),
        "{said}"
    );
    write(&world, LIST.replace("oncall\"]", "eng\"]").as_str());
    let set = run(&world, &[]).exits(125).said();
    assert!(set.contains("`false` failed"), "{set}");
}

#[test]
fn a_credential_of_the_store() {
    let world = signed_in("[[credential]]\nname = \"ops\"\ngroups = [\"oncall\"]\nstore = \"ops\"");
    let said = run(&world, &[]).exits(125).said();
    insta::assert_snapshot!(said, @r"
    ddgate: error: the credential `ops` has no keys: none are kept under `ops` in file [ROOT]/data/secrets.json, readable by you alone
    ddgate: hint: store them: ddgate keys set app-key --credential ops (also api-key, bearer)
    ");
    let (api, app) = world.keys();
    for (name, value) in [("api-key", &api), ("app-key", &app)] {
        let set = world.ddgate(["keys", "set", name, "--credential", "ops"]);
        set.input(value.as_bytes()).succeeds();
    }
    run(&world, &[]).succeeds();
    let seen = world.sandbox.datadog.seen();
    assert!(
        seen[0].real_api_key && seen[0].real_application_key,
        "{seen:?}"
    );
    insta::assert_snapshot!(world.ddgate(["keys", "list"]).succeeds().shown(), @r"
    CREDENTIAL  FOR  KEY  FROM
    ops  oncall  api-key  file [ROOT]/data/secrets.json, readable by you alone
    ops  oncall  app-key  file [ROOT]/data/secrets.json, readable by you alone
    ops  oncall  bearer  not set
      redaction-key  not set
    ");
    let list = world.ddgate(["keys", "list", "--json"]).succeeds().json();
    assert_eq!(list[0]["credential"], "ops");
    assert_eq!(list[0]["groups"][0], "oncall");
    // The set for everybody is another.
    world.ddgate(["keys", "rm", "app-key"]).exits(1);
    world
        .ddgate(["keys", "rm", "app-key", "--credential", "ops"])
        .succeeds();
    run(&world, &[]).succeeds();
    assert!(!world.sandbox.datadog.seen()[1].real_application_key);
    let odd = world.ddgate(["keys", "set", "redaction-key", "--credential", "ops"]);
    odd.exits(2);
}

#[test]
fn an_access_token_stands_in_for_keys() {
    let world = World::new();
    world.settings("[identity]\nstorage = \"file\"\nmode = \"local\"\n");
    let token = world.sandbox.datadog.token().expose().clone();
    world
        .ddgate(["keys", "set", "bearer"])
        .input(token.as_bytes())
        .succeeds();
    let agent = |script: &str| {
        let agent = world.agent(script);
        agent.env_remove("DD_API_KEY").env_remove("DD_APP_KEY")
    };
    // A client that knows keys alone.
    agent("GET /api/v1/monitor\nPOST /api/v1/monitor {\"name\": \"x\"}").succeeds();
    let seen = world.sandbox.datadog.seen();
    assert_eq!(seen.len(), 2, "{:?}", world.answers());
    assert!(
        seen.iter()
            .all(|seen| seen.real_token && !seen.real_api_key),
        "{seen:?}"
    );

    // A client that knows tokens, and what it holds.
    let script = "echo token=$DD_ACCESS_TOKEN; curl -sS -o answer -w '%{http_code}' \
                  -H \"Authorization: Bearer $DD_ACCESS_TOKEN\" \"$DD_HOST/api/v1/monitor\"";
    let outcome = world
        .run(["sh", "-c", script])
        .env_remove("DD_API_KEY")
        .env_remove("DD_APP_KEY")
        .succeeds();
    let shown = String::from_utf8(outcome.stdout).unwrap();
    let (shape, status) = shown.split_once('\n').unwrap();
    assert_eq!(shape.len(), "token=".len() + token.len(), "{shape}");
    assert!(
        shape.starts_with("token=ddpat_") && !shape.contains(&token),
        "{shape}"
    );
    if status != "200" {
        crate::absent::absent("curl is not on this machine");
    }
    // The token is where it was put, and nowhere else.
    for (path, bytes) in world.all_files() {
        let held = bytes
            .windows(token.len())
            .any(|window| window == token.as_bytes());
        assert_eq!(held, path.ends_with("secrets.json"), "{}", path.display());
    }
    let denied = world.agent("nokey GET /api/v1/monitor");
    denied
        .env_remove("DD_API_KEY")
        .env_remove("DD_APP_KEY")
        .succeeds();
    assert!(world.answers().last().unwrap().starts_with("403"));
}

#[test]
fn a_token_in_the_place_of_an_application_key() {
    let world = World::new();
    world.settings("[identity]\nstorage = \"file\"\nmode = \"local\"\n");
    let token = world.sandbox.datadog.token().expose().clone();
    let agent = world.agent("GET /api/v1/monitor");
    let agent = agent.env_remove("DD_API_KEY").env("DD_APP_KEY", &token);
    agent.succeeds();
    let seen = world.sandbox.datadog.seen();
    assert!(seen[0].real_token && seen[0].status == 200, "{seen:?}");
}

#[test]
fn what_password_managers_print() {
    let world = World::new();
    let (api, app) = world.keys();
    let token = world.sandbox.datadog.token().expose().clone();
    let outputs = [
        // op item get … --format json
        format!(
            "{{\"fields\": [{{\"label\": \"API key\", \"value\": \"{api}\"}}, \
             {{\"label\": \"app key\", \"value\": \"{app}\"}}]}}"
        ),
        // vault kv get -format=json …
        format!("{{\"data\": {{\"data\": {{\"api_key\": \"{api}\", \"app_key\": \"{app}\"}}}}}}"),
        // aws secretsmanager get-secret-value …
        format!(
            "{{\"SecretString\": \"{{\\\"DD_API_KEY\\\": \\\"{api}\\\", \\\"DD_APP_KEY\\\": \\\"{app}\\\"}}\"}}"
        ),
        // op read …
        format!("{token}\n"),
    ];
    for (number, output) in outputs.iter().enumerate() {
        let file = world.file(&format!("output-{number}"), output);
        world.settings(&format!(
            "[[credential]]\nname = \"all\"\ncommand = [\"cat\", \"{}\"]\n",
            file.display()
        ));
        let agent = world.agent("GET /api/v1/monitor");
        agent
            .env_remove("DD_API_KEY")
            .env_remove("DD_APP_KEY")
            .succeeds();
        let seen = world.sandbox.datadog.seen();
        assert_eq!(
            (seen.len(), seen[number].status),
            (number + 1, 200),
            "{output}"
        );
    }
    assert_eq!(world.replay_json("latest")["credential"], "command cat");
}

#[test]
fn entries_that_mean_nothing() {
    let world = World::new();
    let said = |entry: &str| {
        world.settings(entry);
        let said = world.ddgate(["config", "show"]).exits(2).said();
        let first = said.lines().next().unwrap().to_owned();
        first.replace("ddgate: error: [ROOT]/config/ddgate.toml:", "")
    };
    for (entry, expected) in [
        (
            "[[credential]]\nname = \"a\"",
            "1:1: `credential`: says not where the keys are: give it `command`, `store` or `env`",
        ),
        (
            "[[credential]]\nstore = \"a\"",
            "1:1: `credential`: has no `name`",
        ),
        (
            "[[credential]]\nname = \"a\"\nstore = \"a\"\ncommand = [\"x\"]",
            "1:1: `credential`: says more than once where the keys are: one of `command`, `store`, `env`",
        ),
        (
            "[[credential]]\nname = \"a\"\ncommand = \"op read hunter2\"",
            "3:11: `credential.command` must be an array of strings, not a string",
        ),
        (
            "[[credential]]\nname = \"a b\"\nstore = \"a\"",
            "2:8: `credential.name`: `a b` is no name for a credential: letters, digits, `-`, `_` and `.`, at most 64",
        ),
        (
            "[[credential]]\nname = \"a\"\ngruops = [\"x\"]",
            "3:1: unknown key `credential.gruops` (did you mean `credential.groups`?)",
        ),
        (
            "[[credential]]\nname = \"a\"\nenv = { key = \"X\" }",
            "3:9: unknown key `credential.env.key`",
        ),
        (
            "[[credential]]\nname = \"a\"\nstore = \"a\"\ngroups = []",
            "4:10: `credential.groups`: must name at least one group",
        ),
        (
            "[[credential]]\nname = \"a\"\nstore = \"a\"\n[[credential]]\nname = \"a\"\nstore = \"b\"",
            "4:1: `credential.name`: `a` stands twice",
        ),
        (
            "credential = \"x\"",
            "1:14: `credential` must be tables, each headed [[credential]], not a string",
        ),
        (
            "[identity]\nrequire_groups = []",
            "2:18: `identity.require_groups`: must name at least one group",
        ),
    ] {
        let said = said(entry);
        assert!(said.starts_with(expected), "{entry}\n{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let both = said(
        "[datadog]\ncredential_command = [\"a\"]\n[[credential]]\nname = \"a\"\nstore = \"a\"",
    );
    assert!(both.contains("one would hide the other"), "{both}");
}
