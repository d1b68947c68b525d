//! Which signals ddgate hands on to the child, and why.
//!
//! People press keys and send signals to *the command they started*, and mean the agent.
//! ddgate stands between, in the same process group, and has to be transparent without
//! delivering anything twice: the second SIGINT makes many programs drop what they do.
//!
//! **Signals from the keyboard: SIGINT, SIGQUIT, SIGTSTP; and SIGWINCH, SIGHUP from the
//! terminal itself.** The terminal sends them to every process of its foreground group. If
//! the child is in our group and that group is in the foreground, the child has it already
//! and nothing is sent. Otherwise somebody sent it to ddgate by `kill`, or the child has made
//! a group of its own (an interactive shell does), and it is handed on. A `kill -INT` to
//! ddgate alone, while it is in the foreground, looks like Ctrl-C and is not handed on; SIGTERM
//! is what programs send. When a terminal disappears it can no longer be asked for its
//! foreground group, so SIGHUP may come twice: the only signal where twice is as good as once.
//!
//! **SIGTERM, SIGUSR1, SIGUSR2** never come from a terminal: always handed on. ddgate itself
//! does not end by SIGTERM: it ends when the child does, with the session closed. A child that
//! ignores SIGTERM keeps running, as it would without ddgate.
//!
//! **Stopping.** Ctrl-Z stops the child if it wishes (an editor may put the terminal in order
//! first; a program may ignore it), never ddgate by itself. When the child *is* stopped, by
//! whatever, ddgate stops, too, by SIGSTOP, since that cannot be caught: the shell sees its
//! job stopped and takes the terminal back. The shell continues the whole group, so that the
//! child usually runs again before ddgate does, and may even have stopped anew; if it is still
//! in the same stop a moment after ddgate has heard SIGCONT, it is in another group, or SIGCONT
//! was for ddgate alone, and ddgate continues it. A SIGTSTP that comes while the child is
//! stopped, or has just been continued, is the one that stopped it, and is dropped. Without a
//! controlling terminal there is no shell to give way to; then the gate stays open, or whoever
//! pauses just the child and continues just the child would find the gate shut. (With a
//! terminal that remains: such a child needs `fg`, `bg`, or SIGCONT to ddgate.)
//!
//! **Ignored signals.** A caller that ignores a signal (`nohup`: SIGHUP; a shell's background
//! job: SIGINT, SIGQUIT) has it ignored in the child: a handler, which would become the default
//! there, is installed for such a signal only after the child has started. Handing it on then
//! changes nothing for the child, and ddgate stays for as long as the child does. All other
//! handlers are there before the child is, so that no signal finds ddgate unprepared with a
//! child under way. Where the system does not say what is ignored, all are installed
//! afterwards. Exceptions: SIGPIPE, which Rust's runtime ignores in ddgate and restores to its
//! default in every child; and SIGCHLD (see `unix`).
//!
//! **Afterwards** the handlers stay: while the session is being closed, which is bounded by
//! time limits, Ctrl-C must not tear the journal.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, getpgid, getpgrp};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{self, SignalKind};

/// What ddgate listens to while the child runs.
const HEARD: [Signal; 9] = [
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::HUP,
    Signal::TSTP,
    Signal::CONT,
    Signal::WINCH,
    Signal::USR1,
    Signal::USR2,
];

/// Receives every signal of [`HEARD`].
#[derive(Debug)]
pub(super) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Installs, for good, the handlers that cannot change what the child inherits. Needs a
    /// tokio runtime that does I/O.
    pub(super) fn install() -> io::Result<Self> {
        let mut signals = Self {
            streams: Vec::with_capacity(HEARD.len()),
        };
        if let Some(ignored) = ignored() {
            for signal in HEARD {
                if ignored & (1 << (signal.as_raw() - 1)) == 0 {
                    signals.add(signal)?;
                }
            }
        }
        Ok(signals)
    }

    /// Installs the others: to be called when the child has started.
    pub(super) fn install_rest(&mut self) -> io::Result<()> {
        for signal in HEARD {
            if self.streams.iter().all(|(other, _)| *other != signal) {
                self.add(signal)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, signal: Signal) -> io::Result<()> {
        let stream = unix::signal(SignalKind::from_raw(signal.as_raw()))?;
        self.streams.push((signal, stream));
        Ok(())
    }

    /// The next signal. Of one kind, those that come together are one, as everywhere in Unix.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.streams {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Which signals this process ignores, bit n-1 for signal n. Asking `sigaction` would take
/// unsafe code; only Linux says it otherwise.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Whether the child needs to be sent this signal by us: see the top of this file.
pub(super) fn is_for_us_to_send(signal: Signal, child: Pid) -> bool {
    !is_from_terminal(signal) || !is_in_foreground_with_us(child)
}

/// Whether there is a controlling terminal, and so perhaps a shell that controls jobs.
pub(super) fn has_terminal() -> bool {
    foreground_group().is_some()
}

fn is_from_terminal(signal: Signal) -> bool {
    [
        Signal::INT,
        Signal::QUIT,
        Signal::TSTP,
        Signal::WINCH,
        Signal::HUP,
    ]
    .contains(&signal)
}

fn is_in_foreground_with_us(child: Pid) -> bool {
    let ours = getpgrp();
    getpgid(Some(child)) == Ok(ours) && foreground_group() == Some(ours)
}

/// The terminal is asked by its own name: standard input may be a pipe.
fn foreground_group() -> Option<Pid> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?;
    tcgetpgrp(terminal).ok()
}
