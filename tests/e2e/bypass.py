"""A command that tries to get round the gate. Prints one JSON object: what was tried, and either
"passed" or the error. Knows nothing of ddgate but its process, its parent."""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys

tried = {}
libc = ctypes.CDLL(None, use_errno=True)

# `start COMMAND...`: a root of the whole machine may look into everything whatever anybody does, so
# the gate is started with what a user has, or the root of a container: without CAP_SYS_PTRACE,
# CAP_SYS_ADMIN and CAP_PERFMON. The starter stays, as a shell does.
if sys.argv[1:2] == ["start"]:
    if "BYPASS_STARTER" not in os.environ:
        os.environ["BYPASS_STARTER"] = str(os.getpid())
        for capability in (19, 21, 38):
            libc.prctl(24, capability, 0, 0, 0)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    sys.exit(subprocess.call(sys.argv[2:]))

ports = json.loads(os.environ["BYPASS_PORTS"])
gate = os.getppid()
gate_at = ("127.0.0.1", int(os.environ["DD_HOST"].rsplit(":", 1)[1]))
MPTCP, FAST_OPEN, ATTACH, DETACH = 262, 0x20000000, 16, 17


def attempt(name, what):
    try:
        what()
        tried[name] = "passed"
    except OSError as error:
        tried[name] = errno.errorcode.get(error.errno, str(error))
    except subprocess.CalledProcessError as error:
        tried[name] = error.output.decode().strip() or "failed"


def call(*words):
    """A system call without a wrapper in Python."""
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), "syscall")


def tcp(address, family=socket.AF_INET, protocol=0):
    with socket.socket(family, socket.SOCK_STREAM, protocol) as s:
        s.settimeout(5)
        s.connect(address)
        s.sendall(b"out")


def fast_open():
    with socket.socket() as s:
        s.sendto(b"out", FAST_OPEN, ("127.0.0.1", ports["v4"]))


def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"out", ("127.0.0.1", ports["udp"]))


def tunnel():
    with socket.create_connection(gate_at, 5) as s:
        there = f"localhost:{ports['v4']}"
        s.sendall(f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode())
        status = s.recv(4096).split(b" ")[1].decode()
        if status != "200":
            raise OSError(status)


GRANDCHILD = """
import errno, os, socket, sys
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
os.setsid()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).sendall(b"out")
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
    os._exit(1)
"""


def grandchild():
    # With nothing of the environment, and in a session of its own.
    words = ["env", "-i", sys.executable, "-c", GRANDCHILD, str(ports["v4"])]
    subprocess.run(words, check=True, stdout=subprocess.PIPE)


def without_proxy():
    for name in list(os.environ):
        if "proxy" in name.lower():
            del os.environ[name]
    import urllib.request
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{ports['http']}/", timeout=5).read()
    except urllib.error.URLError as error:
        raise error.reason


def readable(path):
    def read():
        with open(path, "rb") as file:
            file.read(64)
    return read


def look_into(pid):
    memory = next(
        int(line.split("-")[0], 16) for line in open("/proc/self/maps") if " rw" in line
    )
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.seek(memory)


def trace():
    call(101, ATTACH, gate, 0, 0)
    os.waitpid(gate, 0)
    call(101, DETACH, gate, 0, 0)


attempt("tcp by address", lambda: tcp(("127.0.0.1", ports["v4"])))
attempt("tcp by name", lambda: tcp(("localhost", ports["v4"])))
attempt("tcp to another address", lambda: tcp(("127.0.0.2", ports["v4"])))
if ports["v6"]:
    attempt("tcp by ipv6", lambda: tcp(("::1", ports["v6"]), socket.AF_INET6))
attempt("multipath tcp", lambda: tcp(("127.0.0.1", ports["v4"]), protocol=MPTCP))
attempt("tcp fast open", fast_open)
attempt("udp", udp)
attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).close())
attempt("packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close())
attempt("io_uring", lambda: call(425, 1, ctypes.create_string_buffer(120)))
attempt("grandchild", grandchild)
attempt("no proxy variable", without_proxy)
attempt("tunnel to this machine", tunnel)
attempt("environ of the gate", readable(f"/proc/{gate}/environ"))
attempt("memory of the gate", lambda: look_into(gate))
attempt("descriptors of the gate", lambda: os.readlink(f"/proc/{gate}/fd/0"))
attempt("ptrace of the gate", trace)
attempt("environ of the gate's parent", readable(f"/proc/{os.environ['BYPASS_STARTER']}/environ"))
attempt("signal to the gate", lambda: os.kill(gate, signal.SIGCONT))
attempt("signal to itself", lambda: os.kill(os.getpid(), signal.SIGCONT))
attempt("unix socket", lambda: tcp(ports["unix"], socket.AF_UNIX))
attempt("the gate", lambda: tcp(gate_at))
print(json.dumps(tried))
