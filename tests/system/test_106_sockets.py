"""Listening sockets: mode and owner, stale files, files that are somebody else's, and the end."""

import os
import pwd
import socket
import stat

import pytest

from fpm_script import is_root, sleeper
from harness import address
from harness.manager import Manager
from harness.wait import wait_until


def refused(directory, **pool):
    """Starts a manager that cannot listen; returns what it said."""
    daemon = Manager(directory, {"command": sleeper(directory), **pool})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == 78
    text = daemon.log()
    assert f"{daemon.ini_path}:" in text and "`listen" in text and "pool www" in text
    assert not os.path.exists(daemon.control_path)
    return text


@pytest.mark.parametrize("mode", ["0600", "0660", "0666", "0"])
def test_mode(manager, tmp_path, mode):
    daemon = manager({"command": sleeper(tmp_path), "listen.mode": mode})
    status = os.stat(daemon.address.path)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == int(mode, 8)


def test_default_mode(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path), "listen.mode": None})
    assert stat.S_IMODE(os.stat(daemon.address.path).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(daemon.control_path).st_mode) == 0o600


@pytest.mark.skipif(not is_root(), reason="only root can give files away")
def test_owner(manager, tmp_path):
    daemon = manager(
        {"command": sleeper(tmp_path), "user": "nobody", "listen.owner": "www-data", "listen.group": "0"},
        settings={"control.mode": "0660", "control.owner": "nobody"},
    )
    status = os.stat(daemon.address.path)
    assert (status.st_uid, status.st_gid) == (pwd.getpwnam("www-data").pw_uid, 0)
    control = os.stat(daemon.control_path)
    assert control.st_uid == pwd.getpwnam("nobody").pw_uid and stat.S_IMODE(control.st_mode) == 0o660


def test_stale_sockets_are_removed(manager, tmp_path):
    """What a killed manager left behind does not keep the next one from starting."""
    for name in ("www.sock", "overtime.ctl"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / name))
            left.listen()
    daemon = manager({"command": sleeper(tmp_path)})
    assert daemon.control("ping").returncode == 0
    address.as_address(daemon.address).connect().close()


@pytest.mark.parametrize("backlog", [0, 5])
def test_a_living_socket_is_left_alone(tmp_path, backlog):
    """Also one whose queue is full."""
    path = tmp_path / "www.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(backlog)
        queued = []
        try:
            for _ in range(1 if backlog == 0 else 0):
                queued.append(socket.socket(socket.AF_UNIX))
                queued[-1].connect(str(path))
            inode = path.stat().st_ino
            assert "another process listens there" in refused(tmp_path)
            assert path.stat().st_ino == inode
        finally:
            for client in queued:
                client.close()
    path.unlink()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "www.sock"
    path.write_text("precious")
    assert "not a socket" in refused(tmp_path)
    assert path.read_text() == "precious"


def test_a_missing_folder(tmp_path):
    assert "No such file or directory" in refused(tmp_path, listen=tmp_path / "nowhere" / "sock")


def test_a_taken_port(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = refused(tmp_path, listen=f"127.0.0.1:{port}", **{"listen.mode": None})
    assert "Address already in use" in text and str(port) in text


def test_the_first_pools_socket_is_taken_away_again(tmp_path):
    """One pool that cannot listen ends the start, with nothing left behind."""
    (tmp_path / "bad.sock").mkdir()
    daemon = Manager(tmp_path, pools={"good": {"command": sleeper(tmp_path)}, "bad": {"command": sleeper(tmp_path)}})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == 78 and "pool bad" in daemon.log()
    assert not (tmp_path / "good.sock").exists() and not os.path.exists(daemon.control_path)


def test_a_file_that_is_no_longer_ours_stays(manager, tmp_path):
    """Somebody replaced the socket's file while the manager ran."""
    daemon = manager({"command": sleeper(tmp_path)})
    path = tmp_path / "www.sock"
    path.unlink()
    path.write_text("precious")
    daemon.addresses.clear()
    daemon.stop()
    assert path.read_text() == "precious"


def test_a_port_can_be_taken_again_at_once(manager, tmp_path):
    port = address.free_port()
    for number in range(2):
        daemon = manager(
            {"command": sleeper(tmp_path), "listen": f"127.0.0.1:{port}", "listen.mode": None},
            name=f"daemon{number}",
        )
        with daemon.address.connect():
            pass
        daemon.stop()
