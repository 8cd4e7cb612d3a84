"""request_header_timeout holds while input flows that belongs to no request."""

import contextlib
import os
import socket
import subprocess
import sys
import threading

import pytest

from harness import fastcgi
from harness.wait import now, wait_until

pytestmark = pytest.mark.alone

TIMEOUT = 1  # second


def flood(sock, data, halt):
    """Sends for as long as the worker takes it in."""
    with contextlib.suppress(OSError):
        while not halt.is_set():
            sock.sendall(data)
    halt.set()


def held(daemon, begin, data):
    """For how many seconds the worker reads from a client that sends `data` without end, while others have
    their turns."""
    halt = threading.Event()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sock.connect(daemon.address.path)
        sock.sendall(begin)
        start = now()
        thread = threading.Thread(target=flood, args=(sock, data, halt))
        thread.start()
        try:
            assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
            wait_until(halt.is_set, "the connection's end")
            return now() - start
        finally:
            halt.set()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def busy():
    """Every core has something else to do."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    yield
    for spinner in spinners:
        spinner.kill()
        spinner.wait()


@pytest.fixture
def daemon(manager, app, tmp_path, busy):
    """A slow worker, which always finds more to read."""
    return manager({
        "command": f"{app('worker')} {tmp_path}",
        "process.priority": 19 if os.geteuid() == 0 else None,
        "request_header_timeout": f"{TIMEOUT}s",
        "keepalive_timeout": f"{TIMEOUT}s",
    })


def test_records_of_nobody_do_not_put_it_off(daemon):
    seconds = held(daemon, fastcgi.begin(), fastcgi.record(fastcgi.STDIN, request_id=7) * 100_000)
    daemon.wait_log("connection closed: (no whole request header within request_header_timeout|too much input)")
    assert seconds < TIMEOUT + 15  # without a bound, as long as the client sends


def test_requests_that_are_aborted_do_not_keep_it(daemon):
    held(daemon, b"", (fastcgi.begin(keep=True) + fastcgi.record(fastcgi.ABORT_REQUEST)) * 500)
