//! Calls that were shown before all their tools had results. A server of the older transport answers
//! a message at once, and brings the result in another stream. Held in bounded number, for whoever
//! follows a session.

use std::collections::BTreeMap;

use crate::limits::REPLAY_WINDOW_CALLS;
use crate::record::{Call, CallNumber, McpResult};

/// The calls, and those of them that are to be shown once more.
#[derive(Debug, Default)]
pub(super) struct Late {
    waiting: BTreeMap<CallNumber, Call>,
    come: Vec<Call>,
}

impl Late {
    /// A call is shown: results may be missing.
    pub(super) fn shown(&mut self, call: &Call) {
        if !call.is_stdio && lacks_results(call) {
            self.waiting.insert(call.number, call.clone());
            if self.waiting.len() > REPLAY_WINDOW_CALLS {
                self.waiting.pop_first();
            }
        }
    }

    /// A result comes for a call that was shown.
    pub(super) fn result(&mut self, result: McpResult, leaf: u64) {
        let number = result.call;
        let Some(call) = self.waiting.get_mut(&number) else {
            return;
        };
        if !call.end_tool(result, leaf) {
            return;
        }
        self.come.retain(|earlier| earlier.number != number);
        self.come.push(call.clone());
        if !lacks_results(call) {
            self.waiting.remove(&number);
        }
    }

    /// What is to be shown once more, in the order of the results.
    pub(super) fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.come)
    }
}

fn lacks_results(call: &Call) -> bool {
    call.tools.iter().any(|tool| tool.outcome.is_none())
}
