"""Unmodified programs with threads in pools: counted, retired and reloaded without losing a request."""

import json
import re
import signal
import threading
import time

import pytest

from harness import build, fastcgi
from harness.held import wait_total
from harness.totals import totals
from harness.wait import wait_until

THREADS = 8


@pytest.fixture(params=["free", "mutex"])
def threaded(request, manager, app):
    def run(**directives):
        command = f"{app('threaded_plain')} {THREADS}" + (" mutex" if request.param == "mutex" else "")
        return manager({"command": command, "env[LD_PRELOAD]": build.preload(), **directives})

    return run


class Load:
    """Requests at their moments, each of `ms`."""

    def __init__(self, daemon, count, every, ms):
        self.daemon, self.ms, self.answers = daemon, ms, []
        self.threads = [threading.Thread(target=self.ask) for _ in range(count)]
        self.starter = threading.Thread(target=self.begin, args=(every,))
        self.starter.start()

    def begin(self, every):
        for thread in self.threads:
            thread.start()
            time.sleep(every)  # the rhythm of the load

    def ask(self):
        try:
            self.answers.append(fastcgi.request(self.daemon.address, query=str(self.ms)).text)
        except (OSError, AssertionError) as error:
            self.answers.append(repr(error))

    def lost(self):
        self.starter.join()
        for thread in self.threads:
            thread.join()
        return [answer for answer in self.answers if answer != f"slept {self.ms}"]


def started(daemon):
    return totals(daemon)["spawned"]


@pytest.mark.parametrize("pm", ["dynamic", "ondemand"])
def test_a_trickle_needs_one_worker(threaded, pm):
    """A worker with an idle thread is neither missing nor superfluous while another thread serves."""
    daemon = threaded(**{"pm": pm, "pm.max_children": 4, "pm.process_idle_timeout": "1s"})
    first = started(daemon)
    load = Load(daemon, 12, 0.5, 1500)
    assert load.lost() == []
    assert started(daemon) == max(first, 1), daemon.log()
    assert "is killed" not in daemon.log()


@pytest.mark.parametrize("how", ["reload", "quit"])
def test_reload_and_quit_lose_nothing(threaded, how):
    """main() returns when accept fails: it does so when no thread has a request."""
    daemon = threaded(**{"pm.max_children": 2})
    wait_total(daemon, idle=2)
    load = Load(daemon, 40 if how == "reload" else 10, 0.1 if how == "reload" else 0.0, 2000)
    if how == "reload":
        for number in range(3):
            wait_until(lambda n=number: totals(daemon)["requests"] >= 4 + 8 * n, "requests under way")
            daemon.control("reload", "--wait", "--all", check=True)
    else:
        wait_until(lambda: totals(daemon)["requests"] == 10, "ten requests")
        daemon.send_signal(signal.SIGQUIT)
    assert load.lost() == []
    assert not re.search("cut off|is killed|in shutdown functions", daemon.log()), daemon.log()


def test_idle_behind_the_mutex(manager, app):
    """A thread that has ended its request and waits for its turn is idle in every output."""
    daemon = manager({"command": f"{app('threaded_plain')} {THREADS} mutex", "env[LD_PRELOAD]": build.preload(),
                      "pm.status_path": "/status"})
    wait_total(daemon, idle=1)
    assert Load(daemon, 4 * THREADS, 0.01, 30).lost() == []

    def states():
        rows = json.loads(daemon.control("--json", "workers", check=True).stdout)["workers"]
        return [row["state"] for row in rows]

    wait_until(lambda: set(states()) == {"idle"}, lambda: f"idle: {states()}")
    wait_total(daemon, idle=1, serving=0)
    page = fastcgi.request(
        daemon.address, params=fastcgi.cgi_params("json&full", SCRIPT_NAME="/status", REQUEST_URI="/status")).text
    (row,) = json.loads(page)["workers"]
    assert sorted(each["state"] for each in row["each"]) == ["idle"] * (THREADS - 1) + ["reading"], page
    daemon.control("reload", "--wait", "--all", check=True)
    assert "shutdown functions" not in daemon.log()
