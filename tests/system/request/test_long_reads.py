"""Bodies read in pieces of all sizes: long reads bypass libfcgi's buffer, and no byte is lost."""

import random

import pytest

from harness import fastcgi
from harness.fastcgi import cgi_params, record
from harness.wait import now

SEEDS = range(6)
GET_VALUES = 9


def scattered(body, chance, padded=True):
    """A body as FCGI_STDIN records of all sizes, with padding and with foreign records in between.

    A long body has none: it is answered before it is sent completely, and a client that leaves no room for
    the answers to foreign records is taken for gone.
    """
    data, at = b"", 0
    while at < len(body):
        size = min(len(body) - at, chance.choice((1, 100, 8192, 32768, 65535)))
        size = chance.randint(1, size)
        padding = chance.choice((0, 0, 7, 255)) if padded else 0
        data += record(fastcgi.STDIN, body[at : at + size], padding=padding)
        at += size
        if len(body) <= 70000 and chance.random() < 0.1:
            data += record(GET_VALUES, fastcgi.pairs({"FCGI_MAX_CONNS": ""}), request_id=0)
    return data + record(fastcgi.STDIN)


def taken(journal, name="a"):
    """The results of the steps `take`: bytes, their sum, libfcgi's error."""
    return [tuple(map(int, event.detail.split())) for event in journal.events(name, "take")]


def random_body(chance):
    return chance.randbytes(chance.choice((0, 1, 5000, 70000, 600000)))


@pytest.mark.parametrize("seed", SEEDS)
def test_records_of_all_sizes(serve, listen, seed):
    """On one kept connection, so that leftovers of one request would disturb the next one."""
    serve("-m", "run")
    chance = random.Random(seed)
    with fastcgi.Connection(listen) as connection:
        for number in range(8):
            body = random_body(chance)
            params = cgi_params(f"id=a{number}&mix={seed * 100 + number}", "POST", body)
            connection.send_begin(keep=True)
            connection.send_params(params)
            connection.send_duplex(scattered(body, chance))
            response = connection.read_response()
            assert response.body == body and response.app_status == 0, f"seed {seed}, request {number}"


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_that_come_late(serve, listen, seed):
    """A read may stop anywhere: within a header, the content, the padding."""
    serve("-m", "run")
    chance = random.Random(seed)
    body = chance.randbytes(120000)
    with fastcgi.Connection(listen) as connection:
        connection.send_begin()
        connection.send_params(cgi_params(f"id=a&mix={seed}", "POST", body))
        data = scattered(body, chance)
        while data:
            size = chance.choice((1, 7, 8, 9, 1000, 30000))
            connection.send_duplex(data[:size])
            data = data[size:]
        assert connection.read_response().body == body


def test_behind_a_web_server(serve, web, listen, keep, journal):
    serve("-m", "run", count=2)
    server = web(listen, keep=keep)
    steps = (100, 70000, 16384, 300000, 613516, 5)
    for seed in SEEDS:
        body = random.Random(seed).randbytes(1000000)
        parts = [body[sum(steps[:i]) : sum(steps[: i + 1])] for i in range(len(steps))]
        takes = "&".join(f"take={size}" for size in steps)
        assert server.request(f"/?id=a{seed}&{takes}&text=x", body=body).complete
        assert taken(journal, f"a{seed}") == [(len(part), sum(part), 0) for part in parts]


@pytest.mark.parametrize("read", ["take=20000", "take=20000&read=30000", "read=100&take=70000"])
def test_the_rest_is_not_the_next_requests(serve, listen, journal, read):
    """The rest of a record after a long read is dropped with the request, if it is not read after finish."""
    serve("-m", "run")
    body = b"x" * 200000
    with fastcgi.Connection(listen) as connection:
        for number in range(3):
            connection.send_begin(keep=True)
            connection.send_params(cgi_params(f"id=a{number}&{read}&text=done", "POST", body))
            connection.send_duplex(scattered(body, random.Random(number), padded=number == 1))
            assert connection.read_response().text == "done"
            journal.wait("end", f"a{number}")
            if connection.at_eof:
                return


def test_the_rest_can_be_read_after_the_response(serve, listen, journal):
    """As much of it as had arrived."""
    serve("-m", "run")
    body = b"\1" * 30000
    response = fastcgi.request(listen, query="id=a&take=20000&text=x&finish&take=20000", body=body)
    assert response.text == "x"
    journal.wait("take", "a", count=2)
    (first, total, error), (second, rest, _) = taken(journal)
    assert (first, total, error) == (20000, 20000, 0)
    assert second <= 10000 and rest == second


def test_a_client_that_leaves(serve, listen, journal):
    """The bytes that arrived are returned, then the error."""
    serve("-m", "run")
    with fastcgi.Connection(listen) as connection:
        connection.send_begin()
        connection.send_params(cgi_params("id=a&ignore=1&take=100000", "POST", b"\1" * 100000))
        connection.send(record(fastcgi.STDIN, b"\1" * 40000, padding=3))
    journal.wait("take", "a")
    ((count, total, error),) = taken(journal)
    assert count <= 40000 and total == count and error != 0


def test_a_limit_longer_than_a_reads_own_sleep(serve, listen, journal):
    if not serve.managed:
        pytest.skip("limits are the pool's")
    serve("-m", "run", max_execution_time="1500ms", hard_timeout="60s", bailout="none")
    began = now()
    with fastcgi.Connection(listen) as connection:
        connection.send_begin()
        connection.send_params(cgi_params("id=a&take=100000", "POST", b"\1" * 100000))
        connection.send(record(fastcgi.STDIN, b"\1" * 40000))
        journal.wait("take", "a")
    assert now() - began >= 1.5
    ((count, total, error),) = taken(journal)
    assert count == total == 40000 and error != 0
