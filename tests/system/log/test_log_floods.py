"""Logs that cannot keep up with the workers' output: lines are dropped and counted, no process waits."""

import os
import re
import subprocess

from harness import build, process
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import script

LOST = r"pool {}: \d+ lines were lost of what workers wrote"


def written(daemon, count):
    """Waits until that many workers have written everything and sleep."""
    def asleep():
        found = [pid for pid in daemon.workers() if process.command_line(pid).startswith("sleep")]
        return len(found) == count

    wait_until(asleep, "the floods written")


def flood(tmp_path, name, size=400000):
    body = f"yes the words of {name} | head -c {size}\nexec sleep 100000"
    return {"command": script(tmp_path, body, name)}


def test_a_log_that_is_stuck(tmp_path):
    """Workers of two pools write more than the buffers hold; the reader reads later."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    pools = {name: flood(tmp_path, name) for name in ("one", "two")}
    daemon = Manager(tmp_path, pools=pools, settings={"error_log": fifo})
    daemon.log_path = tmp_path / "none"
    daemon.start(wait=False)
    try:
        wait_until(lambda: len(daemon.workers()) == 2, "its workers")
        written(daemon, 2)
        assert daemon.control("ping").returncode == 0
        assert daemon.log().count("cannot be written: Resource temporarily unavailable") == 1
        text = os.read(reader, 1 << 20)
        assert daemon.control("reopen-logs").returncode == 0

        def told():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            return all(re.search(LOST.format(name).encode(), text) for name in ("one", "two"))

        wait_until(told, "what was lost")
    finally:
        daemon.stop()
        os.close(reader)


def test_a_full_disk_names_the_pools(tmp_path):
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    pools = {name: flood(tmp_path, name, 100000) for name in ("one", "two")}
    daemon = Manager(tmp_path, pools=pools, settings={"error_log": log})
    daemon.start(wait=False)
    try:
        wait_until(lambda: len(daemon.workers()) == 2, "its workers")
        written(daemon, 2)
        assert daemon.log().count("cannot be written: No space left on device") == 1
        log.unlink()
        daemon.log_path = log
        assert daemon.control("reopen-logs").returncode == 0
        for name in ("one", "two"):
            daemon.wait_log(LOST.format(name))
    finally:
        daemon.stop()


def test_a_limit_on_the_size_of_files(tmp_path, monkeypatch):
    """The signal that comes with it does not end the manager."""
    limited = script(tmp_path, f'ulimit -f 2048\nexec {build.OVERTIME} "$@"', "overtime")
    monkeypatch.setattr(build, "OVERTIME", limited)
    daemon = Manager(tmp_path, flood(tmp_path, "long", 600000))
    daemon.start()
    try:
        written(daemon, 1)
        daemon.wait_log("cannot be written: File too large")
        assert daemon.control("ping").returncode == 0
    finally:
        daemon.stop()


def test_empty_lines(manager, tmp_path):
    """A flood of them makes few lines, which give their number."""
    body = "yes '' | head -c 1000000\necho over\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)})
    daemon.wait_log('"over"$')
    log = daemon.log_path.read_text()
    single = len(re.findall(r'said into stdout: ""$', log, re.MULTILINE))
    assert single + sum(map(int, re.findall(r"said into stdout: (\d+) empty lines$", log, re.MULTILINE))) == 1000000
    assert len(log.splitlines()) < 100000


def test_the_log_of_the_background(tmp_path):
    """Output of workers at the start does not go to the caller's standard error."""
    body = "i=0\nwhile [ $i -lt 200 ]; do echo secret >&2; i=$((i+1)); done\nexec sleep 100000"
    broken = script(tmp_path, "", "broken", shell=tmp_path / "nowhere")
    pools = {"loud": {"command": script(tmp_path, body), "pm.max_children": 8}, "bad": {"command": broken}}
    daemon = Manager(tmp_path, pools=pools, settings={"pid": tmp_path / "pid"})
    command = [str(build.OVERTIME), "-D", "-c", str(daemon.ini_path)] + (["-R"] if os.geteuid() == 0 else [])
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=daemon.environment, check=False)
    try:
        assert answer.returncode == 0
        assert "not ready" in answer.stderr and "secret" not in answer.stderr
    finally:
        pid = int((tmp_path / "pid").read_text())
        assert daemon.control("stop", "--wait").returncode == 0
        wait_until(lambda: process.reap(pid) or not process.alive(pid), "the daemon's end")
