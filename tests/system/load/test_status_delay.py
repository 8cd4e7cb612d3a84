"""The status of a pool is answered at once, also if every worker is stuck."""

import contextlib
import json
import time

import pytest

from harness import fastcgi
from harness.address import Address
from harness.shown import best_of, bound, show
from harness.totals import totals
from harness.wait import wait_until

pytestmark = pytest.mark.alone

WORKERS, WAITING, LOOKS = 8, 20, 100


def slowest(look):
    """The slowest of a hundred calls in a row, in milliseconds."""
    most = 0
    for _ in range(LOOKS):
        began = time.monotonic()
        look()
        most = max(most, time.monotonic() - began)
    return most * 1000


def test_a_saturated_pool(manager, app, tmp_path, journal):
    """Every worker is stuck for as long as this takes, and connections wait."""
    beside = Address.make("unix", tmp_path, "beside")
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": WORKERS, "max_execution_time": "0",
        "pm.status_path": "/status", "pm.status_listen": beside,
    })
    with contextlib.ExitStack() as held:
        for number in range(WORKERS + WAITING):
            # One by one, since a worker that is awake accepts all connections that wait.
            wait_until(lambda: totals(daemon)["serving"] == min(number, WORKERS), "the one before served")
            connection = held.enter_context(fastcgi.Connection(daemon.address))
            connection.send_request(fastcgi.cgi_params(f"id=s{number}&text=x&wait=go"))
            held.callback(connection.read_response)
        held.callback(journal.signal, "go")

        def page():
            answer = fastcgi.request(beside, params=fastcgi.cgi_params("json&full", SCRIPT_NAME="/status"))
            found = json.loads(answer.text)["overtime"]
            assert (found["serving"], found["idle"], found["listen_queue"]) == (WORKERS, 0, WAITING), found

        def command():
            found = totals(daemon)
            assert (found["serving"], found["idle"], found["listen_queue"]) == (WORKERS, 0, WAITING), found

        def attempt():
            return slowest(page), slowest(command)

        def good(times):
            return max(times) < bound(20, 500)

        times = best_of(5, attempt, good)
        show("status of a saturated pool",
             f"slowest of {LOOKS}: pm.status_listen {times[0]:.1f} ms, overtimectl {times[1]:.1f} ms")
        assert good(times), times
