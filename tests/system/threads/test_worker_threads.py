"""A worker with several threads: each has its own request, limits, status and record."""

import os
import signal

import pytest

from harness import fastcgi, process, scoreboard
from harness.journal import pattern
from harness.totals import wait_totals
from harness.wait import wait_until

THREADS = 8


@pytest.fixture
def pool(manager, app, listen, tmp_path):
    def start(mode="run", threads=THREADS, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        command = f"{app('life')} -m {mode} -t {threads} {tmp_path}"
        return manager({"command": command, "listen": listen, **directives})

    return start


def send(listen, query, **more):
    connection = fastcgi.Connection(listen)
    connection.send_request(fastcgi.cgi_params(query), **more)
    return connection


@pytest.mark.parametrize("mode", ["run", "loop"])
def test_each_has_its_own_request(pool, listen, mode, journal):
    """As many requests at once as threads: statuses, settings and limits do not mix."""
    daemon = pool(mode, bailout="none", max_execution_time="60s")
    connections = []
    for number in range(THREADS):
        if number % 2:
            steps = "wait=look&look=20"  # stays within its limit
        else:
            steps = "limit=1&wait=look&spin=60000"  # reaches it
        settings = f"ignore={number % 3 == 0:d}&label=l{number}&later=:end"
        connections.append(send(listen, f"id=t{number}&{settings}&{steps}&write={1000 + number}"))
    for number in range(THREADS):
        journal.wait("wait", f"t{number}")
    found = scoreboard.records(daemon)
    assert len(found) == THREADS
    assert sorted(record.label for record in found) == [f"l{number}" for number in range(THREADS)]
    for record in found:
        assert record.state == "running" and record.uri.startswith(f"/?id=t{record.label[1:]}&")
    connections[1].close()  # leaves: only this one is aborted
    journal.signal("look")
    for number in range(THREADS):
        end = journal.wait("shutdown", f"t{number}")
        expected = 1 if number == 1 else 0 if number % 2 else 2
        assert end.detail.endswith(f"status={expected}"), (number, end)
        if number != 1:
            response = connections[number].read_response(wait_eof=True)
            assert response.body == pattern(1000 + number) and response.end_request == b"\0" * 8
            connections[number].close()
    assert len(daemon.workers()) == 1
    wait_totals(daemon, requests=THREADS, aborted=1, timed_out=THREADS // 2, shutdown_run=THREADS)


def test_post_response_work(pool, listen, journal):
    """Threads in post-response work do not delay the others."""
    daemon = pool()
    for number in range(THREADS - 1):
        assert fastcgi.request(listen, query=f"id=p{number}&text=x&finish&wait=go").text == "x"
        journal.wait("wait", f"p{number}")
    states = sorted(record.state for record in scoreboard.records(daemon))
    assert states.count("post") == THREADS - 1
    for number in range(20):
        assert fastcgi.request(listen, query=f"id=n{number}&text=fine").text == "fine"
    journal.signal("go")
    journal.wait("end", count=THREADS - 1 + 20)
    wait_totals(daemon, requests=THREADS - 1 + 20, post_response_requests=THREADS - 1)


@pytest.mark.parametrize("mode", ["run", "loop"])
def test_kept_connections_belong_to_no_thread(pool, listen, mode, journal):
    """A kept connection is served while the thread that served it before is busy."""
    pool(mode, threads=2)
    with fastcgi.Connection(listen) as kept, fastcgi.Connection(listen) as other:
        for turn in range(20):
            kept.send_request(fastcgi.cgi_params(f"id=k{turn}&text=kept"), keep=True)
            assert kept.read_response().text == "kept"
            # One thread becomes busy, whichever it is; then the other one serves the kept connection.
            other.send_request(fastcgi.cgi_params(f"id=o{turn}&wait=go{turn}&text=other"), keep=True)
            journal.wait("wait", f"o{turn}")
            kept.send_request(fastcgi.cgi_params(f"id=l{turn}&text=again"), keep=True)
            assert kept.read_response().text == "again"
            journal.signal(f"go{turn}")
            assert other.read_response().text == "other"


def test_more_kept_connections_than_threads(pool, listen, journal):
    daemon = pool(threads=3)
    connections = [fastcgi.Connection(listen) for _ in range(30)]
    try:
        for turn in range(5):
            for number, connection in enumerate(connections):
                connection.send_request(fastcgi.cgi_params(f"id=c&text={turn}.{number}"), keep=True)
            for number, connection in enumerate(connections):
                assert connection.read_response().text == f"{turn}.{number}"
        wait_until(lambda: sum(r.kept for r in scoreboard.records(daemon)) == 30, "30 kept connections")
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["term", "quit"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_a_stop_lets_all_threads_finish(pool, listen, mode, number, journal):
    """Every thread finishes its request, and the process ends by its own main()."""
    daemon = pool(mode)
    (pid,) = daemon.wait_workers(1)
    connections = []
    for name in range(THREADS // 2):
        connections.append(send(listen, f"id=r{name}&later=:end&text=running&wait=go"))
        journal.wait("wait", f"r{name}")
    for name in range(2):
        assert fastcgi.request(listen, query=f"id=p{name}&later=:end&text=post&finish&wait=go").text == "post"
        journal.wait("wait", f"p{name}")
    os.kill(pid, number)
    journal.signal("go")
    for connection in connections:
        with connection:
            response = connection.read_response(wait_eof=True)
            assert response.text == "running" and response.end_request == b"\0" * 8
    wait_until(lambda: not process.alive(pid), "the worker's end")
    journal.wait("shutdown", count=THREADS // 2 + 2)
    assert [event.detail for event in journal.events(name="bye")] == [str(THREADS // 2 + 2)]


def test_64_threads(pool, listen, journal):
    """The number of records in a worker's slot."""
    daemon = pool(threads=64)
    connections = [send(listen, f"id=t{number}&wait=go&text={number}") for number in range(64)]
    for number in range(64):
        journal.wait("wait", f"t{number}")
    found = scoreboard.records(daemon)
    assert len(found) == 64 and {record.state for record in found} == {"running"}
    assert {record.uri.split("&")[0] for record in found} == {f"/?id=t{number}" for number in range(64)}
    journal.signal("go")
    for number, connection in enumerate(connections):
        with connection:
            assert connection.read_response(wait_eof=True).text == str(number)
    wait_totals(daemon, requests=64)
