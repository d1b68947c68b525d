//! Tokens that are not believed: exit 3, nothing sent, nothing recorded, and the reason with the fix.
//! What the token itself gives away is refused without asking anybody.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use crate::pipeline::{GITHUB, GITLAB, Pipeline, said};

/// A GitLab job with this token.
fn with_token(pipeline: &Pipeline, token: &str, pin: &str) -> String {
    pipeline.provider.clear("log");
    let mut job = pipeline.run(&[], &["true"]);
    job.envs(GITLAB.always.iter().copied())
        .env("DDGATE_ID_TOKEN", token);
    pipeline.accept(&mut job, "ddgate", pin);
    let ran = pipeline.home.run(job);
    assert_eq!(ran.status.code(), Some(3), "{}: {ran:?}", payload(token));
    pipeline.is_refused(&ran);
    said(&ran, pipeline)
}

/// What a token says, for whoever looks into a failure.
fn payload(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The same with other claims, and no request to anybody.
fn silently(pipeline: &Pipeline, audience: &str, claims: &Value, pin: &str) -> String {
    let token = pipeline.token("gitlab", audience, claims);
    let said = with_token(pipeline, &token, pin);
    assert_eq!(pipeline.requests(), [""; 0], "nobody is asked: {said}");
    said
}

#[test]
fn tokens_for_others_are_refused_without_asking_anybody() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let p = &pipeline;
    insta::assert_snapshot!(silently(p, "somebody-else", &Value::Null, "project_id=22"), @r"
    ddgate: error: the token is for `somebody-else`, and `ddgate` is accepted
    ddgate: hint: ask for a token for the audience that is configured: `audience` of the `[[workload]]`, or DDGATE_WORKLOAD_AUDIENCE
    ");
    let both = json!({"aud": ["ddgate", "somebody-else"]});
    assert!(silently(p, "ddgate", &both, "project_id=22").contains("the token is for `["));
    // A token of another project of the same system: the right audience, a good signature.
    let replayed = json!({"project_id": "23", "project_path": "evil/project"});
    insta::assert_snapshot!(silently(p, "ddgate", &replayed, "project_id=22"), @r"
    ddgate: error: the token says `23` for `project_id`, which must be `22`
    ddgate: hint: if this job may act, pin what it says; the pins are `pin` of the `[[workload]]`, or DDGATE_WORKLOAD_PIN
    ");
    let missing = json!({ "project_id": null });
    insta::assert_snapshot!(silently(p, "ddgate", &missing, "project_id=22"), @r"
    ddgate: error: the token does not say `project_id`, which must be `22`
    ddgate: hint: if this job may act, pin what it says; the pins are `pin` of the `[[workload]]`, or DDGATE_WORKLOAD_PIN
    ");
    let other = json!({"iss": "https://gitlab.com"});
    insta::assert_snapshot!(silently(p, "ddgate", &other, "project_id=22"), @r"
    ddgate: error: the token is signed by `https://gitlab.com`, and `http://[ISSUER]` is accepted
    ddgate: hint: if that is the right issuer, configure it: `issuer` of the `[[workload]]`, or DDGATE_WORKLOAD_ISSUER
    ");
    let rerun = json!({"oidc.circleci.com/ssh-rerun": true});
    insta::assert_snapshot!(silently(p, "ddgate", &rerun, "project_id=22"), @r"
    ddgate: error: this CircleCI job was started again with SSH: whoever is in it could act as the job
    ddgate: hint: start it again without SSH
    ");
}

#[test]
fn tokens_that_do_not_hold() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let expired = json!({"exp": "now-120", "iat": "now-600", "nbf": "now-600"});
    let expired = pipeline.token("gitlab", "ddgate", &expired);
    insta::assert_snapshot!(with_token(&pipeline, &expired, "project_id=22"), @r"
    ddgate: error: the ID token is refused: it has expired
    ddgate: hint: tokens live minutes: ask for it in the step that runs ddgate
    ");
    let claims = json!({"aud": "ddgate", "sub": "s", "project_id": "22"});
    let modes = pipeline.provider.read("faults")["sign_modes"].clone();
    let mut refused = 0;
    for mode in modes.as_object().unwrap().keys() {
        let asked = json!({"claims": claims, "sign": mode});
        let minted = pipeline.provider.write("mint", &asked);
        let said = with_token(
            &pipeline,
            minted["token"].as_str().unwrap(),
            "project_id=22",
        );
        let refused_as = "ddgate: error: the ID token is refused: ";
        assert!(said.contains(refused_as), "{mode}: {said}");
        refused += 1;
    }
    assert!(refused > 10);
    for (claims, reason) in [
        (json!({"nbf": "now+600"}), "not valid yet"),
        (json!({"iat": "now+600"}), "issued in the future"),
        (json!({"iat": "now-90000"}), "issued long before"),
        (json!({"nonce": "n"}), "no answer to this sign-in"),
        (json!({"sub": ""}), "subject"),
        (json!({"exp": "soon"}), "cannot be read"),
    ] {
        let token = pipeline.token("gitlab", "ddgate", &claims);
        let said = with_token(&pipeline, &token, "project_id=22");
        assert!(said.contains(reason), "{claims}: {said}");
    }
    for odd in ["x", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30."] {
        let said = with_token(&pipeline, odd, "project_id=22");
        assert!(said.contains("ddgate: error: the "), "{odd}: {said}");
    }
    let log = pipeline.provider.read("log");
    let trapped = log
        .as_array()
        .unwrap()
        .iter()
        .any(|entry| entry["trap"] == true);
    assert!(!trapped, "a key from a token was fetched");
    pipeline.nothing_leaked();
}

#[test]
fn an_endpoint_that_gives_no_token() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let run = |url: &str, bearer: &str| {
        let mut job = pipeline.run(&[], &["true"]);
        job.envs(GITHUB.always.iter().copied())
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", url)
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", bearer);
        pipeline.accept(&mut job, "ddgate", "repository_id=74");
        let ran = pipeline.home.run(job);
        pipeline.is_refused(&ran);
        said(&ran, &pipeline)
    };
    let base = format!("{}/_test", pipeline.provider.issuer);
    insta::assert_snapshot!(run(&format!("{base}/ci/github"), "hunter2-hunter2"), @r"
    ddgate: error: 127.0.0.1 refused to give an identity token (401)
    ddgate: hint: may the job ask for identity tokens? see ddgate-ci(5)
    ");
    insta::assert_snapshot!(run(&format!("{base}/health"), "ci-request-token"), @r"
    ddgate: error: 127.0.0.1 cannot be used: what it sent holds no token
    ddgate: hint: see ddgate-ci(5) for where tokens come from
    ");
    insta::assert_snapshot!(run("http://192.0.2.1/token", "ci-request-token"), @r"
    ddgate: error: no identity token could be fetched from 192.0.2.1
    ddgate:   caused by: refusing http://192.0.2.1: only https is used, or http to a loopback address
    ddgate: hint: see ddgate-ci(5) for who may be asked
    ");
    let replayed = format!("{base}/ci/github?claims=%7B%22repository_id%22%3A%2275%22%7D");
    insta::assert_snapshot!(run(&replayed, "ci-request-token"), @r"
    ddgate: error: the token says `75` for `repository_id`, which must be `74`
    ddgate: hint: if this job may act, pin what it says; the pins are `pin` of the `[[workload]]`, or DDGATE_WORKLOAD_PIN
    ");
}

#[test]
fn an_issuer_that_is_not_there() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let token = pipeline.token("gitlab", "ddgate", &Value::Null);
    pipeline.provider.fault("jwks.status=503");
    let said = with_token(&pipeline, &token, "project_id=22");
    insta::assert_snapshot!(said, @r"
    ddgate: error: the identity provider http://[ISSUER] gave no key set
    ddgate:   caused by: 127.0.0.1 answered 503
    ddgate: hint: try again in a moment
    ");
    pipeline.provider.clear("faults");
    pipeline.provider.fault("discovery.status:1=503");
    let mut job = pipeline.job(&GITLAB, &["true"]);
    pipeline.accept(&mut job, "ddgate", "project_id=22");
    let ran = pipeline.home.run(job);
    assert!(ran.status.success(), "one failure passes: {ran:?}");
}
