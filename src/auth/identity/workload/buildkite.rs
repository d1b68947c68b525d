//! Buildkite: a token for any audience from the agent's command. All customers share one issuer.

use super::env::Env;
use super::source::Source;
use super::system::{Said, System, any_audience, settings_block, text};
use crate::record::{WorkloadKind, WorkloadSystem};

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Buildkite,
    name: "Buildkite",
    kind: WorkloadKind::Ci,
    is_here: |env| env.is_true("BUILDKITE"),
    source: |_, settings| {
        // The claim is left out unless it is asked for; a slug can be taken over, the id cannot.
        Ok(Source::command(&[
            "buildkite-agent",
            "oidc",
            "request-token",
            "--audience",
            &settings.audience,
            "--claim",
            "organization_id",
        ]))
    },
    fixed_audience: any_audience,
    title: |claims| {
        let organisation = text(claims, "organization_slug")?;
        Some(format!("{organisation}/{}", text(claims, "pipeline_slug")?))
    },
    facts: &[
        ("commit", Said::Claim("build_commit")),
        ("ref", Said::Claim("build_branch")),
        ("workflow", Said::Claim("pipeline_slug")),
        ("run", Said::Claim("build_number")),
        ("job", Said::Claim("job_id")),
        ("actor", Said::Variable("BUILDKITE_BUILD_CREATOR")),
    ],
    file: "the step in pipeline.yml",
    lines,
};

fn lines(env: &Env, audience: &str, _: bool) -> String {
    let organisation = match env.has("BUILDKITE_ORGANIZATION_ID") {
        true => format!(
            "organization_id={}",
            env.shown("BUILDKITE_ORGANIZATION_ID", "ID")
        ),
        false => format!(
            "organization_slug={}",
            env.shown("BUILDKITE_ORGANIZATION_SLUG", "ORGANIZATION")
        ),
    };
    let pipeline = env.shown("BUILDKITE_PIPELINE_SLUG", "PIPELINE");
    let pin = format!("{organisation} pipeline_slug={pipeline}");
    settings_block("env", "https://agent.buildkite.com", audience, &pin)
}
