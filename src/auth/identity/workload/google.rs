//! Google Cloud: a token for any audience from the metadata server of the machine.

use super::other;
use super::source::Source;
use super::system::{Said, System, any_audience, text};
use crate::record::{WorkloadKind, WorkloadSystem};

/// Never found by itself: a runner on a cloud's machine is the runner, not the machine.
pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Google,
    name: "Google Cloud",
    kind: WorkloadKind::Service,
    is_here: |_| false,
    source: |env, _| {
        Ok(Source::Metadata {
            host: env.value("GCE_METADATA_HOST").map(str::to_owned),
        })
    },
    fixed_audience: any_audience,
    title: |claims| text(claims, "email").map(str::to_owned),
    facts: &[
        (
            "environment",
            Said::Claim("/google/compute_engine/project_id"),
        ),
        ("job", Said::Claim("/google/compute_engine/instance_name")),
    ],
    ..other::SYSTEM
};
