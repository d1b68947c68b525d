//! A session as a person reads it: a header, then one line a call, coloured by effect, with the
//! reason on the next line where something was refused, failed, or is not known.
//!
//! Rendered whole, and handed out in pieces so that a paced replay can pause between them.

use crate::record::event::Decision;
use crate::record::{Call, Effect, Identity, Level, Outcome, SessionId};
use crate::replay::{Counts, Seen, SessionHead, SessionView, State};

use super::escape::escape;
use super::style::{Look, Tone};
use super::table::{Cell, Column, Table, cut, fields};
use super::{caller, identity, outside, people, tools, words};

/// How moments are written in full.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S %:z";
/// Before the reason of a refusal or failure.
const REASON_INDENT: &str = "       ↳ ";
/// Columns the header's labels take, with the gap after them.
const LABEL_WIDTH: usize = "redacted".len() + 2;

/// A rendered session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The header, and the heading of the calls.
    pub head: String,
    /// Each call, one or two lines, in the order of the session's `calls`.
    pub calls: Vec<String>,
    /// What comes after the calls: tunnels, how it ended, contradictions.
    pub foot: String,
}

impl Timeline {
    /// Renders a session.
    #[must_use]
    pub fn of(view: &SessionView, look: &Look) -> Self {
        let live = view.head.state == State::Running;
        let (heading, calls) = part(&view.calls, live, look, &mut Vec::new(), &mut None);
        let mut head = header(view, look);
        if !view.calls.is_empty() {
            head.push('\n');
            head.push_str(&heading);
        }
        Self {
            head,
            calls,
            foot: footer(view, look),
        }
    }

    /// The whole text.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = self.head.clone();
        self.calls.iter().for_each(|call| text.push_str(call));
        text.push_str(&self.foot);
        text
    }
}

/// The heading and the lines of some calls, where those before them left `widths` and `last`.
fn part(
    calls: &[Seen],
    live: bool,
    look: &Look,
    widths: &mut Vec<usize>,
    last: &mut Option<u64>,
) -> (String, Vec<String>) {
    let (heading, rows) = table(calls, live).lines_below(look, widths);
    let lines = rows
        .into_iter()
        .zip(calls)
        .map(|(row, seen)| caller::change(seen, last, look) + &row + &reason(seen, live, look))
        .collect();
    (heading, lines)
}

/// A session that is shown while it is read: head, calls as they come, foot.
#[derive(Debug)]
pub struct Running {
    look: Look,
    widths: Vec<usize>,
    /// The process of the last call.
    caller: Option<u64>,
    is_headed: bool,
}

impl Running {
    /// Begins with a head; its counts only where they are known beforehand.
    #[must_use]
    pub fn begin(head: &SessionHead, counts: Option<&Counts>, look: &Look) -> (Self, String) {
        let mut rows = head_rows(head, look);
        if let Some(counts) = counts {
            rows.push(("calls", calls_line(counts, look)));
        }
        let this = Self {
            look: *look,
            // Wide enough for most of what may come, where there is room for that.
            widths: match look.width {
                Some(width) if width < 100 => Vec::new(),
                _ => vec![5, 9, 6, 6, 20, 14, 6, 8],
            },
            caller: None,
            is_headed: false,
        };
        (this, fields(&rows, look))
    }

    /// More calls.
    #[must_use]
    pub fn calls(&mut self, calls: &[Seen], live: bool) -> String {
        let (heading, lines) = part(calls, live, &self.look, &mut self.widths, &mut self.caller);
        let mut text = String::new();
        if !self.is_headed && !lines.is_empty() {
            text = format!("\n{heading}");
            self.is_headed = true;
        }
        text.extend(lines);
        text
    }

    /// Results of tools that came when their call had been shown, on a line each.
    #[must_use]
    pub fn late(&self, calls: &[Seen]) -> String {
        let mut text = String::new();
        for seen in calls {
            for (remark, tone) in tools::remarks(&seen.call) {
                let line = format!("call {}, {}: {remark}", seen.call.number, seen.label());
                let line = self.look.paint(tone, &escape(&line));
                text.push_str(&format!("{REASON_INDENT}{line}\n"));
            }
        }
        text
    }

    /// What comes after the calls, with the counts as they turned out.
    #[must_use]
    pub fn end(self, view: &SessionView) -> String {
        let mut rows = vec![("calls", calls_line(&view.counts(), &self.look))];
        rows.extend(lessened_row(view, &self.look));
        rows.extend(redacted_row(view));
        format!(
            "\n{}{}",
            fields(&rows, &self.look),
            footer(view, &self.look)
        )
    }
}

/// Sums a run up in one line, without prefix or newline: `session 3f2a9c1e: 12 calls (4 writes,
/// 1 denied) as alice@example.com, replay with: ddgate replay 3f2a9c1e`.
#[must_use]
pub fn run_summary(id: SessionId, counts: &Counts, who: Option<&Identity>, look: &Look) -> String {
    let notable = kinds(counts, look).split_off(usize::from(counts.reads > 0));
    let aside = match notable.join(", ") {
        nothing if nothing.is_empty() => nothing,
        notable => format!(" ({notable})"),
    };
    let short = id.short();
    format!(
        "session {}: {}{aside} as {}, replay with: ddgate replay {short}",
        look.paint(Tone::Strong, &short),
        words::count(counts.calls, "call"),
        people::short(who, look.missing),
    )
}

fn header(view: &SessionView, look: &Look) -> String {
    let mut rows = head_rows(&view.head, look);
    if let Some(row) = rows.get_mut(2) {
        *row = ("when", when(view, look));
    }
    rows.push(("calls", calls_line(&view.counts(), look)));
    rows.extend(lessened_row(view, look));
    rows.extend(redacted_row(view));
    fields(&rows, look)
}

/// How many calls are recorded at less than the full level.
fn lessened_row(view: &SessionView, look: &Look) -> Option<(&'static str, String)> {
    let lessened: Vec<String> = [Level::Headers, Level::Metadata]
        .into_iter()
        .filter_map(|level| {
            let count = view.at_level(level);
            (count > 0).then(|| format!("{count} at level {}", level.word()))
        })
        .collect();
    let text = lessened.join(", ");
    (!text.is_empty()).then(|| ("recorded", look.paint(Tone::Warn, &text)))
}

fn head_rows(head: &SessionHead, look: &Look) -> Vec<(&'static str, String)> {
    let id = head.id.to_string();
    let short = look.paint(Tone::Strong, &head.id.short());
    let mut rows = vec![
        (
            "session",
            format!("{short}  {}", look.paint(Tone::Dim, &id)),
        ),
        ("who", people::long(head.who.as_ref(), look)),
        ("when", look.moment(head.started, MOMENT)),
        ("command", command(head.command.as_deref(), look)),
    ];
    if let Some(job) = people::job(head.who.as_ref()) {
        rows.push(("job", job));
    }
    if let Some(host) = &head.host {
        rows.push((
            "where",
            format!("{} in {}", escape(&host.name), escape(&host.cwd)),
        ));
    }
    rows.push(("site", escape(&head.site).into_owned()));
    if let Some(policy) = &head.policy {
        rows.push(("policy", escape(&policy.to_string()).into_owned()));
    }
    rows
}

fn calls_line(counts: &Counts, look: &Look) -> String {
    let mut calls = counts.calls.to_string();
    if counts.calls > 0 {
        calls.push_str(": ");
        calls.push_str(&kinds(counts, look).join(", "));
    }
    calls
}

fn redacted_row(view: &SessionView) -> Option<(&'static str, String)> {
    let redactions = view.redactions();
    let each: Vec<String> = redactions
        .iter()
        .map(|(rule, count)| format!("{} ×{count}", escape(rule)))
        .collect();
    (!each.is_empty()).then(|| ("redacted", each.join(", ")))
}

fn when(view: &SessionView, look: &Look) -> String {
    let started = look.moment(view.head.started, MOMENT);
    let length = words::duration(view.length_ns / 1_000);
    match view.head.state {
        State::Running => format!("{started}, {}", look.paint(Tone::Good, "still running")),
        State::Closed { .. } => format!("{started}, for {length}"),
        State::EndedWithoutClosing => format!("{started}, last record after {length}"),
    }
}

fn command(command: Option<&[String]>, look: &Look) -> String {
    let Some(command) = command else {
        return look.paint(Tone::Dim, look.missing.word());
    };
    let line = words::command_line(command);
    let line = escape(&line);
    match look.width {
        // A prompt of a thousand words would bury the calls.
        Some(width) => cut(&line, width.saturating_sub(LABEL_WIDTH).max(20)),
        None => line.into_owned(),
    }
}

/// The counts that are not zero, in words, the reads first.
pub(super) fn kinds(counts: &Counts, look: &Look) -> Vec<String> {
    let one = |number: u64, tone, text: String| (number > 0).then(|| look.paint(tone, &text));
    [
        one(
            counts.reads,
            Tone::Plain,
            words::count(counts.reads, "read"),
        ),
        one(
            counts.writes,
            Tone::Write,
            words::count(counts.writes, "write"),
        ),
        one(
            counts.deletes,
            Tone::Destroy,
            words::count(counts.deletes, "delete"),
        ),
        one(
            counts.unclassified,
            Tone::Warn,
            format!("{} unclassified", counts.unclassified),
        ),
        one(
            counts.denied,
            Tone::Denied,
            format!("{} denied", counts.denied),
        ),
        one(
            counts.error_answers,
            Tone::Warn,
            words::count(counts.error_answers, "error answer"),
        ),
        one(
            counts.failed,
            Tone::Destroy,
            format!("{} failed", counts.failed),
        ),
        one(
            counts.under_way,
            Tone::Dim,
            format!("{} under way", counts.under_way),
        ),
        one(
            counts.in_doubt,
            Tone::Warn,
            format!("{} in doubt", counts.in_doubt),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn table(calls: &[Seen], live: bool) -> Table {
    let mut table = Table::new(&[
        Column::number("#"),
        Column::number("TIME"),
        Column::text("EFFECT").optional(),
        Column::text("METHOD").shrinking(7),
        Column::text("OPERATION").shrinking(10),
        Column::text("RESOURCE").shrinking(8),
        Column::text("STATUS"),
        Column::number("TOOK").optional(),
    ]);
    for seen in calls {
        let call = &seen.call;
        let tone = tone(call);
        let (status, status_tone) = status(call, live);
        let took = call.duration_us.map(words::duration).unwrap_or_default();
        table.row(vec![
            Cell::new(Tone::Dim, &call.number.to_string()),
            Cell::new(Tone::Dim, &words::clock(call.mono_ns)),
            Cell::new(tone, effect_word(call.effect)),
            Cell::new(tone, &call.method),
            Cell::new(tone, &seen.operation()),
            Cell::new(tone, &seen.resources()),
            Cell::new(status_tone, &status),
            Cell::new(Tone::Dim, &took),
        ]);
    }
    table
}

/// The colour of a call: what it does, unless it was never let through.
pub(super) fn tone(call: &Call) -> Tone {
    match (call.decision, call.effect) {
        (Decision::Deny, _) => Tone::Denied,
        (Decision::Allow, Effect::Read) => Tone::Plain,
        (Decision::Allow, Effect::Write | Effect::Unknown) => Tone::Write,
        (Decision::Allow, Effect::Destroy) => Tone::Destroy,
    }
}

/// The effect as people say it.
pub(super) const fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Destroy => "delete",
        Effect::Unknown => "unknown",
    }
}

/// How a call ended, in a word.
pub(super) fn status(call: &Call, live: bool) -> (String, Tone) {
    match (call.outcome, call.status) {
        (Outcome::Answered, Some(status @ 400..)) => (status.to_string(), Tone::Destroy),
        (Outcome::Answered, Some(status)) => (status.to_string(), Tone::Plain),
        (Outcome::Answered, None) if tools::is_error(call) => ("error".into(), Tone::Destroy),
        (Outcome::Answered, None) => ("answered".into(), Tone::Plain),
        (Outcome::Refused, _) => ("denied".into(), Tone::Denied),
        (Outcome::Failed, _) => ("failed".into(), Tone::Destroy),
        (Outcome::InDoubt, _) if live && call.response_leaf.is_none() => {
            ("under way".into(), Tone::Dim)
        }
        (Outcome::InDoubt, _) => ("in doubt".into(), Tone::Warn),
    }
}

/// Why a call was refused, how it failed, or what is not known: plain words, not escaped. None
/// for a call that went well.
pub(super) fn reason_text(call: &Call, live: bool) -> Option<String> {
    match call.outcome {
        Outcome::Refused => Some(match &call.error {
            Some(why) => format!("denied by rule {}: {why}", call.rule),
            None => format!("denied by rule {}; nothing was sent", call.rule),
        }),
        Outcome::Failed => {
            let error = call.error.as_deref().unwrap_or("no reason on record");
            Some(match call.status {
                Some(status) => format!("failed after status {status}: {error}"),
                None => error.to_owned(),
            })
        }
        Outcome::InDoubt if live && call.response_leaf.is_none() => None,
        Outcome::InDoubt => Some(match &call.error {
            Some(why) => format!("{why}; it may or may not have taken effect"),
            None => "the record ends before the answer; it may or may not have taken effect".into(),
        }),
        Outcome::Answered => call.error.clone(),
    }
}

fn reason(seen: &Seen, live: bool, look: &Look) -> String {
    let (_, tone) = status(&seen.call, live);
    let reason = reason_text(&seen.call, live).map(|text| (text, tone));
    let lines = reason.into_iter().chain(tools::remarks(&seen.call));
    lines
        .map(|(text, tone)| format!("{REASON_INDENT}{}\n", look.paint(tone, &escape(&text))))
        .collect()
}

fn footer(view: &SessionView, look: &Look) -> String {
    let mut text = String::from("\n");
    if view.counts().calls == 0 {
        text.push_str("no calls to Datadog\n");
    }
    text.push_str(&identity::lines(&view.identity, look));
    text.push_str(&outside::tunnels(&view.tunnels, look));
    text.push_str(&outside::distrusting(&view.distrusted, look));
    if view
        .head
        .enforce
        .as_ref()
        .is_some_and(|it| it.held.is_empty())
    {
        let free = "the command was not held to the gate: it could have gone round it unseen\n";
        text.push_str(&look.paint(Tone::Dim, free));
    }
    text.push_str(&ending(&view.head.state, look));
    for oddity in &view.oddities {
        let warning = format!("the record contradicts itself: {oddity}");
        text.push_str(&look.paint(Tone::Destroy, &warning));
        text.push('\n');
    }
    if view.more_oddities > 0 {
        text.push_str(&format!("and {} more such places\n", view.more_oddities));
    }
    text
}

fn ending(state: &State, look: &Look) -> String {
    match state {
        State::Running => "the session is still running; this is what is on record so far\n".into(),
        State::Closed { reason, exit } => {
            let how = match (reason.as_str(), exit) {
                ("exit", Some(0)) => "the command ended well (exit 0)".to_owned(),
                ("exit", Some(code)) => format!("the command ended with exit {code}"),
                ("signal", Some(code)) => format!("a signal ended the command (exit {code})"),
                ("spawn-failed", _) => "the command could not be started".to_owned(),
                (other, Some(code)) => format!("closed: {} (exit {code})", escape(other)),
                (other, None) => format!("closed: {}", escape(other)),
            };
            let tone = if *exit == Some(0) {
                Tone::Dim
            } else {
                Tone::Warn
            };
            look.paint(tone, &how) + "\n"
        }
        State::EndedWithoutClosing => {
            let text = "the session was not closed: ddgate was killed, or the machine stopped";
            look.paint(Tone::Warn, text) + "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::replay::sample::{self, Script, alice, os_user};
    use crate::replay::{Fold, HeadContent};

    fn render(view: &SessionView, look: &Look) -> String {
        Timeline::of(view, look).whole()
    }

    #[test]
    fn a_session_reads_without_color() {
        insta::assert_snapshot!(render(&sample::session(), &test_look()), @r"
        session   3f2a9c1e  3f2a9c1e000000000000000000000000
        who       alice@example.com, verified by https://idp.example; groups: eng, oncall
        when      2027-01-15 10:00:00 +02:00, last record after 1 m 06 s
        command   claude -p 'tidy the monitors'
        where     laptop in /home/alice/app
        site      datadoghq.eu
        calls     8: 2 reads, 3 writes, 1 delete, 1 unclassified, 1 denied, 1 error answer, 1 failed, 1 in doubt
        redacted  dd-api-key ×8

        #      TIME  EFFECT   METHOD  OPERATION                  RESOURCE     STATUS       TOOK
        1  0:00.100  read     GET     ListMonitors               monitor      200       12.3 ms
        2  0:00.300  write    POST    CreateMonitor              monitor      200       24.6 ms
        3  0:00.500  write    PUT     UpdateMonitor              monitor:123  404       37.0 ms
        4  0:00.700  delete   DELETE  DeleteMonitor              monitor:123  denied
               ↳ denied by rule read-only; nothing was sent
        5  0:00.800  delete   DELETE  DeleteMonitor              monitor:123  204       61.7 ms
        6  0:01.000  read     GET     GetMonitor                 monitor      failed    74.0 ms
               ↳ the connection was reset by \u{1b}[31mupstream
        7  0:01.200  unknown  POST    /api/v9/監視/\u{1b}[2Jnew               202       86.3 ms
        8  1:06.500  write    POST    CreateMonitor              monitor      in doubt
               ↳ the record ends before the answer; it may or may not have taken effect

        TUNNEL (NOT DATADOG, NOT READ)     SENT  RECEIVED    OPEN
        registry.example:443            1.9 KiB   2.8 MiB  1.50 s

        the session was not closed: ddgate was killed, or the machine stopped
        ");
    }

    #[test]
    fn a_narrow_terminal_keeps_the_grid() {
        let look = Look {
            width: Some(64),
            ..test_look()
        };
        insta::assert_snapshot!(render(&sample::session(), &look), @r"
        session   3f2a9c1e  3f2a9c1e000000000000000000000000
        who       alice@example.com, verified by https://idp.example; groups: eng, oncall
        when      2027-01-15 10:00:00 +02:00, last record after 1 m 06 s
        command   claude -p 'tidy the monitors'
        where     laptop in /home/alice/app
        site      datadoghq.eu
        calls     8: 2 reads, 3 writes, 1 delete, 1 unclassified, 1 denied, 1 error answer, 1 failed, 1 in doubt
        redacted  dd-api-key ×8

        #      TIME  EFFECT   METHOD  OPERATION    RESOURCE     STATUS
        1  0:00.100  read     GET     ListMonito…  monitor      200
        2  0:00.300  write    POST    CreateMoni…  monitor      200
        3  0:00.500  write    PUT     UpdateMoni…  monitor:123  404
        4  0:00.700  delete   DELETE  DeleteMoni…  monitor:123  denied
               ↳ denied by rule read-only; nothing was sent
        5  0:00.800  delete   DELETE  DeleteMoni…  monitor:123  204
        6  0:01.000  read     GET     GetMonitor   monitor      failed
               ↳ the connection was reset by \u{1b}[31mupstream
        7  0:01.200  unknown  POST    /api/v9/監…               202
        8  1:06.500  write    POST    CreateMoni…  monitor      in doubt
               ↳ the record ends before the answer; it may or may not have taken effect

        TUNNEL (NOT DATADOG, NOT READ)     SENT  RECEIVED    OPEN
        registry.example:443            1.9 KiB   2.8 MiB  1.50 s

        the session was not closed: ddgate was killed, or the machine stopped
        ");
    }

    #[test]
    fn colors_follow_the_effect() {
        let look = Look {
            color: true,
            ..test_look()
        };
        let timeline = Timeline::of(&sample::session(), &look);
        let calls = timeline.calls.concat().replace('\x1b', "␛");
        insta::assert_snapshot!(calls, @r"
        ␛[2m1␛[0m  ␛[2m0:00.100␛[0m  read     GET     ListMonitors               monitor      200       ␛[2m12.3 ms␛[0m
        ␛[2m2␛[0m  ␛[2m0:00.300␛[0m  ␛[33mwrite␛[0m    ␛[33mPOST␛[0m    ␛[33mCreateMonitor␛[0m              ␛[33mmonitor␛[0m      200       ␛[2m24.6 ms␛[0m
        ␛[2m3␛[0m  ␛[2m0:00.500␛[0m  ␛[33mwrite␛[0m    ␛[33mPUT␛[0m     ␛[33mUpdateMonitor␛[0m              ␛[33mmonitor:123␛[0m  ␛[31m404␛[0m       ␛[2m37.0 ms␛[0m
        ␛[2m4␛[0m  ␛[2m0:00.700␛[0m  ␛[1;35mdelete␛[0m   ␛[1;35mDELETE␛[0m  ␛[1;35mDeleteMonitor␛[0m              ␛[1;35mmonitor:123␛[0m  ␛[1;35mdenied␛[0m
               ↳ ␛[1;35mdenied by rule read-only; nothing was sent␛[0m
        ␛[2m5␛[0m  ␛[2m0:00.800␛[0m  ␛[31mdelete␛[0m   ␛[31mDELETE␛[0m  ␛[31mDeleteMonitor␛[0m              ␛[31mmonitor:123␛[0m  204       ␛[2m61.7 ms␛[0m
        ␛[2m6␛[0m  ␛[2m0:01.000␛[0m  read     GET     GetMonitor                 monitor      ␛[31mfailed␛[0m    ␛[2m74.0 ms␛[0m
               ↳ ␛[31mthe connection was reset by \u{1b}[31mupstream␛[0m
        ␛[2m7␛[0m  ␛[2m0:01.200␛[0m  ␛[33munknown␛[0m  ␛[33mPOST␛[0m    ␛[33m/api/v9/監視/\u{1b}[2Jnew␛[0m               202       ␛[2m86.3 ms␛[0m
        ␛[2m8␛[0m  ␛[2m1:06.500␛[0m  ␛[33mwrite␛[0m    ␛[33mPOST␛[0m    ␛[33mCreateMonitor␛[0m              ␛[33mmonitor␛[0m      ␛[33min doubt␛[0m
               ↳ ␛[33mthe record ends before the answer; it may or may not have taken effect␛[0m
        ");
    }

    #[test]
    fn nothing_foreign_moves_the_cursor() {
        let mut view = sample::session();
        view.head.who.as_mut().unwrap().email = Some("a\x1b[1A\u{202e}".into());
        view.head.command = Some(vec!["sh\r\x07".into()]);
        view.head.site = "x\x08".into();
        view.calls[0].call.method = "GET\x1b[2K".into();
        view.calls[0].call.resources[0].id = "\n\nforged".into();
        view.calls[3].call.rule = "\x1b]0;title\x07".into();
        view.tunnels[0].tunnel.host = "\u{9b}2J".into();
        let text = render(&view, &test_look());
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(bad), "{text:?}");
        assert_eq!(
            text.lines().count(),
            render(&sample::session(), &test_look()).lines().count()
        );
    }

    #[test]
    fn a_running_session_is_under_way_not_in_doubt() {
        let mut script = Script::open();
        script.request(1, "ListMonitors");
        let mut fold = Fold::new();
        script.leaves.into_iter().for_each(|leaf| fold.push(leaf));
        let content = HeadContent {
            who: Some(os_user()),
            ..HeadContent::default()
        };
        let view = fold.finish(content, true).unwrap();
        insta::assert_snapshot!(render(&view, &test_look()), @r"
        session   3f2a9c1e  3f2a9c1e000000000000000000000000
        who       alice, unverified OS user on laptop: nobody vouched for this name
        when      2027-01-15 10:00:00 +02:00, still running
        command   (erased)
        site      datadoghq.eu
        calls     1: 1 read, 1 under way
        redacted  dd-api-key ×1

        #      TIME  EFFECT  METHOD  OPERATION     RESOURCE  STATUS     TOOK
        1  0:00.100  read    GET     ListMonitors  monitor   under way

        the session is still running; this is what is on record so far
        ");
    }

    #[test]
    fn an_empty_session_says_so() {
        let mut script = Script::open();
        script.close(0, Some(3));
        let mut fold = Fold::new();
        script.leaves.into_iter().for_each(|leaf| fold.push(leaf));
        let view = fold.finish(sample::content(), false).unwrap();
        insta::assert_snapshot!(render(&view, &test_look()), @r"
        session  3f2a9c1e  3f2a9c1e000000000000000000000000
        who      alice@example.com, verified by https://idp.example; groups: eng, oncall
        when     2027-01-15 10:00:00 +02:00, for 100 ms
        command  claude -p 'tidy the monitors'
        where    laptop in /home/alice/app
        site     datadoghq.eu
        calls    0

        no calls to Datadog
        the command ended with exit 3
        ");
    }

    #[test]
    fn the_pieces_are_the_whole() {
        let timeline = Timeline::of(&sample::session(), &test_look());
        assert_eq!(timeline.calls.len(), 8);
        let whole = timeline.whole();
        let pieces = format!(
            "{}{}{}",
            timeline.head,
            timeline.calls.concat(),
            timeline.foot
        );
        assert_eq!(whole, pieces);
    }

    #[test]
    fn a_run_is_summed_up_in_one_line() {
        let view = sample::session();
        let look = test_look();
        let summary =
            |counts: &Counts, who: Option<&Identity>| run_summary(view.head.id, counts, who, &look);
        insta::assert_snapshot!(summary(&view.counts(), Some(&alice())), @"session 3f2a9c1e: 8 calls (3 writes, 1 delete, 1 unclassified, 1 denied, 1 error answer, 1 failed, 1 in doubt) as alice@example.com, replay with: ddgate replay 3f2a9c1e");
        let one = Counts {
            calls: 1,
            reads: 1,
            ..Counts::default()
        };
        insta::assert_snapshot!(summary(&one, Some(&os_user())), @"session 3f2a9c1e: 1 call as alice (unverified), replay with: ddgate replay 3f2a9c1e");
        insta::assert_snapshot!(summary(&Counts::default(), None), @"session 3f2a9c1e: 0 calls as (erased), replay with: ddgate replay 3f2a9c1e");
    }
}
