//! The process that made a call, in words.

use crate::replay::{Caller, Seen};

use super::escape::escape;
use super::style::{Look, Tone};

/// Parents that a timeline names.
pub(super) const PARENTS_NAMED: usize = 2;
/// Before the process in a timeline.
const INDENT: &str = "       ";

/// The line that stands before a call in a timeline, when the call comes from another process than
/// the one before it. `last` is the number of that one; before the first call, and while nothing
/// else is said, it is the command itself.
pub(super) fn change(seen: &Seen, last: &mut Option<u64>, look: &Look) -> String {
    let Some(caller) = seen.caller.as_deref() else {
        return String::new();
    };
    let is_news = match *last {
        Some(last) => last != caller.process,
        None => !caller.is_child,
    };
    *last = Some(caller.process);
    if !is_news {
        return String::new();
    }
    let line = format!("by {}", words(caller, PARENTS_NAMED));
    let tone = if caller.foreign {
        Tone::Denied
    } else {
        Tone::Dim
    };
    format!("{INDENT}{}\n", look.paint(tone, &line))
}

/// `curl 812 under bash 811 under the command itself, pid 800`, escaped.
pub(super) fn words(caller: &Caller, parents: usize) -> String {
    let mut chain = caller.chain();
    let shown: Vec<String> = chain.by_ref().take(1 + parents).map(name).collect();
    let mut text = shown.join(" under ");
    if chain.next().is_some() {
        text.push_str(" under …");
    }
    if caller.foreign {
        text.push_str(", which is not of this session");
    }
    text
}

fn name(caller: &Caller) -> String {
    if caller.is_child {
        return format!("the command itself, pid {}", caller.pid);
    }
    match caller.program.as_ref().map(|program| program.name()) {
        Some(name) if !name.is_empty() => format!("{} {}", escape(name), caller.pid),
        _ => format!("process {}", caller.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::record::Program;
    use crate::replay::sample;
    use std::sync::Arc;

    fn caller(process: u64, exe: &str, parent: Option<Arc<Caller>>) -> Arc<Caller> {
        Arc::new(Caller {
            process,
            pid: 800 + u32::try_from(process).unwrap(),
            is_child: parent.is_none(),
            foreign: false,
            program: (!exe.is_empty()).then(|| Program {
                exe: exe.to_owned(),
                ..Program::default()
            }),
            parent,
        })
    }

    #[test]
    fn a_timeline_names_a_process_when_it_changes() {
        let agent = caller(1, "/opt/claude", None);
        let shell = caller(2, "/bin/bash", Some(Arc::clone(&agent)));
        let other = caller(3, "", Some(Arc::clone(&shell)));
        let curl = caller(4, "/usr/bin/cu\x1brl", Some(Arc::clone(&other)));
        let (mut last, look) = (None, test_look());
        let mut line = |caller: Option<&Arc<Caller>>| {
            let mut seen = sample::session().calls[0].clone();
            seen.caller = caller.cloned();
            change(&seen, &mut last, &look)
        };
        assert_eq!(line(None), "");
        assert_eq!(line(Some(&agent)), "");
        assert_eq!(
            line(Some(&curl)),
            "       by cu\\u{1b}rl 804 under process 803 under bash 802 under …\n"
        );
        assert_eq!(line(Some(&curl)), "");
        assert_eq!(line(None), "");
        assert_eq!(
            line(Some(&agent)),
            "       by the command itself, pid 801\n"
        );
    }
}
