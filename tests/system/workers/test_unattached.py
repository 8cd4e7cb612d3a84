"""Workers without the library: scaled by the listen queue, not ended inside a request, and shown as unknown."""

import contextlib
import json
import re
import signal

import pytest

from harness import fastcgi, process
from harness.address import as_address
from harness.held import steps_of, wait_none, wait_total
from harness.totals import totals
from harness.wait import stays, wait_until
from harness.worker_script import script


def pool(app, tmp_path, **more):
    return {"command": f"{app('box_plain')} {tmp_path}", "pm.process_idle_timeout": "500ms", **more}


class Busy(contextlib.ExitStack):
    """Requests in workers without the library, until released."""

    def __init__(self, tmp_path, address):
        super().__init__()
        self.tmp_path, self.address = tmp_path, address
        self.connections = {}

    def send(self, ident):
        connection = self.enter_context(fastcgi.Connection(self.address))
        connection.send_request(fastcgi.cgi_params(f"note=in-{ident}&wait=go-{ident}&text={ident}"))
        self.connections[ident] = connection

    def begin(self, ident):
        self.send(ident)
        self.wait(ident)

    def wait(self, ident):
        wait_until((self.tmp_path / f"in-{ident}").exists, f"request {ident} in a worker")

    def end(self, ident):
        (self.tmp_path / f"go-{ident}").touch()
        response = self.connections.pop(ident).read_response(wait_eof=True)
        assert response.complete and response.text == ident, response
        return int(response.headers["X-Worker"])


def test_ondemand_by_the_queue(manager, app, listen, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"pm": "ondemand", "pm.max_children": 5, "listen": listen}),
                     settings={"log_level": "debug"})
    assert daemon.workers() == []
    with Busy(tmp_path, listen) as busy:
        for number in range(3):
            busy.begin(f"r{number}")
        assert len(daemon.workers()) == 3
        for number in range(3, 7):
            busy.send(f"r{number}")
        daemon.wait_log("WARNING: pool www: .* all workers that `pm.max_children` allows are busy")
        daemon.wait_workers(5)
        for number in range(7):
            busy.end(f"r{number}")
    wait_none(daemon)
    assert sum(count for count, _ in steps_of(daemon, "started")) == 5
    assert not [line for line in daemon.log().splitlines() if "is killed" in line or "died of SIGKILL" in line]


def test_none_is_retired_inside_a_request(manager, app, listen, tmp_path):
    """A serving worker is not superfluous, and counts, however long it takes."""
    daemon = manager(pool(app, tmp_path, **{"pm": "ondemand", "pm.max_children": 3, "listen": listen}),
                     settings={"log_level": "debug", "process_control_timeout": "100ms"})
    with Busy(tmp_path, listen) as busy:
        for ident in ("a", "b", "c"):
            busy.begin(ident)
        boxes = set(daemon.workers())
        busy.end("c")
        daemon.wait_log("pool www: 1 worker is retired: idle and not needed")
        daemon.wait_workers(2)
        stays(lambda: len(boxes & set(daemon.workers())) == 2, 1, "the busy workers")
        busy.begin("d")
        busy.send("e")
        daemon.wait_log("1 connection waits and all workers that `pm.max_children` allows are busy")
        assert len(daemon.workers()) == 3
        assert {busy.end("a"), busy.end("b")} < boxes
        busy.end("d")
        busy.end("e")
    wait_none(daemon)
    assert "is killed" not in daemon.log() and "is ended" not in daemon.log()


@pytest.mark.parametrize("how", ["reload", "quit"])
def test_a_reload_waits_for_a_request(manager, app, tmp_path, how):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2}), settings={"process_control_timeout": "20s"})
    wait_total(daemon, unknown=2)
    before = daemon.workers()
    with Busy(tmp_path, daemon.address) as busy:
        busy.begin("a")
        if how == "reload":
            daemon.control("reload", "--all", check=True)
            daemon.wait_log("the workers of generation 2 serve")
        else:
            daemon.send_signal(signal.SIGQUIT)
        wait_until(lambda: len(set(before) & set(daemon.workers())) == 1, "the end of the idle worker")
        stays(lambda: len(set(before) & set(daemon.workers())) == 1, 0.5, "the busy worker")
        assert busy.end("a") in before
    if how == "reload":
        daemon.wait_workers(2, without=before)
        daemon.wait_log("reload: done")
    else:
        daemon.stop()
    assert not any(process.alive(pid) for pid in before)
    assert "is killed" not in daemon.log()


def test_a_request_that_does_not_end_is_cut_off(manager, app, tmp_path):
    settings = {"process_control_timeout": "500ms"}
    daemon = manager(pool(app, tmp_path), settings=settings)
    (before,) = daemon.workers()
    with Busy(tmp_path, daemon.address) as busy:
        busy.begin("a")
        daemon.control("reload", "--wait", "--all", check=True)
        assert not process.alive(before)
        line = daemon.wait_log(rf"^.*WARNING: pool www: worker {before} \(slot 0\) is ended .*$")[0]
        for word in ("in unknown state (no library attached)", "a newer generation took over",
                     "see `process_control_timeout`"):
            assert word in line, line


def test_a_dead_one_is_replaced(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2}))
    before = daemon.wait_workers(2)
    for pid in before:
        process.kill_and_reap(pid)
    daemon.wait_workers(2, without=before)
    assert fastcgi.request(daemon.address, query="text=fine").text == "fine"


def test_dynamic_without_the_library(manager, app, tmp_path):
    """Idle workers cannot be told apart: all are kept, and more are started when connections wait."""
    daemon = manager(pool(app, tmp_path, **{
        "pm": "dynamic", "pm.max_children": 6, "pm.start_servers": 2, "pm.min_spare_servers": 1,
        "pm.max_spare_servers": 3}))
    daemon.wait_workers(2)
    with Busy(tmp_path, daemon.address) as busy:
        for number in range(4):
            busy.send(f"r{number}")
        for number in range(4):
            busy.wait(f"r{number}")
        assert 4 <= len(daemon.workers()) <= 6
        for number in range(4):
            busy.end(f"r{number}")
    wait_until(lambda: len(daemon.workers()) <= 3, lambda: f"pm.max_spare_servers; {daemon.workers()}")


def test_unknown_in_every_output(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 2}))
    with Busy(tmp_path, daemon.address) as busy:
        busy.begin("a")
        wait_total(daemon, unknown=2)
        found = totals(daemon)
        assert (found["workers"], found["requests"], found["idle"], found["serving"]) == (2, 0, 0, 0), found
        rows = json.loads(daemon.control("--json", "workers", check=True).stdout)["workers"]
        assert [row["state"] for row in rows] == ["unknown"] * 2
        assert all(row["requests"] is None for row in rows)
        assert daemon.control("workers").stdout.count("unknown") >= 2
        assert re.search(r"^unknown +2 ", daemon.control("status", "www").stdout, re.MULTILINE)
        busy.end("a")
    (victim, _) = daemon.workers()
    process.kill_and_reap(victim)
    daemon.wait_log(rf"worker {victim} .*in unknown state \(no library attached\).* an unknown number of requests")


@pytest.mark.parametrize("name", ["TERM", "QUIT", "INT", "USR1"])
def test_pm_stop_signal(manager, tmp_path, name):
    """Only this signal asks a worker to stop; a worker that obeys is not killed."""
    traps = " ".join(f"trap 'echo heard-{each}; exit 0' {each};" for each in ("TERM", "QUIT", "INT", "USR1"))
    program = script(tmp_path, f"{traps}\ntouch {tmp_path}/set.$$\nwhile :; do sleep 0.02; done")
    daemon = manager({"command": program, "pm.stop_signal": name})
    (pid,) = daemon.wait_workers(1)
    wait_until((tmp_path / f"set.{pid}").exists, "its traps")
    daemon.control("reload", "--all", check=True)
    daemon.wait_log(f"heard-{name}")
    wait_until(lambda: not process.alive(pid), "its end")
    assert daemon.log().count("heard-") == 1 and "is killed" not in daemon.log()


@pytest.mark.parametrize("query, piece", [
    ("xml&full", "<state>unknown</state>"),
    ("openmetrics&full", 'state="unknown"'),
    ("json&full", '"state": "unknown"'),
    ("full", "unknown"),
])
def test_unknown_in_every_output(manager, app, tmp_path, query, piece):
    """The page that a browser draws: status/test_status_page_shapes.py."""
    status = tmp_path / "status.sock"
    daemon = manager(pool(app, tmp_path, **{
        "pm.max_children": 2, "pm.status_path": "/status", "pm.status_listen": status}))
    daemon.wait_workers(2)

    def page():
        return fastcgi.request(
            as_address(status), params=fastcgi.cgi_params(query, SCRIPT_NAME="/status")).text

    wait_until(lambda: page().count(piece) >= 2, lambda: f"{piece} twice in {page()}")
