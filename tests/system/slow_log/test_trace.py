"""`overtimectl trace PID`: the stack of a worker of this manager."""

import json
import os
import signal

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.slowlog import can_trace
from harness.wait import wait_until

needs_trace = pytest.mark.skipif(not can_trace(), reason="not allowed to trace, or built without libdw")


@pytest.fixture
def listen(tmp_path):
    return Address.make("unix", tmp_path)


@pytest.fixture
def daemon(manager, app, listen, tmp_path):
    return manager({"command": f"{app('worker')} -m run -t 2 {tmp_path}", "listen": listen})


def send(listen, query):
    connection = fastcgi.Connection(listen)
    connection.send_request(fastcgi.cgi_params(query))
    return connection


@needs_trace
def test_text(daemon, listen, journal):
    with send(listen, "id=a&label=l&wait=go&text=x") as connection:
        pid = journal.wait("wait", "a").pid
        told = daemon.control("trace", pid, check=True).stdout
        journal.signal("go")
        assert connection.read_response().text == "x"
    lines = told.split("\n")
    assert lines[0].startswith(f"pool www: worker {pid} (slot 0) while running GET /?id=a&label=l&wait=go&text=x, ")
    assert lines[0].endswith('"l"') and lines[1].startswith("stopped for ")
    first, *others = told.split("\nthread ")[1:]
    assert "wait_for_file" in first and len(others) >= 1 and "wait_for_file" not in "".join(others)
    assert process.state(pid) == "S"


@needs_trace
def test_json(daemon, listen, journal):
    with send(listen, "id=a&wait=go&text=x") as connection:
        pid = journal.wait("wait", "a").pid
        told = json.loads(daemon.control("--json", "trace", pid, check=True).stdout)
        journal.signal("go")
        connection.read_response()
    assert (told["pool"], told["pid"], told["slot"]) == ("www", pid, 0)
    assert told["doing"].startswith("while running GET /?id=a")
    stack = told["stack"]
    assert stack["stopped_ms"] > 0 and stack["left_out"] == 0
    thread = stack["threads"][0]
    assert thread["missing"] is None and thread["cut"] is False
    frame = next(one for one in thread["frames"] if one["function"] == "wait_for_file")
    assert frame["file"].endswith("steps.h") and frame["line"] > 0 and frame["address"].startswith("0x")
    assert frame["module"].endswith("/worker")


@needs_trace
def test_every_worker_goes_on(daemon, listen, journal):
    """Traced again and again while it serves: nothing is lost, and it does not stay stopped."""
    (pid,) = daemon.wait_workers(1)
    for number in range(10):
        with send(listen, f"id=r{number}&sleep=20&text=x") as connection:
            assert f"worker {pid}" in daemon.control("trace", pid, check=True).stdout
            assert connection.read_response().text == "x"
    assert daemon.workers() == [pid]


@needs_trace
def test_program_that_was_replaced(manager, app, listen, tmp_path, journal):
    """By a deployment: the worker still runs the old program, whose file has another name or none."""
    program = tmp_path / "application"
    program.write_bytes(app("worker").read_bytes())
    program.chmod(0o755)
    daemon = manager({
        "command": f"{program} -m run {tmp_path}", "listen": listen,
        "env[LD_LIBRARY_PATH]": app("worker").parents[3],
    })
    with send(listen, "id=a&wait=go&text=x") as connection:
        pid = journal.wait("wait", "a").pid
        program.unlink()
        told = daemon.control("trace", pid, check=True).stdout
        journal.signal("go")
        connection.read_response()
    assert "wait_for_file" in told


@needs_trace
def test_wrapper(manager, app, listen, tmp_path, journal):
    """A shell starts the application: the application's process is traced, by either number."""
    script = tmp_path / "start"
    script.write_text(
        f"#!/bin/sh\ntrap 'kill $!' TERM QUIT\nexec 9<&0\n{app('worker')} -m run {tmp_path} <&9 9<&- &\nwait\nwait\n"
    )
    script.chmod(0o755)
    daemon = manager({"command": script, "listen": listen})
    with send(listen, "id=a&wait=go&text=x") as connection:
        inner = journal.wait("wait", "a").pid
        (outer,) = daemon.workers()
        told = [daemon.control("trace", pid, check=True).stdout for pid in (inner, outer)]
        journal.signal("go")
        connection.read_response()
    assert all("wait_for_file" in text for text in told) and inner != outer


@pytest.mark.parametrize("word, said", [
    ("1", "process 1 is no worker of this manager"), ("self", '"self" is no process id'),
    ("-1", None), ("0", '"0" is no process id'), ("99999999999", "is no process id"),
    ("4x", '"4x" is no process id'),
])
def test_refused(daemon, word, said):
    told = daemon.control("trace", "--", word) if said is None else daemon.control("trace", word)
    assert told.returncode == 1 and (said or "is no process id") in told.stderr
    own = daemon.control("trace", daemon.pid)
    assert own.returncode == 1 and f"process {daemon.pid} is no worker" in own.stderr


def test_a_worker_that_dies_meanwhile(daemon, listen):
    """There is an answer in any case."""
    (pid,) = daemon.wait_workers(1)
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    told = daemon.control("trace", pid)
    assert told.returncode in (0, 1) and (told.stdout or told.stderr)
    daemon.wait_workers(1, without=[pid])


@needs_trace
def test_a_stopped_worker_stays_stopped(daemon, listen):
    (pid,) = daemon.wait_workers(1)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process.state(pid) == "T", "the stop")
    assert "\n  #0" in daemon.control("trace", pid, check=True).stdout
    assert process.state(pid) == "T"
    os.kill(pid, signal.SIGCONT)
    assert fastcgi.request(listen, query="id=a&text=x").text == "x"
