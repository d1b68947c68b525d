//! The next token of a run: fetched again, verified again, and still of the same workload.

use std::fs;

use ddgate::auth::identity::workload::{
    Otherwise, WorkloadError, WorkloadSettings, WorkloadSource,
};
use ddgate::net::{Dialer, HttpsClient};
use serde_json::{Value, json};

use crate::pipeline::Pipeline;

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
