"""Many pools and workers: an idle manager sleeps, and a death costs the same for any number of them."""

import os
import signal
import statistics
import time

import pytest

from harness import build, fastcgi, load, process
from harness.shown import LONG, best_of, bound, pick, show
from harness.totals import totals
from harness.wait import now, wait_until

pytestmark = pytest.mark.alone


def wake_ups(pid):
    """How often a process ran after it had slept."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("voluntary")).split()[1])


def cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e6


def watch(daemon, seconds):
    """(wake-ups, processor ms) of an idle manager."""
    for _ in range(3):
        # The start, or the last event, may have left something to do.
        before = wake_ups(daemon.pid)
        time.sleep(0.5)
        if wake_ups(daemon.pid) == before:
            break
    before, used = wake_ups(daemon.pid), cpu_ms(daemon.pid)
    time.sleep(seconds)
    return wake_ups(daemon.pid) - before, cpu_ms(daemon.pid) - used


@pytest.mark.parametrize("pm", ["static", "dynamic", "ondemand"])
def test_an_idle_manager_sleeps(manager, app, pm):
    """All workers are idle, and if the pool's kind allows it, more than the pool wants to keep."""
    workers, seconds = pick(10 if build.SANITIZED else 60, 200), pick(2, 60)
    directives = {"pm": pm, "pm.max_children": workers, "pm.process_idle_timeout": "10m"}
    if pm == "dynamic":
        directives.update({"pm.start_servers": 2, "pm.min_spare_servers": 1, "pm.max_spare_servers": 3})
    daemon = manager({"command": app("load_worker"), **directives})
    if pm != "static":
        assert load.run(daemon.address, burst=workers, query="sleep=2000", text="hello").ok == workers
    daemon.wait_workers(workers)
    wait_until(lambda: totals(daemon)["idle"] == workers, "idle workers")
    woken, used = watch(daemon, seconds)
    show(f"idle {pm}", f"{woken} wake-ups and {used:.1f} ms CPU in {seconds} s with {len(daemon.workers())} workers")
    assert len(daemon.workers()) == workers
    if pm == "static":
        assert woken == 0
    else:
        assert woken <= seconds + 1


@pytest.mark.parametrize("case", ["superfluous", "memory", "short"])
def test_many_idle_pools_wake_it_once(manager, app, case):
    """However many pools have something to do later, they do it at the same moments."""
    count, seconds = pick(20, 50), pick(4, 30)
    directives = {
        "superfluous": {"pm": "ondemand", "pm.process_idle_timeout": "10m"},
        "memory": {"pm.max_memory": "1G"},
        "short": {"pm": "ondemand", "pm.process_idle_timeout": "15s"},
    }[case]
    daemon = manager(pools={
        f"p{number}": {"command": app("load_worker"), **directives} for number in range(count)})
    for address in daemon.addresses.values():
        assert fastcgi.request(address).text == "hello"
        time.sleep(0.01)  # so that their waits begin at different moments
    daemon.wait_workers(count)
    if case == "short":
        seconds = 4  # a retired worker causes activity: only the time before it counts as idle
    woken, used = watch(daemon, seconds)
    show(f"idle pools, {case}", f"{woken} wake-ups and {used:.1f} ms CPU in {seconds} s with {count} pools")
    assert woken <= pick(2 * seconds, seconds) + 2
    assert len(daemon.workers()) == count


def deaths(daemon, address, count):
    """Kills a worker `count` times; returns (median ms to the next answer, manager's ms CPU a death)."""
    times = []
    used = cpu_ms(daemon.pid)
    for _ in range(count):
        pid = int(fastcgi.request(address, query="pid").text)
        # A busy worker might accept the next connection before the signal arrives.
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
        (alone, alone_cpu), (among, among_cpu) = result
        return among < pick(4, 2) * alone and among_cpu < pick(2, 1.3) * alone_cpu

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


def replaced(daemon, workers, count):
    """Kills an idle worker `count` times and waits for its replacement; the manager's ms CPU a death."""
    before = cpu_ms(daemon.pid)
    for _ in range(count):
        pids = set(daemon.workers())
        pid = int(fastcgi.request(daemon.address, query="pid").text)
        wait_until(lambda pid=pid: process.state(pid) == "S", "an idle worker")
        os.kill(pid, signal.SIGKILL)

        def fresh(pids=pids):
            new = set(daemon.workers()) - pids
            return len(new) == 1 and process.state(*new) == "S"

        wait_until(fresh, "the replacement")
    wait_until(lambda: totals(daemon)["idle"] == workers, "idle workers")
    return (cpu_ms(daemon.pid) - before) / count


def test_a_death_costs_the_same_in_a_large_pool(manager, app, tmp_path):
    """Only the dead worker and its replacement are checked. Compared with a pool of a tenth of the size, since
    the test itself needs more processor time and caches with many processes."""
    workers = 30 if build.SANITIZED else pick(200, 1000)
    few = workers // 10
    small = manager({"command": app("load_worker"), "pm.max_children": few}, name="small")
    small.wait_workers(few)
    large = manager({
        "command": app("load_worker"), "pm.max_children": workers, "listen": tmp_path / "large.sock",
    }, name="large")
    large.wait_workers(workers)

    def attempt():
        return replaced(small, few, pick(7, 31)), replaced(large, workers, pick(7, 31))

    def good(result):
        return result[1] < pick(2, 1.5) * result[0]

    result = best_of(3, attempt, good)
    show("a large pool",
         f"manager's CPU a death {result[1]:.2f} ms with {workers} workers, {result[0]:.2f} ms with {few}")
    assert good(result), result
