"""Every output and every input is a safe point, however small and buffered."""

import pytest

from harness import fastcgi
from harness.access import AccessLog
from harness.address import Address
from harness.totals import wait_totals

CALLS = ["PutChar", "PutStr", "PutS", "FPrintF", "VFPrintF", "HasSeenEOF", "GetChar", "GetStr", "set_label"]


@pytest.fixture
def pool(manager, app, tmp_path):
    def start(mode="run", listen=None, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        command = f"{app('life')} -m {mode} {tmp_path}"
        return manager({"command": command, "listen": listen or Address.make("unix", tmp_path), **directives})

    return start


@pytest.mark.parametrize("mode", ["run", "loop"])
@pytest.mark.parametrize("call", CALLS)
def test_time_limit(pool, mode, call, journal):
    """Ends by bailout, with its shutdown functions: it does not run into the hard limit."""
    daemon = pool(mode, max_execution_time="300ms")
    response = fastcgi.request(daemon.address, query=f"id=a&later=clock:x&text=x&dots={call}:60000")
    assert response.complete and response.status == 200
    assert 300 <= float(journal.wait("clock", "a").detail.split()[1]) < 2000
    assert not journal.events("a", "dotted")
    wait_totals(daemon, timed_out=1, shutdown_run=1, shutdown_lost=0)
    assert "status 124" not in daemon.log()


@pytest.mark.parametrize("call", CALLS)
def test_time_limit_after_the_response(pool, call, journal):
    daemon = pool(post_response__time_limit="300ms")
    assert fastcgi.request(daemon.address, query=f"id=a&later=clock:x&text=x&finish&dots={call}:60000").text == "x"
    assert 300 <= float(journal.wait("clock", "a").detail.split()[1]) < 2000
    wait_totals(daemon, timed_out=1, shutdown_run=1, shutdown_lost=0)
    assert "status 124" not in daemon.log()


@pytest.mark.parametrize("call", ["printf", "putchar", "fputs", "fwrite", "feof"])
def test_fcgi_stdio(manager, app, tmp_path, call, journal):
    daemon = manager({"command": f"{app('worker_stdio')} {tmp_path}", "max_execution_time": "300ms"})
    assert fastcgi.request(daemon.address, query=f"dots={call}").status == 200
    assert journal.wait("shutdown", "stdio").detail == "finished=0"
    wait_totals(daemon, timed_out=1, shutdown_run=1, shutdown_lost=0)


@pytest.mark.parametrize("call", CALLS)
def test_client_that_leaves(pool, call, journal):
    daemon = pool()
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params(f"id=a&later=:end&text=x&note=go&dots={call}:60000"))
        journal.wait("note", "a")
    assert journal.wait("shutdown", "a").detail == "end finished=0 status=1"
    assert not journal.events("a", "dotted")


@pytest.mark.parametrize("end", ["", "&finish"])
@pytest.mark.parametrize("text", ["text=small&wait=go", "wait=go&text=small"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_small_answer_to_a_client_that_left(pool, tmp_path, listen, mode, text, end, journal):
    """The first write to it would succeed over TCP: its departure is seen before."""
    access = AccessLog(tmp_path / "access.log")
    daemon = pool(mode, listen, **access.directives)
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params(f"id=a&{text}&sleep=100{end}"))
        journal.wait("wait", "a")
    journal.signal("go")
    entry = access.one("a")
    assert (entry["status"], entry["outcome"], entry["aborted"]) == (499, "aborted", True)
    wait_totals(daemon, aborted=1)


# A time-out before any output

@pytest.mark.parametrize("end", ["spin=60000", "sleep=300&checkpoint", "dots=HasSeenEOF:60000"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_nothing_was_written(pool, tmp_path, mode, end, journal):
    """The client gets the 504 both by unwinding and by exit."""
    access = AccessLog(tmp_path / "access.log")
    daemon = pool(mode, max_execution_time="100ms", **access.directives)
    response = fastcgi.request(daemon.address, query=f"id=a&later=:end&{end}")
    assert response.status == 504 and response.complete and not response.after_end
    assert "too long" in response.text
    assert access.one("a")["status"] == 504
    assert journal.wait("shutdown", "a").detail == "end finished=0 status=2"


def test_shutdown_function_writes_the_answer(pool, journal):
    daemon = pool(max_execution_time="100ms")
    response = fastcgi.request(daemon.address, query="id=a&later=text:Status%3A&spin=60000")
    assert response.stdout == b"Status%3A"


def test_in_a_shutdown_function(pool, journal):
    """The answer that it was to write never came."""
    daemon = pool(shutdown_functions__time_limit="100ms")
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&later=spin:60000&exit=0"))
        assert connection.read_response().status == 504
