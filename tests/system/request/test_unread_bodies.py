"""An unread body never costs the client a byte of its response."""

import pytest

from harness import fastcgi
from harness.journal import pattern

SIZES = {"12k": 12 * 1024, "1m": 1024 * 1024, "10m": 10 * 1024 * 1024}


@pytest.mark.parametrize("read", ["", "read=5000&"], ids=["unread", "half-read"])
@pytest.mark.parametrize("end", ["finish&note=after", "note=after"], ids=["finish", "return"])
@pytest.mark.parametrize("size", SIZES)
def test_behind_a_web_server(serve, web, listen, keep, size, end, read, journal):
    serve("-m", "run", count=2)
    body = b"u" * SIZES[size]
    server = web(listen, keep=keep)
    for answer_size in (100, 200 * 1024):
        for number in range(2):
            answer = server.request(f"/?id=a{answer_size}&{read}write={answer_size}&{end}", body=body)
            assert answer.complete and answer.status == 200 and answer.body == pattern(answer_size), (
                f"{answer!r}\n{server.log()[-2000:]}"
            )
            journal.wait("end", f"a{answer_size}", count=number + 1)
            if keep:  # the next request on the same connection: kept/test_next_request.py
                server = web(listen, keep=keep)


@pytest.mark.parametrize("answer_size", [100, 200 * 1024])
def test_unbuffered_upload(serve, nginx, listen, keep, answer_size, journal):
    """nginx passes the body on while it comes in."""
    serve("-m", "loop", count=2)
    server = nginx(listen, keep=keep, request_buffering=False)
    for size in SIZES:
        answer = server.request(f"/?id={size}&write={answer_size}&finish", body=b"u" * SIZES[size])
        assert answer.complete and answer.body == pattern(answer_size)
        journal.wait("finish", size)


@pytest.mark.parametrize("answer_size", [100, 200 * 1024])
def test_raw_client_that_sends_on(serve, listen, keep, answer_size, journal):
    """The whole body is sent to a worker that reads none of it; the response is complete, without a reset."""
    serve("-m", "run")
    body = b"u" * SIZES["10m"]
    for _ in range(3):
        response = fastcgi.request(listen, query=f"id=a&write={answer_size}&finish", body=body)
        assert response.body == pattern(answer_size) and response.end_request == b"\0" * 8
    journal.wait("finish", "a", count=3)
