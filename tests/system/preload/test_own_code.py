"""The library preloaded into a program with FastCGI code of its own changes nothing, and the log says so."""

import json
import re
import shutil
import signal
import threading
import time

import pytest

from harness import build, fastcgi, process
from harness.held import wait_total
from harness.wait import stays, wait_until
from harness.worker_script import script, sleeper

PHP = """<?php usleep((int)($_GET["ms"] ?? 0) * 1000); echo getmypid(), " ", $_GET["id"] ?? "";"""


class Program:
    """A program with its own FastCGI code: a C program, which stands for Go and static libfcgi, or php-cgi."""

    def __init__(self, kind, app, directory):
        self.kind = kind
        if kind == "box":
            self.command = f"{app('box_plain')} {directory}"
            return
        if shutil.which("php-cgi") is None:
            pytest.skip("php-cgi is not installed")
        self.command = shutil.which("php-cgi")
        self.page = directory / "page.php"
        self.page.write_text(PHP)

    def params(self, ident, ms):
        if self.kind == "box":
            return fastcgi.cgi_params(f"sleep={ms}&text={ident}")
        return fastcgi.cgi_params(f"ms={ms}&id={ident}", SCRIPT_FILENAME=str(self.page), REDIRECT_STATUS="200")


@pytest.fixture(params=["box", "php-cgi"])
def program(request, app, tmp_path):
    return Program(request.param, app, tmp_path)


@pytest.fixture(params=[False, True], ids=["alone", "preloaded"])
def pool(request, program):
    if not request.param:
        return {"command": program.command}
    if build.SANITIZED and program.kind != "box":
        pytest.skip("a sanitizer reports what php-cgi does")
    return {"command": program.command, "env[LD_PRELOAD]": build.preload()}


class Asked(threading.Thread):
    def __init__(self, daemon, program, ident, ms):
        super().__init__()
        self.args = (daemon.address, program.params(ident, ms))
        self.ident_, self.took, self.response = ident, None, None
        self.start()

    def run(self):
        began = time.monotonic()
        self.response = fastcgi.request(self.args[0], params=self.args[1])
        self.took = time.monotonic() - began

    def text(self):
        self.join()
        return self.response.text.split()[-1]


def test_a_dynamic_pool_grows_as_without(manager, program, pool):
    """Six requests of 3 s, one each 0.3 s: seven workers, and no request waits."""
    daemon = manager({**pool, "pm": "dynamic", "pm.max_children": 8})
    wait_total(daemon, unknown=len(daemon.workers()))
    asked = []
    for number in range(6):
        asked.append(Asked(daemon, program, f"r{number}", 3000))
        time.sleep(0.3)  # the rhythm is what the case is about
    wait_until(lambda: len(daemon.workers()) >= 7, lambda: f"seven workers; {daemon.workers()}")
    assert [one.text() for one in asked] == [f"r{number}" for number in range(6)]
    late = [one.took for one in asked if one.took > 4.2]
    assert not late, f"some waited for a worker: {[one.took for one in asked]}"


@pytest.mark.parametrize("how", ["quit", "reload"])
def test_nothing_is_lost(manager, program, pool, how):
    daemon = manager({**pool, "pm.max_children": 2})
    wait_total(daemon, unknown=2)
    before = daemon.workers()
    asked = [Asked(daemon, program, f"r{number}", 1500) for number in range(2)]

    def connections():
        return sum(t.startswith("socket:") for pid in before for t in process.descriptors(pid).values())

    wait_until(lambda: connections() >= 2 * 3 + 2, "a request in each")
    if how == "quit":
        daemon.send_signal(signal.SIGQUIT)
    else:
        daemon.control("reload", "--wait", "--all", check=True)
    assert [one.text() for one in asked] == ["r0", "r1"]
    wait_until(lambda: not any(map(process.alive, before)), "the end of the old workers")
    assert "is killed" not in daemon.log()


def test_one_notice_names_the_directives_without_effect(manager, program, pool, tmp_path):
    daemon = manager({**pool, "pm.max_children": 2, "access.log": tmp_path / "access.log", "ping.path": "/ping",
                      "max_execution_time": "5s", "request_terminate_timeout": 0})
    line = daemon.wait_log(r"^.*NOTICE: pool www: its workers serve without the library.*$")[0]
    for word in ("`ping.path`, `max_execution_time`, `access.log`;", "-lovertime", "env[LD_PRELOAD]", "overtime(8)"):
        assert word in line, line
    assert "request_terminate_timeout" not in line, "it is off"
    assert fastcgi.request(daemon.address, params=program.params("a", 0)).complete
    assert daemon.log().count("without the library") == 1


def test_no_notice_where_nothing_needs_the_library(manager, program, pool):
    daemon = manager(pool)
    wait_total(daemon, unknown=1)
    stays(lambda: "without the library" not in daemon.log(), 1, "no notice")


@pytest.mark.parametrize("kind", ["script", "linked", "preloaded"])
def test_an_application_that_never_accepts(manager, app, tmp_path, kind):
    command = sleeper(tmp_path) if kind != "linked" else f"{app('worker')} -s {tmp_path}"
    more = {"env[LD_PRELOAD]": build.preload()} if kind == "preloaded" else {}
    daemon = manager({"command": command, **more})
    (pid,) = daemon.workers()

    def starting():
        found = json.loads(daemon.control("--json", "ping", check=True).stdout)
        return found["starting"] == 1 and found["starting_ms"] > 300

    wait_until(starting, lambda: daemon.control("--json", "ping").stdout)
    assert re.search(r"running, .*, 1 worker starting for [\d.]+ ?m?s$", daemon.control("ping").stdout.strip())
    line = daemon.wait_log(r"^.*WARNING: pool www: worker .* has accepted no connection within .*$", limit=30)[0]
    assert str(pid) in line and "`command`" in line
    assert json.loads(daemon.control("--json", "ping").stdout)["starting_ms"] >= 10000


def test_a_slow_start_is_no_fault(manager, app, tmp_path):
    """Old workers serve until the new one accepts, however long its interpreter takes to load."""
    loads = tmp_path / "loads"
    program = script(tmp_path, f"while [ -e {loads} ]; do sleep 0.05; done\nexec {app('worker_plain')} {tmp_path}")
    daemon = manager({"command": program, "env[LD_PRELOAD]": build.preload()})
    wait_total(daemon, idle=1)
    (before,) = daemon.workers()
    loads.touch()
    daemon.control("reload", "--all", check=True)
    stays(lambda: process.alive(before), 2, "the old worker")
    assert fastcgi.request(daemon.address, query="id=a&text=served").text == "served"
    loads.unlink()
    wait_until(lambda: not process.alive(before), "the end of the old worker")
    wait_total(daemon, idle=1, unknown=0)
