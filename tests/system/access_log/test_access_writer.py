"""Lines get from the workers into the file exactly once, also after errors on the way."""

import os
import random
import re
import signal
import subprocess
import threading
from collections import Counter

import pytest

from harness import fastcgi, process
from harness.access import AccessLog, ident
from harness.manager import Manager
from harness.wait import wait_until


@pytest.fixture
def log(tmp_path):
    return AccessLog(tmp_path / "access")


@pytest.fixture
def pool(manager, app, listen, log, tmp_path):
    def start(settings=None, **directives):
        directives = {name.replace("__", "."): value for name, value in directives.items()}
        command = f"{app('worker')} -m run {tmp_path}"
        return manager(
            {"command": command, "listen": listen, **log.directives, **directives}, settings=settings
        )

    return start


class Load:
    """Clients that send one request after the other until they are stopped."""

    def __init__(self, listen, clients=4, query="text=x"):
        self.listen, self.query = listen, query
        self.served = 0
        self.failed = []
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(clients)]

    def _client(self, number):
        turn = 0
        while not self._halt.is_set():
            turn += 1
            name = f"c{number}.{turn}"
            try:
                fine = fastcgi.request(self.listen, query=f"id={name}&{self.query}").complete
            except OSError:
                fine = False
            with self._lock:
                self.served += fine
                if not fine:
                    self.failed.append(name)

    def more(self, count):
        goal = self.served + count
        wait_until(lambda: self.served >= goal, f"{count} more requests")

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._halt.set()
        for thread in self._threads:
            thread.join()


def test_exactly_once_under_kill(pool, listen, log, journal):
    """Workers die at any moment, also while they write their line."""
    kills = 25
    daemon = pool(pm__max_children=3)
    choose = random.Random(20261124)
    daemon.wait_workers(3)
    killed = []
    with Load(listen) as load:
        for _ in range(kills):
            load.more(30)
            victim = choose.choice(daemon.workers())
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
            daemon.wait_workers(3, without=killed)
        load.more(50)
    daemon.stop()
    begun = {event.id for event in journal.events()} - {"-"}
    count = Counter(ident(entry) for entry in log.entries())
    assert max(count.values()) == 1, "a request has two lines"
    assert begun <= set(count), f"no line for {begun - set(count)}"
    outcomes = Counter(entry["outcome"] for entry in log.entries())
    assert outcomes["killed"] <= kills and set(outcomes) <= {"ok", "killed", "aborted"}
    assert outcomes["ok"] + outcomes["killed"] >= load.served


def test_reopen(pool, listen, log, tmp_path):
    """The file is moved away under load: no line is lost, no worker notices."""
    daemon = pool(pm__max_children=2)
    workers = daemon.wait_workers(2)
    old = [tmp_path / f"access.{number}" for number in range(3)]
    with Load(listen, 2) as load:
        for path in old:
            load.more(30)
            log.path.rename(path)
            if path == old[0]:
                daemon.send_signal(signal.SIGUSR1)
            else:
                daemon.control("reopen-logs", check=True)
            wait_until(log.path.exists, "the new file")
        load.more(30)
    assert daemon.workers() == workers and not load.failed
    daemon.stop()
    files = [AccessLog(path).entries() for path in (*old, log.path)]
    found = Counter(ident(entry) for entries in files for entry in entries)
    assert len(found) == load.served and max(found.values()) == 1


def test_reload(pool, listen, log, tmp_path):
    """Another format and another file apply with a reload."""
    daemon = pool()
    fastcgi.request(listen, query="id=a&text=x")
    log.one("a")
    text = daemon.ini_path.read_text()
    text = text.replace(f"access.log = {log.path}", f"access.log = {tmp_path}/second")
    daemon.write(text.replace("access.format = json", "access.format = %m %r"))
    daemon.control("reload", "--wait", check=True)
    fastcgi.request(listen, query="id=b&text=x")
    second = AccessLog(tmp_path / "second")
    assert wait_until(second.lines, "a line") == ["GET /"]
    assert len(log.lines()) == 1
    daemon.write(text.replace(f"{tmp_path}/second", str(tmp_path)))
    assert daemon.control("reload", "--wait").returncode != 0
    fastcgi.request(listen, query="id=c&text=x")
    wait_until(lambda: second.lines() == ["GET /"] * 2, "the old configuration goes on")


def test_two_pools_one_file(manager, app, log, tmp_path):
    """Lines of several pools mix, and stay whole."""
    command = f"{app('worker')} -m run {tmp_path}"
    names = ("a", "b", "c")
    daemon = manager(pools={name: {"command": command, **log.directives} for name in names})
    loads = [Load(daemon.addresses[name], 2) for name in names]
    for load in loads:
        load.__enter__()
    for load in loads:
        load.more(50)
    for load in loads:
        load.__exit__()
    daemon.stop()
    count = Counter(entry["pool"] for entry in log.entries())
    assert [count[name] for name in names] == [load.served for load in loads]


# When lines are lost

LOST = r"pool www: (\d+) lines? w(?:as|ere) lost"


def lost(daemon):
    return sum(int(number) for number in re.findall(LOST, daemon.log()))


def test_full_disk(pool, listen, log):
    """If the file cannot be written, only lines are lost, and one message says so."""
    log.path.symlink_to("/dev/full")
    daemon = pool()
    for number in range(5):
        assert fastcgi.request(listen, query=f"id=a{number}&text=x").text == "x"
    daemon.wait_log(r"pool www: cannot write to .*: No space left on device; lines are lost")
    log.path.unlink()
    daemon.send_signal(signal.SIGUSR1)
    wait_until(log.path.exists, "the new file")
    fastcgi.request(listen, query="id=b&text=x")
    log.one("b")
    daemon.wait_log(r"lines? w(as|ere) lost: .* could not be written; now it can")
    assert len(log.lines()) + lost(daemon) == 6
    assert daemon.log().count("cannot write to") == 1


def test_the_writer_stands_still(pool, listen, log):
    """A stopped writer delays no worker; dropped lines are counted exactly."""
    os.mkfifo(log.path)
    reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
    daemon = pool(pm__max_children=2)
    padding = "&note=" + "y" * 3900
    total = 800
    for number in range(total):
        assert fastcgi.request(listen, query=f"id=a{number}&text=x{padding}").complete
    os.set_blocking(reader, True)
    text = b""
    while text.count(b"\n") < 50:
        text += os.read(reader, 1 << 20)
    fastcgi.request(listen, query="id=z&text=x")
    while b"id=z" not in text:
        text += os.read(reader, 1 << 20)
    # One of the workers has reported its losses with that line, the other reports them when it ends.
    daemon.send_signal(signal.SIGQUIT)
    while rest := os.read(reader, 1 << 20):
        text += rest
    os.close(reader)
    daemon.stop()
    assert lost(daemon) > 0
    assert text.count(b"\n") + lost(daemon) == total + 1


def test_writer_dies(pool, listen, log):
    """Another writer takes over, and the contents of the pipe wait for it."""
    daemon = pool()
    fastcgi.request(listen, query="id=a&text=x")
    log.one("a")
    writer = daemon.writer()
    os.kill(writer, signal.SIGKILL)
    daemon.wait_log(r"the writer of access logs has ended \(1 time since .*SIGKILL")
    fastcgi.request(listen, query="id=b&text=x")
    log.one("b")
    assert daemon.writer() not in (None, writer)
    assert len(log.entries()) == 2


def test_writer_obeys_no_signal(pool, listen, log):
    """A terminal's ^C reaches it too; it exits when there is nothing more to write."""
    daemon = pool()
    writer = daemon.writer()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(writer, number)
    fastcgi.request(listen, query="id=a&text=x")
    log.one("a")
    assert daemon.writer() == writer
    assert process.command_line(writer).startswith("overtime: access writer")


def test_manager_dies(tmp_path, app, listen, log):
    """Without a manager the workers' lines are still written, and the writer exits with the last worker."""
    daemon = Manager(tmp_path, {"command": f"{app('worker')} -m run {tmp_path}", "listen": listen, **log.directives})
    daemon.start()
    (worker,) = daemon.wait_workers(1)
    writer = daemon.writer()
    try:
        daemon.popen.kill()
        daemon.popen.wait()
        fastcgi.request(listen, query="id=a&text=x")
        log.one("a")
        assert process.alive(writer)
    finally:
        process.kill_and_reap(worker)
        wait_until(lambda: not process.alive(writer), "the writer's end")
        process.kill_and_reap(writer)
        for path in (daemon.control_path, daemon.address.path if daemon.address.is_unix else None):
            if path is not None and os.path.exists(path):
                os.unlink(path)


def test_worker_sends_junk(pool, listen, log, tmp_path):
    """Bytes that are no line are dropped and reported; a worker cannot stop its siblings' log."""
    daemon = pool()
    (worker,) = daemon.wait_workers(1)
    fastcgi.request(listen, query="id=a&text=x")  # its descriptors have their final numbers
    read = {os.readlink(f"/proc/{daemon.writer()}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.writer()}/fd")}
    pipes = [fd for fd in os.listdir(f"/proc/{worker}/fd") if int(fd) > 2
             and (to := os.readlink(f"/proc/{worker}/fd/{fd}")).startswith("pipe:") and to in read]
    assert len(pipes) == 1
    with open(f"/proc/{worker}/fd/{pipes[0]}", "wb", buffering=0) as pipe:
        pipe.write(b"rm -rf \x1b[31m\n\x01\x01\x02..\n\x010.0.1.1.0 forged\x1b[31m\n" + b"x" * 4000)
    fastcgi.request(listen, query="id=a&text=x")
    wait_until(lambda: sum('"id=a' in line for line in log.lines()) == 2, "the honest lines")
    assert [line for line in log.lines() if "id=a" not in line] == ["forged?[31m"]
    daemon.wait_log(r"pool www: \d+ bytes that are no line were written into the pipe of ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another user")
def test_workers_of_another_user(pool, listen, log, tmp_path):
    """They write a log in a folder that they may not enter."""
    log.path = tmp_path / "closed" / "access"
    log.path.parent.mkdir(mode=0o700)
    (tmp_path / "journal").touch()
    (tmp_path / "journal").chmod(0o666)
    daemon = pool(user="nobody")
    (worker,) = daemon.wait_workers(1)
    fastcgi.request(listen, query="id=a&text=x")
    assert log.one("a")["pid"] == worker
    assert log.path.stat().st_mode & 0o777 == 0o640
    text = subprocess.run(["cat", f"/proc/{worker}/status"], capture_output=True, text=True, check=True)
    assert "Uid:\t0" not in text.stdout
