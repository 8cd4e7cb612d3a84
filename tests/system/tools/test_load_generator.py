"""The load generator itself: its counts with servers that fail on purpose."""

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import fastcgi, load
from harness.address import Address
from harness.journal import pattern

pytestmark = [pytest.mark.alone, pytest.mark.unsanitized]

HEAD = b"Content-Type: text/plain\r\n\r\n"
END = fastcgi.record(fastcgi.END_REQUEST, struct.pack("!IB3x", 0, 0))
GOOD = fastcgi.stream(fastcgi.STDOUT, HEAD + b"hello") + END


def read_request(peer):
    """Reads a complete request: up to the empty STDIN record."""
    data = b""
    while not data.endswith(fastcgi.record(fastcgi.STDIN)):
        piece = peer.recv(65536)
        if not piece:
            return False
        data += piece
    return True


@contextlib.contextmanager
def server(address, serve, backlog=511):
    """Calls serve(peer, number) for each connection, in a thread of its own, and closes it."""
    listener = address.listen(backlog)

    def one(peer, number):
        with peer, contextlib.suppress(OSError):
            serve(peer, number)

    def accept():
        for number in range(1 << 30):
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(peer, number), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        if address.is_unix:
            os.unlink(address.path)


def answers(data, then=None):
    def serve(peer, _):
        read_request(peer)
        peer.sendall(data)
        if then is not None:
            then(peer)

    return serve


def reset(peer):
    """RST on TCP; on a unix socket closing with input unread does the same."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def unread(peer, _):
    """Closes with the request unread: on both kinds of socket the client sees a reset."""
    peer.recv(1)
    reset(peer)


def ended(app_status=0, protocol_status=0, body=b"hello", head=HEAD):
    end = fastcgi.record(fastcgi.END_REQUEST, struct.pack("!IB3x", app_status, protocol_status))
    return fastcgi.stream(fastcgi.STDOUT, head + body) + end


FAULTS = {
    "good": (answers(GOOD), "ok", ""),
    "good in pieces": (lambda peer, n: read_request(peer) and fastcgi.Connection.trickle(
        type("Peer", (), {"sock": peer})(), GOOD, 0.0005), "ok", ""),
    "good with padding and stderr": (answers(
        fastcgi.record(fastcgi.STDERR, b"warning") + fastcgi.record(fastcgi.STDOUT, HEAD + b"hel", padding=7)
        + fastcgi.record(fastcgi.STDOUT, b"lo") + fastcgi.record(fastcgi.STDOUT)
        + fastcgi.record(fastcgi.END_REQUEST, bytes(8), padding=8)), "ok", ""),
    "nothing": (answers(b""), "closed", "end of the connection"),
    "no end": (answers(fastcgi.stream(fastcgi.STDOUT, HEAD + b"hello")), "truncated", "end of the connection"),
    "half an end": (answers(GOOD[:-1]), "truncated", "end of the connection"),
    "half a header": (answers(GOOD[:5]), "truncated", "end of the connection"),
    "unread": (unread, "reset", "Connection reset by peer"),
    "a byte more": (answers(GOOD + b"!"), "trailing", "bytes after END_REQUEST"),
    "two ends": (answers(GOOD + END), "trailing", "bytes after END_REQUEST"),
    "a byte more, later": (answers(GOOD, lambda peer: (time.sleep(0.005), peer.sendall(b"!"))),
                           "trailing", "bytes after END_REQUEST"),
    "another body": (answers(ended(body=b"hellO")), "wrong", "content"),
    "longer": (answers(ended(body=b"hello ")), "wrong", "content"),
    "shorter": (answers(ended(body=b"hell")), "wrong", "body length"),
    "no headers": (answers(ended(head=b"")), "wrong", "response headers"),
    "status 500": (answers(ended(head=b"A: b\r\nStatus: 500 Oops\r\n\r\n")), "wrong", "HTTP status"),
    "application status": (answers(ended(app_status=1)), "wrong", "application status"),
    "overloaded": (answers(ended(protocol_status=2)), "wrong", "protocol status"),
    "not FastCGI": (answers(b"HTTP/1.1 200 OK\r\n\r\nhello" + END), "truncated", "end of the connection"),
    "version": (answers(b"\2" + GOOD[1:]), "wrong", "protocol version"),
    "request id": (answers(GOOD[:3] + b"\2" + GOOD[4:]), "wrong", "request id"),
    "record type": (answers(fastcgi.record(fastcgi.DATA) + GOOD), "wrong", "record type"),
    "silence": (lambda peer, n: peer.recv(1 << 20) and peer.recv(1), "timeout", "no answer"),
    "silence in the midst": (answers(GOOD[:-1], lambda peer: peer.recv(1)), "timeout", "in the midst of the answer"),
    "never closed": (answers(GOOD, lambda peer: peer.recv(1)), "timeout", "the connection was not closed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_count(listen, fault):
    serve, outcome, detail = FAULTS[fault]
    with server(listen, serve):
        # All at a time, so that a limit which a busy machine does not reach passes once.
        limit = 2000 if outcome == "timeout" else 10000
        report = load.run(listen, clients=6, count=6, timeout=limit, text="hello")
    assert report.count == 6, report
    if outcome == "ok":
        assert (report.ok, report.failures) == (6, {}), report
    else:
        assert (report.ok, report.failures) == (0, {outcome: 6}), report
        assert {request["detail"] for request in report.failed_requests} == {detail}
    if "stderr" in fault:
        assert report.raw["stderr_bytes"] == 6 * len("warning")


def test_nobody_listens(listen):
    report = load.run(listen, burst=5)
    assert (report.ok, report.failures) == (0, {"refused": 5})


def serve_kept(limit, last=b""):
    """Answers `limit` requests a connection, then says `last` and closes."""
    def serve(peer, _):
        for _ in range(limit):
            if not read_request(peer):
                return
            peer.sendall(GOOD)
        time.sleep(0.02)
        peer.sendall(last)

    return serve


def test_kept_connections(listen):
    with server(listen, serve_kept(1000)):
        report = load.run(listen, clients=3, count=300, keep=True, text="hello")
    assert (report.ok, report.raw["connections"], report.raw["reconnects"]) == (300, 3, 0), report


def test_a_kept_connection_found_closed_is_no_failure(listen):
    """As a web server does: the request is sent again on a new connection, and that is counted."""
    def serve(peer, _):
        read_request(peer)
        peer.sendall(GOOD)
        peer.recv(1)  # closes when the next request comes, with the rest of it unread

    with server(listen, serve):
        report = load.run(listen, clients=1, count=20, keep=True, text="hello")
    assert (report.ok, report.failed, report.raw["reconnects"]) == (20, 0, 19), report
    assert report.raw["connections"] == 20


def test_kept_connections_that_close_while_idle(listen):
    with server(listen, serve_kept(1)):
        report = load.run(listen, clients=1, count=5, think=100, keep=True, text="hello")
    assert (report.ok, report.raw["connections"], report.raw["closed_idle"]) == (5, 5, 4), report


def test_kept_connections_that_close_after_the_response(listen):
    """Response and end of the connection arrive as one event; the connection is not reused."""
    def serve(peer, _):
        read_request(peer)
        peer.sendall(GOOD)
        peer.shutdown(socket.SHUT_WR)
        peer.recv(1)

    with server(listen, serve):
        report = load.run(listen, clients=3, count=60, think=10, keep=True, text="hello")
    assert (report.ok, report.raw["connections"]) == (60, 60), report
    assert report.raw["reconnects"] <= 6, "at most as many as the server closed late"


def test_bytes_on_an_idle_kept_connection(listen):
    with server(listen, serve_kept(1, b"!")):
        report = load.run(listen, clients=1, count=5, think=100, keep=True, text="hello")
    assert report.failures == {"trailing": 4} and report.ok == 1, report


def test_a_full_listen_queue_is_part_of_the_latency(tmp_path):
    """Ten at once for a queue of one: those that find it full wait, and are counted separately."""
    address = Address.make("unix", tmp_path)
    with address.listen(0) as listener, load.Run(address, burst=10, text="hello") as run:
        for number in range(10):
            peer, _ = listener.accept()
            with peer:
                read_request(peer)
                time.sleep(0.02)
                peer.sendall(GOOD)
        report = run.result()
    os.unlink(address.path)
    assert report.ok == 10 and report.raw["backlog_full"] > 0 and 8 <= report.raw["delayed"] <= 9, report
    assert report.raw["latency_us"]["min"] >= 20000 and report.max >= 200, report


def test_latency_counts_from_when_it_was_due(listen):
    """A server that pauses for 300 ms: an open loop sees it in all requests that were due meanwhile."""
    lock = threading.Lock()

    def serve(peer, number):
        with lock:
            read_request(peer)
            if number == 20:
                time.sleep(0.3)
            peer.sendall(GOOD)

    with server(listen, serve):
        report = load.run(listen, rate=100, count=60, text="hello")
    assert report.ok == 60
    assert report.p90 > 150 and report.max >= 300, report


def test_slow_clients(listen):
    """They are slow, and their time for sending does not count as the server's latency."""
    took = []

    def serve(peer, _):
        begin = time.monotonic()
        read_request(peer)
        took.append(time.monotonic() - begin)
        peer.sendall(ended(body=pattern(100000)))

    with server(listen, serve):
        slow = load.run(listen, clients=2, count=4, slow_send="200,10", pattern=True, length=100000)
        assert min(took) > 0.15
        report = load.run(listen, clients=2, count=4, slow_read="5,5000", pattern=True, length=100000)
    assert (slow.ok, report.ok) == (4, 4)
    assert slow.raw["latency_us"]["min"] < 100000, "the time it took to send is not in the latency"
    assert report.raw["latency_us"]["min"] > 95000, "20 pieces, 5 ms apart"


def test_kinds_are_counted_separately(listen):
    """By weight; each may send another request to another address."""
    def serve(peer, _):
        data = peer.recv(65536)
        peer.sendall(ended(body=b"special" if b"QUERY_STRINGspecial" in data else b"hello"))

    with server(listen, serve):
        report = load.run(listen, rate=500, poisson=True, seconds=0.4, kinds=[
            load.Kind("plain", weight=8, text="hello"),
            load.Kind("special", query="special", text="special"),
            load.Kind("lost", to=f"{listen}x" if listen.is_unix else "127.0.0.1:1", timeout=2000),
        ])
    assert report["plain"].failed == report["special"].failed == 0 == report["lost"].ok, report
    assert report["plain"].count > 3 * report["special"].count > 0 < report["lost"].failures["refused"], report
    assert report.count == sum(kind.count for kind in report.kinds.values())
    assert 100 < report.count < 320, "about 200"


def test_a_trace_has_every_request(listen, tmp_path):
    with server(listen, answers(GOOD)):
        report = load.run(listen, burst=5, count=15, every=20, trace=tmp_path / "trace")
    rows = [line.split() for line in (tmp_path / "trace").read_text().splitlines()]
    assert rows[0][:3] == ["kind", "outcome", "due"] and len(rows) == 16
    dues = sorted(float(row[2]) for row in rows[1:])
    assert [round((due - report.begin) * 1000) for due in dues] == [0] * 5 + [20] * 5 + [40] * 5
    for row in rows[1:]:
        due, start, sent, first, end = map(float, row[2:7])
        assert due <= start <= sent <= first <= end and row[1] == "ok"


def test_stop(listen):
    with server(listen, answers(GOOD)):
        with load.Run(listen, clients=2, seconds=3600) as run:
            run.limit = 30
            time.sleep(0.1)
            run.stop()
            report = run.result()
    assert report.ok == report.count > 0


@pytest.mark.parametrize("words", [
    [], ["--to", "/x"], ["--to", "/x", "--rate", "1"], ["--to", "nowhere", "--burst", "1"],
    ["--burst", "1"], ["--to", "/x", "--burst", "0"], ["--to", "/x", "--burst", "1", "--clients", "2"],
    ["--to", "/x", "--burst", "1", "--kind", "A B"], ["--to", "/x", "--burst", "1", "more"],
    ["--to", "/x", "--burst", "1", "--slow-send", "5"], ["--to", "/x", "--burst", "1", "--weight", "0"],
])
def test_usage(words):
    done = subprocess.run([str(load.PROGRAM), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 64 and "usage: load" in done.stderr
