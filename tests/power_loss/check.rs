//! What the record holds after the power came back, against what Datadog had seen when it went.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use ddgate::journal::SessionReader;
use ddgate::journal::catalog::Catalog;
use ddgate::record::event::Side;
use ddgate::record::{CallNumber, Event};
use serde_json::Value;

use crate::device::Entry;
use crate::dice::Dice;
use crate::image::Cut;
use crate::mounts::{FileSystem, Mounted};
use crate::recording::{self, Recording};
use crate::upstream::{Seen, digest, thread_and_turn};

/// One image.
#[derive(Default)]
pub(crate) struct Verdict {
    /// Calls that had to be there.
    pub(crate) required: usize,
    /// Those that are not, or not as they were.
    pub(crate) lost: Vec<String>,
    /// Panics, contradictions, sessions that do not open.
    pub(crate) wrong: Vec<String>,
    /// Whether the power went twice.
    pub(crate) again: bool,
    /// What ddgate said of the records, in short.
    pub(crate) said: BTreeSet<String>,
}

/// A call on record, and where its body is to be had.
struct Recorded {
    session: String,
    number: u64,
    request: String,
}

/// Lets the power come back on an image, and looks; once in a while it goes again meanwhile.
pub(crate) fn image(
    recording: &Recording,
    cut: &Cut,
    system: FileSystem,
    dice: &mut Dice,
) -> Verdict {
    let content = || cut.apply(&recording.entries, vec![0; system.bytes()]);
    let (mut verdict, recovery) = look(recording, cut, system, content(), dice);
    if dice.once_in(5) {
        let second = Cut::roll(&recovery, 0, dice);
        let left = second.apply(&recovery, content());
        let (then, _) = look(recording, cut, system, left, dice);
        let again = |words| format!("and again, {second}: {words}");
        verdict.again = true;
        verdict.lost.extend(then.lost.into_iter().map(again));
        verdict.wrong.extend(then.wrong.into_iter().map(again));
    }
    verdict
}

/// What is on record on a device that holds `content`, and what reading it wrote there.
fn look(
    recording: &Recording,
    cut: &Cut,
    system: FileSystem,
    content: Vec<u8>,
    dice: &mut Dice,
) -> (Verdict, Vec<Entry>) {
    let mut verdict = Verdict::default();
    let mounted = match Mounted::new(system, content, false) {
        Ok(mounted) => mounted,
        Err(e) => {
            verdict.wrong.push(format!("it cannot be mounted: {e}"));
            return (verdict, Vec::new());
        }
    };
    let seen = recording.seen.iter();
    let required: Vec<&Seen> = seen.filter(|seen| seen.position <= cut.at).collect();
    verdict.required = required.len();
    let records = verdict.read(&mounted.at, recording, cut);
    verdict.holds(&required, &records);
    verdict.has_bodies(&mounted.at, &required, &records);
    verdict.keeps_order(recording, &records);
    if !required.is_empty() {
        let seen = required[dice.below(required.len())];
        verdict.shows(&mounted.at, seen, &records);
    }
    if dice.once_in(4) {
        let next = recording::empty_session(&mounted.at).output().unwrap();
        verdict.expect(next.status.success(), "the next run", &next);
    }
    (verdict, mounted.device.log.entries())
}

fn ddgate(directory: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddgate"));
    command.args(words);
    recording::environment(&mut command, directory);
    command.output().unwrap()
}

impl Verdict {
    fn expect(&mut self, is_so: bool, what: &str, output: &Output) {
        let said = String::from_utf8_lossy(&output.stderr);
        // A panic of whatever thread of ddgate's is told in these words.
        if !is_so || said.contains("should never reach") {
            self.wrong
                .push(format!("{what}: {}: {said}", output.status));
        }
    }

    /// Every session that is there, through the binary. Calls by the number in their path.
    fn read(&mut self, at: &Path, recording: &Recording, cut: &Cut) -> BTreeMap<usize, Recorded> {
        let listed = ddgate(at, &["sessions", "--json", "--limit", "100"]);
        self.expect(listed.status.success(), "sessions", &listed);
        let list: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        let sessions = list.as_array().cloned().unwrap_or_default();
        let mut records = BTreeMap::new();
        let mut closed = 0;
        for session in &sessions {
            let id = session["session"].as_str().unwrap();
            let replayed = ddgate(at, &["replay", id, "--json"]);
            self.expect(replayed.status.success(), "replay", &replayed);
            self.note(&String::from_utf8_lossy(&replayed.stderr));
            let Ok(view) = serde_json::from_slice::<Value>(&replayed.stdout) else {
                continue;
            };
            if view["state"] == "closed" {
                closed += 1;
            } else {
                // Nobody had seen to its index when the power went: that must hide nothing.
                let last = view["calls"]
                    .as_array()
                    .and_then(|calls| calls.last().cloned());
                if let Some(number) = last.map(|call| call["number"].to_string()) {
                    let show = ["show", id, number.as_str(), "--json"];
                    let before = ddgate(at, &show);
                    let index = at.join("data/sessions").join(id).join("index");
                    std::fs::remove_dir_all(index).unwrap();
                    if ddgate(at, &show).stdout != before.stdout {
                        self.lost.push("an index hid something".to_owned());
                    }
                }
            }
            let verified = ddgate(at, &["verify", id, "--json"]);
            let verdict: Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
            self.expect(verdict["verdict"].is_string(), "verify", &verified);
            // Blocks that nobody had synced may come out of order: that reads as damage, and what
            // is before it is proven all the same.
            if let Some(faults) = verdict["faults"].as_array().filter(|it| !it.is_empty()) {
                self.note(&format!(": the record of session x: verify: {}", faults[0]));
            }
            if view["contradictions"]
                .as_array()
                .is_none_or(|c| !c.is_empty())
            {
                self.wrong
                    .push(format!("contradictions: {}", view["contradictions"]));
            }
            for call in view["calls"].as_array().unwrap() {
                let word = |name: &str| call[name].as_str().unwrap_or("?").to_owned();
                let target = word("target");
                let path = target.split('?').next().unwrap();
                let number = path.rsplit('/').next().and_then(|n| n.parse().ok());
                let Some(number) = number else {
                    self.wrong.push(format!("a call nobody made: {call}"));
                    continue;
                };
                let recorded = Recorded {
                    session: id.to_owned(),
                    number: call["number"].as_u64().unwrap(),
                    request: format!("{} {target}", word("method")),
                };
                records.insert(number, recorded);
            }
        }
        let ended = recording.ended.iter().filter(|end| **end <= cut.at).count();
        if closed < ended {
            let words = format!("{ended} sessions had been closed, {closed} are");
            self.lost.push(words);
        }
        records
    }

    /// What ddgate said, without what differs from image to image.
    fn note(&mut self, said: &str) {
        for line in said.lines() {
            let words = line
                .split_once(": the record of session ")
                .map(|(_, rest)| rest);
            if let Some(words) = words.and_then(|rest| rest.split_once(": ")) {
                let short = words.1.replace(|c: char| c.is_ascii_digit(), "");
                self.said.insert(short);
            }
        }
    }

    /// Every call that was seen is there, with the body that was seen.
    fn holds(&mut self, required: &[&Seen], records: &BTreeMap<usize, Recorded>) {
        for seen in required {
            match records.get(&seen.number) {
                None => self.lost.push(format!("missing: {}", seen.request)),
                Some(recorded) if recorded.request != seen.request => {
                    let words = format!("{} became {}", seen.request, recorded.request);
                    self.lost.push(words);
                }
                Some(_) => {}
            }
        }
    }

    /// Every call that was seen has the body that was seen; through the library, because a process
    /// for each would take too long.
    fn has_bodies(&mut self, at: &Path, required: &[&Seen], records: &BTreeMap<usize, Recorded>) {
        let catalog = Catalog::new(at.join("data/sessions"));
        let mut readers = BTreeMap::new();
        for seen in required {
            let Some(recorded) = records.get(&seen.number) else {
                continue;
            };
            let reader = readers.entry(&recorded.session).or_insert_with(|| {
                let directory = catalog.find(&recorded.session)?;
                SessionReader::open(directory)
            });
            let found = match reader {
                Ok(reader) => body(reader, CallNumber(recorded.number)),
                Err(e) => Err(e.to_string()),
            };
            match found {
                Ok(body) if digest(&body) == seen.body => {}
                Ok(body) => {
                    let (now, then) = (body.len(), seen.body.0);
                    let words = format!("{}: {now} bytes, {then} were seen", seen.request);
                    self.lost.push(words);
                }
                Err(why) => self.lost.push(format!("{}: {why}", seen.request)),
            }
        }
    }

    /// An agent's thread makes a call when the one before was answered. So what is on record of a
    /// thread has no gap, and stands in order.
    fn keeps_order(&mut self, recording: &Recording, records: &BTreeMap<usize, Recorded>) {
        let mut threads = BTreeMap::<usize, Vec<&Seen>>::new();
        for seen in &recording.seen {
            let (thread, _) = thread_and_turn(seen.number);
            threads.entry(thread).or_default().push(seen);
        }
        for calls in threads.values_mut() {
            calls.sort_by_key(|seen| seen.number);
            let there: Vec<Option<u64>> = calls
                .iter()
                .map(|seen| records.get(&seen.number).map(|recorded| recorded.number))
                .collect();
            let is_whole = there.is_sorted_by(|before, after| match (before, after) {
                (Some(before), Some(after)) => before < after,
                (None, Some(_)) => false,
                (_, None) => true,
            });
            if !is_whole {
                self.lost.push(format!("a gap or a wrong order: {there:?}"));
            }
        }
    }

    /// `show` gives the body that was seen.
    fn shows(&mut self, at: &Path, seen: &Seen, records: &BTreeMap<usize, Recorded>) {
        let Some(recorded) = records.get(&seen.number) else {
            return;
        };
        let number = recorded.number.to_string();
        let show = ["show", &recorded.session, &number, "--body", "request"];
        let shown = ddgate(at, &show);
        self.expect(shown.status.success(), "show", &shown);
        if digest(&shown.stdout) != seen.body {
            self.lost.push(format!("another body: {}", seen.request));
        }
    }
}

/// The recorded body of a request.
fn body(reader: &SessionReader, call: CallNumber) -> Result<Vec<u8>, String> {
    let leaves = reader.call(call).map_err(|e| e.to_string())?;
    let of_request = |event: &Event| match event {
        Event::CallRequest(_) => true,
        Event::CallStream(stream) => stream.side == Side::Request && stream.end,
        _ => false,
    };
    // The one that ends a streamed body stands after the one that began the call.
    let leaf = leaves.iter().rfind(|leaf| of_request(&leaf.event));
    let leaf = leaf.ok_or("no request")?;
    let field = reader.field(leaf.i, "body").map_err(|e| e.to_string())?;
    let Some(field) = field else {
        return Ok(Vec::new());
    };
    let committed = match &leaf.event {
        Event::CallRequest(request) => request.body.as_ref(),
        Event::CallStream(stream) => Some(&stream.body),
        _ => None,
    };
    if committed != Some(&field.commitment) {
        return Err("its body is not what its leaf commits to".into());
    }
    Ok(field.content)
}
