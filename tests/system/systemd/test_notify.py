"""The manager's notifications to systemd: ready, reloading, status, alive, stopping."""

import re
import signal
import socket

import pytest

from harness.wait import now
from harness.worker_script import sleeper


class Supervisor:
    """Listens on NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.said = []

    def hear(self, pattern, limit=30):
        """The next message whose beginning matches the pattern; all messages are kept."""
        end = now() + limit
        while now() < end:
            self.socket.settimeout(max(0.01, end - now()))
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                break
            self.said.append(text)
            found = re.match(pattern, text)
            if found:
                return found
        raise AssertionError(f"not heard: {pattern!r}; heard: {self.said}")


@pytest.fixture
def supervisor(tmp_path):
    one = Supervisor(tmp_path / "notify")
    yield one
    one.socket.close()
    one.path.unlink()


def supervised(manager, supervisor, pool, env=(), **settings):
    settings = {name.replace("__", "."): value for name, value in settings.items()}
    return manager(pool, settings=settings, env={"NOTIFY_SOCKET": str(supervisor.path), **dict(env)})


def test_a_life(manager, supervisor, tmp_path):
    daemon = supervised(manager, supervisor, {"command": sleeper(tmp_path)}, systemd_interval="0")
    assert supervisor.hear(r"READY=1\nMAINPID=(\d+)$")[1] == str(daemon.pid)
    before = now()
    daemon.ini_path.write_text(daemon.ini_path.read_text().replace("[www]", "[www]\npm.max_requests = 7"))
    daemon.send_signal(signal.SIGUSR2)
    stamp = int(supervisor.hear(r"RELOADING=1\nMONOTONIC_USEC=(\d+)$")[1])
    assert before * 1e6 <= stamp <= now() * 1e6, "CLOCK_MONOTONIC, as systemd compares it"
    supervisor.hear(r"READY=1\n")
    daemon.stop()
    supervisor.hear(r"STOPPING=1$")
    assert sum(text.startswith("READY=1") for text in supervisor.said) == 2


def test_a_reload_that_fails_ends_as_well(manager, supervisor, tmp_path):
    """Otherwise `systemctl reload` would wait for ever."""
    daemon = supervised(manager, supervisor, {"command": sleeper(tmp_path)}, systemd_interval="0")
    supervisor.hear("READY=1")
    daemon.write("nonsense\n")
    daemon.send_signal(signal.SIGUSR2)
    supervisor.hear("RELOADING=1")
    supervisor.hear("READY=1")


def test_status_in_one_line(manager, supervisor, tmp_path):
    daemon = supervised(manager, supervisor, {"command": sleeper(tmp_path), "pm.max_children": 3}, systemd_interval="50ms")
    first = supervisor.hear(r"STATUS=(.+)")[1]
    second = supervisor.hear(r"STATUS=(.+)")[1]
    print(first, second, sep="\n")
    assert "\n" not in second and "3" in second
    daemon.stop()


def test_no_status_without_an_interval(manager, supervisor, tmp_path):
    daemon = supervised(manager, supervisor, {"command": sleeper(tmp_path)}, systemd_interval="0")
    supervisor.hear("READY=1")
    daemon.stop()
    supervisor.hear("STOPPING=1")
    assert not [text for text in supervisor.said if text.startswith("STATUS=")]


@pytest.mark.parametrize("watched", [True, False])
def test_watchdog(manager, supervisor, tmp_path, watched):
    """A sign of life twice within the allowed time; not for another process."""
    env = {"WATCHDOG_USEC": "200000"}
    if not watched:
        env["WATCHDOG_PID"] = "1"
    daemon = supervised(manager, supervisor, {"command": sleeper(tmp_path)}, env, systemd_interval="0")
    supervisor.hear("READY=1")
    if watched:
        times = []
        for _ in range(5):
            supervisor.hear("WATCHDOG=1$")
            times.append(now())
        print("seconds between two signs of life:", [round(b - a, 3) for a, b in zip(times, times[1:])])
        return
    daemon.stop()
    supervisor.hear("STOPPING=1")
    assert "WATCHDOG=1" not in supervisor.said
