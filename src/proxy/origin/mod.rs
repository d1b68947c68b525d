//! Who is at the other end of a connection: which process, and whether it is of the child's tree.
//!
//! Looked up once a connection, with its first request, and recorded once a process: calls refer
//! to the number. Invariant: a number is queued for the record before any call that names it. Not
//! knowing is no reason to refuse: the placeholder is the right to use the gate, and only a process
//! that is known to be somebody else's loses it.

mod agent;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod platform;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, OnceCell, OwnedMutexGuard, OwnedSemaphorePermit};

use super::streams::OpenStream;
use super::{Keys, Proxy};
use crate::journal::commit;
use crate::limits;
use crate::record::event::Process;
use crate::record::process::Program;
use crate::record::{Event, Secret};

/// The rule, and the verdict, of a call from somebody else's process.
pub(super) const FOREIGN: &str = "foreign-process";
/// What such a process is told.
pub(super) const FOREIGN_MESSAGE: &str = "this gate answers only the command that `ddgate run` \
     started and what that started; run your command through its own `ddgate run -- …`";

/// What stands as parent of the session's own child.
const GATE: u64 = 0;

/// A process: its number, and when it began, since numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Id {
    pid: u32,
    /// In the system's own units, since boot.
    start: u64,
}

/// A process running one program: one that executes another counts as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Member {
    id: Id,
    /// Where its arguments stand in memory, which no two programs of a process share.
    image: u64,
}

/// What a search found.
#[derive(Clone, Debug)]
enum Found {
    /// Nobody, or nobody can tell.
    Unknown,
    /// A process of the child's tree: itself first, then its parents, as far as they are ours.
    Ours(Vec<Member>),
    /// A process of somebody else's.
    Foreign(Member),
}

/// Who is at the other end. The numbers are those of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum By {
    /// Nobody can tell.
    #[default]
    Unknown,
    /// A process of the child's tree.
    Ours(u64),
    /// A process of somebody else's.
    Foreign(u64),
}

impl By {
    /// Its number in the record.
    pub(super) const fn number(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Ours(number) | Self::Foreign(number) => Some(number),
        }
    }
}

/// The other end of one connection, and the place the connection takes among
/// [`crate::limits::CONNECTIONS_MAX`]: free again when the last holder is gone, so that a tunnel
/// keeps the place of the connection it came out of, and its stream there.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    connection: Arc<Connection>,
    _stream: Option<Arc<OpenStream>>,
}

#[derive(Debug)]
struct Connection {
    client: SocketAddr,
    by: OnceCell<By>,
    _place: OwnedSemaphorePermit,
}

impl Origin {
    pub(super) fn new(client: SocketAddr, place: OwnedSemaphorePermit) -> Self {
        let connection = Connection {
            client,
            by: OnceCell::new(),
            _place: place,
        };
        Self {
            connection: Arc::new(connection),
            _stream: None,
        }
    }

    /// The same for what comes in one stream of the connection.
    pub(super) fn within(&self, stream: Arc<OpenStream>) -> Self {
        Self {
            connection: Arc::clone(&self.connection),
            _stream: Some(stream),
        }
    }

    /// Who it is. Looked up once.
    pub(super) async fn by(&self, proxy: &Proxy) -> By {
        let connection = &self.connection;
        let look = || proxy.origins.look(proxy, connection.client);
        *connection.by.get_or_init(look).await
    }
}

/// The processes of a session.
#[derive(Debug)]
pub struct Origins {
    root: OnceLock<Arc<platform::Root>>,
    marks: Arc<[Secret<String>]>,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Member, u64>,
    ours: HashSet<Id>,
    /// The last owners, the latest first.
    recent: VecDeque<Id>,
    next: u64,
}

/// A process that is not on record yet.
struct New {
    number: u64,
    parent: Option<u64>,
    member: Member,
    foreign: bool,
    program: Option<Program>,
}

impl Origins {
    /// Knows the session's processes by what the child's environment holds: a placeholder, or the
    /// gate's address.
    #[must_use]
    pub fn new(keys: &Keys, gate: SocketAddr) -> Self {
        let placeholders = keys.named().map(|(_, slot)| slot.placeholder.clone());
        let address = Secret::new(format!("http://{gate}"));
        Self {
            root: OnceLock::new(),
            marks: placeholders.chain([address]).collect(),
            table: Arc::default(),
        }
    }

    /// Says which process is the session's child. Before that, and where the system does not tell
    /// about processes, everybody is unknown.
    pub fn watch(&self, pid: u32) {
        if let Some(root) = platform::Root::of(pid) {
            // There is one child.
            let _ = self.root.set(Arc::new(root));
        }
    }

    async fn look(&self, proxy: &Proxy, client: SocketAddr) -> By {
        let Some(root) = self.root.get().cloned() else {
            return By::Unknown;
        };
        let (marks, gate) = (Arc::clone(&self.marks), proxy.address);
        // One at a time, and held until what is new is queued for the record.
        let table = Arc::clone(&self.table).lock_owned().await;
        let search = move || entered(&root, client, gate, &marks, table);
        let Ok((_table, by, new)) = proxy.tasks.spawn_blocking(search).await else {
            return By::Unknown;
        };
        for process in new {
            let program = process.program.map(|program| {
                // Strings and lists of them: serde_json takes them all.
                let json = serde_json::to_string(&program).unwrap_or_default();
                commit("program", proxy.known.text(&json).into())
            });
            let event = Event::Process(Process {
                process: process.number,
                pid: process.member.id.pid,
                parent: process.parent,
                foreign: process.foreign,
                program: program.as_ref().map(|program| program.commitment()),
            });
            // What cannot be recorded cannot be sent either: the call itself will say so.
            let _ = proxy
                .journal
                .mention(event, program.into_iter().collect())
                .await;
        }
        by
    }
}

/// Searches, and numbers what is new.
fn entered(
    root: &platform::Root,
    client: SocketAddr,
    gate: SocketAddr,
    marks: &[Secret<String>],
    mut table: OwnedMutexGuard<Table>,
) -> (OwnedMutexGuard<Table>, By, Vec<New>) {
    let recent: Vec<Id> = table.recent.iter().copied().collect();
    let found = root.search(client, gate, &recent, &table.ours, marks);
    let mut new = Vec::new();
    let by = match found {
        Found::Unknown => By::Unknown,
        Found::Foreign(member) => By::Foreign(table.number(member, None, true, &mut new)),
        Found::Ours(chain) => {
            let is_child = chain.last().is_some_and(|last| root.is(last.id));
            let mut parent = is_child.then_some(GATE);
            for member in chain.iter().rev() {
                table.ours.insert(member.id);
                parent = Some(table.number(*member, parent, false, &mut new));
            }
            if let Some(owner) = chain.first() {
                table.recently(owner.id);
            }
            parent
                .filter(|it| *it != GATE)
                .map_or(By::Unknown, By::Ours)
        }
    };
    for process in &mut new {
        process.program = platform::program(process.member);
    }
    (table, by, new)
}

impl Table {
    fn number(
        &mut self,
        member: Member,
        parent: Option<u64>,
        foreign: bool,
        new: &mut Vec<New>,
    ) -> u64 {
        if let Some(number) = self.numbers.get(&member) {
            return *number;
        }
        if self.numbers.len() >= limits::PROCESSES_KNOWN_MAX {
            // Those still about will be recorded once more, under new numbers.
            self.numbers.clear();
            self.ours.clear();
        }
        self.next += 1;
        self.numbers.insert(member, self.next);
        new.push(New {
            number: self.next,
            parent,
            member,
            foreign,
            program: None,
        });
        self.next
    }

    fn recently(&mut self, id: Id) {
        self.recent.retain(|other| *other != id);
        self.recent.push_front(id);
        self.recent.truncate(limits::ORIGIN_RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(pid: u32, image: u64) -> Member {
        Member {
            id: Id { pid, start: 1 },
            image,
        }
    }

    #[test]
    fn a_process_is_numbered_once_and_again_when_it_runs_something_else() {
        let (mut table, mut new) = (Table::default(), Vec::new());
        let shell = table.number(member(7, 1), None, false, &mut new);
        assert_eq!(table.number(member(7, 1), None, false, &mut new), shell);
        let other = table.number(member(7, 2), Some(shell), false, &mut new);
        assert_ne!(other, shell);
        let numbers: Vec<_> = new.iter().map(|it| (it.number, it.parent)).collect();
        assert_eq!(numbers, [(1, None), (2, Some(1))]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut table, mut new) = (Table::default(), Vec::new());
        for pid in 0..limits::PROCESSES_KNOWN_MAX as u32 + 10 {
            table.number(member(pid, 1), None, false, &mut new);
            table.recently(Id { pid, start: 1 });
        }
        assert!(table.numbers.len() <= limits::PROCESSES_KNOWN_MAX);
        assert_eq!(table.recent.len(), limits::ORIGIN_RECENT);
        let last = new.last().unwrap().number;
        assert_eq!(
            last,
            limits::PROCESSES_KNOWN_MAX as u64 + 10,
            "numbers go on"
        );
    }
}
