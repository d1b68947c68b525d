//! What may be configured, where, and how a mistake is named.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::gate::Ran;
use crate::pipeline::{GITHUB, GITLAB, Pipeline, said};

fn file(pipeline: &Pipeline, name: &str, text: &str) -> PathBuf {
    let path = pipeline.home.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// A GitLab job with this file.
fn with_file(pipeline: &Pipeline, text: &str) -> Ran {
    let text = text.replace("ISSUER", &pipeline.provider.issuer);
    let path = file(pipeline, "mine.toml", &text);
    let mut job = pipeline.job(&GITLAB, &["true"]);
    job.env("DDGATE_CONFIG", path);
    pipeline.home.run(job)
}

fn refusal(pipeline: &Pipeline, text: &str) -> String {
    let ran = with_file(pipeline, text);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    said(&ran, pipeline).replace(&pipeline.home.path().display().to_string(), "[HOME]")
}

#[test]
fn the_first_workload_that_fits_counts_and_may_have_groups() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let text = r#"
[[workload]]
name = "elsewhere"
system = "github"
issuer = "ISSUER"
audience = "ddgate"
pin = { project_id = "22" }

[[workload]]
name = "another project"
issuer = "ISSUER"
audience = "ddgate"
pin = { project_id = "23" }

[[workload]]
name = "ours"
issuer = "ISSUER"
audience = "ddgate"
groups_claims = ["namespace_path", "absent"]
[workload.pin]
project_id = "22"
ref_protected = "true"
"#;
    let ran = with_file(&pipeline, text);
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(pipeline.who()["groups"], json!(["my-group"]));
    // With one that does not fit alone, all are named.
    let none = text.replace("ref_protected = \"true\"", "ref_protected = \"false\"");
    let ran = with_file(&pipeline, &none);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    insta::assert_snapshot!(ran.stderr, @r"
    ddgate: error: none of the configured workloads fits: another project: the token says `22` for `project_id`, which must be `23`; ours: the token says `true` for `ref_protected`, which must be `false`
    ddgate: hint: each is a `[[workload]]` in: ddgate config show
    ");
}

#[test]
fn keys_can_be_in_a_file() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let keys = pipeline.home.path().join("keys/jwks.json");
    file(
        &pipeline,
        "keys/jwks.json",
        &String::from_utf8(pipeline.keys()).unwrap(),
    );
    let text = "[[workload]]\nissuer = \"ISSUER\"\naudience = \"ddgate\"\n\
                pin = { project_id = \"22\" }\njwks_file = \"keys/jwks.json\"\n";
    let token = pipeline.token("gitlab", "ddgate", &Value::Null);
    pipeline.provider.clear("log");
    let mut job = pipeline.run(&[], &["true"]);
    let settings = text.replace("ISSUER", &pipeline.provider.issuer);
    let path = file(&pipeline, "mine.toml", &settings);
    job.envs(GITLAB.always.iter().copied())
        .env("DDGATE_ID_TOKEN", token)
        .env("DDGATE_CONFIG", path);
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(pipeline.requests(), [""; 0], "nobody is asked");
    // Another key than those of the file.
    pipeline
        .provider
        .write("rotate", &json!({"keep_old": false}));
    let ran = with_file(&pipeline, text);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("none of the provider's keys fits"),
        "{ran:?}"
    );
    fs::write(&keys, "[]").unwrap();
    let ran = with_file(&pipeline, text);
    assert!(ran.stderr.contains("it is no JSON Web Key Set"), "{ran:?}");
}

#[test]
fn mistakes_are_named_where_they_stand() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let p = &pipeline;
    let whole = "issuer = \"https://i.example\"\naudience = \"a\"\n";
    insta::assert_snapshot!(refusal(p, &format!("[[workload]]\n{whole}")), @r#"
    ddgate: error: [HOME]/mine.toml:1:1: `workload.pin`: at least one claim must be pinned, for example `pin = { repository_id = "74" }`: the issuer signs for everybody who uses it
    "#);
    insta::assert_snapshot!(refusal(p, &format!("[[workload]]\n{whole}pin = {{}}")), @r#"
    ddgate: error: [HOME]/mine.toml:4:7: `workload.pin`: at least one claim must be pinned, for example `pin = { repository_id = "74" }`: the issuer signs for everybody who uses it
    "#);
    insta::assert_snapshot!(refusal(p, "[[workload]]\naudience = \"a\"\npin = { a = \"b\" }"), @r"
    ddgate: error: [HOME]/mine.toml:1:1: `workload.issuer`: it is missing
    ");
    insta::assert_snapshot!(refusal(p, &format!("[workload]\n{whole}")), @r"
    ddgate: error: [HOME]/mine.toml:1:1: `workload` must be tables, each headed [[workload]], not a table
    ddgate: hint: to see every key with its value: ddgate config show (without this line)
    ");
    insta::assert_snapshot!(refusal(p, &format!("[[workload]]\nsystem = \"gitlub\"\n{whole}")), @r"
    ddgate: error: [HOME]/mine.toml:2:10: `workload.system`: `gitlub` is not one of github, gitlab, circleci, buildkite, azure-devops, bitbucket, kubernetes, google, other (did you mean `github`?)
    ");
    insta::assert_snapshot!(refusal(p, &format!("[[workload]]\n{whole}pin = {{ a = 7 }}")), @r"
    ddgate: error: [HOME]/mine.toml:4:7: `workload.pin` must be a table of strings, not a table of something else
    ddgate: hint: to see every key with its value: ddgate config show (without this line)
    ");
    insta::assert_snapshot!(refusal(p, &format!("[[workload]]\n{whole}audiense = \"x\"")), @r"
    ddgate: error: [HOME]/mine.toml:4:1: unknown key `workload.audiense` (did you mean `workload.audience`?)
    ddgate: hint: to see every key with its value: ddgate config show (without this line)
    ");
    let fixed = "[[workload]]\nissuer = \"ISSUER\"\naudience = \"api://AzureADTokenExchange\"\n\
                 pin = { prj_id = \"1\" }\n";
    let path = file(p, "mine.toml", &fixed.replace("ISSUER", &p.provider.issuer));
    let mut job = p.run(&[], &["true"]);
    job.env("TF_BUILD", "True").env("DDGATE_CONFIG", path);
    let ran = p.home.run(job);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    insta::assert_snapshot!(said(&ran, p), @r"
    ddgate: error: one pinned claim is not enough for the audience `api://AzureADTokenExchange`: Azure DevOps gives every token this audience, so whoever else is shown one could show it here
    ddgate: hint: the pins are `pin` of the `[[workload]]`, or DDGATE_WORKLOAD_PIN
    ");
    let mut job = p.job(&GITLAB, &["true"]);
    job.env("DDGATE_WORKLOAD_AUDIENCE", "ddgate");
    let ran = p.home.run(job);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    insta::assert_snapshot!(said(&ran, p), @r"
    ddgate: error: DDGATE_WORKLOAD_ISSUER: is not set, and DDGATE_WORKLOAD_AUDIENCE is: all three are needed
    ");
}

#[test]
fn a_repository_cannot_choose_who_is_believed() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let text = format!(
        "[[workload]]\nissuer = \"{}\"\naudience = \"ddgate\"\npin = {{ project_id = \"22\" }}\n",
        pipeline.provider.issuer
    );
    let path = file(&pipeline, "checkout/ddgate.toml", &text);
    let mut job = pipeline.job(&GITLAB, &["true"]);
    job.current_dir(path.parent().unwrap());
    let ran = pipeline.home.run(job);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("`workload` cannot be set by a project"),
        "{ran:?}"
    );
}

#[test]
fn what_is_configured_is_shown() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let mut shown = pipeline.home.ddgate(&["config", "show"]);
    pipeline.accept(&mut shown, "ddgate", "a=b c=d");
    let ran = pipeline.home.run(shown);
    let stdout = String::from_utf8(ran.stdout).unwrap();
    let line = format!("{} for ddgate with a=b c=d", pipeline.provider.issuer);
    assert!(stdout.contains(&line), "{stdout}");
}

#[test]
fn a_person_who_says_local_is_taken_at_their_word_in_ci_too() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let mut job = pipeline.run(&["--identity", "local"], &["true"]);
    job.envs(GITHUB.always.iter().copied());
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(pipeline.who()["verified"], false);
}
