"""Watches from outside whether a manager and a pool notice anything while another pool attacks."""

import contextlib
import socket
import threading
import time

from . import fastcgi
from .wait import now, wait_until


def ping(daemon, limit=60):
    """One `ping` through the control socket; its duration in seconds."""
    begin = now()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(limit)
        client.connect(str(daemon.control_path))
        client.sendall(b"overtime/1 ping\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(4096):
                answer += piece
    assert answer.startswith(b"ok"), answer
    return now() - begin


class Bystander:
    """Pings the manager and sends requests to one of its pools, one after the other, until it is left.

    `slowest` is the longest ping so far in seconds; `failed` what went wrong.
    """

    def __init__(self, daemon, address):
        self.daemon, self.address = daemon, address
        self.pings = self.requests = 0
        self.slowest = 0.0
        self.failed = []
        self._halt = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(what,)) for what in (self._ping, self._request)]

    def _ping(self):
        self.slowest = max(self.slowest, ping(self.daemon))
        self.pings += 1

    def _request(self):
        response = fastcgi.request(self.address, query="id=b&text=good")
        if response.text != "good" or not response.complete:
            self.failed.append(repr(response))
        self.requests += 1

    def _ask(self, what):
        while not self._halt.is_set():
            try:
                what()
            except (OSError, AssertionError, TimeoutError) as error:
                self.failed.append(f"{what.__name__}: {error!r}")
            time.sleep(0.005)

    def see(self, count=20):
        """Waits for so many more pings and requests, of which none fails."""
        pings, requests = self.pings + count, self.requests + count
        wait_until(
            lambda: self.failed or (self.pings >= pings and self.requests >= requests),
            lambda: f"{count} pings and requests; the log:\n{self.daemon.log()[-4000:]}",
            90,
        )
        assert not self.failed, self.failed[:3]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._halt.set()
        for thread in self._threads:
            thread.join()
