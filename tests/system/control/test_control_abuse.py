"""The control socket against garbage, silence and greed: other clients do not notice, and nothing is left."""

import contextlib
import random
import socket
import time

import pytest

from harness import build, fastcgi
from harness.wait import wait_until
from harness.worker_script import sleeper, status_field

SEEDS = [1, 2, 3]
VERBS = [b"ping", b"status", b"workers", b"config", b"pools", b"request", b"reload", b"trace", b"top", b"help"]


def memory(daemon):
    """The manager's own memory in kilobytes."""
    return int(status_field(daemon.pid, "RssAnon").split()[0])


def connected(daemon, receive=None):
    client = socket.socket(socket.AF_UNIX)
    if receive is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.connect(str(daemon.control_path))
    client.settimeout(30)
    return client


def serves(daemon, seconds=5):
    """A ping and a request are answered as if there were no other clients."""
    begin = time.monotonic()
    assert daemon.control("ping").returncode == 0
    assert fastcgi.request(daemon.addresses["www"], query="id=a&text=x").text == "x"
    assert time.monotonic() - begin < seconds * (4 if build.SANITIZED else 1)


@pytest.fixture
def daemon(manager, app, tmp_path):
    """A pool that serves, and one whose table of workers is long. Nothing of it is left in the end."""
    made = manager(pools={
        "www": {"command": f"{app('worker')} {tmp_path}"},
        "big": {"command": sleeper(tmp_path), "pm.max_children": 100},
    })
    for _ in range(20):
        made.control("--json", "workers", check=True)
    serves(made)
    descriptors, before = made.descriptor_count(), memory(made)
    yield made
    wait_until(lambda: made.descriptor_count() <= descriptors, lambda: f"{descriptors} descriptors")
    if not build.SANITIZED:  # a sanitizer keeps what was freed
        wait_until(lambda: memory(made) <= before + 2048, lambda: f"{memory(made)} kB, before {before}")
    serves(made)
    assert "crash" not in made.log() and made.popen.poll() is None


def some_bytes(dice):
    """Bytes as a malicious or broken client may send them."""
    kind = dice.randrange(8)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 200))
    if kind == 1:
        return dice.randbytes(dice.randrange(4000, 20000))
    if kind == 2:
        return b"overtime/1 " + dice.choice(VERBS)[: dice.randrange(8)]
    if kind == 3:
        return b"overtime/1 " + b"x" * dice.randrange(4000, 4200) + b"\n"
    if kind == 4:
        words = [dice.choice(VERBS + [b"--json", b"--wait", b"--all", b"", b"nope", b"\x1b[2J", b"www", b"-1", b"9" * 30])
                 for _ in range(dice.randrange(1, 20))]
        line = b"overtime/1 " + b" ".join(words) + b"\n"
        return line.replace(b"reload", b"reloa") if b"--all" in line else line
    if kind == 5:
        line = bytearray(b"overtime/1 status www --json\n")
        line[dice.randrange(len(line))] = dice.randrange(256)
        return bytes(line)
    if kind == 6:
        return b"\n" * dice.randrange(1, 5000)
    return b"overtime/1 request www " + str(dice.randrange(-5, 2**70)).encode() + b"\n"


def leave(client, dice):
    """Leaves at once, after half a line, by a reset, or after a part of the answer."""
    way = dice.randrange(4)
    with contextlib.suppress(OSError):
        if way == 0:
            client.shutdown(socket.SHUT_WR)
        elif way == 1:
            client.setblocking(False)
            client.recv(dice.randrange(1, 100))
        elif way == 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    client.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_bytes(daemon, seed):
    dice = random.Random(seed)
    there = []
    for number in range(400):
        client = connected(daemon, receive=dice.choice([None, 2048]))
        data = some_bytes(dice)
        with contextlib.suppress(OSError):
            while data:  # in pieces
                part = dice.randrange(1, len(data) + 1)
                client.sendall(data[:part])
                data = data[part:]
        there.append(client)
        if len(there) > 40:
            leave(there.pop(dice.randrange(len(there))), dice)
        if number % 100 == 50:
            serves(daemon)
    for client in there:
        leave(client, dice)


def test_five_hundred_silent_clients(daemon):
    before = daemon.descriptor_count()
    with contextlib.ExitStack() as stack:
        for number in range(500):
            stack.enter_context(connected(daemon))
            if number % 100 == 99:
                serves(daemon)
        assert daemon.descriptor_count() <= before + 64, "they are bounded in number"


def test_clients_that_do_not_read_their_answer(daemon):
    """Each answer is larger than the socket's buffer."""
    with contextlib.ExitStack() as stack:
        for number in range(200):
            client = stack.enter_context(connected(daemon, receive=2048))
            with contextlib.suppress(OSError):
                client.sendall(b"overtime/1 workers --json\n")
            if number % 50 == 49:
                serves(daemon)


def test_slow_clients_of_the_control_socket(daemon):
    """A byte at a time; the line is answered when it is complete."""
    line = b"overtime/1 ping\n"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(daemon)) for _ in range(50)]
        for at in range(len(line)):
            for client in clients:
                client.sendall(line[at : at + 1])
        for client in clients:
            assert client.recv(100).startswith(b"ok\nprocess")
        serves(daemon)


def test_a_long_answer_is_whole(daemon):
    """Read in small pieces, while other clients come and go."""
    with connected(daemon, receive=2048) as client:
        client.sendall(b"overtime/1 workers\n")
        answer = b""
        while chunk := client.recv(1000):
            answer += chunk
            if len(answer) % 5 == 0:
                connected(daemon).close()
    assert answer.startswith(b"ok\n") and answer.count(b"\nbig ") == 100


def test_clients_that_wait(manager, app, tmp_path, journal):
    """They cannot take all places, however long they wait."""
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "post_response.max_children": 2})
    with fastcgi.Connection(daemon.address) as connection, contextlib.ExitStack() as stack:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&finish&wait=go"))
        journal.wait("wait", "a")
        clients = []
        for _ in range(40):
            clients.append(stack.enter_context(connected(daemon)))
            clients[-1].sendall(b"overtime/1 reload --all --wait\n" if len(clients) == 1 else b"overtime/1 reload --wait\n")
        refused = 0
        for client in clients[32:]:
            refused += b"too many clients wait" in client.recv(1000)
        assert refused == 8
        assert daemon.control("ping").returncode == 0
        journal.signal("go")
        for client in clients[:32]:
            assert client.recv(1000).startswith(b"ok\n")


@pytest.mark.parametrize("seed", SEEDS)
def test_commands_that_change_something(manager, app, tmp_path, seed):
    """Broken lines change nothing; complete ones are executed, however they are sent."""
    dice = random.Random(seed)
    daemon = manager({"command": f"{app('worker')} {tmp_path}"})
    (worker,) = daemon.workers()
    for _ in range(100):
        verb = dice.choice([b"stop", b"quit", b"upgrade", b"reload --all"])
        line = b"overtime/1 " + verb + dice.choice([b" nope", b" www www", b"\x00", b" " + b"9" * 5000, b"x", b" \x1b[2J"])
        with connected(daemon) as client:
            client.sendall(line + b"\n")
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                assert not client.recv(65536).startswith(b"ok"), line
    assert daemon.workers() == [worker] and "reload" not in daemon.log()
    for line in (b"overtime/1 reload --all www --wait\n", b"overtime/1 upgrade --wait\n"):
        with connected(daemon) as client:
            for at in range(len(line)):
                client.sendall(line[at:at + 1])
        serves(daemon)
    daemon.wait_log("NOTICE: upgrade: process")
    with connected(daemon) as client:
        client.sendall(b"overtime/1 " + dice.choice([b"stop", b"quit"]) + b"\n")
    wait_until(lambda: daemon.popen.poll() is not None, "the manager's end")
