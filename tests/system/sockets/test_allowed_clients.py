"""`listen.allowed_clients`: the kernel keeps other clients from every kind of worker, on every kind of port."""

import contextlib
import os
import socket
import subprocess

import pytest

from harness import build, fastcgi
from harness.address import Address

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
        client.sendall(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, fastcgi.pairs(fastcgi.cgi_params("id=a&text=x"))) + fastcgi.stream(fastcgi.STDIN, b""))
        return bool(client.recv(65536))


@pytest.fixture(params=["any", "v4"])
def place(request, tmp_path):
    """A port of every address, and one of an IPv4 address."""
    address = Address.make("tcp", tmp_path)
    return address.port, str(address.port) if request.param == "any" else f"127.0.0.1:{address.port}"


def sources(place):
    return {name: at for name, at in SOURCES.items() if name != "v6" or place[1].isdigit()}


@pytest.mark.parametrize("program", ["worker", "worker_plain"])
@pytest.mark.parametrize("allowed", ["127.0.0.2", "127.0.0.2/31, 10.0.0.0/8", "::1, 192.0.2.1"])
def test_others_are_kept_out(manager, app, tmp_path, place, program, allowed):
    port, listen = place
    manager({"command": f"{app(program)} {tmp_path}", "listen": listen, "listen.allowed_clients": allowed})
    for name, source in sources(place).items():
        may = {"other v4": "127.0.0.2" in allowed, "v6": "::1" in allowed, "v4": False}[name]
        client = connect(port, source, 60 if may else 0.3)
        if not may:
            assert client is None, f"{name}: another client reached the pool"
        else:
            assert client is not None and answered(client), name


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
