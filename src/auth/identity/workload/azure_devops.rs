//! Azure DevOps: a token over HTTPS with the pipeline's own access token. Its audience is fixed.

use super::env::Env;
use super::source::Source;
use super::system::{Said, System, untitled};
use crate::record::{WorkloadKind, WorkloadSystem};

const URL: &str = "SYSTEM_OIDCREQUESTURI";
const BEARER: &str = "SYSTEM_ACCESSTOKEN";
const AUDIENCE: &str = "api://AzureADTokenExchange";

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::AzureDevops,
    name: "Azure DevOps",
    kind: WorkloadKind::Ci,
    is_here: |env| env.is_true("TF_BUILD") || env.has(URL),
    source: |env, _| match (env.value(URL), env.secret(BEARER)) {
        (Some(url), Some(bearer)) => Ok(Source::Post {
            url: url.to_owned(),
            bearer: bearer.clone(),
        }),
        (_, None) => Err("the step may not ask for one (SYSTEM_ACCESSTOKEN is not set)"),
        (None, _) => Err("SYSTEM_OIDCREQUESTURI is not set"),
    },
    fixed_audience: |_, _| {
        Some(
            "Azure DevOps gives every token this audience, so whoever else is shown one could show \
             it here",
        )
    },
    title: untitled,
    facts: &[
        ("repository", Said::Claim("rpo_uri")),
        ("commit", Said::Claim("rpo_ver")),
        ("ref", Said::Claim("rpo_ref")),
        ("workflow", Said::Claim("def_id")),
        ("workflow", Said::Variable("BUILD_DEFINITIONNAME")),
        ("run", Said::Claim("run_id")),
        ("job", Said::Variable("SYSTEM_JOBDISPLAYNAME")),
        ("actor", Said::Variable("BUILD_REQUESTEDFOR")),
    ],
    file: "the step in azure-pipelines.yml",
    lines,
};

fn lines(env: &Env, _: &str, with_settings: bool) -> String {
    let token = format!("env:\n  {BEARER}: $(System.AccessToken)");
    if !with_settings {
        return token;
    }
    let organisation = env.shown("SYSTEM_COLLECTIONID", "ORGANIZATION-ID");
    let project = env.shown("SYSTEM_TEAMPROJECTID", "PROJECT-ID");
    let definition = env.shown("SYSTEM_DEFINITIONID", "DEFINITION-ID");
    format!(
        "{token}\n  DDGATE_WORKLOAD_ISSUER: \"https://vstoken.dev.azure.com/{organisation}\"\n  \
         DDGATE_WORKLOAD_AUDIENCE: \"{AUDIENCE}\"\n  \
         DDGATE_WORKLOAD_PIN: \"prj_id={project} def_id={definition}\""
    )
}
