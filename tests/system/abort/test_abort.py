"""How the worker notices that a client has left: while the application is silent, at output, on arrival."""

import os
import signal

import pytest

from harness import fastcgi, scoreboard
from harness.totals import totals, wait_totals
from harness.wait import now, stays, wait_until

TRIES = 3  # measurements: a busy machine may spoil one
INSTANT = 0.150  # seconds


@pytest.fixture
def pool(manager, app, listen, tmp_path):
    def start(mode="run", **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        base = {"max_execution_time": "0", "abort_detection": "instant"}
        command = f"{app('life')} -m {mode} {tmp_path}"
        return manager({"command": command, "listen": listen, **base, **directives})

    return start


def send(listen, query, body=b"", keep=False):
    connection = fastcgi.Connection(listen)
    connection.send_request(fastcgi.cgi_params(query, "POST" if body else "GET", body), body, keep)
    return connection


LEAVE = {
    "close": fastcgi.Connection.close,
    "reset": fastcgi.Connection.reset,
    "half close": fastcgi.Connection.half_close,
    "abort record": lambda connection: connection.send(fastcgi.record(fastcgi.ABORT_REQUEST)),
}


# abort_detection = instant

@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("how", ["block=read", "block=poll", "block=nanosleep", "endless", "malloc"])
def test_silent_application(pool, listen, how, leave, journal):
    """The flag is up while the application makes no call at all."""
    daemon = pool()
    late = []
    for number in range(TRIES):
        (pid,) = daemon.wait_workers(1)
        with send(listen, f"id=a{number}&{how}") as connection:
            journal.wait("stuck", f"a{number}")
            assert scoreboard.record(daemon).status == 0
            LEAVE[leave](connection)
            start = now()
            wait_until(lambda: scoreboard.record(daemon).status == 1, "the flag")
            late.append(now() - start)
        os.kill(pid, signal.SIGKILL)
        daemon.wait_workers(1, without=[pid])
        if late[-1] <= INSTANT:
            return
    raise AssertionError(f"noticed late: {late}")


@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept"])
@pytest.mark.parametrize(
    ("detection", "leave"),
    # The descriptor only reports the connection's end; a record is noticed when it is read.
    [(detection, leave) for detection in ("checkpoint", "instant") for leave in LEAVE
     if (detection, leave) != ("checkpoint", "abort record")],
)
def test_abort_fd(pool, listen, detection, leave, keep, journal):
    """Ends the poll() of the application's own loop."""
    pool(abort_detection=detection, ignore_user_abort="on")
    late = []
    for number in range(TRIES):
        with send(listen, f"id=a{number}&read=all&abort-fd=60000&note=rest", b"b" * 5000, keep) as connection:
            assert journal.wait("polls", f"a{number}").detail == "1"
            LEAVE[leave](connection)
            start = now()
            got, at, status = journal.wait("polled", f"a{number}").detail.split()
            assert status == "status=1"
            assert got == "1" or leave == "abort record"
            late.append(float(at) / 1000 - start)
            journal.wait("end", f"a{number}")
        if late[-1] <= INSTANT:
            return
    raise AssertionError(f"noticed late: {late}")


@pytest.mark.parametrize("detection", ["checkpoint", "instant"])
def test_abort_fd_is_quiet(pool, listen, detection):
    """While the client stays, and after the response."""
    pool(abort_detection=detection)
    for query in ("id=a&read=all&abort-fd=300&text=x", "id=b&read=all&text=x&finish&abort-fd=300"):
        response = fastcgi.request(listen, query=query, body=b"b" * 5000)
        assert response.text == "x"


def test_abort_fd_after_finish(pool, listen, journal):
    """The client has its response: if it leaves then, the request is not aborted."""
    pool()
    assert fastcgi.request(listen, query="id=a&text=x&finish&abort-fd=100&status&note=rest").text == "x"
    journal.wait("end", "a")
    assert journal.events("a", "status")[0].detail == "0"
    polled = journal.events("a", "polled")[0].detail
    assert polled.split()[0] != "1", polled


@pytest.mark.parametrize("call", ["checkpoint", "label=x", "ignore=0", "limit=9", "later=:own"])
def test_calls_that_change_something_are_safe_points(pool, listen, call, journal):
    """After they have done so: what was registered runs."""
    daemon = pool()
    connection = send(listen, f"id=a&later=:end&wait=go&{call}&note=rest")
    journal.wait("wait", "a")
    connection.close()
    wait_until(lambda: scoreboard.record(daemon).status == 1, "the flag")
    journal.signal("go")
    names = ["end"] + ["own"] * call.startswith("later")
    journal.wait("shutdown", "a", count=len(names))
    assert [event.detail.split()[0] for event in journal.events("a", "shutdown")] == names
    assert not journal.events("a", "note")


@pytest.mark.parametrize("call", ["status", "ignore=-1", "ignore=1"])
def test_calls_that_return(pool, listen, call, journal):
    """Those that only ask, and one that has the abort ignored."""
    daemon = pool()
    connection = send(listen, f"id=a&wait=go&{call}&note=rest")
    journal.wait("wait", "a")
    connection.close()
    wait_until(lambda: scoreboard.record(daemon).status == 1, "the flag")
    journal.signal("go")
    journal.wait("note", "a")


@pytest.mark.parametrize("ignored", [False, True], ids=["heeded", "ignored"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_bailout_at_the_next_safe_point(pool, listen, mode, ignored, journal):
    """The first call after the silence is enough."""
    daemon = pool(mode)
    connection = send(listen, f"id=a&ignore={ignored:d}&later=:end&wait=go&checkpoint&note=rest")
    journal.wait("wait", "a")
    connection.close()
    wait_until(lambda: scoreboard.record(daemon).status == 1, "the flag")
    journal.signal("go")
    assert journal.wait("shutdown", "a").detail == "end finished=0 status=1"
    assert bool(journal.events("a", "note")) == (ignored or mode == "loop")


@pytest.mark.parametrize("body", [0, 5000, 5 << 20], ids=["no body", "read", "large, read"])
def test_short_and_long_requests_that_stay(pool, listen, body, journal):
    """No abort is reported while the client stays, for any input."""
    daemon = pool()
    for number, work in enumerate(["note=short", "sleep=250", "spin=250"]):
        query = f"id=a{number}&later=:end&read=all&{work}&text=fine"
        assert fastcgi.request(listen, query=query, body=b"b" * body).text == "fine"
        assert journal.wait("shutdown", f"a{number}").detail.endswith("status=0")
    assert totals(daemon)["aborted"] == 0


def test_kept_connection_between_requests(pool, listen, journal):
    """Its end aborts no request that is over, and the next request is not taken for the client's leaving."""
    daemon = pool()
    with fastcgi.Connection(listen) as connection:
        for number in range(5):
            connection.send_request(fastcgi.cgi_params(f"id=a{number}&later=:end&sleep=150&text=x"), keep=True)
            assert connection.read_response().text == "x"
    for number in range(5):
        assert journal.wait("shutdown", f"a{number}").detail.endswith("status=0")
    wait_totals(daemon, requests=5, aborted=0)


def test_behind_nginx(pool, nginx, listen, keep, journal):
    """nginx closes its connection when its client leaves."""
    daemon = pool()
    server = nginx(listen, keep=keep)
    with server.connect() as browser:
        browser.send("/?id=a&ignore=1&later=:end&wait=go")
        journal.wait("wait", "a")
        browser.close()
        wait_until(lambda: scoreboard.record(daemon).status == 1, "the flag")
    journal.signal("go")
    journal.wait("shutdown", "a")


# ot_finish_request

@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("detection", ["instant", "checkpoint", "write"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_finish_returns_to_its_caller(pool, listen, mode, detection, leave, journal):
    """It ends a response whose client has left and is no safe point: the caller's next statement runs.

    The bailout comes at the next safe point, if the client is known to have left.
    """
    daemon = pool(mode, abort_detection=detection)
    # Output is a safe point, so all of it is written before the client leaves.
    with send(listen, "id=a&later=:end&text=x&wait=go&finish&note=next&checkpoint&note=rest") as connection:
        journal.wait("wait", "a")
        LEAVE[leave](connection)
        if detection == "instant":
            wait_until(lambda: scoreboard.record(daemon).status == 1, "the flag")
        journal.signal("go")
        end = journal.wait("shutdown", "a")
    known = end.detail == "end finished=1 status=1"
    assert known or detection != "instant"
    after = ["note rest", "end"] if mode == "loop" or not known else []
    names = [name for name in journal.names("a") if not name.startswith("checkpoint")]
    assert names == ["begin GET", "wait go", "finish 1 finished=1", "note next", *after, f"shutdown {end.detail}"]


# abort_detection = write

@pytest.mark.parametrize("ignored", [False, True], ids=["heeded", "ignored"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_write_only(pool, listen, mode, ignored, journal):
    """As PHP does: nothing is noticed until output fails."""
    daemon = pool(mode, abort_detection="write")
    connection = send(listen, f"id=a&ignore={ignored:d}&later=:end&wait=go&look=30&flow=9999&note=rest")
    journal.wait("wait", "a")
    connection.close()
    journal.signal("go")
    assert journal.wait("shutdown", "a").detail == "end finished=0 status=1"
    assert journal.events("a", "saw")[0].detail == "0"
    assert bool(journal.events("a", "note")) == (ignored or mode == "loop")
    wait_totals(daemon, requests=1, aborted=1)


# drop_dead_on_arrival

@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept"])
@pytest.mark.parametrize("drop", [False, True], ids=["served", "dropped"])
def test_dead_on_arrival(pool, listen, drop, keep, journal):
    """Dropped, counted and logged if the pool is configured so; otherwise it reaches the application."""
    how = {"drop_dead_on_arrival": "yes" if drop else "no", "ignore_user_abort": "on"}
    daemon = pool(abort_detection="checkpoint", **how)
    gone = fastcgi.Connection(listen)
    if keep:
        gone.send_request(fastcgi.cgi_params("id=warm&text=warm"), keep=True)
        assert gone.read_response().text == "warm"
    with send(listen, "id=busy&wait=go&text=busy") as busy:
        journal.wait("wait", "busy")
        gone.send_request(fastcgi.cgi_params("id=gone&later=:end"), keep=keep)
        gone.close()
        journal.signal("go")
        assert busy.read_response().text == "busy"
    assert fastcgi.request(listen, query="id=next&text=next").text == "next"
    if drop:
        daemon.wait_log(r"\b499\b")
        wait_totals(daemon, dropped=1, requests=2 + keep)
        assert not journal.events("gone")
    else:
        assert journal.wait("shutdown", "gone").detail == "end finished=0 status=1"
        wait_totals(daemon, dropped=0, requests=3 + keep)


def test_dead_on_arrival_is_quiet(pool, listen, journal):
    """A client that waits is served."""
    daemon = pool(drop_dead_on_arrival="yes")
    for number in range(20):
        assert fastcgi.request(listen, query=f"id=a{number}&text=fine").text == "fine"
    stays(lambda: totals(daemon)["dropped"] == 0, 0.1, "nothing dropped")
