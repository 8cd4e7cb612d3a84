"""Reloads that clients do not notice."""

import os
import re
import signal
import time

import pytest

from harness import build, load, process
from harness.address import Address
from harness.load import Kind
from harness.shown import LONG, bound, pick, show
from harness.totals import totals
from harness.wait import now, stays, wait_until

pytestmark = pytest.mark.alone

HANDLER = 50  # ms
READING = 100  # ms that a slow reader takes on its own: 300,000 bytes, 15,000 each 5 ms


def version(pid):
    """The value of VERSION in a worker's environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = re.search(rb"(?:^|\0)VERSION=(\w*)", file.read())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return found[1].decode() if found else None


def set_version(daemon, value):
    """Writes a configuration that differs from the previous one in the workers' environment."""
    text = re.sub(r"env\[VERSION\] = \w+", f"env[VERSION] = {value}", daemon.ini_path.read_text())
    replacement = daemon.ini_path.with_suffix(".new")
    replacement.write_text(text)
    os.replace(replacement, daemon.ini_path)


def wait_version(daemon, value, count):
    """Waits until all workers are of that configuration, and their number is right."""
    def settled():
        found = [version(pid) for pid in daemon.workers()]
        return found == [value] * count

    wait_until(settled, lambda: f"{count} workers of version {value}, found "
               f"{[version(pid) for pid in daemon.workers()]}; the log:\n{daemon.log()[-4000:]}")


def serving_pool(app, listen, workers, **more):
    return {
        "command": app("load_worker"), "listen": listen, "pm.max_children": workers, "env[VERSION]": "v0", **more,
    }


def test_reload_under_load(manager, app, tmp_path):
    """Every two seconds all workers of all pools are replaced while 500 requests a second come in,
    over both kinds of socket, kept or not, from fast and slow clients."""
    reloads = pick(2, 29)
    # Sanitized workers take long to start.
    workers, rate = (6, 100) if build.SANITIZED else (16, 500)
    addresses = {
        f"{kind}-{keep}": Address.make(kind, tmp_path, f"{kind}-{keep}")
        for kind in ("unix", "tcp") for keep in ("closed", "kept")
    }
    daemon = manager(pools={name: serving_pool(app, address, workers) for name, address in addresses.items()})
    query = f"sleep={HANDLER}"
    kinds = []
    for name, address in addresses.items():
        keep = name.endswith("kept")
        kinds += [
            Kind(f"fast-{name}", to=address, keep=keep, weight=85, query=query, text="hello"),
            Kind(f"sender-{name}", to=address, keep=keep, weight=10, query=query, text="hello", slow_send="100,5"),
        ]
        if not keep:
            kinds.append(Kind(f"reader-{name}", to=address, weight=5, query=query + "&write=300000", length=300000,
                              pattern=True, slow_read="5,15000"))
    with load.Run(kinds=kinds, rate=rate, poisson=True, seconds=10 * (reloads + 1)) as run:
        for number in range(1, reloads + 1):
            set_version(daemon, f"v{number}")
            answer = daemon.control("reload")
            assert answer.returncode == 0, answer.stderr
            wait_version(daemon, f"v{number}", 4 * workers)
            wait_until(lambda: now() >= run.began + 2 * (number + 1), "the next reload's time")
        assert run.running, "the reloads outlasted the load"
        run.stop()
        report = run.result()
    own = {"fast": 0, "sender": 0, "reader": READING}
    slowest = {
        keep: max(count.max - own[name.split("-")[0]] for name, count in report.kinds.items() if name.endswith(keep))
        - HANDLER for keep in ("closed", "kept")
    }
    show("reload under load", f"{report.failed} of {report.count} failed in {reloads} reloads, slowest answer handler "
         f"+ {slowest['closed']:.0f} ms on new connections, + {slowest['kept']:.0f} ms on kept ones; "
         f"{report.raw['reconnects']} requests met the end of a kept connection; own lag {report.lag:.0f} ms")
    print(report)
    assert report.failed == 0, report
    # If the generator had to wait for a processor, the workers had to wait as well.
    assert max(slowest.values()) < bound(100) + 2 * report.lag, report
    assert not re.search(r"died of|SIGKILL", daemon.log())


def test_no_pool_waits_for_anothers_work(manager, app, tmp_path):
    work = 5 if build.SANITIZED else pick(2, 10)  # longer than all workers take to start
    done = tmp_path / "done"
    daemon = manager(pools={
        name: serving_pool(app, Address.make("unix", tmp_path, name), 4) for name in ("working", "other")
    })
    worker = set(daemon.workers())
    assert load.run(daemon.addresses["working"], burst=1, query=f"finish&sleep={work * 1000}&touch={done}", length=0).ok
    began = now()
    with load.Run(rate=100, seconds=work + 1, text="hello", kinds=[
        Kind("working", to=daemon.addresses["working"]), Kind("other", to=daemon.addresses["other"]),
    ]) as run:
        set_version(daemon, "v1")
        assert daemon.control("reload").returncode == 0
        wait_until(lambda: sum(version(pid) == "v1" for pid in daemon.workers()) == 8, "8 new workers")
        renewed = (now() - began) * 1000
        wait_until(lambda: len(worker & set(daemon.workers())) == 1, "one old worker, the busy one")
        assert not done.exists() or now() - began > work
        wait_until(done.exists, "the end of the work")
        report = run.result()
    assert now() - began >= work
    wait_version(daemon, "v1", 8)
    show("work during a reload", f"all pools renewed after {renewed:.0f} ms, slowest answer {report.max:.1f} ms, "
         f"the {work} s of work done")
    assert report.failed == 0, report
    assert report.max < bound(100, 500), report


def test_a_typo_changes_nothing(manager, app, tmp_path):
    daemon = manager(serving_pool(app, Address.make("unix", tmp_path), 4))
    before = set(daemon.workers())
    good = daemon.ini_path.read_text()
    line = good.splitlines().index("pm.max_children = 4") + 1
    with load.Run(daemon.address, rate=200, seconds=pick(1, 5), text="hello") as run:
        daemon.write(good.replace("pm.max_children = 4", "pm.max_childern = 5"))
        answer = daemon.control("reload", "--wait")
        assert answer.returncode == 1, answer
        told = f"{daemon.ini_path}:{line}"
        assert "pm.max_childern" in answer.stderr + daemon.log() and told in answer.stderr + daemon.log(), answer
        daemon.send_signal(signal.SIGUSR2)
        wait_until(lambda: daemon.log().count("pm.max_childern") >= 2, "the second report")
        stays(lambda: set(daemon.workers()) == before, 0.3, "the same workers")
        report = run.result()
    assert report.failed == 0, report
    daemon.write(good)
    assert daemon.control("reload", "--wait").returncode == 0
    show("a typo", f"reload refused with file and line, the same {len(before)} workers, {report.failed} of "
         f"{report.count} requests failed")


def test_twenty_five_reloads_in_a_row(manager, app, tmp_path):
    """Signals, then requests by the control socket: in the end the last configuration runs."""
    daemon = manager(serving_pool(app, Address.make("unix", tmp_path), 6))
    pids = set()
    with load.Run(daemon.address, rate=200, seconds=pick(4, 6), text="hello") as run:
        began = now()
        for number in range(1, 26):
            set_version(daemon, f"s{number}")
            daemon.send_signal(signal.SIGUSR2)
            if number % 8 == 0:  # checks take time, and the reloads must follow quickly
                pids |= set(daemon.workers())
            while now() < began + number * 0.020:
                time.sleep(0.001)
        spread = (now() - began) * 1000
        wait_version(daemon, "s25", 6)
        for number in range(1, 26):
            set_version(daemon, f"c{number}")
            assert daemon.control("reload").returncode == 0
            pids |= set(daemon.workers())
        wait_version(daemon, "c25", 6)
        stays(lambda: [version(pid) for pid in daemon.workers()] == ["c25"] * 6, 0.3, "six workers of the last file")
        report = run.result()
    found = totals(daemon)
    show("25 reloads", f"25 within {spread:.0f} ms: ends on the last file with {len(daemon.workers())} of 6 workers, "
         f"{report.failed} of {report.count} requests failed")
    assert report.failed == 0, report
    truth = {"workers": 6, "idle": 6, "retiring": 0, "died": 0}
    assert {name: found[name] for name in truth} == truth, found
    assert all(not process.alive(pid) for pid in pids - set(daemon.workers()))
    assert spread < 600 or not LONG
