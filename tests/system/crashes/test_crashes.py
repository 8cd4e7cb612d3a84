"""Pools that cannot start, many crashes at once, and connections for which a worker was woken that died."""

import os
import re
import signal

import pytest

from bench.contestants import Missing
from bench.measure import Tracer
from harness import build, fastcgi, process
from harness.held import wait_states, wait_total
from harness.totals import totals
from harness.wait import stays, wait_until
from harness.worker_script import script, sleeper


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
    """Its connections wait for the back-off, and are served when it can start."""
    program = script(tmp_path, f"test -e {tmp_path}/good || exit 1\nexec {app('worker')} {tmp_path}")
    daemon = manager({"command": program, "pm": "ondemand", "pm.max_children": 3})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=served"))
        daemon.wait_log("workers end soon after their start, before they have served a request: .*; next start in 400 ms")
        (tmp_path / "good").touch()
        assert connection.read_response(wait_eof=True).text == "served"
    assert totals(daemon)["spawned"] <= 8, "one attempt for one connection at each step"


def test_a_back_off_that_ends_within_a_turn(manager, app, tmp_path):
    """A check that began before the end of the back-off and still ran at its end must be repeated."""
    program = script(tmp_path, f"test -e {tmp_path}/good || exit 1\nexec {app('worker')} {tmp_path}")
    daemon = manager(pools={"bad": {"command": program}, "good": serving(app, tmp_path)})
    look = "sendto,recvfrom,recvmsg"  # the listen queue, which takes most of the time of a check
    try:
        with Tracer(daemon.popen.pid, tmp_path / "calls", "-e", f"trace={look}", "-e", f"inject={look}:delay_exit=30000"):
            daemon.wait_log("workers end soon after their start, before they have served a request: .*; next start in 1.6 s")
    except Missing as error:
        pytest.skip(str(error))
    (tmp_path / "good").touch()
    assert fastcgi.request(daemon.addresses["bad"], query="id=a&text=served").text == "served"


def test_many_crashes_in_a_short_time(manager, app, tmp_path):
    """Then all pools get new workers, once."""
    daemon = manager(pools={
        "bad": {"command": sleeper(tmp_path), "pm.max_children": 3, "rlimit_core": "0"},
        "good": serving(app, tmp_path),
    }, settings={"emergency_restart_threshold": 3, "emergency_restart_interval": "1m"})
    before = daemon.wait_workers(4)

    def sleepers():
        return [pid for pid in before if "sleep" in process.command_line(pid)]

    wait_until(lambda: len(sleepers()) == 3, "three of them to be past their start")
    victims = sleepers()
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


@pytest.mark.parametrize("edit", ["spoiled", "pending"])
def test_many_crashes_do_not_read_the_file(manager, app, tmp_path, edit):
    """The file may have changed meanwhile: an error in it must not prevent new workers."""
    daemon = manager(pools={
        "bad": {"command": sleeper(tmp_path), "rlimit_core": "0"}, "good": serving(app, tmp_path),
    }, settings={"emergency_restart_threshold": 2, "emergency_restart_interval": "1m"})
    before = daemon.wait_workers(2)
    text = daemon.ini_path.read_text()
    if edit == "spoiled":
        daemon.write(text + "pm.max_childen = 5\n")
    else:
        daemon.write(text.replace("pm.max_children = 1", "pm.max_children = 3"))
    victims = []
    for _ in range(2):
        victims += [wait_until(lambda: [pid for pid in daemon.workers() if pid not in victims
                                        and "sleep" in process.command_line(pid)], "a victim")[0]]
        os.kill(victims[-1], signal.SIGSEGV)
        daemon.wait_log(rf"worker {victims[-1]} .*died of SIGSEGV")
    daemon.wait_log("ALERT: 2 workers crashed")
    daemon.wait_workers(2, without=before + victims)
    daemon.wait_log("reload: done, 2 workers")
    assert "ERROR" not in daemon.log()
    assert fastcgi.request(daemon.addresses["good"], query="id=a&text=fine").text == "fine"


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
    """The worker that was woken for a connection dies; another idle worker must be woken to take it."""
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


THIEF = """
import os, pathlib, select, signal, sys, time
first = pathlib.Path(sys.argv[2], "first")
if not os.environ["OVERTIME_CONTRACT"].endswith(" 0"):
    while not first.exists():
        time.sleep(0.02)
    os.execv(sys.argv[1], sys.argv[1:])
if first.exists():
    signal.pause()
queue = select.epoll()
queue.register(0, select.EPOLLIN | select.EPOLLEXCLUSIVE)
first.touch()
queue.poll()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_wake_up_that_died_with_its_worker(manager, app, listen, tmp_path):
    """The first of two waiting workers is woken alone and dies. Only the manager can wake the other one, and
    no new worker takes the connection."""
    thief = script(tmp_path, THIEF, "thief", shell="/usr/bin/python3")
    daemon = manager({"command": f"{thief} {app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2})
    wait_states(daemon, idle=1)
    (other,) = [pid for pid in daemon.wait_workers(2) if "thief" not in process.command_line(pid)]
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=served"))
        response = connection.read_response(wait_eof=True)
        assert (response.text, response.headers["X-Worker"]) == ("served", str(other))
    daemon.wait_log(r"\(slot 0\) died of SIGKILL")


def test_a_wake_up_that_died_in_an_older_generation(manager, app, listen, tmp_path):
    """The new workers cannot start and the old ones go on serving: one of those must be woken."""
    thief = script(tmp_path, THIEF, "thief", shell="/usr/bin/python3")
    daemon = manager({"command": f"{thief} {app('worker')} {tmp_path}", "listen": listen, "pm.max_children": 2})
    wait_states(daemon, idle=1)
    (other,) = [pid for pid in daemon.wait_workers(2) if "thief" not in process.command_line(pid)]
    good = daemon.ini_path.read_text()
    broken = script(tmp_path, "", "broken", shell="/nonexistent/interpreter")
    daemon.write(re.sub("^command = .*$", f"command = {broken}", good, flags=re.MULTILINE))
    assert daemon.control("reload", "--wait").returncode == 1
    with fastcgi.Connection(listen) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=served"))
        response = connection.read_response(wait_eof=True)
        assert (response.text, response.headers["X-Worker"]) == ("served", str(other))
    daemon.wait_log(r"\(slot 0\) died of SIGKILL")
    daemon.write(good)
    daemon.control("reload", "--wait", check=True)


def test_statuses_and_signals_are_counted_by_cause(manager, app, tmp_path):
    daemon = manager(serving(app, tmp_path, **{"pm.status_path": "/status"}))
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
    assert found["exit_statuses"] == {"0": 1, "3": 1}
    fatal = "SIGKILL" if build.SANITIZED else "SIGILL"
    assert found["exit_signals"] == {fatal: 1}
    shown = daemon.control("status", "www", check=True).stdout
    assert re.search(r"^exit_statuses 3 +1 +exited with this status$", shown, re.MULTILINE), shown
    for query, pieces in {
        "": ("exited with 0:", "exited with 3:", f"died of {fatal}:"),
        "json": ('"exit_statuses": {"0": 1, "3": 1}', f'"exit_signals": {{"{fatal}": 1}}'),
        "xml": ('<status name="3">1</status>', f'<signal name="{fatal}">1</signal>'),
        "openmetrics": ('overtime_exit_statuses_total{pool="www",status="3"} 1',
                        f'overtime_exit_signals_total{{pool="www",signal="{fatal}"}} 1'),
    }.items():
        page = fastcgi.request(daemon.address, params=fastcgi.cgi_params(query, SCRIPT_NAME="/status")).text
        for piece in pieces:
            assert piece in page, page
