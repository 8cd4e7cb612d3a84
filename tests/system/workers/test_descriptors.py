"""What pools and workers cost the manager in descriptors, and what it does when they run short."""

import os
import signal

from harness import fastcgi, process
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import sleeper

BASE = 24  # of a manager without pools, and for what it opens for a moment when it starts a worker
IDLE, USED, LOG, WORKER = 1, 2, 3, 4  # as overtime(8) says


def held(daemon):
    """Descriptors of the manager itself."""
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def ondemand(app, tmp_path, **more):
    return {"command": f"{app('worker')} {tmp_path}", "pm": "ondemand", "pm.process_idle_timeout": "100ms", **more}


def test_an_idle_pool_costs_its_socket(manager, app, tmp_path):
    """And one more once it had a worker."""
    few, many = 10, 110
    counts = {}
    for count in (few, many):
        pools = {f"p{number}": ondemand(app, tmp_path) for number in range(count)}
        if counts:
            daemon.stop()
        daemon = manager(pools=pools, name=f"m{count}")
        counts[count] = held(daemon)
    assert abs(counts[many] - counts[few] - (many - few) * IDLE) <= 5, counts

    before = held(daemon)
    for address in list(daemon.addresses.values())[:10]:
        assert fastcgi.request(address, query="id=a&text=x").text == "x"
    wait_until(lambda: not daemon.workers(), "no workers")
    wait_until(lambda: held(daemon) <= before + 10 * (USED - IDLE), lambda: f"{held(daemon)}, {before} before")


def test_an_idle_pool_with_all_logs(manager, app, tmp_path):
    counts = {}
    for count in (2, 12):
        pools = {f"p{number}": ondemand(app, tmp_path, **{"access.log": tmp_path / f"p{number}.access"})
                 for number in range(count)}
        daemon = manager(pools=pools, name=f"m{count}")
        for address in daemon.addresses.values():
            assert fastcgi.request(address, query="id=a&text=x").text == "x"
        wait_until(lambda: not daemon.workers(), "no workers")
        counts[count] = wait_until(lambda: (now := held(daemon)) <= count * (USED + LOG) + BASE and now, "few")
        daemon.stop()
    assert counts[12] - counts[2] <= 10 * (USED + LOG) <= 10 * 5, counts


def test_a_worker_costs_four(manager, app, tmp_path):
    counts = {}
    for workers in (1, 9):
        daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm": "static", "pm.max_children": workers},
                         name=f"m{workers}")
        daemon.wait_workers(workers)
        wait_until(lambda: daemon.control("workers").stdout.count("idle") == workers, "idle workers")
        counts[workers] = held(daemon)
        daemon.stop()
    assert abs(counts[9] - counts[1] - 8 * WORKER) <= 3, counts


def test_a_reload_of_idle_pools_needs_no_more(manager, app, tmp_path):
    """Also of pools that have had workers."""
    count, used = 200, 10
    pools = {f"p{number}": ondemand(app, tmp_path) for number in range(count)}
    limit = count * IDLE + used * (USED - IDLE) + BASE + 16
    daemon = manager(pools=pools, settings={"rlimit_files": limit})
    for address in list(daemon.addresses.values())[:used]:
        assert fastcgi.request(address, query="id=a&text=x").text == "x"
        wait_until(lambda: not daemon.workers(), "no workers")
    before = held(daemon)
    for _ in range(3):
        done = daemon.control("reload", "--all", "--wait")
        assert done.returncode == 0 and f"{count} replaced" in done.stdout, done
    assert held(daemon) <= before
    assert fastcgi.request(daemon.address, query="id=b&text=y").text == "y"


def test_some_are_kept(tmp_path):
    """With 40 descriptors the manager answers overtimectl, reaps workers and replaces them."""
    daemon = Manager(tmp_path, {"command": sleeper(tmp_path), "pm": "static", "pm.max_children": 30},
                     wrapper=["sh", "-c", 'ulimit -n 40; exec "$@"', "sh"])
    daemon.start(wait=False)
    try:
        sentence = (r"cannot start worker: the manager may open no more than 40 descriptors and keeps the last 16 .*"
                    r"`rlimit_files` in \[global\]")
        daemon.wait_log(sentence)
        workers = wait_until(daemon.workers, "workers")
        assert len(workers) >= 1
        for _ in range(20):
            assert daemon.control("status", "--json").returncode == 0
            assert daemon.control("ping").returncode == 0
        os.kill(workers[0], signal.SIGKILL)
        daemon.wait_log(f"worker {workers[0]} .*SIGKILL")
        assert not os.path.exists(f"/proc/{workers[0]}")
        assert daemon.control("reload").returncode == 0
        assert process.alive(daemon.pid)
        daemon.stop()
    finally:
        daemon.kill()
