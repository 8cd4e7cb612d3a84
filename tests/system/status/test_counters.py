"""Counters after a load of known shape: each equals what the load did."""

import json
import os
import signal
import time

from harness import fastcgi, process
from harness.address import Address
from harness.totals import totals
from harness.wait import wait_until


def ask(address, query="json"):
    return json.loads(fastcgi.request(address, params=fastcgi.cgi_params(query, SCRIPT_NAME="/status")).text)


def settled(daemon, **expected):
    def reached():
        found = totals(daemon)
        return {key: found[key] for key in expected} == expected and found

    return wait_until(reached, lambda: f"{expected}; found {totals(daemon)}; the log:\n{daemon.log()}")


def test_every_counter_equals_what_the_load_did(manager, app, tmp_path, journal):
    beside = Address.make("unix", tmp_path, "beside")
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "pm.max_requests": 7,
        "post_response.max_children": 2, "pm.status_path": "/status", "pm.status_listen": beside,
        "pm.process_idle_timeout": "100ms",  # of the extra worker that post-response work needs
        "drop_dead_on_arrival": "yes", "shutdown_functions.time_limit": "200ms", "max_execution_time": "0",
    })
    plain, early, discarded = 11, 8, 5
    for number in range(plain):
        assert fastcgi.request(daemon.address, query=f"id=p{number}&text=x").text == "x"
    for number in range(early):
        fastcgi.request(daemon.address, query=f"id=e{number}&text=x&finish")
    for number in range(discarded):
        fastcgi.request(daemon.address, query=f"id=d{number}&text=x&finish&text=late")
    for number in range(3):
        fastcgi.request(daemon.address, query=f"id=s{number}&text=x&shutdown=one&shutdown=two")
    served = plain + early + discarded + 3
    dead = 2
    for number in range(dead):  # in post-response work when it is killed
        with fastcgi.Connection(daemon.address) as connection:
            connection.send_request(fastcgi.cgi_params(f"id=k{number}&text=x&finish&wait=never"))
            connection.read_response()
            pid = journal.wait("wait", f"k{number}").pid
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not process.alive(pid), "its end")
    total = served + dead
    finished = early + discarded + dead
    now = settled(daemon, requests=total, post_response_requests=finished, idle=2, workers=2)
    assert now["aborted"] == now["timed_out"] == now["dropped"] == 0
    assert now["discarded_bytes"] == discarded * len("late")
    assert (now["shutdown_run"], now["shutdown_late"], now["shutdown_lost"]) == (6, 0, 0)
    by = now["ended_by"]
    assert by["crash"] == dead and by["max_requests"] > 0
    assert {cause for cause, count in by.items() if count} <= {"crash", "max_requests", "retired"}
    assert now["ended"] == sum(by.values())
    assert now["spawned"] - now["ended"] == now["workers"] == 2
    measured = now["histograms"]
    assert {key: measured[key]["count"] for key in ("queue_wait", "answer", "post_response")} == {
        "queue_wait": total, "answer": total, "post_response": finished,
    }
    for name in ("queue_wait", "answer", "post_response"):
        assert sum(measured[name]["buckets"]) == measured[name]["count"]
        assert len(measured[name]["buckets"]) == len(measured["bounds_ms"]) + 1
    elsewhere = ask(beside)["overtime"]
    volatile = {"uptime_ms", "max_active"}
    assert {k: v for k, v in elsewhere.items() if k not in volatile} == {
        k: v for k, v in now.items() if k not in volatile
    }


def test_they_only_grow_while_workers_come_and_go(manager, app, tmp_path):
    """Read by another process while every second request ends a worker: nothing is lost or counted twice."""
    beside = Address.make("unix", tmp_path, "beside")
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "pm.max_requests": 2,
        "pm.status_path": "/status", "pm.status_listen": beside,
    })
    before, sent = 0, 0
    for number in range(60):
        fastcgi.request(daemon.address, query=f"id=n{number}&text=x")
        sent += 1
        for _ in range(3):
            found = ask(beside)["overtime"]
            assert before <= found["requests"] <= sent, (before, found["requests"], sent)
            assert found["spawned"] - found["ended"] == found["workers"], found
            before = found["requests"]
    assert wait_until(lambda: ask(beside)["overtime"]["requests"] == sent, "the last one counted")


def test_queue_wait_begins_where_the_web_server_says(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    fastcgi.request(daemon.address, params=fastcgi.cgi_params("id=a&text=x", OVERTIME_START=f"{time.time() - 7:.3f}"))
    waits = settled(daemon, requests=1)["histograms"]["queue_wait"]
    assert 6900 <= waits["sum_ms"] < 20000, waits
    for nonsense in ("", "soon", "9" * 40, "-1", f"{time.time() + 100:.3f}", "1"):
        fastcgi.request(daemon.address, params=fastcgi.cgi_params("id=b&text=x", OVERTIME_START=nonsense))
    assert totals(daemon)["histograms"]["queue_wait"]["sum_ms"] < 30000
