"""Of a body that was not read nothing is executed as a request when its connection is reused."""

import pytest

from harness import fastcgi

# A reader that continues in the middle of a body finds this at any multiple of eight bytes: management
# records without content, then complete requests.
PAUSE = fastcgi.record(fastcgi.GET_VALUES, b"", request_id=0)


def smuggler(shift, size):
    """A body full of requests, shifted by 0 to 7 bytes."""
    params = fastcgi.pairs({"REQUEST_METHOD": "GET", "QUERY_STRING": "id=smuggled&text=gotcha"})
    params += b"\0\0" * (-len(params) // 2 % 4)  # pairs of empty names keep the records aligned
    params = params[: len(params) // 8 * 8] if len(params) % 8 else params
    request = (
        fastcgi.begin(keep=True)
        + fastcgi.record(fastcgi.PARAMS, params)
        + fastcgi.record(fastcgi.PARAMS)
        + fastcgi.record(fastcgi.STDIN)
    )
    block = PAUSE * 256 + request
    return (b"x" * shift + block * (size // len(block) + 1))[:size]


@pytest.mark.parametrize("end", ["finish", "note=return"], ids=["finish", "return"])
@pytest.mark.parametrize("read", ["", "read=100&", "read=9000&"], ids=["unread", "read-100", "read-9000"])
def test_through_nginx(serve, nginx, listen, read, end, journal):
    serve("-m", "run")
    server = nginx(listen, keep=True)
    sent = 0
    for shift in range(8):
        for size in (9000, 40000, 200000):
            answer = server.request(f"/?id=good&{read}text=fine&{end}", body=smuggler(shift, size))
            assert (answer.complete, answer.text) == (True, "fine")
            answer = server.request("/?id=good&text=next")
            assert (answer.complete, answer.text) == (True, "next")
            sent += 2
    journal.wait("end", "good", count=sent)
    assert {event.id for event in journal.events(name="begin")} == {"good"}
    assert len(journal.events(name="begin")) == sent


@pytest.mark.parametrize("end", ["finish", "note=return"], ids=["finish", "return"])
@pytest.mark.parametrize("read", ["", "read=9000&"], ids=["unread", "half-read"])
def test_the_rest_is_dropped(manager, app, listen, tmp_path, read, end, journal):
    """Wherever it is cut, on the same connection, and however late it comes; others are served meanwhile."""
    manager({"command": f"{app('worker')} -m run {tmp_path}", "listen": listen, "pm.max_children": 1})
    body = smuggler(0, 50000)
    rest = fastcgi.stream(fastcgi.STDIN, body)
    with fastcgi.Connection(listen) as connection:
        for turn, cut in enumerate((0, 5, 8, 9500, 30000, len(rest) - 3)):
            if read and cut < 9008:
                continue
            query = f"id=good&{read}text=fine&{end}"
            params = fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.cgi_params(query, "POST", body)))
            connection.send(fastcgi.begin(True) + params + rest[:cut])
            response = connection.read_response()
            assert response.text == "fine" and response.complete
            assert fastcgi.request(listen, query="id=good&text=other").text == "other"
            connection.send_duplex(rest[cut:])
            connection.send_request(fastcgi.cgi_params("id=good&text=next"), keep=True)
            response = connection.read_response()
            assert response.text == "next" and not response.after_end, turn
        assert not connection.at_eof
    assert {event.id for event in journal.events(name="begin")} == {"good"}


def test_a_long_rest_ends_the_connection(serve, listen, journal):
    """At once, while the client still sends, so that it cannot have sent its next request."""
    serve("-m", "loop")
    params = fastcgi.cgi_params("id=good&text=fine", "POST")
    params["CONTENT_LENGTH"] = 10**9
    with fastcgi.Connection(listen) as connection:
        connection.send(fastcgi.begin(True) + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(params)))
        response = connection.read_response(wait_eof=True)
    assert response.text == "fine" and response.complete


def test_a_body_read_to_its_end_keeps_the_connection(serve, listen, journal):
    """The counterpart: such a connection is in order and is reused."""
    serve("-m", "run")
    with fastcgi.Connection(listen) as connection:
        for number in range(5):
            body = b"b" * 30000
            query = f"id=r{number}&read=all&text=fine"
            connection.send_request(fastcgi.cgi_params(query, "POST", body), body, keep=True)
            response = connection.read_response()
            assert response.text == "fine" and response.complete
            assert not connection.at_eof


def test_end_of_no_input_may_come_late(serve, listen, journal):
    """A request without a body, its empty STDIN record sent after the response, as Apache may do."""
    serve("-m", "run")
    with fastcgi.Connection(listen) as connection:
        for number in range(5):
            connection.send_begin(keep=True)
            connection.send_params(fastcgi.cgi_params(f"id=r{number}&text=fine"))
            response = connection.read_response()
            assert response.text == "fine" and response.complete
            journal.wait("end", f"r{number}")
            connection.send_stdin()
        assert not connection.at_eof
