"""No timer of the library, and no watch on the client, cuts a system call of the application short."""

import re

import pytest

from bench.contestants import Missing
from bench.measure import Tracer
from harness import fastcgi
from harness.address import Address
from harness.wait import stays, wait_until

CALLS = ["usleep", "nanosleep", "poll", "select", "epoll_wait", "recv"]
INSTANT = {"abort_detection": "instant"}


@pytest.fixture
def pool(manager, app, tmp_path):
    def start(mode="run", threads=1, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        command = f"{app('life')} -m {mode} -t {threads} {tmp_path}"
        return manager({"command": command, "listen": Address.make("unix", tmp_path), **directives})

    return start


def dozed(journal, name, count=1):
    """How many milliseconds each call of the request took."""
    wait_until(lambda: len(journal.events(name, "dozed")) >= count, f"{count} calls of {name}")
    return [float(event.detail.split()[1]) for event in journal.events(name, "dozed")]


@pytest.mark.parametrize("mode", ["run", "loop", "finish"])
def test_timer_of_an_earlier_request(pool, mode, journal):
    """It would expire in the middle of each of these calls."""
    daemon = pool(mode, max_execution_time="400ms", hard_timeout="200ms")
    for number, call in enumerate(CALLS):
        assert fastcgi.request(daemon.address, query=f"id=q{number}&text=quick").text == "quick"
        fastcgi.request(daemon.address, query=f"id=a{number}&text=x&finish&limit=0&doze={call}:900")
        (took,) = dozed(journal, f"a{number}")
        assert took >= 900, call
    assert not daemon.log().count("status 124")


def test_sleep(pool, journal):
    """sleep() knows whole seconds only."""
    daemon = pool(max_execution_time="700ms", hard_timeout="300ms")
    fastcgi.request(daemon.address, query="id=q&text=quick&doze=poll:300")
    fastcgi.request(daemon.address, query="id=a&text=x&finish&limit=0&doze=sleep:2000")
    assert dozed(journal, "a") >= [2000]


def test_between_two_requests(pool, journal):
    """An unchanged program that works after FCGX_Finish_r is not disturbed either."""
    daemon = pool("finish", max_execution_time="400ms", hard_timeout="200ms")
    for number in range(3):
        fastcgi.request(daemon.address, query=f"id=a{number}&text=x&away=900")
        fastcgi.request(daemon.address, query=f"id=b{number}&text=x")
    found = [float(event.detail) for event in journal.events("-", "away")]
    assert len(found) == 3 and min(found) >= 900, found


def test_shutdown_functions_that_do_not_exist(pool, journal):
    """Their time limit sets no timer at the end of a request."""
    daemon = pool(shutdown_functions__time_limit="100ms", hard_timeout="100ms")
    for number in range(12):
        fastcgi.request(daemon.address, query=f"id=a{number}&doze=usleep:250&text=x")
        assert dozed(journal, f"a{number}") >= [250]


def test_shutdown_functions_that_do(pool, journal):
    """Their timer ends with the request."""
    daemon = pool(shutdown_functions__time_limit="100ms", hard_timeout="100ms")
    for number in range(6):
        fastcgi.request(daemon.address, query=f"id=a{number}&later=:end&doze=usleep:250&text=x")
        assert dozed(journal, f"a{number}") >= [250]


@pytest.mark.parametrize("limits", ["limit=1&limit=0", "limit=1&limit=60", "text=x&finish&limit=1&limit=0",
                                    "limit=1&text=x&finish"])
def test_limit_that_was_changed(pool, limits, journal):
    """The old moment passes unnoticed."""
    daemon = pool(hard_timeout="100ms")
    fastcgi.request(daemon.address, query=f"id=a&{limits}&doze=poll:1400")
    assert dozed(journal, "a") >= [1400]


def test_limit_that_a_safe_point_has_seen(pool, journal):
    """With `none` the application goes on, and its hard limit is void."""
    daemon = pool(bailout="none", max_execution_time="100ms", hard_timeout="300ms")
    fastcgi.request(daemon.address, query="id=a&until=2&checkpoint&doze=poll:600&text=x")
    assert dozed(journal, "a") >= [600]


@pytest.mark.parametrize("query", ["doze=poll:500&text=x", "text=x&finish&doze=poll:500",
                                   "busy=100&doze=poll:500&text=x"])
def test_processor_time(pool, query, journal):
    """Its timer expires in no sleep, after any earlier request."""
    daemon = pool(max_execution_time="0", max_execution_cpu_time="200ms", hard_timeout="100ms")
    for number in range(3):
        fastcgi.request(daemon.address, query=f"id=a{number}&{query}")
        assert dozed(journal, f"a{number}") >= [500]


def test_processor_time_without_a_safe_point(pool, journal):
    daemon = pool(max_execution_time="0", max_execution_cpu_time="200ms", hard_timeout="100ms")
    assert fastcgi.request(daemon.address, query="id=a&endless").status == 504
    daemon.wait_log(r"exited with status 124")


# abort_detection = instant

@pytest.mark.parametrize("query", ["doze=poll:500&text=x", "text=x&finish&doze=poll:500", "text=x&flush&doze=poll:500",
                                   "write=3000000&flush&doze=poll:500"])
@pytest.mark.parametrize("body", [0, 5000, 100000])
def test_instant_while_the_client_stays(pool, query, body, journal):
    daemon = pool(**INSTANT)
    with fastcgi.Connection(daemon.address) as connection:
        for number in range(3):
            params = fastcgi.cgi_params(f"id=a{number}&read=all&{query}", "POST" if body else "GET", b"b" * body)
            connection.send_request(params, b"b" * body, keep="finish" not in query)
            assert connection.read_response().complete
            assert dozed(journal, f"a{number}") >= [500]
            if "finish" in query:
                return


def test_instant_after_the_response(pool, journal):
    """Nobody is watched then."""
    daemon = pool(**INSTANT)
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&finish&doze=poll:600"), keep=True)
        assert connection.read_response().text == "x"
    assert dozed(journal, "a") >= [600]


@pytest.mark.parametrize("body", [0, 100000])
def test_instant_client_leaves(pool, body, journal):
    """It interrupts the application once."""
    daemon = pool(**INSTANT, ignore_user_abort="on")
    with fastcgi.Connection(daemon.address) as connection:
        query = "id=a&read=all&note=dozes&doze=poll:20000&doze=poll:300&doze=poll:300&status"
        connection.send_request(fastcgi.cgi_params(query, "POST", b"b" * body), b"b" * body)
        journal.wait("note", "a")
        connection.half_close()
        first = dozed(journal, "a", 1)[0]
        connection.close()
    assert first < 20000
    _, second, third = dozed(journal, "a", 3)
    assert second >= 300 and third >= 300
    assert journal.wait("status", "a").detail == "1"


# What a tracer sees

SIGNAL = re.compile(r"--- (SIGRT\w*|SIG(?:ALRM|IO|PROF|VTALRM)) ")


@pytest.mark.unsanitized
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mode", ["run", "finish"])
def test_thousand_mixed_requests(pool, mode, threads, tmp_path, journal):
    """No signal but where a limit passes, nor while the worker waits."""
    daemon = pool(mode, threads, max_execution_time="700ms", hard_timeout="300ms", bailout="none", pm="static")
    kinds = ["text=x", "text=x&finish", "text=x&finish&limit=0", "limit=1&text=x", "limit=0&text=x", "later=:end&text=x",
             "text=x&flush&checkpoint", "later=:end&text=x&finish&limit=5", "text=x&finish&status&label=work",
             "limit=1&limit=0&limit=9&text=x"]
    (pid,) = daemon.wait_workers(1)
    path = tmp_path / "signals"
    try:
        with Tracer(pid, path, "-f", "-e", "trace=none", "-e", "signal=all"):
            for number in range(1000):
                query = f"id=m{number}&{kinds[number % len(kinds)]}"
                assert fastcgi.request(daemon.address, query=query, body=b"b" * (number % 3 * 500)).text == "x"
                if number % 250 == 249:
                    # Longer than any timer of these requests.
                    stays(lambda: not SIGNAL.search(path.read_text()), 1.3, "no signal")
            quiet = path.read_text()
            assert not SIGNAL.search(quiet), SIGNAL.search(quiet)
            assert fastcgi.request(daemon.address, query="id=late&doze=poll:60000").status == 504
            # strace ends with the worker; it does not end if it is told to while the worker exits.
            daemon.wait_log(rf"worker {pid} .*exited with status 124")
        assert len(SIGNAL.findall(path.read_text())) == 1
    except Missing as error:
        pytest.skip(str(error))
