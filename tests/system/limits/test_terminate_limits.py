"""Requests and post-response work that take too long are ended: TERM, a grace period, KILL."""

import re
import signal

import pytest

from harness import process
from harness.held import Held, ended_by, look, wait_states, wait_total, wakeups_within
from harness.totals import totals
from harness.wait import now, stays, wait_until


def pool(app, tmp_path, **more):
    return {"command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "hard_timeout": "200ms",
            "max_execution_time": "0", **more}


def since(began):
    return (now() - began) * 1000


@pytest.mark.parametrize("steps", ["", "block-signals&"], ids=["obeys", "ignores"])
def test_a_request_over_its_limit(manager, app, tmp_path, journal, steps):
    daemon = manager(pool(app, tmp_path, **{"request_terminate_timeout": "600ms"}))
    others = daemon.wait_workers(2)
    with Held(daemon, journal) as held:
        began = now()
        pid = held.begin("late", f"label=import%203&{steps}")
        others.remove(pid)
        wait_until(lambda: "is ended" in daemon.log() or not process.alive(pid), "the limit")
        ended = since(began)
        wait_until(lambda: not process.alive(pid), "the end of the worker")
        gone = since(began)
        line = daemon.wait_log(rf"^.*worker {pid} \(slot \d\) is ended .*$")[0]
        for word in ("WARNING: pool www", "while running GET /?id=late", "ms old", "import",
                     "over `request_terminate_timeout` = 600 ms", "TERM now, KILL in 200 ms"):
            assert word in line, line
        assert 600 <= int(re.search(r"(\d+) ms old", line)[1]) < 3000, line
        assert 600 <= ended < 5000 and gone < 8000
        if steps:
            assert gone >= 800, "KILL after the grace period, not before"
            killed = daemon.wait_log(rf"^.*worker {pid} \(slot \d\) is killed .*$")[0]
            assert "running GET /?id=late" in killed and "hard_timeout" in killed, killed
    assert others[0] in daemon.wait_workers(2, without=[pid])
    wait_total(daemon, idle=2)
    assert ended_by(daemon, "terminated") == 1
    assert daemon.log().count("is ended") == 1
    print(f"ended after {ended:.0f} ms, gone after {gone:.0f} ms")


def test_work_over_its_limit(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, **{
        "request_terminate_timeout": "200ms", "post_response.terminate_timeout": "700ms"}))
    with Held(daemon, journal) as held:
        began = now()
        pid = held.begin("late", "label=mail%207&text=x&block-signals&finish")
        wait_until(lambda: "is ended" in daemon.log(), "the limit")
        assert since(began) >= 700
        line = daemon.wait_log(rf"^.*worker {pid} \(slot \d\) is ended .*$")[0]
        for word in ("in post-response work of GET /?id=late", "mail",
                     "over `post_response.terminate_timeout` = 700 ms"):
            assert word in line, line
        wait_until(lambda: not process.alive(pid), "the end of the worker")
        assert since(began) >= 900
        assert held.end("late")[0].text == "x"
    assert ended_by(daemon, "terminated") == 1


def test_what_ends_in_time_is_left_alone(manager, app, tmp_path, journal):
    """Also a request that comes when another one's limit is near."""
    daemon = manager(pool(app, tmp_path, **{"request_terminate_timeout": "900ms"}))
    with Held(daemon, journal) as held:
        late = held.begin("late")
        began = now()
        wait_until(lambda: since(began) > 500, "half of the limit")
        good = held.begin("good", "text=fine")
        wait_until(lambda: not process.alive(late), "the end of the late worker")
        assert process.alive(good)
        assert held.end("good")[0].text == "fine"
    assert ended_by(daemon, "terminated") == 1
    assert good in daemon.wait_workers(2, without=[late])


def test_a_worker_in_its_grace_period_does_not_hide_another(manager, app, tmp_path, journal):
    """While a worker has its grace period, the next worker's limit is still timed."""
    daemon = manager(pool(app, tmp_path, **{"request_terminate_timeout": "400ms", "hard_timeout": "20s"}))
    with Held(daemon, journal) as held:
        first = held.begin("first", "block-signals")
        daemon.wait_log(rf"worker {first} .*is ended")
        began = now()
        second = held.begin("second")
        daemon.wait_log(rf"worker {second} .*is ended")
        assert since(began) < 10000, "it must not be found only when the first one has ended"
        assert process.alive(first)
        held.release()


def test_the_limit_goes_on_while_a_worker_is_replaced(manager, app, tmp_path, journal):
    """A worker that a reload asked to stop is ended once, also if other limits are reached."""
    daemon = manager(pool(app, tmp_path, **{"request_terminate_timeout": "500ms", "hard_timeout": "800ms"}))
    with Held(daemon, journal) as held:
        pid = held.begin("late", "block-signals")
        daemon.control("reload", "--all", check=True)
        daemon.wait_log(rf"worker {pid} .*is ended")
        began = now()

        def gone():
            daemon.control("reload", check=True)  # makes the manager check every pool
            return not process.alive(pid)

        wait_until(gone, "the end of the worker")
        assert since(began) < 8000
    assert daemon.log().count("is ended") == 1
    line = daemon.wait_log(rf"^.*worker {pid} .* is killed .*$")[0]
    assert "request_terminate_timeout" in line and "hard_timeout" in line, line
    wait_until(lambda: ended_by(daemon, "terminated") == 1, "the count")


def test_older_workers_are_timed_while_new_ones_cannot_start(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, **{"request_terminate_timeout": "300ms"}))
    text = daemon.ini_path.read_text()
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o755)
    daemon.write(text.replace(str(app("worker")), str(broken)))
    daemon.control("reload", check=True)
    daemon.wait_log(r"next start in 1\.6 s")
    with Held(daemon, journal) as held:
        pid = held.begin("late")
        daemon.wait_log(rf"worker {pid} .*is ended")
        assert "next start in 3.2 s" not in daemon.log(), "it must not be found only at the next start"
    daemon.write(text)
    daemon.control("reload", "--wait", check=True)


def test_work_that_begins_in_an_older_generation(manager, app, tmp_path, journal):
    """Its response was open when the new generation took over."""
    daemon = manager(pool(app, tmp_path, **{"post_response.terminate_timeout": "700ms"}))
    with Held(daemon, journal) as held:
        pid = held.begin("late", "wait=begin&text=x&finish")
        daemon.control("reload", "--all", check=True)
        daemon.wait_log("the workers of generation 2 serve")
        look(daemon)
        journal.signal("begin")
        journal.wait("wait", "late", count=2)
        began = now()
        line = daemon.wait_log(rf"^.*worker {pid} \(slot \d\) is ended .*$", limit=20)[0]
        assert "over `post_response.terminate_timeout` = 700 ms" in line, line
        assert since(began) < 10000
        held.release()
    daemon.wait_log("reload: done")


def test_a_request_that_begins_in_an_older_generation(manager, app, tmp_path, journal):
    """It waited in the listen queue of a socket that was removed."""
    daemon = manager(pool(app, tmp_path, **{"pm.max_children": 1, "request_terminate_timeout": "700ms",
                                            "listen": tmp_path / "old.sock"}))
    with Held(daemon, journal) as held:
        pid = held.begin("first")
        held.send("late")
        daemon.rewrite({"www": pool(app, tmp_path, **{"pm.max_children": 1, "request_terminate_timeout": "700ms",
                                                      "listen": tmp_path / "new.sock"})})
        daemon.control("reload", check=True)
        held.end("first")
        held.wait("late")
        line = daemon.wait_log(rf"^.*worker {pid} \(slot \d\) is ended .*$", limit=20)[0]
        assert "while running GET /?id=late" in line and "`request_terminate_timeout` = 700 ms" in line, line


@pytest.mark.parametrize("how", ["QUIT", "removed"])
@pytest.mark.parametrize("steps, limit", [
    ("", "request_terminate_timeout"), ("text=x&finish", "post_response.terminate_timeout"),
], ids=["request", "work"])
def test_limits_hold_while_a_pool_stops(manager, app, tmp_path, journal, how, steps, limit):
    """The limit passes after the stop has begun."""
    others = {"b": pool(app, tmp_path)}
    daemon = manager(pools={"www": pool(app, tmp_path, **{limit: "1s"}), **others})
    with Held(daemon, journal) as held:
        pid = held.begin("late", steps)
        if how == "QUIT":
            daemon.send_signal(signal.SIGQUIT)
            daemon.wait_log("SIGQUIT: stopping when")
        else:
            daemon.rewrite(others)
            daemon.control("reload", check=True)
        assert "is ended" not in daemon.log()
        line = daemon.wait_log(rf"^.*worker {pid} \(slot \d\) is ended .*$", limit=20)[0]
        assert f"over `{limit}` = 1.0 s; TERM now" in line, line
        wait_until(lambda: not process.alive(pid), "the end of the worker")
    if how == "QUIT":
        daemon.stop()
    else:
        daemon.wait_log("pool www: removed")


def test_nothing_to_time_nothing_to_wake_up_for(manager, app, tmp_path, journal):
    daemon = manager(pool(app, tmp_path, **{
        "request_terminate_timeout": "1h", "post_response.terminate_timeout": "1h"}))
    with Held(daemon, journal) as held:
        held.begin("a", "text=x")
        wait_until(lambda: wakeups_within(daemon.pid, 0.5) == 0, "rest")
        assert wakeups_within(daemon.pid, 1) == 0, "inside a request whose limit is far"
        held.end()
    wait_states(daemon, idle=2)
    wait_until(lambda: wakeups_within(daemon.pid, 0.5) == 0, "rest")
    assert wakeups_within(daemon.pid, 1) == 0
    assert totals(daemon)["died"] == 0
    stays(lambda: "is ended" not in daemon.log(), 0.1, "no line")
