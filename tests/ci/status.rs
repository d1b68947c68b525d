//! `ddgate status` in a job: who a run would be, or what is missing, without using anything up.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::gate::Ran;
use crate::pipeline::{GITHUB, GITLAB, Pipeline, System};

fn status(pipeline: &Pipeline, flags: &[&str], system: &System, may: bool) -> Command {
    let mut ddgate = pipeline.home.ddgate(&[&["status"], flags].concat());
    ddgate.env("CI", "true").envs(system.always.iter().copied());
    for (name, value) in system.allowed.iter().filter(|_| may) {
        let mut value = value.replace("{url}", &pipeline.provider.issuer);
        if value.contains("{token}") {
            let token = pipeline.token(system.kind, system.audience, &Value::Null);
            value = value.replace("{token}", &token);
        }
        ddgate.env(name, value);
    }
    ddgate
}

/// Its lines until the first that is empty, columns apart by two blanks.
fn lines(ran: &Ran, pipeline: &Pipeline) -> Vec<String> {
    assert!(ran.status.success(), "{ran:?}");
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    let text = text.replace(&pipeline.provider.issuer, "http://[ISSUER]");
    text.lines()
        .map(|line| {
            let words = line.split("  ").map(str::trim);
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            words.join("  ")
        })
        .collect()
}

fn json(ran: &Ran) -> Value {
    assert!(ran.status.success(), "{ran:?}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[test]
fn who_a_run_would_be() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let mut asked = status(&pipeline, &[], &GITHUB, true);
    pipeline.accept(&mut asked, "ddgate", "repository_id=74");
    let shown = lines(&pipeline.home.run(asked), &pipeline);
    for line in [
        "workload  ci: octo-org/octo-repo @ main, run 1234567 (GitHub Actions)",
        "signed by  http://[ISSUER]",
        "subject  repo:octo-org/octo-repo:ref:refs/heads/main",
        "accepted as  workload 1, for the audience ddgate",
        "pinned  repository_id=74",
    ] {
        assert!(shown.iter().any(|it| it == line), "{line}: {shown:#?}");
    }
    let until = shown.iter().find(|line| line.starts_with("token until"));
    let until = until.unwrap_or_else(|| panic!("{shown:#?}"));
    assert!(
        until.ends_with("; a run asks for another before that"),
        "{until}"
    );
    assert!(
        !shown.iter().any(|line| line.contains("ddgate login")),
        "{shown:#?}"
    );

    let mut asked = status(&pipeline, &["--json"], &GITHUB, true);
    pipeline.accept(&mut asked, "ddgate", "repository_id=74");
    let told = json(&pipeline.home.run(asked));
    let known = &told["workload"]["known"];
    assert_eq!(told["workload"]["system"], "GitHub Actions", "{told:#}");
    assert_eq!(known["pins"], serde_json::json!([["repository_id", "74"]]));
    assert_eq!(known["audience"], "ddgate");
    assert!(known["expires"].is_string(), "{told:#}");
    assert_eq!(known["renewable"], true);
    assert_eq!(told["signed_in"], Value::Null);

    // And the run that comes after it is just that.
    let mut job = pipeline.job(&GITHUB, &["true"]);
    pipeline.accept(&mut job, "ddgate", "repository_id=74");
    assert!(pipeline.home.run(job).status.success());
    assert_eq!(pipeline.who()["label"], known["label"]);
    pipeline.nothing_leaked();
}

#[test]
fn a_token_in_a_file_is_only_read() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let path = pipeline.home.path().join("token");
    let token = pipeline.token("gitlab", "ddgate", &Value::Null);
    fs::write(&path, &token).unwrap();
    for _ in 0..2 {
        let mut asked = status(&pipeline, &["--json"], &GITLAB, false);
        pipeline.accept(&mut asked, "ddgate", "project_id=22");
        let told = json(&pipeline.home.run({
            asked.env("DDGATE_ID_TOKEN_FILE", &path);
            asked
        }));
        let known = &told["workload"]["known"];
        assert_eq!(known["pins"][0][1], "22", "{told:#}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), token);
    // One in a variable is all there is.
    let mut asked = status(&pipeline, &[], &GITLAB, true);
    pipeline.accept(&mut asked, "ddgate", "project_id=22");
    let shown = lines(&pipeline.home.run(asked), &pipeline);
    let until = shown.iter().find(|line| line.starts_with("token until"));
    assert!(until.unwrap().contains("there is no other"), "{shown:#?}");
}

#[test]
fn why_there_is_none_and_the_lines_to_add() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let shown = lines(
        &pipeline.home.run(status(&pipeline, &[], &GITHUB, true)),
        &pipeline,
    );
    let row = "workload  no identity in GitHub Actions: a run would be refused, see below";
    assert_eq!(shown[0], row, "{shown:#?}");
    let at = shown
        .iter()
        .position(|line| line == "nothing says whose identity token is believed in GitHub Actions");
    let advice = shown[at.unwrap_or_else(|| panic!("{shown:#?}"))..].join("\n");
    for line in [
        "add to the workflow in .github/workflows:",
        "id-token: write",
        "DDGATE_WORKLOAD_PIN: \"repository_id=74\"",
    ] {
        assert!(advice.contains(line), "{line}: {advice}");
    }
    // What is missing is known before anybody is asked.
    assert_eq!(pipeline.requests(), [""; 0]);

    // Another pin, and another provider that does not answer.
    let mut asked = status(&pipeline, &["--json"], &GITHUB, true);
    pipeline.accept(&mut asked, "ddgate", "repository_id=75");
    let told = json(&pipeline.home.run(asked));
    let unknown = &told["workload"]["unknown"];
    let message = unknown["message"].as_str().unwrap();
    assert!(
        message.contains("says `74` for `repository_id`"),
        "{told:#}"
    );
    assert!(
        unknown["hints"][0]
            .as_str()
            .unwrap()
            .contains("DDGATE_WORKLOAD_PIN")
    );
    assert_eq!(told["workload"]["known"], Value::Null);

    pipeline.provider.fault("jwks.status=503");
    let mut asked = status(&pipeline, &["--json"], &GITHUB, true);
    pipeline.accept(&mut asked, "ddgate", "repository_id=74");
    let told = json(&pipeline.home.run(asked));
    let causes = &told["workload"]["unknown"]["causes"];
    assert!(causes.to_string().contains("503"), "{told:#}");
    pipeline.nothing_leaked();
}
