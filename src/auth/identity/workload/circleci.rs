//! CircleCI: a token for any audience from the `circleci` command of the job's image, or, for the
//! organisation's own id as audience, the one in a variable.

use serde_json::{Map, Value, json};

use super::env::Env;
use super::source::Source;
use super::system::{Said, System, settings_block, untitled};
use crate::record::{WorkloadKind, WorkloadSystem};

const VARIABLE: &str = "CIRCLE_OIDC_TOKEN_V2";
const ISSUER: &str = "https://oidc.circleci.com/org/";

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Circleci,
    name: "CircleCI",
    kind: WorkloadKind::Ci,
    is_here: |env| env.is_true("CIRCLECI"),
    source: |env, settings| {
        if !is_organisation(&settings.issuer, &settings.audience) {
            let claims = json!({ "aud": settings.audience }).to_string();
            let words = ["circleci", "run", "oidc", "get", "--claims", &claims];
            return Ok(Source::command(&words));
        }
        Source::variable(env, VARIABLE).ok_or("CIRCLE_OIDC_TOKEN_V2 is not set")
    },
    fixed_audience: |issuer, audience| {
        is_organisation(issuer, audience).then_some(
            "CircleCI puts the organisation's id into every token, so whoever else is shown one \
             could show it here",
        )
    },
    title: untitled,
    facts: &[
        ("repository", Said::Claim("oidc.circleci.com/vcs-origin")),
        ("commit", Said::Variable("CIRCLE_SHA1")),
        ("ref", Said::Claim("oidc.circleci.com/vcs-ref")),
        ("workflow", Said::Variable("CIRCLE_WORKFLOW_ID")),
        ("run", Said::Variable("CIRCLE_BUILD_NUM")),
        ("job", Said::Claim("oidc.circleci.com/job-id")),
        ("job", Said::Variable("CIRCLE_JOB")),
        ("actor", Said::Variable("CIRCLE_USERNAME")),
    ],
    file: "the job in .circleci/config.yml",
    lines,
};

/// The audience of tokens nobody asked an audience for.
fn is_organisation(issuer: &str, audience: &str) -> bool {
    issuer.strip_prefix(ISSUER) == Some(audience)
}

/// Whether somebody has a shell in this job: CircleCI says so, and it is then no longer the job.
pub(super) fn is_ssh_rerun(claims: &Map<String, Value>) -> bool {
    match claims.get("oidc.circleci.com/ssh-rerun") {
        None | Some(Value::Bool(false)) => false,
        Some(other) => other != "false",
    }
}

fn lines(env: &Env, audience: &str, _: bool) -> String {
    let organisation = env.shown("CIRCLE_ORGANIZATION_ID", "ORGANIZATION-ID");
    let project = env.shown("CIRCLE_PROJECT_ID", "PROJECT-ID");
    let pin = format!("oidc.circleci.com/project-id={project}");
    settings_block(
        "environment",
        &format!("{ISSUER}{organisation}"),
        audience,
        &pin,
    )
}
