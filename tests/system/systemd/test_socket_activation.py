"""Socket activation: listening sockets passed to the manager, found by name or address."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys

import pytest

from harness import address, build, fastcgi, process
from harness.held import Held
from harness.manager import Manager
from harness.wait import wait_until
from harness.worker_script import sleeper

# Moves the descriptors in its first arguments to 3 and up, and executes the program.
BECOME = """
import fcntl, os, sys
numbers, names, program = sys.argv[1], sys.argv[2], sys.argv[3:]
given = [int(number) for number in numbers.split(",") if number]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
for fd in given:
    os.close(fd)
for index, fd in enumerate(high):
    os.dup2(fd, 3 + index, inheritable=True)
    os.close(fd)
os.environ["LISTEN_PID"] = os.environ.get("TEST_LISTEN_PID", str(os.getpid()))
os.environ["LISTEN_FDS"] = os.environ.get("TEST_LISTEN_FDS", str(len(high)))
if names != "-":
    os.environ["LISTEN_FDNAMES"] = names
os.execv(program[0], program)
"""


class Activated(Manager):
    """A manager started as systemd would start it, with these sockets."""

    def __init__(self, directory, sockets, names, *arguments, **keywords):
        super().__init__(directory, *arguments, **keywords)
        self.sockets, self.names = sockets, names

    def start(self, wait=True):
        command = [str(build.OVERTIME), "-c", str(self.ini_path), "-F"]
        if os.geteuid() == 0:
            command.append("-R")
        numbers = [one.fileno() for one in self.sockets]
        with open(self.output_path, "ab") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", BECOME, ",".join(map(str, numbers)), self.names, *command, *self.arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment, pass_fds=numbers,
            )
        if wait:
            self.wait_ready()
        return self

    def given_up(self, status=78):
        """It does not start; returns its log."""
        self.start(wait=False)
        wait_until(lambda: self.popen.poll() is not None, "the manager giving up")
        assert self.popen.returncode == status, self.log()
        return self.log()


@pytest.fixture
def sockets():
    """sockets(address) -> a listening socket, closed at the end."""
    made = []

    def make(where, **options):
        made.append(where.listen(**options))
        return made[-1]

    yield make
    for one in made:
        where = one.getsockname() if one.family == socket.AF_UNIX else None
        one.close()
        if isinstance(where, str) and os.path.exists(where):
            os.unlink(where)


def ended(daemon):
    """Ends it; the passed sockets still exist."""
    daemon.addresses.clear()
    daemon.stop()


@pytest.mark.parametrize("names", ["www", "-", "overtime.socket"])
def test_served(tmp_path, listen, sockets, app, names):
    """By name or by address; connections made before the start are served, and the file stays at the end."""
    given = sockets(listen)
    with fastcgi.Connection(listen) as early:
        early.send_request(fastcgi.cgi_params("id=a&text=early"))
        daemon = Activated(tmp_path, [given], names, {"command": f"{app('worker')} {tmp_path}", "listen": listen})
        daemon.start()
        try:
            assert early.read_response().text == "early"
            assert fastcgi.request(listen, query="id=b&text=x").text == "x"
            assert "WARNING" not in daemon.log()
            (worker,) = daemon.workers()
            if listen.is_unix:
                assert stat.S_IMODE(os.stat(listen.path).st_mode) == 0o666
            assert process.descriptors(os.getpid())[given.fileno()] in process.descriptors(worker).values()
        finally:
            ended(daemon)
    if listen.is_unix:
        assert os.path.exists(listen.path)
    listen.connect().close()


def test_mode_and_backlog_stay_as_given(tmp_path, sockets):
    where = address.Address.make("unix", tmp_path)
    given = sockets(where)
    os.chmod(where.path, 0o611)
    daemon = Activated(tmp_path, [given], "www", {"command": sleeper(tmp_path), "listen": where, "listen.mode": "0600"})
    daemon.start()
    assert stat.S_IMODE(os.stat(where.path).st_mode) == 0o611
    ended(daemon)


def test_several_by_name_and_by_address(tmp_path, sockets, app):
    """Descriptors in another order than the pools; one pool opens its own socket."""
    at = {name: address.Address.make("unix", tmp_path, name) for name in ("one", "two", "three")}
    given = [sockets(at["two"]), sockets(at["one"])]
    daemon = Activated(tmp_path, given, "two:whatever", pools={
        name: {"command": f"{app('worker')} {tmp_path}", "listen": where} for name, where in at.items()
    })
    daemon.start()
    for name, where in at.items():
        assert fastcgi.request(where, query=f"id={name}&text={name}").text == name
    assert "WARNING" not in daemon.log()
    ended(daemon)
    assert os.path.exists(at["one"].path) and os.path.exists(at["two"].path)
    assert not os.path.exists(at["three"].path)


def test_a_name_beats_an_address(tmp_path, sockets, app):
    """The socket with the pool's name is used wherever it listens, and the log says so."""
    elsewhere = address.Address.make("unix", tmp_path, "elsewhere")
    daemon = Activated(
        tmp_path, [sockets(elsewhere)], "www",
        {"command": f"{app('worker')} {tmp_path}", "listen": tmp_path / "www.sock"},
    )
    daemon.start()
    assert fastcgi.request(elsewhere, query="id=a&text=x").text == "x"
    assert f"pool www: `listen = {tmp_path}/www.sock`: the socket passed under its name listens on {elsewhere.path}" in daemon.log()
    assert not (tmp_path / "www.sock").exists()
    ended(daemon)


def test_two_of_one_name(tmp_path, sockets, app):
    """Of two with the pool's name the one at the address in `listen` is used."""
    other, right = (address.Address.make("unix", tmp_path, name) for name in ("other", "right"))
    daemon = Activated(
        tmp_path, [sockets(other), sockets(right)], "www:www", {"command": f"{app('worker')} {tmp_path}", "listen": right}
    )
    daemon.start()
    assert fastcgi.request(right, query="id=a&text=x").text == "x"
    assert f'WARNING: descriptor 3 "www", passed to the manager, listens on {other.path}, which no pool uses' in daemon.log()
    ended(daemon)


def test_an_unused_socket_is_closed_and_logged(tmp_path, sockets):
    stranger = address.Address.make("unix", tmp_path, "stranger")
    port = address.Address.make("tcp", tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram, open(tmp_path / "file", "w", encoding="ascii") as file:
        given = [sockets(stranger), sockets(port), datagram, file]
        daemon = Activated(tmp_path, given, "a:b:c:d", {"command": sleeper(tmp_path)})
        daemon.start()
    log = daemon.log()
    assert f'descriptor 3 "a", passed to the manager, listens on {stranger.path}, which no pool uses: closed' in log
    assert f'descriptor 4 "b", passed to the manager, listens on {port}, which no pool uses: closed' in log
    assert 'descriptor 5 "c", passed to the manager, is no stream socket (ListenStream= makes one): closed' in log
    assert 'descriptor 6 "d", passed to the manager, is no socket: closed' in log
    assert daemon.log_path.read_text().count("WARNING") == 4
    ours = {process.descriptors(os.getpid())[one.fileno()] for one in given[:2]}
    for pid in [daemon.pid, *daemon.workers()]:
        assert not ours & set(process.descriptors(pid).values())
    daemon.stop()


def test_a_socket_with_a_pools_name_must_listen(tmp_path):
    """A connection (Accept=yes) or a datagram socket with the pool's name ends the start."""
    one, two = socket.socketpair()
    with one, two:
        daemon = Activated(tmp_path, [one], "www", {"command": sleeper(tmp_path)})
        said = daemon.given_up()
    assert "pool www: `listen = " in said
    assert "descriptor 3, passed for it to the manager, does not listen (Accept=yes" in said


@pytest.mark.parametrize("variables, status, said", [
    ({"TEST_LISTEN_PID": "1"}, 0, ""),
    ({"TEST_LISTEN_FDS": "0"}, 0, ""),
    ({"TEST_LISTEN_FDS": "many"}, 70, "LISTEN_FDS in the environment is no number"),
    ({"TEST_LISTEN_FDS": "99999999"}, 70, "LISTEN_FDS in the environment is no number"),
    ({"TEST_LISTEN_FDS": "9"}, 70, "promises 9 descriptors, but 4 is not open"),
])
def test_variables_for_other_processes_and_invalid_ones(tmp_path, sockets, variables, status, said):
    given = sockets(address.Address.make("unix", tmp_path, "given"))
    daemon = Activated(tmp_path, [given], "-", {"command": sleeper(tmp_path)}, env=variables)
    if status != 0:
        assert said in daemon.given_up(status)
        return
    daemon.start()
    assert "WARNING" not in daemon.log()
    daemon.stop()


def test_workers_know_nothing_of_it(tmp_path, sockets):
    where = address.Address.make("unix", tmp_path)
    given = sockets(where)
    daemon = Activated(
        tmp_path, [given], "www", {"command": sleeper(tmp_path), "listen": where, "clear_env": "no"}
    )
    daemon.start()
    (worker,) = daemon.wait_workers(1)
    wait_until(lambda: process.command_line(worker).startswith("sleep"), "the worker's program")
    with open(f"/proc/{worker}/environ", "rb") as file:
        names = {pair.split(b"=")[0].decode() for pair in file.read().split(b"\0")}
    assert not {name for name in names if name.startswith("LISTEN_")}
    wait_until(lambda: sorted(process.descriptors(worker)) == [*range(8), 9], "the contract's descriptors alone")
    ended(daemon)


def test_a_worker_without_the_library_waits_in_accept(tmp_path, sockets):
    """systemd may pass a non-blocking socket."""
    where = address.Address.make("unix", tmp_path)
    given = sockets(where)
    given.setblocking(False)
    daemon = Activated(tmp_path, [given], "www", {"command": sleeper(tmp_path), "listen": where})
    daemon.start()
    (worker,) = daemon.wait_workers(1)
    with open(f"/proc/{worker}/fdinfo/0", encoding="ascii") as file:
        flags = next(line for line in file if line.startswith("flags:"))
    assert int(flags.split()[1], 8) & os.O_NONBLOCK == 0
    ended(daemon)


def pid_at(where):
    response = fastcgi.request(where, query="id=a&text=x")
    assert response.text == "x"
    return int(response.headers["X-Worker"])


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("how", ["reload", "upgrade between"])
def test_removed_and_added_again(tmp_path, sockets, app, kind, how):
    """The passed socket stays open, so that a pool that is added later can use it."""
    where = address.Address.make(kind, tmp_path)
    other = {"command": f"{app('worker')} {tmp_path}"}
    both = {"www": {**other, "listen": where}, "other": other}
    daemon = Activated(tmp_path, [sockets(where)], "www", pools=both)
    daemon.start()
    try:
        for _ in range(2):
            before = pid_at(where)
            daemon.rewrite({"other": other})
            daemon.control("reload", "--wait", check=True)
            assert before not in daemon.workers()
            with fastcgi.Connection(where) as early:
                early.send_request(fastcgi.cgi_params("id=e&text=early"))
                if how != "reload":
                    daemon.control("upgrade", "--wait", check=True)
                daemon.rewrite(both)
                daemon.control("reload", "--wait", check=True)
                assert early.read_response().text == "early"
            assert pid_at(where) in daemon.workers()
        count = daemon.descriptor_count()
        daemon.rewrite({"other": other})
        daemon.control("reload", "--wait", check=True)
        daemon.rewrite(both)
        daemon.control("reload", "--wait", check=True)
        wait_until(lambda: daemon.descriptor_count() <= count, "no more descriptors than before")
    finally:
        ended(daemon)


def test_another_listen_and_back(tmp_path, sockets, app):
    where, elsewhere = (address.Address.make("unix", tmp_path, name) for name in ("given", "own"))
    command = f"{app('worker')} {tmp_path}"
    daemon = Activated(tmp_path, [sockets(where)], "www", {"command": command, "listen": where})
    daemon.start()
    for listen in (elsewhere, where):
        daemon.rewrite({"www": {"command": command, "listen": listen}})
        daemon.control("reload", "--wait", check=True)
        assert pid_at(listen) in daemon.workers()
    assert os.path.exists(where.path) and not os.path.exists(elsewhere.path)
    ended(daemon)


def test_a_stop_leaves_the_queue_to_the_next_manager(tmp_path, sockets, app, journal):
    """A stop does not serve the listen queue: the next manager finds the connections."""
    where = address.Address.make("unix", tmp_path)
    given = sockets(where)
    command = f"{app('worker')} {tmp_path}"
    daemon = Activated(tmp_path, [given], "www", {"command": command, "listen": where})
    daemon.start()
    with Held(daemon, journal) as held:
        held.begin("a", "text=whole")
        queued = [held.enter_context(fastcgi.Connection(where)) for _ in range(5)]
        for number, connection in enumerate(queued):
            connection.send_request(fastcgi.cgi_params(f"id=q{number}&sleep=50&text=queued{number}"))
        daemon.send_signal(signal.SIGQUIT)
        daemon.wait_log("SIGQUIT: stopping when")
        held.end("a")
        wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
        daemon = Activated(tmp_path, [given], "www", {"command": command, "listen": where}, name="next")
        daemon.start()
        for number, connection in enumerate(queued):
            assert connection.read_response().text == f"queued{number}"
    ended(daemon)


def test_in_the_background(tmp_path, sockets, app):
    """The process that listens is not the one that received the sockets."""
    where = address.Address.make("unix", tmp_path)
    daemon = Activated(
        tmp_path, [sockets(where)], "www", {"command": f"{app('worker')} {tmp_path}", "listen": where},
        settings={"daemonize": "yes", "pid": tmp_path / "pid"},
    )
    command = [str(build.OVERTIME), "-c", str(daemon.ini_path)] + (["-R"] if os.geteuid() == 0 else [])
    number = daemon.sockets[0].fileno()
    subprocess.run(
        [sys.executable, "-c", BECOME, str(number), "www", *command], pass_fds=[number], check=True, timeout=60,
        env=daemon.environment, stdin=subprocess.DEVNULL,
    )
    pid = int((tmp_path / "pid").read_text())
    assert fastcgi.request(where, query="id=a&text=x").text == "x"
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: process.reap(pid) or not process.alive(pid), "the manager's end")
    assert os.path.exists(where.path)


def test_shut_down(tmp_path, listen, sockets, app):
    """A given socket that a process shuts down: TCP listens again, a unix socket cannot be made by the manager."""
    given = sockets(listen)
    daemon = Activated(tmp_path, [given], "-", pool={"command": f"{app('worker')} {tmp_path}", "listen": listen})
    daemon.start()
    assert fastcgi.request(listen, query="id=a&text=fine").text == "fine"
    given.shutdown(socket.SHUT_RDWR)
    if listen.is_unix:
        daemon.wait_log("no other can be had: it was passed to the manager", 1)
        status = json.loads(daemon.control("--json", "status", check=True).stdout)["pools"][0]
        assert status["backoff_ms"] > 0
    else:
        daemon.wait_log("it listens again", 1)
        assert fastcgi.request(listen, query="id=b&text=fine").text == "fine"
    ended(daemon)
