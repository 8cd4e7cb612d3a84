"""Workers whose manager was killed or is stopped: they serve on, and leave only when the queue is empty."""

import contextlib
import os
import signal

import pytest

from harness import fastcgi, process
from harness.wait import wait_until


def served(daemon, count):
    """Answers `count` requests; the workers that did."""
    return {int(fastcgi.request(daemon.address, query=f"id=r{number}&text=x").headers["X-Worker"])
            for number in range(count)}


def test_a_stopped_manager(manager, app, tmp_path):
    """No worker recycles itself, which it says once, until the manager runs again."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_requests": 2})
    before = set(daemon.workers())
    daemon.send_signal(signal.SIGSTOP)
    try:
        assert served(daemon, 30) == before
    finally:
        daemon.send_signal(signal.SIGCONT)
    daemon.wait_log("the manager is stopped: worker .* serves on beyond `pm.max_requests`")
    served(daemon, 40)
    assert not before & set(daemon.wait_workers(1))
    assert daemon.log().count("serves on beyond") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_killed_manager(manager, app, tmp_path, journal, number):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_requests": 2, "pm.max_children": 2})
    workers = daemon.wait_workers(2)
    daemon.popen.kill()
    daemon.popen.wait()
    daemon.popen = None
    try:
        assert served(daemon, 20) <= set(workers)
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(fastcgi.Connection(daemon.address)) for _ in range(8)]
            for at, connection in enumerate(connections):
                step = "&wait=go" if at < 2 else ""
                connection.send_request(fastcgi.cgi_params(f"id=q{at}{step}&text=served"))
                if at < 2:
                    journal.wait("wait", f"q{at}")
            for pid in workers:
                os.kill(pid, number)
            journal.signal("go")
            for connection in connections:
                assert connection.read_response(wait_eof=True).text == "served"
        wait_until(lambda: all(process.reap(pid) or not process.alive(pid) for pid in workers), "their ends")
    finally:
        for pid in workers:
            process.kill_and_reap(pid)
        for path in (daemon.address.path, daemon.control_path):
            with contextlib.suppress(OSError):
                os.unlink(path)
