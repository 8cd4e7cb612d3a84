"""Post-response work does not delay requests."""

import pytest

from harness import load
from harness.load import Kind
from harness.shown import best_of, bound, pick, show
from harness.totals import totals, wait_totals

pytestmark = pytest.mark.alone


def test_plain_requests_beside_post_response_work(manager, app):
    """100 requests a second of which 10 % have a second of post-response work; a second pool gets as many plain ones
    at the same time, so that both meet the same noise."""
    work = 1000
    directives = {"command": app("load_worker"), "pm": "static", "pm.max_children": 8}
    daemon = manager(pools={
        "www": {**directives, "post_response.max_children": 30}, "control": directives,
    })

    def attempt():
        report = load.run(rate=200, poisson=True, seconds=pick(4, 20), kinds=[
            Kind("control", to=daemon.addresses["control"], weight=100, text="hello"),
            Kind("plain", to=daemon.addresses["www"], weight=90, text="hello"),
            Kind("working", to=daemon.addresses["www"], weight=10, query=f"finish&sleep={work}", length=0),
        ])
        assert report.failed == 0, report
        return report

    def good(report):
        return report["plain"].p99 < max(pick(10, 2) * report["control"].p99, pick(bound(50, 50), 0))

    report = best_of(pick(2, 3), attempt, good)
    plain, control = report["plain"], report["control"]
    show("post-response work", f"p99 {plain.p99:.2f} ms, control {control.p99:.2f} ms ({plain.p99 / control.p99:.1f} times)")
    assert good(report), report
    done = report["working"].ok
    wait_totals(daemon, post_response=0)
    assert totals(daemon)["post_response_requests"] >= done, "every piece of work was begun, none by a worker cut off"


def test_kept_connections_beside_post_response_work(manager, app):
    """A kept connection does not have to wait for a worker in post-response work."""
    work = 1000
    directives = {"command": app("load_worker"), "pm": "static", "pm.max_children": 8}
    daemon = manager(pools={
        "www": {**directives, "post_response.max_children": 20}, "control": directives,
    })

    def attempt():
        report = load.run(rate=100, poisson=True, seconds=pick(4, 20), keep=True, kinds=[
            Kind("control", to=daemon.addresses["control"], weight=50, text="hello"),
            Kind("plain", to=daemon.addresses["www"], weight=45, text="hello"),
            Kind("working", to=daemon.addresses["www"], weight=5, query=f"finish&sleep={work}", length=0),
        ])
        assert report.failed == 0, report
        return report

    def good(report):
        return report["plain"].p99 < max(pick(10, 2) * report["control"].p99, bound(5, 50))

    report = best_of(pick(2, 3), attempt, good)
    show("post-response work, kept", f"p99 {report['plain'].p99:.2f} ms, max {report['plain'].max:.2f} ms, control "
         f"p99 {report['control'].p99:.2f} ms, max {report['control'].max:.2f} ms")
    assert good(report), report


def test_more_work_than_workers(manager, app):
    """5 workers, 50 requests a second with 200 ms of post-response work each: ten are busy at any time."""
    daemon = manager({
        "command": app("load_worker"), "pm": "static", "pm.max_children": 5, "post_response.max_children": 15,
    })

    def attempt():
        report = load.run(daemon.address, rate=50, seconds=pick(3, 20), query="finish&sleep=200", length=0)
        assert report.failed == 0, report
        return report

    def good(report):
        return report.p50 < bound(1, 20) and report.p99 < bound(5, 100)

    report = best_of(pick(2, 3), attempt, good)
    show("overload", f"p50 {report.p50:.2f} ms, p99 {report.p99:.2f} ms, max {report.max:.2f} ms")
    assert good(report), report
    wait_totals(daemon, post_response=0, serving=0)
