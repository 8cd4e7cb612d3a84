"""A child that the application forked does not delay a client while it lives."""

import pytest

from harness import fastcgi, process
from harness.wait import wait_until


@pytest.fixture
def child(journal):
    """child(id): the forked child of that request; at the end all are released and exit."""
    found = []

    def look(request_id):
        found.append(int(journal.wait("fork", request_id).detail))
        assert process.alive(found[-1])
        return found[-1]

    yield look
    journal.signal("hold")
    for pid in found:
        wait_until(lambda: not process.alive(pid), f"the end of the child {pid}")


@pytest.mark.parametrize("end", ["finish", "note=return"], ids=["finish", "return"])
def test_behind_a_web_server(serve, web, listen, keep, end, child, journal):
    serve("-m", "run")
    server = web(listen, keep=keep)
    answer = server.request(f"/?id=a&text=hello&fork=hold&{end}")
    assert (answer.complete, answer.text) == (True, "hello")
    assert process.alive(child("a"))
    answer = server.request("/?id=b&text=next")
    assert (answer.complete, answer.text) == (True, "next")
    assert not (journal.directory / "hold").exists()


@pytest.mark.parametrize("end", ["finish", "note=return"], ids=["finish", "return"])
@pytest.mark.parametrize("body", [b"", b"b" * 100000], ids=["no-body", "unread-body"])
def test_end_of_connection(serve, listen, end, body, child):
    serve("-m", "loop")
    response = fastcgi.request(listen, query=f"id=a&fork=hold&text=hello&{end}", body=body)
    assert response.text == "hello" and response.eof and not response.reset
    assert process.alive(child("a"))


def test_child_leaves_the_listening_socket_alone(serve, listen, child, journal):
    """The child exits by itself: the worker and its socket stay as they are."""
    application = serve("-m", "run")
    fastcgi.request(listen, query="id=a&fork=hold&text=x&finish")
    pid = child("a")
    before = application.workers()
    journal.signal("hold")
    wait_until(lambda: not process.alive(pid), "the end of the child")
    assert fastcgi.request(listen, query="id=b&text=fine").text == "fine"
    assert application.workers() == before
