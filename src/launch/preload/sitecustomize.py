# Python reads this at its start, from PYTHONPATH. It sends TCP connections for Datadog's hosts to the
# gate's own port, where the certificate is chosen by SNI; what the client does on the connection,
# checking that certificate included, is left alone. It imports nothing, and touches `socket` only
# once the program itself has imported it. Whatever fails in here leaves Python as it would be
# without. The gate fills in the two names in capitals. (It has to be read by Python 2 as well.)
import sys

_PORT = DDGATE_PORT
_DOMAINS = DDGATE_DOMAINS
_TAKEN = (443, 80)


def _patch(socket):
    """Names are answered with the gate's address, as far as the port is known when they are asked for;
    else with an address that nobody has (RFC 5737), which `connect` exchanges when the port is known."""
    if getattr(socket.socket.connect, "_ddgate", False):
        return
    ask, ask_v4 = socket.getaddrinfo, socket.gethostbyname
    stand_ins = {}

    def is_datadog(host):
        if isinstance(host, (bytes, bytearray)):
            host = bytes(host).decode("ascii", "ignore")
        if not isinstance(host, str):
            return None
        host = host.rstrip(".").lower()
        for domain in _DOMAINS:
            if host == domain or host.endswith("." + domain):
                return host
        return None

    def is_taken(port):
        return port in _TAKEN or port in ("443", "80", b"443", b"80", "https", "http", b"https", b"http")

    def stand_in(host):
        if host not in stand_ins:
            stand_ins[host] = "192.0.2.%d" % (len(stand_ins) % 254 + 1)
        return stand_ins[host]

    def gate(is_v6):
        # A socket for IPv6 reaches the gate as well (RFC 4291, 2.5.5.2).
        return "::ffff:127.0.0.1" if is_v6 else "127.0.0.1"

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        name = None
        if type != socket.SOCK_DGRAM and not flags & socket.AI_NUMERICHOST:
            name = is_datadog(host)
        if name is not None and is_taken(port):
            is_v6 = family == socket.AF_INET6
            return ask(gate(is_v6), _PORT, family, type or socket.SOCK_STREAM, proto)
        if name is not None and port in (None, 0, "", "0") and family != socket.AF_INET6:
            return ask(stand_in(name), port, family, type, proto)
        return ask(host, port, family, type, proto, flags)

    def gethostbyname(hostname):
        name = is_datadog(hostname)
        return ask_v4(hostname) if name is None else stand_in(name)

    def elsewhere(connection, address):
        """The address to connect to in place of this one."""
        if not isinstance(address, tuple) or len(address) < 2:
            return address
        is_v6 = connection.family == socket.AF_INET6
        if connection.type & 0xF != socket.SOCK_STREAM:
            return address
        host, port = address[0], address[1]
        for name, mark in stand_ins.items():
            if host == mark:
                if port in _TAKEN:
                    return (gate(is_v6), _PORT) + tuple(address[2:])
                # Some other service of Datadog's, which is not the gate's business.
                return ask(name, port, connection.family, socket.SOCK_STREAM)[0][4]
        if port in _TAKEN and is_datadog(host) is not None:
            return (gate(is_v6), _PORT) + tuple(address[2:])
        return address

    def replaced(name):
        real = getattr(socket.socket, name)

        def connect(self, address):
            try:
                address = elsewhere(self, address)
            except (TypeError, ValueError, AttributeError):
                pass
            return real(self, address)

        connect.__name__ = name
        connect.__doc__ = real.__doc__
        connect._ddgate = True
        return connect

    methods = [(name, replaced(name)) for name in ("connect", "connect_ex")]
    for function, real in ((getaddrinfo, ask), (gethostbyname, ask_v4)):
        function.__module__ = real.__module__
        function.__doc__ = real.__doc__
    for name, method in methods:
        setattr(socket.socket, name, method)
    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = gethostbyname


class _WhenImported(object):
    """Stands in front of `sys.meta_path` until `socket` is imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "socket":
            return None
        sys.meta_path.remove(cls)
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find and find(name, path, target)
            if spec is not None:
                break
        else:
            return None
        loader = spec.loader
        if isinstance(loader, type) or not hasattr(loader, "exec_module"):
            return spec
        run = loader.exec_module

        def exec_module(module):
            run(module)
            try:
                del loader.exec_module
                _patch(module)
            except Exception:
                pass

        try:
            loader.exec_module = exec_module
        except Exception:
            pass
        return spec


def _install():
    if sys.version_info[0] < 3:
        return
    if "socket" in sys.modules:
        _patch(sys.modules["socket"])
    elif not any(getattr(finder, "__name__", "") == "_WhenImported" for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported)


def _make_way():
    """Makes this directory unseen, so that the sitecustomize it hides is found next, if there is one."""
    here = __file__.replace("\\", "/").rpartition("/")[0]
    rest = [path for path in sys.path if path.replace("\\", "/").rstrip("/") != here]
    if len(rest) == len(sys.path):
        return False
    sys.path[:] = rest
    del sys.modules["sitecustomize"]
    return True


try:
    _install()
except Exception:
    pass
if _make_way():
    # What this raises is what Python would have met without this file: `site` knows what to do with it.
    import sitecustomize
