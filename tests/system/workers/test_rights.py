"""What a worker or helper is given of the manager's rights: none of its capabilities, and no terminal."""

import os
import pathlib
import pty
import sys

import pytest

from harness import build, fastcgi, process
from harness.wait import wait_until
from harness.worker_script import is_root, script, status_field, wait_file

needs_root = pytest.mark.skipif(not is_root(), reason="only root can give capabilities away")
SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")
GIVEN = "+sys_ptrace,+setpcap,+net_bind_service"
TELL = "cat /proc/self/status >seen.new; mv seen.new seen; exec sleep 100000"


def sets(text):
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if line.startswith("Cap"))
    return {name: int(fields[name], 16) for name in (*SETS, "CapBnd")}


def manager_of_nobody(manager, tmp_path, **pool):
    """A manager of another user than root, with capabilities in its ambient set."""
    tmp_path.chmod(0o777)
    wrapper = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={GIVEN}", f"--ambient-caps={GIVEN}"]
    return manager(
        {"user": None, "listen.group": None, "chdir": tmp_path, "command": script(tmp_path, TELL), **pool},
        settings={"rlimit_core": 1}, wrapper=wrapper,
    )


@needs_root
@pytest.mark.parametrize("pool", [{}, {"no_new_privs": "no"}, {"oom_score_adj": 100}], ids=["default", "new_privs", "forked"])
def test_a_worker_has_none_of_the_managers_capabilities(manager, tmp_path, pool):
    daemon = manager_of_nobody(manager, tmp_path, **pool)
    seen = sets(wait_file(tmp_path / "seen"))
    assert sets(pathlib.Path(f"/proc/{daemon.pid}/status").read_text())["CapAmb"] != 0, "the manager has them"
    assert {name: seen[name] for name in SETS} == dict.fromkeys(SETS, 0)
    assert (seen["CapBnd"] == 0) == ("no_new_privs" not in pool), "a set-uid program may give some only where the pool says so"


@needs_root
def test_a_worker_of_a_root_manager_has_no_capability(manager, tmp_path):
    """Also where the manager's inheritable set is not empty, as in some containers."""
    tmp_path.chmod(0o777)
    manager({"user": "nobody", "chdir": tmp_path, "command": script(tmp_path, TELL)},
            wrapper=["/usr/bin/setpriv", f"--inh-caps={GIVEN}"])
    assert sets(wait_file(tmp_path / "seen")) == dict.fromkeys((*SETS, "CapBnd"), 0)


@needs_root
def test_a_program_of_slowlog_command_has_none_either(manager, app, tmp_path):
    """It runs as the pool's user, in a clean environment."""
    tell = script(tmp_path, f"env >{tmp_path}/env; cat /proc/self/status >{tmp_path}/trace.new; mv {tmp_path}/trace.new {tmp_path}/trace", "tell")
    tmp_path.chmod(0o777)
    daemon = manager(
        {"command": f"{app('worker')} {tmp_path}", "user": "nobody", "slowlog": tmp_path / "slow",
         "request_slowlog_timeout": "50ms", "slowlog.command": tell},
        env={"SECRET_OF_THE_MANAGER": "1"}, wrapper=["/usr/bin/setpriv", f"--inh-caps={GIVEN}"],
    )
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&sleep=400"))
        text = wait_file(tmp_path / "trace")
        connection.read_response()
    assert sets(text) == dict.fromkeys((*SETS, "CapBnd"), 0)
    assert "Uid:\t65534\t65534\t65534\t65534\n" in text and "Groups:\t65534" in text
    names = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "USER", "HOME"} or build.SANITIZED


def test_no_worker_or_helper_reaches_the_terminal(manager, app, tmp_path):
    """The manager in the foreground of a terminal: a worker can open neither its /dev/tty nor that of others."""
    master, slave = pty.openpty()
    take = script(tmp_path, "import os, sys\nos.setsid()\nos.open(sys.argv[1], os.O_RDWR)\nos.execv(sys.argv[2], sys.argv[2:])", "take", sys.executable)
    body = "if (: </dev/tty) 2>/dev/null; then echo yes; else echo no; fi >tty.new; mv tty.new tty; exec sleep 100000"
    daemon = manager(
        pools={"a": {"command": script(tmp_path, body), "chdir": tmp_path},
               "b": {"command": f"{app('worker')} {tmp_path}", "access.log": tmp_path / "access",
                     "pm.status_listen": tmp_path / "s.sock", "pm.status_path": "/status"}},
        wrapper=[str(take), os.ttyname(slave)],
    )
    try:
        assert wait_file(tmp_path / "tty") == "no\n"
        assert int(process.stat_fields(daemon.pid)[4]) != 0, "the manager itself has the terminal"
        wait_until(lambda: daemon.writer() and daemon.status_workers(), "the helpers")
        for child in process.children(daemon.pid):
            fields = process.stat_fields(child)
            assert (int(fields[3]), int(fields[4])) == (child, 0), f"{process.name(child)}: session and terminal"
    finally:
        os.close(slave)
        os.close(master)


@needs_root
def test_the_access_writer_holds_nothing(manager, app, tmp_path):
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "access.log": tmp_path / "access"})
    wait_until(lambda: daemon.writer() is not None, "the writer")

    def rights():
        text = pathlib.Path(f"/proc/{daemon.writer()}/status").read_text()
        return sets(text), "NoNewPrivs:\t1\n" in text

    wait_until(lambda: rights() == (dict.fromkeys((*SETS, "CapBnd"), 0), True), lambda: f"no rights: {rights()}")
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    wait_until(lambda: (tmp_path / "access").read_text().count("\n") == 1, "the line")
