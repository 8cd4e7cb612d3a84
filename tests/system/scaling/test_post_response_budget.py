"""Post-response work does not take workers from requests, within its budget."""

import os
import re
import signal

from harness import fastcgi, load
from harness.held import Held, steps_of, wait_states, wait_total
from harness.totals import totals
from harness.wait import stays, wait_until


def pool(app, tmp_path, kind, most, budget, **more):
    return {
        "command": f"{app('worker')} {tmp_path}", "pm": kind, "pm.max_children": most,
        "post_response.max_children": budget, **more,
    }


def test_replaced_at_once_and_no_churn_after_that(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "static", 2, 2), settings={"log_level": "debug"})
    before = set(daemon.wait_workers(2))
    with Held(daemon, journal) as held:
        busy = held.begin("a", "text=x&finish")
        with_one_more = set(daemon.wait_workers(3))
        assert before < with_one_more and busy in before
        wait_total(daemon, idle=2, post_response=1, over_budget=0)
        held.end("a")
        wait_total(daemon, idle=3, post_response=0)
        # The next ones find a free worker.
        for number in range(5):
            held.begin(f"b{number}", "text=x&finish")
            held.end(f"b{number}")
            wait_total(daemon, idle=3, post_response=0)
        stays(lambda: set(daemon.workers()) == with_one_more, 0.2, "the same three workers")
    assert totals(daemon)["spawned"] == 3


def test_ended_work_makes_no_room(manager, app, tmp_path, journal):
    """The end of work does not ring the doorbell; a death must not be judged by an older count."""
    daemon = manager(pool(app, tmp_path, "static", 2, 2))
    wait_total(daemon, idle=2)
    with Held(daemon, journal) as held:
        busy = {held.begin(ident, "text=x&finish") for ident in ("a", "b")}
        wait_total(daemon, idle=2, post_response=2)
        held.end()
    wait_states(daemon, idle=4)
    spawned = totals(daemon)["spawned"]
    assert spawned == 4
    for pid in busy:
        os.kill(pid, signal.SIGKILL)
    wait_total(daemon, died=2, workers=2)
    stays(lambda: totals(daemon)["spawned"] == spawned, 0.2, "two workers")


def test_over_the_budget(manager, app, tmp_path, journal):
    """Work above the budget counts as serving; one line per episode, and a counter."""
    daemon = manager(pool(app, tmp_path, "static", 2, 2))
    warning = r"WARNING: pool www: 3 workers are in post-response work, more than `post_response.max_children` = 2"
    with Held(daemon, journal) as held:
        for episode in (1, 2):
            for number in range(3):
                held.begin(f"r{episode}{number}", "text=x&finish")
            daemon.wait_log(warning, count=episode)
            wait_total(daemon, workers=4, post_response=3, idle=1, over_budget=episode, over_budget_now=1)
            held.begin(f"q{episode}", "text=x&finish")
            wait_total(daemon, workers=4, post_response=4, over_budget_now=2, over_budget=episode)
            held.end()
            daemon.wait_log("NOTICE: pool www: post-response work is within `post_response.max_children` again",
                            count=episode)
            wait_total(daemon, idle=4, over_budget_now=0)
    assert len(re.findall(r"more than `post_response.max_children`", daemon.log())) == 2
    assert totals(daemon)["spawned"] == 4


def test_load_that_swings_about_the_budget(manager, app, tmp_path, journal):
    """It is one episode, logged once, and over when work has stayed within the budget for a while."""
    daemon = manager(pool(app, tmp_path, "static", 2, 1))
    with Held(daemon, journal) as held:
        for swing in range(4):
            for number in range(2):
                held.begin(f"r{swing}{number}", "text=x&finish")
            wait_total(daemon, over_budget_now=1, over_budget=1)
            held.end()
            wait_total(daemon, over_budget_now=0, post_response=0)
        daemon.wait_log("NOTICE: pool www: post-response work is within `post_response.max_children` again")
        for number in range(2):
            held.begin(f"s{number}", "text=x&finish")
        wait_total(daemon, over_budget=2)
        held.end()
    assert len(re.findall(r"more than `post_response.max_children`", daemon.log())) == 2


def test_no_budget_at_all(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "static", 2, 0))
    with Held(daemon, journal) as held:
        held.begin("a", "text=x&finish")
        wait_total(daemon, over_budget_now=1, idle=1, workers=2)
        assert fastcgi.request(daemon.address, query="id=b&text=x").text == "x"
        stays(lambda: len(daemon.workers()) == 2, 0.2, "two workers")
        held.end()


def test_ondemand_counts_work_above_the_budget(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "ondemand", 2, 1))
    with Held(daemon, journal) as held:
        for ident in ("a", "b"):
            held.begin(ident, "text=x&finish")
        wait_total(daemon, post_response=2, over_budget_now=1)
        held.begin("c")
        held.send("d", "text=late")
        daemon.wait_log("1 connection waits and all workers that `pm.max_children` allows are busy")
        assert len(daemon.workers()) == 3
        held.end("a")  # within the budget again
        held.wait("d")
        held.end()
    wait_total(daemon, serving=0, post_response=0)
    assert totals(daemon)["workers"] <= 3


def test_ondemand_does_not_replace_without_need(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "ondemand", 2, 2), settings={"log_level": "debug"})
    with Held(daemon, journal) as held:
        held.begin("a", "text=x&finish")
        wait_total(daemon, post_response=1)
        stays(lambda: len(daemon.workers()) == 1, 0.3, "one worker")
        held.end()
    assert steps_of(daemon, "started") == [(1, "connections wait")]


def test_never_more_processes_than_both_allow(manager, app):
    daemon = manager({
        "command": app("load_worker"), "pm": "dynamic", "pm.max_children": 4, "pm.start_servers": 2,
        "pm.min_spare_servers": 1, "pm.max_spare_servers": 2, "post_response.max_children": 3,
        "pm.process_idle_timeout": "100ms",
    })
    most = 0
    with load.Run(daemon.address, rate=60, poisson=True, seconds=3, length=0,
                  query="finish&sleep=80") as run:
        def over():
            nonlocal most
            most = max(most, len(daemon.workers()))
            return not run.running

        wait_until(over, "the end of the load")
        report = run.result()
    assert report.failed == 0, report
    print(f"at most {most} processes; {report}")
    assert 4 < most <= 7
    assert not re.search("died of|is killed", daemon.log())
