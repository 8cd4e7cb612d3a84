"""A pool that a reload removes and a later one adds again is a new pool at the old place."""

import os

import pytest

from harness import fastcgi
from harness.address import Address
from harness.held import wait_total
from harness.wait import wait_until


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_pool_removed_and_added_again(manager, app, tmp_path, kind):
    """Its socket serves, and its counters begin at 0."""
    two = {name: {"command": f"{app('worker')} {tmp_path}", "listen": Address.make(kind, tmp_path, name)}
           for name in ("one", "two")}
    daemon = manager(pools=two)
    address = two["two"]["listen"]
    for turn in range(3):
        for _ in range(turn + 1):
            assert fastcgi.request(address, query=f"id=a{turn}&text=x").text == "x"
        wait_total(daemon, "two", requests=turn + 1, generation=1, spawned=1, older=0)
        daemon.rewrite({"one": two["one"]})
        assert daemon.control("reload", "--wait").returncode == 0
        wait_until(lambda: '"two"' not in daemon.control("status", "--json").stdout, "the pool's end")
        assert not address.is_unix or not os.path.exists(address.path)
        daemon.rewrite(two)
        assert daemon.control("reload", "--wait").returncode == 0
        wait_total(daemon, "two", requests=0, generation=1, spawned=1, ended=0)
    assert fastcgi.request(two["one"]["listen"], query="id=b&text=y").text == "y"
