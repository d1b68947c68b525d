//! The Landlock domain: which TCP ports a child may connect to, and whose memory and signals it
//! may touch. The only importer of the crate.
//!
//! The kernel tells ports apart, not addresses: the gate's port stays open on every host. Being in
//! a domain at all keeps the child from looking into processes outside it (Landlock's rule for
//! ptrace, which `/proc/<pid>/{mem,environ,fd}` obey, root or not).

use ::landlock::{
    AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::NotHeld;

/// Rules the kernel has taken.
#[derive(Debug)]
pub(super) struct Domain {
    rules: RulesetCreated,
    scopes_signals: bool,
}

impl Domain {
    pub(super) fn build(gate: u16, ports: &[u16]) -> Result<Self, NotHeld> {
        let ports = || ports.iter().copied().chain([gate]);
        // Signals can be kept in since Linux 6.12, TCP since 6.7.
        let (rules, scopes_signals) = match rules(true, ports()) {
            Ok(rules) => (rules, true),
            Err(_) => (rules(false, ports()).map_err(|e| not_held(&e))?, false),
        };
        Ok(Self {
            rules,
            scopes_signals,
        })
    }

    pub(super) const fn scopes_signals(&self) -> bool {
        self.scopes_signals
    }

    /// Enters the domain with the calling thread.
    pub(super) fn enter(&self) -> Result<(), NotHeld> {
        let rules = self
            .rules
            .try_clone()
            .map_err(|error| NotHeld(error.to_string()))?;
        match rules.restrict_self().map_err(|e| not_held(&e))?.ruleset {
            RulesetStatus::FullyEnforced => Ok(()),
            RulesetStatus::PartiallyEnforced | RulesetStatus::NotEnforced => {
                Err(NotHeld("the kernel enforces a part of it only".to_owned()))
            }
        }
    }
}

fn rules(signals: bool, ports: impl Iterator<Item = u16>) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::ConnectTcp)?;
    if signals {
        rules = rules.scope(Scope::Signal)?;
    }
    rules.create()?.add_rules(
        ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp))),
    )
}

/// The crate speaks of access rights; people know kernels.
fn not_held(error: &RulesetError) -> NotHeld {
    NotHeld(match error {
        RulesetError::HandleAccesses(_) | RulesetError::CreateRuleset(_) => {
            "this kernel has no Landlock rules for TCP (Linux 6.7 and later, where enabled)"
                .to_owned()
        }
        other => other.to_string(),
    })
}
