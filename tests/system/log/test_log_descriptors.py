"""Names of descriptors as logs: the open descriptor is meant, of any kind."""

import socket

import pytest

from harness import fastcgi
from harness.manager import Manager
from harness.wait import wait_until

NAMES = ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "stdout"]


@pytest.mark.parametrize("name", NAMES)
def test_of_requests_and_of_the_manager(tmp_path, app, name):
    """Standard output is a file here: the manager's log and the requests' go into it."""
    pool = {"command": f"{app('worker')} {tmp_path}", "access.log": name, "access.format": '"line of %m"'}
    daemon = Manager(tmp_path, pool, settings={"error_log": name})
    try:
        daemon.start()
        fastcgi.request(daemon.address, query="text=x")
        wait_until(lambda: "line of GET\n" in daemon.output_path.read_text(), "the request's line")
        assert "NOTICE: ready" in daemon.output_path.read_text()
        daemon.stop()
    finally:
        daemon.kill()


@pytest.mark.parametrize("directive", ["error_log", "access.log"])
def test_a_socket(tmp_path, app, directive):
    """As systemd gives it: it cannot be opened by name."""
    ours, theirs = socket.socketpair()
    name = f"/proc/self/fd/{theirs.fileno()}"
    pool = {"command": f"{app('worker')} {tmp_path}", **({"access.log": name} if directive == "access.log" else {})}
    settings = {"error_log": name} if directive == "error_log" else {}
    daemon = Manager(tmp_path, pool, settings=settings)
    daemon.passed = (theirs.fileno(),)
    theirs.set_inheritable(True)
    try:
        daemon.start(wait=directive != "error_log")
        ours.settimeout(30)
        if directive == "access.log":
            fastcgi.request(daemon.address, query="text=x")
            assert b"GET /" in ours.recv(4096)
        else:
            assert b"ready: 1 pool" in ours.recv(4096)
        daemon.stop()
    finally:
        daemon.kill()
        ours.close()
        theirs.close()
