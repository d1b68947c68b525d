//! The next token of a run: fetched again, verified again, and still of the same workload.

use std::fs;
use std::time::{Duration, Instant};

use ddgate::auth::identity::workload::{
    Otherwise, WorkloadError, WorkloadSettings, WorkloadSource,
};
use ddgate::net::{Dialer, HttpsClient};
use serde_json::{Value, json};

use crate::pipeline::{GITLAB, Pipeline, said};

fn accepted(pipeline: &Pipeline) -> Vec<WorkloadSettings> {
    let pin = ("/kubernetes.io/namespace".to_owned(), "ci".to_owned());
    vec![WorkloadSettings {
        name: "w".into(),
        system: None,
        issuer: pipeline.provider.issuer.clone(),
        audience: "ddgate".into(),
        pins: vec![pin],
        groups_claims: Vec::new(),
        jwks_file: None,
    }]
}

#[test]
fn a_file_is_read_again_and_must_mean_the_same_workload() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let file = pipeline.home.path().join("token");
    let project = |claims: &Value| {
        let token = pipeline.token("kubernetes", "ddgate", claims);
        fs::write(&file, token).unwrap();
    };
    let path = file.to_str().unwrap().to_owned();
    let lookup = move |name: &str| (name == "DDGATE_ID_TOKEN_FILE").then(|| path.clone());
    let http = HttpsClient::new(Dialer::direct());
    let source = WorkloadSource::find(&lookup, accepted(&pipeline), Otherwise::Nobody, http);
    let source = source.unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let identify = |before| runtime.block_on(source.verify(before));

    project(&json!({"exp": "now+60"}));
    let first = identify(None).unwrap();
    // The issuer changes keys between the two.
    pipeline
        .provider
        .write("rotate", &json!({"keep_old": false}));
    project(&json!({"exp": "now+3600"}));
    let second = identify(Some(&first)).unwrap();
    assert!(second.expires > first.expires);
    let verified_at = |who: &ddgate::record::Identity| who.workload.as_ref().unwrap().verified_at;
    assert!(verified_at(&second) > verified_at(&first));

    project(&json!({"sub": "system:serviceaccount:ci:other"}));
    let error = identify(Some(&first)).unwrap_err();
    assert!(
        error.to_string().contains("somebody else than before"),
        "{error}"
    );
    project(&json!({"kubernetes.io": {"namespace": "elsewhere"}}));
    let error = identify(Some(&first)).unwrap_err();
    assert!(matches!(error, WorkloadError::Pin { .. }), "{error}");
    fs::remove_file(&file).unwrap();
    let error = identify(Some(&first)).unwrap_err();
    assert!(matches!(error, WorkloadError::File { .. }), "{error}");
}

/// Tokens that expired 50 seconds ago still hold for ten, by the tolerance for clocks.
#[test]
fn a_run_takes_the_next_token_from_its_file() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let [file, began, done] = ["token", "began", "done"].map(|it| pipeline.home.path().join(it));
    let put = |exp: &str| {
        let token = pipeline.token(
            "kubernetes",
            "ddgate",
            &json!({"exp": exp, "iat": "now-3600"}),
        );
        fs::write(&file, token).unwrap();
    };
    put("now-50");
    let (there, over) = (began.display(), done.display());
    let wait = format!(": >{there}; while [ ! -e {over} ]; do sleep 0.1; done");
    let mut job = pipeline.run(&[], &["sh", "-c", &wait]);
    job.env("DDGATE_ID_TOKEN_FILE", &file);
    pipeline.accept(&mut job, "ddgate", "/kubernetes.io/namespace=ci");
    let identity = || {
        let shown = pipeline
            .home
            .ddgate(&["replay", "latest", "--json"])
            .output();
        let shown: Value = serde_json::from_slice(&shown.unwrap().stdout).unwrap_or_default();
        shown["identity"].as_array().cloned().unwrap_or_default()
    };
    let running = pipeline.home.start(job);
    let wait_until = |holds: &dyn Fn() -> bool| {
        let since = Instant::now();
        while !holds() && since.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    wait_until(&|| began.exists());
    put("now+3600");
    wait_until(&|| !identity().is_empty());
    fs::write(&done, "").unwrap();
    let ran = running.finish();
    assert!(ran.status.success(), "{ran:?}");
    let seen = identity();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["verified"], true, "{seen:?}");
    let said = said(&ran, &pipeline);
    assert!(
        !said.contains("lapsed") && !said.contains("cannot be renewed"),
        "{said}"
    );
    fs::remove_file(&file).unwrap();
    pipeline.nothing_leaked();
}

/// GitLab gives a job one token: what it was good for at the start goes on when it has expired.
#[test]
fn a_job_with_one_token_goes_on_when_that_has_expired() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let call = "sleep 8; curl -sS -o /dev/null -w '%{http_code}' -H \"DD-API-KEY: $DD_API_KEY\" \
         https://api.datadoghq.com/api/v1/validate";
    let mut job = pipeline.job(&GITLAB, &["sh", "-c", call]);
    let claims = json!({"exp": "now-56", "iat": "now-3600"});
    job.env(
        "DDGATE_ID_TOKEN",
        pipeline.token("gitlab", "ddgate", &claims),
    );
    pipeline.accept(&mut job, "ddgate", "project_id=22");
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(ran.stdout, b"200", "{ran:?}");
    let session = pipeline.home.json(&["replay", "latest", "--json"]);
    assert_eq!(session["identity"], json!([]), "{session}");
}
