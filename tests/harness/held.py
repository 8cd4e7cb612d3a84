"""Requests that are held open, and checks of a pool's state meanwhile."""

import contextlib
import os
import re
import signal

from harness import fastcgi, process, scoreboard
from harness.totals import totals
from harness.wait import now, wait_until


class Held(contextlib.ExitStack):
    """Requests of the application `worker`, each on its own connection, that run until released."""

    def __init__(self, daemon, journal):
        super().__init__()
        self.daemon, self.journal = daemon, journal
        self.connections = {}

    def send(self, ident, steps="", address=None):
        """Sends a request that waits for the file `go-IDENT` after `steps`; does not wait for it."""
        connection = self.enter_context(fastcgi.Connection(address or self.daemon.address))
        connection.send_request(fastcgi.cgi_params(f"id={ident}&{steps}&wait=go-{ident}"))
        self.connections[ident] = connection
        return connection

    def begin(self, ident, steps="", address=None):
        """The same, and waits until a worker has it; returns the worker's pid."""
        self.send(ident, steps, address)
        return self.wait(ident)

    def wait(self, ident):
        return self.journal.wait("wait", ident).pid

    def release(self, *idents):
        for ident in idents or list(self.connections):
            self.journal.signal(f"go-{ident}")

    def end(self, *idents):
        """Lets them end; returns their responses, each complete."""
        self.release(*idents)
        found = []
        for ident in idents or list(self.connections):
            response = self.connections.pop(ident).read_response(wait_eof=True)
            assert response.complete and not response.reset, (ident, response)
            found.append(response)
        return found


@contextlib.contextmanager
def stopped(pid):
    """Stops the process meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: process.state(pid) == "T", "a stopped process")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def look(daemon):
    """Makes the manager check all its pools, and waits until it has done so."""
    daemon.control("reload", check=True)
    daemon.control("ping", check=True)


def wait_states(daemon, pool="www", **counts):
    """Waits until the pool's workers are in these states: idle=2, running=1."""
    def reached():
        states = [record.state for record in scoreboard.records(daemon, pool)]
        return all(states.count(state) == count for state, count in counts.items())

    wait_until(reached, lambda: f"{counts} in {scoreboard.records(daemon, pool)}")


def wait_none(daemon):
    """Waits until no worker is left."""
    wait_until(lambda: not daemon.workers(), lambda: f"no workers; the log:\n{daemon.log()}")


def wait_total(daemon, pool="www", **expected):
    """Waits until these numbers of the pool's status are as expected."""
    def reached():
        found = totals(daemon, pool)
        return all(found[name] == value for name, value in expected.items())

    wait_until(reached, lambda: f"{expected} in {totals(daemon, pool)}\n{daemon.log()}")


def ended_by(daemon, cause, pool="www"):
    return totals(daemon, pool)["ended_by"][cause]


def steps_of(daemon, verb, pool="www"):
    """How many workers were started or retired at each step, with the reason, as the debug log has it."""
    found = re.findall(rf"pool {pool}: (\d+) workers? (?:is|are) {verb}: (.*)", daemon.log())
    return [(int(count), reason) for count, reason in found]


def wakeups(pid):
    """How often the process has slept so far, but for pages that it waited for: the kernel may take those of a process
    that sleeps."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        slept = int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.MULTILINE)[1])
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return slept - int(file.read().rpartition(")")[2].split()[9])


def wakeups_within(pid, seconds):
    before, end = wakeups(pid), now() + seconds
    wait_until(lambda: now() >= end, "the time", seconds + 60)
    return wakeups(pid) - before
