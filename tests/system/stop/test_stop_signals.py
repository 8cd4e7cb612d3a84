"""TERM and QUIT at every moment of a request: accepted requests are served, and no worker spins."""

import fcntl
import signal
import struct
import termios

import pytest

from harness import fastcgi, process
from harness.wait import stays, wait_until
from harness.worker_script import script

BODY = bytes(range(256)) * 200  # 51,200 bytes
QUERY = "id=a&read=all&wait=run&shutdown=one&text=hello&finish&wait=go&note=worked"
LIFE = [
    "begin POST",
    f"read {len(BODY)} {sum(BODY)} 0",
    "wait run",
    "finish 1 finished=1",
    "wait go",
    "note worked",
    "end",
    "shutdown one finished=1",
]
SPIN_TICKS = 12  # of CPU time, 10 ms each, in SPIN_SECONDS: a spinning worker uses about 30
SPIN_SECONDS = 0.3


def sockets(pid):
    return sum(target.startswith("socket:") for target in process.descriptors(pid).values())


class Slow:
    """A request that proceeds step by step, before and after the signal."""

    def __init__(self, address, application, journal):
        self.address, self.application, self.journal = address, application, journal
        self.connection = None
        params = fastcgi.pairs(fastcgi.cgi_params(QUERY, "POST", BODY))
        head = fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, params)
        stdin = fastcgi.stream(fastcgi.STDIN, BODY)
        self.head = [head[: len(head) // 2], head[len(head) // 2 :]]
        self.stdin = [stdin[: len(stdin) // 2], stdin[len(stdin) // 2 :]]
        (self.pid,) = application.workers()
        # Until it waits for its first connection, it rearranges its descriptors.
        wait_until(lambda: process.descriptors(self.pid).get(0) == "/dev/null", "the worker to wait")
        self.before = sockets(self.pid)

    def accepted(self):
        """Connected and accepted by the worker; no byte sent."""
        self.connection = fastcgi.Connection(self.address)
        wait_until(lambda: sockets(self.pid) > self.before, "the worker to accept")

    def _send(self, data):
        self.connection.send(data)
        if self.address.is_unix:  # a TCP socket does not show what its peer has read
            def unread():
                return struct.unpack("i", fcntl.ioctl(self.connection.sock, termios.TIOCOUTQ, b"\0" * 4))[0]
            wait_until(lambda: unread() == 0 or self.journal.events("a", "begin"), "the worker to read")

    def half_header(self):
        self._send(self.head[0])

    def header(self):
        self.connection.send(self.head[1])
        self.journal.wait("begin", "a")

    def half_body(self):
        self.connection.send(self.stdin[0])

    def running(self):
        self.connection.send(self.stdin[1])
        self.journal.wait("wait", "a")

    def post(self):
        self.journal.signal("run")
        self.response = self.connection.read_response(wait_eof=True)
        self.journal.wait("wait", "a", count=2)

    def end(self):
        self.journal.signal("go")
        self.journal.wait("shutdown", "a")

    STEPS = ("accepted", "half_header", "header", "half_body", "running", "post", "end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["term", "quit"])
@pytest.mark.parametrize("moment", range(1, 7), ids=Slow.STEPS[:6])
@pytest.mark.parametrize("mode", ["loop", "run"])
def test_at_every_moment(serve, listen, mode, moment, number, journal):
    """The signal comes after `moment` steps of the request; the other steps follow."""
    application = serve("-m", mode)
    slow = Slow(listen, application, journal)
    for step in Slow.STEPS[:moment]:
        getattr(slow, step)()
    application.send_signal(number)
    spent = process.cpu_ticks(slow.pid)
    stays(lambda: process.cpu_ticks(slow.pid) - spent < SPIN_TICKS, SPIN_SECONDS, "the worker quiet")
    assert process.alive(slow.pid), "the worker left a request behind"
    for step in Slow.STEPS[moment:]:
        getattr(slow, step)()
    slow.connection.close()
    assert slow.response.text == "hello" and slow.response.end_request == b"\0" * 8
    assert not slow.response.after_end and not slow.response.reset
    assert journal.names("a") == LIFE
    wait_until(lambda: not process.alive(slow.pid), "the worker's end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["term", "quit"])
@pytest.mark.parametrize("mode", ["loop", "finish", "accept", "run"])
def test_waiting_worker_ends(serve, listen, mode, number, journal):
    """At once, its main() running to its end."""
    application = serve("-m", mode)
    assert fastcgi.request(listen, query="id=a&text=x").text == "x"
    (pid,) = application.workers()
    application.send_signal(number)
    wait_until(lambda: not process.alive(pid), "the worker's end")
    assert journal.events(name="bye")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["term", "quit"])
def test_idle_kept_connection_does_not_hold_it(serve, listen, number, journal):
    application = serve("-m", "run")
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x"), keep=True)
        assert connection.read_response().text == "x"
        (pid,) = application.workers()
        application.send_signal(number)
        wait_until(lambda: not process.alive(pid), "the worker's end")
        assert connection.at_eof


def test_broken_upload_is_not_taken_for_a_whole_one(serve, listen, journal):
    """The client leaves in the middle of the body: the application learns that it is incomplete."""
    serve("-m", "run")
    with fastcgi.Connection(listen) as connection:
        connection.send_begin()
        connection.send_params(fastcgi.cgi_params("id=a&ignore=1&read=all&note=after", "POST", BODY))
        connection.send(fastcgi.stream(fastcgi.STDIN, BODY)[: len(BODY) // 2])
        journal.wait("begin", "a")
    event = journal.wait("read", "a")
    count, _, error = event.detail.split()
    assert int(count) < len(BODY) and int(error) != 0
    journal.wait("end", "a")


@pytest.mark.parametrize("how", ["reload", "quit"])
@pytest.mark.parametrize("mode", ["loop", "run"])
def test_system_swallows_no_stop(manager, app, tmp_path, mode, how, journal):
    """system(3) ignores SIGQUIT, which drops one that has come before. The worker leaves after its request, not when
    process_control_timeout kills it."""
    daemon = manager({"command": f"{app('worker')} -m {mode} {tmp_path}"},
                     settings={"process_control_timeout": "1h"})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&wait=go&system=true&wait=on&system=true&text=done"))
        journal.wait("wait", "a")
        (worker,) = daemon.workers()
        for step in ("go", "on"):
            if step == "go" and how == "reload":
                assert daemon.control("reload", "--all").returncode == 0
                daemon.wait_log("older workers are stopped")
            elif step == "go":
                daemon.send_signal(signal.SIGQUIT)
                daemon.wait_log("SIGQUIT: stopping")
            journal.signal(step)
            journal.wait("system", "a", count=1 + (step == "on"))
        assert connection.read_response(wait_eof=True).text == "done"
    wait_until(lambda: not process.alive(worker), "the worker's end")
    assert "is killed" not in daemon.log()
    if how == "quit":
        daemon.wait_log("stopped after")
        daemon.stop()


def test_system_swallows_no_stop_of_a_program_without_the_library(manager, app, tmp_path):
    """It is asked again when it waits for its next request."""
    command = script(tmp_path, f"trap '' QUIT\n: >{tmp_path}/in\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.01; done",
                     "ignores")
    daemon = manager({"command": f"{app('box_plain')} {tmp_path}", "pm.stop_signal": "QUIT"},
                     settings={"process_control_timeout": "1h"})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params(f"system={command}&text=done"))
        wait_until((tmp_path / "in").exists, "system(3)")
        (worker,) = daemon.workers()
        assert daemon.control("reload", "--all").returncode == 0
        daemon.wait_log("older workers are stopped")
        (tmp_path / "go").touch()
        assert connection.read_response(wait_eof=True).text == "done"
    wait_until(lambda: not process.alive(worker), "the worker's end")
    assert "is killed" not in daemon.log()
