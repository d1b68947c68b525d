//! Files of sessions that are over are damaged: flipped bits, blocks of zeros, cut ends. The invariant:
//! what is shown is what was shown before, or it is said that something is missing; never a panic,
//! a hang, or a silent gap.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::dice::{Dice, asked};
use crate::world::{Outcome, World, wait_until};

const BLOCK_BYTES: usize = 512;

/// A session that is over, and what is said of it.
struct Finished {
    world: World,
    id: String,
    is_closed: bool,
    /// Paths below the session's directory, with their content.
    files: Vec<(PathBuf, Vec<u8>)>,
    calls: usize,
    /// What each command printed, and said.
    shown: BTreeMap<Vec<String>, (Vec<u8>, String)>,
}

/// How a command took the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    /// It showed what it had shown before.
    Unharmed,
    /// It showed something else, and said that something is wrong.
    Told,
    /// It showed nothing, and said why.
    Refused,
}

/// Whether a command took the damage as it must.
fn taken(before: &(Vec<u8>, String), after: &Outcome) -> Result<Taken, &'static str> {
    let said = after.said();
    if said.contains("should never reach") || said.contains("panicked") {
        return Err("a panic");
    }
    match after.code {
        Some(0 | 2) if after.stdout == before.0 && said == before.1 => Ok(Taken::Unharmed),
        Some(0) if said != before.1 => Ok(Taken::Told),
        // Shown as far as it goes, and marked; or the verdict of `verify`.
        Some(1 | 2) if !after.stdout.is_empty() => Ok(Taken::Told),
        Some(0) => {
            let shown: Value = serde_json::from_slice(&after.stdout).unwrap_or_default();
            match shown["contradictions"].as_array() {
                Some(told) if !told.is_empty() => Ok(Taken::Told),
                _ => Err("a silent gap"),
            }
        }
        Some(1 | 4) if !said.is_empty() => Ok(Taken::Refused),
        _ => Err("an end nobody expects"),
    }
}

impl Finished {
    fn record(is_closed: bool) -> Self {
        let world = World::new();
        let long = "noise, ".repeat(1_000);
        let longer = "noise, ".repeat(12_000);
        let script = format!(
            "GET /api/v1/monitor\nPUT /api/v1/monitor/1 {{\"name\": \"noise\"}}\n\
             PUT /api/v1/monitor/2 {{\"message\": \"{long}\"}}\nnokey GET /api/v1/monitor/3\n\
             POST /api/v9/thing/4 {{\"name\": \"noise\"}}\n\
             PUT /api/v1/monitor/5 {{\"message\": \"{longer}\"}}\nDELETE /api/v1/monitor/6"
        );
        if is_closed {
            world.agent(&script).succeeds();
        } else {
            let (done, go) = (world.root().join("done"), world.root().join("go"));
            let (touch, wait) = (done.display(), go.display());
            let mut live = world
                .agent(&format!("{script}\ntouch {touch}\nawait {wait}"))
                .spawn();
            wait_until("its calls are made", || done.exists());
            live.kill();
            // The agent holds the streams of its gate: it has to end first.
            std::fs::write(go, "").unwrap();
            live.end();
        }
        let id = world.session_ids().remove(0);
        if !is_closed {
            // Nobody saw to the index.
            world.ddgate(["show", &id, "1"]).succeeds();
        }
        let directory = world.sessions().join(&id);
        let mut files = world.all_files();
        files.retain_mut(|(path, _)| match path.strip_prefix(&directory) {
            Ok(below) => {
                *path = below.to_owned();
                true
            }
            Err(_) => false,
        });
        files.sort();
        let mut finished = Self {
            world,
            id,
            is_closed,
            files,
            calls: 7,
            shown: BTreeMap::new(),
        };
        let mut commands = finished.commands(0);
        commands.extend((1..=finished.calls).map(|call| finished.show(call)));
        for command in commands {
            let outcome = finished.world.ddgate(&command).go();
            // Only `verify` minds that a session was not closed.
            let expected = if command[0] == "verify" && !is_closed {
                2
            } else {
                0
            };
            assert_eq!(outcome.code, Some(expected), "{command:?}: {outcome:?}");
            let said = outcome.said();
            finished.shown.insert(command, (outcome.stdout, said));
        }
        finished
    }

    fn show(&self, call: usize) -> Vec<String> {
        ["show", &self.id, &call.to_string(), "--json"]
            .map(str::to_owned)
            .into()
    }

    /// What is asked about every damage; the first question comes again, because what was said
    /// once must not be forgotten.
    fn commands(&self, call: usize) -> Vec<Vec<String>> {
        let replay = ["replay", &self.id, "--json"].map(str::to_owned).to_vec();
        let sessions = ["sessions", "--json"].map(str::to_owned).to_vec();
        let verify = ["verify", &self.id, "--json"].map(str::to_owned).to_vec();
        let mut commands = vec![verify, replay.clone(), sessions];
        if call > 0 {
            commands.extend([self.show(call), replay]);
        }
        commands
    }

    /// Puts everything back as it was.
    fn restore(&self) {
        let directory = self.world.sessions().join(&self.id);
        std::fs::remove_dir_all(&directory).unwrap();
        for (below, bytes) in &self.files {
            let path = directory.join(below);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Damages one file somewhere; says how, and whether `verify` has to find it.
    fn damage(&self, dice: &mut Dice) -> (String, bool) {
        let directory = self.world.sessions().join(&self.id);
        let is_record = |path: &PathBuf| path.extension().is_some_and(|end| end == "ddw");
        let record = self.files.iter().position(|(path, _)| is_record(path));
        let index = self.files.iter().position(|(path, _)| path.ends_with("db"));
        let chosen = match dice.below(8) {
            0..4 => record.unwrap(),
            4..6 => index.unwrap(),
            _ => dice.below(self.files.len()),
        };
        let (below, bytes) = &self.files[chosen];
        let mut bytes = bytes.clone();
        let mut how = below.display().to_string();
        // Where the index is whole it hides what happened to the record.
        if is_record(below) && dice.once_in(2) {
            drop(std::fs::remove_dir_all(directory.join("index")));
            how += " without index";
        }
        let mut must_be_found = false;
        if bytes.is_empty() {
            bytes.push(1);
            how += ": a byte added";
        } else {
            // Space taken ahead is no content.
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            let at = dice.below(used);
            // Cut before its opening is complete, a session is one that never was: nothing but a
            // manifest could tell.
            let opening = if self.is_closed {
                0
            } else {
                opening_end(&bytes).min(used - 1)
            };
            match dice.below(4) {
                0 | 1 => {
                    must_be_found = is_record(below) && !is_padding(&bytes, at);
                    bytes[at] ^= 1 << dice.below(8);
                    how += &format!(": a bit at {at} flipped");
                }
                2 => {
                    let start = at / BLOCK_BYTES * BLOCK_BYTES;
                    let end = bytes.len().min(start + BLOCK_BYTES);
                    // Zeros on zeros change nothing.
                    must_be_found = is_record(below) && (start..end).any(|at| bytes[at] != 0);
                    bytes[start..end].fill(0);
                    how += &format!(": zeros from {start}");
                }
                _ => {
                    let at = at.max(opening);
                    // A record that was never closed, cut at a checkpoint, is one that ended there.
                    must_be_found = is_record(below) && self.is_closed;
                    bytes.truncate(at);
                    how += &format!(": cut at {at}");
                }
            }
        }
        std::fs::write(directory.join(below), bytes).unwrap();
        (how, must_be_found)
    }
}

/// Whether a byte stands between two entries, where nothing is looked at.
fn is_padding(bytes: &[u8], at: usize) -> bool {
    let next = (at + 1).next_multiple_of(8);
    bytes[at..next.min(bytes.len())]
        .iter()
        .all(|byte| *byte == 0)
        && bytes
            .get(next..next + 4)
            .is_none_or(|magic| magic == b"DDW1" || magic == [0; 4])
}

/// Where the second entry begins, or 0 where there are none.
fn opening_end(bytes: &[u8]) -> usize {
    let second = br#""i":1,"#;
    let at = bytes.windows(second.len()).position(|text| text == second);
    at.unwrap_or(0)
}

/// `DDGATE_DAMAGES` asks for more, `DDGATE_DAMAGES_SEED` for those of an earlier run.
fn damage_is_harmless_or_told(is_closed: bool, hundredth: u64) {
    let damages = asked("DDGATE_DAMAGES", 300) * hundredth / 100;
    let seed = asked("DDGATE_DAMAGES_SEED", 1);
    let finished = Finished::record(is_closed);
    let mut counts = BTreeMap::<Taken, usize>::new();
    let mut wrong = Vec::new();
    for number in 0..damages {
        let mut dice = Dice::new(seed.wrapping_add(number << 20));
        finished.restore();
        let (how, must_be_found) = finished.damage(&mut dice);
        let mut worst = Taken::Unharmed;
        for command in finished.commands(1 + dice.below(finished.calls)) {
            // One that hangs is ended, and fails the test, in the world of these tests.
            let outcome = finished.world.ddgate(&command).go();
            match taken(&finished.shown[&command], &outcome) {
                Ok(Taken::Unharmed) if must_be_found && command[0] == "verify" => {
                    wrong.push(format!("seed {seed}, {number}: {how}: not found by verify"));
                }
                Ok(taken) => worst = worst.max(taken),
                Err(why) => wrong.push(format!(
                    "seed {seed}, {number}: {how}: {}: {why} (code {:?}): {}",
                    command[0],
                    outcome.code,
                    outcome.said()
                )),
            }
        }
        *counts.entry(worst).or_default() += 1;
    }
    println!("{damages} damages: {counts:?}, {} wrong", wrong.len());
    let few = &wrong[..wrong.len().min(40)];
    assert!(wrong.is_empty(), "{} are wrong: {few:#?}", wrong.len());
    // All three have to happen, or the damage did not reach what it was meant for.
    assert_eq!(counts.len(), 3, "{counts:?}");
}

#[test]
fn damage_of_a_closed_session() {
    damage_is_harmless_or_told(true, 70);
}

/// It has no manifest, and the end of its file is taken ahead.
#[test]
fn damage_of_a_session_whose_gate_died() {
    damage_is_harmless_or_told(false, 30);
}
