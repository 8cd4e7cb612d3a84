"""Processes that remain when a worker's first process ends: servers, helpers and intended daemons."""

import os
import signal

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.wait import stays, wait_until
from harness.worker_script import script, wait_file


def number_in(path):
    return int(wait_file(path))


def gone(pid):
    wait_until(lambda: not process.alive(pid), f"the end of process {pid}")


def test_a_program_whose_shell_was_killed_ends_its_request_and_is_replaced(manager, app, tmp_path, journal):
    daemon = manager({"command": f"/bin/sh -c '{app('worker')} {tmp_path}; true'"})
    with fastcgi.Connection(daemon.address) as running:
        running.send_request(fastcgi.cgi_params("id=a&wait=go&text=whole"))
        pid = journal.wait("wait", "a").pid
        (shell,) = daemon.workers()
        assert shell != pid
        os.kill(shell, signal.SIGKILL)
        line = daemon.wait_log(rf"^.*worker {shell} .*has ended, but not.*$")[0]
        assert f"{pid} (worker)" in line and "process_control_timeout" in line
        assert fastcgi.request(daemon.address, query="id=b&text=next").text == "next"
        assert journal.wait("begin", "b").pid != pid
        assert process.alive(pid)
        journal.signal("go")
        assert running.read_response(wait_eof=True).text == "whole"
    gone(pid)
    assert "is killed" not in daemon.log() and "are killed" not in daemon.log()


def test_an_attached_program_in_a_session_of_its_own_is_stopped(manager, app, tmp_path, journal):
    """Its wrapper was killed, so that only its slot says that it is the worker's."""
    daemon = manager({"command": f"/bin/sh -c 'setsid -w {app('worker')} {tmp_path}; true'"})
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    pid = journal.wait("begin", "a").pid
    (shell,) = daemon.workers()
    (session,) = process.children(shell)
    os.kill(session, signal.SIGKILL)
    gone(pid)
    wait_until(lambda: fastcgi.request(daemon.address, query="id=b&text=x").text == "x", "the next worker")
    daemon.stop()


def test_forked_children_of_a_program_without_the_library_do_not_outlive_it(manager, app, tmp_path, journal):
    forks = f"/usr/bin/perl -e 'for (1 .. 3) {{ fork or exec @ARGV }} 1 while wait > 0' {app('worker_plain')} {tmp_path}"
    daemon = manager({"command": forks})
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    (parent,) = daemon.workers()
    children = process.children(parent)
    assert journal.wait("begin", "a").pid in children
    os.kill(parent, signal.SIGKILL)
    for child in children:
        gone(child)
    daemon.wait_log(rf"worker {parent} .*has ended, but not")


def test_a_helper_has_the_grace_period(manager, app, tmp_path, journal):
    """It is named once, and killed at the end of the period if it does not end by itself."""
    body = f"(trap '' TERM; echo $$ >/dev/null; exec sleep 100000) &\necho $! >{tmp_path}/stubborn\n" \
           f"(sleep 0.4; echo done >{tmp_path}/quick) &\nexec {app('worker')} {tmp_path}"
    daemon = manager({"command": script(tmp_path, body)}, settings={"process_control_timeout": "1s"})
    stubborn = number_in(tmp_path / "stubborn")
    assert fastcgi.request(daemon.address, query="id=a&exit").text == ""
    worker = journal.wait("begin", "a").pid
    line = daemon.wait_log(rf"^.*worker {worker} .*has ended, but not.*$")[0]
    assert f"{stubborn} (sleep)" in line and "setsid" in line
    assert fastcgi.request(daemon.address, query="id=b&text=next").text == "next"
    assert wait_file(tmp_path / "quick") == "done\n"
    killed = daemon.wait_log(rf"^.*worker {worker} .*left processes behind.*$")[0]
    assert f"{stubborn} (sleep)" in killed
    gone(stubborn)
    assert daemon.log().count(f"worker {worker} (slot 0) has ended, but not") == 1


def test_helpers_do_not_keep_a_pool_from_serving(manager, app, tmp_path):
    """Each request leaves a helper and ends its worker; the pool has two slots."""
    body = f"(exec sleep 100000) &\nexec {app('worker')} {tmp_path}"
    daemon = manager({"command": script(tmp_path, body), "pm.max_requests": 1, "post_response.max_children": 1})
    for _ in range(4):
        assert fastcgi.request(daemon.address, query="text=x", limit=20).text == "x"


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_daemon_that_holds_the_socket_is_named_and_left_alone(manager, app, tmp_path, kind):
    body = f"[ -e {tmp_path}/daemon ] || setsid -f sh -c 'echo $$ >{tmp_path}/daemon; exec sleep 100000'\nexec {app('worker')} {tmp_path}"
    daemon = manager({"command": script(tmp_path, body), "listen": Address.make(kind, tmp_path)})
    pid = number_in(tmp_path / "daemon")
    try:
        assert fastcgi.request(daemon.address, query="text=x").text == "x"
        daemon.control("reload", "--all", "--wait", check=True)
        line = daemon.wait_log(rf"^.*process {pid} \(sleep\) has left its worker.*$")[0]
        assert "pool www" in line and "the pool's socket" in line
        daemon.send_signal(signal.SIGTERM)
        assert daemon.popen.wait(30) == 0
        assert process.alive(pid)
        assert daemon.log().count(f"process {pid} ") == 1
    finally:
        process.kill_and_reap(pid)


def test_a_daemon_without_sockets_is_named_once(manager, app, tmp_path):
    body = f"[ -e {tmp_path}/daemon ] || setsid -f sh -c 'echo $$ >{tmp_path}/daemon; exec sleep 100000' </dev/null\nexec {app('worker')} {tmp_path}"
    daemon = manager({"command": script(tmp_path, body)})
    pid = number_in(tmp_path / "daemon")
    try:
        for _ in range(2):
            daemon.control("reload", "--all", "--wait", check=True)
        daemon.wait_log(rf"process {pid} \(sleep\), which a worker started")
        assert daemon.log().count(f"process {pid} ") == 1
    finally:
        process.kill_and_reap(pid)


def test_a_wrapper_that_starts_its_program_again_is_told_to_end(manager, app, tmp_path, journal):
    """Otherwise it would go on so until the grace period ends."""
    daemon = manager({"command": script(tmp_path, f"while :; do {app('worker')} {tmp_path}; done")})
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    old = journal.wait("begin", "a").pid
    daemon.control("reload", "--all", "--wait", check=True)
    assert not process.alive(old)
    assert "killed" not in daemon.log()
    daemon.stop(signal.SIGQUIT)
    assert "killed" not in daemon.log()


def test_children_from_before_the_exec_are_reaped(manager, app, tmp_path):
    """Of the shell that became the manager: one that ends early, and one that ends late."""
    daemon = manager(
        {"command": f"{app('worker')} {tmp_path}"},
        wrapper=["/bin/sh", "-c", 'sleep 0 & sleep 0.5 & exec "$@"', "sh"],
    )
    wait_until(lambda: not [pid for pid in process.children(daemon.pid) if process.name(pid) == "sleep"],
               "the end of the children")
    (worker,) = daemon.workers()
    stays(lambda: process.alive(worker), 0.1, "the worker")
