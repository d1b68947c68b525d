//! GitLab CI/CD: a token for any audience, made before the job starts; there is no second one.

use super::env::{Env, TOKEN};
use super::source::Source;
use super::system::{Said, System, any_audience, settings_block, untitled};
use crate::record::{WorkloadKind, WorkloadSystem};

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Gitlab,
    name: "GitLab CI/CD",
    kind: WorkloadKind::Ci,
    is_here: |env| env.is_true("GITLAB_CI"),
    source: |env, _| {
        Source::variable(env, TOKEN).ok_or("the job asks for none (DDGATE_ID_TOKEN is not set)")
    },
    fixed_audience: any_audience,
    title: untitled,
    facts: &[
        ("repository", Said::Claim("project_path")),
        ("commit", Said::Claim("sha")),
        ("ref", Said::Claim("ref")),
        ("workflow", Said::Claim("ci_config_ref_uri")),
        ("run", Said::Claim("pipeline_id")),
        ("job", Said::Claim("job_id")),
        ("environment", Said::Claim("environment")),
        ("actor", Said::Claim("user_login")),
    ],
    file: "the job in .gitlab-ci.yml",
    lines,
};

fn lines(env: &Env, audience: &str, with_settings: bool) -> String {
    let token = format!("id_tokens:\n  {TOKEN}:\n    aud: {audience}");
    if !with_settings {
        return token;
    }
    let issuer = env.shown("CI_SERVER_URL", "https://gitlab.com");
    let pin = format!("project_id={}", env.shown("CI_PROJECT_ID", "ID"));
    let settings = settings_block("variables", &issuer, audience, &pin);
    format!("{token}\n{settings}")
}
