"""Unusual applications: requests handed to another thread, input read after the response,
a last buffer without room for the end, forked children that continue the request."""

import re

import pytest

from harness import fastcgi
from harness.journal import pattern
from harness.totals import wait_totals
from harness.wait import wait_until


@pytest.fixture
def edge(spawner, app, listen):
    return lambda mode="loop": spawner([app("edge"), mode], listen)


def test_served_by_another_thread(edge, listen):
    """The accepting thread no longer owns them: its timers and its end do not affect them."""
    application = edge("hand")
    for _ in range(50):
        assert fastcgi.request(listen, query="x").text == "handed"
    assert len(application.workers()) == 1
    application.stop()  # asserts exit status 0: the accepting thread ends nothing twice


def test_read_after_finish(edge, listen):
    """Bytes that have arrived are read; another file with the same descriptor number is not."""
    application = edge()
    body = b"b" * 12000
    with fastcgi.Connection(listen) as connection:
        connection.send_begin()
        connection.send_params(fastcgi.cgi_params("read", "POST", body))
        connection.send(fastcgi.record(fastcgi.STDIN, body[:6000]))  # and no end: a silent peer
        assert connection.read_response(wait_eof=True).text == "ok"
        found = wait_until(
            lambda: re.search(r"read (\d+), file at (\d+)", application.log()), "the read to end"
        )
        assert found[2] == "0" and int(found[1]) <= 6000
    assert fastcgi.request(listen, query="x").text == "hello"


@pytest.mark.parametrize("size", [8150, 8160, 8165, 8175, 8180, 8184, 8190])
def test_last_buffer_without_room(manager, app, listen, size):
    """The end of the response is written although a shutdown function was cut off before."""
    manager({"command": f"{app('edge')} loop", "listen": listen, "shutdown_functions.time_limit": "20ms"})
    response = fastcgi.request(listen, query=f"full={size}")
    assert response.end_request == b"\0" * 8 and not response.after_end
    assert len(response.stdout) == size


def test_child_writes_the_answer(edge, listen):
    edge()
    response = fastcgi.request(listen, query="child-writes")
    assert response.body == b"0123456789abcdef" * 1000 and response.complete


@pytest.mark.parametrize("content", [b"\x04", b"\x01\x7fA", b"\x80\0\0", b"\xff\xff\xff\xff\x01a"])
def test_malformed_parameters(manager, app, listen, content):
    """Refused, logged and counted; the application never sees it."""
    daemon = manager({"command": f"{app('edge')} loop", "listen": listen})
    with fastcgi.Connection(listen) as connection:
        good = fastcgi.pairs({"REQUEST_METHOD": "GET"})
        connection.send(
            fastcgi.begin(keep=True) + fastcgi.record(fastcgi.PARAMS, good + content)
            + fastcgi.record(fastcgi.PARAMS)
        )
        response = connection.read_response(wait_eof=True)
    assert response.status == 400 and response.complete
    wait_until(lambda: "malformed parameters" in daemon.log(), "a line in the log")
    assert fastcgi.request(listen, query="x").text == "hello"
    wait_totals(daemon, requests=1, dropped=1)


def test_parameters_in_pieces(serve, listen, journal):
    """However the web server splits them, and with foreign records in between."""
    serve()
    for size in (7, 100, 8000):
        params = fastcgi.cgi_params(f"id=p{size}&param=HTTP_LAST&text=read", HTTP_LONG="x" * 20000)
        content = fastcgi.pairs({**params, "HTTP_LAST": f"of {size}"})
        data = fastcgi.begin()
        for at in range(0, len(content), size):
            data += fastcgi.record(fastcgi.PARAMS, content[at : at + size], padding=at % 8)
            data += fastcgi.record(fastcgi.PARAMS, b"a stranger's", request_id=9)
        with fastcgi.Connection(listen) as connection:
            connection.send(data + fastcgi.record(fastcgi.PARAMS) + fastcgi.record(fastcgi.STDIN))
            assert connection.read_response().text == "read"
        assert journal.wait("param", f"p{size}").detail == f"HTTP_LAST=of {size}"


@pytest.mark.parametrize("size", [16383, 16384, 65500, 65528, 65529, 131056, 3000001])
def test_a_long_string(edge, listen, size):
    """It bypasses libfcgi's buffer, and the order of the output is still right."""
    application = edge()
    for _ in range(3):
        response = fastcgi.request(listen, query=f"long={size}")
        assert response.body == b"<" + pattern(size) + b">" and response.end_request == b"\0" * 8
    wait_until(lambda: application.log().count(f"put {size}, then 1\n") == 3, "what it was told")


@pytest.mark.parametrize("ignore, told", [("off", "put -1, then"), ("on", "put 9000000, then 1")])
def test_a_long_string_that_the_client_does_not_read(manager, app, listen, ignore, told):
    daemon = manager({"command": f"{app('edge')} loop", "listen": listen, "ignore_user_abort": ignore})
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("long=9000000"))
        connection.read_record()
    daemon.wait_log(told)
    wait_totals(daemon, requests=1, aborted=1, idle=1)
    assert fastcgi.request(listen, query="x").text == "hello"


def test_a_long_string_after_the_response(manager, app, listen):
    daemon = manager({"command": f"{app('edge')} loop", "listen": listen})
    assert fastcgi.request(listen, query="finish&long=100000").complete
    daemon.wait_log("put 100000, then 1")
    head = len("Content-Type: text/plain\r\n\r\n<>")
    wait_totals(daemon, requests=1, discarded_bytes=100000 + head, aborted=0, idle=1)


def test_child_lets_go(edge, listen):
    """The parent's response goes on."""
    edge()
    response = fastcgi.request(listen, query="child-frees")
    assert response.text == "the parent's" and response.end_request == b"\0" * 8


def test_a_request_that_came_while_the_worker_was_away(manager, app, listen, tmp_path, journal):
    """Its header was late only because the worker did not read it: it is served, not expired."""
    manager({
        "command": f"{app('worker')} {tmp_path}", "listen": listen, "request_header_timeout": "200ms",
        "keepalive_timeout": "200ms",
    })
    with fastcgi.Connection(listen) as kept, fastcgi.Connection(listen) as other:
        kept.send_request(fastcgi.cgi_params("id=first&text=x"), keep=True)
        assert kept.read_response().text == "x"
        other.send_request(fastcgi.cgi_params("id=long&wait=go&sleep=600&text=y"))
        journal.wait("wait", "long")
        kept.send_request(fastcgi.cgi_params("id=late&text=z"), keep=True)
        journal.signal("go")
        assert other.read_response().text == "y"
        assert kept.read_response().text == "z"
