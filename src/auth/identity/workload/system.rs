//! What is known of a system that gives workloads their tokens, and which one this is.

use serde_json::{Map, Value};

use super::env::Env;
use super::source::Source;
use super::{
    WorkloadSettings, azure_devops, bitbucket, buildkite, circleci, github, gitlab, google,
    kubernetes, other,
};
use crate::record::{WorkloadKind, WorkloadSystem};

/// A system.
#[derive(Debug)]
pub(super) struct System {
    pub(super) word: WorkloadSystem,
    /// As people call it, with what one of its workloads is.
    pub(super) name: &'static str,
    pub(super) kind: WorkloadKind,
    /// Whether this process is one of its jobs, by the system's own variables.
    pub(super) is_here: fn(&Env) -> bool,
    /// Where the token is; else what is missing.
    pub(super) source: fn(&Env, &WorkloadSettings) -> Result<Source, &'static str>,
    /// Why this issuer's tokens for this audience are not for ddgate alone, where that is so.
    pub(super) fixed_audience: fn(&str, &str) -> Option<&'static str>,
    /// What a workload is called that has no repository.
    pub(super) title: fn(&Map<String, Value>) -> Option<String>,
    /// Where each fact is found; of two places the first that says something.
    pub(super) facts: &'static [(&'static str, Said)],
    /// The file that decides about its jobs.
    pub(super) file: &'static str,
    /// What to write into it for this audience, if asked together with ddgate's own settings.
    pub(super) lines: fn(&Env, &str, bool) -> String,
}

/// Where a fact is said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said {
    /// In a claim: its issuer vouches for it. A name, or a JSON pointer.
    Claim(&'static str),
    /// In a claim, about an account of which the issuer only knows the name.
    Account(&'static str),
    /// In the job's environment, which the job can change.
    Variable(&'static str),
}

/// All of them; those that show themselves by their variables, in the order they are asked.
const SYSTEMS: [&System; 9] = [
    &github::SYSTEM,
    &gitlab::SYSTEM,
    &circleci::SYSTEM,
    &buildkite::SYSTEM,
    &azure_devops::SYSTEM,
    &bitbucket::SYSTEM,
    &kubernetes::SYSTEM,
    &google::SYSTEM,
    &other::SYSTEM,
];

/// The CI system whose job this process is.
pub(super) fn of_job(env: &Env) -> Option<&'static System> {
    SYSTEMS.into_iter().find(|system| (system.is_here)(env))
}

/// The system that explains a verified token: as configured, or as found.
pub(super) fn of_token(
    found: &'static System,
    settings: &WorkloadSettings,
    claims: &Map<String, Value>,
) -> &'static System {
    if found.word != WorkloadSystem::Other {
        return found;
    }
    let configured = SYSTEMS
        .into_iter()
        .find(|system| settings.system == Some(system.word));
    match configured {
        Some(system) => system,
        None if claims.contains_key(kubernetes::CLAIM) => &kubernetes::SYSTEM,
        None => found,
    }
}

/// For systems that make a token for any audience.
pub(super) fn any_audience(_: &str, _: &str) -> Option<&'static str> {
    None
}

/// For systems whose repository says enough.
pub(super) fn untitled(_: &Map<String, Value>) -> Option<String> {
    None
}

/// A claim that is a text.
pub(super) fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    super::super::claims::look_up(claims, name)?.as_str()
}

/// ddgate's own settings as a block of YAML.
pub(super) fn settings_block(key: &str, issuer: &str, audience: &str, pin: &str) -> String {
    format!(
        "{key}:\n  DDGATE_WORKLOAD_ISSUER: \"{issuer}\"\n  DDGATE_WORKLOAD_AUDIENCE: \
         \"{audience}\"\n  DDGATE_WORKLOAD_PIN: \"{pin}\""
    )
}
