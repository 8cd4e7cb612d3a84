"""The log for programs: JSON, the system log, the journal."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import build
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import is_root, script, sleeper

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


# JSON


def test_json(manager, tmp_path):
    body = "echo to output\necho to error >&2\nexec sleep 100000"
    settings = {"log_format": "json", "log_level": "debug"}
    daemon = manager({"command": script(tmp_path, body)}, settings=settings)
    (worker,) = daemon.workers()
    daemon.wait_log('"to error"')
    daemon.stop()
    lines = objects(daemon.log_path.read_text())
    assert len(lines) > 5
    for line in lines:
        assert TIME.fullmatch(line["time"]) and line["message"]
        assert line["level"] in ("debug", "notice", "warning", "error", "alert")
    (said,) = [line for line in lines if line.get("text") == "to error"]
    del said["time"]
    assert said == {
        "level": "warning", "pool": "www", "pid": worker, "slot": 0, "stream": "stderr",
        "message": "worker output", "text": "to error",
    }


def test_json_of_hostile_bytes(manager, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)) * 40 + b"\n" + '"gr\u00fc\u00df\\"\n'.encode())
    pool = {"command": script(tmp_path, f"cat {data}\necho over\nexec sleep 100000")}
    daemon = manager({**pool, "decorate_workers_output": "no"}, settings={"log_format": "json"})
    daemon.wait_log('"over"')
    raw = daemon.log_path.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    texts = [line["text"] for line in objects(raw.decode()) if "text" in line]
    assert '"gr\u00fc\u00df\\"' in texts, "fields, whatever decorate_workers_output says"
    assert all(len(line) < 1024 for line in raw.splitlines())


def test_json_of_long_lines(manager, tmp_path):
    body = "head -c 5000 /dev/zero | tr '\\0' x\necho end\necho over\nexec sleep 100000"
    daemon = manager({"command": script(tmp_path, body)}, settings={"log_format": "json", "log_limit": "512"})
    daemon.wait_log('"over"')
    lines = daemon.log_path.read_text().splitlines()
    assert all(len(line) < 512 for line in lines)
    pieces = [line for line in map(json.loads, lines) if "part" in line]
    assert "".join(piece["text"] for piece in pieces) == "x" * 5000 + "end"
    parts = [piece["part"] for piece in pieces]
    assert parts == ["first"] + ["middle"] * (len(parts) - 2) + ["last"]


def test_json_of_a_death(manager, tmp_path):
    daemon = manager({"command": sleeper(tmp_path)}, settings={"log_format": "json"})
    (worker,) = daemon.workers()
    os.kill(worker, signal.SIGKILL)
    daemon.wait_log("SIGKILL")
    (death,) = [line for line in objects(daemon.log_path.read_text()) if "(slot 0) died of SIGKILL" in line["message"]]
    assert (death["pool"], death["pid"], death["slot"]) == ("www", worker, 0)


# A reload


def test_a_reload_changes_the_log(manager, tmp_path):
    """Format, level, limit and path change for living workers; if it fails, the log stays as it was."""
    body = f"""
number=0
while :; do
    read line <{tmp_path}/fifo
    echo "$line"
    number=$((number + 1))
    : >{tmp_path}/said.$number
done"""
    os.mkfifo(tmp_path / "fifo")
    daemon = manager({"command": script(tmp_path, body)}, settings={"log_limit": "512"})
    (worker,) = daemon.workers()
    first = daemon.log_path.read_text()
    text = daemon.ini_path.read_text()

    def say(line):
        with open(tmp_path / "fifo", "w", encoding="ascii") as fifo:
            fifo.write(line + "\n")

    def apply(old, new):
        daemon.write(daemon.ini_path.read_text().replace(old, new))
        return daemon.control("reload")

    say("x" * 2000)
    daemon.wait_log('x"$')
    assert daemon.log().count("said into stdout") > 4
    assert apply("log_limit = 512", "log_limit = 4K\nlog_format = json\nlog_level = warning").returncode == 0
    say("not logged")
    wait_until((tmp_path / "said.2").exists, "the line in the pipe")
    assert daemon.control("ping").returncode == 0, "after which the manager has read the pipe"
    assert apply("log_level = warning", "log_level = notice").returncode == 0
    say("y" * 2000)
    daemon.wait_log('"text":"' + "y" * 2000 + '"')
    other = tmp_path / "other.log"
    assert apply(f"error_log = {daemon.log_path}", f"error_log = {other}").returncode == 0
    wait_until(other.exists, "the other log")
    say("in the other")
    wait_until(lambda: "in the other" in other.read_text(), "the other log's line")
    (tmp_path / "folder").mkdir()
    refused = apply(f"error_log = {other}", f"error_log = {tmp_path}/folder")
    assert refused.returncode == 1 and "is a folder" in refused.stderr and "nothing has changed" in refused.stderr
    say("still there")
    wait_until(lambda: "still there" in other.read_text(), "the line after the failure")
    assert daemon.workers() == [worker]
    daemon.write(text)
    assert "not logged" not in daemon.log() + other.read_text() and daemon.log().startswith(first)


# The journal


@pytest.mark.parametrize("shape", ["text", "json"])
def test_the_journal(tmp_path, shape):
    """JOURNAL_STREAM names standard error: lines have priorities and no time."""
    body = "echo to error >&2\nexec sleep 100000"
    settings = {"error_log": "stderr", "log_format": shape}
    daemon = Manager(tmp_path, {"command": script(tmp_path, body)}, settings=settings)
    daemon.output_path.touch()
    status = daemon.output_path.stat()
    daemon.environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    daemon.start()
    try:
        daemon.wait_log("to error")
        (worker,) = daemon.workers()
    finally:
        daemon.stop()
    lines = daemon.output_path.read_text().splitlines()
    assert lines and all(re.match("<[0-7]>", line) for line in lines)
    if shape == "text":
        assert any(line.startswith("<5>ready: 1 pool") for line in lines)
        assert f'<4>[pool www] child {worker} said into stderr: "to error"' in lines
    else:
        assert "to error" in [line.get("text") for line in objects("\n".join(line[3:] for line in lines))]


def test_a_strangers_journal(tmp_path):
    daemon = Manager(tmp_path, {"command": sleeper(tmp_path)}, settings={"error_log": "stderr"})
    daemon.environment["JOURNAL_STREAM"] = "1:1"
    daemon.start()
    daemon.stop()
    assert not re.search("^<", daemon.output_path.read_text(), re.MULTILINE)


# The system log


class Syslog:
    """Listens as the system's logger does, on the manager's /dev/log."""

    def __init__(self, path):
        self.path = path
        self.socket = None
        self.lines = []

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.path.unlink()
            self.socket = None

    def wait(self, pattern):
        def look():
            try:
                while True:
                    self.lines.append(self.socket.recv(1 << 17).decode())
            except BlockingIOError:
                pass
            return [line for line in self.lines if re.search(pattern, line)]

        return wait_until(look, lambda: f"{pattern!r} in {self.lines}")[0]


@pytest.fixture
def syslog(tmp_path, monkeypatch):
    """A Syslog, not open yet, for managers that start in a name space with a /dev of its own."""
    enter = script(
        tmp_path,
        f"""
set -e
dev={tmp_path}/dev
mkdir -p $dev
mount -t tmpfs none $dev
for name in null zero full random urandom; do touch $dev/$name; mount --bind /dev/$name $dev/$name; done
ln -s /proc/self/fd $dev/fd
ln -s {tmp_path}/log.socket $dev/log
mount --rbind $dev /dev
exec "$@"
""",
        "enter",
    )
    probe = ["unshare", "-m", str(enter), "true"]
    if not is_root() or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a mount name space")
    wrapper = script(tmp_path, f'exec unshare -m {enter} {build.OVERTIME} "$@"', "overtime")
    monkeypatch.setattr(build, "OVERTIME", wrapper)
    logger = Syslog(tmp_path / "log.socket")
    yield logger
    logger.close()


def syslog_manager(tmp_path, body, **settings):
    settings = {"error_log": "syslog", "syslog.ident": "tester", "syslog.facility": "local5", **settings}
    return Manager(tmp_path, {"command": script(tmp_path, body)}, settings=settings)


def test_syslog(syslog, tmp_path):
    syslog.open()
    daemon = syslog_manager(tmp_path, "echo to error >&2\nexec sleep 100000")
    daemon.start(wait=False)
    try:
        head = r"Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
        head = rf"^<%d>({head}) [ 1-3]\d \d\d:\d\d:\d\d tester\[{daemon.pid}\]: "
        syslog.wait(head % (21 * 8 + 5) + "ready: 1 pool")
        (worker,) = daemon.workers()
        syslog.wait(head % (21 * 8 + 4) + rf'\[pool www\] child {worker} said into stderr: "to error"$')
        assert daemon.control("reopen-logs").returncode == 0
        syslog.wait("log reopened$")
    finally:
        daemon.stop()
    syslog.wait("stopped after")


def test_syslog_in_json(syslog, tmp_path):
    syslog.open()
    daemon = syslog_manager(tmp_path, "exec sleep 100000", log_format="json")
    daemon.start(wait=False)
    try:
        line = syslog.wait("ready: 1 pool")
    finally:
        daemon.stop()
    assert json.loads(line.split("]: ", 1)[1])["level"] == "notice"


def test_a_syslog_that_comes_later(syslog, tmp_path):
    """Also one that is not read: the manager goes on, and reports both."""
    flood = "i=0\nwhile [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done\nexec sleep 100000"
    daemon = syslog_manager(tmp_path, flood)
    daemon.start(wait=False)
    try:
        daemon.wait_log("cannot be written: No such file or directory; lines are lost until it can")
        wait_until(lambda: daemon.control("ping").returncode == 0, "an answer")
        wait_until(lambda: daemon.workers(), "its worker")
        syslog.open()
        os.kill(daemon.workers()[0], signal.SIGKILL)
        syslog.wait(r"log: \d+ lines? w(as|ere) lost: (No such file|Connection refused)")
        os.kill(daemon.wait_workers(1)[0], signal.SIGKILL)
        syslog.wait(r"pool www: \d+ lines? w(as|ere) lost of what workers wrote")
    finally:
        daemon.stop()


def test_syslog_words(tmp_path):
    for setting, remedy in (
        ({"syslog.ident": '"two words"'}, "syslog.ident"),
        ({"syslog.facility": "nowhere"}, "syslog.facility"),
        ({"error_log": "somewhere"}, "stderr, or stdout, or syslog"),
    ):
        daemon = Manager(tmp_path, {"command": sleeper(tmp_path)}, settings={"error_log": "syslog", **setting})
        daemon.start(wait=False)
        assert daemon.popen.wait(30) == 78
        assert remedy in daemon.log()
