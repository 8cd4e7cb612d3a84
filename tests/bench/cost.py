"""Cases that count instead of timing: system calls and instructions of a request. Repeatable."""

import contextlib
import os
import re
import signal

from harness import build, fastcgi
from harness.spawner import Spawner

from . import measure
from .contestants import PROGRAMS, Address, Floor, Overtime
from .serve import start

# A worker that is faster than its clients waits sometimes; this wait and its related calls do not belong to
# the request.
WAITS = {"poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2", "select", "restart_syscall", "epoll_ctl",
         "rt_sigpending", "sched_yield"}


def sorted_out(calls):
    """Calls per request, by purpose."""
    waits = sum(number for name, number in calls.items() if name in WAITS or name.endswith(" in vain"))
    return {"calls": sum(calls.values()) - waits, "waits": waits}


def system_calls(bench, sheet):
    """Calls a request makes under load, on new connections and on a kept one."""
    services = start(bench, ("floor", "libfcgi", "linked", "preloaded", "php", "uwsgi"), 1)
    kept = bench.start(lambda directory, workers: Floor(directory, workers, kept=True), 1, "kept")
    for name, service in services.items():
        log = bench.directory / f"{name}.strace"
        calls = measure.system_calls(service, log, 1000, clients=4)
        told = sorted_out(calls)
        row = {"calls": told["calls"], "waits": told["waits"]}
        if name != "uwsgi":  # always closes
            on_kept = measure.system_calls(kept if name == "floor" else service, log, 1000, clients=1, keep=True)
            told = sorted_out(on_kept)
            row.update({"kept": told["calls"], "kept waits": told["waits"]})
        sheet.add(name, row)
        sheet.note(f"{name}: " + " ".join(f"{call} {number:.3g}" for call, number in calls.items() if number >= 0.01))
        bench.progress()


FEW, MANY = 100, 500  # all fit into the listen queue
PARAMS = fastcgi.cgi_params(
    CONTENT_TYPE="", SCRIPT_FILENAME="/srv/application/index", DOCUMENT_URI="/", DOCUMENT_ROOT="/srv/application",
    REQUEST_SCHEME="http", SERVER_SOFTWARE="cost", REMOTE_PORT="40000", SERVER_ADDR="127.0.0.1", SERVER_PORT="80",
    REDIRECT_STATUS="200", HTTP_HOST="localhost", HTTP_USER_AGENT="cost",
)


def loader(program):
    """The program's dynamic loader."""
    return re.search(rb"/lib[\w/.-]*ld-[\w.-]*", program.read_bytes())[0].decode()


def queued(service, count):
    """So many requests that have all arrived before the worker reads the first: it waits for none of them."""
    (pid,) = service.workers()
    with contextlib.ExitStack() as stack:
        os.kill(pid, signal.SIGSTOP)
        stack.callback(os.kill, pid, signal.SIGCONT)
        connections = [stack.enter_context(fastcgi.Connection(service.address)) for _ in range(count)]
        for connection in connections:
            connection.send_request(PARAMS)
        os.kill(pid, signal.SIGCONT)
        for connection in connections:
            assert connection.read_response().text == "hello"
            connection.close()  # which libfcgi waits for


def counted(directory, name, count, keep):
    """User-space instructions of a worker from its start to its end, with so many requests."""
    label = f"{name}-{count}"
    words = measure.counting(directory, label)
    if name == "libfcgi":
        service = Spawner(directory, [*words, PROGRAMS / "hello-plain"], Address.make("unix", directory, label))
        service.expected = (0, -15)
    elif name == "floor":
        service = Spawner(directory, [*words, PROGRAMS / "floor", *(["kept"] if keep else [])],
                          Address.make("unix", directory, label))
        service.expected = (0, -15)
    else:
        program = PROGRAMS / ("hello-linked" if name == "linked" else "hello-plain")
        # The library must not be preloaded into valgrind itself, so the loader is called explicitly.
        words += [loader(program), "--preload", build.preload(), program] if name == "preloaded" else [program]
        service = Overtime(directory, 1, command=" ".join(map(str, words)))
        service.start()
    try:
        if keep:
            row = measure.direct(service, clients=1, count=count, keep=True)
            assert row["failed"] == 0, row
        else:
            queued(service, count)
    finally:
        service.stop()
    return measure.instructions(directory / f"{label}.out")


def a_request(directory, name, keep=False):
    """User-space instructions of one more request."""
    few, many = (counted(directory, name, count, keep) for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def instructions(bench, sheet):
    """The instructions of a request in user space."""
    for name in ("floor", "libfcgi", "linked", "preloaded"):
        sheet.add(name, {"closed": a_request(bench.directory, name), "kept": a_request(bench.directory, name, True)})
        bench.progress()


