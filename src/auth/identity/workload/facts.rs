//! What a verified token, and the job around it, say about a workload.

use chrono::Utc;
use serde_json::{Map, Value};

use super::super::claims::{clean, look_up};
use super::env::Env;
use super::system::{Said, System};
use super::verify::Verified;
use crate::limits::LABEL_CHARS_MAX;
use crate::record::{Identity, Workload, WorkloadKind, WorkloadSystem};

/// Turns what is verified into the identity of a workload: it has a label, and no address of a
/// person.
pub(super) fn described(
    verified: Verified,
    system: &System,
    env: &Env,
    is_renewable: bool,
) -> Identity {
    let Verified { identity, claims } = verified;
    let is_service = system.word == WorkloadSystem::Other && !env.has("CI");
    let mut workload = Workload {
        kind: match is_service {
            true => WorkloadKind::Service,
            false => system.kind,
        },
        system: system.word,
        repository: None,
        commit: None,
        reference: None,
        workflow: None,
        run: None,
        job: None,
        environment: None,
        actor: None,
        unverified: Vec::new(),
        verified_at: Utc::now(),
        renewable: is_renewable,
    };
    for (fact, said) in system.facts {
        let (value, is_vouched_for) = match said {
            Said::Claim(claim) => (claimed(&claims, claim), true),
            Said::Account(claim) => (claimed(&claims, claim), false),
            Said::Variable(name) => (env.value(name).map(str::to_owned), false),
        };
        let Some(place) = place(&mut workload, fact).filter(|place| place.is_none()) else {
            continue;
        };
        let value = value.map(|value| clean(&value, LABEL_CHARS_MAX));
        *place = value.filter(|value| !value.is_empty());
        if place.is_some() && !is_vouched_for {
            workload.unverified.push((*fact).to_owned());
        }
    }
    workload.unverified.sort_unstable();
    let title = (system.title)(&claims);
    let label = workload.label(title.as_deref().unwrap_or(&identity.subject));
    Identity {
        name: Some(clean(&label, LABEL_CHARS_MAX)),
        email: None,
        email_verified: None,
        workload: Some(workload),
        ..identity
    }
}

fn claimed(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    match look_up(claims, claim)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn place<'w>(workload: &'w mut Workload, fact: &str) -> Option<&'w mut Option<String>> {
    Some(match fact {
        "repository" => &mut workload.repository,
        "commit" => &mut workload.commit,
        "ref" => &mut workload.reference,
        "workflow" => &mut workload.workflow,
        "run" => &mut workload.run,
        "job" => &mut workload.job,
        "environment" => &mut workload.environment,
        "actor" => &mut workload.actor,
        _ => return None,
    })
}
