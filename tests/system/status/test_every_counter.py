"""Every counter of the tables equals what a scripted load did, and none is left out.

Each scene says how many of each event it caused; every other counter must be 0. A row of the tables that
no scene covers fails the last test.
"""

import contextlib
import json
import os
import signal
import socket
import time

import pytest

from harness import fastcgi
from harness.address import free_port
from harness.fields import endings, rows
from harness.held import stopped
from harness.slowlog import SlowLog
from harness.totals import totals
from harness.wait import wait_until

SPENT = "post_response_ms"  # a time, of which only bounds are known
SCENES = {}


def scene(*makes):
    """A scene that causes these events, by their names in the tables; causes of exits begin with "by "."""
    def remember(function):
        SCENES[function.__name__] = (function, set(makes))
        return function

    return remember


class Stage:
    """One pool that runs tests/apps/life.c, and the events that it counts."""

    def __init__(self, manager, app, directory, journal):
        self._manager, self.directory, self.journal = manager, directory, journal
        self.command = f"{app('life')} {directory}"
        self.most = 4  # workers in post-response work at once
        self.closing = contextlib.ExitStack()

    def start(self, beside=None, **directives):
        pool = {
            "command": self.command, "max_execution_time": "0",
            "post_response.max_children": 4, "pm.process_idle_timeout": "100ms", "rlimit_core": 0,
        }
        pool.update({name.replace("__", "."): value for name, value in directives.items()})
        self.daemon = self._manager(pools={"www": pool, **(beside or {})})
        self.address = self.daemon.address
        return self.daemon

    def ask(self, query, **more):
        with self.send(query, **more) as connection:
            return connection.read_response(wait_eof=True)

    def send(self, query, crowd=False, **more):
        """Sends to an idle worker, since otherwise it may or may not be counted as max_children_reached."""
        if not crowd:
            wait_until(lambda: totals(self.daemon)["idle"], lambda: f"an idle worker; the log:\n{self.log()}")
        connection = fastcgi.Connection(self.address)
        connection.send_request(fastcgi.cgi_params(query, **more))
        return connection

    def begin(self, request_id, query, **more):
        """Sends a request that waits for a file, and waits until it does."""
        connection = self.send(f"id={request_id}&{query}", **more)
        self.journal.wait("wait", request_id)
        return connection

    def log(self):
        return self.daemon.log_path.read_text()

    def workers(self):
        return json.loads(self.daemon.control("--json", "workers", "www", check=True).stdout)["workers"]

    def reach(self, **numbers):
        wait_until(
            lambda: {name: totals(self.daemon)[name] for name in numbers} == numbers,
            lambda: f"{numbers}; found {totals(self.daemon)}; the log:\n{self.daemon.log()}",
        )


@pytest.fixture
def stage(manager, app, tmp_path, journal):
    made = Stage(manager, app, tmp_path, journal)
    with made.closing:
        yield made


def named(told):
    """All counters by name; unnamed ones are 0, every request was answered."""
    names = [*rows("POOL", "COUNTER"), *(f"by {name}" for name in endings())]
    whole = dict.fromkeys(names, 0) | {"waited": told["requests"], "answered": told["requests"]}
    for name, number in told.items():
        name = f"by {name[4:]}" if name.startswith("end_") else name
        assert name in whole, name
        whole[name] = number
    whole["ended"] = sum(number for name, number in whole.items() if name.startswith("by "))
    whole["worked on"] = whole["post_response_requests"]
    return whole


def counted(found):
    """The same as the status shows it."""
    measured = found["histograms"]
    return {
        **{name: found[name] for name in rows("POOL", "COUNTER")},
        **{f"by {name}": number for name, number in found["ended_by"].items()},
        "waited": measured["queue_wait"]["count"], "answered": measured["answer"]["count"],
        "worked on": measured["post_response"]["count"],
    }


def difference(wanted, found):
    wrong = [f"{name}: wanted {wanted[name]}, found {found[name]}" for name in wanted if wanted[name] != found[name]]
    return "; ".join(wrong)


# The scenes. Each returns its counts: `end_NAME` is a cause for which workers ended.

@scene("requests", "post_response_requests", "discarded_bytes", SPENT, "spawned", "ended", "by retired")
def work_after_responses(stage):
    """One worker is in post-response work, so another one is started, and retired when it is no longer needed."""
    stage.start()
    for number in range(3):
        with stage.begin(f"a{number}", f"text=x&finish&text=late&wait=go{number}") as connection:
            assert connection.read_response().text == "x"
        stage.reach(workers=2, idle=1)
        time.sleep(0.05)
        stage.journal.signal(f"go{number}")
        stage.reach(workers=1, post_response=0)
    return {"requests": 3, "post_response_requests": 3, "discarded_bytes": 3 * len("late"),
            "spawned": 4, "end_retired": 3, SPENT: 3 * 50}


@scene("aborted", "timed_out")
def clients_that_leave_and_time_limits(stage):
    """Output to a client that has left is discarded."""
    stage.start(hard_timeout="60s")
    discarded = 0
    for number in range(3):
        stage.begin(f"a{number}", f"text=x&wait=go{number}&look=9999").close()
        stage.journal.signal(f"go{number}")
        stage.reach(aborted=number + 1)
        pid = stage.journal.wait("wait", f"a{number}").pid
        discarded += len(f"Content-Type: text/plain\r\nX-Worker: {pid}\r\n\r\nx")
    for number in range(2):
        stage.ask(f"id=t{number}&text=x&spin=60000", OVERTIME_VALUE="max_execution_time=50ms")
    return {"requests": 5, "aborted": 3, "timed_out": 2, "discarded_bytes": discarded, "spawned": 1}


@scene("dropped")
def dead_on_arrival(stage):
    """The manager is stopped meanwhile, since it might see that connections wait and all workers are busy."""
    daemon = stage.start(drop_dead_on_arrival="yes")
    with stage.begin("a", "text=x&wait=go") as connection, stopped(daemon.pid):
        for number in range(4):
            stage.send(f"id=d{number}&text=x", crowd=True).close()
        stage.journal.signal("go")
        assert connection.read_response().text == "x"
        assert stage.ask("id=last&text=y", crowd=True).text == "y"
    return {"requests": 2, "dropped": 4, "spawned": 1}


@scene("shutdown_run", "shutdown_late", "shutdown_lost", "died", "by exit")
def shutdown_functions(stage):
    """Two that complete, then one that is cut off and two that never begin; one that calls exit()."""
    stage.start(shutdown_functions__time_limit="100ms")
    stage.ask("id=a&text=x&later=:one&later=:two")
    stage.ask("id=b&text=x&later=:one&later=spin:60000&later=:lost&later=:lost")
    stage.ask("id=c&text=x&later=:one&later=exit:0&later=:lost")
    return {"requests": 3, "shutdown_run": 2 + 1 + 2, "shutdown_late": 1, "shutdown_lost": 2 + 1,
            "timed_out": 1, "spawned": 2, "end_exit": 1, "died": 1}


@scene("refused_clients", "refused_packets")
def clients_that_are_not_allowed(stage):
    """The kernel refuses them while no worker lives, the one worker afterwards."""
    port = free_port()
    address = ("127.0.0.1", port)
    stage.start(listen=f"127.0.0.1:{port}", listen__allowed_clients="127.0.0.2", pm="ondemand", pm__process_idle_timeout="60s")
    with socket.socket() as client:
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            client.connect(address)
    with socket.create_connection(address, source_address=("127.0.0.2", 0)):
        wait_until(lambda: totals(stage.daemon)["idle"], "the worker")
    for _ in range(3):
        with socket.create_connection(address) as client:
            assert client.recv(1) == b""
    packets = totals(stage.daemon)["refused_packets"]
    return {"requests": 0, "refused_clients": 3, "refused_packets": packets, "spawned": 1}


@scene("over_budget")
def a_budget_that_is_exceeded(stage):
    stage.start(pm__max_children=4, post_response__max_children=1, pm__process_idle_timeout="60s")
    for number in range(3):
        with stage.begin(f"a{number}", "text=x&finish&wait=go") as connection:
            connection.read_response()
    stage.reach(over_budget_now=2, workers=5)
    stage.journal.signal("go")
    stage.reach(post_response=0)
    return {"requests": 3, "post_response_requests": 3, "over_budget": 1, "spawned": 5, SPENT: 0}


@scene("max_children_reached")
def more_connections_than_workers(stage):
    stage.start(pm="ondemand", pm__max_children=1, pm__process_idle_timeout="60s")
    with stage.begin("a", "text=x&wait=go", crowd=True) as first, stage.send("id=b&text=x", crowd=True) as second:
        stage.reach(max_children_reached=1)
        stage.journal.signal("go")
        assert first.read_response().text == second.read_response().text == "x"
    return {"requests": 2, "max_children_reached": 1, "spawned": 1}


@scene("slow_requests")
def slow_requests(stage):
    """Two of three requests, and one post-response work."""
    log = SlowLog(stage.directory / "slow")
    stage.start(slowlog=log.path, request_slowlog_timeout="100ms", post_response__slowlog_timeout="100ms",
                post_response__max_children=0, pm__process_idle_timeout="60s")
    stage.ask("id=fast&text=x")
    for number in range(2):
        with stage.begin(f"a{number}", f"text=x&wait=go{number}" + ("&finish&wait=on" if number else "")) as connection:
            log.wait(number + 1)
            stage.journal.signal(f"go{number}")
            connection.read_response()
    log.wait(3)
    stage.journal.signal("on")
    stage.reach(post_response=0)
    return {"requests": 3, "post_response_requests": 1, "slow_requests": 3, "over_budget": 1, "spawned": 1,
            SPENT: 100}


@scene("by crash", "by exit", "by bailout", "by hard_timeout", "died")
def deaths(stage):
    """Two killed by a foreign signal, one that exits, two bailouts, and one that reaches no safe point."""
    stage.start(hard_timeout="100ms", bailout="exit")
    for number in range(2):
        with stage.begin(f"k{number}", "text=x&flush&wait=never") as connection:
            os.kill(stage.journal.wait("wait", f"k{number}").pid, signal.SIGKILL)
            connection.read_response(wait_eof=True)
    stage.ask("id=e&text=x&exit=3")
    for number in range(2):
        stage.ask(f"id=b{number}&text=x&spin=60000", OVERTIME_VALUE="max_execution_time=50ms")
    with stage.send("id=h&wait=never", OVERTIME_VALUE="max_execution_time=50ms") as connection:
        assert connection.read_response(wait_eof=True).status == 504
    return {"requests": 6, "answered": 3, "timed_out": 3, "end_crash": 2, "end_exit": 1, "end_bailout": 2,
            "end_hard_timeout": 1, "died": 6, "spawned": 7}


@scene("by terminated")
def terminate_timeouts(stage):
    stage.start(request_terminate_timeout="100ms", hard_timeout="100ms")
    with stage.send("id=a&text=x&flush&wait=never") as connection:
        connection.read_response(wait_eof=True)
    stage.reach(workers=1, idle=1)
    return {"requests": 1, "answered": 0, "end_terminated": 1, "spawned": 2}


@scene("by max_requests", "by max_memory")
def a_share_that_is_served(stage):
    stage.start(pm__max_requests=3, pm__max_memory="150M")
    for number in range(7):
        stage.ask(f"id=a{number}&text=x")
    stage.ask("id=h&text=x&hold=200")
    return {"requests": 8, "end_max_requests": 2, "end_max_memory": 1, "spawned": 4}


@scene("by reload")
def reloads(stage):
    stage.start(pm__max_children=2)
    for _ in range(2):
        assert stage.daemon.control("reload", "--all", "--wait").returncode == 0
    stage.ask("id=a&text=x")
    return {"requests": 1, "end_reload": 4, "spawned": 6}


@scene("start_failures", "by start_failure")
def programs_that_cannot_run(stage):
    """Each attempt counts as a start; the last one succeeds."""
    program = stage.directory / "program"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    daemon = stage.start(beside={"good": {"command": stage.command}}, command=program)
    wait_until(lambda: stage.log().count("cannot start worker") >= 2, "two attempts")
    program.write_text(f"#!/bin/sh\nexec {stage.command}\n")
    stage.reach(idle=1)
    failed = totals(daemon)["start_failures"]
    assert failed == stage.log().count("cannot start worker") >= 2
    return {"requests": 0, "start_failures": failed, "end_start_failure": failed, "spawned": failed + 1}


@scene("by stop")
def the_manager_stops(stage):
    """Counted as long as the status can be read: idle workers exit while one still serves."""
    daemon = stage.start(pm__max_children=3)
    connection = stage.begin("a", "text=x&wait=go")
    daemon.send_signal(signal.SIGQUIT)
    stage.reach(workers=1)
    stage.closing.callback(connection.close)
    stage.closing.callback(stage.journal.signal, "go")
    return {"requests": 1, "answered": 0, "end_stop": 2, "spawned": 3}


@pytest.mark.parametrize("name", SCENES)
def test_scene(stage, name):
    play, makes = SCENES[name]
    began = time.monotonic()
    told = play(stage)
    spent = told.pop(SPENT, 0)
    wanted = named(told)

    def same():
        found = counted(totals(stage.daemon))
        assert spent <= found[SPENT] <= (time.monotonic() - began) * 1000 * stage.most
        return {**found, SPENT: 0} == wanted

    wait_until(same, lambda: difference(wanted, counted(totals(stage.daemon))))
    if not wanted["ended"]:  # so the live workers have done everything
        for row in set(rows("WORKER", "COUNTER")) & set(wanted):
            assert sum(worker[row] for worker in stage.workers()) == wanted[row], row
    happened = {name for name, number in counted(totals(stage.daemon)).items() if number}
    assert makes <= happened, "the events that it declares"


def test_no_row_is_left_out():
    made = set().union(*(makes for _, makes in SCENES.values()))
    assert {*rows("POOL", "COUNTER"), *(f"by {name}" for name in endings())} - made == set()
