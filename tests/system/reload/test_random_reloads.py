"""Pools are added, removed and changed, and swap sockets at random; no connection to a socket that stays is lost."""

import contextlib
import os
import random
from collections import Counter

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.held import wait_total
from harness.wait import now, wait_until

NAMES = "abcd"


def arrangement(choose, addresses, app, tmp_path):
    """Some pools, each with its own socket."""
    names = choose.sample(NAMES, choose.randint(1, len(NAMES)))
    places = choose.sample(addresses, len(names))
    return {
        name: {
            "command": f"{app('worker')} {tmp_path}", "listen": place,
            "pm": choose.choice(["static", "dynamic", "ondemand"]),
            "pm.max_children": choose.randint(1, 3), "env[N]": choose.randint(1, 2),
            "listen.backlog": choose.choice([100, 200]), "pm.process_idle_timeout": "50ms",
        } for name, place in zip(names, places)
    }


def possessions(daemon):
    """Kinds of descriptors that the manager has, except those that come with each worker."""
    found = process.descriptors(daemon.pid).values()
    kinds = [target.split(":[")[0] if target.startswith("socket") else target for target in found]
    return Counter(kind for kind in kinds if "pidfd" not in kind and not kind.startswith("pipe:"))


def places_of(pools):
    return {str(pool["listen"]): pool["listen"] for pool in pools.values()}


@pytest.mark.parametrize("seed", range(3))
def test_random_reloads(manager, app, tmp_path, seed):
    choose = random.Random(seed)
    addresses = [Address.make("unix", tmp_path, f"s{number}") for number in range(4)]
    addresses += [Address.make("tcp", tmp_path) for _ in range(2)]
    pools = first = arrangement(choose, addresses, app, tmp_path)
    daemon = manager(pools=pools)
    daemon.control("reload", "--wait", "--all", check=True)
    for at in places_of(pools).values():  # a pool has all that it needs once it has had a worker
        assert fastcgi.request(at, query="id=first&text=served").text == "served"
    before = possessions(daemon)
    end = now() + 2.5
    turns = 0
    while now() < end or turns < 10:
        turns += 1
        after = arrangement(choose, addresses, app, tmp_path)
        staying = [at for text, at in places_of(pools).items() if text in places_of(after)]
        with contextlib.ExitStack() as stack:
            queued = []
            for number, at in enumerate(staying * 3):
                connection = stack.enter_context(fastcgi.Connection(at))
                connection.send_request(fastcgi.cgi_params(f"id=q{turns}.{number}&sleep={choose.randint(0, 20)}&text=x"))
                queued.append(connection)
            if choose.random() < 0.2:
                daemon.write("[global]\nnonsense = 1\n")
                assert daemon.control("reload").returncode == 1
            daemon.rewrite(after)
            # A port is free for another pool when the last worker that listened there has exited.
            given_up = any(not at.is_unix for at in places_of(pools).values() if str(at) not in places_of(after))
            words = ["reload"] + (["--wait"] if given_up or choose.random() < 0.2 else [])
            answer = daemon.control(*words)
            assert answer.returncode == 0, (answer, daemon.log())
            pools = after
            for at in places_of(pools).values():
                assert fastcgi.request(at, query=f"id=r{turns}&text=served").text == "served"
            for connection in queued:
                response = connection.read_response(wait_eof=True)
                assert response.text == "x" and response.complete, response
        for at in addresses:
            if at.is_unix:
                assert os.path.exists(at.path) == (str(at) in places_of(pools)), at
    print(f"{turns} turns")
    daemon.rewrite(first)
    daemon.control("reload", "--wait", check=True)
    for name, pool in first.items():
        if pool["pm"] == "static":
            wait_total(daemon, name, idle=pool["pm.max_children"], older=0)
    wait_until(lambda: not possessions(daemon) - before, lambda: f"{before}, found {possessions(daemon)}")
    assert "is killed" not in daemon.log()
