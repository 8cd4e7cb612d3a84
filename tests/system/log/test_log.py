"""The manager's log: reopened without touching a worker, and never a reason for the manager to stop or wait."""

import os
import re
import signal
import subprocess

import pytest

from harness import build, process
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper

LINE = re.compile(r"\[\d\d-[A-Z][a-z][a-z]-\d{4} \d\d:\d\d:\d\d\.\d{3}\] (DEBUG|NOTICE|WARNING|ERROR|ALERT): .+")


def test_lines_have_time_and_level(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)}, settings={"log_level": "debug"})
    daemon.stop()
    lines = daemon.log_path.read_text().splitlines()
    assert len(lines) > 5 and all(LINE.fullmatch(line) for line in lines)


@pytest.mark.parametrize("how", ["signal", "control"])
def test_reopen(manager, tmp_path, how):
    daemon = manager({"command": sleeper(tmp_path), "pm.max_children": 2})
    before = daemon.workers()
    count = daemon.descriptor_count()
    daemon.log_path.rename(tmp_path / "rotated")
    if how == "signal":
        daemon.send_signal(signal.SIGUSR1)
    else:
        assert daemon.control("reopen-logs").returncode == 0
    wait_until(lambda: daemon.log_path.exists() and "log reopened" in daemon.log_path.read_text(), "a new log")
    assert daemon.workers() == before, "no worker was touched"
    wait_until(lambda: daemon.descriptor_count() == count, "the old log closed")
    daemon.stop()
    assert "stopped after" in daemon.log_path.read_text()
    assert "stopped after" not in (tmp_path / "rotated").read_text()


def test_reopen_that_fails(manager, tmp_path):
    """Logging goes on in the old file."""
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "log"
    daemon = Manager(tmp_path, {"command": sleeper(tmp_path)}, settings={"error_log": log})
    daemon.log_path = log
    daemon.start()
    try:
        (tmp_path / "logs").rename(tmp_path / "moved")
        daemon.log_path = tmp_path / "moved" / "log"
        daemon.send_signal(signal.SIGUSR1)
        daemon.wait_log("cannot open the log .*; the log goes on where it was")
    finally:
        daemon.stop()


def test_a_full_disk(tmp_path):
    """The manager goes on, and reports later how many lines were lost."""
    body = "i=0\nwhile [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done\nexec sleep 100000"
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    daemon = Manager(tmp_path, {"command": script(tmp_path, body)}, settings={"error_log": log})
    daemon.start(wait=False)
    try:
        wait_until(lambda: os.path.exists(daemon.control_path) and daemon.control("ping").returncode == 0, "an answer")
        wait_until(lambda: daemon.workers(), "its worker")
        (worker,) = daemon.workers()
        wait_until(lambda: process.command_line(worker).startswith("sleep"), "50 lines written")
        os.kill(worker, signal.SIGKILL)
        daemon.wait_workers(1, without=[worker])
        log.unlink()
        daemon.log_path = log
        daemon.send_signal(signal.SIGUSR1)
        daemon.wait_log(r"log: \d+ lines were lost: No space left on device")
    finally:
        daemon.stop()


def test_a_log_that_is_not_read(tmp_path):
    """Standard error is a full pipe: the manager neither waits nor ends."""
    read_end, write_end = os.pipe()
    body = "yes a line that fills a pipe | head -c 300000 >&2\nexec sleep 100000"
    daemon = Manager(tmp_path, {"command": script(tmp_path, body)}, settings={"error_log": "stderr"})
    try:
        command = [str(build.OVERTIME), "-c", str(daemon.ini_path)] + (["-R"] if is_root() else [])
        daemon.popen = subprocess.Popen(command, stderr=write_end, env=daemon.environment)
        wait_until(lambda: [pid for pid in daemon.workers() if process.command_line(pid).startswith("sleep")],
                   "the flood written")
        assert daemon.control("ping").returncode == 0
        assert os.get_blocking(write_end), "the caller's end of the pipe stays blocking"
        os.set_blocking(read_end, False)
        os.read(read_end, 1 << 20)
        daemon.send_signal(signal.SIGUSR2)
        text = b""

        def told():
            nonlocal text
            try:
                text += os.read(read_end, 1 << 16)
            except BlockingIOError:
                pass
            return re.search(rb"pool www: \d+ lines were lost of what workers wrote: Resource temporarily unavailable", text)

        wait_until(told, "the count of lost lines")
        daemon.stop()
    finally:
        daemon.kill()
        os.close(read_end)
        os.close(write_end)


def test_levels(tmp_path):
    daemon = Manager(tmp_path, {"command": sleeper(tmp_path)}, settings={"log_level": "warning"})
    daemon.start(wait=False)
    try:
        wait_until(lambda: os.path.exists(daemon.control_path) and daemon.control("ping").returncode == 0, "an answer")
        wait_until(lambda: daemon.workers(), "its worker")
    finally:
        daemon.stop()
    assert not [line for line in daemon.log().splitlines() if "NOTICE" in line or "DEBUG" in line]
