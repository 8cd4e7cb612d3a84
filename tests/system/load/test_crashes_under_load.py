"""Workers die under load; only the requests in them are lost."""

import os
import random
import signal
import statistics
import time

import pytest

from harness import build, fastcgi, load, process
from harness.shown import LONG, best_of, bound, pick, show
from harness.totals import totals
from harness.wait import now, wait_until

pytestmark = pytest.mark.alone


def test_from_a_crash_to_a_working_replacement(manager, app):
    """One worker, so that the next answer is its replacement's."""
    daemon = manager({"command": app("load_worker")})

    def once():
        before = daemon.workers()
        assert fastcgi.request(daemon.address).text == "hello"
        # A busy worker might accept the next connection before the signal arrives.
        wait_until(lambda: process.state(before[0]) == "S", "an idle worker")
        began = now()
        # A sanitizer would report a SEGV as the worker's fault.
        os.kill(before[0], signal.SIGKILL if build.SANITIZED else signal.SIGSEGV)
        assert fastcgi.request(daemon.address).text == "hello"
        took = (now() - began) * 1000
        assert daemon.wait_workers(1, without=before)
        return took

    def attempt():
        return [once() for _ in range(pick(7, 31))]

    def good(times):
        return statistics.median(times) < bound(3, 30)

    times = best_of(3, attempt, good)
    show("crash to replacement", f"median {statistics.median(times):.2f} ms ({min(times):.2f} to {max(times):.2f}), "
         "to the replacement's first answer")
    assert good(times), times


def test_killed_ten_times_a_second(manager, app):
    seconds, workers = pick(5, 60), 10
    daemon = manager({"command": app("load_worker"), "pm.max_children": workers})
    choose = random.Random(1)
    kills, hit = 0, set()  # one that was killed may be there for a moment
    with load.Run(daemon.address, rate=200, poisson=True, seconds=seconds, query="sleep=20", text="hello") as run:
        began = now()
        while run.running and now() < began + seconds:
            victims = [pid for pid in daemon.workers() if pid not in hit]
            if victims:
                victim = choose.choice(victims)
                os.kill(victim, signal.SIGKILL)
                hit.add(victim)
                kills += 1
            until = began + kills * 0.1
            while now() < until:
                time.sleep(0.002)
        report = run.result()
    show("killed at random", f"{report.failed} of {report.count} failed in {kills} kills ({report.failures}), "
         f"slowest answer {report.max:.0f} ms")
    assert kills >= seconds * pick(2, 8)  # a slow machine finds victims slowly
    assert report.failed <= kills, report
    assert set(report.failures) <= {"closed", "reset", "truncated"}, report
    daemon.wait_workers(workers)
    wait_until(lambda: totals(daemon)["idle"] == workers, lambda: f"{workers} idle workers in {totals(daemon)}")
    found = totals(daemon)
    truth = {"workers": workers, "idle": workers, "serving": 0, "starting": 0, "post_response": 0, "died": kills,
             "spawned": workers + kills}
    assert {name: found[name] for name in truth} == truth, found
    assert report.ok <= found["requests"] <= report.count, f"{found}; {report}"
    if LONG:
        assert report.p99 < 20 + 200, report
