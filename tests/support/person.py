"""A person who signs in at a terminal, and checks what they see.

Usage: person.py SCENARIO DDGATE
The provider's controls are at $ISSUER/_test, and what the opener was given in $HOME/opened.
A scenario fails by AssertionError, with everything the terminal showed.
"""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
import urllib.request

DDGATE = sys.argv[2]
OPENED = os.path.join(os.environ["HOME"], "opened")
WAIT = 40


class Terminal:
    """One ddgate on a pseudo-terminal of its own."""

    def __init__(self, *arguments, **environment):
        self.shown = ""
        self.all = ""
        self.child, self.master = pty.fork()
        if self.child == 0:
            os.environ.update(environment)
            os.execv(DDGATE, [DDGATE, *arguments])
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        os.set_blocking(self.master, False)
        self.before = termios.tcgetattr(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self):
        try:
            data = os.read(self.master, 65536).decode(errors="replace")
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.shown += data
        self.all += data
        return bool(data)

    def expect(self, pattern):
        """Waits until the pattern is shown, and forgets everything up to its end."""
        end = time.time() + WAIT
        while time.time() < end:
            goes_on = self.read()
            found = re.search(pattern, self.shown)
            if found:
                self.shown = self.shown[found.end():]
                return found
            if not goes_on:
                break
            time.sleep(0.01)
        raise AssertionError(f"never saw {pattern!r} in:\n{self.all}")

    def end(self):
        """Waits for its end; returns its exit code, or minus the signal."""
        end = time.time() + WAIT
        while time.time() < end:
            self.read()
            pid, status = os.waitpid(self.child, os.WNOHANG)
            if pid:
                self.read()
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise AssertionError(f"does not end:\n{self.all}")

    def is_as_before(self):
        now = termios.tcgetattr(self.master)
        assert now == self.before, f"{now} instead of {self.before}"


def control(verb, **body):
    request = urllib.request.Request(
        f"{os.environ['ISSUER']}/_test/{verb}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def code(terminal):
    terminal.expect(r"to sign in, open    (\S+)")
    found = terminal.expect(r"and enter the code  (?:\x1b\[1m)?([A-Z]{4}-[A-Z]{4})")
    return found.group(1)


def opened(lines):
    """Waits until the opener was started so often; returns what it was given."""
    end = time.time() + WAIT
    while time.time() < end:
        if os.path.exists(OPENED):
            text = open(OPENED).read()
            if text.count("\n") >= lines:
                return text.splitlines()
        time.sleep(0.02)
    raise AssertionError("nothing was opened")


def enter():
    terminal = Terminal("login")
    user_code = code(terminal)
    terminal.expect("press Enter to open the browser")
    first = terminal.expect(r"waiting for approval… \(9 min (\d+) s left\)").group(1)
    terminal.expect(rf"waiting for approval… \(9 min (?!{first} )\d+ s left\)")
    assert not os.path.exists(OPENED), "a browser was opened before anybody asked for it"
    terminal.type("\n")
    [line] = opened(1)
    assert line == f"1 {os.environ['ISSUER']}/device?user_code={user_code}", line
    # Nothing more to be opened, and polling goes on.
    terminal.type("\n")
    terminal.expect(r"waiting for approval… \(9 min \d+ s left\)")
    control("approve", user_code=user_code, login="alice")
    terminal.expect("signed in as .*alice@example.test")
    assert terminal.end() == 0
    assert len(opened(1)) == 1
    terminal.is_as_before()


def child_input():
    script = "echo REA''DY; read line; echo \"GOT $line\"; read line; echo \"AND $line\""
    terminal = Terminal("run", "--upstream", "http://127.0.0.1:9", "--", "sh", "-c", script)
    user_code = code(terminal)
    terminal.expect("waiting for approval")
    terminal.type("\n")
    opened(1)
    # A line that was begun while we waited, and one that was whole: both are for the command.
    terminal.type("whole\nhalf")
    control("approve", user_code=user_code, login="alice")
    terminal.expect("signed in as")
    terminal.expect("READY")
    terminal.is_as_before()
    assert "left)" not in terminal.shown, "it still counts"
    terminal.type(" and half\n")
    terminal.expect(r"GOT whole\r")
    terminal.expect(r"AND half and half\r")
    assert terminal.end() == 0


def expired():
    terminal = Terminal("login")
    user_code = code(terminal)
    terminal.expect("waiting for approval")
    control("expire", user_code=user_code)
    terminal.expect("the code has expired; press Enter for a new one")
    terminal.type("\n")
    other = code(terminal)
    assert other != user_code
    terminal.expect("waiting for approval")
    control("approve", user_code=other, login="alice")
    terminal.expect("signed in as")
    assert terminal.end() == 0
    terminal.is_as_before()


def no_browser():
    for arguments, environment in [
        (["login", "--no-browser"], {}),
        (["login"], {"DDGATE_NO_BROWSER": "1"}),
        (["login"], {"SSH_TTY": "/dev/pts/9"}),
        (["login"], {"DISPLAY": ""}),
        (["login"], {"BROWSER": "w3m"}),
        (["login", "--browser", "--no-browser"], {}),
    ]:
        terminal = Terminal(*arguments, **environment)
        terminal.expect("to sign in, open")
        terminal.expect("waiting for")
        assert "press Enter" not in terminal.all, terminal.all
        terminal.type("\n")
        time.sleep(0.3)
        assert not os.path.exists(OPENED), arguments
        terminal.type("\x03")
        assert terminal.end() == -signal.SIGINT
    # In CI nobody is asked at all.
    terminal = Terminal("login", CI="true")
    assert terminal.end() == 3
    assert "to sign in" not in terminal.all, terminal.all


def cancelled():
    terminal = Terminal("run", "--upstream", "http://127.0.0.1:9", "--", "true")
    code(terminal)
    terminal.expect("waiting for approval")
    terminal.type("\x03")
    assert terminal.end() == -signal.SIGINT
    terminal.is_as_before()


def browser():
    terminal = Terminal("login", "--browser")
    address = terminal.expect(r"to sign in, open    (\S+)").group(1)
    terminal.expect(r"waiting for the browser… \(9 min \d+ s left\)")
    [line] = opened(1)
    assert line == f"1 {address}", line
    control("walk", url=address, login="alice")
    terminal.expect("signed in as")
    assert terminal.end() == 0
    terminal.is_as_before()


if __name__ == "__main__":
    signal.alarm(150)
    globals()[sys.argv[1]]()
