"""Many requests at once get workers at once: the listen queue decides, not a timer."""

import threading
import time

import pytest

from harness import build, load, process
from harness.shown import best_of, bound, pick, show
from harness.wait import wait_until

pytestmark = pytest.mark.alone


def pool(app, **directives):
    return {"command": app("load_worker"), **directives}


def test_a_burst_on_a_cold_ondemand_pool(manager, app):
    daemon = manager(pool(app, **{"pm": "ondemand", "pm.max_children": 20}))
    assert daemon.workers() == []
    report = load.run(daemon.address, burst=20, query="sleep=1000", text="hello")
    show("burst ondemand", f"last answer {report.max / 1000:.2f} s, {len(daemon.workers())} workers")
    assert report.ok == 20, report
    assert report.max < bound(1300, 1300), report
    assert len(daemon.workers()) == 20


def test_a_burst_on_a_dynamic_pool(manager, app):
    daemon = manager(pool(app, **{
        "pm": "dynamic", "pm.max_children": 20, "pm.start_servers": 2, "pm.min_spare_servers": 1,
    }))
    assert len(daemon.wait_workers(2)) == 2
    report = load.run(daemon.address, burst=20, query="sleep=1000", text="hello")
    show("burst dynamic", f"last answer {report.max / 1000:.2f} s, {len(daemon.workers())} workers")
    assert report.ok == 20, report
    assert report.max < bound(1300, 1300), report


class Climb(threading.Thread):
    """Notes when a manager had how many children."""

    def __init__(self, daemon, until):
        super().__init__()
        self.daemon_pid, self.until = daemon.pid, until
        self.seen = []
        self.ended = False

    def run(self):
        while not self.ended:
            count = len(process.children(self.daemon_pid))
            self.seen.append((time.monotonic(), count))
            if count >= self.until:
                return
            time.sleep(0.001)

    def stop(self):
        self.ended = True
        self.join()

    def reached(self, count):
        return next((at for at, seen in self.seen if seen >= count), None)


def test_from_one_to_fifty_workers(manager, app):
    handler = 1500 if build.SANITIZED else pick(200, 500)  # ms; all are to be busy at once
    daemon = manager(pool(app, **{
        "pm": "ondemand", "pm.max_children": 50, "pm.process_idle_timeout": "1s",
    }))

    def attempt():
        wait_until(lambda: not daemon.workers(), "an idle pool without workers")
        assert load.run(daemon.address, burst=1, text="hello").ok == 1
        daemon.wait_workers(1)
        climb = Climb(daemon, 50)
        climb.start()
        report = load.run(daemon.address, clients=50, count=150, query=f"sleep={handler}", text="hello")
        climb.stop()
        assert report.ok == 150, report
        assert climb.reached(50), f"at most {max(count for _, count in climb.seen)} workers for 50 clients"
        return (climb.reached(50) - report.begin) * 1000, report

    def good(result):
        # The first clients were served by then, or their responses would have been later.
        served = result[1].max - handler
        return result[0] < bound(150) and served < bound(150) and result[1].p99 < handler + bound(200)

    took, report = best_of(3, attempt, good)
    show("1 to 50 workers", f"{took:.0f} ms, all 50 serve after {report.max - handler:.0f} ms, p99 of the answers "
         f"handler + {report.p99 - handler:.0f} ms")
    assert good((took, report)), f"{took:.0f} ms to 50 workers; {report}"
