"""A kept connection after ot_finish_request: another worker serves its next request at once.

Under a plain spawner no worker could take it: there the connection is closed.
"""

import contextlib

from harness import fastcgi
from harness.wait import wait_until


def test_next_request_is_served_elsewhere(serve, web, listen, journal):
    """If the busy worker kept the connection, the next request would wait for its work."""
    serve("-m", "run", count=2)
    server = web(listen, keep=True)
    for number in range(6):
        warm = server.request(f"/?id=warm{number}&text=warm")
        assert warm.complete and warm.text == "warm"
        answer = server.request(f"/?id=busy{number}&text=accepted&finish&wait=go{number}")
        assert (answer.complete, answer.text) == (True, "accepted")
        busy = journal.wait("wait", f"busy{number}").pid
        for other in range(3):
            answer = server.request(f"/?id=n{number}.{other}&text=next")
            assert (answer.complete, answer.text) == (True, "next")
            assert int(answer.headers["X-Worker"]) != busy
        assert not journal.events(f"busy{number}", "end")
        journal.signal(f"go{number}")
        journal.wait("end", f"busy{number}")


def ask(connection, query):
    connection.send_request(fastcgi.cgi_params(query, "POST", b"b" * 20), b"b" * 20, keep=True)
    response = connection.read_response()
    assert response.complete and not response.after_end, response
    return response.text


def test_on_the_same_connection(manager, app, listen, tmp_path, journal):
    """Whichever worker is free takes it, however long the others work."""
    daemon = manager({
        "command": f"{app('worker')} -m run {tmp_path}", "listen": listen, "pm.max_children": 2,
    })
    with fastcgi.Connection(listen) as connection:
        for number in range(10):
            assert ask(connection, f"id=a{number}&text=x{number}&finish&wait=go{number}") == f"x{number}"
            busy = journal.wait("wait", f"a{number}").pid
            assert ask(connection, f"id=b{number}&text=y{number}") == f"y{number}"
            assert journal.wait("begin", f"b{number}").pid != busy
            journal.signal(f"go{number}")
            journal.wait("end", f"a{number}")
        assert not connection.at_eof
    assert "wait" not in daemon.log(), "an idle connection that no worker holds is no waiting request"


def test_the_next_worker_to_be_free_serves_it(manager, app, listen, tmp_path, journal):
    """While all workers work after their responses, the connections live, and no request on them is lost."""
    manager({
        "command": f"{app('worker')} -m run {tmp_path}", "listen": listen, "pm.max_children": 2,
        "post_response.max_children": 0,
    })
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(fastcgi.Connection(listen)) for _ in range(2)]
        for number, connection in enumerate(kept):
            assert ask(connection, f"id=a{number}&text=x&finish&wait=go{number}") == "x"
        for connection in kept:
            connection.send_request(fastcgi.cgi_params("id=b&text=y"), keep=True)
        assert not journal.events("b")
        journal.signal("go1")
        for connection in kept:
            assert connection.read_response().text == "y"
        assert not journal.events("a0", "end")
        journal.signal("go0")


def test_unread_input_still_ends_the_connection(manager, app, listen, tmp_path, journal):
    """The unread rest of a body must not be taken for the next request."""
    manager({"command": f"{app('worker')} -m run {tmp_path}", "listen": listen})
    body = b"b" * 300000
    with fastcgi.Connection(listen) as connection:
        connection.send_duplex(
            fastcgi.begin(True) + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(
                fastcgi.cgi_params("id=a&read=100&text=x&finish", "POST", body)))
            + fastcgi.stream(fastcgi.STDIN, body)[:-1000])
        response = connection.read_response()
        assert response.text == "x" and response.complete
        connection.half_close()
        connection.read_eof()
    journal.wait("end", "a")
