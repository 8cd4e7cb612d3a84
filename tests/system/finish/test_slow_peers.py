"""Clients that never close, or that send slowly, hold no worker in ot_finish_request."""

import threading

import pytest

from harness import fastcgi
from harness.journal import pattern

BODY = 100000


def open_unread(address, query, keep=False, size=BODY):
    """A request whose body was sent only in part."""
    connection = fastcgi.Connection(address)
    connection.send(fastcgi.begin(keep))
    params = fastcgi.cgi_params(query, "POST")
    params["CONTENT_LENGTH"] = str(size)
    connection.send_params(params)
    connection.send_stdin(b"s" * 1000, end=False)
    return connection


def check_end(connection, stays):
    """The response is complete, and the connection ends, or stays for the rest of the body and the next request."""
    response = connection.read_response(wait_eof=not stays)
    assert response.text == "hello" and response.end_request == b"\0" * 8 and not response.after_end
    assert connection.at_eof != stays


@pytest.mark.parametrize("end", ["finish", "note=return"], ids=["finish", "return"])
def test_peers_that_never_close(serve, listen, keep, end, journal):
    """The only worker serves others meanwhile; each client has its complete response and the connection's end.

    A kept connection stays, but for ot_finish_request under a plain spawner.
    """
    serve("-m", "run")
    silent = [open_unread(listen, f"id=s{number}&text=hello&{end}", keep) for number in range(8)]
    try:
        for number in range(8):
            journal.wait("end", f"s{number}")
            assert fastcgi.request(listen, query="id=other&write=5000").body == pattern(5000)
        for connection in silent:
            check_end(connection, keep and (serve.managed or end != "finish"))
    finally:
        for connection in silent:
            connection.close()


def test_more_of_them_than_are_parked(serve, listen, journal):
    """Above the limit of parked connections the oldest are closed; the worker goes on."""
    serve("-m", "loop")
    silent = []
    try:
        for number in range(150):
            silent.append(open_unread(listen, f"id=s{number}&text=hello&finish"))
            journal.wait("end", f"s{number}")
        assert fastcgi.request(listen, query="id=other&text=fine").text == "fine"
    finally:
        for connection in silent:
            connection.close()


def test_peer_that_does_not_read(serve, listen, journal):
    """Its response fits into the socket's buffer: finish does not wait until the client has read it."""
    serve("-m", "run")
    with fastcgi.Connection(listen) as silent:
        silent.send_request(fastcgi.cgi_params("id=silent&write=5000&finish"))
        journal.wait("end", "silent")
        assert fastcgi.request(listen, query="id=other&text=fine").text == "fine"
        assert silent.read_response(wait_eof=True).body == pattern(5000)


def test_peer_that_trickles(serve, listen, keep, journal):
    serve("-m", "run")
    served, halt = [], threading.Event()
    with open_unread(listen, "id=slow&text=hello&finish", keep) as slow:
        def trickle():
            record = fastcgi.record(fastcgi.STDIN, b"t")
            try:
                while not halt.wait(0.002):
                    slow.send(record)
            except OSError:
                pass  # the worker has closed it, as it may after the response

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            journal.wait("end", "slow")
            for _ in range(50):
                served.append(fastcgi.request(listen, query="id=other&text=fine").text)
            check_end(slow, keep and serve.managed)
        finally:
            halt.set()
            thread.join()
    assert served == ["fine"] * 50
