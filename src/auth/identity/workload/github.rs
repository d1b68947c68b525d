//! GitHub Actions: a token for any audience, asked for over HTTPS with a token of the job's own.

use super::env::Env;
use super::source::Source;
use super::system::{Said, System, any_audience, settings_block, untitled};
use crate::record::{WorkloadKind, WorkloadSystem};

const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Github,
    name: "GitHub Actions",
    kind: WorkloadKind::Ci,
    is_here: |env| env.is_true("GITHUB_ACTIONS"),
    source: |env, _| match (env.value(URL), env.secret(BEARER)) {
        (Some(url), Some(bearer)) => Ok(Source::Get {
            url: url.to_owned(),
            bearer: bearer.clone(),
        }),
        _ => Err(
            "the job may not ask for one (ACTIONS_ID_TOKEN_REQUEST_URL is not set; jobs for \
                  pull requests from forks never may)",
        ),
    },
    fixed_audience: any_audience,
    title: untitled,
    facts: &[
        ("repository", Said::Claim("repository")),
        ("commit", Said::Claim("sha")),
        ("ref", Said::Claim("ref")),
        ("workflow", Said::Claim("workflow_ref")),
        ("run", Said::Claim("run_id")),
        ("job", Said::Variable("GITHUB_JOB")),
        ("environment", Said::Claim("environment")),
        ("actor", Said::Account("actor")),
    ],
    file: "the workflow in .github/workflows",
    lines,
};

fn lines(env: &Env, audience: &str, with_settings: bool) -> String {
    let permission = "permissions:\n  id-token: write\n  contents: read";
    if !with_settings {
        return permission.to_owned();
    }
    let server = env.shown("GITHUB_SERVER_URL", "https://github.com");
    let issuer = match server.as_str() {
        "https://github.com" => "https://token.actions.githubusercontent.com".to_owned(),
        // GitHub Enterprise Server.
        other => format!("{other}/_services/token"),
    };
    let id = env.shown("GITHUB_REPOSITORY_ID", "ID");
    let pin = format!("repository_id={id}");
    format!(
        "{permission}\n{}",
        settings_block("env", &issuer, audience, &pin)
    )
}
