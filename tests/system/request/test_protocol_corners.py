"""Rare behaviour that the FastCGI specification allows a web server: raw clients."""

import contextlib
import re
from pathlib import Path

import pytest

from harness import fastcgi
from harness.totals import wait_totals

VALUES = fastcgi.record(
    fastcgi.GET_VALUES, fastcgi.pairs({"FCGI_MAX_CONNS": "", "FCGI_MAX_REQS": "", "FCGI_MPXS_CONNS": ""}), 0)
COMPLETE = b"\0" * 8
ROUNDS = 100


def abort(request_id=1):
    return fastcgi.record(fastcgi.ABORT_REQUEST, request_id=request_id)


def whole(query, request_id=1, body=b"", **more):
    params = fastcgi.cgi_params(query, "POST" if body else "GET", body, **more)
    return (fastcgi.begin(True, request_id) + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(params), request_id)
            + fastcgi.stream(fastcgi.STDIN, body, request_id))


@pytest.fixture
def pool(manager, app, listen, tmp_path):
    def start(mode="loop", **directives):
        return manager({"command": f"{app('life')} -m {mode} {tmp_path}", "listen": listen, **directives})

    return start


def backlog():
    """The default of listen.backlog, as far as the kernel allows it."""
    return min(511, int(Path("/proc/sys/net/core/somaxconn").read_text()))


@pytest.mark.parametrize("pm", ["ondemand", "static"])
def test_get_values_tells_what_the_pool_takes(pool, listen, pm):
    """What it serves at once, and what may wait in its listen queue."""
    pool(**{"pm": pm, "pm.max_children": 3})
    with fastcgi.Connection(listen) as connection:
        connection.send(VALUES)
        kind, request_id, content = connection.read_record()
    most = str(3 + backlog())
    assert (kind, request_id) == (fastcgi.GET_VALUES_RESULT, 0)
    assert content == fastcgi.pairs({"FCGI_MAX_CONNS": most, "FCGI_MAX_REQS": most, "FCGI_MPXS_CONNS": "0"})


def test_a_client_that_asks_first(manager, app, listen):
    """As npm's fastcgi-client: it asks for the values, closes, and opens as many connections as that allows. It
    sends each record's header, content and padding apart, and fails what it is not allowed by itself."""
    manager({"command": f"{app('load_worker')} run", "listen": listen, "request_header_timeout": "60s"})

    def padded(kind, content=b"", request_id=1):
        data = fastcgi.record(kind, content, request_id, -len(content) % 8)
        return [data[:8], data[8:8 + len(content)], data[8 + len(content):]]

    with fastcgi.Connection(listen) as connection:
        for piece in padded(fastcgi.GET_VALUES, VALUES[8:], 0):
            connection.send(piece)
        kind, _, content = connection.read_record()
        connection.half_close()
        connection.read_eof()
    assert kind == fastcgi.GET_VALUES_RESULT
    most = int(re.search(rb"FCGI_MAX_CONNS([0-9]+)", content)[1])
    assert most >= backlog()
    params = fastcgi.pairs(fastcgi.cgi_params())
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(min(most, 500))]
        for connection in found:
            connection.send(fastcgi.begin())
            for piece in padded(fastcgi.PARAMS, params) + padded(fastcgi.PARAMS) + padded(fastcgi.STDIN):
                connection.send(piece)
        for connection in found:
            response = connection.read_response(wait_eof=True)
            assert response.text == "hello" and response.end_request == COMPLETE and not response.after_end


@pytest.mark.parametrize("at", ["begin", "params", "complete"])
def test_abort_before_the_application_has_it(pool, listen, at, journal):
    """It is answered at once, although the rest of it has not come, and the connection serves the next request."""
    daemon = pool()
    params = fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.cgi_params("id=never")), 1)
    cut = {"begin": 0, "params": len(params) - 8, "complete": len(params)}[at]
    with fastcgi.Connection(listen) as connection:
        for number in range(3):
            connection.send(fastcgi.begin(True) + params[:cut] + abort())
            assert connection.read_response().end_request == COMPLETE
            connection.send(params[cut:])  # on its way when the web server gave up
            connection.send(whole(f"id=next{number}&text=fine", 2 + number % 2))
            response = connection.read_response()
            assert response.text == "fine" and not response.after_end
        connection.send(fastcgi.begin(True) + abort() + whole("id=behind&text=behind", 5))
        assert connection.read_response().stdout == b""
        assert connection.read_response().text == "behind"
        connection.send(fastcgi.begin(False) + abort())
        response = connection.read_response(wait_eof=True)
        assert response.end_request == COMPLETE and not response.after_end
    assert not journal.events("never")
    wait_totals(daemon, dropped=5)


@pytest.mark.parametrize("body", [b"", b"b" * 100, b"b" * 5000], ids=["none", "some", "more"])
def test_abort_behind_an_unread_body(pool, listen, body, journal):
    """The application sees it without reading the body."""
    pool()
    params = fastcgi.cgi_params("id=a&wait=go&status", "POST", b"b" * 9000)
    with fastcgi.Connection(listen) as connection:
        connection.send(fastcgi.begin(True) + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(params)))
        journal.wait("wait", "a")
        connection.send((fastcgi.record(fastcgi.STDIN, body) if body else b"") + abort())
        journal.signal("go")
        assert journal.wait("status", "a").detail == "1"
        assert connection.read_response().end_request == COMPLETE
        connection.send(whole("id=b&text=again"))
        assert connection.read_response().text == "again"


def test_half_closed_within_a_header(pool, listen):
    """The end that comes along with the last bytes is seen each time, not after request_header_timeout."""
    daemon = pool(request_header_timeout="60s", keepalive_timeout="60s")
    for number in range(ROUNDS):
        with fastcgi.Connection(listen) as connection:
            if number % 2:  # on a connection that is watched already
                connection.send(whole("id=a&text=x"))
                assert connection.read_response().text == "x"
            connection.send(fastcgi.begin(True)[: 5 + number % 11])
            connection.half_close()
            connection.read_eof(20)
    wait_totals(daemon, dropped=ROUNDS)


def test_half_closed_after_a_request(pool, listen):
    """The connection ends at once. The response comes unless a safe point saw the end first: that is an abort."""
    pool(keepalive_timeout="60s")
    for _ in range(20):
        with fastcgi.Connection(listen) as connection:
            connection.send(whole("id=a&text=x"))
            connection.half_close()
            assert connection.read_response(wait_eof=True).text in ("x", "")


def test_a_body_without_parameters(pool, listen):
    """A protocol error, and the request is open, so it gets an answer."""
    daemon = pool()
    with fastcgi.Connection(listen) as connection:
        connection.send(fastcgi.begin(True) + fastcgi.stream(fastcgi.STDIN, b"body"))
        response = connection.read_response(wait_eof=True)
    assert response.status == 400 and response.end_request == COMPLETE and not response.after_end
    wait_totals(daemon, dropped=1)
    assert fastcgi.request(listen, query="id=b&text=fine").text == "fine"


@pytest.mark.parametrize("size", [5000, 9000, 30000])
def test_a_long_request_sent_ahead(pool, listen, size, journal):
    """The next request comes before the first one's response, which ot_finish_request ends; it is longer than the
    buffer, and its values look like records."""
    pool("run", **{"pm.max_children": 2})
    evil = whole("id=evil&text=evil", 1)
    value = (evil * (size // len(evil) + 1))[:size].decode("latin-1")
    first = whole("id=a&param=BIG&text=x&wait=ahead&status&finish&wait=go", BIG="v" * 12000)
    with fastcgi.Connection(listen) as connection:
        connection.send(first)
        journal.wait("wait", "a")
        connection.send_duplex(whole("id=b&param=BIG&text=y", BIG=value))
        journal.signal("ahead")
        assert connection.read_response().text == "x"
        response = connection.read_response()
        assert response.text == "y", "another worker serves it, while the first one works"
        assert not journal.events("a", "end")
        journal.signal("go")
        assert not connection.at_eof and not connection.unread
    assert not journal.events("evil")
