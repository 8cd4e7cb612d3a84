"""A manager is killed and its workers serve on: the next one names them, or takes their sockets over."""

import contextlib
import os
import pwd
import re
import signal
import socket

import pytest

from harness import fastcgi, load, process
from harness.manager import Manager
from harness.wait import LIMIT, wait_until


@pytest.fixture
def killed(tmp_path):
    """killed(pool) -> the workers of a manager that was killed. They are ended in any case."""
    left = []

    def start(pool, **more):
        daemon = Manager(tmp_path, pool, name="first", **more).start()
        left.extend(daemon.wait_workers(int(pool.get("pm.max_children", 1))))
        return daemon, left

    yield start
    for pid in left:
        process.kill_and_reap(pid)


def kill(daemon, old):
    """`old` becomes its workers, which run their program; one that works after its response has been replaced."""
    old[:] = daemon.workers()
    wait_until(lambda: all(process.name(pid) != "overtime" for pid in old), "their programs")
    daemon.popen.kill()
    daemon.popen.wait()
    daemon.popen = None
    with contextlib.suppress(OSError):
        os.unlink(daemon.control_path)


def gone(pids):
    return all(process.reap(pid) or not process.alive(pid) for pid in pids)


def unlink(address):
    if address.is_unix:
        with contextlib.suppress(OSError):
            os.unlink(address.path)


@pytest.mark.parametrize("program", ["worker", "worker_plain", "box_plain"])
def test_no_request_is_lost(killed, manager, app, listen, tmp_path, journal, program):
    """Nor is post-response work; the old workers go when it is done, the file and the queue stay."""
    pool = {"command": f"{app(program)} {tmp_path}", "listen": listen, "pm.max_children": 4}
    daemon, old = killed(pool)
    finish = program == "worker"
    if finish:
        query = "id=work&text=x&finish&wait=go&note=worked"
        assert fastcgi.request(listen, query=query).text == "x"
        daemon.wait_workers(5)
    kinds = [load.Kind("all", query="id=x&text=hello", text="hello")]
    with load.Run(listen, kinds, seconds=LIMIT, rate=100) as running:
        kill(daemon, old)
        new = manager(pool, arguments=["--take-over"])
        names = new.wait_log(r"pool www: \d workers of a manager that has gone hold its socket: (.*)")[1]
        user = pwd.getpwuid(os.geteuid()).pw_name
        for pid in old:
            assert re.search(rf"\b{pid} \({program}, user {user}, since \d\d-\w+-\d+ \d\d:\d\d:\d\d\)", names), names
        if finish:
            new.wait_log("an earlier manager has ended", len(old) - 1)
            assert sum(process.alive(pid) for pid in old) == 1
            (tmp_path / "go").touch()
        wait_until(lambda: gone(old), "the ends of the old workers")
        new.wait_log("an earlier manager has ended", len(old))
        running.stop()
        report = running.result()
    assert report.failed == 0 and report.count > 0, report
    assert "is killed" not in new.log()
    if finish:
        assert journal.names("work")[-2:] == ["note worked", "end"], journal.names("work")
    assert fastcgi.request(listen, query="id=last&text=last").text == "last"


def test_a_start_without_it_names_them(killed, app, listen, tmp_path):
    pool = {"command": f"{app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2}
    daemon, old = killed(pool)
    kill(daemon, old)
    second = Manager(tmp_path, pool, name="second")
    second.start(wait=False)
    assert process.end(second.popen, None) == 70
    text = second.log()
    assert "2 workers of a manager that has gone hold it" in text and "start with --take-over" in text, text
    assert all(f"{pid} (worker, user " in text for pid in old), text
    assert fastcgi.request(listen, query="id=a&text=x").text == "x"
    unlink(listen)


def test_a_living_manager_keeps_its_workers(manager, app, listen, tmp_path):
    """Also one that is stopped."""
    pool = {"command": f"{app('worker')} {tmp_path}", "listen": listen}
    daemon = manager(pool)
    workers = daemon.workers()
    for stopped in (False, True):
        if stopped:
            daemon.send_signal(signal.SIGSTOP)
        second = Manager(tmp_path, pool, name=f"second{stopped}", arguments=["--take-over"])
        second.start(wait=False)
        assert process.end(second.popen, None) == 70
        assert "of a manager that has gone" not in second.log(), second.log()
    daemon.send_signal(signal.SIGCONT)
    assert daemon.workers() == workers


@pytest.mark.parametrize("taking", [True, False])
def test_the_file_was_replaced(killed, manager, app, tmp_path, taking):
    """The old workers hold a socket that no path leads to."""
    pool = {"command": f"{app('worker')} {tmp_path}", "pm.max_children": 2}
    daemon, old = killed(pool)
    path = daemon.address.path
    kill(daemon, old)
    os.unlink(path)
    pool["listen"] = path
    new = manager(pool, arguments=["--take-over"] if taking else [])
    if taking:
        wait_until(lambda: gone(old), "their ends")
    else:
        new.wait_log("WARNING: pool www: 2 workers .* hold a socket that had its address: .*start with --take-over")
        assert all(process.alive(pid) for pid in old)
    assert fastcgi.request(new.address, query="id=a&text=x").text == "x"


def test_an_activated_manager_needs_no_option(killed, manager, app, listen, tmp_path):
    """It has the socket from the process that made it."""
    made = socket.socket(socket.AF_UNIX if listen.is_unix else socket.AF_INET)
    with made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(listen.path if listen.is_unix else (listen.host, listen.port))
        made.listen(64)
        wrapper = ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{made.fileno()}', "bash"]
        pool = {"command": f"{app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2}
        first = Manager(tmp_path, pool, name="first", wrapper=wrapper)
        first.passed = (made.fileno(),)
        first.start()
        old = first.wait_workers(2)
        try:
            kill(first, old)
            second = Manager(tmp_path, pool, name="second", wrapper=wrapper)
            second.passed = (made.fileno(),)
            second.start()
            try:
                wait_until(lambda: gone(old), "their ends")
                assert fastcgi.request(listen, query="id=a&text=x").text == "x"
            finally:
                process.end(second.popen)
        finally:
            for pid in old:
                process.kill_and_reap(pid)
    unlink(listen)
