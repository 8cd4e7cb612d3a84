"""Logs and the pid file in folders that others may write: no link of theirs leads root to another file."""

import os
import subprocess
import sys

import pytest

from harness import fastcgi
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, sleeper

pytestmark = pytest.mark.skipif(not is_root(), reason="only root opens what a user may not")
NOBODY = 65534
KINDS = ["error_log", "access.log", "slowlog", "pid"]
SENTENCE = "another user than root owns a symbolic link on the way to it"


@pytest.fixture
def victim(tmp_path):
    """A file of root's that must stay as it is, and a folder of root's in which nothing must appear."""
    place = tmp_path / "etc"
    place.mkdir()
    path = place / "shadow"
    path.write_text("secret\n")
    yield path
    assert path.read_text() == "secret\n" and os.listdir(place) == ["shadow"]


def link(at, target, owner=NOBODY):
    os.symlink(target, at)
    os.lchown(at, owner, owner)


def folder(tmp_path, name="user"):
    made = tmp_path / name
    made.mkdir()
    os.chown(made, NOBODY, NOBODY)
    return made


def configured(tmp_path, app, kind, path):
    pool = {"command": f"{app('worker')} {tmp_path}", "user": "nobody"}
    settings = {"error_log": tmp_path / "overtime.log"}
    if kind in ("error_log", "pid"):
        settings[kind] = path
    else:
        pool[kind] = path
    if kind == "slowlog":
        pool["request_slowlog_timeout"] = "50ms"
    return Manager(tmp_path, pool, settings=settings)


def start(daemon):
    daemon.start(wait=False)
    return daemon.popen.wait(timeout=60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["last", "on the way", "hard"])
def test_a_link_of_the_user_is_refused(tmp_path, app, victim, kind, how):
    user = folder(tmp_path)
    tmp_path.chmod(0o777)
    if how == "last":
        path = user / "file"
        link(path, victim)
    elif how == "on the way":
        path = user / "logs" / "new"
        link(user / "logs", victim.parent)
    else:
        path = user / "file"
        os.link(victim, path)
    daemon = configured(tmp_path, app, kind, path)
    if kind == "pid" and how != "on the way":
        # It is replaced, not written.
        daemon.start()
        daemon.stop()
        return
    assert start(daemon) != 0
    assert SENTENCE in daemon.log() or how == "hard"
    assert "can give that file names" in daemon.log()
    daemon.popen = None


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_of_root_is_followed(tmp_path, app, kind):
    """As /var/run, or a log folder on another disk; also one of several links."""
    real = folder(tmp_path)
    tmp_path.chmod(0o777)
    os.symlink(real, tmp_path / "first")
    os.symlink("first", tmp_path / "second")
    daemon = configured(tmp_path, app, kind, tmp_path / "second" / "file")
    if kind == "error_log":
        daemon.start(wait=False)
        wait_until(lambda: (real / "file").exists() and "ready" in (real / "file").read_text(), "readiness")
    else:
        daemon.start()
    wait_until(lambda: (real / "file").exists(), "the file")
    daemon.stop()


@pytest.mark.parametrize("kind", ["error_log", "access.log", "slowlog"])
def test_a_link_that_appears_later(tmp_path, app, victim, kind):
    """When the logs are opened anew: the log says so, and the old file goes on."""
    user = folder(tmp_path)
    tmp_path.chmod(0o777)
    path = user / "file"
    daemon = configured(tmp_path, app, kind, path)
    daemon.start(wait=False)

    def text():
        return daemon.log() + "".join(at.read_text() for at in (path, user / "old") if at.exists())

    wait_until(lambda: "ready" in text(), "readiness")
    path.rename(user / "old")
    link(path, victim)
    assert SENTENCE in daemon.control("reopen-logs").stderr + text()
    assert fastcgi.request(daemon.address, query="id=a&text=x&sleep=200").text == "x"
    path.unlink()
    daemon.stop()


def test_a_lock_of_a_user_keeps_no_manager_away(tmp_path, app):
    """Every user may open the pid file to read it, and lock it in every way that this allows."""
    pid = tmp_path / "pid"
    daemon = configured(tmp_path, app, "pid", pid).start()
    hold = (
        "import fcntl, os, struct, sys, time\n"
        f"os.setuid({NOBODY})\n"
        f"fd = os.open({str(pid)!r}, os.O_RDONLY)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX)\n"
        "lock = struct.pack('hhlli4x', fcntl.F_RDLCK, 0, 0, 0, 0)\n"
        "try:\n    fcntl.fcntl(fd, 37, lock)\nexcept BlockingIOError:\n    pass\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    tmp_path.chmod(0o777)
    second = configured(tmp_path, app, "pid", pid)
    second.ini_path = tmp_path / "second.ini"
    second.control_path, second.log_path, second.output_path = tmp_path / "b.ctl", tmp_path / "b.log", tmp_path / "b.out"
    second.rewrite({"b": {"command": sleeper(tmp_path), "user": "nobody"}}, {"pid": pid})
    second.addresses.pop("www")
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout.readline() == "held\n"
        assert start(second) != 0 and f"process {daemon.pid} holds {pid}" in second.log(), "the first still runs"
        second.popen = None
        daemon.kill()
        assert pid.exists(), "left behind, and locked by the user alone"
        for left in (daemon.control_path, daemon.address.path):
            os.unlink(left)
        second.output_path.unlink()
        second.start()
        assert pid.read_text() == f"{second.pid}\n"
        second.stop()
        user.stdin.close()
