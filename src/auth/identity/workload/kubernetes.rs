//! Kubernetes: a token in a projected volume, which the kubelet replaces before it expires.

use super::other;
use super::system::{Said, System, any_audience, text};
use crate::record::{WorkloadKind, WorkloadSystem};

/// The claim that every token of a service account has.
pub(super) const CLAIM: &str = "kubernetes.io";

/// Never found by itself: pods run anything, CI jobs as well. The token is always named.
pub(super) const SYSTEM: System = System {
    word: WorkloadSystem::Kubernetes,
    name: "Kubernetes",
    kind: WorkloadKind::Service,
    is_here: |_| false,
    title: |claims| {
        let namespace = text(claims, "/kubernetes.io/namespace")?;
        let account = text(claims, "/kubernetes.io/serviceaccount/name")?;
        Some(format!("{namespace}/{account}"))
    },
    fixed_audience: any_audience,
    facts: &[("job", Said::Claim("/kubernetes.io/pod/name"))],
    ..other::SYSTEM
};
