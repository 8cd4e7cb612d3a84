"""The status worker on `pm.status_listen`: answers however busy the pool is, also after reloads."""

import json
import re
import os
import signal

import pytest

from harness import fastcgi, process
from harness.address import Address
from harness.totals import totals
from harness.wait import wait_until


def ask(address, query="json", path="/status"):
    return fastcgi.request(address, params=fastcgi.cgi_params(query, SCRIPT_NAME=path))


def status(address, query="json"):
    return json.loads(ask(address, query).text)


@pytest.fixture
def beside(tmp_path, request):
    return Address.make(getattr(request, "param", "unix"), tmp_path, "beside")


def wishes(app, tmp_path, beside, **more):
    return {
        "command": f"{app('worker')} {tmp_path}", "pm.max_children": 2, "pm.status_path": "/status",
        "ping.path": "/ping", "pm.status_listen": beside, **more,
    }


@pytest.mark.parametrize("beside", ["unix", "tcp"], indirect=True)
def test_answers_while_every_worker_is_stuck(manager, app, tmp_path, beside, journal, listen):
    count, waiting = 3, 4
    daemon = manager(wishes(app, tmp_path, beside, **{"pm.max_children": count, "listen": listen}))
    held = []
    for number in range(count + waiting):
        # One by one, since a worker that is awake accepts all connections that wait.
        wait_until(lambda: totals(daemon)["serving"] == min(number, count), "the one before served")
        held.append(fastcgi.Connection(daemon.address))
        held[-1].send_request(fastcgi.cgi_params(f"id=s{number}&text=x&wait=go"))
    found = status(beside, "json&full")
    assert found["active processes"] == count == found["overtime"]["serving"]
    assert found["idle processes"] == 0 and len(found["workers"]) == count
    assert found["listen queue"] == waiting == totals(daemon)["listen_queue"]
    assert ask(beside, path="/ping").text == "pong"
    assert ask(beside, path="/other").status == 404
    journal.signal("go")
    for connection in held:
        connection.read_response()
        connection.close()


def test_all_formats(manager, app, tmp_path, beside):
    manager(wishes(app, tmp_path, beside))
    for query, sign in (("", "pool:"), ("xml&full", "<processes>"), ("html", "</html>"),
                        ("openmetrics", "# EOF"), ("json", '"overtime"')):
        assert sign in wait_until(lambda: ask(beside, query).text, "an answer")


def test_a_client_that_does_not_read_delays_no_other(manager, app, tmp_path, beside):
    manager(wishes(app, tmp_path, beside))
    sleepers = [fastcgi.Connection(beside) for _ in range(20)]
    for connection in sleepers[:10]:
        connection.send_request(fastcgi.cgi_params("json&full", SCRIPT_NAME="/status"))
    assert status(beside)["pool"] == "www"
    for connection in sleepers:
        connection.close()


def test_it_is_restarted(manager, app, tmp_path, beside):
    daemon = manager(wishes(app, tmp_path, beside))
    (before,) = wait_until(daemon.status_workers, "the status worker")
    status(beside)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: [p for p in daemon.status_workers() if p != before], "another one")
    assert status(beside)["total processes"] == 2
    assert totals(daemon)["died"] == 0, "it is not one of the pool's workers"


def test_it_runs_as_the_pool_does_without_privileges(manager, app, tmp_path, beside):
    daemon = manager(wishes(app, tmp_path, beside))
    (pid,) = wait_until(daemon.status_workers, "the status worker")
    status(beside)
    with open(f"/proc/{pid}/status") as file:
        assert "NoNewPrivs:\t1\n" in file.read()
    targets = "".join(process.descriptors(pid).values())
    assert "memfd" not in targets, targets


def test_it_follows_reloads(manager, app, tmp_path, beside, journal):
    daemon = manager(wishes(app, tmp_path, beside))
    with fastcgi.Connection(daemon.address) as connection:
        connection.send_request(fastcgi.cgi_params("id=a&text=x&finish&wait=go"))
        journal.wait("wait", "a")
        (before,) = daemon.status_workers()
        daemon.write(daemon.ini_path.read_text().replace("pm.max_children = 2", "pm.max_children = 3"))
        assert daemon.control("reload").returncode == 0
        wait_until(lambda: status(beside)["overtime"]["generation"] == 2, "the new generation")
        wait_until(lambda: status(beside)["overtime"]["idle"] == 3, "its workers")
        wait_until(lambda: status(beside)["overtime"]["older"] == 1, "the idle ones gone")
        found = status(beside, "json&full")
        assert found["overtime"]["older"] == 1 and found["overtime"]["post_response"] == 1
        assert [w["generation"] for w in found["workers"] if w["state"] == "post-response"] == [1]
        assert found["accepted conn"] == 1
        journal.signal("go")
    wait_until(lambda: status(beside)["overtime"]["older"] == 0, "the older generation gone")
    assert status(beside)["accepted conn"] == 1 and before not in daemon.status_workers()


def listens(address):
    try:
        fastcgi.Connection(address).close()
        return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False


def test_it_appears_moves_and_goes(manager, app, tmp_path, beside):
    daemon = manager(wishes(app, tmp_path, beside, **{"pm.status_listen": None}))
    assert daemon.status_workers() == []
    without = daemon.ini_path.read_text()
    other = Address.make("unix", tmp_path, "other")
    for at in (beside, other):
        daemon.write(without + f"pm.status_listen = {at}\n")
        assert daemon.control("reload").returncode == 0
        wait_until(lambda: listens(at), f"a socket at {at}")
        assert status(at)["pool"] == "www"
    assert not os.path.exists(beside.path)
    daemon.write(without)
    assert daemon.control("reload").returncode == 0
    wait_until(lambda: not daemon.status_workers() and not os.path.exists(other.path), "it gone")


def shown_pids(address, output):
    text = ask(address, output).text
    if output.startswith("json"):
        report = json.loads(text)
        pids = [worker["pid"] for worker in report["workers"]]
        assert sorted(pids) == sorted(process["pid"] for process in report["processes"])
        return pids
    pattern = {"full": r"(?m)^pid: +(\d+)", "xml&full": r"<pid>(\d+)</pid>",
               "openmetrics&full": r'overtime_worker_info.*pid="(\d+)"'}[output]
    return list(map(int, re.findall(pattern, text)))


@pytest.mark.parametrize("killed", [False, True], ids=["reloaded", "killed"])
def test_no_worker_of_a_generation_that_is_gone(manager, app, tmp_path, beside, killed):
    """The next answer after `reload --wait` has the workers that there are, in every output."""
    daemon = manager(wishes(app, tmp_path, beside))
    for turn in range(18):
        before = daemon.wait_workers(2)
        if killed:
            os.kill(before[turn % 2], signal.SIGKILL)
        assert daemon.control("reload", "--all", "--wait").returncode == 0
        for output in ("json&full", "xml&full", "openmetrics&full", "full"):
            found = set(shown_pids(beside, output))
            assert not found & set(before), f"{output} shows {found} after reload {turn + 1} of {before}"
        wait_until(lambda: status(beside)["overtime"]["generation"] == turn + 2, "the new status worker")
        found = status(beside, "json&full")
        assert {worker["generation"] for worker in found["workers"]} == {turn + 2}
        assert found["overtime"]["older"] == found["overtime"]["retiring"] == 0


def test_only_there(manager, app, tmp_path, beside):
    """Requests for the two paths on the pool's own socket are for the application, ..."""
    daemon = manager(wishes(app, tmp_path, beside))
    for path in ("/status", "/ping"):
        assert ask(daemon.address, "id=a&text=mine", path).text == "mine"
        assert ask(beside, path=path).status == 200


def test_both_where_asked_for(manager, app, tmp_path, beside):
    """... unless pm.status_on_listen says otherwise; a reload changes it, and so does pm.status_listen."""
    daemon = manager(wishes(app, tmp_path, beside, **{"pm.status_on_listen": "yes"}))
    assert status(daemon.address)["pool"] == status(beside)["pool"] == "www"
    assert ask(daemon.address, path="/ping").text == ask(beside, path="/ping").text == "pong"
    text = daemon.ini_path.read_text()
    daemon.write(text.replace("pm.status_on_listen = yes", ""))
    assert daemon.control("reload", "--wait").returncode == 0
    assert ask(daemon.address, "id=a&text=mine").text == "mine"
    daemon.write(text.replace("pm.status_on_listen = yes", "").replace(f"pm.status_listen = {beside}", ""))
    assert daemon.control("reload", "--wait").returncode == 0
    assert status(daemon.address)["pool"] == "www"
    wait_until(lambda: not daemon.status_workers(), "its end")
