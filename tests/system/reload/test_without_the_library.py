"""Reloads of programs without the library lose no request, and wait for no idle connection."""

import signal
import time

import pytest

from harness import fastcgi, load, process
from harness.address import Address
from harness.wait import LIMIT, now, stays, wait_until

UNGENTLE = ("is ended in unknown state", "is killed", "died of")


def assert_gentle(daemon):
    assert not [word for word in UNGENTLE if word in daemon.log()], daemon.log()


def plain(app, tmp_path, **more):
    return {"command": f"{app('worker_plain')} {tmp_path}", "pm.max_children": 2, **more}


def ask(connection, name):
    connection.send_request(fastcgi.cgi_params(f"id={name}&text={name}"), keep=True)
    return connection.read_response()


@pytest.mark.parametrize("wrapped", [False, True], ids=["exec", "sh"])
@pytest.mark.parametrize("how", ["reload", "quit"])
def test_idle_kept_connections_hold_no_worker(manager, app, listen, tmp_path, how, wrapped):
    """libfcgi waits in read() for the next request of a kept connection."""
    pool = plain(app, tmp_path, listen=listen)
    if wrapped:
        pool["command"] = f"sh -c '{pool['command']}; true'"
    daemon = manager(pool)
    before = daemon.wait_workers(2)
    with fastcgi.Connection(listen) as one, fastcgi.Connection(listen) as other:
        assert ask(one, "a").text == "a" and ask(other, "b").text == "b"
        if how == "reload":
            daemon.control("reload", "--all", "--wait", check=True)
        else:
            daemon.stop(signal.SIGQUIT)
        assert not [pid for pid in before if process.alive(pid)]
        assert one.at_eof and other.at_eof
    assert_gentle(daemon)


def test_kept_connections_in_use(manager, app, listen, tmp_path):
    """A request is answered whole, or its connection was closed before it."""
    daemon = manager(plain(app, tmp_path, listen=listen, **{"pm.max_children": 1}))
    for turn in range(5):
        (before,) = daemon.wait_workers(1)
        with fastcgi.Connection(listen) as connection:
            assert ask(connection, f"first{turn}").text == f"first{turn}"
            daemon.control("reload", "--all", check=True)
            number, end = 0, now() + LIMIT
            while process.alive(before) and now() < end:
                name = f"r{turn}-{number}"
                try:
                    response = ask(connection, name)
                except (AssertionError, OSError, EOFError):
                    break
                if response.eof and not response.stdout:
                    break
                assert response.complete and response.text == name, response
                number += 1
                time.sleep(0.02)
        daemon.wait_workers(1, without=[before])
        daemon.wait_log("reload: done", turn + 1)
    assert_gentle(daemon)


def test_a_body_that_pauses_is_waited_for(manager, app, tmp_path, journal):
    """TCP tells that a connection was not answered yet."""
    listen = Address.make("tcp", tmp_path)
    daemon = manager(plain(app, tmp_path, listen=listen, **{"pm.max_children": 1}))
    (before,) = daemon.wait_workers(1)
    body = bytes(1000)
    stdin = fastcgi.stream(fastcgi.STDIN, body)
    with fastcgi.Connection(listen) as connection:
        connection.send_begin(keep=True)
        connection.send_params(fastcgi.cgi_params("id=a&read=all&text=whole", "POST", body))
        connection.send(stdin[:500])
        journal.wait("begin", "a")
        daemon.control("reload", "--all", check=True)
        daemon.wait_log("older workers are stopped")
        stays(lambda: process.alive(before), 0.8, "the worker that waits for the body")
        connection.send(stdin[500:])
        assert connection.read_response().text == "whole"
        wait_until(lambda: not process.alive(before), "its end")
    assert_gentle(daemon)


@pytest.mark.parametrize("program", ["box_plain", "worker_plain"])
def test_none_is_lost_under_load(manager, app, listen, tmp_path, program):
    """A worker may accept just before the signal. box_plain has no handler: TERM ends it."""
    daemon = manager(plain(app, tmp_path, listen=listen, command=f"{app(program)} {tmp_path}",
                           **{"pm.max_children": 4}))
    kind = load.Kind("all", query="id=x&text=hello", text="hello")
    with load.Run(listen, [kind], seconds=LIMIT, rate=400) as running:
        for _ in range(10):
            daemon.control("reload", "--all", "--wait", check=True)
        running.stop()
        report = running.result()
    assert report.failed == 0 and report.count > 0, report
    assert_gentle(daemon)
