//! Anything else: a token in a file or a variable that somebody named.

use super::env::{Env, TOKEN_FILE};
use super::system::{System, any_audience, untitled};
use crate::record::{WorkloadKind, WorkloadSystem};

pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Other,
    name: "this environment",
    kind: WorkloadKind::Ci,
    is_here: |_| false,
    source: |_, _| Err("none of DDGATE_ID_TOKEN_FILE, DDGATE_ID_TOKEN_ENV, DDGATE_ID_TOKEN is set"),
    fixed_audience: any_audience,
    title: untitled,
    facts: &[],
    file: "the environment",
    lines,
};

fn lines(_: &Env, audience: &str, with_settings: bool) -> String {
    let token = format!("{TOKEN_FILE}=/path/to/token");
    if !with_settings {
        return token;
    }
    format!(
        "{token}\nDDGATE_WORKLOAD_ISSUER=\"https://…\"\nDDGATE_WORKLOAD_AUDIENCE=\"{audience}\"\n\
         DDGATE_WORKLOAD_PIN=\"CLAIM=VALUE\""
    )
}
