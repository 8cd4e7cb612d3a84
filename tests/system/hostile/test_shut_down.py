"""A worker shuts down what all workers of its pool share: nobody spins, and the damage ends."""

import os
import re

import pytest

from harness import fastcgi, process
from harness.bystander import Bystander
from harness.wait import now, wait_until

WORKERS = 3
ALL = WORKERS + 1  # one more while one is in post-response work
HANDOFF = "pass on kept connections: this worker goes on without them"


@pytest.fixture
def daemon(listen, manager, app, tmp_path):
    """The pool that attacks listens on a unix socket or a TCP port."""
    daemon = manager(pools={
        "evil": {"command": str(app("evil")), "listen": listen, "pm": "static", "pm.max_children": WORKERS},
        "good": {"command": f"{app('worker')} {tmp_path}"},
    })
    daemon.addresses["evil"] = listen
    return daemon


def evil(daemon, attack="", limit=None):
    """The pid of the worker that answered, or None."""
    try:
        response = fastcgi.request(daemon.addresses["evil"], query=attack, limit=limit)
    except OSError:
        return None
    served = re.fullmatch(r"served by (\d+)", response.text)
    return int(served[1]) if served else None


def seconds_used(daemon):
    """Processor time of the manager and of all its workers that live."""
    pids = [daemon.pid, *daemon.workers()]
    return sum(process.cpu_ticks(pid) for pid in pids if process.alive(pid)) / os.sysconf("SC_CLK_TCK")


def nobody_spins(daemon, bystander):
    """For two seconds of their processor time a spinning manager or worker would take most."""
    used, size, begin = seconds_used(daemon), len(daemon.log()), now()
    wait_until(lambda: now() - begin > 2, "two seconds")
    bystander.see()
    used, size = seconds_used(daemon) - used, len(daemon.log()) - size
    print(f"{used:.2f} s in {now() - begin:.2f} s, {size} bytes of log")
    assert used < 0.5 * (now() - begin)
    assert size < 10_000


@pytest.mark.parametrize("attack", ["listen", "listen-half"])
def test_the_listening_socket(daemon, attack):
    with Bystander(daemon, daemon.addresses["good"]) as bystander:
        for round_ in range(1, 3):
            assert evil(daemon, attack, limit=60) is not None
            daemon.wait_log("a worker has shut down the listening socket: it ", round_)
            wait_until(lambda: evil(daemon, limit=5) is not None, "an answer")
        nobody_spins(daemon, bystander)
    log = daemon.log()
    mended = "it listens again" if not daemon.addresses["evil"].is_unix else "it was made anew, with new workers"
    assert log.count(mended) == 2
    assert log.count("this one accepts no more") <= 2 * ALL


def test_the_sockets_between_workers(daemon):
    """Workers that go on without them are replaced by a reload, and these have others."""
    with Bystander(daemon, daemon.addresses["good"]) as bystander:
        for round_ in range(1, 3):
            before = daemon.log().count(HANDOFF)
            assert evil(daemon, "handoff") is not None
            wait_until(lambda: daemon.log().count(HANDOFF) > before, "that it is said")
            nobody_spins(daemon, bystander)
            assert daemon.log().count(HANDOFF) <= round_ * ALL, "each worker says so once"
            daemon.control("reload", "--all", check=True)
            daemon.wait_log("reload: done", round_)
            assert evil(daemon, limit=5) is not None
