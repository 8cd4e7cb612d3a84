"""Programs behind a shell or another wrapper, and programs that fork: a worker has ended when all its processes have."""

import contextlib
import json
import re
import signal

import pytest

from harness import fastcgi, process
from harness.access import AccessLog
from harness.address import Address
from harness.wait import wait_until
from harness.worker_script import script

PERL_PARENT = "if (my $pid = fork) { waitpid $pid, 0; exit $? >> 8 } exec @ARGV"
PERL_FORKS = "for (1 .. 3) { fork or exec @ARGV } 1 while wait > 0"

# Each returns the words of `command` for a program and its argument.
WRAPPERS = {
    "script": lambda d, app: script(d, f"{app}\nexit $?", "wrapper"),
    "shell": lambda d, app: f"/bin/sh -c '{app}; true'",
    "trap": lambda d, app: script(
        d, f"trap 'kill -TERM $pid' TERM\nexec 9<&0\n{app} <&9 9<&- &\npid=$!\nexec 9<&-\n"
        "while kill -0 $pid 2>/dev/null; do wait $pid; done", "wrapper", "/bin/bash"),
    "env": lambda d, app: f"/usr/bin/env A=1 {app}",
    "nice": lambda d, app: f"/bin/sh -c 'nice -n 1 {app}; true'",
    "timeout": lambda d, app: f"/bin/sh -c 'timeout 1000 {app}; true'",
    "session": lambda d, app: f"/bin/sh -c 'setsid -w {app}; true'",
    "perl": lambda d, app: f"/usr/bin/perl -e '{PERL_PARENT}' {app}",
    "forks": lambda d, app: f"/usr/bin/perl -e '{PERL_FORKS}' {app}",
}
KINDS = {"library": "worker", "plain": "worker_plain"}


def below(pid):
    """All descendants of a process that live."""
    found = []
    for child in process.children(pid):
        found += [child] if process.alive(child) else []
        found += below(child)
    return found


def application(daemon, app):
    """The pids of the processes that run `app`."""
    return {pid for pid in below(daemon.pid) if process.command_line(pid).startswith(str(app))}


def all_gone(pids):
    wait_until(
        lambda: not any(map(process.alive, pids)),
        lambda: f"the end of {[(pid, process.command_line(pid)) for pid in pids if process.alive(pid)]}",
    )


def serve(daemon, stack, query):
    """Sends a request and keeps its connection."""
    connection = stack.enter_context(fastcgi.Connection(daemon.address))
    connection.send_request(fastcgi.cgi_params(query))
    return connection


def reload_loses_nothing(daemon, app, journal):
    """Old processes end their request and are gone when the reload says so."""
    with contextlib.ExitStack() as stack:
        running = serve(daemon, stack, "id=a&wait=go&text=whole")
        pid = journal.wait("wait", "a").pid
        old = application(daemon, app)
        assert pid in old
        daemon.control("reload", "--all", check=True)
        wait_until(lambda: application(daemon, app) - old, "the new processes")
        assert process.alive(pid)
        journal.signal("go")
        assert running.read_response(wait_eof=True).text == "whole"
    daemon.control("reload", "--all", "--wait", check=True)
    assert not [pid for pid in old if process.alive(pid)]
    assert fastcgi.request(daemon.address, query="id=b&text=new").text == "new"
    assert not re.search("(is|are) killed", daemon.log()) and "unknown state" not in daemon.log()


def limit_ends_all(daemon, app, journal, access, ident, steps, count):
    """One limit ends the request, all processes of its worker, and is one line of the access log. Of the
    processes that an application forks, one has the slot."""
    old = application(daemon, app)
    with contextlib.ExitStack() as stack:
        connections = [serve(daemon, stack, f"id={ident}&{steps}wait=never") for _ in range(count)]
        journal.wait("wait", ident, count)
        all_gone(old)
        for connection in connections:
            assert not steps or connection.read_response().text == "early"
            connection.read_eof()
    wait_until(lambda: application(daemon, app) - old, "the next processes")
    assert access.one(ident)["outcome"] == "killed"


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("library", KINDS)
def test_a_worker_is_gone_when_its_application_is_gone(manager, app, tmp_path, journal, library, name, kind):
    program, access = app(KINDS[library]), AccessLog(tmp_path / "access")
    attached = library == "library"
    pool = {
        "command": WRAPPERS[name](tmp_path, f"{program} {tmp_path}"),
        "listen": Address.make(kind, tmp_path),
        **(access.directives if attached else {}),
    }
    daemon = manager(pool)
    wait_until(lambda: application(daemon, program), "the application")
    reload_loses_nothing(daemon, program, journal)
    if attached:
        count = 3 if name == "forks" else 1
        for number, (directive, steps) in enumerate({
            "request_terminate_timeout": "", "post_response.terminate_timeout": "text=early&finish&",
        }.items()):
            daemon.rewrite({"www": {**pool, directive: "200ms", "hard_timeout": "200ms"}})
            daemon.control("reload", "--wait", check=True)
            limit_ends_all(daemon, program, journal, access, f"limit{number}", steps, count)
    left = below(daemon.pid)
    daemon.stop(signal.SIGQUIT if kind == "tcp" else signal.SIGTERM)
    assert not [pid for pid in left if process.alive(pid)]
    lines = [json.loads(line)["query"] for line in access.lines()]
    assert len(lines) == len(set(lines)), lines
