"""`listen.allowed_clients`: workers with the library refuse other clients, and say which; the kernel keeps them from
every other kind of worker; on every kind of port."""

import contextlib
import os
import signal
import socket
import subprocess

import pytest

from harness import build, fastcgi
from harness.address import Address
from harness.totals import totals
from harness.wait import wait_until

SOURCES = {"v4": "127.0.0.1", "other v4": "127.0.0.2", "v6": "::1"}


def connect(port, source, limit):
    """A connection from that address; None if it was not made within the time."""
    six = ":" in source
    client = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(limit)
    try:
        client.bind((source, 0))
        client.connect(("::1" if six else "127.0.0.1", port))
    except TimeoutError:
        client.close()
        return None
    return client


def answered(client):
    with contextlib.closing(client):
        client.settimeout(60)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.cgi_params("id=a&text=x"))) + fastcgi.stream(fastcgi.STDIN, b""))
            return bool(client.recv(65536))
        return False


def passes_by_itself(daemon, port):
    """Has the kernel no list of its own any more? A client that is not allowed is connected then."""
    client = connect(port, "127.0.0.1", 1)
    return client is not None and not answered(client)


def told(daemon):
    return [line for line in daemon.log().splitlines() if "refused: `listen.allowed_clients`" in line]


@pytest.fixture(params=["any", "v4"])
def place(request, tmp_path):
    """A port of every address, and one of an IPv4 address."""
    address = Address.make("tcp", tmp_path)
    return address.port, str(address.port) if request.param == "any" else f"127.0.0.1:{address.port}"


def sources(place):
    return {name: at for name, at in SOURCES.items() if name != "v6" or place[1].isdigit()}


@pytest.mark.parametrize("allowed", ["127.0.0.2", "127.0.0.2/31, 10.0.0.0/8", "::1, 192.0.2.1"])
def test_others_are_kept_out(manager, app, tmp_path, place, allowed):
    """From workers without the library, by the kernel; the packets are counted, and told of once."""
    port, listen = place
    daemon = manager({"command": f"{app('worker_plain')} {tmp_path}", "listen": listen, "listen.allowed_clients": allowed})
    for name, source in sources(place).items():
        may = {"other v4": "127.0.0.2" in allowed, "v6": "::1" in allowed, "v4": False}[name]
        client = connect(port, source, 60 if may else 0.3)
        if not may:
            assert client is None, f"{name}: another client reached the pool"
        else:
            assert client is not None and answered(client), name
    assert totals(daemon)["refused_packets"] > 0 and totals(daemon)["refused_clients"] == 0
    before = totals(daemon)["refused_packets"]
    assert connect(port, "127.0.0.1", 0.3) is None
    assert totals(daemon)["refused_packets"] > before
    assert daemon.log().count("of clients that `listen.allowed_clients` does not list") == 1


@pytest.mark.parametrize("allowed", ["127.0.0.2", "127.0.0.2/31, 10.0.0.0/8", "::1, 192.0.2.1"])
def test_the_library_refuses_and_says_whom(manager, app, tmp_path, place, allowed):
    """The first at once, then at most once a minute; all are counted, and no request of theirs is begun."""
    port, listen = place
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "pm.max_children": 1, "listen": listen, "listen.allowed_clients": allowed})
    wait_until(lambda: passes_by_itself(daemon, port), "the kernel's list was taken away")
    wait_until(lambda: told(daemon), "the refusal in the log")
    assert len(told(daemon)) == 1 and "connection from 127.0.0.1 refused" in told(daemon)[0]
    refused = totals(daemon)["refused_clients"]
    requests = 0
    for name, source in sources(place).items():
        may = {"other v4": "127.0.0.2" in allowed, "v6": "::1" in allowed, "v4": False}[name]
        for _ in range(3):
            client = connect(port, source, 60)
            assert client is not None and answered(client) == may, name
            refused, requests = refused + (not may), requests + may
    wait_until(lambda: totals(daemon)["refused_clients"] == refused, lambda: f"{refused} refused; found {totals(daemon)}")
    assert totals(daemon)["requests"] == requests and totals(daemon)["dropped"] == 0
    assert len(told(daemon)) == 1, "more are counted, not told"


def test_one_worker_without_the_library_is_enough(manager, app, tmp_path):
    """The kernel has the list as long as that worker lives, or one starts."""
    address = Address.make("tcp", tmp_path)
    script = tmp_path / "either"
    script.write_text(f"#!/bin/sh\nmkdir {tmp_path}/first 2>/dev/null && exec sleep 1000\nexec {app('worker')} {tmp_path}\n")
    script.chmod(0o755)
    daemon = manager({"command": script, "listen": address, "pm": "static", "pm.max_children": 2, "listen.allowed_clients": "127.0.0.2"})
    wait_until(lambda: totals(daemon)["unknown"] == totals(daemon)["idle"] == 1, "one of each kind")
    assert connect(address.port, "127.0.0.1", 0.3) is None
    for pid in daemon.workers():
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: totals(daemon)["idle"] == 2, "two with the library")
    wait_until(lambda: passes_by_itself(daemon, address.port), "the library alone refuses")


def test_a_reload_to_a_program_with_the_library(manager, app, tmp_path):
    """And an upgrade of the manager, before and after."""
    address = Address.make("tcp", tmp_path)
    pool = {"listen": address, "pm.max_children": 1, "listen.allowed_clients": "127.0.0.2"}
    daemon = manager({**pool, "command": f"{app('worker_plain')} {tmp_path}"})
    assert connect(address.port, "127.0.0.1", 0.3) is None
    packets = totals(daemon)["refused_packets"]
    assert daemon.control("upgrade", "--wait").returncode == 0
    assert connect(address.port, "127.0.0.1", 0.3) is None
    assert totals(daemon)["refused_packets"] > packets > 0

    daemon.rewrite({"www": {**pool, "command": f"{app('worker')} {tmp_path}"}})
    assert daemon.control("reload", "--wait").returncode == 0
    wait_until(lambda: passes_by_itself(daemon, address.port), "the library refuses")
    assert daemon.control("upgrade", "--wait").returncode == 0
    wait_until(lambda: passes_by_itself(daemon, address.port), "it still does")
    assert answered(connect(address.port, "127.0.0.2", 60))


def test_a_pool_without_workers_is_not_woken(manager, app, tmp_path):
    address = Address.make("tcp", tmp_path)
    daemon = manager({"command": f"{app('worker')} {tmp_path}", "listen": address, "pm": "ondemand", "listen.allowed_clients": "127.0.0.2"})
    assert connect(address.port, "127.0.0.1", 0.3) is None
    assert totals(daemon)["spawned"] == 0
    assert answered(connect(address.port, "127.0.0.2", 60))


def test_a_reload_changes_the_list(manager, app, tmp_path):
    """Also to none, and for a pool whose section has another name now."""
    address = Address.make("tcp", tmp_path)
    port = address.port
    pool = {"command": f"{app('worker_plain')} {tmp_path}", "listen": port}
    daemon = manager(pool)
    assert answered(connect(port, "127.0.0.1", 60))
    for name, clients, may in [("www", "127.0.0.2", False), ("www", "127.0.0.1", True), ("other", "127.0.0.2", False), ("other", None, True)]:
        daemon.rewrite({name: {**pool, "listen.allowed_clients": clients}})
        assert daemon.control("reload", "--wait").returncode == 0
        client = connect(port, "127.0.0.1", 60 if may else 0.3)
        assert (client is not None) == may, (name, clients)
        assert client is None or answered(client)


@pytest.mark.parametrize("fits", [True, False], ids=["v4", "v6"])
def test_a_list_that_the_kernel_does_not_take_is_refused(tmp_path, app, fits):
    """As many IPv4 addresses as a line holds fit; of IPv6 addresses fewer do."""
    entries = [f"10.0.{i // 256}.{i % 256}" if fits else f"::{i + 1:x}" for i in range(600)]
    ini = tmp_path / "a.ini"
    user = "user = nobody\n" if os.geteuid() == 0 else ""
    ini.write_text(f"[www]\n{user}command = {app('worker')} {tmp_path}\nlisten = 9000\npm.max_children = 1\n"
                   f"listen.allowed_clients = {','.join(entries)}\n")
    done = subprocess.run([build.OVERTIME, "-t", "-c", ini], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (0 if fits else 78), done.stderr
    assert fits or "600 entries are more than the kernel's filter" in done.stderr
