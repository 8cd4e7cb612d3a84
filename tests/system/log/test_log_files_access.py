"""`log.group` and `log.mode`: who may read the files of error_log, access.log and slowlog."""

import grp
import os
import subprocess

import pytest

from harness import build
from harness.wait import wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to any group")
ADM = 4


def owners(*paths):
    return [(path.stat().st_gid, path.stat().st_mode & 0o7777) for path in paths]


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "overtime.log", tmp_path / "access.log", tmp_path / "slow.log"


def pool(app, tmp_path, logs):
    return {"command": f"{app('worker')} {tmp_path}", "access.log": logs[1], "slowlog": logs[2], "request_slowlog_timeout": "1m"}


def test_by_default_the_managers_group_reads(manager, app, tmp_path, logs):
    manager(pool(app, tmp_path, logs))
    assert owners(*logs) == [(os.getegid(), 0o640)] * 3


@as_root
def test_new_files_have_the_group_and_the_mode(manager, app, tmp_path, logs):
    """Whatever the umask; also files that are made when the logs are reopened."""
    old = os.umask(0o077)
    try:
        daemon = manager(pool(app, tmp_path, logs), settings={"log.group": grp.getgrgid(ADM).gr_name, "log.mode": "0644"})
    finally:
        os.umask(old)
    assert owners(*logs) == [(ADM, 0o644)] * 3
    for path in logs:
        path.rename(f"{path}.1")
    assert daemon.control("reopen-logs").returncode == 0
    wait_until(lambda: all(path.exists() for path in logs), "new files")
    assert owners(*logs) == [(ADM, 0o644)] * 3


@as_root
def test_files_that_exist_keep_what_is_not_set(manager, app, tmp_path, logs):
    for path in logs:
        path.touch()
        os.chown(path, 0, 3)
        path.chmod(0o604)
    daemon = manager(pool(app, tmp_path, logs))
    assert owners(*logs) == [(3, 0o604)] * 3
    daemon.rewrite({"www": pool(app, tmp_path, logs)}, settings={"log.group": str(ADM)})
    assert daemon.control("reload", "--wait").returncode == 0
    assert daemon.control("reopen-logs").returncode == 0
    wait_until(lambda: owners(*logs) == [(ADM, 0o604)] * 3, lambda: f"the group; found {owners(*logs)}")


@as_root
def test_a_reload_that_is_refused_changes_nothing(manager, app, tmp_path, logs):
    daemon = manager(pool(app, tmp_path, logs))
    bad = {**pool(app, tmp_path, logs), "slowlog": "/nowhere/slow"}
    daemon.rewrite({"www": bad}, settings={"log.group": str(ADM)})
    assert daemon.control("reload", "--wait").returncode == 1
    for path in logs:
        path.unlink()
    assert daemon.control("reopen-logs").returncode == 0
    wait_until(lambda: all(path.exists() for path in logs), "new files")
    assert owners(*logs) == [(os.getegid(), 0o640)] * 3


@pytest.mark.parametrize("line", ["log.group = nobody-has-this", "log.mode = 0755", "log.mode = rw"])
def test_the_check_finds(tmp_path, line):
    ini = tmp_path / "a.ini"
    user = "user = nobody\n" if os.geteuid() == 0 else ""
    ini.write_text(f"[global]\n{line}\n[www]\n{user}command = /bin/true\nlisten = /run/x.sock\npm.max_children = 1\n")
    done = subprocess.run([build.OVERTIME, "-t", "-c", ini], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78 and line.split(" ", maxsplit=1)[0] in done.stderr, done.stderr
