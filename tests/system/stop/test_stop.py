"""The ways to stop: TERM, INT and QUIT, once and twice, with workers that obey and workers that do not."""

import contextlib
import os
import signal
import time

import pytest

from harness import fastcgi, process
from harness.wait import wait_until
from harness.worker_script import script, sleeper


def stubborn(directory):
    return script(directory, "trap '' TERM INT QUIT\necho ignoring\nexec sleep 100000", "stubborn")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stops(manager, tmp_path, number):
    daemon = manager(
        {"command": sleeper(tmp_path), "pm.max_children": 3}, settings={"pid": tmp_path / "pid"}
    )
    daemon.stop(number)
    assert f"{number.name}: stopping" in daemon.log()
    assert "stopped after" in daemon.log()
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_worker_that_ignores_signals_is_killed_and_logged(manager, tmp_path, number):
    daemon = manager({"command": stubborn(tmp_path)}, settings={"process_control_timeout": "200ms"})
    daemon.wait_log("ignoring")
    (worker,) = daemon.workers()
    daemon.stop(number)
    line = daemon.wait_log(rf"^.*worker {worker} .*is killed.*$")[0]
    assert "pool www" in line and "process_control_timeout" in line
    assert not process.alive(worker)


def test_no_time_to_stop(manager, tmp_path):
    daemon = manager({"command": stubborn(tmp_path)}, settings={"process_control_timeout": "0"})
    daemon.wait_log("ignoring")
    daemon.stop(signal.SIGQUIT)
    assert "is killed" in daemon.log()


def test_a_killed_worker_takes_its_children_along(manager, tmp_path):
    """They hold the pool's socket, and no process would ever end them."""
    body = f"trap '' TERM\nsleep 100000 & echo $! >{tmp_path}/child\necho ignoring\nwait"
    daemon = manager({"command": script(tmp_path, body)}, settings={"process_control_timeout": "100ms"})
    daemon.wait_log("ignoring")
    child = int((tmp_path / "child").read_text())
    assert process.alive(child)
    daemon.stop()
    wait_until(lambda: process.reap(child) or not process.alive(child), "the end of the worker's child")


def test_the_second_term_kills_at_once(manager, tmp_path):
    daemon = manager({"command": stubborn(tmp_path)}, settings={"process_control_timeout": "1h"})
    daemon.wait_log("ignoring")
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_log("SIGTERM: stopping now")
    daemon.stop(signal.SIGTERM)
    assert "killing the workers" in daemon.log()


def test_term_overtakes_quit_and_quit_does_not_soften_term(manager, tmp_path):
    daemon = manager({"command": stubborn(tmp_path)}, settings={"process_control_timeout": "1h"})
    daemon.wait_log("ignoring")
    for number, answer in ((signal.SIGQUIT, "SIGQUIT: stopping when"), (signal.SIGTERM, "SIGTERM: stopping now"),
                           (signal.SIGQUIT, "SIGQUIT: already stopping")):
        daemon.send_signal(number)
        daemon.wait_log(answer)
    assert daemon.popen.poll() is None
    daemon.stop(signal.SIGINT)


def test_quit_lets_a_request_and_its_work_end(manager, app, tmp_path, journal):
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "post_response.max_children": 0,
    })
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(fastcgi.Connection(daemon.address))
        running.send_request(fastcgi.cgi_params("id=a&wait=go&text=whole"))
        journal.wait("wait", "a")
        after = stack.enter_context(fastcgi.Connection(daemon.address))
        after.send_request(fastcgi.cgi_params("id=b&text=early&finish&wait=go"))
        journal.wait("wait", "b")
        daemon.send_signal(signal.SIGQUIT)
        daemon.wait_log("SIGQUIT: stopping when")
        assert len(daemon.workers()) == 2
        journal.signal("go")
        assert running.read_response(wait_eof=True).text == "whole"
        assert after.read_response(wait_eof=True).text == "early"
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
    assert daemon.popen.returncode == 0
    assert journal.events("a", "end") and journal.events("b", "end")
    assert "is killed" not in daemon.log()


def test_a_request_that_is_cut_off_is_logged(manager, app, tmp_path, journal):
    daemon = manager(
        {"command": f"{app('worker')} {tmp_path}"}, settings={"process_control_timeout": "200ms"}
    )
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&label=mail%203&finish&wait=never"))
        (pid,) = {journal.wait("wait", "a").pid}
        daemon.stop(signal.SIGQUIT)
    line = daemon.wait_log(rf"^.*worker {pid} .*is killed.*$")[0]
    for word in ("pool www", "post-response", "GET", "/?id=a&text=x", "old", "mail"):
        assert word in line, f"{word!r} is missing in {line}"


def test_stop_while_starting(manager, tmp_path):
    """A signal that comes while workers are being started is not lost."""
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 50})
    started = time.monotonic()
    daemon.stop()
    assert time.monotonic() - started < 25, "the workers ended by TERM, not by the kill after 30 s"


def test_signals_that_end_nothing(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
    before = daemon.workers()
    for number in (signal.SIGUSR2, signal.SIGHUP):
        daemon.send_signal(number)
        daemon.wait_log(f"{number.name}: reload of")
    os.kill(daemon.pid, signal.SIGPIPE)
    assert daemon.control("ping").returncode == 0
    assert daemon.workers() == before
