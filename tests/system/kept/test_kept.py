"""Connections that are kept, silent, too long, or misused: one worker, a raw client."""

import socket
import struct

import pytest

from harness import fastcgi, scoreboard
from harness.totals import wait_totals
from harness.wait import stays, wait_until

VALUES = {"FCGI_MAX_CONNS": "", "FCGI_MAX_REQS": "", "FCGI_MPXS_CONNS": ""}
GET_VALUES = fastcgi.record(fastcgi.GET_VALUES, fastcgi.pairs(VALUES), 0)
CANT_MPX_CONN = 1
BODY = b"b" * 3000


def head(query, body=b"", keep=True, request_id=1, **more):
    """A request up to the end of its parameters."""
    params = fastcgi.cgi_params(query, "POST" if body else "GET", body, **more)
    return fastcgi.begin(keep, request_id) + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(params), request_id)


def whole(query, body=b"", keep=True, request_id=1, **more):
    return head(query, body, keep, request_id, **more) + fastcgi.stream(fastcgi.STDIN, body, request_id)


@pytest.fixture
def pool(manager, app, listen, tmp_path):
    def start(mode="run", **directives):
        return manager({"command": f"{app('life')} -m {mode} {tmp_path}", "listen": listen, **directives})

    return start


@pytest.fixture
def connection(pool, listen):
    """A connection to a pool of one worker."""
    pool()
    with fastcgi.Connection(listen) as opened:
        yield opened


def records_until_end(connection, request_id=1):
    """All records up to that request's END_REQUEST: (type, id, content)."""
    found = []
    while not found or found[-1][:2] != (fastcgi.END_REQUEST, request_id):
        got = connection.read_record()
        assert got is not None, f"the connection ended after {found}"
        found.append(got)
    return found


def text_of(records, request_id=1):
    stdout = b"".join(r[2] for r in records if r[:2] == (fastcgi.STDOUT, request_id))
    return stdout.partition(b"\r\n\r\n")[2].decode()


def check_values(got):
    kind, request_id, content = got
    assert (kind, request_id) == (fastcgi.GET_VALUES_RESULT, 0)
    assert b"FCGI_MPXS_CONNS0" in content and b"FCGI_MAX_CONNS" in content and b"FCGI_MAX_REQS" in content


# Management records

def test_get_values_alone(connection):
    """Answered at once: before, between and after requests."""
    for number in range(3):
        connection.send(GET_VALUES)
        check_values(connection.read_record())
        connection.send(whole(f"id=a{number}&text=fine"))
        assert connection.read_response().text == "fine"
    connection.send(GET_VALUES * 3)
    for _ in range(3):
        check_values(connection.read_record())


def test_get_values_in_pieces(connection):
    connection.trickle(GET_VALUES, pause=0.001)
    check_values(connection.read_record())


@pytest.mark.parametrize("at", ["params", "body"])
def test_get_values_within_a_request(connection, at):
    """It belongs to no request and does not disturb one."""
    parts = [head("id=a&read=all&text=fine", BODY), fastcgi.stream(fastcgi.STDIN, BODY)]
    if at == "params":
        parts[0] = fastcgi.begin(True) + GET_VALUES + parts[0][16:]
    else:
        parts.insert(1, GET_VALUES)
    connection.send(b"".join(parts))
    records = records_until_end(connection)
    check_values([record for record in records if record[1] == 0][0])
    assert text_of(records) == "fine"
    connection.send(whole("id=b&text=again"))
    assert connection.read_response().text == "again"


@pytest.mark.parametrize("kind", [12, 77, 255])
def test_unknown_management_record(connection, kind):
    connection.send(fastcgi.record(kind, b"whatever", 0, padding=3))
    assert connection.read_record() == (fastcgi.UNKNOWN_TYPE, 0, struct.pack("!B7x", kind))
    connection.send(whole("id=a&text=fine"))
    assert connection.read_response().text == "fine"


# More than one request on a connection

@pytest.mark.parametrize("at", ["params", "body", "running"])
def test_second_begin_is_refused(connection, at, journal):
    """The connection cannot multiplex; the first request is not affected."""
    second = whole("id=second&text=second", b"s" * 500, request_id=2)
    query = "id=a&read=all&wait=go&look=20&text=first"
    first = whole(query, BODY)
    cut = {"params": 16, "body": len(head(query, BODY)), "running": len(first)}[at]
    connection.send(first[:cut])
    if at == "running":
        journal.wait("wait", "a")
    connection.send(second)
    connection.send(first[cut:])
    journal.wait("wait", "a")
    journal.signal("go")
    records = records_until_end(connection, 2) if at != "running" else []
    records += records_until_end(connection, 1)
    refused = [record for record in records if record[1] == 2]
    assert refused == [(fastcgi.END_REQUEST, 2, struct.pack("!IB3x", 0, CANT_MPX_CONN))]
    assert text_of(records) == "first"
    assert not journal.events("second")
    connection.send(whole("id=b&text=again", request_id=3))
    assert text_of(records_until_end(connection, 3), 3) == "again"


@pytest.mark.parametrize("body", [b"", BODY, b"x" * 200000], ids=["none", "small", "large"])
@pytest.mark.parametrize("read", ["read=all", "read=100", "note=unread"])
def test_pipelined_requests(connection, body, read, journal):
    """Each is served after the previous one, or not at all, but never misread, for any body."""
    evil = whole("id=evil&text=evil", b"e" * 10)
    bodies = [body + evil for _ in range(5)] if body else [b""] * 5
    stream = b"".join(whole(f"id=p{n}&{read}&text=answer{n}", bodies[n]) for n in range(5))
    connection.send_duplex(stream)
    served = 0
    while served < 5:
        response = connection.read_response()
        if not response.complete:
            break
        assert response.text == f"answer{served}" and response.end_request == b"\0" * 8
        served += 1
    assert not connection.unread
    # The connection may be closed only if a body had not arrived completely when its request ended.
    assert served == 5 or (body and read != "read=all")
    assert served >= 1
    assert not journal.events("evil")
    begun = [event.id for event in journal.events(name="begin")]
    assert begun == [f"p{number}" for number in range(len(begun))] and len(begun) in (served, served + 1)


# Connections that delay no others

PARTS = {
    "silent": b"",
    "one byte": b"\1",
    "half a header": fastcgi.begin()[:5],
    "half a request": head("id=never", MORE="m" * 3000)[:2000],
    "no end of params": head("id=never")[:-8],
}


@pytest.mark.parametrize(
    ("part", "kept"),
    # A silent kept connection is an idle one: keepalive_timeout is its limit.
    [(part, False) for part in PARTS] + [(part, True) for part in PARTS if part != "silent"],
)
def test_request_header_timeout(pool, listen, part, kept, journal):
    """The connections are closed at the limit; the only worker serves others meanwhile."""
    daemon = pool(request_header_timeout="400ms")
    slow = [fastcgi.Connection(listen) for _ in range(3)]
    try:
        for connection in slow:
            if kept:
                connection.send(whole("id=kept&text=x"))
                assert connection.read_response().text == "x"
            connection.send(PARTS[part])
        served = 0
        while not all(connection.at_eof for connection in slow):
            assert fastcgi.request(listen, query="id=other&text=fine").text == "fine"
            served += 1
        assert served > 3
    finally:
        for connection in slow:
            connection.close()
    daemon.wait_log("request_header_timeout", count=3)
    wait_totals(daemon, dropped=3)
    assert not journal.events("never")


def test_slow_header_in_time(pool, listen):
    pool()
    with fastcgi.Connection(listen) as connection:
        connection.trickle(whole("id=a&text=fine"), pause=0.0005)
        assert connection.read_response().text == "fine"


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("shape", ["one value", "many", "one record after the other", "no end"])
def test_limit_params_size(pool, listen, shape, kept, journal):
    """Above it: 431 and a line in the log; the application never sees the request."""
    daemon = pool(limit_params_size="16K")
    more = {f"N{at}": "v" * 90 for at in range(200)} if shape == "many" else {"BIG": "v" * 20000}
    bytes_ = whole("id=big", **more)
    if shape == "one record after the other":
        pairs = fastcgi.pairs(fastcgi.cgi_params("id=big", **more))
        bytes_ = fastcgi.begin(True) + b"".join(
            fastcgi.record(fastcgi.PARAMS, pairs[at : at + 50]) for at in range(0, len(pairs), 50)
        ) + fastcgi.record(fastcgi.PARAMS) + fastcgi.record(fastcgi.STDIN)
    elif shape == "no end":
        bytes_ = head("id=big", **more)[:-8]
    with fastcgi.Connection(listen) as connection:
        if kept:
            connection.send(whole("id=kept&text=x"))
            assert connection.read_response().text == "x"
        connection.send_duplex(bytes_)
        response = connection.read_response(wait_eof=True)
    assert response.status == 431 and response.end_request == b"\0" * 8
    assert not response.after_end and not response.reset
    daemon.wait_log("limit_params_size")
    wait_totals(daemon, dropped=1)
    assert not journal.events("big")
    assert fastcgi.request(listen, query="id=other&text=fine").text == "fine"


@pytest.mark.parametrize("size", [100, 12000, 900000])
def test_params_within_the_limit(pool, listen, size, journal):
    pool(limit_params_size="16K" if size < 16000 else "1M")
    params = fastcgi.cgi_params("id=a&param=LAST&text=fine", BIG="v" * size, LAST="last")
    assert fastcgi.request(listen, params).text == "fine"
    assert journal.events("a", "param")[0].detail == "LAST=last"


# Idle kept connections

def warm(listen, count):
    connections = [fastcgi.Connection(listen) for _ in range(count)]
    for number, connection in enumerate(connections):
        connection.send(whole(f"id=k{number}&text=kept"))
        assert connection.read_response().text == "kept"
    return connections


def test_keepalive_timeout(pool, listen):
    daemon = pool(keepalive_timeout="300ms")
    (connection,) = warm(listen, 1)
    with connection:
        wait_until(lambda: scoreboard.record(daemon).kept == 1, "the kept connection")
        connection.read_eof()
        assert not connection.unread
    wait_until(lambda: scoreboard.record(daemon).kept == 0, "no kept connection")


def test_keepalive_timeout_begins_anew(pool, listen):
    """With each request."""
    pool(keepalive_timeout="60s")
    (connection,) = warm(listen, 1)
    with connection:
        for number in range(5):
            connection.send(whole(f"id=n{number}&text=again"))
            assert connection.read_response().text == "again"
        stays(lambda: not connection.at_eof, 0.1, "the connection open")


def test_keepalive_max(pool, listen):
    """Beyond the limit those that became idle last are closed."""
    daemon = pool(keepalive_max=2)
    connections = warm(listen, 4)
    try:
        wait_until(lambda: sum(c.at_eof for c in connections) == 2, "two connections closed")
        assert [connection.at_eof for connection in connections] == [False, False, True, True]
        wait_until(lambda: scoreboard.record(daemon).kept == 2, "two kept connections")
        for connection in connections[:2]:
            connection.send(whole("id=again&text=again"))
            assert connection.read_response().text == "again"
    finally:
        for connection in connections:
            connection.close()


def test_keepalive_max_closes_none_in_use(pool, listen):
    """Through a unix socket an end cannot come along with the response, and could meet the next request. So a
    connection beyond the limit stays while it is used."""
    daemon = pool(keepalive_max=1)
    connections = warm(listen, 3)
    try:
        if connections[0].sock.family == socket.AF_UNIX:
            for turn in range(50):
                for number, connection in enumerate(connections):
                    connection.send(whole(f"id=t{turn}.{number}&text=again"))
                    assert connection.read_response().text == "again"
            # A response is complete before its connection is kept again.
            wait_until(lambda: scoreboard.record(daemon).kept == 3, "three connections kept")
        wait_until(lambda: sum(c.at_eof for c in connections) == 2, "two connections closed")
    finally:
        for connection in connections:
            connection.close()


def test_keepalive_max_zero(pool, listen):
    pool(keepalive_max=0)
    (connection,) = warm(listen, 1)
    with connection:
        connection.read_eof()


# FCGI_ABORT_REQUEST

ABORT = fastcgi.record(fastcgi.ABORT_REQUEST)


def test_abort_in_params(connection, journal):
    """The application never sees the request; the web server gets its end."""
    connection.send(head("id=a", BODY)[:-8] + ABORT)
    connection.send(fastcgi.record(fastcgi.PARAMS) + fastcgi.record(fastcgi.STDIN))
    response = connection.read_response()
    assert response.complete and response.stdout == b""
    assert not journal.events("a")


@pytest.mark.parametrize("ignored", [False, True], ids=["heeded", "ignored"])
@pytest.mark.parametrize("at", ["body", "running"])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_abort_of_a_request(pool, listen, mode, at, ignored, journal):
    """An abort like any other, but the web server is still there: it gets one END_REQUEST and nothing more."""
    pool(mode)
    moment = "read=all" if at == "body" else "wait=go"
    query = f"id=a&ignore={ignored:d}&later=:end&{moment}&look=9999&note=rest"
    with fastcgi.Connection(listen) as connection:
        if at == "body":
            connection.send(head(query, BODY) + fastcgi.stream(fastcgi.STDIN, BODY[:100], end=False))
            journal.wait("begin", "a")
        else:
            connection.send(whole(query))
            journal.wait("wait", "a")
        connection.send(ABORT)
        journal.signal("go")
        event = journal.wait("shutdown", "a")
        assert event.detail.endswith("status=1")
        goes_on = bool(journal.events("a", "note"))
        assert goes_on == (ignored or mode == "loop")
        response = connection.read_response()
        assert response.end_request == b"\0" * 8
        connection.half_close()
        connection.read_eof()
        assert not connection.unread
    assert fastcgi.request(listen, query="id=b&text=fine").text == "fine"


def test_abort_between_requests(connection, journal):
    """Too late to have an effect: the connection stays usable."""
    for number in range(3):
        connection.send(whole(f"id=a{number}&text=fine"))
        assert connection.read_response().text == "fine"
        connection.send(ABORT)
    connection.send(whole("id=b&read=all&text=again", BODY))
    assert connection.read_response().text == "again"
    assert all(event.detail.endswith("status=0") for event in journal.events(name="shutdown"))


def test_abort_after_finish(connection, journal):
    connection.send(whole("id=a&later=:end&text=fine&finish&wait=go&look=20&note=rest"))
    assert connection.read_response().text == "fine"
    try:
        connection.send(ABORT)
    except OSError:
        pass  # ot_finish_request has closed the connection
    journal.signal("go")
    assert journal.wait("shutdown", "a").detail == "end finished=1 status=0"
    assert journal.events("a", "note")
