"""Listening sockets: mode and owner, stale files, files of other programs, and removal at the end."""

import os
import pwd
import socket
import stat

import pytest

from harness import address
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, sleeper


def refused(directory, status, **pool):
    """Starts a manager that cannot listen and exits with `status`; returns its log."""
    daemon = Manager(directory, {"command": sleeper(directory), **pool})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == status
    text = daemon.log()
    line = 1 + daemon.ini_path.read_text().splitlines().index(f"listen = {daemon.address}")
    assert f"{daemon.ini_path}:{line}:" in text and "`listen" in text and "pool www" in text
    assert not os.path.exists(daemon.control_path)
    return text


def start_fails(directory, settings=None, status=78, **pool):
    """A start that fails; returns the log."""
    daemon = Manager(directory, {"command": sleeper(directory), **pool}, settings=settings)
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == status
    return daemon.log()


@pytest.mark.parametrize("mode", ["0600", "0660", "0666", "0"])
def test_mode(manager, tmp_path, mode):
    daemon = manager({"command": sleeper(tmp_path), "listen.mode": mode})
    status = os.stat(daemon.address.path)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == int(mode, 8)


def test_default_mode(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)})
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
    """Sockets left by a killed manager do not keep the next one from starting."""
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
            assert "another process listens there" in refused(tmp_path, 70)
            assert path.stat().st_ino == inode
        finally:
            for client in queued:
                client.close()
    path.unlink()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "www.sock"
    path.write_text("precious")
    assert "not a socket" in refused(tmp_path, 78)
    assert path.read_text() == "precious"


def test_a_missing_folder(tmp_path):
    path = tmp_path / "nowhere" / "sock"
    assert f"[www] listen = {path}: the folder {path.parent} does not exist" in start_fails(tmp_path, listen=path)


@pytest.mark.parametrize("strange", [False, True])
def test_the_control_sockets_folder_is_made(manager, tmp_path, strange):
    """It is made before any file in it, and removed at the end unless it is in use."""
    folder = tmp_path / "run"
    daemon = manager(
        {"command": sleeper(tmp_path), "listen": folder / "www.sock"},
        settings={"control.listen": folder / "ctl", "pid": folder / "pid"},
    )
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {entry.name for entry in folder.iterdir()} == {"www.sock", "ctl", "pid"}
    if strange:
        (folder / "strange").write_text("precious")
    daemon.stop()
    assert folder.exists() == strange
    assert not strange or [entry.name for entry in folder.iterdir()] == ["strange"]


def test_a_folder_that_was_there_stays(manager, tmp_path):
    (tmp_path / "run").mkdir()
    daemon = manager({"command": sleeper(tmp_path)}, settings={"control.listen": tmp_path / "run" / "ctl"})
    daemon.stop()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_start_that_fails_takes_its_folder_away(tmp_path):
    (tmp_path / "www.sock").write_text("precious")
    daemon = Manager(tmp_path, {"command": sleeper(tmp_path)}, settings={"control.listen": tmp_path / "run" / "ctl"})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == 78 and not (tmp_path / "run").exists()


def test_a_taken_control_socket(manager, tmp_path):
    first = manager({"command": sleeper(tmp_path)}, name="first")
    text = start_fails(tmp_path, settings={"control.listen": first.control_path}, status=70)
    assert f"`control.listen`: overtime, process {first.pid}, runs with this control socket" in text
    assert "another process" not in text
    assert first.control("ping").returncode == 0


@pytest.mark.parametrize("group", [None, "www-data"], ids=["no_group", "group"])
def test_too_few_descriptors_are_no_fault_of_the_socket(tmp_path, group):
    """The log names the directive to change, and the exit status is not that of a bad configuration."""
    pools = {f"p{number}": {"command": sleeper(tmp_path), "listen.group": group} for number in range(64)}
    daemon = Manager(tmp_path, pools=pools, settings={"rlimit_files": 64})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    alert = next(line for line in daemon.log().splitlines() if "ALERT" in line)
    assert "Too many open files; check `rlimit_files`" in alert and "`listen" not in alert
    assert daemon.popen.returncode == 70


def test_a_taken_port(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = refused(tmp_path, 70, listen=f"127.0.0.1:{port}")
    assert "Address already in use" in text and str(port) in text


def test_an_address_that_is_not_there_yet(tmp_path):
    """It may come with the network: systemd tries again after 70, and never after 78."""
    text = refused(tmp_path, 70, listen="192.0.2.1:9000")
    assert "Cannot assign requested address" in text and "`listen.freebind`" in text


def test_freebind(manager, tmp_path):
    """The socket listens before its address exists."""
    for number, host in enumerate(["192.0.2.1", "[2001:db8::1]"]):
        if number == 1 and not os.path.exists("/proc/net/if_inet6"):
            continue
        daemon = manager({"command": sleeper(tmp_path), "listen": f"{host}:{address.free_port()}",
                          "listen.freebind": "yes"}, name=f"m{number}")
        daemon.addresses.clear()


@pytest.mark.parametrize("directive", ["access.log", "slowlog"])
def test_a_log_that_cannot_be_opened(tmp_path, directive):
    """The directive's line, at the start and at a reload."""
    (tmp_path / "folder").mkdir()
    daemon = Manager(tmp_path, {"command": sleeper(tmp_path), directive: tmp_path / "folder"})
    line = 1 + daemon.ini_path.read_text().splitlines().index(f"{directive} = {tmp_path}/folder")
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == 78
    assert f"{daemon.ini_path}:{line}: [www] {directive} = {tmp_path}/folder: is a folder" in daemon.log()
    assert not os.path.exists(daemon.control_path)


def test_the_first_pools_socket_is_taken_away_again(tmp_path):
    """One pool that cannot listen ends the start, and no socket is left."""
    (tmp_path / "bad.sock").mkdir()
    daemon = Manager(tmp_path, pools={"good": {"command": sleeper(tmp_path)}, "bad": {"command": sleeper(tmp_path)}})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == 78 and "pool bad" in daemon.log()
    assert not (tmp_path / "good.sock").exists() and not os.path.exists(daemon.control_path)


def test_a_file_that_is_no_longer_ours_stays(manager, tmp_path):
    """The socket's file was replaced while the manager ran."""
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
            {"command": sleeper(tmp_path), "listen": f"127.0.0.1:{port}"},
            name=f"daemon{number}",
        )
        with daemon.address.connect():
            pass
        daemon.stop()
