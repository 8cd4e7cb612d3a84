"""The files for systemd and logrotate that `make install` installs: well formed and right."""

import os
import pwd
import re
import shutil
import subprocess

import pytest

from harness import build, fastcgi, process
from harness.manager import Manager
from harness.slowlog import can_trace
from harness.wait import wait_until
from harness.worker_script import is_root, sleeper

pytestmark = pytest.mark.unsanitized

FILES = build.ROOT / "packaging"
SERVICE = (FILES / "systemd" / "overtime.service").read_text()


def fill(directory, name, to=None):
    """A file as `make install` makes it, for the programs of this build."""
    text = (FILES / name).read_text()
    text = text.replace("@PREFIX@/sbin/overtime", str(build.OVERTIME)).replace("@PREFIX@/bin/overtimectl", str(build.OVERTIMECTL))
    path = directory / (to or name.rpartition("/")[2])
    path.write_text(text.replace("@SYSCONFDIR@", "/etc"))
    return path


def tool(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def directive(name):
    """All values of a directive in the service, in order."""
    return re.findall(rf"^{name}=(.*)$", SERVICE, re.MULTILINE)


def test_units_are_well_formed(tmp_path):
    analyze = tool("systemd-analyze")
    paths = [
        fill(tmp_path, "systemd/overtime.service"),
        fill(tmp_path, "systemd/overtime@.socket", "overtime@www.socket"),
    ]
    fill(tmp_path, "systemd/overtime@.socket")
    done = subprocess.run(
        [analyze, "verify", "--man=no", *paths], capture_output=True, text=True, timeout=120, check=False
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.strip()}")
    ours = [line for line in done.stderr.splitlines() if "overtime" in line]
    assert done.returncode == 0 and not ours, done.stderr


def test_folders_are_well_formed(tmp_path):
    path = fill(tmp_path, "systemd/overtime.tmpfiles", "overtime.conf")
    text = path.read_text().replace("/run/", f"{tmp_path}/run/").replace("/var/", f"{tmp_path}/var/")
    (tmp_path / "var" / "log").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    path.write_text(re.sub(r" root root ", " - - ", text))
    done = subprocess.run([tool("systemd-tmpfiles"), "--create", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "overtime").is_dir() and (tmp_path / "var" / "log" / "overtime").is_dir()


def test_logs_are_rotated(tmp_path):
    path = fill(tmp_path, "logrotate")
    done = subprocess.run([tool("logrotate"), "-d", "-s", tmp_path / "state", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "error" not in done.stderr, done.stderr


def test_the_service_matches_the_manager():
    """The exit status of a wrong configuration, the signal for a graceful stop, and a sufficient time."""
    assert directive("Type") == ["notify"] and directive("NotifyAccess") == ["main"]
    assert directive("RestartPreventExitStatus") == ["64 78"]
    assert directive("KillSignal") == ["SIGQUIT"] and directive("KillMode") == ["mixed"]
    table = (build.ROOT / "fpm" / "config" / "directives.def").read_text()
    patience = re.search(r'GLOBAL\("process_control_timeout".*?by_default = "(\d+)s"', table, re.DOTALL)[1]
    assert int(directive("TimeoutStopSec")[0]) > int(patience)
    sockets = re.search(r'GLOBAL\("control.listen".*?by_default = "/run/([^"]*)/', table, re.DOTALL)[1]
    assert directive("RuntimeDirectory") == [sockets]


def test_a_worker_that_runs_out_of_memory_ends_no_other():
    assert directive("OOMPolicy") == ["continue"]


def test_the_capabilities_suffice_for_every_directive():
    left = set(" ".join(directive("CapabilityBoundingSet")).split())
    for name, needed in {
        "user": "SETUID", "group": "SETGID", "chroot": "SYS_CHROOT", "listen.owner": "CHOWN", "listen.mode": "FOWNER",
        "process.priority": "SYS_NICE", "rlimit_files": "SYS_RESOURCE", "oom_score_adj": "SYS_RESOURCE",
        "listen": "NET_BIND_SERVICE", "process_control_timeout": "KILL", "slowlog": "SYS_PTRACE",
    }.items():
        assert f"CAP_{needed}" in left, name


class Bounded(Manager):
    """A manager with the capabilities that the service leaves it."""

    def start(self, wait=True):
        rights = [name.removeprefix("CAP_").lower() for name in " ".join(directive("CapabilityBoundingSet")).split()]
        words = [
            tool("setpriv"), "--bounding-set", ",".join(["-all"] + ["+" + name for name in rights]),
            str(build.OVERTIME), "-F", "-R", "-c", str(self.ini_path),
        ]
        with open(self.output_path, "ab") as output:
            self.popen = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment
            )
        self.wait_ready()
        return self


@pytest.mark.skipif(not is_root(), reason="only root has rights to give up")
def test_the_manager_works_with_these_capabilities(tmp_path, app):
    """Everything that needs root at once: users, chroot, priorities, limits, socket owners, signals."""
    tmp_path.chmod(0o777)
    daemon = Bounded(tmp_path, pools={
        "www": {
            "command": f"{app('worker')} {tmp_path}", "user": "nobody", "process.priority": -3, "oom_score_adj": 100,
            "rlimit_files": 2048, "rlimit_core": "1M", "listen.owner": "www-data", "listen.group": "nogroup",
        },
        "box": {"command": sleeper(tmp_path), "user": "www-data", "chroot": "/", "chdir": "/tmp"},
    })
    daemon.start()
    try:
        assert fastcgi.request(daemon.addresses["www"], query="id=a&text=x").text == "x"
        status = os.stat(daemon.addresses["www"].path)
        assert status.st_uid == pwd.getpwnam("www-data").pw_uid
        with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
            bounding = int(next(line for line in file if line.startswith("CapBnd:")).split()[1], 16)
        assert 0 < bin(bounding).count("1") <= 11, "no capability beyond those"
        first = daemon.wait_workers(2)
        assert daemon.control("ping").returncode == 0
        for pid in first if can_trace() else []:
            assert "\n  #0 " in daemon.control("trace", pid, check=True).stdout
        os.kill(first[0], 9)
        wait_until(lambda: len(daemon.workers()) == 2 and first[0] not in daemon.workers(), "a new worker")
        assert "WARNING: cannot" not in daemon.log()
    finally:
        daemon.stop()
    assert not any(process.alive(pid) for pid in first)
