"""The measurements: load, processor time, memory, system calls, instructions."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

from harness import load
from harness.wait import wait_until

from .contestants import APPS, PROGRAMS, Missing, program

WRK_LINE = re.compile(r"^wrk (\{.*\})$", re.MULTILINE)
CORES = sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def on_core(core):
    """Processes started inside run only on that core; None = on any core."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pids, core):
    for pid in pids:
        os.sched_setaffinity(pid, {core})


def cpu_ns(pids):
    """Processor time that these processes have used so far."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def wake_ups(pid):
    """How often a process has slept so far."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.MULTILINE)[1])


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s*(\d+)", file.read(), re.MULTILINE)[1])


def script(directory):
    """The parameter that PHP needs; all contestants get it."""
    return f"SCRIPT_FILENAME={directory}/hello.php"


def direct(service, core=None, **options):
    """Load straight to a contestant: a row of rate, p50, p99, max (ms), CPU (us a request), failed."""
    pids = service.workers()
    before = cpu_ns(pids)
    options.setdefault("timeout", 10_000)
    if "length" not in options and "kinds" not in options:
        options["text"] = "hello"
    with on_core(core):
        report = load.run(service.address, param=script(service.address.path.rpartition("/")[0]), **options)
    return {"rate": report.rate, "p50": report.p50, "p99": report.p99, "max": report.max,
            "cpu": (cpu_ns(pids) - before) / 1000 / max(1, report.count), "failed": report.failed}


def behind(port, name, clients, seconds, pids=(), body=0, size=5):
    """Load through a web server, by wrk with HTTP connections kept: the same row.

    wrk checks only the status; the sum of the bytes shows that no response was short. If nothing was
    answered, the latencies are the round's length: they are longer than that.
    """
    before = cpu_ns(pids)
    done = subprocess.run(
        [program("wrk"), "-t", "1", "-c", str(clients), "-d", f"{max(1, round(seconds))}s", "-s", str(APPS / "wrk.lua"),
         f"http://127.0.0.1:{port}/{name}", "--", str(body)],
        capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    told = json.loads(WRK_LINE.search(done.stdout)[1])
    count = told["requests"]
    if count == 0:
        told["p50"] = told["p99"] = told["max"] = told["seconds"] * 1000
    short = count and told["bytes"] / count < size
    return {"rate": count / told["seconds"], "p50": told["p50"], "p99": told["p99"], "max": told["max"],
            "cpu": (cpu_ns(pids) - before) / 1000 / max(1, count), "failed": told["failed"] + (count if short else 0)}


def starts(count, name, socket=None):
    """Milliseconds from fork to the end of a program, or to a worker's first answer."""
    words = [str(PROGRAMS / "startup"), str(count), str(PROGRAMS / name), *([str(socket)] if socket else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return [float(line) / 1000 for line in done.stdout.split()]


def first_request(service, **options):
    """One request on a connection of its own: its latency in ms."""
    row = direct(service, clients=1, count=1, **options)
    assert row["failed"] == 0, f"{service.address}: {row}"
    return row["max"]


SYSTEM_CALL = re.compile(r"^(\w+)\((?:.*= -1 (EAGAIN))?", re.MULTILINE)


class Tracer:
    """strace on a process, as a context; afterwards `calls` is {name: number}.

    Calls without a result are counted as "NAME in vain". More words for strace select calls, or delay them.
    """

    def __init__(self, pid, path, *words):
        self.pid, self.path, self.words, self.calls = pid, path, words, {}
        if not shutil.which("strace"):
            raise Missing("strace is not installed (packaging/install-deps bench)")

    def __enter__(self):
        self.popen = subprocess.Popen(["strace", *self.words, "-o", str(self.path), "-p", str(self.pid)],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(self._attached, f"strace to attach to {self.pid}")
        except AssertionError:
            self.popen.kill()
            self.popen.communicate()
            raise
        return self

    def _attached(self):
        if self.popen.poll() is not None:
            raise Missing(f"strace cannot attach: {self.popen.stderr.read().strip()}")
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return f"TracerPid:\t{self.popen.pid}" in file.read()

    def __exit__(self, *_):
        for _ in range(6):  # strace loses the signal if it comes while it attaches to a new thread
            self.popen.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.communicate(timeout=5)
                break
        else:
            self.popen.kill()
            self.popen.communicate()
            raise AssertionError(f"strace did not end: {self.words}")
        for name, in_vain in SYSTEM_CALL.findall(self.path.read_text(errors="replace")):
            name += " in vain" if in_vain else ""
            self.calls[name] = self.calls.get(name, 0) + 1


def system_calls(service, path, count, **options):
    """{name: calls a request} of a contestant with one worker."""
    (pid,) = service.workers()
    direct(service, **{**options, "clients": 1, "count": 1})
    with Tracer(pid, path) as tracer:
        row = direct(service, count=count, **options)
    assert row["failed"] == 0, row
    return {name: calls / count for name, calls in sorted(tracer.calls.items())}


def counting(directory, name):
    """A worker's command under callgrind, as words; it writes into DIRECTORY/NAME.out."""
    if not shutil.which("valgrind"):
        raise Missing("valgrind is not installed (packaging/install-deps bench)")
    return [shutil.which("valgrind"), "--tool=callgrind", f"--callgrind-out-file={directory}/{name}.out",
            f"--log-file={directory}/{name}.valgrind"]


def instructions(path):
    """The number of instructions that callgrind counted."""
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.MULTILINE)
    assert found, f"no sum in {path}"
    return int(found[1])

