"""Early ends of a request, and the functions that still run: bailout, exit(), shutdown functions."""

import os
import signal

import pytest

from harness import fastcgi, process
from harness.totals import wait_totals
from harness.wait import wait_until

# What happens at the next safe point: the handler ends or goes on; and whether the process ends after the
# request.
BAILOUT = """
              auto     unwind   exit  none
run,abort     left     left     exit  goes-on
run,timeout   left     left     exit  goes-on
loop,abort    goes-on  goes-on  exit  goes-on
loop,timeout  exit     exit     exit  goes-on
"""


def _cases():
    head, *rows = [line.split() for line in BAILOUT.strip().splitlines()]
    for row in rows:
        for bailout, outcome in zip(head, row[1:]):
            yield (*row[0].split(","), bailout, outcome)


class Life:
    """A pool of one worker that runs tests/apps/life.c."""

    def __init__(self, manager, app, directory, journal):
        self._manager, self._app, self._directory, self.journal = manager, app, directory, journal

    def start(self, mode="run", threads=1, **directives):
        command = f"{self._app('life')} -m {mode} -t {threads} {self._directory}"
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        self.daemon = self._manager({"command": command, **directives})
        (self.pid,) = self.daemon.wait_workers(1)
        return self.daemon

    def request(self, query, **more):
        return fastcgi.request(self.daemon.address, query=query, **more)

    def names(self, request_id="a"):
        """The journal's events, of shutdown functions only the name."""
        return [event.split(" finished=")[0] for event in self.journal.names(request_id)]


@pytest.fixture
def life(manager, app, tmp_path, journal):
    return Life(manager, app, tmp_path, journal)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("mode", "cause", "bailout", "outcome"), _cases())
def test_policies(life, mode, cause, bailout, outcome, threads, journal):
    """Shutdown functions run in every case, and a process that exits does so when its other threads'
    requests are over."""
    limit = "100ms" if cause == "timeout" else "0"
    daemon = life.start(mode, threads, bailout=bailout, max_execution_time=limit, hard_timeout="60s")
    address, status = daemon.address, 1 if cause == "abort" else 2
    others = []
    for number in range(threads - 1):
        others.append(fastcgi.Connection(address))
        others[-1].send_request(fastcgi.cgi_params(f"id=b{number}&limit=0&text=other&wait=go&note=rest"))
        journal.wait("wait", f"b{number}")
    with fastcgi.Connection(address) as connection:
        if cause == "abort":
            query = "id=a&later=:end&note=started&wait=look&look=9999&note=rest"
            connection.send_request(fastcgi.cgi_params(query))
            journal.wait("wait", "a")
        else:
            connection.send_request(fastcgi.cgi_params("id=a&later=:end&note=started&spin=60000&note=rest"))
            response = connection.read_response(wait_eof=True)
            assert response.end_request == b"\0" * 8 and not response.after_end
    journal.signal("look")
    journal.wait("shutdown", "a")
    journal.signal("go")
    for number, other in enumerate(others):
        with other:
            assert other.read_response(wait_eof=True).text == "other"
        assert journal.names(f"b{number}")[-2:] == ["note rest", "end"]
    rest = journal.names("a")[3 if cause == "abort" else 2 :]
    shutdown = f"shutdown end finished=0 status={status}"
    if outcome == "goes-on":
        assert rest[0].startswith("saw" if cause == "abort" else "spun stopped")
        assert rest[1:] == ["note rest", "end", shutdown]
    else:
        assert rest == [shutdown]
    if outcome == "exit":
        daemon.wait_workers(1, without=[life.pid])
    assert life.request("id=c&text=fine").text == "fine"
    (pid,) = daemon.workers()
    assert (pid == life.pid) == (outcome != "exit")
    count = {"aborted": int(cause == "abort"), "timed_out": int(cause == "timeout")}
    wait_totals(daemon, requests=threads + 1, shutdown_run=1, shutdown_late=0, shutdown_lost=0, **count)


@pytest.mark.parametrize("mode", ["run", "loop"])
def test_exit_in_handler(life, mode, journal):
    """Shutdown functions run, the client has what was written, the process ends with that status."""
    daemon = life.start(mode)
    response = life.request("id=a&later=:one&later=:two&text=hello&exit=3&note=rest")
    assert response.text == "hello" and response.end_request == b"\0" * 8 and not response.after_end
    daemon.wait_log(rf"\b{life.pid}\b.*exited with status 3")
    daemon.wait_workers(1, without=[life.pid])
    assert life.names() == ["begin GET", "exit 3", "shutdown one", "shutdown two"]
    assert life.request("id=c&text=fine").text == "fine"
    wait_totals(daemon, requests=2, shutdown_run=2, shutdown_lost=0)


@pytest.mark.parametrize("mode", ["run", "loop"])
def test_exit_with_other_threads(life, mode, journal):
    """exit() is called by the application: the log names what it cuts off."""
    daemon = life.start(mode, 3)
    with fastcgi.Connection(daemon.address) as other:
        other.send_request(fastcgi.cgi_params("id=b&wait=never"))
        journal.wait("wait", "b")
        assert life.request("id=a&later=:one&text=hello&exit=3").text == "hello"
        daemon.wait_workers(1, without=[life.pid])
    assert life.names() == ["begin GET", "exit 3", "shutdown one"]
    daemon.wait_log(r"exit\(\) cut off 1 request")
    assert life.request("id=c&text=fine").text == "fine"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mode", ["run", "loop"])
def test_pthread_exit_in_handler(life, mode, threads, journal):
    """The request ends properly, and the other threads go on."""
    daemon = life.start(mode, threads)
    response = life.request("id=a&later=:one&text=hello&pthread-exit&note=rest")
    assert response.text == "hello" and response.end_request == b"\0" * 8 and not response.after_end
    assert life.names() == ["begin GET", "pthread-exit", "shutdown one"]
    if threads == 1:
        daemon.wait_workers(1, without=[life.pid])
    for number in range(10):
        assert life.request(f"id=c{number}&text=fine").text == "fine"
    if threads > 1:
        assert life.pid in daemon.workers(), "spare workers may have started beside it"
    wait_totals(daemon, requests=11, shutdown_run=1, shutdown_lost=0)


# Shutdown functions: those registered, those in the journal, and the counts run, late and lost.
FUNCTIONS = {
    "order": (":a&later=:b&later=:c", ["a", "b", "c"], (3, 0, 0)),
    "nested": ("late:a&later=:b&later=late:c&later=:d", ["a", "b", "c", "d", "a", "c"], (6, 0, 0)),
    "exit": (":a&later=exit:0&later=:b&later=:c", ["a", "exit 0"], (2, 0, 2)),
    "exit in a nested one": ("late:a&later=exit:0", ["a", "exit 0"], (2, 0, 1)),
    "pthread_exit": (":a&later=pthread-exit:x&later=:b", ["a", "pthread-exit x"], (2, 0, 1)),
    "time limit": (":a&later=spin:60000&later=:b&later=:c", ["a", "spin 60000"], (1, 1, 2)),
    "time limit of their own": (
        ":a&later=limit:60&later=spin:300&later=:b", ["a", "limit 60 set=1", "spin 300", "b"], (4, 0, 0),
    ),
    "none": (":a&later=limit:0&later=spin:300&later=:b", ["a", "limit 0 set=1", "spin 300", "b"], (4, 0, 0)),
    "finish": (":a&later=finish:b&later=finish:c", ["a", "b finish=1", "c finish=0"], (3, 0, 0)),
}


@pytest.mark.parametrize("end", ["note=return", "finish", "spin=60000", "exit=0"])
@pytest.mark.parametrize("mode", ["run", "loop"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_shutdown_functions(life, name, mode, end, journal):
    """At every end of a request; each is counted, and lost ones are logged."""
    later, ran, (run, late, lost) = FUNCTIONS[name]
    daemon = life.start(mode, shutdown_functions__time_limit="150ms", max_execution_time="100ms",
                        hard_timeout="60s", post_response__time_limit="0")
    response = life.request(f"id=a&later={later}&text=hello&{end}")
    assert response.text == "hello" and response.end_request == b"\0" * 8 and not response.after_end
    wait_totals(daemon, requests=1, shutdown_run=run, shutdown_late=late, shutdown_lost=lost)
    found = [event.removeprefix("shutdown ") for event in life.names() if event.startswith("shutdown")]
    if end == "finish":
        ran = [word.replace("finish=1", "finish=0") for word in ran]
    assert found == ran
    if late:
        daemon.wait_log(r"/\?id=a.* reached shutdown_functions\.time_limit")
    if lost:
        daemon.wait_log(rf"/\?id=a.*{lost} shutdown functions? lost")
    wait_until(lambda: life.request("id=c&text=fine").text == "fine", "the next request")


def test_output_of_shutdown_functions(life, journal):
    """Reaches the client while the response is open, and is discarded after that."""
    daemon = life.start()
    assert life.request("id=a&text=one&later=text:two&later=text:three").text == "onetwothree"
    response = life.request("id=b&text=one&later=text:two&later=finish:&later=text:late")
    assert response.text == "onetwo" and not response.after_end
    assert life.request("id=c&text=one&finish&later=text:late").text == "one"
    wait_totals(daemon, requests=3, shutdown_run=6, discarded_bytes=8)


@pytest.mark.parametrize("mode", ["run", "loop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["term", "quit"])
def test_worker_stop(life, mode, number, journal):
    """The request is finished first, shutdown functions included."""
    daemon = life.start(mode)
    with fastcgi.Connection(daemon.address) as connection:
        query = "id=a&later=:one&later=finish:two&later=wait:end&later=:three&wait=go&text=hello"
        connection.send_request(fastcgi.cgi_params(query))
        journal.wait("wait", "a")
        os.kill(life.pid, number)
        journal.signal("go")
        response = connection.read_response(wait_eof=True)
        assert response.text == "hello" and response.end_request == b"\0" * 8
        journal.signal("end")
    wait_until(lambda: not process.alive(life.pid), "the worker's end")
    assert [name for name in life.names() if name.startswith("shutdown")] == [
        "shutdown one", "shutdown two finish=1", "shutdown wait end", "shutdown three",
    ]
    assert journal.events(name="bye")
