//! Bitbucket Pipelines: a token in a variable, for the audiences that the step names; without any it
//! has the workspace's own. `sub` is another in every run.

use super::env::Env;
use super::source::Source;
use super::system::{Said, System, untitled};
use crate::record::{WorkloadKind, WorkloadSystem};

const VARIABLE: &str = "BITBUCKET_STEP_OIDC_TOKEN";
/// How the audience of a workspace begins.
const WORKSPACE: &str = "ari:cloud:bitbucket";

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Bitbucket,
    name: "Bitbucket Pipelines",
    kind: WorkloadKind::Ci,
    is_here: |env| env.has(VARIABLE) || env.has("BITBUCKET_BUILD_NUMBER"),
    source: |env, _| {
        Source::variable(env, VARIABLE)
            .ok_or("the step asks for none (BITBUCKET_STEP_OIDC_TOKEN is not set)")
    },
    fixed_audience: |_, audience| {
        audience.starts_with(WORKSPACE).then_some(
            "Bitbucket gives it to every token of the workspace, so whoever else is shown one could \
             show it here",
        )
    },
    title: untitled,
    facts: &[
        ("repository", Said::Claim("repositoryUuid")),
        ("commit", Said::Variable("BITBUCKET_COMMIT")),
        ("ref", Said::Claim("branchName")),
        ("ref", Said::Variable("BITBUCKET_BRANCH")),
        ("run", Said::Claim("pipelineUuid")),
        ("run", Said::Variable("BITBUCKET_BUILD_NUMBER")),
        ("job", Said::Claim("stepUuid")),
        ("environment", Said::Claim("deploymentEnvironmentUuid")),
        (
            "environment",
            Said::Variable("BITBUCKET_DEPLOYMENT_ENVIRONMENT"),
        ),
    ],
    file: "the step in bitbucket-pipelines.yml",
    lines,
};

fn lines(env: &Env, audience: &str, with_settings: bool) -> String {
    let token = format!("oidc:\n  audiences:\n    - {audience}");
    if !with_settings {
        return token;
    }
    let workspace = env.shown("BITBUCKET_WORKSPACE", "WORKSPACE");
    let repository = env.shown("BITBUCKET_REPO_UUID", "{REPOSITORY-UUID}");
    format!(
        "{token}\nscript:\n  - export DDGATE_WORKLOAD_ISSUER=\"https://api.bitbucket.org/2.0/\
         workspaces/{workspace}/pipelines-config/identity/oidc\"\n  \
         - export DDGATE_WORKLOAD_AUDIENCE=\"{audience}\"\n  \
         - export DDGATE_WORKLOAD_PIN=\"repositoryUuid={repository}\""
    )
}
