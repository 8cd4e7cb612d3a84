"""Nothing that an application or a client sends reaches a terminal as it is: it could type, or hide text."""

import ctypes
import os
import pty
import socket
import subprocess
import threading

import pytest

from harness import build, fastcgi
from harness.wait import wait_until
from harness.worker_script import script

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u009b5n\x7f"


def on_a_terminal(command, **more):
    """What the command writes to a terminal that is its standard output and error."""
    master, slave = pty.openpty()
    text = bytearray()

    def read():
        try:
            while piece := os.read(master, 65536):
                text.extend(piece)
        except OSError:
            pass  # the last writer has closed it

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, timeout=60, check=False, **more)
    os.close(slave)
    reader.join()
    os.close(master)
    return done.returncode, text.decode("utf-8", "backslashreplace")


def harmless(text):
    return not [c for c in text if ord(c) < 32 and c not in "\r\n\t" or 127 <= ord(c) < 160]


@pytest.fixture
def daemon(manager, app, tmp_path):
    return manager({"command": f"{app('worker')} {tmp_path}"})


def ctl(daemon, *words):
    return [build.OVERTIMECTL, "-s", daemon.control_path, *words]


# "Grüße" and an emoji, cut at every place by records of one byte, stay what they are.
BODY = ("Gr\u00fc\u00dfe \U0001f600\n" + ESCAPE).encode() + b"\xff\tend\r\n"


def serve(listener):
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        output = b"Content-Type: text/plain\r\nX: \x1b[1m\r\n\r\n" + BODY
        for i in range(len(output)):
            connection.sendall(fastcgi.record(fastcgi.STDOUT, output[i : i + 1]))
        connection.sendall(fastcgi.record(fastcgi.STDERR, ESCAPE.encode()))
        connection.sendall(fastcgi.record(fastcgi.STDOUT) + fastcgi.record(fastcgi.END_REQUEST, bytes(8)))


@pytest.mark.parametrize("raw", [False, True], ids=["default", "raw"])
def test_request(manager, tmp_path, raw):
    """The worker is one of the test's own: it answers on the pool's socket."""
    daemon = manager({"command": script(tmp_path, "exec sleep 100000")})
    (worker,) = daemon.wait_workers(1)
    pidfd = os.pidfd_open(worker)
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, 0, 0)
    os.close(pidfd)
    if fd < 0:
        pytest.skip("not allowed to take a worker's descriptor")
    listener = socket.socket(fileno=fd)
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    status, text = on_a_terminal(ctl(daemon, "request", *["--raw"] * raw, "www", "/", "-t", "20"))
    server.join()
    listener.close()
    assert status == 0, text
    assert "Gr\u00fc\u00dfe \U0001f600\r\n" in text if not raw else ESCAPE in text
    assert harmless(text) != raw, ascii(text)
    assert raw or ("\\x1b]0;owned\\x07" in text and "\\xff\tend\r\n" in text)


def test_a_file_gets_every_byte(daemon):
    answer = daemon.control("request", "www", "/?id=a&text=%1b[1m")
    assert answer.returncode == 0 and "\x1b[1m" in answer.stdout or "%1b" in answer.stdout


@pytest.mark.parametrize("words", [
    ["status"], ["status", "www"], ["workers"], ["workers", "www"], ["config"], ["ping"], ["top", "--once"],
    ["status", "--json"], ["workers", "--json"], ["trace"], ["status", ESCAPE], [ESCAPE], ["request", ESCAPE, "/"], ["trace", ESCAPE],
], ids=lambda words: " ".join(words).replace(ESCAPE, "ESC").replace("\x1b", "") or "none")
def test_other_verbs(daemon, journal, words):
    """While a worker works on a request whose every part is hostile."""
    with fastcgi.Connection(daemon.address) as connection:
        params = fastcgi.cgi_params("id=a&text=x&label=%1b[2J%07&wait=go", REQUEST_METHOD="G" + ESCAPE, SCRIPT_NAME=ESCAPE)
        params["REQUEST_URI"] = "/" + ESCAPE
        connection.send_request(params)
        pid = journal.wait("wait", "a").pid
        wait_until(lambda: daemon.control("workers").stdout.count("owned"), "the request in the table")
        status, text = on_a_terminal(ctl(daemon, *words, *([str(pid)] if words == ["trace"] else [])))
        journal.signal("go")
        connection.read_response()
    assert harmless(text), ascii(text)
    assert text and status is not None


@pytest.mark.parametrize("decorated", ["yes", "no"])
def test_the_log(manager, app, tmp_path, decorated):
    """The manager in the foreground of a terminal: what workers write, and what clients make it log."""
    program = script(tmp_path, f"printf '%b' '{ESCAPE.encode('unicode_escape').decode()}' | cat - >&2; echo >&2; exec sleep 100000")
    daemon = manager({"command": program, "decorate_workers_output": decorated})
    daemon.wait_log("owned")
    assert harmless(daemon.log()), ascii(daemon.log())
