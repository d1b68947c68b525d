//! Folds leaves into calls. Reads what is there: only a missing opening ends it, every other
//! contradiction is noted and the fold goes on. Verifying proofs is not its business.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::limits::{DISTRUST_CALLERS_MAX, DISTRUST_HOSTS_MAX, ODDITIES_MAX, REPLAY_WINDOW_CALLS};
use crate::record::Distrusted;
use crate::record::event::Decision;
use crate::record::event::{
    CallRequest, CallResponse, CallStream, SessionClose, SessionOpen, Side,
};
use crate::record::tool::Via;
use crate::record::{Call, CallNumber, Event, Leaf, Level, McpCall, McpResult, McpUnread, Program};

use super::caller::Callers;
use super::late::Late;
use super::view::{
    Counts, Distrusting, Given, HeadContent, IdentityChange, Oddity, Seen, SeenTunnel, SessionHead,
    SessionView, State,
};

/// The record cannot be read as a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// There is no leaf at all.
    #[error("the record is empty: the session was never opened")]
    Empty,
    /// The first leaf is something else.
    #[error("the record does not begin with the opening of a session (first leaf: {first})")]
    NoOpening {
        /// Index of the first leaf.
        first: u64,
    },
}

/// A session being folded. Feed it leaves in order, then [`Fold::finish`].
#[derive(Debug, Default)]
pub struct Fold {
    open: Option<(SessionOpen, DateTime<Utc>)>,
    /// Index of the first leaf, when that is not an opening.
    headless: Option<u64>,
    close: Option<SessionClose>,
    calls: BTreeMap<CallNumber, Call>,
    callers: Callers,
    tunnels: Vec<SeenTunnel>,
    distrusted: Vec<Distrusting>,
    identity: Vec<(DateTime<Utc>, IdentityChange)>,
    next: u64,
    leaves: u64,
    last: DateTime<Utc>,
    length_ns: u64,
    oddities: Vec<Oddity>,
    more_oddities: u64,
    taken: Taken,
    late: Late,
}

/// The calls that were shown already and are held no more.
#[derive(Debug, Default)]
struct Taken {
    counts: Counts,
    redactions: BTreeMap<String, u64>,
    levels: BTreeMap<Level, u64>,
    calls: u64,
    /// The highest number among them.
    last: Option<CallNumber>,
    /// Those whose end was looked up before it came.
    ended_ahead: BTreeSet<CallNumber>,
    /// The call at the front, when it was looked up and has no end: nothing waits for it any more.
    without_end: Option<CallNumber>,
}

impl Fold {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Leaf) {
        if leaf.i != self.next {
            self.odd(Oddity::OutOfOrder {
                expected: self.next,
                found: leaf.i,
            });
        }
        self.next = leaf.i.saturating_add(1);
        if self.close.is_some() {
            self.odd(Oddity::AfterClose { leaf: leaf.i });
        }
        if self.leaves == 0 && !matches!(leaf.event, Event::SessionOpen(_)) {
            self.headless = Some(leaf.i);
        }
        self.leaves += 1;
        self.last = leaf.ts;
        self.length_ns = self.length_ns.max(leaf.mono);
        let index = leaf.i;
        match leaf.event {
            Event::SessionOpen(open) => self.opened(open, index, leaf.ts),
            Event::CallRequest(request) | Event::CallDenied(request) => {
                self.began(request, index, leaf.ts, leaf.mono);
            }
            Event::CallStream(stream) => self.streamed(stream, index),
            Event::CallResponse(response) => self.ended(response, index),
            Event::Process(process) => self.callers.add(&process),
            Event::McpCall(call) => self.tool_called(call, index, leaf.ts, leaf.mono),
            Event::McpResult(result) => self.tool_answered(result, index),
            Event::McpUnread(unread) => self.unread(unread, index),
            Event::Tunnel(tunnel) => self.tunnels.push(SeenTunnel {
                ended: leaf.ts,
                caller: self.callers.find(tunnel.by),
                tunnel,
            }),
            Event::Distrusted(distrusted) => self.distrusted(distrusted),
            Event::IdentityRefresh(refresh) => {
                self.identity
                    .push((leaf.ts, IdentityChange::Refresh(refresh)));
            }
            Event::IdentityLapse(lapse) => {
                self.identity.push((leaf.ts, IdentityChange::Lapse(lapse)));
            }
            Event::SessionClose(close) => {
                self.close.get_or_insert(close);
            }
        }
    }

    /// Adds what a process runs, once its leaf was taken.
    pub fn runs(&mut self, process: u64, program: Program) {
        self.callers.runs(process, program);
    }

    /// The head of the session, once its first leaf was taken; `state` as far as it is known.
    #[must_use]
    pub fn head(&self, content: HeadContent, state: State) -> Option<SessionHead> {
        let (open, started) = self.open.as_ref()?;
        Some(head_of(open.clone(), *started, content, state))
    }

    /// Gives away the first calls, in the order of their numbers, as far as they have ended. With
    /// it a session of any length is folded in bounded memory.
    pub fn take_ended(&mut self) -> Vec<Seen> {
        let mut ended = Vec::new();
        while let Some(first) = self.calls.first_entry() {
            let follows = self
                .taken
                .last
                .map_or(first.key().0 <= 1, |last| first.key().0 <= last.0 + 1);
            let is_over = first.get().response_leaf.is_some()
                || first.get().decision == Decision::Deny
                || self.taken.without_end == Some(*first.key());
            // A number that is not there by now was never recorded.
            if !is_over || !(follows || self.calls.len() > REPLAY_WINDOW_CALLS / 2) {
                break;
            }
            ended.extend(self.take_first());
        }
        ended
    }

    /// Gives away whatever has ended, in the order of the ends.
    pub fn take_any_ended(&mut self) -> Vec<Seen> {
        let over = |call: &Call| call.response_leaf.is_some() || call.decision == Decision::Deny;
        let numbers: Vec<CallNumber> = self
            .calls
            .values()
            .filter(|call| over(call))
            .map(|call| call.number)
            .collect();
        let mut ended: Vec<Call> = numbers
            .iter()
            .filter_map(|number| self.calls.remove(number))
            .collect();
        ended.sort_by_key(|call| call.response_leaf.unwrap_or(call.request_leaf));
        let give = |call: Call| {
            self.late.shown(&call);
            self.given(call)
        };
        ended.into_iter().map(give).collect()
    }

    /// Of the calls that [`Self::take_any_ended`] gave away, those for whose tools a result has come
    /// since. They are counted already.
    pub fn take_late(&mut self) -> Vec<Seen> {
        let late = self.late.take();
        late.into_iter().map(|call| self.seen(call)).collect()
    }

    /// Gives away the first call, ended or not.
    pub fn take_first(&mut self) -> Option<Seen> {
        let (_, call) = self.calls.pop_first()?;
        Some(self.given(call))
    }

    /// The first call, when so many wait behind it that its end has to be looked up.
    #[must_use]
    pub fn blocked(&self) -> Option<CallNumber> {
        let (number, call) = self.calls.first_key_value()?;
        (self.calls.len() > REPLAY_WINDOW_CALLS && call.response_leaf.is_none()).then_some(*number)
    }

    /// Ends a call ahead of time, with what was looked up; none when it has no end.
    pub fn end_ahead(&mut self, number: CallNumber, end: Option<Leaf>) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        let is_ended = match end {
            Some(Leaf { i, event, .. }) => match event {
                Event::CallResponse(response) => {
                    call.end(response, i);
                    true
                }
                Event::McpResult(result) => call.is_stdio && call.end_tool(result, i),
                _ => false,
            },
            None => false,
        };
        if is_ended {
            self.taken.ended_ahead.insert(number);
        } else {
            self.taken.without_end = Some(number);
        }
    }

    fn given(&mut self, call: Call) -> Seen {
        self.taken.counts.add(&call, false);
        self.taken.calls += 1;
        self.taken.last = self.taken.last.max(Some(call.number));
        if let Some(level) = call.level {
            *self.taken.levels.entry(level).or_default() += 1;
        }
        for redaction in &call.redactions {
            *self
                .taken
                .redactions
                .entry(redaction.rule.clone())
                .or_default() += redaction.count;
        }
        self.seen(call)
    }

    fn seen(&self, call: Call) -> Seen {
        Seen {
            caller: self.callers.find(call.by),
            call,
            target: None,
        }
    }

    /// Makes the view. `live` says whether a gate still holds the session.
    ///
    /// # Errors
    /// The record does not begin with an opening.
    pub fn finish(mut self, content: HeadContent, live: bool) -> Result<SessionView, FoldError> {
        if let Some(first) = self.headless {
            return Err(FoldError::NoOpening { first });
        }
        let (open, started) = self.open.take().ok_or(FoldError::Empty)?;
        let held = self.taken.calls + u64::try_from(self.calls.len()).unwrap_or(u64::MAX);
        let state = match self.close.take() {
            Some(close) => {
                if close.calls != held {
                    self.odd(Oddity::Miscounted {
                        closed: close.calls,
                        held,
                    });
                }
                State::Closed {
                    reason: close.reason,
                    exit: close.exit,
                }
            }
            None if live => State::Running,
            None => State::EndedWithoutClosing,
        };
        let calls = std::mem::take(&mut self.calls);
        let calls = calls.into_values().map(|call| self.seen(call)).collect();
        Ok(SessionView {
            head: head_of(open, started, content, state),
            calls,
            given: Given {
                counts: self.taken.counts,
                redactions: self.taken.redactions,
                levels: self.taken.levels,
            },
            tunnels: self.tunnels,
            distrusted: self.distrusted,
            identity: self.identity,
            last: self.last,
            length_ns: self.length_ns,
            leaves: self.leaves,
            oddities: self.oddities,
            more_oddities: self.more_oddities,
        })
    }

    fn opened(&mut self, open: SessionOpen, leaf: u64, at: DateTime<Utc>) {
        if self.open.is_some() {
            return self.odd(Oddity::OpenedAgain { leaf });
        }
        self.open = Some((open, at));
    }

    fn began(&mut self, request: CallRequest, leaf: u64, at: DateTime<Utc>, mono_ns: u64) {
        let call = request.call;
        if self.calls.contains_key(&call) {
            // The first statement stands: the second may have been added to hide it.
            return self.odd(Oddity::CallAgain { leaf, call });
        }
        self.calls
            .insert(call, Call::begin(request, leaf, at, mono_ns));
    }

    fn streamed(&mut self, stream: CallStream, leaf: u64) {
        let CallStream { call, side, .. } = stream;
        let Some(begun) = self.calls.get_mut(&call) else {
            return self.odd(Oddity::NoSuchCall { leaf, call });
        };
        if side == Side::Request {
            begun.request_stream_leaf = Some(leaf);
        }
        begun.redactions.extend(stream.redactions);
    }

    fn ended(&mut self, response: CallResponse, leaf: u64) {
        let call = response.call;
        match self.calls.get_mut(&call) {
            _ if self.taken.ended_ahead.remove(&call) => {}
            None if self.taken.last >= Some(call) => self.odd(Oddity::EndedAgain { leaf, call }),
            None => self.odd(Oddity::NoSuchCall { leaf, call }),
            Some(begun) if begun.response_leaf.is_some() => {
                self.odd(Oddity::EndedAgain { leaf, call });
            }
            Some(begun) => begun.end(response, leaf),
        }
    }

    fn tool_called(&mut self, call: McpCall, leaf: u64, at: DateTime<Utc>, mono_ns: u64) {
        let number = call.call;
        match self.calls.get_mut(&number) {
            None if call.via == Via::Stdio => {
                let call = Call::begin_stdio(call, leaf, at, mono_ns);
                self.calls.insert(number, call);
            }
            None => self.odd(Oddity::NoSuchCall { leaf, call: number }),
            Some(begun) => {
                if begun.is_stdio || !begun.begin_tool(call, leaf) {
                    self.odd(Oddity::CallAgain { leaf, call: number });
                }
            }
        }
    }

    fn tool_answered(&mut self, result: McpResult, leaf: u64) {
        let call = result.call;
        match self.calls.get_mut(&call) {
            _ if result.via == Via::Stdio && self.taken.ended_ahead.remove(&call) => {}
            // Its exchange ended long before, and was shown: a stream brought the result later.
            None if self.taken.last >= Some(call) => {
                for redaction in &result.redactions {
                    let rule = redaction.rule.clone();
                    *self.taken.redactions.entry(rule).or_default() += redaction.count;
                }
                self.late.result(result, leaf);
            }
            None => self.odd(Oddity::NoSuchCall { leaf, call }),
            Some(begun) => {
                if !begun.end_tool(result, leaf) {
                    self.odd(Oddity::EndedAgain { leaf, call });
                }
            }
        }
    }

    fn unread(&mut self, unread: McpUnread, leaf: u64) {
        let call = unread.call;
        match self.calls.get_mut(&call) {
            Some(begun) => begun.unread.push(unread.why),
            None => self.odd(Oddity::NoSuchCall { leaf, call }),
        }
    }

    fn distrusted(&mut self, leaf: Distrusted) {
        let at = self.distrusted.iter().position(|it| it.host == leaf.host);
        // No gate writes more; a forged record could.
        if at.is_none() && self.distrusted.len() >= DISTRUST_HOSTS_MAX {
            return;
        }
        let at = at.unwrap_or_else(|| {
            self.distrusted.push(Distrusting {
                host: leaf.host,
                refused: 0,
                left: 0,
                callers: Vec::new(),
            });
            self.distrusted.len() - 1
        });
        let host = &mut self.distrusted[at];
        let count = if leaf.left {
            &mut host.left
        } else {
            &mut host.refused
        };
        *count = count.saturating_add(leaf.connections);
        let caller = self.callers.find(leaf.by);
        if let Some(caller) = caller
            && !host.callers.contains(&caller)
            && host.callers.len() < DISTRUST_CALLERS_MAX
        {
            host.callers.push(caller);
        }
    }

    fn odd(&mut self, oddity: Oddity) {
        if self.oddities.len() < ODDITIES_MAX {
            self.oddities.push(oddity);
        } else {
            self.more_oddities += 1;
        }
    }
}

fn head_of(
    open: SessionOpen,
    started: DateTime<Utc>,
    content: HeadContent,
    state: State,
) -> SessionHead {
    SessionHead {
        id: open.session,
        started,
        who: content.who,
        command: content.command,
        host: content.host,
        site: open.dd.site,
        credential: open.dd.credential,
        credential_name: open.dd.credential_name,
        tool_version: open.tool.version,
        durability: open.durability,
        policy: open.policy,
        enforce: open.enforce,
        egress: open.egress,
        state,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, Script};
    use super::*;
    use crate::record::Outcome;
    use crate::record::event::Decision;

    fn fold(leaves: Vec<Leaf>, live: bool) -> SessionView {
        let mut fold = Fold::new();
        leaves.into_iter().for_each(|leaf| fold.push(leaf));
        fold.finish(HeadContent::default(), live).unwrap()
    }

    #[test]
    fn calls_are_folded_whatever_the_order_of_their_ends() {
        let mut script = Script::open();
        script.request(1, "ListMonitors");
        script.request(2, "CreateMonitor");
        script.answer(2, 200);
        script.answer(1, 500);
        script.close(2, Some(0));
        let view = fold(script.leaves, false);
        let statuses: Vec<_> = view
            .calls
            .iter()
            .map(|seen| (seen.call.number.0, seen.call.status))
            .collect();
        assert_eq!(statuses, [(1, Some(500)), (2, Some(200))]);
        assert!(view.oddities.is_empty());
        assert_eq!(view.counts().error_answers, 1);
        assert_eq!(
            view.head.state,
            State::Closed {
                reason: "exit".into(),
                exit: Some(0)
            }
        );
        assert_eq!(
            view.call(CallNumber(2)).unwrap().operation(),
            "CreateMonitor"
        );
        assert!(view.call(CallNumber(3)).is_none());
    }

    #[test]
    fn without_an_end_a_call_is_in_doubt_and_the_session_not_closed() {
        let mut script = Script::open();
        script.request(1, "CreateMonitor");
        let view = fold(script.leaves.clone(), false);
        assert_eq!(view.calls[0].call.outcome, Outcome::InDoubt);
        assert_eq!(view.head.state, State::EndedWithoutClosing);
        assert_eq!(view.counts().in_doubt, 1);
        let view = fold(script.leaves, true);
        assert_eq!(view.head.state, State::Running);
        assert_eq!(view.ended(), None);
    }

    fn tool(call: u64, nth: u32, via: Via) -> Event {
        Event::McpCall(McpCall {
            call: CallNumber(call),
            nth,
            via,
            server: "mcp.datadoghq.com".into(),
            tool: format!("tool-{nth}"),
            id: "1".into(),
            access: crate::record::Effect::Unknown,
            level: None,
            args: None,
            unkept: None,
            redactions: Vec::new(),
            decision: None,
            rule: None,
        })
    }

    fn tool_result(call: u64, nth: u32, via: Via, came_in: Option<u64>) -> Event {
        Event::McpResult(McpResult {
            call: CallNumber(call),
            nth,
            via,
            came_in: came_in.map(CallNumber),
            outcome: crate::record::ToolOutcome::Ok,
            result: crate::record::Commitment {
                c: String::new(),
                n: 2,
            },
            dur_us: 7,
            level: None,
            unkept: None,
            redactions: Vec::new(),
        })
    }

    #[test]
    fn tools_belong_to_their_exchange_wherever_their_results_come() {
        let mut script = Script::open();
        script.request(1, "tools/call");
        script.push(tool(1, 0, Via::Http));
        script.push(tool(1, 1, Via::Http));
        script.answer(1, 200);
        script.request(2, "GET");
        script.push(tool_result(1, 1, Via::Http, Some(2)));
        script.push(tool_result(1, 1, Via::Http, Some(2)));
        script.push(tool_result(9, 0, Via::Http, None));
        script.answer(2, 200);
        script.close(2, Some(0));
        let view = fold(script.leaves, false);
        let call = &view.calls[0];
        assert_eq!(call.operation(), "tools/call tool-0, tool-1");
        assert_eq!(call.label(), call.operation());
        let results: Vec<_> = call.call.tools.iter().map(|it| it.came_in).collect();
        assert_eq!(results, [None, Some(CallNumber(2))]);
        let (call, leaf) = (CallNumber(1), 7);
        let stray = Oddity::NoSuchCall {
            leaf: 8,
            call: CallNumber(9),
        };
        assert_eq!(view.oddities, [Oddity::EndedAgain { leaf, call }, stray]);
        assert_eq!(view.counts().calls, 2);
    }

    #[test]
    fn a_tool_of_a_wrapped_server_is_a_call_without_an_exchange() {
        let mut script = Script::open();
        script.push(tool(1, 0, Via::Stdio));
        script.push(tool(2, 0, Via::Stdio));
        script.push(tool_result(1, 0, Via::Stdio, None));
        // One that has no exchange, and should have one.
        script.push(tool(3, 0, Via::Http));
        script.close(2, Some(0));
        let view = fold(script.leaves.clone(), false);
        let outcomes: Vec<_> = view.calls.iter().map(|it| it.call.outcome).collect();
        assert_eq!(outcomes, [Outcome::Answered, Outcome::InDoubt]);
        let counts = view.counts();
        assert_eq!((counts.unclassified, counts.in_doubt), (2, 1));
        assert_eq!(view.oddities.len(), 1, "{:?}", view.oddities);
        // The same given away while it is read.
        let mut running = Fold::new();
        script
            .leaves
            .into_iter()
            .for_each(|leaf| running.push(leaf));
        assert_eq!(running.take_ended().len(), 1);
        let end = tool_result(2, 0, Via::Stdio, None);
        let leaf = Leaf {
            v: 1,
            i: 99,
            ts: DateTime::UNIX_EPOCH,
            mono: 0,
            event: end,
        };
        running.end_ahead(CallNumber(2), Some(leaf));
        assert_eq!(running.take_ended()[0].call.outcome, Outcome::Answered);
    }

    #[test]
    fn a_denied_call_is_refused_and_counts_as_nothing_else() {
        let mut script = Script::open();
        script.denied(1, "DeleteMonitor", "read-only");
        let view = fold(script.leaves, false);
        let call = &view.calls[0].call;
        assert_eq!(
            (call.decision, call.outcome),
            (Decision::Deny, Outcome::Refused)
        );
        let counts = view.counts();
        assert_eq!((counts.calls, counts.denied, counts.deletes), (1, 1, 0));
    }

    #[test]
    fn every_contradiction_is_noted() {
        let mut script = Script::open();
        script.request(1, "ListMonitors");
        script.request(1, "DeleteMonitor");
        script.answer(1, 200);
        script.answer(1, 500);
        script.answer(9, 200);
        script.skip();
        script.close(7, None);
        script.request(2, "ListMonitors");
        let again = script.leaves[0].clone();
        script.leaves.push(again);
        let view = fold(script.leaves, false);
        let call = CallNumber;
        assert_eq!(
            view.oddities,
            [
                Oddity::CallAgain {
                    leaf: 2,
                    call: call(1)
                },
                Oddity::EndedAgain {
                    leaf: 4,
                    call: call(1)
                },
                Oddity::NoSuchCall {
                    leaf: 5,
                    call: call(9)
                },
                Oddity::OutOfOrder {
                    expected: 6,
                    found: 7
                },
                Oddity::AfterClose { leaf: 8 },
                Oddity::OutOfOrder {
                    expected: 9,
                    found: 0
                },
                Oddity::AfterClose { leaf: 0 },
                Oddity::OpenedAgain { leaf: 0 },
                Oddity::Miscounted { closed: 7, held: 2 },
            ]
        );
        // The first statement about a call stands.
        assert_eq!(view.calls[0].operation(), "ListMonitors");
        assert_eq!(view.calls[0].call.status, Some(200));
    }

    #[test]
    fn contradictions_are_bounded() {
        let mut script = Script::open();
        for _ in 0..ODDITIES_MAX + 5 {
            script.answer(9, 200);
        }
        let view = fold(script.leaves, false);
        assert_eq!((view.oddities.len(), view.more_oddities), (ODDITIES_MAX, 5));
    }

    #[test]
    fn a_call_without_an_end_holds_up_no_more_than_the_window() {
        let mut script = Script::open();
        for call in 1..=REPLAY_WINDOW_CALLS as u64 + 2 {
            script.request(call, "ListMonitors");
            if call > 1 {
                script.answer(call, 200);
            }
        }
        let mut fold = Fold::new();
        script.leaves.into_iter().for_each(|leaf| fold.push(leaf));
        assert!(fold.take_ended().is_empty());
        assert_eq!(fold.blocked(), Some(CallNumber(1)));
        fold.end_ahead(CallNumber(1), None);
        assert_eq!(fold.take_ended().len(), REPLAY_WINDOW_CALLS + 2);
        assert_eq!(fold.blocked(), None);
    }

    #[test]
    fn a_record_without_opening_is_refused() {
        let finish = |fold: Fold| fold.finish(HeadContent::default(), false).unwrap_err();
        assert_eq!(finish(Fold::new()), FoldError::Empty);
        let mut script = Script::open();
        script.request(1, "ListMonitors");
        let mut fold = Fold::new();
        fold.push(script.leaves[1].clone());
        fold.push(script.leaves[0].clone());
        assert_eq!(finish(fold), FoldError::NoOpening { first: 1 });
    }

    #[test]
    fn an_unknown_route_is_named_by_its_path() {
        let mut script = Script::open();
        script.unknown(1, "POST");
        let mut view = fold(script.leaves, false);
        assert_eq!(view.calls[0].label(), "POST api.datadoghq.eu");
        let wanted: Vec<_> = view.without_route().collect();
        assert_eq!(wanted, [(CallNumber(1), 1)]);
        view.set_target(CallNumber(1), "/api/v9/new?x=1".into());
        view.set_target(CallNumber(5), "/ignored".into());
        assert_eq!(view.calls[0].label(), "POST /api/v9/new");
    }

    #[test]
    fn the_sample_is_consistent() {
        let view = sample::session();
        assert!(view.oddities.is_empty());
        let counts = view.counts();
        assert_eq!(
            counts.reads + counts.writes + counts.deletes + counts.unclassified + counts.denied,
            counts.calls
        );
    }
}
