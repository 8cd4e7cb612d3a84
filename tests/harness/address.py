"""The address of a pool: one object for the configuration, the client and the web servers."""

import itertools
import os
import random
import re
import socket

# Below the ports that the kernel gives to outgoing connections. Each of the processes that run tests in
# parallel has a range of its own, and uses all of it before it uses a port again.
FIRST, PART = 10000, 10000
WORKER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % 2
ports = itertools.cycle(range(FIRST + WORKER * PART, FIRST + (WORKER + 1) * PART))
for _ in range(random.randrange(PART)):
    next(ports)


def free_port():
    """A TCP port on the loopback that was free a moment ago."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Address:
    """A unix socket (path) or a TCP port on the loopback (host and port)."""

    def __init__(self, path=None, port=None, host="127.0.0.1"):
        self.path = None if path is None else str(path)
        self.host = host
        self.port = port

    @classmethod
    def make(cls, kind, directory, name="pool"):
        """`kind` is "unix" or "tcp"."""
        if kind == "unix":
            return cls(path=os.path.join(str(directory), f"{name}.sock"))
        return cls(port=free_port())

    @property
    def is_unix(self):
        return self.path is not None

    def __str__(self):
        """As the `listen` directive wants it."""
        return self.path if self.is_unix else f"{self.host}:{self.port}"

    __repr__ = __str__

    def connect(self, timeout=30):
        """A connected blocking socket."""
        kind = socket.AF_UNIX if self.is_unix else socket.AF_INET
        sock = socket.socket(kind, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(self.path if self.is_unix else (self.host, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def listen(self, backlog=511):
        """A listening socket, reachable for web servers that run as another user."""
        if self.is_unix:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(self.path)
            os.chmod(self.path, 0o666)
        else:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.host, self.port))
        sock.listen(backlog)
        return sock


def as_address(value):
    """Takes an Address, a path, "host:port" or (host, port)."""
    if isinstance(value, Address):
        return value
    if isinstance(value, tuple):
        return Address(host=value[0], port=value[1])
    text = str(value)
    if "/" in text:
        return Address(path=text)
    host, _, port = text.rpartition(":")
    return Address(host=host or "127.0.0.1", port=int(port))
