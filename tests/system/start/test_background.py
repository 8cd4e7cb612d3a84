"""-D: the parent waits for the outcome of the start and reports it."""

import os
import re
import subprocess

import pytest

from harness import build, process
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper


class Background:
    """A manager in the background; this process is the subreaper, so that it becomes our child."""

    def __init__(self, directory, pool, settings=None):
        self.pid_file = directory / "overtime.pid"
        self.manager = Manager(directory, pool, settings={"pid": self.pid_file, **(settings or {})})

    def start(self):
        """A caller that reads the output to its end does not wait for the manager's end, unless the start fails."""
        command = [str(build.OVERTIME), "-D", "-c", str(self.manager.ini_path)]
        before = process.children(os.getpid())
        answer = subprocess.run(
            command + (["-R"] if is_root() else []), capture_output=True, text=True, timeout=60,
            env=self.manager.environment, check=False,
        )
        if answer.returncode != 0:
            wait_until(lambda: not process.strays(before), "the end of what could not start")
        return answer

    @property
    def pid(self):
        return int(self.pid_file.read_text())

    def stop(self):
        pid = self.pid
        answer = self.manager.control("stop", "--wait")
        assert answer.returncode == 0, answer.stderr
        wait_until(lambda: process.reap(pid) or not process.alive(pid), "the daemon's end")


def test_ready_when_the_parent_returns(tmp_path):
    daemon = Background(tmp_path, {"command": sleeper(tmp_path), "pm.max_children": 2})
    answer = daemon.start()
    try:
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
        pid = daemon.pid
        assert "ready: 1 pool, 2 workers" in daemon.manager.log()
        assert daemon.manager.control("ping").returncode == 0
        assert os.getsid(pid) not in (os.getsid(0), pid), "in a session of its own, and not its leader"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        found = process.descriptors(pid)
        assert {found[0], found[1], found[2]} == {"/dev/null"}
    finally:
        daemon.stop()
    assert not daemon.pid_file.exists() and not os.path.exists(daemon.manager.address.path)


def test_the_directive(tmp_path):
    daemon = Background(tmp_path, {"command": sleeper(tmp_path)}, {"daemonize": "yes"})
    command = [str(build.OVERTIME), "-c", str(daemon.manager.ini_path)] + (["-R"] if is_root() else [])
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    daemon.stop()


def test_foreground_overrules_the_directive(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)}, settings={"daemonize": "yes"})
    assert daemon.popen.poll() is None


def test_a_failed_start_is_reported(tmp_path):
    (tmp_path / "www.sock").write_text("no socket")
    daemon = Background(tmp_path, {"command": sleeper(tmp_path)})
    answer = daemon.start()
    assert answer.returncode == 78
    assert "not a socket" in answer.stderr and "www.sock" in answer.stderr
    assert not daemon.pid_file.exists()


def test_workers_that_cannot_start_are_reported(tmp_path):
    broken = script(tmp_path, "", "broken", shell=tmp_path / "nowhere")
    daemon = Background(tmp_path, {"command": broken})
    answer = daemon.start()
    assert answer.returncode == 70
    assert "cannot start worker: exec" in answer.stderr


def test_workers_that_end_at_once_are_reported(tmp_path):
    """As the manual says: the exit status is not 0 unless something serves."""
    daemon = Background(tmp_path, {"command": "/bin/false"})
    answer = daemon.start()
    assert answer.returncode == 70
    assert "no pool serves; pool www: workers end soon" in answer.stderr and "exited with status 1" in answer.stderr
    assert not daemon.pid_file.exists() and not os.path.exists(daemon.manager.control_path)


def test_children_of_the_program_before_are_reaped(manager, tmp_path):
    """A shell has started a process before it executed the manager."""
    for seconds in ("0", "0.3"):
        daemon = manager({"command": sleeper(tmp_path)}, name=f"after{seconds}",
                         wrapper=["/bin/sh", "-c", f'sleep {seconds} & exec "$@"', "sh"])
        wait_until(lambda: len(process.children(daemon.pid)) == 1, "no child but the worker")
        daemon.stop()


def test_a_partial_start_is_reported(tmp_path):
    """The manager runs and one pool serves; the other pool's error is on standard error."""
    broken = script(tmp_path, "", "broken", shell=tmp_path / "nowhere")
    daemon = Background(tmp_path, {"command": sleeper(tmp_path)})
    text = daemon.manager.ini_path.read_text() + f"[bad]\ncommand = {broken}\nlisten = {tmp_path}/bad.sock\n"
    daemon.manager.write(text + "pm.max_children = 1\n" + ("user = root\n" if is_root() else ""))
    answer = daemon.start()
    try:
        assert answer.returncode == 0
        assert "pool bad: cannot start worker: exec" in answer.stderr and "not ready" in answer.stderr
        assert daemon.manager.control("ping", "--json").stdout.find('"starting"') > 0
    finally:
        daemon.stop()


@pytest.mark.parametrize("files, sentence", [(24, "no pool could start a worker"), (40, "not ready: other")])
def test_a_start_that_runs_short_is_decided_at_once(tmp_path, files, sentence):
    """When one worker gets no pipe, the manager does not try each of the others in turn."""
    pool = {"command": sleeper(tmp_path), "pm.max_children": 20}
    daemon = Manager(tmp_path, pool, settings={"rlimit_files": files})
    daemon.start(wait=False)
    try:
        daemon.wait_log(sentence)
        before = daemon.log_path.read_text().split(sentence)[0]
        assert before.count("`rlimit_files` in [global]") == before.count("next start in") == 1, before
        daemon.stop(None if files == 40 else 0, status=0 if files == 40 else 70)
    finally:
        daemon.kill()


def test_a_second_one_is_refused(tmp_path):
    daemon = Background(tmp_path, {"command": sleeper(tmp_path)})
    assert daemon.start().returncode == 0
    try:
        answer = daemon.start()
        assert answer.returncode in (70, 78)
        assert str(daemon.pid) in answer.stderr and "another manager" in answer.stderr
    finally:
        daemon.stop()


@pytest.mark.parametrize("name", ["stderr", "/dev/stderr"])
def test_the_background_needs_a_log(tmp_path, name):
    daemon = Background(tmp_path, {"command": sleeper(tmp_path)}, {"error_log": name})
    answer = daemon.start()
    assert answer.returncode == 78 and "`error_log`" in answer.stderr


@pytest.mark.parametrize("place", ["relative", "absolute"])
def test_the_pid_file_may_be_relative(tmp_path, place):
    daemon = Background(tmp_path, {"command": sleeper(tmp_path)}, {"pid": tmp_path / "unused.pid"})
    path = "overtime.pid" if place == "relative" else tmp_path / "overtime.pid"
    command = [str(build.OVERTIME), "-D", "-c", str(daemon.manager.ini_path), "-g", str(path)]
    answer = subprocess.run(
        command + (["-R"] if is_root() else []), capture_output=True, text=True, timeout=60, cwd=tmp_path,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert re.fullmatch(r"\d+\n", daemon.pid_file.read_text())
    daemon.stop()
