"""A client that has connected and not sent yet: if all cores are busy, the worker yields to it at once."""

import pytest

from bench.contestants import Missing
from bench.measure import Tracer
from harness import fastcgi

CLIENTS = 20


def test_a_worker_yields_to_each_where_that_takes_long(manager, app, tmp_path):
    """As on a machine with busy cores; here the call itself is slow. A silent client does not hold the worker."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    (pid,) = daemon.workers()
    silent = []
    try:
        with Tracer(pid, tmp_path / "calls", "-e", "trace=sched_yield", "-e", "inject=sched_yield:delay_exit=1000") as seen:
            for _ in range(CLIENTS):
                silent.append(fastcgi.Connection(daemon.address))
                # One after the other: it is served after those that were accepted before.
                assert fastcgi.request(daemon.address, query="id=a&text=served").text == "served"
    except Missing as error:
        pytest.skip(str(error))
    finally:
        for connection in silent:
            connection.close()
    assert CLIENTS <= seen.calls["sched_yield"] <= 2 * CLIENTS, "once for each, however often it changes hands"
