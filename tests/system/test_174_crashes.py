"""Pools that cannot start, workers that crash together, and connections that a dead worker was woken for."""

import os
import signal

import pytest

from fpm_script import script, sleeper
from harness import build, fastcgi, process
from harness.totals import totals
from harness.wait import stays, wait_until
from held import wait_states, wait_total


def serving(app, tmp_path, **more):
    return {"command": f"{app('worker')} {tmp_path}", **more}


def test_a_pool_that_cannot_start_stops_no_other(manager, app, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    daemon = manager(pools={
        "bad": {"command": broken, "pm.max_children": 2}, "good": serving(app, tmp_path),
    })
    daemon.wait_log("ERROR: pool bad: not all workers could be started; still trying")
    daemon.wait_log("WARNING: not ready: other pools serve meanwhile")
    assert fastcgi.request(daemon.addresses["good"], query="id=a&text=fine").text == "fine"
    sleeper(tmp_path).rename(broken)
    daemon.wait_workers(3)
    daemon.wait_log("NOTICE: ready: 2 pools, 3 workers")


def test_an_ondemand_pool_that_cannot_start(manager, app, tmp_path):
    """Its connections wait for the back-off, and are served when it can again."""
    program = script(tmp_path, f"test -e {tmp_path}/good || exit 1\nexec {app('worker')} {tmp_path}")
    daemon = manager({"command": program, "pm": "ondemand", "pm.max_children": 3})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=served"))
        daemon.wait_log("workers die young without having served a request; next start in 400 ms")
        (tmp_path / "good").touch()
        assert connection.read_response(wait_eof=True).text == "served"
    assert totals(daemon)["spawned"] <= 8, "one attempt for one connection at each step"


def test_many_crashes_in_a_short_time(manager, app, tmp_path):
    """Then all pools get new workers, once."""
    daemon = manager(pools={
        "bad": {"command": sleeper(tmp_path), "pm.max_children": 3, "rlimit_core": "0"},
        "good": serving(app, tmp_path),
    }, settings={"emergency_restart_threshold": 3, "emergency_restart_interval": "1m"})
    before = daemon.wait_workers(4)
    victims = [pid for pid in before if "sleep" in process.command_line(pid)]
    for victim in victims[:2]:
        os.kill(victim, signal.SIGSEGV)
        daemon.wait_log(rf"worker {victim} .*died of SIGSEGV")
    assert "emergency" not in daemon.log()
    os.kill(victims[2], signal.SIGBUS)
    daemon.wait_log("ALERT: 3 workers crashed within `emergency_restart_interval`: all pools get new workers")
    daemon.wait_workers(4, without=before)
    daemon.wait_log("reload: done")
    assert fastcgi.request(daemon.addresses["good"], query="id=a&text=fine").text == "fine"
    stays(lambda: daemon.log().count("ALERT") == 1, 0.2, "one restart")
    assert totals(daemon, "bad")["ended_by"]["crash"] == 3


def test_crashes_far_apart(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 1, "rlimit_core": "0"},
                     settings={"emergency_restart_threshold": 2, "emergency_restart_interval": "10ms"})
    before = []
    for _ in range(3):
        before += daemon.wait_workers(1, without=before)
        os.kill(before[-1], signal.SIGSEGV)
        daemon.wait_log(rf"worker {before[-1]} .*died of SIGSEGV")
    daemon.wait_workers(1, without=before)
    assert "ALERT" not in daemon.log()


@pytest.mark.parametrize("kind", ["static", "dynamic", "ondemand"])
def test_a_lost_wake_up(manager, app, listen, tmp_path, kind):
    """The worker that was woken for a connection dies; an idle one, that nobody would wake, has to take it."""
    daemon = manager(serving(app, tmp_path, **{
        "listen": listen, "pm": kind, "pm.max_children": 3, "pm.process_idle_timeout": "1h",
        "pm.start_servers": 3 if kind == "dynamic" else None,
        "pm.min_spare_servers": 1 if kind == "dynamic" else None,
        "pm.max_spare_servers": 3 if kind == "dynamic" else None,
    }))
    if kind == "ondemand":
        with fastcgi.Connection(listen) as one, fastcgi.Connection(listen) as two, fastcgi.Connection(listen) as three:
            for number, connection in enumerate((one, two, three)):
                connection.send_request(fastcgi.cgi_params(f"id=w{number}&wait=go"))
            daemon.wait_workers(3)
            (tmp_path / "go").touch()
            for connection in (one, two, three):
                connection.read_response(wait_eof=True)
    workers = daemon.wait_workers(3)
    wait_states(daemon, idle=3)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    for worker in workers:
        wait_until(lambda w=worker: process.state(w) == "T", "a stopped worker")
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=served"))
        os.kill(workers[0], signal.SIGKILL)
        daemon.wait_log(rf"worker {workers[0]} .*died of SIGKILL")
        os.kill(workers[1], signal.SIGCONT)
        assert connection.read_response(wait_eof=True).text == "served"
    for worker in workers[1:]:
        os.kill(worker, signal.SIGCONT)
    wait_total(daemon, died=1)


def test_statuses_and_signals_are_counted_by_cause(manager, app, tmp_path):
    daemon = manager(serving(app, tmp_path))
    seen = daemon.wait_workers(1)
    for number, steps in enumerate(("exit=0", "exit=3", "text=x")):
        connection = fastcgi.Connection(daemon.address)
        connection.send_request(fastcgi.cgi_params(f"id=r{number}&{steps}"))
        connection.read_response()
        connection.close()
        if steps == "text=x":
            os.kill(seen[-1], signal.SIGKILL if build.SANITIZED else signal.SIGILL)
        seen += daemon.wait_workers(1, without=seen)
    found = totals(daemon)
    assert (found["ended_by"]["exit"], found["ended_by"]["crash"], found["died"]) == (2, 1, 3)
