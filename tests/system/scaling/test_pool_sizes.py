"""How many workers a pool has: static, dynamic, ondemand, and all pools together."""

import os
import re
import signal

import pytest

from harness import fastcgi, load, process
from harness.held import Held, look, stopped, steps_of, wait_none, wait_states, wait_total, wakeups, wakeups_within
from harness.totals import totals
from harness.wait import stays, wait_until
from harness.worker_script import sleeper


def pool(app, tmp_path, kind, most, **more):
    return {
        "command": f"{app('worker')} {tmp_path}", "pm": kind, "pm.max_children": most,
        "pm.process_idle_timeout": "600ms", **more,
    }


DEBUG = {"log_level": "debug"}


def test_no_more_than_the_spawn_rate_in_one_step(manager, app, tmp_path):
    """The next step follows at once."""
    daemon = manager(pool(app, tmp_path, "static", 8, **{"pm.max_spawn_rate": 3}), settings=DEBUG)
    daemon.wait_workers(8)
    assert [count for count, _ in steps_of(daemon, "started")] == [3, 3, 2]


def test_ondemand_starts_one_worker_for_each_connection(manager, app, tmp_path, journal):
    """All in one step; and when they are idle, all are retired in one step."""
    daemon = manager(pool(app, tmp_path, "ondemand", 8), settings=DEBUG)
    assert daemon.workers() == []
    with Held(daemon, journal) as held:
        with stopped(daemon.pid):
            for number in range(5):
                held.send(f"r{number}")
        daemon.wait_workers(5)
        journal.wait("wait", count=5)
        assert steps_of(daemon, "started") == [(5, "connections wait")]
        look(daemon)  # and ignore workers that were idle between their start and their request
        with stopped(daemon.pid):
            held.end()
            wait_states(daemon, idle=5)
        wait_none(daemon)
        assert steps_of(daemon, "retired") == [(5, "idle and not needed for pm.process_idle_timeout")]
    assert "WARNING" not in daemon.log()
    wait_total(daemon, spawned=5, died=0, workers=0)


def test_ondemand_goes_to_its_limit_and_no_further(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "ondemand", 3))
    with Held(daemon, journal) as held:
        for number in range(6):
            held.send(f"r{number}")
        daemon.wait_log(r"WARNING: pool www: .* all workers that `pm.max_children` allows are busy")
        daemon.wait_workers(3)
        wait_total(daemon, max_children_reached=1, serving=3, listen_queue=3)
        stays(lambda: len(daemon.workers()) == 3, 0.2, "three workers")
        held.end()
    assert daemon.log().count("`pm.max_children` allows") == 1, "one line per episode"


def test_a_pool_that_is_full_again_at_once_is_one_episode(manager, app, tmp_path, journal):
    """Load that varies around the limit is not reported each time."""
    daemon = manager(pool(app, tmp_path, "static", 1))
    for turn in range(3):
        with Held(daemon, journal) as held:
            held.begin(f"served{turn}")
            held.send(f"waits{turn}")
            wait_until(lambda: (look(daemon), totals(daemon)["listen_queue"])[1] == 1, "a connection to wait")
            wait_total(daemon, max_children_reached=1)
            held.end()
        wait_states(daemon, idle=1)
        look(daemon)
    assert daemon.log().count("`pm.max_children` allows") == 1


def test_the_longest_idle_goes_first(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "ondemand", 3), settings=DEBUG)
    with Held(daemon, journal) as held:
        pids = {ident: held.begin(ident) for ident in ("a", "b", "c")}
        for count, ident in enumerate(("b", "c", "a"), 1):
            held.end(ident)
            wait_states(daemon, idle=count)
    wait_none(daemon)
    asked = re.findall(r"worker (\d+) \(slot \d\): running -> stopping", daemon.log())
    assert [int(pid) for pid in asked] == [pids["b"], pids["c"], pids["a"]]


def test_dynamic_keeps_spare_workers(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, "dynamic", 10, **{
        "pm.start_servers": 3, "pm.min_spare_servers": 2, "pm.max_spare_servers": 4,
    }), settings=DEBUG)
    daemon.wait_workers(3)
    assert steps_of(daemon, "started") == [(3, "the pool starts")]
    with Held(daemon, journal) as held:
        for number in range(3):
            held.begin(f"r{number}")
        daemon.wait_workers(5)
        wait_total(daemon, serving=3, idle=2)
        for number in range(3, 9):
            held.begin(f"r{number}")
        daemon.wait_workers(10)
        wait_total(daemon, serving=9, idle=1)
        reasons = {reason for _, reason in steps_of(daemon, "started")}
        assert "fewer idle than pm.min_spare_servers" in reasons
        held.end()
    daemon.wait_workers(4)
    stays(lambda: len(daemon.workers()) == 4, 1, "pm.max_spare_servers")
    assert sum(count for count, _ in steps_of(daemon, "retired")) == 6


def test_dynamic_replaces_the_dead_below_its_spare_ones(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, "dynamic", 5, **{
        "pm.start_servers": 2, "pm.min_spare_servers": 2, "pm.max_spare_servers": 3,
    }))
    before = daemon.wait_workers(2)
    wait_states(daemon, idle=2)
    os.kill(before[0], signal.SIGKILL)
    assert before[1] in daemon.wait_workers(2, without=before[:1])


def test_static_shrinks_back(manager, app, tmp_path, journal):
    """Workers that post-response work had made necessary are retired."""
    daemon = manager(pool(app, tmp_path, "static", 2), settings=DEBUG)
    with Held(daemon, journal) as held:
        held.begin("a", "text=x&finish")
        held.begin("b", "text=x&finish")
        daemon.wait_workers(4)
        assert [reason for _, reason in steps_of(daemon, "started")[1:]][0] == "other workers are in post-response work"
        held.end()
        wait_total(daemon, idle=4)
    daemon.wait_workers(2)
    stays(lambda: len(daemon.workers()) == 2, 0.8, "pm.max_children")


def test_process_max_is_shared(manager, app, tmp_path, journal):
    daemon = manager(pools={
        "a": pool(app, tmp_path, "ondemand", 5), "b": pool(app, tmp_path, "ondemand", 5),
    }, settings={"process.max": 3})
    a, b = daemon.addresses["a"], daemon.addresses["b"]
    with Held(daemon, journal) as held:
        for number in range(3):
            held.begin(f"a{number}", address=a)
        held.send("b0", "text=late", address=b)
        daemon.wait_log(r"WARNING: pool b: 1 connection waits and all workers that `process.max` allows")
        assert len(daemon.workers()) == 3
        held.end("a0")  # its worker is retired after a while, and makes room
        assert held.wait("b0") in daemon.workers()
        wait_until(lambda: len(daemon.workers()) == 3, "the end of the worker that made room")
        assert held.end("b0")[0].text == "late"
        held.end()
    wait_none(daemon)


def test_a_pool_without_room_is_checked_again(manager, app, tmp_path, journal):
    """Another pool used everything that process.max allows while this one had nothing to do."""
    daemon = manager(pools={
        "a": pool(app, tmp_path, "ondemand", 5), "b": pool(app, tmp_path, "ondemand", 5),
    }, settings={"process.max": 1, **DEBUG})
    a, b = daemon.addresses["a"], daemon.addresses["b"]
    with Held(daemon, journal) as held:
        worker = held.begin("b0", address=b)
        held.end("b0")
        wait_states(daemon, pool="b", idle=1)
        with stopped(worker):
            held.send("a0", "text=first", address=a)
            daemon.wait_log("pool b: 1 worker is retired")
            held.wait("a0")
        wait_until(lambda: not process.alive(worker), "the end of b's worker")
        held.end("a0")
        wait_none(daemon)
        assert fastcgi.request(b, query="id=b1&text=served").text == "served"


def test_static_pools_share_what_process_max_allows(manager, app, tmp_path):
    daemon = manager(pools={
        "a": pool(app, tmp_path, "static", 3), "b": pool(app, tmp_path, "static", 3),
    }, settings={"process.max": 4})
    daemon.wait_workers(4)
    assert "process.max = 4: the pools begin with 6 workers" in daemon.log()
    # The manager checks starting workers more often.
    wait_until(lambda: sum(totals(daemon, name)["idle"] for name in ("a", "b")) == 4, "idle workers")
    assert wakeups_within(daemon.pid, 2) <= 6, "an idle manager wakes up about once a second"
    for name in ("a", "b"):
        assert fastcgi.request(daemon.addresses[name], query="id=x&text=fine").text == "fine"


def test_an_idle_manager_sleeps(manager, app, tmp_path):
    """Nothing waits, no limit runs, no worker is superfluous: no wake-up at all."""
    kinds = {
        "static": pool(app, tmp_path, "static", 3),
        "dynamic": pool(app, tmp_path, "dynamic", 9, **{
            "pm.start_servers": 3, "pm.min_spare_servers": 2, "pm.max_spare_servers": 4}),
        "ondemand": pool(app, tmp_path, "ondemand", 5),
        "boxes": {"command": sleeper(tmp_path), "pm.max_children": 2},
    }
    daemon = manager(pools=kinds)
    for name in kinds:
        if name != "boxes":
            assert fastcgi.request(daemon.addresses[name], query=f"id={name}&text=x").text == "x"
    daemon.wait_workers(8)  # the one of ondemand has exited
    wait_until(lambda: wakeups_within(daemon.pid, 0.5) == 0, "rest")
    assert wakeups_within(daemon.pid, 2.5) == 0


def test_idle_workers_cost_a_check_a_second(manager, app, tmp_path):
    daemon = manager(pool(app, tmp_path, "ondemand", 5, **{"pm.process_idle_timeout": "1h"}))
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    wait_total(daemon, idle=1)
    wait_until(lambda: wakeups_within(daemon.pid, 1) <= 2, "rest")
    assert wakeups_within(daemon.pid, 3) <= 5


@pytest.mark.parametrize("mode", ["loop", "finish", "accept", "run"])
def test_the_manager_sleeps_while_requests_are_served(manager, app, tmp_path, mode):
    """No request involves the manager, however the application ends it."""
    daemon = manager({"command": f"{app('worker')} -m {mode} {tmp_path}", "pm.max_children": 1})
    wait_until(lambda: wakeups_within(daemon.pid, 0.5) == 0, "rest")
    before = wakeups(daemon.pid)
    report = load.run(daemon.address, clients=4, count=400)
    assert wakeups(daemon.pid) == before, report
    assert (report.ok, report.failed) == (400, 0)
