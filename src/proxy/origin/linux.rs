//! Linux: from a connection to its socket (netlink), from the socket to a process (`/proc`), and
//! from there up to the session's child.
//!
//! `/proc/net/tcp` would name the socket too, but takes milliseconds on a machine with a large
//! connection table; the kernel answers for one connection in microseconds. The child's tree is
//! walked down first; the whole of `/proc` only if the owner is not in it. A process that left the
//! tree (its parent ended) is still ours when its environment holds the session's placeholders or
//! address. Invariant: "foreign" is said only of a process that was found, is no descendant, and
//! either is older than the child or shows an environment without any sign of the session.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::{Found, Id, Member, agent};
use crate::limits;
use crate::record::Secret;
use crate::record::process::Program;

/// The session's child, and whose child it is in turn.
#[derive(Debug)]
pub(super) struct Root {
    id: Id,
    ancestors: Vec<Id>,
}

impl Root {
    /// None when `/proc` does not say.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let (member, mut parent) = stat(pid)?;
        let mut ancestors = Vec::new();
        while parent != 0 && ancestors.len() < limits::PROCESS_CHAIN_MAX {
            let (member, next) = stat(parent)?;
            ancestors.push(member.id);
            parent = next;
        }
        Some(Self {
            id: member.id,
            ancestors,
        })
    }

    /// Whether this is the child.
    pub(super) fn is(&self, id: Id) -> bool {
        self.id == id
    }

    /// Finds whose the client's end of a connection is.
    ///
    /// `recent` are processes to look at first, `ours` those known to be of the tree.
    pub(super) fn search(
        &self,
        client: SocketAddr,
        gate: SocketAddr,
        recent: &[Id],
        ours: &HashSet<Id>,
        marks: &[Secret<String>],
    ) -> Found {
        let deadline = Instant::now() + limits::ORIGIN_SEARCH;
        match inode(client, gate).and_then(|inode| self.owner(inode, recent, deadline)) {
            Some(owner) => self.judge(owner, ours, marks),
            None => Found::Unknown,
        }
    }

    fn owner(&self, inode: u64, recent: &[Id], deadline: Instant) -> Option<u32> {
        let link = format!("socket:[{inode}]");
        let mut tried = HashSet::new();
        for id in recent {
            let is_same = stat(id.pid).is_some_and(|(member, _)| member.id == *id);
            if is_same && tried.insert(id.pid) && holds(id.pid, &link) {
                return Some(id.pid);
            }
        }
        let mut open = vec![self.id.pid];
        let mut walked = HashSet::new();
        while let Some(pid) = open.pop() {
            if Instant::now() > deadline {
                return None;
            }
            if !walked.insert(pid) {
                continue;
            }
            if tried.insert(pid) && holds(pid, &link) {
                return Some(pid);
            }
            open.extend(children(pid));
        }
        for pid in fs::read_dir("/proc").ok()?.flatten().filter_map(number) {
            if Instant::now() > deadline {
                return None;
            }
            if tried.insert(pid) && holds(pid, &link) {
                return Some(pid);
            }
        }
        None
    }

    /// Says whether a process is of the child's tree.
    fn judge(&self, owner: u32, ours: &HashSet<Id>, marks: &[Secret<String>]) -> Found {
        let Some((first, mut parent)) = stat(owner) else {
            return Found::Unknown;
        };
        if self.ancestors.contains(&first.id) {
            return Found::Foreign(first);
        }
        let mut chain = vec![first];
        loop {
            if chain.last().is_some_and(|last| last.id == self.id) {
                return Found::Ours(chain);
            }
            if chain.len() >= limits::PROCESS_CHAIN_MAX {
                return Found::Unknown;
            }
            let Some((next, above)) = stat(parent) else {
                // It ended meanwhile, or `/proc` hides it.
                return Found::Unknown;
            };
            if self.ancestors.contains(&next.id) {
                break;
            }
            chain.push(next);
            parent = above;
        }
        // The last one's parent is an ancestor of the child. So it was either started from there,
        // or is an orphan of ours: those are handed up to such an ancestor.
        if let Some(at) = chain.iter().position(|member| ours.contains(&member.id)) {
            chain.truncate(at + 1);
            return Found::Ours(chain);
        }
        let is_older = |member: &Member| member.id.start < self.id.start;
        if chain.last().is_some_and(is_older) {
            return Found::Foreign(first);
        }
        let shown: Option<Vec<bool>> = chain
            .iter()
            .map(|member| Some(is_marked(&environment(member.id.pid)?, marks)))
            .collect();
        match shown {
            Some(shown) if shown.contains(&true) => Found::Ours(chain),
            Some(_) => Found::Foreign(first),
            None => Found::Unknown,
        }
    }
}

/// What a process runs; none when it is gone, or is another one by now.
pub(super) fn program(member: Member) -> Option<Program> {
    let pid = member.id.pid;
    let exe = fs::read_link(format!("/proc/{pid}/exe"))
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default();
    let line = read(pid, "cmdline", limits::PROCESS_COMMAND_BYTES_MAX)?;
    let agent = environment(pid).and_then(|environment| agent::says(&environment));
    let (now, _) = stat(pid)?;
    (now == member).then(|| Program {
        exe,
        args: words(&line),
        agent,
    })
}

/// Whole words only: of one that was cut, a secret might be left that nobody recognises.
fn words(line: &[u8]) -> Vec<String> {
    let end = line.iter().rposition(|byte| *byte == 0);
    let whole = match end {
        Some(end) => &line[..end],
        None if line.len() < limits::PROCESS_COMMAND_BYTES_MAX => line,
        None => &[],
    };
    let words = whole.split(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|_| !whole.is_empty()).collect()
}

fn is_marked(environment: &[u8], marks: &[Secret<String>]) -> bool {
    marks.iter().any(|mark| {
        let mark = mark.expose().as_bytes();
        environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| entry.splitn(2, |byte| *byte == b'=').nth(1))
            .any(|value| value == mark)
    })
}

/// As it was when the process began.
fn environment(pid: u32) -> Option<Vec<u8>> {
    read(pid, "environ", limits::PROCESS_ENVIRONMENT_BYTES_MAX)
}

/// A process now, and the number of its parent.
fn stat(pid: u32) -> Option<(Member, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, brackets too (proc_pid_stat(5)).
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let member = Member {
        id: Id {
            pid,
            start: field(22)?,
        },
        image: field(48).unwrap_or_default(),
    };
    Some((member, u32::try_from(field(4)?).ok()?))
}

fn holds(pid: u32, link: &str) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == link))
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let texts = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    texts
        .flat_map(|text| {
            let words = text.split_whitespace();
            words
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn number(entry: fs::DirEntry) -> Option<u32> {
    entry.file_name().to_str()?.parse().ok()
}

fn read(pid: u32, name: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let file = fs::File::open(format!("/proc/{pid}/{name}")).ok()?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Asks the kernel for the socket of a connection (sock_diag(7)): the client's end of it.
fn inode(client: SocketAddr, gate: SocketAddr) -> Option<u64> {
    const DIAG_BY_FAMILY: u16 = 20;
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    const ANY: u32 = u32::MAX;
    // Offsets of `inet_diag_msg.idiag_inode` behind the header, and of the answer's type.
    const INODE: std::ops::Range<usize> = 84..88;
    const KIND: std::ops::Range<usize> = 4..6;

    let mut ask = Vec::with_capacity(72);
    ask.extend(72_u32.to_ne_bytes());
    ask.extend(DIAG_BY_FAMILY.to_ne_bytes());
    ask.extend(REQUEST.to_ne_bytes());
    ask.extend([0; 8]);
    let family = match client.ip() {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    ask.extend([u8::try_from(family.as_raw()).ok()?, TCP, 0, 0]);
    ask.extend(ANY.to_ne_bytes());
    ask.extend(client.port().to_be_bytes());
    ask.extend(gate.port().to_be_bytes());
    for address in [client.ip(), gate.ip()] {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(it) => bytes[..4].copy_from_slice(&it.octets()),
            IpAddr::V6(it) => bytes = it.octets(),
        }
        ask.extend(bytes);
    }
    ask.extend(0_u32.to_ne_bytes());
    ask.extend([u8::MAX; 8]);

    let kind = SocketType::DGRAM;
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        kind,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .ok()?;
    rustix::net::send(&socket, &ask, SendFlags::empty()).ok()?;
    let mut answer = [0; 512];
    // The kernel has answered by the time `send` is back.
    let (_, length) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::DONTWAIT).ok()?;
    let answer = answer.get(..length)?;
    let is_found = answer.get(KIND)? == DIAG_BY_FAMILY.to_ne_bytes();
    let inode = u32::from_ne_bytes(answer.get(INODE)?.try_into().ok()?);
    (is_found && inode != 0).then(|| inode.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A shell that connects (or has connected) to the port, and the connection.
    fn connected(
        script: &str,
        set: &[(&str, &str)],
    ) -> (Killed, TcpListener, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = script.replace("PORT", &port.to_string());
        let child = Command::new("bash")
            .args(["-c", &script])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(set.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let child = Killed(child);
        let (stream, client) = listener.accept().unwrap();
        (child, listener, stream, client)
    }

    fn search(root: u32, listener: &TcpListener, client: SocketAddr, marks: &[&str]) -> Found {
        let marks: Vec<_> = marks
            .iter()
            .map(|it| Secret::new((*it).to_owned()))
            .collect();
        let gate = listener.local_addr().unwrap();
        Root::of(root)
            .unwrap()
            .search(client, gate, &[], &HashSet::new(), &marks)
    }

    #[test]
    fn a_grandchild_is_found_with_its_chain() {
        let script = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT; sleep 60; :' word; :";
        let (child, listener, _stream, client) = connected(script, &[("GEMINI_CLI", "1")]);
        let Found::Ours(chain) = search(child.0.id(), &listener, client, &[]) else {
            panic!("it is ours");
        };
        assert_eq!(chain.len(), 2, "{chain:?}");
        assert_eq!(chain[1].id.pid, child.0.id());
        let program = program(chain[0]).unwrap();
        assert!(program.exe.ends_with("/bash"), "{program:?}");
        assert_eq!(program.args[0], "bash");
        assert_eq!(program.args.last().unwrap(), "word");
        assert_eq!(program.agent.unwrap().name, "gemini-cli");
        let other = Member {
            image: chain[0].image ^ 1,
            ..chain[0]
        };
        assert_eq!(super::program(other), None, "it ran something else then");
    }

    #[test]
    fn whoever_is_older_or_shows_no_sign_is_foreign() {
        // This test is its own, and older than any child.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let client = own.local_addr().unwrap();
        let child = Killed(Command::new("sleep").arg("60").spawn().unwrap());
        let found = search(child.0.id(), &listener, client, &[]);
        assert!(matches!(found, Found::Foreign(it) if it.id.pid == std::process::id()));

        let script = "exec 3<>/dev/tcp/127.0.0.1/PORT; sleep 60; :";
        let (other, listener, _stream, client) = connected(script, &[("A", "somebody")]);
        let found = search(child.0.id(), &listener, client, &["placeholder"]);
        assert!(
            matches!(found, Found::Foreign(it) if it.id.pid == other.0.id()),
            "{found:?}"
        );
    }

    #[test]
    fn an_orphan_is_known_by_its_environment() {
        let script = "(bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT; exec sleep 60' &) ; sleep 60; :";
        let (child, listener, _stream, client) = connected(script, &[("KEY", "placeholder")]);
        // The process in between ends on its own time.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let Found::Ours(chain) = search(child.0.id(), &listener, client, &["placeholder"]) else {
            panic!("it is ours");
        };
        let foreign = search(child.0.id(), &listener, client, &["other"]);
        assert!(matches!(foreign, Found::Foreign(_)), "{foreign:?}");
        let pid = rustix::process::Pid::from_raw(chain[0].id.pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn a_connection_that_is_gone_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert!(matches!(
            search(std::process::id(), &listener, client, &[]),
            Found::Unknown
        ));
    }

    #[test]
    fn a_cut_word_is_left_out() {
        assert_eq!(words(b"a\0b c\0"), ["a", "b c"]);
        assert_eq!(words(b"title without end"), ["title without end"]);
        assert_eq!(words(b""), Vec::<String>::new());
        let long = [
            b"a\0".to_vec(),
            vec![b'x'; limits::PROCESS_COMMAND_BYTES_MAX],
        ]
        .concat();
        assert_eq!(words(&long[..limits::PROCESS_COMMAND_BYTES_MAX]), ["a"]);
        assert!(words(&long[2..]).is_empty());
    }
}
