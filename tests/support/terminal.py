"""Drives a shell on a pseudo-terminal, as a person would, and checks what comes of it.

Usage: terminal.py SCENARIO [PROBE ARGUMENT...]

Without a probe the command runs as it is: that is the behaviour the probe has to match.
A scenario fails by AssertionError, with everything the terminal showed.
"""

import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

PROBE = sys.argv[2:]
WAIT = 20

# Counts what it gets, and says so. `stop` lines make it end.
COUNTER = r"""
import os, signal, sys, time
counts = {}
def count(number, frame):
    name = signal.Signals(number).name
    counts[name] = counts.get(name, 0) + 1
for name in sys.argv[2:]:
    signal.signal(getattr(signal, name), count)
print("READY", flush=True)
end = time.time() + float(sys.argv[1])
while time.time() < end and not counts:
    time.sleep(0.02)
time.sleep(0.6)
print("COUNTS", sorted(counts.items()), "END", flush=True)
"""


class Terminal:
    """A shell with job control in a window of 24 by 80."""

    def __init__(self):
        self.shown = ""
        self.directory = tempfile.TemporaryDirectory()
        self.child, self.master = pty.fork()
        if self.child == 0:
            os.environ.update(PS1="PROMPT> ", TERM="dumb", HISTFILE="/dev/null")
            os.environ.pop("ENV", None)
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        os.set_blocking(self.master, False)
        self.size(24, 80)
        # The echo of what is typed must not be taken for an answer.
        self.type("stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; echo SE''TTLED\n")
        self.expect("SETTLED")

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self):
        try:
            data = os.read(self.master, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.shown += data.decode(errors="replace")

    def expect(self, pattern, within=WAIT):
        """Waits until the pattern is shown, and forgets everything up to its end."""
        end = time.time() + within
        while time.time() < end:
            self.read()
            found = re.search(pattern, self.shown)
            if found:
                self.shown = self.shown[found.end():]
                return found
            time.sleep(0.01)
        raise AssertionError(f"never saw {pattern!r} in:\n{self.shown}")

    def silent(self, pattern, seconds):
        time.sleep(seconds)
        self.read()
        assert not re.search(pattern, self.shown), f"saw {pattern!r} in:\n{self.shown}"

    def run(self, *command, after=""):
        """Starts a command as a job, with the probe around it if there is one."""
        path = os.path.join(self.directory.name, "job")
        with open(path, "w") as script:
            if PROBE:
                script.write("export LAUNCH_PROBE_COMMAND=" + shlex.quote("\n".join(command)) + "\n")
            words = PROBE or command
            script.write("exec " + " ".join(shlex.quote(word) for word in words) + "\n")
        self.type(f"bash {path}{after}\n")

    def python(self, text, *arguments, after=""):
        path = os.path.join(self.directory.name, "child.py")
        with open(path, "w") as script:
            script.write(text)
        self.run(sys.executable, path, *arguments, after=after)


def counted(terminal, expected):
    found = terminal.expect(r"COUNTS (.*) END").group(1)
    assert found == str(expected), f"{found} instead of {expected}"


def ctrl_c_once():
    terminal = Terminal()
    terminal.python(COUNTER, "15", "SIGINT", after="; echo CODE $?")
    terminal.expect("READY")
    terminal.type("\x03")
    counted(terminal, [("SIGINT", 1)])
    terminal.expect(r"CODE 0\b")


def ctrl_c_stops_loop():
    # A shell leaves its loop only if the command *died* of SIGINT.
    terminal = Terminal()
    terminal.run("sh", "-c", "echo RE''ADY; sleep 30")
    terminal.expect("READY")
    time.sleep(0.3)  # until `sleep` sleeps: shells differ in what they do just before
    terminal.type("\x03")
    terminal.expect("PROMPT> ")
    terminal.type("echo CODE $?\n")
    terminal.expect(r"CODE 130\b")
    path = os.path.join(terminal.directory.name, "job")
    terminal.type(f"for i in 1 2 3; do bash {path}; echo ROUND; done\n")
    terminal.expect("READY")
    time.sleep(0.3)  # until `sleep` sleeps: shells differ in what they do just before
    terminal.type("\x03")
    terminal.expect("PROMPT> ")
    terminal.type("echo DO''NE\n")
    assert "ROUND" not in terminal.expect("(?s).*DONE").group(0), "the loop went on"
    terminal.silent("ROUND|READY", 0.3)


def ctrl_backslash_once():
    terminal = Terminal()
    terminal.python(COUNTER, "15", "SIGQUIT")
    terminal.expect("READY")
    terminal.type("\x1c")
    counted(terminal, [("SIGQUIT", 1)])


TICKER = r"""
import time
print("READY", flush=True)
for tick in range(400):
    print("TICK", tick, "TOCK", flush=True)
    time.sleep(0.05)
"""


def ctrl_z_fg():
    terminal = Terminal()
    terminal.python(TICKER)
    for _ in range(3):
        terminal.expect("TICK")
        terminal.type("\x1a")
        terminal.expect(r"\[1\]\+\s+Stopped")
        terminal.expect("PROMPT> ")
        terminal.silent("TICK", 0.3)
        terminal.type("fg\n")
        terminal.expect("TICK")
    terminal.type("\x03")
    terminal.expect("PROMPT> ")
    terminal.type("echo CODE $?\n")
    terminal.expect(r"CODE 130\b")


def ctrl_z_bg():
    terminal = Terminal()
    terminal.python(TICKER)
    terminal.expect("TICK")
    terminal.type("\x1a")
    terminal.expect(r"\[1\]\+\s+Stopped")
    terminal.expect("PROMPT> ")
    terminal.type("bg\n")
    terminal.expect("TICK")
    terminal.type("echo FR''EE; kill -TERM %1; wait %1; echo CODE $?\n")
    terminal.expect("FREE")
    terminal.expect(r"CODE 143\b")


def ctrl_z_ignored():
    terminal = Terminal()
    ignoring = "import signal; signal.signal(signal.SIGTSTP, signal.SIG_IGN)\n"
    terminal.python(ignoring + TICKER)
    terminal.expect("TICK")
    terminal.type("\x1a")
    terminal.silent("Stopped|PROMPT", 0.5)
    terminal.expect("TICK")
    terminal.type("\x03")
    terminal.expect("PROMPT> ")


def stops_itself():
    # Some programs read Ctrl-Z as a key and stop themselves, with either signal.
    terminal = Terminal()
    stopping = r"""
import os, signal
for name in ["SIGTSTP", "SIGSTOP"]:
    print("READY", name, flush=True)
    os.kill(os.getpid(), getattr(signal, name))
    print("AGAIN", name, flush=True)
"""
    terminal.python(stopping, after="; echo CODE $?")
    for name in ["SIGTSTP", "SIGSTOP"]:
        terminal.expect(f"READY {name}")
        terminal.expect(r"Stopped")
        terminal.expect("PROMPT> ")
        terminal.type("fg\n")
        terminal.expect(f"AGAIN {name}")


def background_read():
    terminal = Terminal()
    reading = "print('READY', flush=True)\nprint('GOT', input(), flush=True)\n"
    terminal.python(reading, after=" &")
    terminal.expect("READY")
    terminal.type("\n")
    for _ in range(50):
        terminal.type("jobs\n")
        try:
            terminal.expect("Stopped", within=0.2)
            break
        except AssertionError:
            continue
    else:
        raise AssertionError("never stopped:\n" + terminal.shown)
    terminal.type("fg\n")
    time.sleep(0.3)
    terminal.type("hello\n")
    terminal.expect("GOT hello")


def window_size():
    terminal = Terminal()
    sized = COUNTER + "print('SIZE', *os.get_terminal_size(), 'END', flush=True)\n"
    terminal.python(sized, "15", "SIGWINCH")
    terminal.expect("READY")
    terminal.size(33, 99)
    counted(terminal, [("SIGWINCH", 1)])
    terminal.expect("SIZE 99 33 END")


def shell_inside():
    # It makes its own process group and takes the terminal; Ctrl-C and Ctrl-Z are its own.
    terminal = Terminal()
    terminal.run("env", "PS1=INNER> ", "bash", "--norc", "--noprofile", "-i")
    terminal.expect("INNER> ")
    terminal.type("sleep 30\n")
    time.sleep(0.4)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("INNER> ")
    terminal.type("fg\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.expect("INNER> ")
    terminal.type("exit 23\n")
    terminal.expect("PROMPT> ")
    terminal.type("echo CODE $?\n")
    terminal.expect(r"CODE 23\b")
    # And the terminal is the outer shell's again.
    terminal.type("cat\n")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect("PROMPT> ")


def hang_up():
    terminal = Terminal()
    notes = os.path.join(terminal.directory.name, "notes")
    noting = r"""
import signal, sys, time
def note(number, frame):
    open(sys.argv[1], "a").write("HUP\n")
    sys.exit(0)
signal.signal(signal.SIGHUP, note)
print("READY", flush=True)
time.sleep(15)
"""
    terminal.python(noting, notes)
    terminal.expect("READY")
    time.sleep(0.5)  # until the shell waits for its job
    os.close(terminal.master)
    end = time.time() + WAIT
    while time.time() < end:
        if os.path.exists(notes) and "HUP" in open(notes).read():
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the child was not told")
    # Nothing is left behind.
    while time.time() < end:
        left = subprocess.run(["pgrep", "-f", notes], capture_output=True, text=True).stdout.split()
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"left behind: {left}")


def no_terminal():
    # Whoever pauses just the child, and continues just the child, must find the gate open.
    command = ["sh", "-c", "echo PID $$ READY; kill -STOP $$; echo AGAIN; exit 4"]
    environment = dict(os.environ, LAUNCH_PROBE_COMMAND="\n".join(command))
    job = subprocess.Popen(
        PROBE or command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = ""
    while "READY" not in line:
        line = job.stdout.readline()
    time.sleep(0.3)
    os.kill(int(line.split()[1]), signal.SIGCONT)
    assert "AGAIN" in job.stdout.read()
    assert job.wait(WAIT) == 4


def raw_mode():
    terminal = Terminal()
    raw = r"""
import os, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b"READY")
try:
    # In raw mode Ctrl-C and Ctrl-Z are bytes like any other.
    keys = b""
    while len(keys) < 4:
        keys += os.read(0, 4)
finally:
    termios.tcsetattr(0, termios.TCSADRAIN, before)
print("KEYS", keys.hex(), "END", flush=True)
"""
    terminal.python(raw)
    terminal.expect("READY")
    terminal.type("a\x03\x1aq")
    terminal.expect("KEYS 61031a71 END")


if __name__ == "__main__":
    signal.alarm(90)
    globals()[sys.argv[1]]()
