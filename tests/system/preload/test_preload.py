"""An unmodified libfcgi program under LD_PRELOAD has the library's accept and finish."""

import signal
import subprocess

import pytest

from harness import build, fastcgi, process
from harness.journal import pattern
from harness.wait import wait_until


@pytest.fixture(params=["managed", "plain"])
def preloaded(request, app, listen, tmp_path):
    """preloaded(count=1) -> worker_plain with the library preloaded."""
    def run(count=1):
        words = [app("worker_plain"), tmp_path]
        if request.param == "plain":
            return request.getfixturevalue("spawner")(words, listen, count=count, preload=True)
        pool = {"command": " ".join(map(str, words)), "listen": listen, "pm.max_children": count}
        pool["env[LD_PRELOAD]"] = build.preload()
        return request.getfixturevalue("manager")(pool)

    return run


def test_work_after_finish(preloaded, web, listen, journal):
    """libfcgi's own FCGX_Finish_r ends the response; then post-response work follows.

    Without kept connections: ordinary programs end every request this way, and may keep the connection.
    """
    preloaded(count=2)
    server = web(listen)
    for number in range(3):
        answer = server.request(f"/?id=a{number}&text=hello&finish&wait=go{number}&note=worked")
        assert (answer.complete, answer.text) == (True, "hello")
        journal.wait("wait", f"a{number}")
        assert not journal.events(f"a{number}", "note")
        assert server.request("/?id=b&text=other").text == "other"
        journal.signal(f"go{number}")
        journal.wait("end", f"a{number}")


def test_kept_connections(preloaded, web, listen, journal):
    preloaded()
    server = web(listen, keep=True)
    for _ in range(10):
        answer = server.request("/?id=a&read=all&write=9000", body=b"b" * 20000)
        assert answer.complete and answer.body == pattern(9000)


def test_bodies_read_in_pieces_of_all_sizes(preloaded, listen):
    preloaded()
    for seed in range(5):
        body = bytes(at * seed % 251 for at in range(300000))
        assert fastcgi.request(listen, query=f"id=a&mix={seed}", body=body).body == body


def test_unread_bodies_and_silent_peers(preloaded, listen, journal):
    preloaded()
    body = b"u" * 5000000
    response = fastcgi.request(listen, query="id=a&write=200000", body=body)
    assert response.body == pattern(200000) and response.end_request == b"\0" * 8
    with fastcgi.Connection(listen) as silent:
        silent.send_begin()
        silent.send_params(fastcgi.cgi_params("id=s&text=x", "POST"))
        silent.send_stdin(b"piece", end=False)
        journal.wait("end", "s")
        assert fastcgi.request(listen, query="id=b&text=fine").text == "fine"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["term", "quit"])
def test_stops_without_loss(preloaded, listen, number, journal):
    """libfcgi alone spins or drops the request here."""
    application = preloaded()
    (pid,) = application.workers()
    assert fastcgi.request(listen, query="id=first&text=up").text == "up"

    def sockets():
        return sum(target.startswith("socket:") for target in process.descriptors(pid).values())

    waiting = wait_until(sockets, "the worker's sockets")
    with fastcgi.Connection(listen) as connection:
        request = fastcgi.begin() + fastcgi.stream(
            fastcgi.PARAMS, fastcgi.pairs(fastcgi.cgi_params("id=a&text=fine"))
        )
        connection.send(request[:20])
        wait_until(lambda: sockets() > waiting, "the worker to accept")
        application.send_signal(number)
        connection.send(request[20:] + fastcgi.record(fastcgi.STDIN))
        assert connection.read_response(wait_eof=True).text == "fine"
    wait_until(lambda: not process.alive(pid), "the worker's end")


def test_loaded_late():
    """By a program that is not linked with it, as interpreters load their extensions."""
    if build.SANITIZED:
        pytest.skip("a sanitizer's runtime has to be there first")
    script = f"import ctypes; print(ctypes.CDLL({str(build.BUILD / 'libovertime.so')!r}).ot_connection_status())"
    done = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")
