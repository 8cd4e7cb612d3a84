"""The status through an upgrade: its socket and the counts stay."""

import json

from harness import fastcgi
from harness.address import Address
from harness.totals import totals
from harness.wait import wait_until


def test_status_outlives_an_upgrade(manager, app, tmp_path):
    beside = Address.make("unix", tmp_path, "beside")
    daemon = manager({
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "pm.max_requests": 3,
        "pm.process_idle_timeout": "100ms",  # of the extra worker that post-response work needs
        "pm.status_path": "/status", "pm.status_listen": beside,
    })

    def look():
        params = fastcgi.cgi_params("json&full", SCRIPT_NAME="/status")
        return json.loads(fastcgi.request(beside, params=params).text)["overtime"]

    for number in range(8):
        fastcgi.request(daemon.address, query=f"id=r{number}&text=x&finish")
    before = wait_until(lambda: (now := look())["idle"] == 2 and now, "two idle workers")
    (old,) = daemon.status_workers()
    answer = daemon.control("upgrade", "--wait")
    assert answer.returncode == 0, answer.stderr
    wait_until(lambda: daemon.status_workers() not in ([], [old]), "another status worker")
    wait_until(lambda: look()["older"] == 0 and look()["workers"] == 2, "it settled")
    after = look()
    assert after["requests"] == before["requests"] == 8 and after["post_response_requests"] == 8
    assert after["histograms"]["post_response"]["count"] == 8
    assert after["start_time"] - before["start_time"] in (0, 1, -1)
    assert after["spawned"] - after["ended"] == after["workers"] == 2
    assert totals(daemon)["requests"] == 8
