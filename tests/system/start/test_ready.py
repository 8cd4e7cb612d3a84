"""The ready line is logged once, and only when sockets listen and workers run."""

import os
import re
import socket
import subprocess

import pytest

from harness import address, build, fastcgi
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper, wait_file


def test_ready_line(manager, tmp_path):
    command = sleeper(tmp_path)
    daemon = manager(pools={
        "one": {"command": command, "pm.max_children": 3},
        "two": {"command": command, "pm.max_children": 2},
    })
    line = daemon.wait_log(r"^.*NOTICE: ready: .*$")[0]
    assert "2 pools, 5 workers, version" in line
    assert len(daemon.workers()) == 5
    assert daemon.log().count("ready:") == 1


def test_not_ready_while_a_pool_cannot_start(manager, tmp_path):
    """The other pool serves meanwhile, and the ready line follows when the first pool can start."""
    late = script(tmp_path, "exec sleep 100000", "late", shell=tmp_path / "interpreter")
    daemon = manager(
        pools={"bad": {"command": late, "pm.max_children": 2}, "good": {"command": sleeper(tmp_path)}}
    )
    line = daemon.wait_log(r"^.*pool bad: cannot start worker: .*$")[0]
    assert "exec" in line and str(late) in line and "No such file" in line and "`command`" in line
    daemon.wait_log("not ready: other pools serve")
    assert "ready: 2 pools" not in daemon.log()
    assert len(daemon.workers()) == 1
    os.symlink("/bin/sh", tmp_path / "interpreter")
    daemon.wait_log("ready: 2 pools, 3 workers")
    daemon.wait_workers(3)


def test_no_pool_can_start(tmp_path):
    broken = script(tmp_path, "", "broken", shell=tmp_path / "nowhere")
    daemon = Manager(tmp_path, {"command": broken, "pm.max_children": 2})
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode == 70
    assert "no pool could start a worker" in daemon.log() and "ready:" not in daemon.log()
    assert not os.path.exists(daemon.address.path) and not os.path.exists(daemon.control_path)


def test_pid_file(manager, tmp_path):
    pid_file = tmp_path / "overtime.pid"
    daemon = manager({"command": sleeper(tmp_path)}, settings={"pid": pid_file})
    assert pid_file.read_text() == f"{daemon.pid}\n"
    daemon.stop()
    assert not pid_file.exists()


def test_a_pid_file_that_is_no_longer_ours_stays(manager, tmp_path):
    pid_file = tmp_path / "overtime.pid"
    daemon = manager({"command": sleeper(tmp_path)}, settings={"pid": pid_file})
    pid_file.unlink()
    pid_file.write_text("12345\n")
    daemon.stop()
    assert pid_file.read_text() == "12345\n"


def test_a_stale_pid_file_does_no_harm(manager, tmp_path):
    """It may even name a living process that reuses the number."""
    pid_file = tmp_path / "overtime.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    daemon = manager({"command": sleeper(tmp_path)}, settings={"pid": pid_file})
    assert pid_file.read_text() == f"{daemon.pid}\n"


def test_an_unwritable_pid_file_ends_the_start(tmp_path):
    daemon = Manager(
        tmp_path, {"command": sleeper(tmp_path)}, settings={"pid": tmp_path / "nowhere" / "pid"}
    )
    daemon.start(wait=False)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager giving up")
    assert daemon.popen.returncode in (70, 78)
    assert "`pid`" in daemon.log() or "pid" in daemon.log()
    assert not os.path.exists(daemon.address.path)


@pytest.mark.parametrize("guard", ["pid", "control.listen"])
def test_a_second_manager_is_refused(manager, tmp_path, guard):
    command = sleeper(tmp_path)
    shared = {"pid": tmp_path / "shared.pid", "control.listen": tmp_path / "overtime.ctl"}
    other = {"pid": tmp_path / "other.pid", "control.listen": tmp_path / "other.ctl"}
    first = manager({"command": command}, settings=shared)
    second = Manager(
        tmp_path, pools={"other": {"command": command}}, settings={**other, guard: shared[guard]}, name="second"
    )
    second.start(wait=False)
    wait_until(lambda: second.popen.poll() is not None, "the second manager giving up")
    assert second.popen.returncode in (70, 78)
    assert re.search(f"another|overtime, process {first.pid}, runs with", second.log())
    assert shared["pid"].read_text() == f"{first.pid}\n"
    assert first.control("ping").returncode == 0, "the first one is unharmed"


def test_notifies_its_supervisor(manager, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(30)
        body = f'echo "${{NOTIFY_SOCKET-none}}" >{tmp_path}/seen.new\nmv {tmp_path}/seen.new {tmp_path}/seen\nexec sleep 100000'
        daemon = manager(
            {"command": script(tmp_path, body), "clear_env": "no"},
            settings={"systemd_interval": 0},
            env={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        assert supervisor.recv(4096) == f"READY=1\nMAINPID={daemon.pid}".encode()
        assert wait_file(tmp_path / "seen") == "none\n", "workers must not notify for the manager"
        daemon.stop()
        assert supervisor.recv(4096) == b"STOPPING=1"
    os.unlink(tmp_path / "notify")


@pytest.mark.parametrize("form", ["{port}", "127.0.0.1:{port}", "[::1]:{port}"])
def test_tcp_forms(manager, tmp_path, app, form):
    port = address.free_port()
    if "::1" in form:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", port))
        except OSError:
            pytest.skip("no IPv6 here")
    text = f"""
[global]
error_log = {tmp_path}/overtime.log
control.listen = {tmp_path}/overtime.ctl
[www]
command = {app('worker')} {tmp_path}
listen = {form.format(port=port)}
pm.max_children = 1
{'user = root' if is_root() else ''}
"""
    manager(text=text)
    family, host = (socket.AF_INET6, "::1") if "::1" in form else (socket.AF_INET, "127.0.0.1")
    with socket.socket(family) as client:
        client.settimeout(30)
        client.connect((host, port))
        request = fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.cgi_params("id=a&text=hi")))
        client.sendall(request + fastcgi.stream(fastcgi.STDIN, b""))
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    assert b"hi" in answer


def test_the_manager_needs_no_standard_descriptors(tmp_path):
    """Started with 0, 1 and 2 closed, it neither fails nor passes a socket as one of them."""
    look = "seen=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)"
    body = f'{look}\necho "$seen" >{tmp_path}/fds.new\nmv {tmp_path}/fds.new {tmp_path}/fds\nexec sleep 100000'
    daemon = Manager(tmp_path, {"command": script(tmp_path, body)})
    command = [str(build.OVERTIME), "-c", str(daemon.ini_path)] + (["-R"] if is_root() else [])
    daemon.popen = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
    try:
        daemon.wait_ready()
        listen, *output = wait_file(tmp_path / "fds").splitlines()
        assert listen.startswith("socket:") and all(to.startswith("pipe:") for to in output)
    finally:
        daemon.stop()
