"""The manager as process 1 of a container: it reaps orphans, obeys signals, logs to standard error."""

import os
import shutil
import signal
import subprocess

import pytest

from harness import build, fastcgi, process
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(autouse=True)
def namespaces():
    """Skips the test without process namespaces."""
    if not is_root():
        pytest.skip("only root can make process namespaces")
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.skip(f"no process namespaces here: {done.stderr.strip()}")


class Contained(Manager):
    """A manager that is process 1 of a namespace and logs to standard error."""

    def __init__(self, directory, *arguments, **keywords):
        keywords["settings"] = {"error_log": "stderr", **keywords.get("settings", {})}
        super().__init__(directory, *arguments, **keywords)

    def start(self, wait=True):
        command = [*UNSHARE, str(build.OVERTIME), "-F", "-R", "-c", str(self.ini_path), *self.arguments]
        self._told = False
        with open(self.output_path, "ab") as output:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment
            )
        if wait:
            self.wait_ready()
        return self

    @property
    def pid(self):
        """The pid outside the namespace."""
        found = process.children(self.popen.pid)
        return found[0] if found else None

    def workers(self):
        if self.popen is None or self.pid is None:
            return []
        return [pid for pid in process.children(self.pid) if process.alive(pid)]

    def send_signal(self, number):
        self._told = True
        os.kill(self.pid, number)

    def stop(self, number=None, status=0):
        if self.popen is not None and not self._told:
            self.send_signal(number or signal.SIGTERM)
        super().stop(status=status)


@pytest.fixture
def contained(request, tmp_path):
    started = []

    def start(*arguments, **keywords):
        started.append(Contained(tmp_path, *arguments, **keywords))
        return started[-1].start()

    yield start
    for daemon in started:
        if request.node.report_call.failed:
            print(daemon.log())
            daemon.kill()
        daemon.stop()


def inside(pid):
    """The pid inside its namespace."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        line = next(line for line in file if line.startswith("NSpid:"))
    return int(line.split()[-1])


def test_it_is_process_1_and_logs_to_standard_error(contained, tmp_path, app):
    daemon = contained({"command": f"{app('worker')} {tmp_path}"})
    assert inside(daemon.pid) == 1
    assert fastcgi.request(daemon.address, query="id=a&text=x").text == "x"
    assert "ready: 1 pool" in daemon.output_path.read_text()
    assert not daemon.log_path.exists()
    assert "process 1, running" in daemon.control("ping").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(contained, tmp_path, number):
    """Process 1 gets only signals that it handles; the workers end before it does."""
    body = f"trap 'echo $1 told >>{tmp_path}/told; exit 0' TERM QUIT\necho up\nwhile :; do sleep 0.01; done"
    daemon = contained({"command": script(tmp_path, body)})
    daemon.wait_log("up")
    daemon.send_signal(number)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
    assert daemon.popen.returncode == 0
    assert (tmp_path / "told").read_text().count("told") == 1
    assert "stopped after" in daemon.log()


def test_quit_lets_post_response_work_finish(contained, tmp_path, app, journal):
    daemon = contained({"command": f"{app('worker')} {tmp_path}"})
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&finish&wait=go&note=worked"))
        assert connection.read_response().text == "x"
        journal.wait("wait", "a")
        daemon.send_signal(signal.SIGQUIT)
        daemon.wait_log("SIGQUIT: stopping when the workers have done their work")
        assert daemon.popen.poll() is None
        journal.signal("go")
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
    assert daemon.popen.returncode == 0 and journal.events("a", "note")


def test_orphans_are_reaped(contained, tmp_path):
    """Orphaned children of workers become children of process 1; none stays a zombie, and none is taken for a
    worker."""
    count = 20
    # Each orphan ends after its parent, the subshell.
    body = (
        f"for i in $(seq {count}); do (sh -c 'echo $PPID >/dev/null; "
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; exit 3' &); done\necho forked\nexec sleep 100000"
    )
    daemon = contained({"command": script(tmp_path, body)})
    daemon.wait_log("forked")
    wait_until(lambda: len(process.children(daemon.pid)) == count + 1, lambda: f"the orphans: {process.children(daemon.pid)}")
    (tmp_path / "go").touch()
    worker = wait_until(
        lambda: len(found := process.children(daemon.pid)) == 1 and found, lambda: f"orphans reaped: {process.children(daemon.pid)}"
    )[0]
    assert process.command_line(worker).startswith("sleep"), "only the worker is left"
    assert "worker" not in "".join(line for line in daemon.log().splitlines() if "ended" in line or "exit" in line)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: daemon.workers() and worker not in daemon.workers(), "a new worker")


def test_orphans_of_many_at_once_and_workers_that_die(contained, tmp_path):
    """Deaths of workers are not lost among those of orphans."""
    body = "for i in 1 2 3 4 5; do (sh -c 'exit 1' &); done\nexec sleep 100000"
    daemon = contained({"command": script(tmp_path, body), "pm.max_children": 3})
    for _ in range(5):
        wait_until(lambda: len(daemon.workers()) >= 3, "three workers")
        victims = [pid for pid in daemon.workers() if process.command_line(pid).startswith("sleep")]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(victims) & set(process.children(daemon.pid)), "the dead processes reaped")

    def settled():
        found = process.children(daemon.pid)
        return len(found) == 3 and all(process.command_line(pid).startswith("sleep") for pid in found)

    wait_until(settled, lambda: f"three workers and nothing else: {process.children(daemon.pid)}")


def test_nothing_is_left_of_an_orphan_that_stays(contained, tmp_path):
    """An orphan of a worker ends with the container."""
    body = f"(setsid sh -c 'echo $$ >{tmp_path}/inner; exec sleep 100000' &)\nexec sleep 100000"
    daemon = contained({"command": script(tmp_path, body)})
    wait_until((tmp_path / "inner").exists, "the orphan")
    wait_until(lambda: len(process.children(daemon.pid)) == 2, "the orphan is the manager's")
    orphans = process.children(daemon.pid)
    daemon.stop()
    wait_until(lambda: not any(process.alive(pid) for pid in orphans), "the end of all")


def test_stop_twice_kills(contained, tmp_path):
    body = "trap '' TERM QUIT\necho ignoring\nwhile :; do sleep 0.05; done"
    daemon = contained({"command": script(tmp_path, body)}, settings={"process_control_timeout": "1h"})
    daemon.wait_log("ignoring")
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_log("SIGTERM: stopping now")
    daemon.send_signal(signal.SIGTERM)
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
    assert daemon.popen.returncode == 0


def test_reopening_logs_on_standard_error(contained, tmp_path):
    daemon = contained({"command": sleeper(tmp_path)})
    os.kill(daemon.pid, signal.SIGUSR1)
    daemon.wait_log("SIGUSR1: log reopened")
