//! The list of sessions, one line each.

use crate::replay::{State, Summary};

use super::escape::escape;
use super::style::{Look, Missing, Tone, Zone};
use super::table::{Cell, Column, Table};
use super::{people, words};

/// Renders the list, each with why content of it is missing, where it is. `more` says how many older ones are not shown.
#[must_use]
pub fn render(sessions: &[(Summary, Missing)], more: u64, look: &Look) -> String {
    if sessions.is_empty() && more == 0 {
        return "no sessions yet; begin one with: ddgate run -- COMMAND\n".into();
    }
    // One zone for the whole list, named once: the one of the latest session.
    let zone = sessions
        .first()
        .map(|(latest, _)| look.offset(latest.started));
    let look = &Look {
        zone: zone.map_or(look.zone, Zone::Fixed),
        ..*look
    };
    let started = zone.map_or_else(|| "STARTED".into(), |zone| format!("STARTED ({zone})"));
    let mut table = Table::new(&[
        Column::text("SESSION"),
        Column::text(started),
        Column::text("WHO").shrinking(8),
        Column::number("CALLS"),
        Column::number("CHANGES"),
        Column::number("DENIED"),
        Column::number("LENGTH").optional(),
        Column::text("STATE"),
        Column::text("COMMAND").shrinking(8),
    ]);
    for (session, missing) in sessions {
        table.row(row(session, *missing, look));
    }
    let mut text = table.render(look);
    if more > 0 {
        let more = format!("and {more} older; see more with --limit");
        text.push_str(&look.paint(Tone::Dim, &more));
        text.push('\n');
    }
    text
}

fn row(session: &Summary, missing: Missing, look: &Look) -> Vec<Cell> {
    let counts = &session.counts;
    // Everything that may have changed something counts here.
    let changes = counts.writes + counts.deletes + counts.unclassified;
    let noted = |number: u64, tone| match number {
        0 => Cell::new(Tone::Dim, "0"),
        _ => Cell::new(tone, &number.to_string()),
    };
    let command = match &session.command {
        Some(command) => Cell::plain(&words::command_line(command)),
        None => Cell::new(Tone::Dim, missing.word()),
    };
    let (state, state_tone) = state(&session.state);
    vec![
        Cell::new(Tone::Strong, &session.id.short()),
        Cell::plain(&look.moment(session.started, "%Y-%m-%d %H:%M")),
        Cell::plain(&people::short(session.who.as_ref(), missing)),
        Cell::plain(&counts.calls.to_string()),
        noted(changes, Tone::Write),
        noted(counts.denied, Tone::Denied),
        Cell::new(Tone::Dim, &words::duration(session.length_us)),
        Cell::new(state_tone, &state),
        command,
    ]
}

/// The state in a word or two, escaped.
fn state(state: &State) -> (String, Tone) {
    match state {
        State::Running => ("running".into(), Tone::Good),
        State::Closed { exit: Some(0), .. } => ("exit 0".into(), Tone::Dim),
        State::Closed {
            exit: Some(code), ..
        } => (format!("exit {code}"), Tone::Warn),
        State::Closed { reason, exit: None } => (escape(reason).into_owned(), Tone::Warn),
        State::EndedWithoutClosing => ("unclosed".into(), Tone::Warn),
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::replay::sample::{self, os_user};

    fn list() -> Vec<(Summary, Missing)> {
        let first = sample::session().summary();
        let second = Summary {
            who: Some(os_user()),
            command: Some(vec!["sh".into(), "-c".into(), "echo \x1b[2J".into()]),
            state: State::Closed {
                reason: "exit".into(),
                exit: Some(0),
            },
            counts: Default::default(),
            ..first.clone()
        };
        vec![(first, Missing::Erased), (second, Missing::Sealed)]
    }

    #[test]
    fn one_line_a_session() {
        insta::assert_snapshot!(render(&list(), 3, &test_look()), @r"
        SESSION   STARTED (+02:00)  WHO                 CALLS  CHANGES  DENIED    LENGTH  STATE     COMMAND
        3f2a9c1e  2027-01-15 10:00  alice@example.com       8        5       1  1 m 06 s  unclosed  claude -p 'tidy the monitors'
        3f2a9c1e  2027-01-15 10:00  alice (unverified)      0        0       0  1 m 06 s  exit 0    sh -c 'echo \u{1b}[2J'
        and 3 older; see more with --limit
        ");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_command_first() {
        let look = Look {
            width: Some(80),
            ..test_look()
        };
        insta::assert_snapshot!(render(&list(), 0, &look), @"
        SESSION   STARTED (+02:00)  WHO       CALLS  CHANGES  DENIED  STATE     COMMAND
        3f2a9c1e  2027-01-15 10:00  alice@e…      8        5       1  unclosed  claude …
        3f2a9c1e  2027-01-15 10:00  alice (…      0        0       0  exit 0    sh -c '…
        ");
    }

    #[test]
    fn an_empty_list_says_how_to_begin() {
        insta::assert_snapshot!(render(&[], 0, &test_look()), @"no sessions yet; begin one with: ddgate run -- COMMAND");
    }
}
