"""Many pools and workers: an idle manager sleeps, and a death costs the same whatever their number."""

import os
import signal
import statistics
import time

import pytest

from harness import build, fastcgi, process
from harness.shown import LONG, best_of, bound, pick, show
from harness.wait import now, wait_until


def wake_ups(pid):
    """How often a process was put on a processor after it had slept."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("voluntary")).split()[1])


def cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e6


def watch(daemon, seconds):
    """(wake-ups, processor ms) of the manager while nobody asks it anything."""
    for _ in range(3):
        # The start, or what came last, may have left something to do.
        before = wake_ups(daemon.pid)
        time.sleep(0.5)
        if wake_ups(daemon.pid) == before:
            break
    before, used = wake_ups(daemon.pid), cpu_ms(daemon.pid)
    time.sleep(seconds)
    return wake_ups(daemon.pid) - before, cpu_ms(daemon.pid) - used


@pytest.mark.parametrize("pm", ["static", "dynamic", "ondemand"])
def test_an_idle_manager_sleeps(manager, app, pm):
    workers, seconds = pick(20 if build.SANITIZED else 60, 200), pick(2, 60)
    directives = {"pm": pm, "pm.max_children": workers}
    if pm == "dynamic":
        directives.update({
            "pm.start_servers": workers, "pm.min_spare_servers": 1, "pm.max_spare_servers": workers,
        })
    daemon = manager({"command": app("load_worker"), **directives})
    if pm != "ondemand":
        daemon.wait_workers(workers)
    woken, used = watch(daemon, seconds)
    show(f"idle {pm}", f"{woken} wake-ups and {used:.1f} ms CPU in {seconds} s with {len(daemon.workers())} workers")
    if pm == "static":
        assert woken == 0
    else:
        assert woken <= seconds + 1


def deaths(daemon, address, count):
    """Kills a worker `count` times; returns (median ms to the next answer, manager's ms CPU a death)."""
    times = []
    used = cpu_ms(daemon.pid)
    for _ in range(count):
        pid = int(fastcgi.request(address, query="pid").text)
        # One that still runs might accept the next connection before the signal is there.
        wait_until(lambda: process.state(pid) == "S", "an idle worker")
        began = now()
        os.kill(pid, signal.SIGKILL)
        assert fastcgi.request(address).text == "hello"
        times.append((now() - began) * 1000)
    return statistics.median(times), (cpu_ms(daemon.pid) - used) / count


def test_a_death_costs_the_same_among_many(manager, app, tmp_path):
    """A pool of one worker alone, and the same pool among very many others."""
    pools, each = (20, 3) if build.SANITIZED else pick((50, 6), (200, 10))
    lone = {"command": app("load_worker")}
    crowd = {f"p{number}": {**lone, "pm.max_children": each} for number in range(pools - 1)}
    few = manager(pools={"lone": lone}, name="few")
    began = now()
    many = manager(pools={"lone": {**lone, "listen": tmp_path / "lone2.sock"}, **crowd}, name="many")
    workers = 1 + (pools - 1) * each
    wait_until(lambda: len(many.workers()) == workers, lambda: f"{workers} workers; the log:\n{many.log()[-3000:]}", 120)
    started = now() - began

    def attempt():
        rounds = pick(7, 31)
        return deaths(few, few.address, rounds), deaths(many, many.addresses["lone"], rounds)

    def good(result):
        (alone, _), (among, _) = result
        return among < pick(4, 2) * alone

    result = best_of(3, attempt, good)
    (alone, alone_cpu), (among, among_cpu) = result
    woken, used = watch(many, pick(2, 20))
    show("scale", f"{pools} pools, {workers} workers started in {started:.1f} s; death to answer {among:.2f} ms among "
         f"them, {alone:.2f} ms alone; manager's CPU a death {among_cpu:.2f} and {alone_cpu:.2f} ms; then {woken} "
         f"wake-ups in {pick(2, 20)} s")
    assert good(result), result
    assert woken == 0
    if LONG:
        assert among < bound(10), result
