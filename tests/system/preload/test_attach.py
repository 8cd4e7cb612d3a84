"""A worker attaches when its application accepts, after any chain of exec and fork."""

import contextlib
import os
import signal

import pytest

from harness import build, fastcgi, process
from harness.held import wait_total
from harness.totals import totals
from harness.wait import wait_until
from harness.worker_script import script


def chains(directory, words):
    """Programs that may precede the application, by name."""
    yield "plain", words
    yield "env", f"/usr/bin/env A=1 {words}"
    yield "script", script(directory, f"A=$(cat /dev/null)\nexec {words}", "wrapper")
    yield "shell", f'sh -c "{words}; true"'
    yield "twice", f'sh -c "sh -c \'{words}; true\'; true"'


def end_groups(daemon):
    """Stops the manager and kills the rest of the workers' process groups."""
    groups = daemon.workers()
    daemon.stop()
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-group, 0)


CHAINS = ["plain", "env", "script", "shell", "twice"]


@pytest.fixture(params=["linked", "preloaded"])
def chained(request, manager, app, tmp_path):
    """chained("env", **directives) -> a manager of the application started through this chain."""
    def run(name, **directives):
        program = app("worker" if request.param == "linked" else "worker_plain")
        words = dict(chains(tmp_path, f"{program} {tmp_path}"))[name]
        pool = {"command": words, **directives}
        if request.param == "preloaded":
            pool["env[LD_PRELOAD]"] = build.preload()
        return manager(pool)

    return run


@pytest.mark.parametrize("name", CHAINS)
def test_chains_attach(chained, name):
    daemon = chained(name)
    wait_total(daemon, idle=1, unknown=0, starting=0)
    for number in range(3):
        assert fastcgi.request(daemon.address, query=f"id=a{number}&text=hello").text == "hello"
    wait_total(daemon, idle=1)
    assert totals(daemon)["requests"] == 3
    end_groups(daemon)


@pytest.mark.parametrize("name", ["plain", "env", "script"])
def test_chains_are_reloaded(chained, name):
    daemon = chained(name, **{"pm.max_children": 2})
    before = daemon.wait_workers(2)
    daemon.control("reload", "--wait", "--all", check=True)
    daemon.wait_workers(2, without=before)
    assert fastcgi.request(daemon.address, query="id=a&text=new").text == "new"
    wait_total(daemon, idle=2, unknown=0)


@pytest.mark.parametrize("name", ["plain", "env", "script"])
def test_ondemand_shrinks(chained, name):
    daemon = chained(name, **{"pm": "ondemand", "pm.process_idle_timeout": "200ms"})
    assert fastcgi.request(daemon.address, query="id=a&text=up").text == "up"
    wait_until(lambda: not daemon.workers(), "no workers")
    assert totals(daemon)["requests"] == 1


def inherited(response):
    """{name: value} of the environment and the set of descriptors of an application's child."""
    *lines, numbers = response.text.rstrip("\n").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line), {int(n) for n in numbers.split()}


def preforking(manager, app, count, **directives):
    return manager({"command": f"{app('prefork_plain')} {count}", "env[LD_PRELOAD]": build.preload(), **directives})


@pytest.mark.parametrize("count", [0, 1])
def test_children_of_the_application_get_nothing(manager, app, count, tmp_path):
    daemon = preforking(manager, app, count, **{"access.log": tmp_path / "access.log"})
    environment, numbers = inherited(fastcgi.request(daemon.address))
    assert "OVERTIME_CONTRACT" not in environment
    assert str(build.PRELOAD) not in environment.get("LD_PRELOAD", "")
    assert numbers <= {0, 1, 2, 3, 4}, "standard descriptors, and those of ls and its pipe"
    end_groups(daemon)


def test_one_of_those_that_fork_before_they_accept_has_the_slot(manager, app):
    """The others serve, too, and say so."""
    daemon = preforking(manager, app, 3)
    wait_total(daemon, idle=1, unknown=0)
    daemon.wait_log(r"process \d+ serves beside another one of the same worker", count=2)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(fastcgi.Connection(daemon.address)) for _ in range(3)]
        for connection in connections:
            connection.send_begin()
            connection.send_params(fastcgi.cgi_params("", "POST"))
        wait_total(daemon, idle=0)
        for connection in connections:
            connection.send_stdin()
        servers = {inherited(c.read_response(wait_eof=True))[0]["server"] for c in connections}
    assert len(servers) == 3
    assert len(daemon.workers()) == 1
    end_groups(daemon)


def test_the_slot_of_a_dead_process_is_taken_over(manager, app):
    daemon = preforking(manager, app, 1)
    servers = []
    for number in range(4):
        wait_total(daemon, idle=1, unknown=0)
        servers.append(int(inherited(fastcgi.request(daemon.address))[0]["server"]))
        fastcgi.request(daemon.address, query="exit")
        wait_until(lambda: not process.alive(servers[-1]), "the end of the process")
        wait_until(lambda n=number: totals(daemon)["requests"] >= 2 * (n + 1), "counts that grow on")
    assert len(set(servers)) == 4 and len(daemon.workers()) == 1
    end_groups(daemon)


def test_a_program_that_has_closed_all_attaches(manager, app, tmp_path):
    """The scoreboard stays mapped; descriptors that are the program's own now are left alone."""
    daemon = manager({"command": f"{app('worker')} -c {tmp_path}"})
    wait_total(daemon, idle=1, unknown=0)
    assert fastcgi.request(daemon.address, query="id=a&text=fine").text == "fine"
    wait_until(lambda: totals(daemon)["requests"] == 1, "the request counted")
