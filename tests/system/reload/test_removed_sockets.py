"""Sockets that are removed: clients in their listen queue are served, and no new ones are accepted."""

import contextlib
import os
import signal

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.held import Held, stopped
from harness.wait import wait_until

QUEUED = 5


def pool(app, tmp_path, **more):
    return {"command": f"{app('worker')} {tmp_path}", **more}


def queue(held, address, count=QUEUED):
    """Requests queued after those that hold the workers; each takes longer than a worker needs to see a signal."""
    found = []
    for number in range(count):
        connection = held.enter_context(fastcgi.Connection(address))
        connection.send_request(fastcgi.cgi_params(f"id=q{number}&sleep=50&text=queued{number}"))
        found.append(connection)
    return found


def served(queued):
    for number, connection in enumerate(queued):
        response = connection.read_response(wait_eof=True)
        assert response.complete and not response.reset, (number, response)
        assert response.text == f"queued{number}"


def done(daemon, line):
    """Waits until the manager has logged it and done it."""
    daemon.wait_log(line)
    daemon.control("ping", check=True)


def nobody_comes_in(address):
    """A new client is refused, or, at a TCP port, not accepted."""
    with pytest.raises(OSError):
        address.connect(0.3).close()


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_reload_that_gives_a_socket_up(manager, app, tmp_path, journal, listen, how):
    others = {"b": pool(app, tmp_path)}
    daemon = manager(pools={"www": pool(app, tmp_path, listen=listen), **others})
    with Held(daemon, journal) as held:
        worker = held.begin("a", "text=whole", address=listen)
        queued = queue(held, listen)
        if how == "changed":
            new = Address.make("tcp" if not listen.is_unix else "unix", tmp_path, "new")
            daemon.rewrite({"www": pool(app, tmp_path, listen=new), **others})
            daemon.control("reload", check=True)
            done(daemon, "pool www: the workers of generation 2 serve")
        else:
            daemon.rewrite(others)
            daemon.control("reload", check=True)
        nobody_comes_in(listen)
        assert held.end("a")[0].text == "whole"
        served(queued)
    daemon.wait_log("reload: done")
    assert not process.alive(worker)
    nobody_comes_in(listen)


def test_a_graceful_stop(manager, app, tmp_path, journal, listen):
    daemon = manager(pool(app, tmp_path, listen=listen))
    with Held(daemon, journal) as held:
        held.begin("a", "text=whole")
        queued = queue(held, listen)
        daemon.send_signal(signal.SIGQUIT)
        done(daemon, "SIGQUIT: stopping when")
        assert not listen.is_unix or not os.path.exists(listen.path)
        nobody_comes_in(listen)
        assert held.end("a")[0].text == "whole"
        served(queued)
    daemon.stop()
    assert "is killed" not in daemon.log()


def test_several_workers_share_the_queue(manager, app, tmp_path, journal, listen):
    """Each worker that stops takes from it, with and without threads."""
    daemon = manager({"command": f"{app('worker')} -t 2 {tmp_path}", "listen": listen, "pm.max_children": 2})
    with Held(daemon, journal) as held:
        for number in range(4):
            held.begin(f"a{number}", "text=whole")
        queued = queue(held, listen, 12)
        daemon.send_signal(signal.SIGQUIT)
        done(daemon, "SIGQUIT: stopping when")
        assert len(held.end()) == 4
        served(queued)
    daemon.stop()


@pytest.mark.parametrize("how", ["changed", "removed", "QUIT"])
def test_a_connection_for_which_no_worker_was_started(manager, app, tmp_path, listen, how):
    """The pool has no worker, and the manager learns of the connection together with the event that removes the
    socket."""
    others = {"b": pool(app, tmp_path)}
    www = pool(app, tmp_path, listen=listen, pm="ondemand")
    daemon = manager(pools={"www": www, **others})
    with contextlib.ExitStack() as stack:
        with stopped(daemon.pid):
            queued = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(3)]
            for number, connection in enumerate(queued):
                connection.send_request(fastcgi.cgi_params(f"id=q{number}&text=queued{number}"))
            if how == "changed":
                new = Address.make("unix", tmp_path, "new")
                daemon.rewrite({"www": {**www, "listen": new}, **others})
            elif how == "removed":
                daemon.rewrite(others)
            daemon.send_signal(signal.SIGQUIT if how == "QUIT" else signal.SIGUSR2)
        served(queued)
    if how == "QUIT":
        daemon.stop()
    else:
        daemon.wait_log("reload: done")


def test_half_a_request_in_the_queue(manager, app, tmp_path, journal, listen):
    """An incomplete request is waited for, and those after it are served."""
    daemon = manager(pool(app, tmp_path, listen=listen))
    with Held(daemon, journal) as held:
        held.begin("a", "text=whole")
        slow = held.enter_context(fastcgi.Connection(listen))
        slow.send_begin()
        queued = queue(held, listen, 3)
        daemon.send_signal(signal.SIGQUIT)
        done(daemon, "SIGQUIT: stopping when")
        held.end("a")
        served(queued)
        slow.send_params(fastcgi.cgi_params("id=slow&text=late"))
        slow.send_stdin()
        assert slow.read_response(wait_eof=True).text == "late"
    daemon.stop()


def test_workers_without_the_library(manager, app, tmp_path, listen):
    """They are also asked to stop only when the queue is empty."""
    daemon = manager({"command": f"{app('box_plain')} {tmp_path}", "listen": listen})
    with contextlib.ExitStack() as stack:
        queued = []
        for number in range(QUEUED):
            queued.append(stack.enter_context(fastcgi.Connection(listen)))
            queued[-1].send_request(fastcgi.cgi_params(f"note=in-{number}&wait=go-{number}&text=queued{number}"))
        wait_until((tmp_path / "in-0").exists, "a request in the worker")
        daemon.send_signal(signal.SIGQUIT)
        done(daemon, "SIGQUIT: stopping when")
        nobody_comes_in(listen)
        for number in range(QUEUED):
            wait_until((tmp_path / f"in-{number}").exists, "the next request in the worker")
            (tmp_path / f"go-{number}").touch()
        served(queued)
    daemon.stop()


def test_a_stop_now_leaves_the_queue(manager, app, tmp_path, journal):
    """TERM after QUIT: running requests have their time, queued ones are not served."""
    daemon = manager(pool(app, tmp_path))
    with Held(daemon, journal) as held:
        held.begin("a", "text=whole")
        queued = queue(held, daemon.address)
        daemon.send_signal(signal.SIGQUIT)
        done(daemon, "SIGQUIT: stopping when")
        daemon.send_signal(signal.SIGTERM)
        done(daemon, "SIGTERM: stopping now")
        assert held.end("a")[0].text == "whole"
        answers = [connection.read_response(wait_eof=True).complete for connection in queued]
        assert False in answers
    daemon.stop()
