//! A session shown while it is read: one that still runs, or one too long to hold.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::context::Context;
use super::look::{self, Targets};
use crate::error::CliError;
use crate::exit::Exit;
use crate::journal::catalog::{Catalog, Manifest};
use crate::journal::{Audit, Beside, Depth, Pass, SessionReader, reader};
use crate::limits;
use crate::record::{CallNumber, Event, Leaf};
use crate::replay::{Fold, HeadContent, Pace, Seen, SessionView, State};
use crate::ui::timeline::Running;
use crate::ui::{PrintError, json, playback};

/// Calls that are laid out together.
const PART_CALLS: usize = 512;

/// Whether a session is so long that it is shown while it is read.
pub(super) fn is_long(pass: &Pass) -> bool {
    match pass.manifest() {
        Some(manifest) => manifest.leaves > limits::LONG_SESSION_LEAVES,
        None => {
            // One that still runs is shown as it stands at a moment: `--follow` is for the rest.
            pass.record_bytes() > limits::LONG_SESSION_BYTES
                && pass.is_running().is_ok_and(|it| !it)
        }
    }
}

/// Calls on their way from the record to the screen.
struct Flow {
    fold: Fold,
    content: HeadContent,
    /// Of calls that have not been shown yet.
    targets: BTreeMap<CallNumber, String>,
    /// Of calls that were, and may be shown again.
    shown: BTreeMap<CallNumber, String>,
    wanted: Targets,
}

impl Flow {
    fn new(wanted: Targets) -> Self {
        Self {
            fold: Fold::new(),
            content: HeadContent::default(),
            targets: BTreeMap::new(),
            shown: BTreeMap::new(),
            wanted,
        }
    }

    fn take(&mut self, leaf: Leaf, beside: &Beside<'_>) {
        if let Event::SessionOpen(open) = &leaf.event {
            self.content = look::head_content(open, beside);
        }
        self.targets
            .extend(look::target_beside(&leaf, beside, self.wanted));
        look::push(&mut self.fold, leaf, beside);
    }

    fn named(&mut self, mut calls: Vec<Seen>) -> Vec<Seen> {
        for seen in &mut calls {
            seen.target = self.targets.remove(&seen.call.number);
        }
        calls
    }

    /// Calls that were shown, and to which a result came since, with what was known of them then.
    fn late(&mut self) -> Vec<Seen> {
        let mut late = self.fold.take_late();
        for seen in &mut late {
            seen.target = self.shown.get(&seen.call.number).cloned();
        }
        late
    }

    /// Calls are shown now, and may be once more.
    fn remember(&mut self, calls: &[Seen]) {
        for Seen { call, target, .. } in calls {
            let may_come = call.tools.iter().any(|tool| tool.outcome.is_none());
            if let Some(target) = target.clone().filter(|_| may_come) {
                self.shown.insert(call.number, target);
            }
        }
        while self.shown.len() > limits::REPLAY_WINDOW_CALLS {
            self.shown.pop_first();
        }
    }

    /// The calls that are left at the end, in the order of their numbers.
    fn rest(&mut self) -> Vec<Seen> {
        let rest: Vec<Seen> = std::iter::from_fn(|| self.fold.take_first()).collect();
        self.named(rest)
    }

    fn finish(self, live: bool) -> Result<SessionView, CliError> {
        Ok(self.fold.finish(self.content, live)?)
    }
}

/// Looks up the end of a call that holds up all those behind it.
struct Ahead<'a> {
    context: &'a Context,
    selector: String,
    reader: RefCell<Option<SessionReader>>,
}

impl Ahead<'_> {
    fn unblock(&self, fold: &mut Fold) -> Result<(), CliError> {
        let Some(number) = fold.blocked() else {
            return Ok(());
        };
        let mut kept = self.reader.borrow_mut();
        if kept.is_none() {
            let catalog = Catalog::new(self.context.config.sessions());
            *kept = Some(SessionReader::open(catalog.find(&self.selector)?)?);
        }
        let leaves = match kept.as_ref() {
            Some(reader) => reader.call(number)?,
            None => Vec::new(),
        };
        let ends = |leaf: &Leaf| matches!(leaf.event, Event::CallResponse(_) | Event::McpResult(_));
        let end = leaves.into_iter().find(ends);
        fold.end_ahead(number, end);
        Ok(())
    }
}

/// Shows a long session that is over.
pub(super) fn long(pass: &Pass, pace: Pace, context: &Context) -> Result<Exit, CliError> {
    let printer = &context.printer.missing((&pass.contents()).into());
    let mut flow = Flow::new(Targets::Unnamed);
    let manifest = pass.manifest();
    let counts = manifest.as_ref().map(|it| look::counts(&it.counts));
    let mut screen = None;
    let mut waiting = Vec::new();
    let mut failed = None;
    let mut before_ns = 0;
    let ahead = Ahead {
        context,
        selector: pass.id().to_string(),
        reader: RefCell::new(None),
    };
    let mut show = |screen: &mut Option<Running>, calls: Vec<Seen>| -> Result<bool, CliError> {
        let Some(screen) = screen else {
            return Ok(true);
        };
        if pace == Pace::AtOnce {
            printer.data(&screen.calls(&calls, false))?;
            return Ok(true);
        }
        for seen in calls {
            if !playback::pause(pace, &mut before_ns, &seen, printer)? {
                return Ok(false);
            }
            printer.data(&screen.calls(std::slice::from_ref(&seen), false))?;
        }
        Ok(true)
    };
    let audit = pass.read(Depth::Leaves, |leaf, beside| {
        flow.take(leaf, beside);
        let mut step = || -> Result<bool, CliError> {
            if screen.is_none() {
                let content = flow.content.clone();
                let state = state_of(manifest.as_ref());
                if let Some(head) = flow.fold.head(content, state) {
                    let (running, text) =
                        Running::begin(&head, counts.as_ref(), printer.data_look());
                    printer.data(&text)?;
                    screen = Some(running);
                }
            }
            ahead.unblock(&mut flow.fold)?;
            let ended = flow.fold.take_ended();
            waiting.extend(flow.named(ended));
            if waiting.len() < PART_CALLS && pace == Pace::AtOnce {
                return Ok(true);
            }
            show(&mut screen, std::mem::take(&mut waiting))
        };
        go_on(step(), &mut failed)
    })?;
    if let Some(ended) = failed {
        return ended.map(|()| Exit::Success);
    }
    let rest = flow.rest();
    waiting.extend(rest);
    if !show(&mut screen, waiting)? {
        return Ok(Exit::Success);
    }
    let view = flow.finish(false)?;
    if let Some(screen) = screen {
        printer.data(&screen.end(&view))?;
    }
    Ok(report(&audit, &view, manifest.as_ref(), context))
}

/// Ends a pass: at an error, or because the person has seen enough.
fn go_on(
    step: Result<bool, CliError>,
    failed: &mut Option<Result<(), CliError>>,
) -> ControlFlow<()> {
    match step {
        Ok(true) => return ControlFlow::Continue(()),
        Ok(false) => *failed = Some(Ok(())),
        Err(error) => *failed = Some(Err(error)),
    }
    ControlFlow::Break(())
}

fn state_of(manifest: Option<&Manifest>) -> State {
    match manifest {
        Some(manifest) if manifest.ended.is_some() => State::Closed {
            reason: manifest.reason.clone().unwrap_or_default(),
            exit: manifest.exit,
        },
        _ => State::EndedWithoutClosing,
    }
}

/// The manifest's counts were shown before the record was read: were they true?
fn report(
    audit: &Audit,
    view: &SessionView,
    manifest: Option<&Manifest>,
    context: &Context,
) -> Exit {
    if let Some(manifest) = manifest
        && look::counts(&manifest.counts) != view.counts()
    {
        let warning = "the counts at the top are not those of the record; those at the end are";
        context.printer.warn(warning);
    }
    look::report(audit, &context.printer)
}

/// Writes a long session as one JSON object: once over the record for what stands around the
/// calls, and once for the calls.
pub(super) fn long_json(pass: &Pass, context: &Context) -> Result<Exit, CliError> {
    let printer = &context.printer;
    let ahead = Ahead {
        context,
        selector: pass.id().to_string(),
        reader: RefCell::new(None),
    };
    let each = |wanted: Targets, show: &mut dyn FnMut(Seen) -> Result<(), PrintError>| {
        let mut flow = Flow::new(wanted);
        let mut failed = None;
        let audit = pass.read(Depth::Leaves, |leaf, beside| {
            flow.take(leaf, beside);
            let mut step = || -> Result<bool, CliError> {
                ahead.unblock(&mut flow.fold)?;
                let ended = flow.fold.take_ended();
                for seen in flow.named(ended) {
                    show(seen)?;
                }
                Ok(true)
            };
            go_on(step(), &mut failed)
        })?;
        if let Some(Err(error)) = failed {
            return Err(error);
        }
        for seen in flow.rest() {
            show(seen)?;
        }
        Ok::<_, CliError>((flow.finish(false)?, audit))
    };
    let (view, audit) = each(Targets::Unnamed, &mut |_| Ok(()))?;
    let (before, after) = json::session_around(&view, &pass.contents());
    printer.data(&before)?;
    let mut is_first = true;
    each(Targets::All, &mut |seen| {
        printer.data(&json::call_item(&seen, false, is_first))?;
        is_first = false;
        Ok(())
    })?;
    printer.data(&after)?;
    Ok(look::report(&audit, printer))
}

/// Shows a session while it runs: each call when it has ended, and, where a result of one of its tools
/// comes later, that result (as JSON: the call once more).
pub(super) fn follow(pass: &Pass, as_json: bool, context: &Context) -> Result<Exit, CliError> {
    let printer = &context.printer.missing((&pass.contents()).into());
    let wanted = if as_json {
        Targets::All
    } else {
        Targets::Unnamed
    };
    let flow = RefCell::new(Flow::new(wanted));
    let screen = RefCell::new(None);
    let failed = RefCell::new(None);
    let show = |calls: Vec<Seen>, live: bool| -> Result<bool, CliError> {
        if as_json {
            for seen in &calls {
                printer.data(&json::call_line(seen, live))?;
            }
        } else if let Some(screen) = &mut *screen.borrow_mut() {
            let screen: &mut Running = screen;
            printer.data(&screen.calls(&calls, live))?;
        }
        Ok(true)
    };
    let flush = || -> Result<bool, CliError> {
        let mut flow = flow.borrow_mut();
        let ended = flow.fold.take_any_ended();
        let ended = flow.named(ended);
        flow.remember(&ended);
        let late = flow.late();
        if !ended.is_empty() {
            show(ended, true)?;
        }
        if !late.is_empty() && as_json {
            show(late, true)?;
        } else if let Some(screen) = &*screen.borrow()
            && !late.is_empty()
        {
            printer.data(&screen.late(&late))?;
        }
        Ok(true)
    };
    let pending = Cell::new(0_usize);
    let audit = pass.follow(
        Depth::Leaves,
        &|| {
            pending.set(0);
            if go_on(flush(), &mut failed.borrow_mut()).is_break() {
                return ControlFlow::Break(());
            }
            std::thread::sleep(limits::FOLLOW_POLL);
            ControlFlow::Continue(())
        },
        |leaf, beside| {
            flow.borrow_mut().take(leaf, beside);
            let begin = || -> Result<bool, CliError> {
                if !as_json && screen.borrow().is_none() {
                    let flow = flow.borrow();
                    if let Some(head) = flow.fold.head(flow.content.clone(), State::Running) {
                        let (running, text) = Running::begin(&head, None, printer.data_look());
                        printer.data(&text)?;
                        *screen.borrow_mut() = Some(running);
                    }
                }
                pending.set(pending.get() + 1);
                if pending.get() < PART_CALLS {
                    return Ok(true);
                }
                pending.set(0);
                flush()
            };
            go_on(begin(), &mut failed.borrow_mut())
        },
    )?;
    if let Some(ended) = failed.into_inner() {
        return ended.map(|()| Exit::Success);
    }
    flush()?;
    let live = audit.state == reader::State::Running;
    let rest = flow.borrow_mut().rest();
    show(rest, live)?;
    let view = flow.into_inner().finish(live)?;
    if let Some(screen) = screen.into_inner() {
        printer.data(&screen.end(&view))?;
    }
    Ok(look::report(&audit, printer))
}
