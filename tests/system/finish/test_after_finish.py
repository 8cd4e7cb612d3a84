"""After ot_finish_request: parameters stay valid, output is discarded, later requests are not affected."""

import pytest

from harness import fastcgi, scoreboard
from harness.journal import pattern
from harness.wait import wait_until

LATE = "id=a&read=10&text=hello&finish&param=REQUEST_METHOD&param=MARK&text=late&write=100000&flush&text=late"


@pytest.mark.parametrize("mode", ["loop", "accept", "run"])
def test_parameters_and_input_stay(serve, listen, mode, journal):
    serve("-m", mode)
    body = bytes(range(100))
    params = fastcgi.cgi_params("id=a&read=10&text=x&finish&param=MARK&param=REQUEST_METHOD&read=all&param=MARK",
                                "POST", body, MARK="m" * 1000)
    assert fastcgi.request(listen, params, body).text == "x"
    journal.wait("end", "a")
    names = journal.names("a")
    assert names[1] == f"read 10 {sum(body[:10])} 0"
    assert names[3:5] == ["param MARK=" + "m" * 1000, "param REQUEST_METHOD=POST"]
    assert names[5].startswith("read ") and names[6] == names[3]


def test_late_output_reaches_nobody(serve, web, listen, keep, journal):
    """Neither this client nor the next one, on the same connection or on another."""
    serve("-m", "run", count=2)
    server = web(listen, keep=keep)
    for number in range(5):
        answer = server.request(f"/?{LATE}", body=b"b" * 20)
        assert (answer.complete, answer.text) == (True, "hello")
        journal.wait("finish", "a", count=number + 1)
        for size in (1, 9000, 70000):
            answer = server.request(f"/?id=b&write={size}")
            assert answer.complete and answer.body == pattern(size)
    journal.wait("end", "a", count=5)


def test_raw_connection_carries_nothing_more(serve, listen, keep, journal):
    serve("-m", "loop")
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params(LATE, "POST", b"b" * 20), b"b" * 20, keep=keep)
        journal.wait("end", "a")
        response = connection.read_response(wait_eof=not (keep and serve.managed))
        assert response.text == "hello" and response.after_end == b"" and not response.reset
        if keep and serve.managed:
            connection.send_request(fastcgi.cgi_params("id=b&text=next"), keep=True)
            response = connection.read_response()
            assert response.text == "next" and response.after_end == b"" and not connection.unread


def test_discarded_output_is_counted(manager, app, listen, tmp_path, journal):
    # One worker, even on a loaded machine: the counters are those of one slot.
    limits = {"pm": "static", "pm.max_children": 1, "post_response.max_children": 0}
    daemon = manager({"command": f"{app('worker')} -m run {tmp_path}", "listen": listen, **limits})
    for round_ in range(1, 4):
        fastcgi.request(listen, query="id=a&text=x&finish&write=100000&text=late")
        wait_until(
            lambda: scoreboard.record(daemon).discarded == round_ * 100004,
            lambda: f"{round_ * 100004} discarded bytes, found {scoreboard.record(daemon)}",
        )
    now = scoreboard.record(daemon)
    assert (now.requests, now.finished, now.aborted) == (3, 3, 0)
