//! Each system: found by itself, verified, recorded as what it is, and kept from the command. Where
//! there is no token, the lines to add are those of the manual, and they work.

use std::fs;

use serde_json::{Value, json};

use crate::pipeline::{GITHUB, GITLAB, Pipeline, System, manual, said};

const CIRCLECI: System = System {
    kind: "circleci",
    always: &[
        ("CIRCLECI", "true"),
        (
            "CIRCLE_ORGANIZATION_ID",
            "11111111-1111-1111-1111-111111111111",
        ),
        ("CIRCLE_PROJECT_ID", "22222222-2222-2222-2222-222222222222"),
        ("CIRCLE_SHA1", "0123456789abcdef0123456789abcdef01234567"),
        ("CIRCLE_USERNAME", "octocat"),
    ],
    allowed: &[
        ("CIRCLE_OIDC_TOKEN", "{token}"),
        ("CIRCLE_OIDC_TOKEN_V2", "{token}"),
    ],
    audience: "ddgate",
};
const BUILDKITE: System = System {
    kind: "buildkite",
    always: &[
        ("BUILDKITE", "true"),
        ("BUILDKITE_ORGANIZATION_SLUG", "acme"),
        ("BUILDKITE_PIPELINE_SLUG", "super-duper-app"),
        ("BUILDKITE_BUILD_CREATOR", "Octo Cat"),
    ],
    allowed: &[],
    audience: "ddgate",
};
const AZURE: System = System {
    kind: "azure",
    always: &[
        ("TF_BUILD", "True"),
        (
            "SYSTEM_COLLECTIONID",
            "3ef5b2b3-0000-0000-0000-000000000000",
        ),
        (
            "SYSTEM_TEAMPROJECTID",
            "9c9c1b6b-0000-0000-0000-000000000000",
        ),
        ("SYSTEM_DEFINITIONID", "7"),
        (
            "SYSTEM_OIDCREQUESTURI",
            "http://127.0.0.1:9/nobody-is-asked-without-the-token",
        ),
    ],
    allowed: &[
        (
            "SYSTEM_OIDCREQUESTURI",
            "{url}/_test/ci/azure?audience=api://AzureADTokenExchange",
        ),
        ("SYSTEM_ACCESSTOKEN", "ci-request-token"),
    ],
    audience: "api://AzureADTokenExchange",
};
const BITBUCKET: System = System {
    kind: "bitbucket",
    always: &[
        ("BITBUCKET_BUILD_NUMBER", "17"),
        ("BITBUCKET_WORKSPACE", "acme"),
        (
            "BITBUCKET_REPO_UUID",
            "{d3f1c1de-0000-4000-8000-000000000000}",
        ),
        (
            "BITBUCKET_COMMIT",
            "0123456789abcdef0123456789abcdef01234567",
        ),
    ],
    allowed: &[("BITBUCKET_STEP_OIDC_TOKEN", "{token}")],
    audience: "ddgate",
};

/// The command prints its environment.
const ENVIRONMENT: &[&str] = &["env"];

/// `circleci` and `buildkite-agent`, as far as tokens go: other words are a mistake.
fn install_commands(pipeline: &Pipeline) {
    let fetch = |kind: &str| {
        format!(
            "exec curl -s \"$url/_test/ci/{kind}?audience=ddgate\" | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/'"
        )
    };
    let circleci = format!(
        "[ \"$*\" = 'run oidc get --claims {{\"aud\":\"ddgate\"}}' ] || {{ echo \"$*\" >&2; exit 9; }}\n{}",
        fetch("circleci")
    );
    pipeline.program("circleci", &circleci);
    let buildkite = format!(
        "[ \"$*\" = 'oidc request-token --audience ddgate --claim organization_id' ] || exit 9\n{}",
        fetch("buildkite")
    );
    pipeline.program("buildkite-agent", &buildkite);
}

/// Runs a job that is configured as the manual says, and returns who it was.
fn works(pipeline: &Pipeline, system: &System, label: &str) -> Value {
    // What the manual says, with the provider in the place of the system's issuer.
    let mut bare = pipeline.run(&[], &["true"]);
    bare.envs(system.always.iter().copied());
    let ran = pipeline.home.run(bare);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let manual = manual();
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let added: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("ddgate:     "))
        .collect();
    assert!(added.len() >= 3, "{ran:?}");
    let is_there = |line: &&str| manual.lines().any(|other| other == *line);
    assert!(added.iter().all(is_there), "not in the manual: {added:#?}");
    let setting = |name: &str| {
        let mut values = added.iter().filter_map(|line| {
            let (before, value) = line.split_once('"')?;
            before
                .contains(name)
                .then(|| value.trim_end_matches('"').to_owned())
        });
        values
            .next()
            .unwrap_or_else(|| panic!("no {name}: {added:#?}"))
    };
    assert_eq!(setting("DDGATE_WORKLOAD_AUDIENCE"), system.audience);

    let mut job = pipeline.job(system, ENVIRONMENT);
    pipeline.accept(&mut job, system.audience, &setting("DDGATE_WORKLOAD_PIN"));
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "{ran:?}");
    let expected = format!("✓ this is {label}, verified by ");
    assert!(ran.stderr.contains(&expected), "{ran:?}");
    let child = String::from_utf8(ran.stdout.clone()).unwrap();
    for (name, value) in system.allowed {
        assert!(!child.contains(&format!("{name}=")), "{name}: {child}");
        assert!(!child.contains("ci-request-token"), "{value}: {child}");
    }
    pipeline.nothing_leaked();
    let who = pipeline.who();
    assert_eq!(
        (&who["label"], &who["via"]),
        (&json!(label), &json!("workload"))
    );
    assert_eq!(
        (&who["verified"], &who["email"]),
        (&json!(true), &Value::Null)
    );
    who
}

/// What is known of a job, without the time.
fn facts(who: &Value) -> Value {
    let mut workload = who["workload"].clone();
    let workload = workload.as_object_mut().unwrap();
    assert!(workload.remove("verified_at").is_some());
    Value::Object(workload.clone())
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn github_actions() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let label = "ci: octo-org/octo-repo @ main, run 1234567";
    let who = works(&pipeline, &GITHUB, label);
    assert_eq!(
        facts(&who),
        json!({
            "kind": "ci", "system": "github", "repository": "octo-org/octo-repo", "commit": COMMIT,
            "ref": "refs/heads/main", "run": "1234567", "job": "build", "actor": "octocat",
            "workflow": "octo-org/octo-repo/.github/workflows/ci.yml@refs/heads/main",
            "unverified": ["actor", "job"], "renewable": true,
        })
    );
    // As people are shown it: a bot, and beside it who set it off.
    let shown = pipeline
        .home
        .run(pipeline.home.ddgate(&["replay", "latest"]));
    let shown = String::from_utf8(shown.stdout).unwrap();
    let issuer = &pipeline.provider.issuer;
    let line = format!("{label}, verified by {issuer}; set off by octocat (unverified)");
    assert!(shown.contains(&line), "{shown}");
    assert!(shown.contains("job build (unverified)"), "{shown}");
    let sessions = pipeline.home.run(pipeline.home.ddgate(&["sessions"]));
    let sessions = String::from_utf8(sessions.stdout).unwrap();
    assert!(sessions.contains(label), "{sessions}");
}

#[test]
fn gitlab() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let who = works(
        &pipeline,
        &GITLAB,
        "ci: my-group/my-project @ main, run 1212",
    );
    assert_eq!(
        facts(&who),
        json!({
            "kind": "ci", "system": "gitlab", "repository": "my-group/my-project",
            "commit": COMMIT, "ref": "main", "run": "1212", "job": "1337", "actor": "jdoe",
            "workflow": "gitlab.example/my-group/my-project//.gitlab-ci.yml@refs/heads/main",
            "renewable": false,
        })
    );
}

#[test]
fn circleci() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    install_commands(&pipeline);
    let label = "ci: github.com/octo-org/octo-repo @ main";
    let who = works(&pipeline, &CIRCLECI, label);
    assert_eq!(
        facts(&who),
        json!({
            "kind": "ci", "system": "circleci", "repository": "github.com/octo-org/octo-repo",
            "commit": COMMIT, "ref": "refs/heads/main", "actor": "octocat",
            "job": "44444444-4444-4444-4444-444444444444",
            "unverified": ["actor", "commit"], "renewable": true,
        })
    );
}

#[test]
fn circleci_with_the_token_of_its_variable() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    // The issuer's address ends in the organisation's id, which is also the audience.
    let issuer = "https://oidc.circleci.com/org/11111111-1111-1111-1111-111111111111";
    let audience = "11111111-1111-1111-1111-111111111111";
    let keys = pipeline.home.path().join("jwks.json");
    fs::write(&keys, pipeline.keys()).unwrap();
    let token = pipeline.token("circleci", audience, &json!({ "iss": issuer }));
    let run = |pin: &str| {
        let mut job = pipeline.run(&[], &["true"]);
        pipeline.accept(&mut job, audience, pin);
        job.envs(CIRCLECI.always.iter().copied())
            .env("CIRCLE_OIDC_TOKEN_V2", &token)
            .env("DDGATE_WORKLOAD_ISSUER", issuer)
            .env("DDGATE_WORKLOAD_JWKS_FILE", &keys);
        pipeline.home.run(job)
    };
    let one = "oidc.circleci.com/project-id=22222222-2222-2222-2222-222222222222";
    let ran = run(one);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("one pinned claim is not enough"),
        "{ran:?}"
    );
    let ran = run(&format!("{one} oidc.circleci.com/vcs-ref=refs/heads/main"));
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(pipeline.who()["workload"]["renewable"], false);
}

#[test]
fn buildkite() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    install_commands(&pipeline);
    let who = works(
        &pipeline,
        &BUILDKITE,
        "ci: acme/super-duper-app @ main, run 1",
    );
    assert_eq!(
        facts(&who),
        json!({
            "kind": "ci", "system": "buildkite", "commit": COMMIT, "ref": "main", "run": "1",
            "workflow": "super-duper-app", "job": "0184990a-477b-4fa8-9968-496074483k77",
            "actor": "Octo Cat", "unverified": ["actor"], "renewable": true,
        })
    );
}

#[test]
fn azure_devops() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let label = "ci: https://dev.azure.example/my-org/my-project/_git/app @ main, run 231";
    let who = works(&pipeline, &AZURE, label);
    assert_eq!(
        facts(&who),
        json!({
            "kind": "ci", "system": "azure-devops", "commit": "0123456789abcdef",
            "repository": "https://dev.azure.example/my-org/my-project/_git/app",
            "ref": "refs/heads/main", "workflow": "7", "run": "231", "renewable": true,
        })
    );
}

#[test]
fn bitbucket() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let label = "ci: {d3f1c1de-0000-4000-8000-000000000000} @ main, run \
                 {b2c3d4e5-0000-4000-8000-000000000000}";
    let who = works(&pipeline, &BITBUCKET, label);
    assert_eq!(
        facts(&who),
        json!({
            "kind": "ci", "system": "bitbucket", "commit": COMMIT, "ref": "main",
            "repository": "{d3f1c1de-0000-4000-8000-000000000000}",
            "run": "{b2c3d4e5-0000-4000-8000-000000000000}",
            "job": "{5e0bd49b-0000-4000-8000-000000000001}",
            "unverified": ["commit"], "renewable": false,
        })
    );
}

#[test]
fn kubernetes() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let manual = manual();
    let pin = manual
        .split("DDGATE_WORKLOAD_PIN, value: \"")
        .nth(1)
        .unwrap();
    let (pin, _) = pin.split_once('"').unwrap();
    let token = pipeline.token("kubernetes", "ddgate", &Value::Null);
    let file = pipeline.home.path().join("projected");
    fs::write(&file, token).unwrap();
    let mut job = pipeline.run(&[], &["true"]);
    job.env_remove("CI").env("DDGATE_ID_TOKEN_FILE", &file);
    pipeline.accept(&mut job, "ddgate", pin);
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "{ran:?}");
    fs::remove_file(&file).unwrap();
    pipeline.nothing_leaked();
    let who = pipeline.who();
    assert_eq!(who["label"], "service: ci/runner");
    assert_eq!(
        facts(&who),
        json!({"kind": "service", "system": "kubernetes", "job": "runner-0", "renewable": true})
    );
}

#[test]
fn google_only_where_it_is_asked_for() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let port = pipeline.provider.issuer.rsplit(':').next().unwrap();
    let metadata = format!("127.0.0.1:{port}");
    let manual = manual();
    let (_, block) = manual.split_once("system = \"google\"").unwrap();
    let (block, _) = block.split_once(".fi").unwrap();
    let block = block.replace("https://accounts.google.com", &pipeline.provider.issuer);
    let file = pipeline.home.path().join("mine.toml");
    let run = |settings: &str, more: &[(&str, &str)]| {
        fs::write(&file, settings).unwrap();
        pipeline.provider.clear("log");
        let mut job = pipeline.run(&[], &["true"]);
        job.env("DDGATE_CONFIG", &file)
            .env("GCE_METADATA_HOST", &metadata)
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("NO_PROXY", "")
            .envs(more.iter().copied());
        pipeline.home.run(job)
    };
    let asked = || {
        let requests = pipeline.requests();
        requests
            .iter()
            .any(|path| path.starts_with("/computeMetadata"))
    };
    let ran = run(&format!("[[workload]]\nsystem = \"google\"{block}"), &[]);
    assert!(ran.status.success(), "{ran:?}");
    assert!(asked());
    let who = pipeline.who();
    assert_eq!(
        who["label"],
        "service: ci@my-project.iam.gserviceaccount.com"
    );
    // Without the word, or in another system's job, the machine is not asked.
    let ran = run(&format!("[[workload]]{block}"), &[]);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    assert!(!asked());
    let ran = run(
        &format!("[[workload]]\nsystem = \"google\"{block}"),
        &[("GITHUB_ACTIONS", "true")],
    );
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    assert!(
        ran.stderr
            .contains("(one workload is configured, for another system)"),
        "{ran:?}"
    );
    assert!(!asked());
}

#[test]
fn a_token_that_is_named_comes_first() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let token = pipeline.token("gitlab", "ddgate", &Value::Null);
    let mut job = pipeline.job(&GITHUB, ENVIRONMENT);
    job.env("DDGATE_ID_TOKEN_ENV", "MY_TOKEN")
        .env("MY_TOKEN", &token)
        .env("COPY", &token);
    pipeline.accept(&mut job, "ddgate", "project_id=22");
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "{ran:?}");
    let child = String::from_utf8(ran.stdout).unwrap();
    assert!(!child.contains("MY_TOKEN"), "{child}");
    pipeline.nothing_leaked();

    let mut job = pipeline.job(&GITHUB, &["true"]);
    job.env("DDGATE_ID_TOKEN_ENV", "MY_TOKEN");
    pipeline.accept(&mut job, "ddgate", "project_id=22");
    let ran = pipeline.home.run(job);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    insta::assert_snapshot!(ran.stderr, @r"
    ddgate: error: the identity token is to be in the variable MY_TOKEN, which is not set
    ddgate: hint: it is named by DDGATE_ID_TOKEN_ENV: is that spelled right?
    ");
}

/// What is said in a job that is configured and may have no token.
fn forbidden(pipeline: &Pipeline, system: &System, pin: &str) -> String {
    pipeline.provider.clear("log");
    let mut job = pipeline.run(&["--prompt", "always"], &["true"]);
    // Some systems do not set it.
    job.env_remove("CI").envs(system.always.iter().copied());
    pipeline.accept(&mut job, system.audience, pin);
    let ran = pipeline.home.run(job);
    pipeline.is_refused(&ran);
    assert_eq!(pipeline.requests(), [""; 0], "nobody is asked");
    said(&ran, pipeline)
}

/// What is said in a job of a system nobody knows that has no token.
fn lost(pipeline: &Pipeline) -> String {
    let mut job = pipeline.run(&["--prompt", "always"], &["true"]);
    pipeline.accept(&mut job, "ddgate", "a=b");
    let ran = pipeline.home.run(job);
    pipeline.is_refused(&ran);
    said(&ran, pipeline)
}

/// What is said in a job where nothing is configured.
fn unconfigured(pipeline: &Pipeline, system: &System) -> String {
    pipeline.provider.clear("log");
    let mut job = pipeline.job(system, &["true"]);
    job.env("DDGATE_PROMPT", "always");
    let ran = pipeline.home.run(job);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    said(&ran, pipeline)
}

/// A system that no variable tells of.
const UNKNOWN: System = System {
    kind: "gitlab",
    always: &[],
    allowed: &[("DDGATE_ID_TOKEN", "{token}")],
    audience: "ddgate",
};

#[test]
fn without_permission_the_lines_to_add_are_named() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    insta::assert_snapshot!(lost(&pipeline), @r"
    ddgate: error: this environment gave no identity token: none of DDGATE_ID_TOKEN_FILE, DDGATE_ID_TOKEN_ENV, DDGATE_ID_TOKEN is set
    ddgate: hint: add to the environment:
    ddgate:     DDGATE_ID_TOKEN_FILE=/path/to/token
    ");
    insta::assert_snapshot!(forbidden(&pipeline, &GITHUB, "repository_id=74"), @r"
    ddgate: error: GitHub Actions gave no identity token: the job may not ask for one (ACTIONS_ID_TOKEN_REQUEST_URL is not set; jobs for pull requests from forks never may)
    ddgate: hint: add to the workflow in .github/workflows:
    ddgate:     permissions:
    ddgate:       id-token: write
    ddgate:       contents: read
    ");
    insta::assert_snapshot!(forbidden(&pipeline, &GITLAB, "project_id=22"), @r"
    ddgate: error: GitLab CI/CD gave no identity token: the job asks for none (DDGATE_ID_TOKEN is not set)
    ddgate: hint: add to the job in .gitlab-ci.yml:
    ddgate:     id_tokens:
    ddgate:       DDGATE_ID_TOKEN:
    ddgate:         aud: ddgate
    ");
    insta::assert_snapshot!(forbidden(&pipeline, &AZURE, "prj_id=1 def_id=2"), @r"
    ddgate: error: Azure DevOps gave no identity token: the step may not ask for one (SYSTEM_ACCESSTOKEN is not set)
    ddgate: hint: add to the step in azure-pipelines.yml:
    ddgate:     env:
    ddgate:       SYSTEM_ACCESSTOKEN: $(System.AccessToken)
    ");
    insta::assert_snapshot!(forbidden(&pipeline, &BITBUCKET, "repositoryUuid=1"), @r"
    ddgate: error: Bitbucket Pipelines gave no identity token: the step asks for none (BITBUCKET_STEP_OIDC_TOKEN is not set)
    ddgate: hint: add to the step in bitbucket-pipelines.yml:
    ddgate:     oidc:
    ddgate:       audiences:
    ddgate:         - ddgate
    ");
    // These ask a command, which is not there.
    insta::assert_snapshot!(forbidden(&pipeline, &CIRCLECI, "oidc.circleci.com/project-id=1"), @r"
    ddgate: error: the command `circleci` printed no identity token (No such file or directory (os error 2))
    ddgate: hint: it has to be in PATH, and to work in this job; or put a token into a file and name it in DDGATE_ID_TOKEN_FILE
    ");
    insta::assert_snapshot!(forbidden(&pipeline, &BUILDKITE, "organization_id=1"), @r"
    ddgate: error: the command `buildkite-agent` printed no identity token (No such file or directory (os error 2))
    ddgate: hint: it has to be in PATH, and to work in this job; or put a token into a file and name it in DDGATE_ID_TOKEN_FILE
    ");
}

#[test]
fn without_settings_the_lines_to_add_have_the_jobs_own_values() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    insta::assert_snapshot!(unconfigured(&pipeline, &GITHUB), @r#"
    ddgate: error: nothing says whose identity token is believed in GitHub Actions
    ddgate: hint: add to the workflow in .github/workflows:
    ddgate:     permissions:
    ddgate:       id-token: write
    ddgate:       contents: read
    ddgate:     env:
    ddgate:       DDGATE_WORKLOAD_ISSUER: "https://token.actions.githubusercontent.com"
    ddgate:       DDGATE_WORKLOAD_AUDIENCE: "ddgate"
    ddgate:       DDGATE_WORKLOAD_PIN: "repository_id=74"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
    insta::assert_snapshot!(unconfigured(&pipeline, &GITLAB), @r#"
    ddgate: error: nothing says whose identity token is believed in GitLab CI/CD
    ddgate: hint: add to the job in .gitlab-ci.yml:
    ddgate:     id_tokens:
    ddgate:       DDGATE_ID_TOKEN:
    ddgate:         aud: ddgate
    ddgate:     variables:
    ddgate:       DDGATE_WORKLOAD_ISSUER: "https://gitlab.example.com"
    ddgate:       DDGATE_WORKLOAD_AUDIENCE: "ddgate"
    ddgate:       DDGATE_WORKLOAD_PIN: "project_id=22"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
    insta::assert_snapshot!(unconfigured(&pipeline, &CIRCLECI), @r#"
    ddgate: error: nothing says whose identity token is believed in CircleCI
    ddgate: hint: add to the job in .circleci/config.yml:
    ddgate:     environment:
    ddgate:       DDGATE_WORKLOAD_ISSUER: "https://oidc.circleci.com/org/11111111-1111-1111-1111-111111111111"
    ddgate:       DDGATE_WORKLOAD_AUDIENCE: "ddgate"
    ddgate:       DDGATE_WORKLOAD_PIN: "oidc.circleci.com/project-id=22222222-2222-2222-2222-222222222222"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
    insta::assert_snapshot!(unconfigured(&pipeline, &BUILDKITE), @r#"
    ddgate: error: nothing says whose identity token is believed in Buildkite
    ddgate: hint: add to the step in pipeline.yml:
    ddgate:     env:
    ddgate:       DDGATE_WORKLOAD_ISSUER: "https://agent.buildkite.com"
    ddgate:       DDGATE_WORKLOAD_AUDIENCE: "ddgate"
    ddgate:       DDGATE_WORKLOAD_PIN: "organization_slug=acme pipeline_slug=super-duper-app"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
    insta::assert_snapshot!(unconfigured(&pipeline, &AZURE), @r#"
    ddgate: error: nothing says whose identity token is believed in Azure DevOps
    ddgate: hint: add to the step in azure-pipelines.yml:
    ddgate:     env:
    ddgate:       SYSTEM_ACCESSTOKEN: $(System.AccessToken)
    ddgate:       DDGATE_WORKLOAD_ISSUER: "https://vstoken.dev.azure.com/3ef5b2b3-0000-0000-0000-000000000000"
    ddgate:       DDGATE_WORKLOAD_AUDIENCE: "api://AzureADTokenExchange"
    ddgate:       DDGATE_WORKLOAD_PIN: "prj_id=9c9c1b6b-0000-0000-0000-000000000000 def_id=7"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
    insta::assert_snapshot!(unconfigured(&pipeline, &BITBUCKET), @r#"
    ddgate: error: nothing says whose identity token is believed in Bitbucket Pipelines
    ddgate: hint: add to the step in bitbucket-pipelines.yml:
    ddgate:     oidc:
    ddgate:       audiences:
    ddgate:         - ddgate
    ddgate:     script:
    ddgate:       - export DDGATE_WORKLOAD_ISSUER="https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
    ddgate:       - export DDGATE_WORKLOAD_AUDIENCE="ddgate"
    ddgate:       - export DDGATE_WORKLOAD_PIN="repositoryUuid={d3f1c1de-0000-4000-8000-000000000000}"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
    insta::assert_snapshot!(unconfigured(&pipeline, &UNKNOWN), @r#"
    ddgate: error: nothing says whose identity token is believed in this environment
    ddgate: hint: add to the environment:
    ddgate:     DDGATE_ID_TOKEN_FILE=/path/to/token
    ddgate:     DDGATE_WORKLOAD_ISSUER="https://…"
    ddgate:     DDGATE_WORKLOAD_AUDIENCE="ddgate"
    ddgate:     DDGATE_WORKLOAD_PIN="CLAIM=VALUE"
    ddgate: hint: or `[[workload]]` to the file that DDGATE_CONFIG names: see ddgate-ci(5)
    "#);
}

#[test]
fn a_job_can_ask_who_it_is() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let token = pipeline.token("gitlab", "ddgate", &Value::Null);
    let mut login = pipeline.home.ddgate(&["login"]);
    login
        .envs(GITLAB.always.iter().copied())
        .env("DDGATE_ID_TOKEN", token);
    pipeline.accept(&mut login, "ddgate", "project_id=22");
    let ran = pipeline.home.run(login);
    assert!(ran.status.success(), "{ran:?}");
    insta::assert_snapshot!(said(&ran, &pipeline), @r"
    ddgate: ✓ this is ci: my-group/my-project @ main, run 1212, verified by http://[ISSUER]
    ");
}
