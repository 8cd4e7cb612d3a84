"""Time limits, soft and hard: when they act, what the client gets, what the log says."""

import re

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.totals import totals, wait_totals
from harness.wait import wait_until

TRIES = 3  # measurements: a busy machine may spoil one
LATE = 100  # ms that a limit of a second may act late
BIG = 10 << 20


@pytest.fixture
def pool(manager, app, tmp_path):
    def start(mode="run", threads=1, listen=None, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        command = f"{app('life')} -m {mode} -t {threads} {tmp_path}"
        listen = listen or Address.make("unix", tmp_path)
        return manager({"command": command, "listen": listen, **directives})

    return start


# Both bits

BAILOUTS = ["auto", "unwind", "exit", "none"]


@pytest.mark.parametrize("first", ["abort", "timeout"])
@pytest.mark.parametrize("bailout", BAILOUTS)
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_timeout_and_abort_give_3(pool, mode, bailout, first, journal):
    """In either order. Asking for the status is no safe point, so both can come before the bailout."""
    daemon = pool(mode, bailout=bailout, max_execution_time="100ms", hard_timeout="60s")
    waits = {"abort": "limit=2&until=1&until=2", "timeout": "until=2&until=1"}[first]
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params(f"id=a&later=:end&{waits}&checkpoint&note=rest"))
        journal.wait("begin" if first == "abort" else "until", "a")
    assert journal.wait("shutdown", "a").detail == "end finished=0 status=3"
    seen = [event.detail for event in journal.events("a", "until")]
    assert seen == ["1" if first == "abort" else "2", "3"]
    left = bailout != "none"  # by the time-out, if not by the abort
    assert bool(journal.events("a", "note")) != left
    wait_totals(daemon, requests=1, aborted=1, timed_out=1, shutdown_run=1)


# When they act

def measure(daemon, journal, query):
    """The times that on_shutdown_clock has measured: wall clock and processor time, in milliseconds."""
    for number in range(TRIES):
        fastcgi.request(daemon.address, query=f"id=m{number}&{query}")
        wall, cpu = map(float, journal.wait("clock", f"m{number}").detail.split()[1:3])
        yield wall, cpu
        daemon.wait_workers(1)


@pytest.mark.parametrize(
    ("directives", "query"),
    [
        ({"max_execution_time": "1s"}, "later=clock:x&spin=60000"),
        ({"max_execution_time": "0"}, "limit=1&later=clock:x&spin=60000"),
        ({"max_execution_time": "60s"}, "limit=1&later=clock:x&spin=60000"),
        ({"max_execution_time": "1s"}, "later=clock:x&busy=60000"),
        (
            {"max_execution_time": "0", "post_response.time_limit": "1s"},
            "later=clock:x&text=x&finish&spin=60000",
        ),
    ],
    ids=["directive", "call", "shorter", "busy", "post-response"],
)
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_one_second(pool, mode, directives, query, journal):
    """Acts within 1.0 and 1.1 s, measured by the application."""
    daemon = pool(mode, hard_timeout="60s", **directives)
    found = []
    for wall, _ in measure(daemon, journal, query):
        found.append(wall)
        assert wall >= 1000, "too early"
        if wall <= 1000 + LATE:
            return
    raise AssertionError(f"too late: {found}")


def test_processor_time(pool, journal):
    """Waiting does not count, computing does."""
    daemon = pool(max_execution_time="0", max_execution_cpu_time="500ms", hard_timeout="60s")
    fastcgi.request(daemon.address, query="id=a&later=:end&spin=1500&text=x")
    assert journal.wait("shutdown", "a").detail.endswith("status=0")
    assert journal.events("a", "spun")[0].detail.startswith("quiet")
    found = []
    for _, cpu in measure(daemon, journal, "later=clock:x&busy=60000"):
        found.append(cpu)
        assert cpu >= 480, "too early"
        if cpu <= 600:
            break
    else:
        raise AssertionError(f"too late: {found}")
    daemon.wait_log(r"reached max_execution_cpu_time of 500 ms")
    wait_totals(daemon, timed_out=len(found))


@pytest.mark.parametrize(
    ("directives", "query"),
    [
        ({"max_execution_time": "0"}, "spin=700"),
        ({"max_execution_time": "300ms"}, "limit=0&spin=700"),
        ({"max_execution_time": "300ms"}, "spin=200&limit=60&spin=700"),
        ({"max_execution_time": "300ms"}, "text=x&finish&spin=700"),
        ({"max_execution_time": "300ms", "post_response.time_limit": "0"}, "text=x&finish&spin=700"),
        ({"max_execution_time": "300ms", "post_response.time_limit": "60s"}, "text=x&finish&spin=700"),
        ({"max_execution_time": "300ms"}, "text=x&finish&limit=60&spin=700"),
    ],
    ids=[
        "no limit", "set to none", "begins anew", "stops at finish", "none after the response", "its own",
        "set after the response",
    ],
)
def test_no_time_out(pool, directives, query, journal):
    daemon = pool(hard_timeout="300ms", **directives)
    fastcgi.request(daemon.address, query=f"id=a&later=:end&{query}&note=rest")
    assert journal.wait("shutdown", "a").detail.endswith("status=0")
    assert journal.events("a", "note")
    assert totals(daemon)["timed_out"] == 0 and totals(daemon)["died"] == 0


def test_log_names_the_limit(pool, journal):
    """Who, what, how long, and the directive to turn."""
    daemon = pool(max_execution_time="100ms", post_response__time_limit="200ms")
    fastcgi.request(daemon.address, query="id=a&spin=60000")
    daemon.wait_log(r"pool www: .*GET /\?id=a\S* reached max_execution_time of 100 ms: running, \d+ ms old; "
                    r"raise max_execution_time, or call ot_set_time_limit")
    fastcgi.request(daemon.address, query="id=b&finish&label=mail&spin=60000")
    daemon.wait_log(r"pool www: .*GET /\?id=b\S* reached post_response\.time_limit of 200 ms: post-response, "
                    r"\d\d\d ms old, \"mail\"; raise post_response\.time_limit, or")
    fastcgi.request(daemon.address, query="id=c&finish&limit=1&spin=60000")
    daemon.wait_log(r"id=c\S* reached ot_set_time_limit of 1000 ms: .*; the application has set this limit")
    for parameter in ("OVERTIME_VALUE", "OVERTIME_ADMIN_VALUE"):
        params = fastcgi.cgi_params("id=d&finish&spin=60000", **{parameter: "post_response.time_limit=100ms"})
        fastcgi.request(daemon.address, params)
        daemon.wait_log(rf"id=d\S* reached post_response\.time_limit of 100 ms: .*; raise .* in {parameter}\b")


# Applications that reach no safe point

STUCK = ["malloc", "endless", "block=read", "block=poll", "block=nanosleep"]


@pytest.fixture
def stuck(pool, listen):
    """A worker whose requests time out at 200 ms, and whose process ends 100 ms later."""
    def start(mode="run", threads=1, **directives):
        limits = {"max_execution_time": "200ms", "hard_timeout": "100ms"}
        daemon = pool(mode, threads, listen=listen, **{**limits, **directives})
        daemon.first = daemon.wait_workers(1)[0]
        return daemon

    return start


def check_exit(daemon, query, lost=0):
    """The worker exited with 124, the log names its request, and its successor serves."""
    daemon.wait_log(rf"\b{daemon.first}\b.*exited with status 124.*/\?{re.escape(query[:20])}")
    line = daemon.wait_log(rf"^.*hard_timeout.*$")[0]
    assert f"/?{query[:20]}" in line and re.search(r", \d+ ms old.*raise \S+ or hard_timeout", line), line
    if lost:
        assert re.search(rf"\b{lost} shutdown functions?\b", line), line
    daemon.wait_workers(1, without=[daemon.first])
    assert fastcgi.request(daemon.address, query="id=c&text=fine").text == "fine"
    wait_totals(daemon, requests=2, timed_out=1, shutdown_lost=lost)


@pytest.mark.parametrize("body", [0, 5000, BIG], ids=["no body", "small body", "10 MB unread"])
@pytest.mark.parametrize("how", STUCK)
def test_stuck(stuck, how, body, journal):
    """The worker answers 504, logs what is lost, and exits."""
    daemon = stuck()
    query = f"id=a&later=:one&later=:two&{how}"
    response = fastcgi.request(daemon.address, query=query, body=b"b" * body)
    assert response.status == 504 and response.end_request == b"\0" * 8
    assert not response.after_end and not response.reset
    check_exit(daemon, query, lost=2)
    assert not journal.events("a", "shutdown")


@pytest.mark.parametrize("body", [0, BIG], ids=["no body", "10 MB unread"])
@pytest.mark.parametrize("written", ["text=hello&flush", "write=100000"])
@pytest.mark.parametrize("how", ["malloc", "block=read"])
def test_stuck_after_output(stuck, how, written, body, journal):
    """The response has begun: it is ended properly, and nothing is added."""
    daemon = stuck()
    query = f"id=a&later=:one&{written}&{how}"
    response = fastcgi.request(daemon.address, query=query, body=b"b" * body)
    assert response.status == 200 and response.end_request == b"\0" * 8
    assert not response.after_end and not response.reset
    if "flush" in written:
        assert response.text == "hello"
    check_exit(daemon, query, lost=1)


@pytest.mark.parametrize("mode", ["run", "loop"])
def test_stuck_after_finish(stuck, mode, journal):
    """The client has its response; the post-response work is cut off, and the log says so."""
    daemon = stuck(mode, post_response__time_limit="200ms")
    query = "id=a&later=:one&text=hello&finish&endless"
    response = fastcgi.request(daemon.address, query=query)
    assert response.text == "hello" and not response.after_end
    check_exit(daemon, query, lost=1)


def test_stuck_in_a_shutdown_function(stuck, journal):
    daemon = stuck(shutdown_functions__time_limit="200ms")
    query = "id=a&later=:one&later=stuck:x&later=:two&text=hello&flush"
    response = fastcgi.request(daemon.address, query=query)
    assert response.text == "hello" and response.end_request == b"\0" * 8 and not response.after_end
    daemon.wait_log(rf"\b{daemon.first}\b.*exited with status 124")
    daemon.wait_workers(1, without=[daemon.first])
    wait_totals(daemon, shutdown_run=1, shutdown_late=1, shutdown_lost=1)


def test_stuck_with_other_threads(stuck, journal):
    """The requests of the other threads are lost with the process: each is logged as well."""
    daemon = stuck(threads=3)
    with fastcgi.Connection(daemon.address) as other:
        other.send_request(fastcgi.cgi_params("id=other&limit=0&wait=never"))
        journal.wait("wait", "other")
        response = fastcgi.request(daemon.address, query="id=a&endless")
        assert response.status == 504 and response.end_request == b"\0" * 8
        other.read_eof()
    daemon.wait_log(rf"\b{daemon.first}\b.*exited with status 124")
    daemon.wait_log(r"/\?id=other")
    daemon.wait_workers(1, without=[daemon.first])


@pytest.mark.parametrize("body", [0, BIG], ids=["no body", "10 MB"])
def test_stuck_behind_a_web_server(stuck, web, listen, keep, body, journal):
    daemon = stuck()
    server = web(listen, keep=keep)
    answer = server.request("/?id=a&malloc", body=b"b" * body)
    assert (answer.complete, answer.status) == (True, 504)
    daemon.wait_log(rf"\b{daemon.first}\b.*exited with status 124")
    daemon.wait_workers(1, without=[daemon.first])
    assert server.request("/?id=c&text=fine").text == "fine"


def test_stuck_client_does_not_read(stuck, listen, journal):
    """A client that does not read does not delay the worker either."""
    daemon = stuck()
    with fastcgi.Connection(listen) as silent:
        silent.send_request(fastcgi.cgi_params("id=a&write=50000000"))
        journal.wait("begin", "a")
        wait_until(lambda: not process.alive(daemon.first) or totals(daemon)["timed_out"], "the time-out")
        assert fastcgi.request(daemon.address, query="id=c&text=fine").text == "fine"


@pytest.mark.parametrize("hard", ["0", "60s"])
def test_no_hard_timeout(stuck, hard, journal):
    """0 sets none: the request ends at its next safe point, whenever that is."""
    daemon = stuck(hard_timeout=hard)
    response = fastcgi.request(daemon.address, query="id=a&later=:one&sleep=700&checkpoint&note=rest")
    assert response.complete and response.status == 504
    journal.wait("shutdown", "a")
    assert not journal.events("a", "note")
    assert daemon.first in daemon.workers()
