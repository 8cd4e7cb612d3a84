"""The client has the complete response while the worker goes on; then shutdown functions run in order."""

import pytest

from harness import fastcgi, scoreboard
from harness.wait import wait_until

WORK = "id=a&shutdown=one&shutdown-late=two&shutdown=three&text=hello&finish&wait=go&note=worked"
LIFE = [
    "begin GET",
    "finish 1 finished=1",
    "wait go",
    "note worked",
    "end",
    "shutdown one finished=1",
    "shutdown two finished=1",
    "shutdown three finished=1",
    "shutdown two-later finished=1",
]


@pytest.mark.parametrize("mode", ["loop", "finish", "accept", "run"])
def test_behind_a_web_server(serve, web, listen, keep, mode, journal):
    serve("-m", mode)
    server = web(listen, keep=keep)
    answer = server.request(f"/?{WORK}")
    assert (answer.complete, answer.status, answer.text) == (True, 200, "hello")
    first = journal.wait("wait", "a")
    assert not journal.events("a", "note"), "the response came after the work"
    journal.signal("go")
    answer = server.request("/?id=b&text=again")
    assert (answer.complete, answer.text) == (True, "again")
    assert journal.names("a") == LIFE
    assert journal.wait("begin", "b").pid == first.pid


def test_the_connection_ends_too(serve, listen, keep, journal):
    """Exactly one END_REQUEST, all its bytes zero, then the connection's end, unless other workers can take
    a kept one."""
    serve("-m", "run")
    ends = not (keep and serve.managed)
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params(WORK), keep=keep)
        response = connection.read_response(wait_eof=ends)
        assert response.text == "hello"
        assert response.end_request == b"\0" * 8
        assert response.eof == ends and not response.reset and response.after_end == b""
        journal.wait("wait", "a")
        assert not journal.events("a", "note")
        journal.signal("go")
        journal.wait("shutdown", "a", count=4)
        assert ends or not (connection.at_eof or connection.unread)


def test_second_finish_says_false(serve, listen, journal):
    serve("-m", "loop")
    assert fastcgi.request(listen, query="id=a&text=x&finish&finish").text == "x"
    journal.wait("end", "a")
    assert [event.detail for event in journal.events("a", "finish")] == ["1 finished=1", "0 finished=1"]


def test_shutdown_functions_without_finish(serve, listen, journal):
    """They may still write and finish: the response is open until they have run."""
    serve("-m", "run")
    response = fastcgi.request(listen, query="id=a&text=x&shutdown=one&shutdown-finish=two&shutdown=three")
    assert response.text == "x" and response.end_request == b"\0" * 8
    journal.wait("shutdown", "a", count=3)
    assert journal.names("a")[2:] == [
        "shutdown one finished=0",
        "shutdown two finish=1",
        "shutdown three finished=1",
    ]


def test_stdio(serve, listen, journal):
    serve(program="worker_stdio")
    response = fastcgi.request(listen, query="finish&wait=go", body=b"z" * 5000)
    assert response.text == "read 5000\n"
    journal.signal("go")
    journal.wait("shutdown", "stdio")
    assert fastcgi.request(listen, query="").text == "read 0\n"
    assert journal.names("stdio")[:3] == ["finish 1", "after method=POST", "shutdown finished=1"]


def test_states_are_seen(manager, app, listen, tmp_path, journal):
    """The slot shows the worker's state, its request and its label."""
    daemon = manager({
        "command": f"{app('worker')} -m run {tmp_path}",
        "listen": listen,
        "post_response.max_children": 0,
    })
    look = lambda: scoreboard.record(daemon)
    wait_until(lambda: look().state == "idle", "the idle worker")
    with fastcgi.Connection(listen) as connection:
        query = "id=a&text=x&wait=run&label=mail-3&finish&shutdown-wait=end&wait=go"
        connection.send_request(fastcgi.cgi_params(query))
        journal.wait("wait", "a")
        now = look()
        assert (now.state, now.method, now.uri) == ("running", "GET", f"/?{query}")
        journal.signal("run")
        connection.read_response(wait_eof=True)
        journal.wait("wait", "a", count=2)
        now = look()
        assert (now.state, now.label, now.finished) == ("post", "mail-3", 1)
        journal.signal("go")
        journal.wait("shutdown", "a")
        assert look().state == "shutdown"
        journal.signal("end")
    wait_until(lambda: look().state == "idle", "the idle worker")
    now = look()
    assert (now.requests, now.finished, now.shutdown_run, now.label) == (1, 1, 1, "")
