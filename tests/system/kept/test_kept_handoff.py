"""A worker that stops passes its idle kept connections to another one; clients do not notice."""

import contextlib

import pytest

from harness import fastcgi
from harness.wait import wait_until


def ask(connection, number):
    connection.send_request(fastcgi.cgi_params(f"id={number}&text=x{number}"), keep=True)
    assert connection.read_response().text == f"x{number}"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_reload_keeps_them(manager, app, listen, tmp_path, journal, workers):
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}",
        "listen": listen,
        "pm.max_children": workers,
    })
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(9)]
        for number, connection in enumerate(kept):
            ask(connection, f"a{number}")
        before = set(daemon.workers())
        for turn in range(3):
            daemon.control("reload", "--all", "--wait", check=True)
            for number, connection in enumerate(kept):
                ask(connection, f"b{turn}.{number}")
        after = {journal.wait("begin", f"b2.{number}").pid for number in range(len(kept))}
        assert not before & after, "they were answered by the new workers"
        assert "lost" not in daemon.log()


def test_a_retired_worker_leaves_them_to_its_siblings(manager, app, tmp_path, journal):
    """Three workers serve at the same time, then two of them are superfluous."""
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}",
        "pm": "dynamic",
        "pm.max_children": 3,
        "pm.max_spare_servers": 1,
        "pm.start_servers": 3,
        "pm.process_idle_timeout": "200ms",
        "post_response.max_children": 0,
    })
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(fastcgi.Connection(daemon.address)) for _ in range(3)]
        for number, connection in enumerate(kept):
            connection.send_request(fastcgi.cgi_params(f"id=a{number}&wait=go&text=x"), keep=True)
            journal.wait("wait", f"a{number}")
        journal.signal("go")
        for connection in kept:
            assert connection.read_response().text == "x"
        (last,) = daemon.wait_workers(1)
        for number, connection in enumerate(kept):
            ask(connection, f"b{number}")
            assert journal.wait("begin", f"b{number}").pid == last


def test_an_ondemand_pool_still_stops_its_last_worker(manager, app, tmp_path):
    """No worker can take over the last worker's connections: an idle one is no reason to start a worker."""
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}",
        "pm": "ondemand",
        "pm.max_children": 3,
        "pm.process_idle_timeout": "200ms",
    })
    with fastcgi.Connection(daemon.address) as connection:
        ask(connection, "a")
        wait_until(lambda: not daemon.workers(), "no worker")
        assert connection.read_eof() is not False
    assert fastcgi.request(daemon.address, query="id=b&text=y").text == "y"


def test_a_stop_closes_them(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_children": 2})
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(fastcgi.Connection(daemon.address)) for _ in range(4)]
        for number, connection in enumerate(kept):
            ask(connection, f"a{number}")
        daemon.control("quit")
        wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
        assert all(connection.read_eof() is not False for connection in kept)


def test_a_request_does_not_wait_for_anothers(manager, app, listen, tmp_path, journal):
    """If requests take long, a worker that begins one gives its kept connections to the others."""
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2,
    })
    with contextlib.ExitStack() as stack:
        # More connections than workers: at least one worker keeps several.
        kept = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(6)]
        for turn in range(2):
            for number, connection in enumerate(kept):
                connection.send_request(fastcgi.cgi_params(f"id=w{turn}.{number}&poll=30&text=x"), keep=True)
                assert connection.read_response().text == "x"
        for number, holder in enumerate(kept):
            holder.send_request(fastcgi.cgi_params(f"id=h{number}&wait=go{number}&text=held"), keep=True)
            held = journal.wait("wait", f"h{number}").pid
            for other, connection in enumerate(kept):
                if connection is not holder:
                    ask(connection, f"{number}.{other}")
                    assert journal.wait("begin", f"{number}.{other}").pid != held
            journal.signal(f"go{number}")
            assert holder.read_response().text == "held"
        assert len(daemon.workers()) == 2
